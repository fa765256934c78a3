"""`penjing inspect`."""

import json
from argparse import Namespace
from pathlib import Path

from ... import passes as _  # noqa: F401  # importing the folder registers its passes
from ..coupling import analyze
from ..frontend.trace import trace
from ..ir.program import Program
from ..pass_manager import optimize
from .group_listing import describe_groups, list_groups
from .model_source import load_model


def run(options: Namespace) -> None:
    """Print the program of a model after its passes, or its groups, or an artifact's report."""
    if Path(options.model).is_dir():
        _inspect_artifact(Path(options.model), as_json=options.json)
        return
    model, example_inputs = load_model(options.model, options.input, options.shape)
    program = optimize(
        trace(model, example_inputs),
        options.passes,
        print_after=None if options.json else options.print_after,
        stop_at=options.stop_at,
    )
    if options.groups:
        _inspect_groups(program, options)
    elif options.json:
        print(json.dumps(_describe(program), indent=1))
    else:
        print(program)


def _inspect_groups(program: Program, options: Namespace) -> None:
    coupling = analyze(program, through_norms=options.through_norms, attention=options.attention)
    if options.json:
        print(json.dumps(describe_groups(coupling), indent=1))
    else:
        print(list_groups(coupling))


def _inspect_artifact(directory: Path, *, as_json: bool) -> None:
    from ..artifact import load

    report = load(directory).report
    print(json.dumps(report.to_json(), indent=1) if as_json else report)


def _describe(program: Program) -> dict[str, object]:
    counts: dict[str, int] = {}
    for node in program.graph.nodes:
        if node.op == "call_function":
            counts[str(node.target)] = counts.get(str(node.target), 0) + 1
    return {
        "inputs": dict(zip(program.input_names, map(str, program.inputs), strict=True)),
        "outputs": dict(zip(program.output_names, map(str, program.outputs), strict=True)),
        "weights": len(program.weights),
        "weights_bytes": sum(weight.nbytes for weight in program.weights.values()),
        "ops": dict(sorted(counts.items())),
        "passes": [report.as_dict() for report in program.reports],
        "text": str(program),
    }
