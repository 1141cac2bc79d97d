# SPDX-License-Identifier: Apache-2.0
"""JSON from files, read strictly: UTF-8, every key of an object once, no number that is none."""

from __future__ import annotations

import json
import re
from typing import Any, Mapping, Sequence, Type

from ._errors import Error, shown

_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")


def _members(pairs: "list[tuple[str, Any]]") -> "dict[str, Any]":
    members = dict(pairs)
    if len(members) == len(pairs):
        return members
    seen: "set[str]" = set()
    for key, _ in pairs:
        if key in seen:
            raise ValueError(f'key "{shown(key)}" appears twice')
        seen.add(key)
    return members


def _no_number(text: str) -> Any:
    raise ValueError(f"{text} is no JSON")


def read_json(text: "bytes | bytearray | str", what: str, error: Type[Error]) -> Any:
    """The value of a text. Raises `error`, whose message begins with `what`."""
    try:
        decoded = text if isinstance(text, str) else text.decode()
        value = json.loads(decoded, object_pairs_hook=_members, parse_constant=_no_number)
        if _SURROGATE.search(decoded):
            json.dumps(value, ensure_ascii=False).encode()  # lone ones cannot be
        return value
    except RecursionError:
        raise error(f"{what}: nested too deeply") from None
    except MemoryError:
        raise error(f"{what}: more than there is memory for") from None
    except ValueError as reason:  # of decoding, too
        raise error(f"{what}: {reason}") from None


def write_json(value: Any) -> bytes:
    """Compact JSON in UTF-8 without needless escapes, as headers have it."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def an_object(value: Any, what: str, error: Type[Error]) -> "dict[str, Any]":
    """The value, which must be an object."""
    if not isinstance(value, dict):
        raise error(f"{what}: expected an object")
    return value


def members_of(value: Any, keys: Sequence[str], what: str, error: Type[Error]) -> "dict[str, Any]":
    """The value, which must be an object with exactly these members."""
    members = an_object(value, what, error)
    for key in keys:
        if key not in members:
            raise error(f'{what}: member "{key}" is missing')
    for key in members:
        if key not in keys:
            raise error(f'{what}: unknown member "{shown(key)}"')
    return members


def a_text(value: Any, what: str, error: Type[Error]) -> str:
    """The value, which must be a string."""
    if not isinstance(value, str):
        raise error(f"{what}: expected a string")
    return value


def a_number(value: Any, what: str, error: Type[Error]) -> int:
    """The value, which must be an integer from 0 to 2^64-1."""
    if type(value) is not int or not 0 <= value < 1 << 64:  # neither True nor 1.0
        raise error(f"{what}: expected an integer from 0 to 2^64-1")
    return value


def texts_of(value: Any, what: str, error: Type[Error]) -> "Mapping[str, str]":
    """The value, which must be an object of strings whose keys have no NUL character."""
    members = an_object(value, what, error)
    for key, text in members.items():
        if "\0" in key:
            raise error(f"{what}: a key has a NUL character")
        a_text(text, f'{what}: member "{shown(key)}"', error)
    return members
