"""`penjing compile`."""

import json
import sys
from argparse import Namespace
from contextlib import redirect_stdout

from ..driver import compile as compile_model
from .data_source import load_calibration, load_evaluate
from .model_source import load_model
from .progress import show_progress


def run(options: Namespace) -> None:
    """Compile a model and save the library, header and manifest."""
    # What a model or print_after prints must not mix with the JSON on stdout.
    quiet = redirect_stdout(sys.stderr if options.json else sys.stdout)
    with quiet, show_progress(always=options.progress) as progress:
        progress("load", 0.0)
        model, example_inputs = load_model(options.model, options.input, options.shape)
        progress("load", 1.0)
        artifact = compile_model(
            model,
            example_inputs,
            target=options.target,
            passes=options.passes,
            calibration=load_calibration(options.calibration),
            evaluate=load_evaluate(options.evaluate),
            name=options.name,
            threads=options.threads,
            half=options.half,
            precision=options.precision,
            weights=options.weights,
            stream=options.stream,
            reuse_inputs=options.reuse_inputs,
            print_after=options.print_after,
            stop_at=options.stop_at,
            dump_dir=options.dump_dir,
            progress=progress,
        )
        artifact.save(options.output, project=options.project)
    if options.json:
        print(json.dumps(artifact.report.to_json(), indent=1))
    else:
        print(artifact.report.summary())
        print(f"saved to {options.output}; `penjing inspect {options.output}` shows every kernel")
