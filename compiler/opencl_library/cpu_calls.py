"""The CPU's kernels of a model behind one function, which the run time calls by step."""

from dataclasses import replace

from ..library.calls import MACROS, Places, call_statement, describe_call
from ..library.constants import Constants
from ..lowering.program import Call, Lowered
from ..planning import MemoryPlan
from .steps import steps_of

_CPU_RUN = """\
static int cpu_run(const void *const *inputs, void *const *outputs, void *arena,
                   size_t arena_bytes)
{{
    if (arena_bytes < {arena_bytes}u)
        return PENJING_SMALL_ARENA;
    for (uint32_t call = 0; call < {calls}u; call++)
        cpu_call(call, inputs, outputs, arena);
    copy_outputs(inputs, outputs, arena);
    return PENJING_OK;
}}
"""


def cpu_view(lowered: Lowered) -> Lowered:
    """The program as the CPU sees it: without scratch buffers that only the device needs."""
    return replace(lowered, calls=tuple(_of_cpu(call, lowered) for call in lowered.calls))


def _of_cpu(call: Call, lowered: Lowered) -> Call:
    scratch = len(lowered.kernels[call.kernel].workspaces)
    count = len(call.reads) + len(call.writes) + scratch
    return replace(call, arguments=call.arguments[:count], offsets=call.offsets[:count])


def emit_cpu_calls(lowered: Lowered, plan: MemoryPlan, constants: Constants) -> str:
    """The static functions `cpu_call` and `cpu_run`, which trust their arguments."""
    places = Places(lowered, plan, constants)
    lines = [
        MACROS,
        "static void cpu_call(uint32_t call, const void *const *inputs, void *const *outputs,",
        "                     unsigned char *arena)",
        "{",
        *_start(lowered, constants),
        "    switch (call) {",
    ]
    steps = steps_of(lowered)
    for index, step in enumerate(steps):
        lines.append(f"    case {index}:{describe_call(step.call)}")
        for call in step.calls:
            lines += ["    " + line for line in call_statement(_of_cpu(call, lowered), places)]
        lines.append("        break;")
    lines += ["    }", "}", "", *_copies(lowered, plan, places)]
    return "\n".join([*lines, _CPU_RUN.format(arena_bytes=plan.arena_bytes, calls=len(steps))])


def _copies(lowered: Lowered, plan: MemoryPlan, places: Places) -> list[str]:
    """The static function `copy_outputs`: outputs that no kernel writes in place."""
    lines = [
        "static void copy_outputs(const void *const *inputs, void *const *outputs,",
        "                         unsigned char *arena)",
        "{",
        *_start(lowered, places.constants),
    ]
    for name, position in plan.copies:
        size = lowered.values[name].spec.nbytes
        lines.append(f"    memcpy(outputs[{position}], {places.find(name)}, {size});")
    return [*lines, "}", ""]


def _start(lowered: Lowered, constants: Constants) -> list[str]:
    """What the macros of `Places` need, none of which a function has to use."""
    weights = f"{lowered.name}_weights" if constants.data else "NULL"
    return [
        f"    const unsigned char *weights = {weights};",
        "    (void)inputs, (void)outputs, (void)arena, (void)weights;",
    ]
