"""The commands and options of `penjing`, and their help."""

from argparse import ArgumentParser, Namespace, RawDescriptionHelpFormatter, _SubParsersAction
from collections.abc import Sequence
from pathlib import Path

from .option_groups import (
    add_calibration,
    add_data,
    add_library,
    add_microcontroller,
    add_progress,
    add_tracing,
    positive,
)

MODEL_HELP = """\
MODEL is one of
  net.pt2            a program saved by torch.export.save
  net.onnx           an ONNX model; --shape says what sizes it leaves open
  net.penjing        a program saved by penjing.Program.save
  train.py:make      a function or class of a Python file
  package.module:net a function, class or object of an importable module
A function or class is called without arguments and gives the model, or (model, example_inputs).
"""

COMPILE_EXAMPLES = """\
examples:
  penjing compile net.pt2 --target arm-a72 -o build/
  penjing compile train.py:make_net --target host --input 1x3x224x224 -o build/
  penjing compile net.onnx --target arm-a72 --shape batch=1 -o build/
  penjing compile net.pt2 --target arm-a72 --passes "fold-batch-norm, fuse-regions" \\
      --print-after all --dump-dir steps/ -o build/
"""

CONVERT_EXAMPLES = """\
examples:
  penjing convert net.onnx small.onnx --passes "prune-channels{macs=0.5}" --calibration images.npz
  penjing convert net.pt2 int8.onnx --passes quantize --calibration images.npz
  penjing convert net.pt2 net.onnx --opset 18
"""


def parse_arguments(arguments: Sequence[str] | None = None) -> Namespace:
    """The options of one command; exits with code 2 on wrong usage, as argparse does."""
    parser = ArgumentParser(
        prog="penjing",
        description="Compile PyTorch and ONNX models to dependency-free C libraries.",
        epilog="`penjing COMMAND --help` explains a command.",
    )
    parser.add_argument("--version", action="version", version=_version())
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    _add_compile(commands)
    _add_run(commands)
    _add_profile(commands)
    _add_inspect(commands)
    _add_convert(commands)
    _add_compare(commands)
    _add_bisect(commands)
    _command(commands, "targets", "list the devices that penjing compiles for")
    _command(commands, "passes", "list the passes and their options")
    return parser.parse_args(arguments)


def _version() -> str:
    from ... import __version__

    return f"penjing {__version__}"


def _command(
    commands: "_SubParsersAction[ArgumentParser]",
    name: str,
    summary: str,
    *,
    description: str = "",
    epilog: str = "",
) -> ArgumentParser:
    parser = commands.add_parser(
        name,
        help=summary,
        description=description or summary[0].upper() + summary[1:] + ".",
        epilog=epilog,
        formatter_class=RawDescriptionHelpFormatter,
    )
    parser.add_argument("--json", action="store_true", help="machine-readable result on stdout")
    return parser


def _add_compile(commands: "_SubParsersAction[ArgumentParser]") -> None:
    parser = _command(
        commands,
        "compile",
        "compile a model to a library, its C header and a manifest",
        description="Compile a model to a library, its C header and a manifest.\n\n" + MODEL_HELP,
        epilog=COMPILE_EXAMPLES,
    )
    parser.add_argument("model", metavar="MODEL")
    parser.add_argument(
        "-t",
        "--target",
        required=True,
        help="a name of `penjing targets`, or cortex-m4,flash=1MB,ram=256KB",
    )
    parser.add_argument("-o", "--output", required=True, type=Path, metavar="DIR")
    parser.add_argument("--name", default="model", help="prefix of the C names (default: model)")
    parser.add_argument("--threads", type=positive, default=1, metavar="N")
    parser.add_argument(
        "--half",
        choices=("storage", "arithmetic"),
        default="storage",
        help="what float16 is on the device (default: storage; see docs/half_precision.md)",
    )
    parser.add_argument(
        "--precision",
        choices=("float16", "float32"),
        help="what mobile GPUs store values in (default: float16 on Adreno and Mali)",
    )
    parser.add_argument(
        "--weights",
        choices=("embed", "file"),
        default="embed",
        help="inside the library, or in a file of their own that the caller maps",
    )
    add_microcontroller(parser)
    add_tracing(parser)
    add_calibration(parser)
    parser.add_argument(
        "--dump-dir", type=Path, metavar="DIR", help="write the program's text after every pass"
    )
    add_progress(parser)


