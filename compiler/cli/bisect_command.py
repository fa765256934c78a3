"""`penjing bisect`."""

import json
from argparse import Namespace
from dataclasses import asdict

from ... import passes as _  # noqa: F401  # importing the folder registers its passes
from ..accuracy import bisect
from ..frontend.trace import trace
from .data_source import load_calibration
from .model_source import load_model


def run(options: Namespace) -> None:
    """Print the first pass and value that lose more than they may."""
    found = bisect(
        trace(*load_model(options.model, options.input, options.shape)),
        options.passes,
        list(load_calibration(options.data)),
        least_sqnr=options.least_sqnr,
        calibration=load_calibration(options.calibration),
        directory=options.output,
    )
    if not options.json:
        print(found)
        return
    rest = asdict(found) | {"comparison": None, "directory": str(found.directory or "")}
    if found.comparison is not None:
        rest["comparison"] = found.comparison.to_json()
    print(json.dumps(rest, indent=1))
