"""`penjing compare`."""

import json
from argparse import Namespace

from ... import passes as _  # noqa: F401  # importing the folder registers its passes
from ..accuracy import compare
from ..errors import CompileError
from ..frontend.trace import trace
from ..pass_manager import optimize
from .data_source import load_calibration
from .model_source import load_model


def run(options: Namespace) -> None:
    """Print how far the values of two programs are apart; draw it where asked to."""
    if bool(options.passes) == (options.other is not None):
        raise CompileError("give either --passes or another model", fix="penjing compare --help")
    data = list(load_calibration(options.data))
    program = trace(*load_model(options.model, options.input, options.shape))
    if options.other is not None:
        changed = trace(*load_model(options.other, options.input, options.shape))
    else:
        calibration = load_calibration(options.calibration)
        changed = optimize(
            program,
            options.passes,
            calibration=data if calibration is None else calibration,
            print_after=None if options.json else options.print_after,
            stop_at=options.stop_at,
        )
    comparison = compare(program, changed, data, every=options.every)
    if options.plot is not None:
        comparison.plot(options.plot)
    print(json.dumps(comparison.to_json(), indent=1) if options.json else comparison)
