"""What a microcontroller cannot run, found while compiling."""

import warnings

from torch.fx import Node

from ...targets.microcontrollers import Microcontroller
from ..errors import CompileError
from ..ir.program import Program, node_specs, origin_of
from ..ir.tensor_spec import TensorSpec
from ..lowering.program import Call, Lowered
from ..planning import MemoryPlan

_INTEGER_OPERATORS = "penjing"


def check_integers(program: Program) -> None:
    """Refuse real numbers in a program of integers; warn about a program of real numbers alone.

    Raises:
        CompileError: An int8 model computes something in floating point.
    """
    calls = [node for node in program.graph.nodes if node.op == "call_function"]
    real = [node for node in calls if _is_real(node)]
    if not real:
        return
    if not any(str(node.target).startswith(_INTEGER_OPERATORS) for node in calls):
        warnings.warn(
            "the model computes with real numbers: on a microcontroller, int8 is faster and"
            ' smaller (passes="quantize", calibration=...)',
            stacklevel=3,
        )
        return
    node = real[0]
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


def check_memory(lowered: Lowered, plan: MemoryPlan, weights_bytes: int) -> None:
    """Refuse a model that does not fit the memory of its microcontroller.

    Args:
        lowered: The model.
        plan: Where its buffers are.
        weights_bytes: Flash for constants; code comes on top.

    Raises:
        CompileError: It says how many bytes are missing, at which layer, and what may help.
    """
    core = lowered.target
    assert isinstance(core, Microcontroller), core
    outside = sum(lowered.values[name].spec.nbytes for name in (*lowered.inputs, *lowered.outputs))
    ram = plan.arena_bytes + outside
    if core.ram_bytes and ram > core.ram_bytes:
        step, live = _peak(lowered, plan)
        call = lowered.calls[step]
        raise CompileError(
            f"the model needs {ram - core.ram_bytes} bytes more RAM than {core.name} has",
            at=", ".join(filter(None, call.modules)) or ", ".join(call.ops),
            got=f"{core.ram_bytes} bytes for an arena of {plan.arena_bytes} and"
            f" {outside} of inputs and outputs; most, {live}, are live at this layer"
            f" ({call.note or call.kernel})",
            fix="a smaller input or stride 2 in the first layers, fewer channels at this layer"
            ' (passes="prune-channels, quantize"), or a core with more RAM',
        )
    if core.flash_bytes and weights_bytes > core.flash_bytes:
        call = max(lowered.calls, key=lambda call: _constant_bytes(lowered, call))
        raise CompileError(
            f"the weights need {weights_bytes - core.flash_bytes} bytes more flash than"
            f" {core.name} has",
            at=", ".join(filter(None, call.modules)) or ", ".join(call.ops),
            got=f"{core.flash_bytes} bytes for {weights_bytes} of weights, of which this layer has"
            f" {_constant_bytes(lowered, call)}",
            fix='fewer channels (passes="prune-channels, quantize"), int8 instead of float32,'
            " or a core with more flash",
        )


def _peak(lowered: Lowered, plan: MemoryPlan) -> tuple[int, int]:
    """The call during which most bytes of the arena are live, and how many."""
    roots = {lowered.storage_of(name): span for name, span in plan.live.items()}
    live = [
        sum(
            lowered.values[root].spec.nbytes
            for root, (first, last) in roots.items()
            if first <= step <= last
        )
        for step in range(len(lowered.calls))
    ]
    step = max(range(len(live)), key=live.__getitem__)
    return step, live[step]


def _constant_bytes(lowered: Lowered, call: Call) -> int:
    values = (lowered.values[name] for name in call.reads)
    return sum(value.spec.nbytes for value in values if value.kind == "constant")
