"""Dense layers as functions."""

from dataclasses import dataclass
from typing import Any

from tvm import tirx

from .dense_portable import RESULT, WORD
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
    kernels += [sums_kernel(shape) for shape in ordered]
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
        way, below = self.way, self.way.image.result_size[0]
        if way.slides:
            return [
                loop("strip", count, lambda strip, f=first, n=width: self._slide(f + strip * n, n))
                for first, width, count in way.strips()
            ]

        def row(y: Index) -> Any:
            return block(
                [
                    loop(
                        "strip",
                        count,
                        lambda strip, f=first, n=width: self._strip(y, f + strip * n, n),
                    )
                    for first, width, count in way.strips()
                ]
            )

        return [loop("row", below, row)]

    def _slide(self, first: Index, width: int) -> Any:
        """All rows of a strip."""
        way, image = self.way, self.way.image
        above = min(image.padding[0], way.kept)
        start = [self._fill(0, image.reach[0])] * way.has_border
        if way.kept > above:
            take = lambda j: self._widen(j + (above - image.padding[0]), j + above, first, width)  # noqa: E731
            start.append(loop("j", min(way.kept - above, image.size[0]), take))
        down = loop("row", image.result_size[0], lambda y: self._slide_row(y, first, width))
        return block([*start, down])

    def _slide_row(self, y: Index, first: Index, width: int) -> Any:
        way, image = self.way, self.way.image
        new = loop(
            "j",
            image.reach[0] - way.kept,
            lambda j: self._widen_or_fill(y * image.stride[0] + j, way.kept, j, first, width),
        )
        after = []
        if way.kept:
            end = self.rows.at(image.stride[0] * way.row)
            after = [call("move_pairs", self.rows.at(), end, way.kept * way.row // 2)]
        return block([new, *self._sums(y, first, width), *after])

    def _strip(self, y: Index, first: Index, width: int) -> Any:
        """One strip on its own."""
        way, image = self.way, self.way.image
        start = [self._fill(0, image.reach[0])] * way.has_border

        def tap(j: Index) -> Any:
            row = y * image.stride[0] + j * image.dilation[0] - image.padding[0]
            return self._inside(row, self._widen(row, j * image.dilation[0], first, width), None)

        return block([*start, loop("j", image.kernel[0], tap), *self._sums(y, first, width)])

    def _widen_or_fill(self, row: Index, kept: int, j: Index, first: Index, width: int) -> Any:
        """Row `row` + kept of the image with its border, into row kept + j of the window."""
        inside = row + (kept - self.way.image.padding[0])
        return self._inside(
            inside, self._widen(inside, j + kept, first, width), self._fill(j + kept, 1)
        )

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

    def _widen(self, row: Index, to: Index, first: Index, width: int) -> Any:
        """The pixels of an image's row under a strip, into a row of the window."""
        way, image, how = self.way, self.way.image, self.way.image.widening
        column = first * image.stride[1] - image.padding[1]
        end = column + image.columns_for(width)
        is_fixed = isinstance(first, int)
        # of a strip among several only the outer ones reach beyond the image
        begin = max(column, 0) if is_fixed else column
        stop = min(end, image.size[1]) if is_fixed else end
        if not is_fixed and image.padding[1]:
            begin = tirx.max(column, 0)
        if not is_fixed and self._may_pass_the_end():
            stop = tirx.min(end, image.size[1])
        source = self.x.at((row * image.size[1] + begin) * image.channels)
        target = self.rows.at(to * way.row + (begin - column) * how.elements)
        count = image.columns_for(width) if begin is column and stop is end else stop - begin
        return call(how.kernel.name, source, target, count * how.counts)

    def _may_pass_the_end(self) -> bool:
        image = self.way.image
        return image.columns_for(image.result_size[1]) - image.padding[1] > image.size[1]

    def _fill(self, row: Index, count: int) -> Any:
        """Rows of the window that hold the zero point."""
        pairs, at = count * self.way.row // 2, self.rows.at(row * self.way.row)
        return call("fill_pairs", at, pairs, self.way.image.input_zero_point)

    def _sums(self, y: Index, first: Index, width: int) -> list[Any]:
        statements, done = [], 0
        for pixels, count in self.way.blocks(width):
            start = done

            def one(i: Index, pixels: int = pixels, start: int = start) -> Any:
                return self._block(y, first, i * pixels + start, pixels)

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


def _condition(value: Any) -> Any:
    return tirx.const(value, "bool") if isinstance(value, bool) else value
