"""The C of a stream of rows: a function that takes a row, one that computes a stripe."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from .layer import Layer, MicroKernel, RowStream
from .line_breaks import broken, listed
from .print_c import print_function
from .print_expression import C_TYPES
from .statements import Pointer, call, function, loop

_CALL = 30  # instructions around the call of a layer's function
_MOVE = 0.75  # instructions for a byte that moves

_FILL = """\
/* Rows outside of an image of `height` rows become its border. */
static inline void fill_outside(int8_t *rows, int32_t first, int32_t count, int32_t height,
                                int32_t row_bytes, int32_t border)
{
    for (int32_t row = 0; row < count; row++)
        if (first + row < 0 || first + row >= height)
            memset(rows + row * row_bytes, border, (size_t)row_bytes);
}
"""
_KEEP = """\
/* Rows that are read again move to the front of their buffer. */
static inline void keep_rows(int8_t *rows, int32_t kept, int32_t taken, int32_t row_bytes)
{
    for (int32_t row = 0; row < kept; row++)
        memcpy(rows + row * row_bytes, rows + (taken + row) * row_bytes, (size_t)row_bytes);
}
"""


@dataclass(frozen=True)
class StagePlace:
    """A convolution of a stream, and its buffer in scratch memory.

    Attributes:
        module: Of the user's model.
        offset: Of its buffer, bytes.
        taken: Rows that come into the buffer with a stripe, behind `kept` rows.
        kept: Rows of earlier stripes.
        rows: Rows of the result in a stripe.
        lag: Rows by which the result lags behind.
        height: Rows of the whole result.
        row_bytes: Of the buffer.
        result_row_bytes: Of the result.
        border: Zero point of the buffer.
    """

    module: str
    offset: int
    taken: int
    kept: int
    rows: int
    lag: int
    height: int
    row_bytes: int
    result_row_bytes: int
    border: int

    @property
    def end(self) -> int:
        """Where the buffer ends."""
        return self.offset + (self.kept + self.taken) * self.row_bytes


def stream_layer(places: Sequence[StagePlace], layers: Sequence[Layer], height: int) -> Layer:
    """The layer that computes `layers` stripe by stripe.

    Args:
        places: Their buffers, in order.
        layers: Their functions for one stripe.
        height: Rows of the first image.
    """
    text = _Text(tuple(places), tuple(layers), height)
    kernels = [kernel for layer in layers for kernel in layer.micro_kernels]
    stream = RowStream("feed_row_of_image", height, places[0].row_bytes)
    constants = [constant for layer in layers for constant in layer.constants]
    x, y, scratch = Pointer("x", "int8"), Pointer("y", "int8"), Pointer("rows", "int8")
    packed = [Pointer(name, kind) for name, kind in text.constants]

    def feed(row: object) -> object:
        at = x.at(row * places[0].row_bytes)  # type: ignore[operator]
        others = [pointer.at() for pointer in packed]
        return call(stream.feed, at, row, *others, y.at(), scratch.at())

    return Layer(
        function([x, *packed, y, scratch], [loop("row", height, feed)]),
        tuple(constants),
        (*kernels, *text.functions(), MicroKernel(stream.feed, text.feed())),
        scratch_bytes=places[-1].end + max(layer.scratch_bytes for layer in layers),
        leads=(text.lead(),),
        cost=text.cost(),
        variant=f"stripes of {places[-1].rows} rows",
        stream=stream,
    )


@dataclass(frozen=True)
class _Text:
    places: tuple[StagePlace, ...]
    layers: tuple[Layer, ...]
    height: int

    @property
    def stripes(self) -> int:
        """How many there are; results of the first ones are not of the image."""
        last = self.places[-1]
        return (last.height + last.lag) // last.rows

    @property
    def constants(self) -> list[tuple[str, str]]:
        """Names and types of all constants."""
        return [each for index in range(len(self.layers)) for each in self._constants(index)]

    def _constants(self, index: int) -> list[tuple[str, str]]:
        """Those of one layer."""
        layer = self.layers[index]
        params = layer.func.params[1 : 1 + len(layer.constants)]
        return [(f"{p.name}_{index}", str(p.ty.element_type.dtype)) for p in params]

    def lead(self) -> int:
        """Bytes of the result that are written before the image below them was read."""
        first, last = self.places[0], self.places[-1]
        written = ((j + 1) * last.rows - last.lag for j in range(self.stripes))
        read = (min(self.height, (j + 1) * first.taken) for j in range(self.stripes))
        return max(
            rows * last.result_row_bytes - taken * first.row_bytes
            for rows, taken in zip(written, read, strict=True)
            if rows > 0
        )

    def cost(self) -> float:
        """Instructions, about."""
        moved = sum((place.kept + place.taken) * place.row_bytes for place in self.places[:1])
        moved += sum(place.kept * place.row_bytes for place in self.places[1:])
        each = sum(layer.cost + _CALL for layer in self.layers) + _MOVE * moved
        return self.stripes * each

    def functions(self) -> list[MicroKernel]:
        """What the stripes call."""
        printed = []
        for name, layer in zip(self._names(), self.layers, strict=True):
            made = print_function(
                layer.func,
                name,
                read=1 + len(layer.constants),
                comment="Rows of a layer.",
                micro_kernels={kernel.name for kernel in layer.micro_kernels},
            )
            printed += [*made.helpers, MicroKernel(name, made.text)]
        return [
            MicroKernel("fill_outside", _FILL),
            MicroKernel("keep_rows", _KEEP),
            *printed,
            MicroKernel("compute_stripe", self._stripe()),
        ]

    def feed(self) -> str:
        """The function that takes a row."""
        first = self.places[0]
        names = ", ".join(name for name, _ in self.constants)
        begin = [
            f"memset({_at(place.offset)}, {place.border}, {place.kept * place.row_bytes});"
            for place in self.places
            if place.kept
        ]
        rows = _at(first.offset + first.kept * first.row_bytes)
        lines = [
            "/* Take a row of the image; compute what it makes possible. */",
            *self._signature("feed_row_of_image", "const int8_t *x", "int32_t row"),
            "{",
            "    if (row == 0) {",
            *(f"        {line}" for line in begin),
            "    }",
            f"    memcpy({rows} + row % {first.taken} * {first.row_bytes}, x, {first.row_bytes});",
            f"    if ({self._is_complete()})",
            f"        compute_stripe(row / {first.taken}, {names}, y, rows);",
            f"    if (row == {self.height - 1})",
            f"        for (int32_t j = {-(-self.height // first.taken)}; j < {self.stripes}; j++)",
            f"            compute_stripe(j, {names}, y, rows);",
            "}",
        ]
        return _text(lines)

    def _is_complete(self) -> str:
        """Whether all rows of a stripe are there, in C."""
        taken, incoming = self.places[0].taken, -(-self.height // self.places[0].taken)
        complete = f"row % {taken} == {taken - 1}" if taken > 1 else "1"
        if self.height % taken:
            complete = f"({complete} || row == {self.height - 1})"
        return (
            complete
            if incoming <= self.stripes
            else f"{complete} && row / {taken} < {self.stripes}"
        )

    def _stripe(self) -> str:
        lines = [
            "/* One stripe of rows through all layers. */",
            *self._signature("compute_stripe", "int32_t j"),
            "{",
            _fill(self.places[0], 0, self.height),
        ]
        for index, place in enumerate(self.places):
            following = self.places[index + 1] if index + 1 < len(self.places) else None
            lines += self._stage(index, place, following)
            if place.kept:
                lines.append(
                    f"    keep_rows({_at(place.offset)}, {place.kept}, {place.taken},"
                    f" {place.row_bytes});"
                )
        return _text([*lines, "}"])

    def _stage(self, index: int, place: StagePlace, following: StagePlace | None) -> list[str]:
        """The call of a layer, unless all its rows are outside."""
        layer, name = self.layers[index], self._names()[index]
        if following is None:
            row = f"(j * {place.rows} - {place.lag})"
            result = f"y + {row} * {place.result_row_bytes}"
        else:
            result = _at(following.offset + following.kept * following.row_bytes)
        types = [str(param.ty.element_type.dtype) for param in layer.func.params]
        constants = [name for name, _ in self._constants(index)]
        arguments = [_cast(types[0], _at(place.offset)), *constants]
        arguments.append(_cast(types[1 + len(constants)], result))
        if layer.scratch_bytes:
            arguments.append(_cast(types[-1], _at(self.places[-1].end)))
        first = -(-(place.lag - place.rows + 1) // place.rows)
        last = (place.height + place.lag - 1) // place.rows
        inside = [f"j >= {first}"] * (first > 0) + [f"j <= {last}"] * (last < self.stripes - 1)
        lines = [f"    if ({' && '.join(inside)})"] * bool(inside)
        lines.append(f"    {'    ' * bool(inside)}{name}({', '.join(arguments)});")
        if following is not None:
            lines.append(_fill(following, place.lag, place.height))
        return lines

    def _signature(self, name: str, *first: str) -> list[str]:
        constants = [f"const {C_TYPES[kind]} *{name}" for name, kind in self.constants]
        return listed(
            f"static void {name}(", [*first, *constants, "int8_t *y", "int8_t *rows"], ")"
        )

    def _names(self) -> list[str]:
        """Of the layers' functions for a stripe."""
        return [
            f"rows_{index}_of_{re.sub(r'[^A-Za-z0-9]+', '_', place.module) or 'layer'}"
            for index, place in enumerate(self.places)
        ]


def _text(lines: Sequence[str]) -> str:
    return "".join(f"{piece}\n" for line in lines for piece in broken(line))


def _at(offset: int) -> str:
    return f"rows + {offset}" if offset else "rows"


def _cast(kind: str, pointer: str) -> str:
    return pointer if kind == "int8" else f"({C_TYPES[kind]} *)(void *)({pointer})"


def _fill(place: StagePlace, lag: int, height: int) -> str:
    """The statement that makes rows outside of an image border, after they came in."""
    rows = _at(place.offset + place.kept * place.row_bytes)
    first = f"j * {place.taken}" + (f" - {lag}" if lag else "")
    return (
        f"    fill_outside({rows}, {first}, {place.taken}, {height}, {place.row_bytes},"
        f" {place.border});"
    )
