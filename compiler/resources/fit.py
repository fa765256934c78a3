"""Does a model fit a microcontroller? If not: where, by how much, and what would help."""

from collections.abc import Sequence
from dataclasses import dataclass

from ...targets.microcontrollers import Microcontroller
from ..errors import CompileError
from ..lowering.program import Call, Lowered
from ..planning import MemoryPlan
from .certificate import Certificate

_ADVICE = (
    "a smaller input, stride 2 in the first layers, fewer channels at this layer (prune-channels),"
    " int8 instead of float32 (quantize), or a core with more memory"
)
_STACK = 512  # bytes that run functions take at most, about
_SHOWN = 4  # values of the peak that an error lists


@dataclass(frozen=True)
class Peak:
    """The call while which most of the arena is in use.

    Attributes:
        step: Its position; -1 stands for the inputs before the first call.
        bytes: From the lowest to the highest byte in use.
        values: What lives then, the largest first: name, bytes.
    """

    step: int
    bytes: int
    values: tuple[tuple[str, int], ...]


def find_peak(lowered: Lowered, plan: MemoryPlan) -> Peak | None:
    """The first call that needs most of the arena; None if nothing is in the arena."""
    roots = [name for name in plan.live if lowered.values[name].alias_of is None]
    peaks = []
    for step in sorted({plan.live[name][0] for name in roots}):
        here = [name for name in roots if plan.live[name][0] <= step <= plan.live[name][1]]
        sizes = {name: lowered.values[name].spec.nbytes for name in here}
        top = max(plan.offsets[name] + size for name, size in sizes.items())
        values = tuple(sorted(sizes.items(), key=lambda item: -item[1]))
        peaks.append(Peak(step, top - min(plan.offsets[name] for name in here), values))
    return max(peaks, key=lambda peak: peak.bytes, default=None)


def arena_limit(
    lowered: Lowered, core: Microcontroller, *, inputs_in_arena: bool = False
) -> int | None:
    """Bytes that are left for the arena beside inputs, outputs and some stack; None = no limit."""
    if not core.ram_bytes:
        return None
    outside = lowered.outputs if inputs_in_arena else (*lowered.inputs, *lowered.outputs)
    taken = sum(lowered.values[name].spec.nbytes for name in outside)
    return max(0, core.ram_bytes - taken - _STACK)


def check_ram(
    lowered: Lowered,
    plan: MemoryPlan,
    certificate: Certificate,
    core: Microcontroller,
    advice: Sequence[str] = (),
) -> None:
    """Refuse a model whose inference needs more memory than the core has.

    Args:
        lowered: The program.
        plan: Its memory.
        certificate: What it needs.
        core: What there is; 0 bytes = no limit is known.
        advice: What else would help, beside what is known here.

    Raises:
        CompileError: It does not fit; with the layer at the peak.
    """
    missing = certificate.ram_bytes - core.ram_bytes
    if not core.ram_bytes or missing <= 0:
        return
    peak = find_peak(lowered, plan)
    needs = [
        f"arena {certificate.arena_bytes}",
        f"inputs {certificate.input_bytes}",
        f"outputs {certificate.output_bytes}",
        *([f"stack {stack.bytes}"] if (stack := certificate.measured.stack) else []),
    ]
    raise CompileError(
        f"the model needs {missing} bytes more RAM than {core.name} has",
        at=_describe(lowered.calls[peak.step]) if peak and peak.step >= 0 else "",
        got=f"{' + '.join(needs)} bytes, where {core.ram_bytes} are" + _live(lowered, peak),
        fix="; ".join([*advice, _ADVICE]),
    )


def check_flash(lowered: Lowered, certificate: Certificate, core: Microcontroller) -> None:
    """Refuse a model whose code and weights need more flash than the core has.

    Raises:
        CompileError: It does not fit; with the layer that has most weights.
    """
    missing = certificate.flash_bytes - core.flash_bytes
    if not core.flash_bytes or missing <= 0:
        return
    code_bytes = certificate.measured.code_bytes
    code = "" if code_bytes is None else f" + code {code_bytes}"
    largest = max(lowered.calls, key=lambda call: _weights_of(lowered, call), default=None)
    raise CompileError(
        f"the model needs {missing} bytes more flash than {core.name} has",
        at=_describe(largest) if largest else "",
        got=f"weights {certificate.weights_bytes}{code} bytes, where {core.flash_bytes} are"
        + (f"; {_weights_of(lowered, largest)} of them in this layer" if largest else ""),
        fix="fewer channels (prune-channels), int8 instead of float32 (quantize), or a core with"
        " more flash",
    )


def _weights_of(lowered: Lowered, call: Call) -> int:
    roots = {lowered.storage_of(name) for name in call.reads}
    return sum(v.spec.nbytes for v in map(lowered.values.__getitem__, roots) if v.data is not None)


def _live(lowered: Lowered, peak: Peak | None) -> str:
    """What is in the arena at the peak."""
    if peak is None:
        return ""
    makers = {name: call for call in lowered.calls for name in call.writes}
    texts = []
    for name, size in peak.values[:_SHOWN]:
        maker = "scratch memory" if lowered.values[name].kind == "workspace" else "an input"
        if name in makers:
            maker = f"the result of {_describe(makers[name])}"
        texts.append(f"{size} {maker}")
    return f"; in the arena then: {', '.join(texts)}"


def _describe(call: Call) -> str:
    """The module in the user's model, and the operator."""
    module = next(filter(None, reversed(call.modules)), "")
    operator = call.ops[-1] if call.ops else call.kernel
    return f"{module} ({operator})" if module else operator
