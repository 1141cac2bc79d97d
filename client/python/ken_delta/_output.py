# SPDX-License-Identifier: Apache-2.0
"""Where a model is written to: looked at before the work, and published behind it."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
from typing import Iterator, Sequence

from ._delta import INDEX_NAME, MODEL_NAME, Delta


def placed(output: str, delta: Delta) -> str:
    """Where the model goes: one of a single file into a folder that is there."""
    return output if delta.sharded or not os.path.isdir(output) else os.path.join(output, MODEL_NAME)


def check_output(output: str, delta: Delta, inputs: Sequence[str], replace: bool) -> None:
    """
    Raises OSError where the model could not be published, so that nothing is made in vain, and where an input would be lost.

    output: as it was given, since a slash at its end says that it is a folder.
    """
    is_folder = not os.path.basename(output)
    output = os.path.abspath(output)
    os.stat(os.path.join(os.path.dirname(output), ""))  # the folder that it belongs in
    made = [os.path.join(output, name) for name in _names(delta)] if delta.sharded else [output]
    _check_inputs(made, inputs)
    if is_folder and not delta.sharded:
        example = os.path.join(output, MODEL_NAME)
        raise IsADirectoryError(f"{output} is a folder, but the model is one file: give its path, such as {example}")
    if delta.sharded and os.path.lexists(output) and not os.path.isdir(output):
        raise NotADirectoryError(f"{output} is no folder, but the model is sharded: give the path of a folder")
    if not replace and _is_taken(output):
        raise FileExistsError(f"{output} is there already: choose another output, or --force (replace=True)")
    for path in made:
        if os.path.exists(path) and not os.path.isfile(path):
            raise FileExistsError(f"{path} is there and no file, hence not replaced: choose another output")


def _check_inputs(made: Sequence[str], inputs: Sequence[str]) -> None:
    """Raises FileExistsError if a file that is made would replace an input."""
    given = {_identity(path) for path in inputs}
    for path in made:
        if os.path.exists(path) and _identity(path) in given:
            raise FileExistsError(f"{path} is what the model is made from: choose another output")


def _identity(path: str) -> "tuple[int, int]":
    status = os.stat(path)
    return status.st_dev, status.st_ino


def _names(delta: Delta) -> "list[str]":
    return [*(file.name for file in delta.files), INDEX_NAME]


def _is_taken(output: str) -> bool:
    return bool(os.listdir(output)) if os.path.isdir(output) else os.path.lexists(output)


@contextlib.contextmanager
def published(output: str) -> "Iterator[str]":
    """A path beside the output; what is written there is renamed at the end, or removed if that is not reached."""
    output = os.path.abspath(output)
    aside = f"{output}.{os.getpid()}-{secrets.token_hex(4)}.part"
    try:
        yield aside
        _publish(aside, output)
    except BaseException as error:
        _remove(aside)
        if isinstance(error, OSError) and str(error.filename).startswith(aside):
            error.filename = output
        raise


def _publish(aside: str, output: str) -> None:
    """Renames what was written to where it belongs; of a folder that is there already, files of the same name are replaced."""
    if not os.path.isdir(aside) or not os.path.isdir(output):
        os.replace(aside, output)
        return
    for name in sorted(os.listdir(aside)):  # the index comes last
        os.replace(os.path.join(aside, name), os.path.join(output, name))
    os.rmdir(aside)


def _remove(path: str) -> None:
    if os.path.isdir(path):
        shutil.rmtree(path, ignore_errors=True)
    else:
        with contextlib.suppress(OSError):
            os.unlink(path)