def _add_run(commands: "_SubParsersAction[ArgumentParser]") -> None:
    parser = _command(
        commands,
        "run",
        "run a compiled model, natively or under an emulator of its target",
        epilog="examples:\n"
        "  penjing run build/ --input x.npy -o y.npy\n"
        "  penjing run build/ --count-instructions\n",
    )
    add_library(parser)
    parser.add_argument(
        "-o",
        "--output",
        action="append",
        default=[],
        type=Path,
        metavar="FILE.npy",
        help="where to save an output, in order (repeat); without it a summary is printed",
    )
    parser.add_argument(
        "--count-instructions",
        action="store_true",
        help="also count the instructions of one inference under the emulator",
    )


def _add_profile(commands: "_SubParsersAction[ArgumentParser]") -> None:
    parser = _command(commands, "profile", "say where a compiled model spends its time")
    add_library(parser)
    parser.add_argument("--top", type=positive, metavar="N", help="only the N most expensive")


def _add_inspect(commands: "_SubParsersAction[ArgumentParser]") -> None:
    parser = _command(
        commands,
        "inspect",
        "show the program of a model, or the report of a compiled one",
        description="Show the program of a model, or the report of a compiled one (a folder).\n\n"
        + MODEL_HELP,
    )
    parser.add_argument("model", metavar="MODEL|DIR")
    add_tracing(parser)
    parser.add_argument(
        "--groups",
        action="store_true",
        help="show which channels, features and heads can be pruned together, and what is locked",
    )
    parser.add_argument(
        "--through-norms",
        action="store_true",
        help="with --groups: also what a norm is taken over",
    )
    parser.add_argument(
        "--attention",
        choices=("heads", "head_dim"),
        default="heads",
        help="with --groups: whole heads, or the same dimensions of every head (default: heads)",
    )


def _add_convert(commands: "_SubParsersAction[ArgumentParser]") -> None:
    parser = _command(
        commands,
        "convert",
        "write the program of a model, after some passes, as an ONNX model or a program",
        description="Write the program of a model, after some passes, as an ONNX model or as a"
        " program.\n\n" + MODEL_HELP,
        epilog=CONVERT_EXAMPLES,
    )
    parser.add_argument("model", metavar="MODEL")
    parser.add_argument("output", type=Path, metavar="FILE.onnx|FILE.penjing")
    add_tracing(parser)
    add_calibration(parser)
    parser.add_argument(
        "--opset",
        type=positive,
        metavar="N",
        help="version of ONNX's operators (default: 20 or 21)",
    )
    parser.add_argument(
        "--external-data",
        action="store_true",
        help="weights in a file of their own, FILE.onnx.data",
    )
    add_progress(parser)


def _add_compare(commands: "_SubParsersAction[ArgumentParser]") -> None:
    parser = _command(
        commands,
        "compare",
        "say how far the values of a model are from those after some passes, or of another model",
        description="Compare the values of a model with those after some passes, or with those of"
        " another model of the same inputs and outputs.\n\n" + MODEL_HELP,
        epilog="examples:\n"
        "  penjing compare net.pt2 --passes quantize --data images.npz --plot decibels.svg\n"
        "  penjing compare before.penjing after.penjing --data images.npz\n",
    )
    parser.add_argument("model", metavar="MODEL")
    parser.add_argument("other", metavar="OTHER", nargs="?", help="what MODEL is compared with")
    add_tracing(parser)
    add_data(parser)
    parser.add_argument(
        "--every",
        choices=("module", "value"),
        default="module",
        help="the last value of each module, or all that both programs have (default: module)",
    )
    parser.add_argument("--plot", type=Path, metavar="FILE", help="draw it to an .svg or .png")


def _add_bisect(commands: "_SubParsersAction[ArgumentParser]") -> None:
    parser = _command(
        commands,
        "bisect",
        "find the first pass that loses more accuracy than it may",
        description="Find the first pass, and the first value, that lose more than they may.\n\n"
        + MODEL_HELP,
        epilog="example:\n"
        '  penjing bisect net.pt2 --passes "fold-batch-norm, quantize" --data images.npz \\\n'
        "      --least-sqnr 30 -o found/\n",
    )
    parser.add_argument("model", metavar="MODEL")
    add_tracing(parser)
    add_data(parser)
    parser.add_argument(
        "--least-sqnr", type=float, required=True, metavar="DB", help="signal to noise to keep"
    )
    parser.add_argument(
        "-o", "--output", type=Path, metavar="DIR", help="where to write a small reproduction"
    )
