"""Options that several commands share."""

from argparse import ArgumentParser
from pathlib import Path


def add_microcontroller(parser: ArgumentParser) -> None:
    """What only `compile` for microcontrollers takes."""
    group = parser.add_argument_group("microcontrollers")
    group.add_argument(
        "--project",
        action="store_true",
        help="also a CMake project that runs the model under QEMU",
    )
    group.add_argument(
        "--stream",
        action="store_true",
        help="compute the first layers row by row, for large images",
    )
    group.add_argument(
        "--reuse-inputs",
        action="store_true",
        help="inputs lie in the arena, where they are overwritten",
    )


def add_tracing(parser: ArgumentParser) -> None:
    """How a model is traced, and which passes run on it."""
    parser.add_argument(
        "-i",
        "--input",
        action="append",
        default=[],
        metavar="SHAPE",
        help="an example input of zeros, in order: 1x3x224x224 or ids=1x128:int64 (repeat)",
    )
    parser.add_argument(
        "--shape",
        action="append",
        default=[],
        metavar="NAME=SIZES",
        help="for ONNX: the shape of an input, image=1x3x224x224, or the size of a named dimension,"
        " batch=1 (repeat)",
    )
    parser.add_argument(
        "-p", "--passes", default="", metavar="TEXT", help='such as "fold-batch-norm, ..."'
    )
    parser.add_argument("--print-after", metavar="PASS", help="print the program after it, or all")
    parser.add_argument("--stop-at", type=int, metavar="N", help="run only the first N passes")


def add_data(parser: ArgumentParser) -> None:
    """What accuracy is measured on."""
    parser.add_argument(
        "--data", required=True, metavar="DATA", help="inputs to compare on, as for --calibration"
    )
    parser.add_argument(
        "--calibration", metavar="DATA", help="inputs for passes (default: those of --data)"
    )


def add_library(parser: ArgumentParser) -> None:
    """A compiled library and what to feed it."""
    parser.add_argument("directory", type=Path, metavar="DIR", help="what `compile -o` wrote")
    parser.add_argument(
        "-i",
        "--input",
        action="append",
        default=[],
        type=Path,
        metavar="FILE.npy",
        help="an input, in order (repeat); without any, random values are used",
    )
    parser.add_argument("--seed", type=int, default=0, help="of the random inputs (default: 0)")


def add_progress(parser: ArgumentParser) -> None:
    """Whether to say how far a command is."""
    parser.add_argument(
        "--progress", action="store_true", help="report progress even if stderr is no terminal"
    )


def positive(text: str) -> int:
    """A number of things, at least one."""
    value = int(text)
    if value < 1:
        raise ValueError(text)
    return value


positive.__name__ = "positive number"  # argparse says "invalid positive number value"


def add_calibration(parser: ArgumentParser) -> None:
    """What passes look at: data, and the quality that they should keep."""
    parser.add_argument(
        "--calibration",
        metavar="DATA",
        help="inputs for passes that look at some: FILE.npz or FILE.npy with the samples on"
        " dimension 0, or FILE.py:NAME, an iterable of batches",
    )
    parser.add_argument(
        "--evaluate",
        metavar="FILE.py:NAME",
        help="a function from a program to its quality, which the report gives after every pass",
    )
