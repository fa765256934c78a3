"""Depthwise convolutions on cores with vectors, a channel at a time: four neighboring results.

A channel of the image becomes a plane of bytes with its border. VMLA multiplies four neighbors,
widened as they are loaded, by one tap. When results are written, all of their channel has been
read: the result may take the place of the input.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from ..microcontrollers import Microcontroller
from .assembly import assembly_kernel
from .dense_image import DenseImage
from .instructions import Code, Repeat, add, executed
from .layer import Array, Layer, MicroKernel, NodeArguments, lowers_layer
from .mve_text import FILL_BYTES, HAS_VECTORS, WORDS
from .products import MULTIPLY_HIGH
from .requantizing import REQUANTIZE_SHIFTED
from .statements import Index, Pointer, block, call, function, loop

_PIXELS = 8  # that are copied at once
_MOST_TAPS = 9  # that registers hold
_NEAR = 127  # the largest offset of a load of bytes
_END = ["add sp, sp, #8", "vpop {d8-d15}", "pop {r4-r11, lr}"]
_FARTHEST = 2**16 // 8  # bytes between pixels: offsets of eight of them have 16 bits


@lowers_layer("penjing.conv_int8")
def depthwise(node: NodeArguments, core: Microcontroller) -> list[Layer]:
    """One result for each channel, strides alike."""
    if not core.has_mve or "weight" not in node.constants:
        return []
    image = DenseImage.of_convolution(node)
    if image is None or image.channels != image.groups or image.results != image.channels:
        return []
    taps = image.kernel[0] * image.kernel[1]
    if image.stride not in ((1, 1), (2, 2)) or image.dilation != (1, 1) or taps > _MOST_TAPS:
        return []
    if image.channels > _FARTHEST or image.groups == 1:
        return []
    return [_Planes(image, node.values["shift"]).layer(node)]


@dataclass(frozen=True)
class _Planes:
    """A layer that computes one channel after the other."""

    image: DenseImage
    shift: int

    @property
    def rows(self) -> int:
        """Of the plane."""
        image = self.image
        return (image.result_size[0] - 1) * image.stride[0] + image.kernel[0]

    @property
    def pitch(self) -> int:
        """Bytes from a row of the plane to the next, the last block of results included."""
        image = self.image
        results = -(-image.result_size[1] // WORDS) * WORDS
        read = (results - 1) * image.stride[1] + image.kernel[1]
        return max(read, image.padding[1] + image.size[1])

    @property
    def taken(self) -> int:
        """Rows of the image that windows reach."""
        return min(self.image.size[0], self.rows - self.image.padding[0])

    @property
    def cost(self) -> float:
        """Instructions, about."""
        image = self.image
        sums = executed(self._start()) + image.result_size[0] * executed(self._row()) + len(_END)
        return image.channels * (sums + executed(self._copy()) + 18)

    def layer(self, node: NodeArguments) -> Layer:
        """The layer as a function."""
        image, take, sums = self.image, self._plane_kernel(), self._sums_kernel()
        x, w = Pointer("x", "int8"), Pointer("w", "int32")
        y, plane = Pointer("y", "int8"), Pointer("plane", "int8")
        size = self.rows * self.pitch
        inside = image.padding[0] * self.pitch + image.padding[1]
        words = image.kernel[0] * image.kernel[1] + 2

        def channel(index: Index) -> Any:
            copy = call(take.name, x.at(index), plane.at(inside))
            return block([copy, call(sums.name, plane.at(), w.at(index * words), y.at(index))])

        fill = call(FILL_BYTES.name, plane.at(), image.input_zero_point, size)
        return Layer(
            function([x, w, y, plane], [fill, loop("channel", image.channels, channel)]),
            (self._records(node),),
            (FILL_BYTES, MULTIPLY_HIGH, REQUANTIZE_SHIFTED, take, sums),
            scratch_bytes=-(-size // 8) * 8,
            leads=(0,),
            lead_unit=image.channels,
            cost=self.cost,
            variant="vectors of four results",
        )

    def _records(self, node: NodeArguments) -> Array:
        """For each channel bias, multiplier and taps."""
        weight = node.constants["weight"].reshape(self.image.results, -1)
        head = [node.constants[name].astype(np.int32)[:, None] for name in ("bias", "multiplier")]
        return np.concatenate([*head, weight.astype(np.int32)], axis=1)

    def _plane_kernel(self) -> MicroKernel:
        """void name(x, plane): a channel of the image into the inside of the plane."""
        image = self.image
        columns, pixel = image.size[1], image.channels
        name = f"plane_{self.taken}_{columns}_{pixel}_{self.pitch}"
        return assembly_kernel(
            name,
            f"One of {pixel} channels, in rows.",
            ("const int8_t *x", "int8_t *plane"),
            self._copy(),
            f"""
            for (int32_t row = 0; row < {self.taken}; ++row, plane += {self.pitch})
                for (int32_t i = 0; i < {columns}; ++i, x += {pixel})
                    plane[i] = *x;
            """,
            condition=HAS_VECTORS,
            clobbers=("q0", "q1"),
        )

    def _copy(self) -> Code:
        """Registers: r0 the image, r1 the plane, r2 rows to go; q0 offsets of eight pixels."""
        columns, pixel = self.image.size[1], self.image.channels
        blocks = -(-columns // _PIXELS)
        lines: list[Any] = ["push {lr}", "mov r12, #0", "vidup.u16 q0, r12, #1"]
        lines += [f"movw r12, #{pixel}", "vmul.i16 q0, q0, r12", f"movw r2, #{self.taken}"]
        turn = ["vldrb.s16 q1, [r0, q0]", *add("r0", "r0", _PIXELS * pixel, "r12")]
        turn += [f"vstrb.16 q1, [r1], #{_PIXELS}", "letp lr, 2b"]
        row: list[Any] = [f"movw r3, #{columns}", "dlstp.16 lr, r3"]
        row.append(Repeat(2, blocks, tuple(turn)))
        row += add("r0", "r0", (columns - _PIXELS * blocks) * pixel, "r12")
        row += add("r1", "r1", self.pitch - _PIXELS * blocks, "r12")
        lines.append(Repeat(1, self.taken, (*row, "subs r2, #1", "bne 1b")))
        return [*lines, "pop {lr}"]

    def _sums_kernel(self) -> MicroKernel:
        """void name(plane, record, y): all results of a channel."""
        image = self.image
        down, right = image.kernel
        rows, columns = image.result_size
        zero_point, low, high = image.zero_point, image.low, image.high
        sizes = (down, right, rows, columns, image.stride[0], self.pitch, image.channels)
        scaling = (self.shift, zero_point, low, high)
        name = f"sum_plane_{'_'.join(map(str, sizes + scaling))}".replace("-", "m")
        portable = f"""
            for (int32_t i = 0; i < {rows}; ++i, plane += {image.stride[0] * self.pitch}) {{
                for (int32_t j = 0; j < {columns}; ++j, y += {image.channels}) {{
                    int32_t sum = record[0];
                    for (int32_t tap = 0; tap < {down * right}; ++tap) {{
                        const int8_t *row = plane + tap / {right} * {self.pitch};
                        sum += row[j * {image.stride[1]} + tap % {right}] * record[2 + tap];
                    }}
                    *y = requantize_shifted(sum, record[1], {self.shift}, {zero_point},
                                            {low}, {high});
                }}
            }}
        """
        return assembly_kernel(
            name,
            f"A channel of a depthwise {down}x{right} convolution.",
            ("const int8_t *plane", "const int32_t *record", "int8_t *y"),
            [*self._start(), "1:", *self._row(), *_END],
            portable,
            condition=HAS_VECTORS,
            clobbers=("q0", "q1", "q2", "q3"),
        )

    def _start(self) -> list[str]:
        """Registers: r0 the window, r1 is free, r2 the results, r3 the multiplier, r4 to r12 taps.

        Vectors: q0 sums, q1 four neighbors, q2 offsets of neighbors (or four others), q3 bias, q4
        offsets of results, q5 zero point, q6 the greatest result, q7 the least; rows to go are on
        the stack.
        """
        image = self.image
        lines = ["push {r4-r11, lr}", "vpush {d8-d15}", "sub sp, sp, #8"]
        lines += [f"movw r12, #{image.result_size[0]}", "str r12, [sp]"]
        lines += ["mov r12, #0", "vidup.u32 q4, r12, #1"]
        lines += [f"movw r12, #{image.channels}", "vmul.i32 q4, q4, r12"]
        if image.stride[1] == 2:
            lines += ["mov r12, #0", "vidup.u32 q2, r12, #2"]
        for register, value in (("q5", image.zero_point), ("q6", image.high), ("q7", image.low)):
            lines += [f"mov r12, #{value}", f"vdup.32 {register}, r12"]
        lines += ["ldrd r12, r3, [r1], #8", "vdup.32 q3, r12"]
        taps = image.kernel[0] * image.kernel[1]
        return [*lines, f"ldm r1, {{r4-r{3 + taps}}}" if taps > 1 else "ldr r4, [r1]"]

    def _row(self) -> Code:
        """A loop over four results at a time; its last turn computes those that are left."""
        image = self.image
        columns, stride = image.result_size[1], image.stride[1]
        blocks = -(-columns // WORDS)
        turn = ["vmov q0, q3", *self._products()]
        if self.shift > 0:
            turn.append(f"vqshl.s32 q0, q0, #{self.shift}")
        elif self.shift < 0:
            turn.append(f"vshr.s32 q0, q0, #{-self.shift}")
        turn += ["vqrdmulh.s32 q0, q0, r3", "vqadd.s32 q0, q0, q5", "vmin.s32 q0, q0, q6"]
        turn += ["vmax.s32 q0, q0, q7", "vstrb.32 q0, [r2, q4]"]
        turn += [f"add r0, r0, #{WORDS * stride}"]
        turn += [*add("r2", "r2", WORDS * image.channels, "r1"), "letp lr, 2b"]
        lines: list[Any] = [f"movw r1, #{columns}", "dlstp.32 lr, r1"]
        lines.append(Repeat(2, blocks, tuple(turn)))
        lines += add("r0", "r0", image.stride[0] * self.pitch - WORDS * stride * blocks, "r1")
        lines += add("r2", "r2", (columns - WORDS * blocks) * image.channels, "r1")
        return [*lines, "ldr r1, [sp]", "subs r1, #1", "str r1, [sp]", "bne 1b"]

    def _products(self) -> list[str]:
        """All taps; r1 points to what is too far from the window for a load."""
        (down, right), strided = self.image.kernel, self.image.stride[1] > 1
        lines: list[str] = []
        for tap in range(down * right):
            at = tap // right * self.pitch + tap % right
            into = "q1" if strided or tap % 2 else "q2"
            if strided:
                lines += [*add("r1", "r0", at, "r1"), f"vldrb.s32 {into}, [r1, q2]"]
            elif at <= _NEAR:
                lines.append(f"vldrb.s32 {into}, [r0, #{at}]")
            else:
                if tap % right == 0 or at - tap % right <= _NEAR:
                    lines += add("r1", "r0", at, "r1")
                    base = at
                lines.append(f"vldrb.s32 {into}, [r1, #{at - base}]")
            lines.append(f"vmla.s32 q0, {into}, r{4 + tap}")
        return lines
