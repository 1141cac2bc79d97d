# SPDX-License-Identifier: Apache-2.0
"""Checks every answer against proto/openapi.json: status, content type, headers and the closed schema of the body.

Importing it is enough for everything that goes through `daemon.Kend.request`; answers that came another way are given to `check`.
"""

from __future__ import annotations

import json
import os
import re
import urllib.parse
from pathlib import Path
from typing import Any, Optional

import jsonschema

import daemon

SOURCE = Path(os.environ.get("KEND_SOURCE", Path(__file__).parents[2]))
DOCUMENT: dict[str, Any] = json.loads((SOURCE / "proto" / "openapi.json").read_text())
#: What stands where an id or a name of an artifact does.
PLACEHOLDERS = {"{id}": "[^/]+", "{name}": ".+"}
#: Problems that any request can be answered with, whatever its path: its head was refused before it had one, or the path is no path.
ANYWHERE = {
    400: {"bad_request"},
    403: {"forbidden"},
    404: {"not_found"},
    405: {"method_not_allowed"},
    414: {"target_too_long"},
    429: {"rate_limited"},
    431: {"headers_too_large"},
}
_RESOLVER = jsonschema.RefResolver("", DOCUMENT)


def _pattern(path: str) -> "re.Pattern[str]":
    parts = [PLACEHOLDERS.get(part, re.escape(part)) for part in re.split(r"(\{\w+\})", path)]
    return re.compile("".join(parts))


PATHS = [(_pattern(path), item) for path, item in DOCUMENT["paths"].items()]


def _resolve(node: dict[str, Any]) -> dict[str, Any]:
    while "$ref" in node:
        node = _RESOLVER.resolve(node["$ref"])[1]
    return node


def validate(schema: dict[str, Any], value: Any) -> None:
    """Raises if the value is not as the schema says."""
    jsonschema.Draft202012Validator(schema, resolver=_RESOLVER).validate(value)


def _operation(method: str, path: str) -> Optional[dict[str, Any]]:
    for pattern, item in PATHS:
        if pattern.fullmatch(path):
            operation = item.get(method.lower()) or (item.get("get") if method == "HEAD" else None)
            if operation:
                return dict(operation)
    return None


def _check_problem(response: daemon.Response) -> str:
    problem = response.json
    validate({"$ref": "#/components/schemas/Problem"}, problem)
    assert problem["status"] == response.status
    assert problem["type"].endswith("/" + problem["code"])
    return str(problem["code"])


def _check_listed(answer: dict[str, Any], method: str, response: daemon.Response) -> None:
    """An answer that the operation lists: its headers, content type and body."""
    for name, header in answer.get("headers", {}).items():
        header = _resolve(header)
        if header.get("required") is False and name.lower() not in response.headers:
            continue
        assert name.lower() in response.headers, f"{name} is missing"
        schema = header.get("schema", {})
        if "const" in schema or "pattern" in schema:
            validate(schema, response.headers[name.lower()])
    content = answer.get("content")
    if not content:
        assert not response.body
        return
    if not response.body and "location" in response.headers:
        return  # no memory for more
    kind = response.headers["content-type"].partition(";")[0]
    assert kind in content, f"content type {kind}"
    if kind.endswith("json") and method != "HEAD":
        validate(content[kind].get("schema", {}), response.json)


def check(method: str, target: str, response: daemon.Response) -> None:
    """Raises AssertionError or jsonschema.ValidationError if the answer is not within the contract."""
    named = target.startswith("/") or "://" in target
    path = urllib.parse.unquote(urllib.parse.urlsplit(target).path or "/") if named else ""
    what = f"{method} {target[:200]} -> {response.status} {response.body[:500]!r}"
    headers = response.headers
    assert re.fullmatch(r"[0-9A-Za-z._:/+=@-]{1,128}", headers.get("x-request-id", "")), what
    assert headers.get("x-content-type-options") == "nosniff", what
    assert not [name for name in headers if name.startswith("access-control-")], what
    problem = headers.get("content-type") == "application/problem+json"
    assert problem == (response.status >= 400), what
    if problem:
        assert headers.get("cache-control") == "no-store", what
    code = _check_problem(response) if problem and method != "HEAD" else ""
    if response.status == 405:
        assert headers.get("allow"), what
    if response.status in (429, 503):
        assert int(headers["retry-after"]) > 0, what
    operation = _operation(method, path)
    listed = operation["responses"].get(str(response.status)) if operation else None
    if listed is None:
        assert response.status in ANYWHERE, what
        assert method == "HEAD" or code in ANYWHERE[response.status], what
        return
    try:
        _check_listed(_resolve(listed), method, response)
    except (AssertionError, jsonschema.ValidationError) as error:
        raise AssertionError(f"{what}: {error}") from error


daemon.response_hooks.append(check)
