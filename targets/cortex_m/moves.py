"""Tables of one element, and tensors that are joined: bytes that are looked up or copied."""

import math
from typing import Any

from ..microcontrollers import Microcontroller
from .assembly import plain_kernel
from .layer import Layer, NodeArguments, lowers_layer
from .mve_text import COPY_BYTES
from .statements import Index, Pointer, block, call, function, loop

_TOGETHER = 4  # elements in a step of the loop


@lowers_layer("penjing.table_int8")
def table(node: NodeArguments, core: Microcontroller) -> list[Layer]:
    """Any function of one int8; the table is constant."""
    if "table" not in node.constants or len(node.inputs) != 1:
        return []
    count = math.prod(node.output.shape)
    steps, rest = divmod(count, _TOGETHER)
    four = " ".join(f"y[{i}] = table[128 + x[{i}]];" for i in range(_TOGETHER))
    name = f"look_up_{count}"
    kernel = plain_kernel(
        name,
        f"{count} elements through a table.",
        f"void {name}(const int8_t *x, const int8_t *table, int8_t *y)",
        f"""
        for (int32_t step = 0; step < {steps}; ++step, x += 4, y += 4) {{
            {four}
        }}
        for (int32_t i = 0; i < {rest}; ++i)
            y[i] = table[128 + x[i]];
        """
        if rest
        else f"""
        for (int32_t step = 0; step < {steps}; ++step, x += 4, y += 4) {{
            {four}
        }}
        """,
    )
    x, entries, y = Pointer("x", "int8"), Pointer("table", "int8"), Pointer("y", "int8")
    return [
        Layer(
            function([x, entries, y], [call(name, x.at(), entries.at(), y.at())]),
            (node.constants["table"],),
            (kernel,),
            leads=(0,),
            cost=4 * count + 20,
            variant="four elements at a time",
        )
    ]


@lowers_layer("aten.cat", "aten.concat", "aten.concatenate")
def join(node: NodeArguments, core: Microcontroller) -> list[Layer]:
    """Tensors of bytes, all of them computed at run time."""
    parts, axis = node.inputs, node.values.get("dim", 0)
    if node.constants or any(part.dtype not in ("int8", "uint8") for part in parts):
        return []
    if any(len(part.shape) != len(node.output.shape) for part in parts):
        return []
    outer = math.prod(node.output.shape[:axis])
    lengths = [math.prod(part.shape[axis:]) for part in parts]
    sources = [Pointer(part.name, part.dtype) for part in parts]
    y, whole = Pointer("y", node.output.dtype), sum(lengths)

    def row(index: Index) -> Any:
        copies, done = [], 0
        for source, length in zip(sources, lengths, strict=True):
            to, of = y.at(index * whole + done), source.at(index * length)
            copies.append(call(COPY_BYTES.name, to, of, length))
            done += length
        return block(copies)

    copied = sum(length / 2 + 20 for length in lengths)
    return [
        Layer(
            function([*sources, y], [loop("row", outer, row)]),
            (),
            (COPY_BYTES,),
            cost=outer * copied,
            variant="copies of rows",
        )
    ]
