"""NAME.h: the C interface of a model for a microcontroller."""

from collections.abc import Iterator, Sequence

from ...targets.cortex_m.layer import RowStream
from ...targets.microcontrollers import Microcontroller
from ..library.c_text import DTYPE_NAMES, comment, quote
from ..library.header import opening
from ..manifest import TensorEntry
from ..planning import SMALL_ARENA_ALIGN
from .feed_row import declare_feed_row, feed_row_macros
from .interface import Interface

_RUN = """\
#ifdef __cplusplus
extern "C" {{
#endif

/*
 * Runs the model once.
 *
 * inputs       {PREFIX}_INPUT_COUNT pointers to the buffers described above
 * outputs      {PREFIX}_OUTPUT_COUNT pointers to the buffers that receive the results
 * arena        scratch memory; its content means nothing before and after the call
 * arena_bytes  its size, at least {PREFIX}_ARENA_BYTES
 *
{places} * All buffers are aligned to {PREFIX}_ARENA_ALIGN bytes, and no two overlap but inputs.
 * Nothing is allocated and nothing is kept between calls. Returns PENJING_OK or what is wrong with
 * the arguments; then nothing has been touched.
 */
int {name}_run(const void *const *inputs, void *const *outputs, void *arena,
{indent}size_t arena_bytes);
{feed_row}
#ifdef __cplusplus
}}
#endif
"""

_PLACES = """\
 * Inputs have places in the arena, {PREFIX}_INPUT0_OFFSET and so on, where they are overwritten. An
 * input that the caller put there is used as it is; others are copied there and stay as they are.
 *
"""


def emit_header(
    name: str,
    target: Microcontroller,
    interface: Interface,
    certificate: str,
    version: str,
    stream: RowStream | None = None,
    places: Sequence[int] = (),
) -> str:
    """The text of NAME.h.

    Args:
        name: Of the model.
        target: What it was compiled for.
        interface: Inputs and outputs.
        certificate: Macros with what the model needs, NAME_ARENA_BYTES among them.
        version: Of the compiler.
        stream: How the model takes its input row by row, if it can.
        places: Of the inputs in the arena, if they are there.
    """
    prefix = name.upper()
    lines = [
        *opening(name, target.name, version),
        certificate,
        f"#define {prefix}_ARENA_ALIGN {SMALL_ARENA_ALIGN}u",
        f"#define {prefix}_INPUT_COUNT {len(interface.inputs)}",
        f"#define {prefix}_OUTPUT_COUNT {len(interface.outputs)}",
    ]
    for kind, entries in (("INPUT", interface.inputs), ("OUTPUT", interface.outputs)):
        for index, entry in enumerate(entries):
            lines += ["", *_tensor(f"{prefix}_{kind}{index}", entry)]
            if kind == "INPUT" and places:
                lines.append(
                    f"#define {prefix}_INPUT{index}_OFFSET {places[index]}u /* in the arena */"
                )
    if stream is not None:
        lines += feed_row_macros(name, stream)
    return "\n".join(
        [
            *lines,
            "",
            _RUN.format(
                name=name,
                PREFIX=prefix,
                indent=" " * (len(name) + 9),
                feed_row="" if stream is None else declare_feed_row(name),
                places=_PLACES.format(PREFIX=prefix) if places else "",
            ),
            "#endif",
            "",
        ]
    )


def _tensor(prefix: str, entry: TensorEntry) -> Iterator[str]:
    stored = entry.stored
    order = ", stored [N, H, W, C]" if entry.channels_last else ""
    yield f"/* {comment(entry.name)}: {stored}{order} */"
    yield f"#define {prefix}_NAME {quote(entry.name)}"
    yield f"#define {prefix}_DTYPE {DTYPE_NAMES[stored.dtype]}"
    yield f"#define {prefix}_RANK {len(stored.shape)}"
    if stored.shape:
        yield f"#define {prefix}_SHAPE {{{', '.join(map(str, stored.shape))}}}"
    yield f"#define {prefix}_ELEMENTS {stored.size}u"
    yield f"#define {prefix}_BYTES {stored.nbytes}u"
    if entry.scale is not None:
        yield f"/* An element q stands for {prefix}_SCALE * (q - {prefix}_ZERO_POINT). */"
        yield f"#define {prefix}_SCALE {entry.scale:.9g}f"
        yield f"#define {prefix}_ZERO_POINT {entry.zero_point}"
