"""What a microcontroller cannot run, found while compiling."""

import warnings

from torch.fx import Node

from ..errors import CompileError
from ..ir.program import Program, node_specs, origin_of
from ..ir.tensor_spec import TensorSpec

_MADE_BY_PASSES = ("penjing.", "quantized_decomposed.")


def check_integers(program: Program) -> None:
    """Refuse real numbers in a program of integers; warn about a program of real numbers alone.

    Raises:
        CompileError: An int8 model computes something in floating point.
    """
    calls = [node for node in program.graph.nodes if node.op == "call_function"]
    real = [node for node in calls if _is_real(node)]
    if not real:
        return
    others = [node for node in real if not str(node.target).startswith(_MADE_BY_PASSES)]
    if not any(str(node.target).startswith(_MADE_BY_PASSES[0]) for node in calls):
        warnings.warn(
            "the model computes with real numbers: on a microcontroller, int8 is faster and"
            ' smaller (passes="quantize", calibration=...)',
            stacklevel=3,
        )
        return
    node = (others or real)[0]
    raise CompileError(
        f"an int8 model computes {node.target} with real numbers",
        at=str(origin_of(node)),
        got=f"{len(real)} of {len(calls)} operators",
        fix='quantize all of it (passes="quantize"; the report of fold-quantization says what has'
        " no integer form), or leave this operator to the program around the model",
    )


def _is_real(node: Node) -> bool:
    specs = node_specs(node)
    found = [specs] if isinstance(specs, TensorSpec) else specs
    read = [
        spec
        for source in node.all_input_nodes
        if source.op != "get_attr"
        for spec in [node_specs(source)]
        if isinstance(spec, TensorSpec)
    ]
    return any("float" in spec.dtype for spec in (*found, *read))
