"""Dense layers as functions."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tvm import tirx

from .dense_baseline import products_kernel
from .dense_portable import RESULT, WORD, uses_baseline
from .dense_rows import fill_kernel, move_kernel
from .dense_strips import ALIGNED, Strips
from .dense_sums import sums_kernel
from .layer import Layer
from .products import HIGH_PRODUCT
from .statements import Index, Pointer, block, call, function, loop


def dense_layer(way: Strips) -> Layer:
    """The function of a layer, its constants and what it promises."""
    image = way.image
    x, w = Pointer("x", "int8"), Pointer("w", "int16")
    y, rows = Pointer("y", "int8"), Pointer("rows", "int16")
    shapes = {
        way.sums(run, pixels)
        for _, width, _ in way.strips()
        for pixels, _ in way.blocks(width)
        for run in way.packed.runs
    }
    ordered = sorted(shapes, key=lambda shape: (-shape.pixels, -shape.channels))
    kernels = [WORD, HIGH_PRODUCT, RESULT, image.widening.kernel]
    kernels += [fill_kernel()] * way.has_border + [move_kernel()] * (way.kept > 0)
    inner = [products_kernel(shape.window) for shape in ordered if uses_baseline(shape)]
    kernels += [*inner, *(sums_kernel(shape) for shape in ordered)]
    return Layer(
        function([x, w, y, rows], _Body(way, x, w, y, rows).statements()),
        (way.packed.stream,),
        tuple(kernels),
        scratch_bytes=way.scratch_bytes,
        leads=(way.lead(),),
        lead_unit=ALIGNED,
        cost=way.cost(),
        variant=f"strips of {way.width}{', sliding' if way.slides else ''}",
    )


@dataclass(frozen=True, eq=False)
class _Body:
    """The statements of a layer's function."""

    way: Strips
    x: Pointer
    w: Pointer
    y: Pointer
    rows: Pointer

    def statements(self) -> list[Any]:
        """All strips, in the order of the way."""
        way, below = self.way, self.way.image.result_size[0]
        if way.slides:
            return self._strips(self._slide)

        def row(y: Index) -> Any:
            return block(self._strips(lambda span: self._strip(y, span)))

        return [loop("row", below, row)]

    def _strips(self, body: Callable[["_Span"], Any]) -> list[Any]:
        """A statement for every strip of a row."""
        made = []
        for first, width, count in self.way.strips():

            def one(strip: Index, first: int = first, width: int = width) -> Any:
                span = _Span.of(self.way, first + strip * width, width)
                return block([*span.bindings, body(span)])

            made.append(loop("strip", count, one))
        return made

    def _slide(self, span: "_Span") -> Any:
        """All rows of a strip."""
        way, image = self.way, self.way.image
        above = min(image.padding[0], way.kept)
        start = [self._fill(0, image.reach[0])] * way.has_border

        def take(j: Index) -> Any:
            return self._widen(j + (above - image.padding[0]), j + above, span)

        if way.kept > above:
            start.append(loop("j", min(way.kept - above, image.size[0]), take))
        down = loop("row", image.result_size[0], lambda y: self._slide_row(y, span))
        return block([*start, down])

    def _slide_row(self, y: Index, span: "_Span") -> Any:
        way, image = self.way, self.way.image

        def take(j: Index) -> Any:
            row, to = y * image.stride[0] + j + (way.kept - image.padding[0]), j + way.kept
            return self._inside(row, self._widen(row, to, span), self._fill(to, 1))

        new = loop("j", image.reach[0] - way.kept, take)
        after = []
        if way.kept:
            end = self.rows.at(image.stride[0] * way.row)
            after = [call("move_pairs", self.rows.at(), end, way.kept * way.row // 2)]
        return block([new, *self._sums(y, span), *after])

    def _strip(self, y: Index, span: "_Span") -> Any:
        """One strip on its own."""
        way, image = self.way, self.way.image
        start = [self._fill(0, image.reach[0])] * way.has_border

        def tap(j: Index) -> Any:
            row = y * image.stride[0] + j * image.dilation[0] - image.padding[0]
            return self._inside(row, self._widen(row, j * image.dilation[0], span), None)

        return block([*start, loop("j", image.kernel[0], tap), *self._sums(y, span)])

    def _inside(self, row: Index, then: Any, otherwise: Any | None) -> Any:
        """A statement for rows of the image, another for those beyond."""
        image = self.way.image
        last = (image.result_size[0] - 1) * image.stride[0] + image.reach[0] - image.padding[0]
        conditions = []
        if image.padding[0] > self.way.kept:
            conditions.append(row >= 0)
        if last > image.size[0]:
            conditions.append(row < image.size[0])
        if not conditions:
            return then
        both = conditions[0] if len(conditions) == 1 else tirx.And(*conditions)
        return tirx.IfThenElse(_condition(both), then, otherwise)

    def _widen(self, row: Index, to: Index, span: "_Span") -> Any:
        """The pixels of an image's row under a strip, into a row of the window."""
        way, image, how = self.way, self.way.image, self.way.image.widening
        source = self.x.at((row * image.size[1] + span.left) * image.channels)
        target = self.rows.at(to * way.row + span.border * how.elements)
        return call(how.kernel.name, source, target, span.pixels * how.counts)

    def _fill(self, row: Index, count: int) -> Any:
        """Rows of the window that hold the zero point."""
        pairs, at = count * self.way.row // 2, self.rows.at(row * self.way.row)
        return call("fill_pairs", at, pairs, self.way.image.input_zero_point)

    def _sums(self, y: Index, span: "_Span") -> list[Any]:
        statements, done = [], 0
        for pixels, count in self.way.blocks(span.width):
            start = done

            def one(i: Index, pixels: int = pixels, start: int = start) -> Any:
                return self._block(y, span.first, i * pixels + start, pixels)

            statements.append(loop("block", count, one))
            done += pixels * count
        return statements

    def _block(self, y: Index, first: Index, pixel: Index, pixels: int) -> Any:
        """All channels of a few neighboring results."""
        way, image = self.way, self.way.image
        place = (y * image.result_size[1] + first + pixel) * image.results
        own, taken = image.results // image.groups, image.widening.elements // image.groups
        stream = len(way.packed.stream) // image.groups

        def group(g: Index) -> Any:
            return block(
                [
                    call(
                        way.sums(run, pixels).name,
                        self.rows.at(pixel * way.window.pixel + g * taken),
                        self.w.at(g * stream + run.start),
                        self.y.at(place + g * own + run.first),
                        image.zero_point,
                    )
                    for run in way.packed.runs
                ]
            )

        return loop("group", image.groups, group)


@dataclass(frozen=True)
class _Span:
    """The columns of a strip.

    Attributes:
        first: Its first result.
        width: Its results.
        left: Its first column in the image.
        pixels: Columns of the image.
        border: Columns before them that lie beyond the image.
        bindings: Statements that give these names in C.
    """

    first: Index
    width: int
    left: Index
    pixels: Index
    border: Index
    bindings: tuple[Any, ...] = ()

    @classmethod
    def of(cls, way: Strips, first: Index, width: int) -> "_Span":
        """The strip that begins with result `first`."""
        image = way.image
        column = first * image.stride[1] - image.padding[1]
        size, end = image.size[1], image.columns_for(width)
        if isinstance(first, int):
            left = max(column, 0)
            return cls(first, width, left, min(column + end, size) - left, left - column)
        last = image.columns_for(image.result_size[1]) - image.padding[1]
        left, pixels = column, tirx.const(end, "int32")
        if image.padding[1]:
            left, pixels = tirx.max(column, 0), column + end - tirx.max(column, 0)
        if last > size:
            pixels = tirx.min(column + end, size) - left
        names = tirx.Var("left", "int32"), tirx.Var("pixels", "int32")
        bindings = tuple(
            tirx.Bind(var, value) for var, value in zip(names, (left, pixels), strict=True)
        )
        return cls(first, width, *names, names[0] - column, bindings)


def _condition(value: Any) -> Any:
    return tirx.const(value, "bool") if isinstance(value, bool) else value
