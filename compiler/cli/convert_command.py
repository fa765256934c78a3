"""`penjing convert`."""

import json
import sys
from argparse import Namespace
from contextlib import redirect_stdout
from pathlib import Path

from ... import passes as _  # noqa: F401  # importing the folder registers its passes
from ..errors import CompileError
from ..frontend.trace import trace
from ..ir.program import Program
from ..pass_manager import optimize
from .data_source import load_calibration, load_evaluate
from .model_source import load_model
from .progress import show_progress


def run(options: Namespace) -> None:
    """Run passes on a model and write it as ONNX or as a program."""
    if options.output.suffix not in (".onnx", ".penjing"):
        raise CompileError(
            "the file to write must end in .onnx or .penjing", got=str(options.output)
        )
    with (
        redirect_stdout(sys.stderr if options.json else sys.stdout),
        show_progress(always=options.progress) as progress,
    ):
        program = optimize(
            trace(*load_model(options.model, options.input, options.shape)),
            options.passes,
            calibration=load_calibration(options.calibration),
            evaluate=load_evaluate(options.evaluate),
            print_after=options.print_after,
            stop_at=options.stop_at,
            progress=progress,
        )
        _write(program, options.output, options)
    if options.json:
        described = {"path": str(options.output), "bytes": options.output.stat().st_size}
        reports = [report.as_dict() for report in program.reports]
        print(json.dumps(described | {"passes": reports}, indent=1))
    else:
        print(f"saved to {options.output}, {options.output.stat().st_size} bytes")


def _write(program: Program, path: Path, options: Namespace) -> None:
    if path.suffix == ".penjing":
        program.save(path)
    else:
        program.to_onnx(path, opset=options.opset, external_data=options.external_data or None)
