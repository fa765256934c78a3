"""NAME_feed_row: the model takes its image row by row, as a camera gives it."""

from collections.abc import Callable, Sequence

from ...targets.cortex_m.layer import RowStream
from ...targets.cortex_m.line_breaks import listed
from ..lowering.layers import LayerFunction
from ..lowering.program import Lowered
from ..planning import MemoryPlan

_DECLARATION = """\

/*
 * Takes one row of the input; after the last one, the outputs are there. The image as a whole need
 * not exist anywhere.
 *
 * row          {PREFIX}_ROW_BYTES bytes
 * index        its number: all of 0 to {PREFIX}_ROWS - 1, one after the other
 * outputs      as for {name}_run
 * arena        as for {name}_run; between the rows of an image nothing else may use it
 * arena_bytes  as for {name}_run
 *
 * Returns PENJING_OK or what is wrong with the arguments (PENJING_NULL_INPUT if there is no such
 * row); then nothing has been touched.
 */
int {name}_feed_row(const void *row, uint32_t index, void *const *outputs, void *arena,
{indent}size_t arena_bytes);
"""
_DEFINITION = """\
int {name}_feed_row(const void *row, uint32_t index, void *const *outputs, void *arena,
{indent}size_t arena_bytes)
{{
    static const size_t row_bytes[] = {{{row_bytes}}};
    int status = check(&row, row_bytes, outputs, arena, arena_bytes);
    if (status == PENJING_OK && index >= {rows})
        status = PENJING_NULL_INPUT;
    if (status == PENJING_OK)
        take_row(row, (int32_t)index, outputs, arena);
    return status;
}}
"""


def inputs_in_arena(lowered: Lowered, plan: MemoryPlan) -> bool:
    """Whether the inputs have places in the arena."""
    return any(name in plan.offsets for name in lowered.inputs)


def row_stream(lowered: Lowered, plan: MemoryPlan) -> RowStream | None:
    """How the first layer takes its input row by row, if it can and the input is not stored."""
    if not lowered.calls or inputs_in_arena(lowered, plan):
        return None
    first = lowered.kernels[lowered.calls[0].kernel]
    assert isinstance(first, LayerFunction)
    return first.stream


def feed_row_macros(name: str, stream: RowStream) -> list[str]:
    """What the header says about rows."""
    prefix = name.upper()
    return [
        "",
        f"/* {name}_feed_row takes the input in rows. */",
        f"#define {prefix}_ROWS {stream.rows}u",
        f"#define {prefix}_ROW_BYTES {stream.row_bytes}u",
    ]


def declare_feed_row(name: str) -> str:
    """The prototype, for NAME.h."""
    return _DECLARATION.format(name=name, PREFIX=name.upper(), indent=_indent(name))


def define_feed_row(name: str, stream: RowStream) -> str:
    """The function, for NAME.c; `take_row` comes before it."""
    return _DEFINITION.format(
        name=name, indent=_indent(name), rows=stream.rows, row_bytes=stream.row_bytes
    )


def take_row(lowered: Lowered, stream: RowStream, find: Callable[[int], str]) -> Sequence[str]:
    """The function that trusts its arguments; `find(i)` is argument i of the first call in C."""
    call = lowered.calls[0]
    others = [find(index) for index in range(1, len(call.arguments))]
    start = "static void take_row("
    parameters = ["const int8_t *row", "int32_t index", "void *const *outputs", "uint8_t *arena"]
    return [
        *listed(start, parameters, ")"),
        "{",
        *listed(f"    {stream.feed}(", ["row", "index", *others], ");"),
        f"    if (index == {stream.rows - 1})",
        "        run_rest(outputs, arena);",
        "}",
        "",
    ]


def _indent(name: str) -> str:
    return " " * (len(name) + 14)
