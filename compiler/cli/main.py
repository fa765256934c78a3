"""Reads the command line, runs one command, turns errors into exit codes."""

import json
import os
import sys
from argparse import Namespace
from collections.abc import Sequence
from importlib import import_module

from ..errors import CompileError
from .arguments import parse_arguments

OK, FAILED, INTERRUPTED = 0, 1, 130  # and 2, wrong usage, from argparse


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one `penjing` command; the exit code.

    0: done. 1: the model, the target or a file is not usable as asked, explained on stderr.
    2: wrong usage.
    """
    options = parse_arguments(arguments)
    command = import_module(f".{options.command}_command", __package__)
    try:
        command.run(options)
        sys.stdout.flush()
    except CompileError as error:
        return _report(error, options)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:  # the reader of our output has gone, as `head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return OK
    return OK


def _report(error: CompileError, options: Namespace) -> int:
    print(f"error: {error}", file=sys.stderr)
    if options.json:
        parts = {"what": error.what, "at": error.at, "got": error.got, "fix": error.fix}
        print(json.dumps({"error": parts}))
    return FAILED
