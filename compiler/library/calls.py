"""The body of a compiled model: one C statement per kernel call, buffers at their places."""

from dataclasses import dataclass

from ..lowering.program import Call, Lowered
from ..planning import MemoryPlan
from .c_text import C_TYPES, comment
from .constants import Constants

MACROS = """\
#define ARENA(type, offset) ((type *)(void *)(arena + (offset)))
#define WEIGHT(type, offset) ((const type *)(const void *)(weights + (offset)))
"""
_LINE = 100


@dataclass(frozen=True)
class Places:
    """C expressions for the buffers of a program."""

    lowered: Lowered
    plan: MemoryPlan
    constants: Constants

    def find(self, name: str, offset: int = 0) -> str:
        """A pointer into a value, some elements from its start; only the arena has such values."""
        value = self.lowered.values[name]
        ctype = C_TYPES[value.spec.dtype]
        root = self.lowered.values[self.lowered.storage_of(name)]
        if name in self.plan.offsets:
            bytes_in_front = offset * value.spec.torch_dtype.itemsize
            return f"ARENA({ctype}, {self.plan.offsets[name] + bytes_in_front})"
        if name in self.plan.direct:
            return f"outputs[{self.plan.direct[name]}]"
        if root.kind == "constant":
            return f"WEIGHT({ctype}, {self.constants.offsets[name]})"
        return f"inputs[{self.lowered.inputs.index(root.name)}]"


def emit_calls(lowered: Lowered, plan: MemoryPlan, constants: Constants) -> str:
    """The static function `run`, which trusts its arguments."""
    places = Places(lowered, plan, constants)
    lines = [
        MACROS,
        "static void run(const void *const *inputs, void *const *outputs, unsigned char *arena,",
        "                const unsigned char *weights)",
        "{",
        "    (void)inputs, (void)outputs, (void)arena, (void)weights;",
    ]
    for step, call in enumerate(lowered.calls):
        lines += [f"    STEP({step});{describe_call(call)}", *call_statement(call, places)]
    lines.append(f"    STEP({len(lowered.calls)});")
    for source, position in plan.copies:
        size = lowered.values[source].spec.nbytes
        lines.append(f"    memcpy(outputs[{position}], {places.find(source)}, {size});")
    return "\n".join([*lines, "}", ""])


def describe_call(call: Call) -> str:
    """What the call computes and for which modules of the model, as a comment."""
    ops = ", ".join(dict.fromkeys(call.ops))
    modules = ", ".join(filter(None, call.modules))
    text = comment(f"{ops} ({modules})" if modules else ops)
    return f" /* {text if len(text) < 200 else text[:200] + '...'} */" if text else ""


def call_statement(call: Call, places: Places) -> list[str]:
    """The call, broken between arguments where the line gets long."""
    lines = [f"    {call.kernel}("]
    for index, name in enumerate(call.arguments):
        offset = call.offsets[index] if call.offsets else 0
        text = places.find(name, offset) + (", " if index + 1 < len(call.arguments) else ");")
        if len(lines[-1]) + len(text) > _LINE:
            lines[-1] = lines[-1].rstrip()
            lines.append(" " * 8)
        lines[-1] += text
    return lines
