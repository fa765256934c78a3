"""Max pooling of int8 images: four channels at a time, with SSUB8 and SEL."""

from math import prod
from typing import Any

from tvm import tirx

from ..microcontrollers import Microcontroller
from .assembly import assembly_kernel
from .dense_image import DenseImage
from .instructions import add
from .layer import Layer, MicroKernel, NodeArguments, lowers_layer
from .mve_dense import lead_of_pixels
from .statements import Index, Pointer, call, function, loop

_CHANNELS = 4  # in a word


@lowers_layer("aten.max_pool2d")
def max_pool(node: NodeArguments, core: Microcontroller) -> list[Layer]:
    """Windows without dilation; what of them is beyond the image does not count."""
    (x,), y, values = node.inputs, node.output, node.values
    if len(x.shape) != 4 or x.shape[0] != 1 or x.dtype != "int8" or x.shape[3] % _CHANNELS:
        return []
    kernel = _both(values["kernel_size"])
    stride = _both(values["stride"] or values["kernel_size"])
    if set(_both(values["dilation"])) != {1}:
        return []
    image = DenseImage(
        size=(x.shape[1], x.shape[2]),
        channels=x.shape[3],
        result_size=(y.shape[1], y.shape[2]),
        results=y.shape[3],
        kernel=kernel,
        stride=stride,
        padding=_both(values["padding"]),
    )
    cost = prod(y.shape) / _CHANNELS * (5 * prod(kernel) + 4 * kernel[0] + 8)
    source, result = Pointer("x", "int8"), Pointer("y", "int8")
    windows = _Windows(image, source, result)
    return [
        Layer(
            function([source, result], [windows.statement()]),
            (),
            (_kernel(image),),
            leads=(lead_of_pixels(image, reads_before_writing=False),),
            cost=cost if core.has_dsp else 3 * cost,
            variant=f"{_CHANNELS} channels at a time",
        )
    ]


def _both(sizes: Any) -> tuple[int, int]:
    """Sizes along two axes, of one number or a list."""
    listed = [sizes] if isinstance(sizes, int) else sizes
    return listed[0], listed[-1]


class _Windows:
    """The loops of a layer: a call for each window, of its part in the image."""

    def __init__(self, image: DenseImage, x: Pointer, y: Pointer) -> None:
        self._image, self._x, self._y = image, x, y

    def statement(self) -> Any:
        """All windows."""
        rows, columns = self._image.result_size
        return loop("row", rows, lambda r: loop("column", columns, lambda c: self._window(r, c)))

    def _window(self, row: Index, column: Index) -> Any:
        image = self._image
        top, down = self._part(row, 0)
        left, right = self._part(column, 1)
        x = self._x.at((top * image.size[1] + left) * image.channels)
        y = self._y.at((row * image.result_size[1] + column) * image.channels)
        return call(_name(image), x, y, down, right)

    def _part(self, index: Index, axis: int) -> tuple[Index, Index]:
        """Where a window begins in the image, and how far it reaches."""
        image = self._image
        kernel, size, padding = image.kernel[axis], image.size[axis], image.padding[axis]
        first = index * image.stride[axis] - padding
        past = (image.result_size[axis] - 1) * image.stride[axis] - padding + kernel
        if isinstance(index, int):
            begin = max(first, 0)
            return begin, min(first + kernel, size) - begin
        begin = tirx.max(first, 0) if padding else first
        end = tirx.min(first + kernel, size) if past > size else first + kernel
        return begin, end - begin if padding or past > size else kernel


def _name(image: DenseImage) -> str:
    return f"maximum_of_{image.channels}_in_{image.size[1]}"


def _kernel(image: DenseImage) -> MicroKernel:
    """void name(x, y, rows, columns): all channels of a window of that many pixels."""
    channels, row_bytes = image.channels, image.size[1] * image.channels
    # r4 channels to go, r5 the row, r6 the maxima, r7 rows, r8 columns, r9 the pixel, r10 and r11
    code = ["push {r4-r11}", f"movw r4, #{channels // _CHANNELS}"]
    code += ["1:", "mov r5, r0", "ldr r6, [r0], #4", "mov r7, r2"]
    code += ["2:", "mov r9, r5", "mov r8, r3"]
    code += ["3:", "ldr r10, [r9]", *add("r9", "r9", channels, "r11"), "ssub8 r11, r10, r6"]
    code += ["sel r6, r10, r6", "subs r8, #1", "bne 3b"]
    code += [*add("r5", "r5", row_bytes, "r11"), "subs r7, #1", "bne 2b"]
    code += ["str r6, [r1], #4", "subs r4, #1", "bne 1b", "pop {r4-r11}"]
    body = f"""
        for (int32_t channel = 0; channel < {channels}; ++channel) {{
            int8_t most = x[channel];
            for (int32_t i = 0; i < rows * columns; ++i) {{
                const int8_t *pixel = x + i / columns * {row_bytes} + i % columns * {channels};
                most = pixel[channel] > most ? pixel[channel] : most;
            }}
            y[channel] = most;
        }}
    """
    parameters = ("const int8_t *x", "int8_t *y", "int32_t rows", "int32_t columns")
    return assembly_kernel(_name(image), "The maxima of a window.", parameters, code, body)
