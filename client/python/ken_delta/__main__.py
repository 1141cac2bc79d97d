# SPDX-License-Identifier: Apache-2.0
"""The command line: python -m ken_delta."""

from __future__ import annotations

import argparse
import io
import json
import os
import sys
from typing import Optional, Sequence

from . import Delta, Error, __version__, apply_files, inspect
from ._errors import explain
from ._inspect import describe


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("python -m ken_delta", description="Reads deltas of kend.")
    parser.add_argument("--version", action="version", version=f"ken_delta {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    command = commands.add_parser("inspect", help="tell what is in a delta")
    command.add_argument("delta", metavar="DELTA", help="a delta, or a folder with delta.safetensors")
    command.add_argument("--json", action="store_true", help="as kenctl inspect -o json does")
    command = commands.add_parser("apply", help="make the pruned model from its base and a delta")
    command.add_argument("--base", required=True, help="a safetensors file, an index, or a folder with one of them")
    command.add_argument("--delta", required=True, help="a delta, or a folder with delta.safetensors")
    command.add_argument("-o", "--output", required=True, help="a file, or a folder if the model is sharded")
    command.add_argument("--force", action="store_true", help="replace what is there")
    return parser


def _run(arguments: argparse.Namespace) -> None:
    if arguments.command == "apply":
        apply_files(arguments.base, arguments.delta, arguments.output, replace=arguments.force)
    elif arguments.json:
        print(json.dumps(inspect(arguments.delta), indent=2))
    else:
        with Delta(arguments.delta) as delta:
            print(describe(delta))


def _drop_output() -> None:
    """Python flushes once more at its end, which would fail again."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def main(arguments: "Optional[Sequence[str]]" = None) -> int:
    """Exit status: 0; 1 if it failed; 2 if the command line is wrong; 130 if it was interrupted."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # names that the terminal has no characters for
    try:
        _run(_parser().parse_args(arguments))
        sys.stdout.flush()
    except BrokenPipeError:
        _drop_output()
        return 1
    except OSError as error:
        print(f"ken_delta: {explain(error)}", file=sys.stderr)
        _drop_output()
        return 1
    except Error as error:
        print(f"ken_delta: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
