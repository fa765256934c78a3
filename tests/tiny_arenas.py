"""The layers of the four MLPerf Tiny networks as the planner sees them: sizes, leads, scratch.

The shapes are those of Banbury et al. 2021, "MLPerf Tiny Benchmark", with int8 activations. The
ways are those that kernels can offer: expand all rows under the window (fast), or some columns at
a time (little memory).
"""

from dataclasses import dataclass

from penjing.compiler.lowering.program import Lowered

from .lowered_builder import LoweredBuilder

Shape = tuple[int, int, int]  # rows, columns, channels


@dataclass(frozen=True)
class PlainWay:
    """One way to compute a layer."""

    scratch_bytes: int
    leads: tuple[int | None, ...]
    cost: float
    lead_unit: int = 1


class Network:
    """A chain of layers, with the ways to compute each."""

    def __init__(self, *shape: int) -> None:
        self.build = LoweredBuilder()
        self.ways: dict[int, list[PlainWay]] = {}
        self.value = self.build.input(*shape, dtype="int8")

    def layer(self, *shape: int, reads: list[str], ways: list[PlainWay]) -> str:
        self.ways[len(self.build.calls)] = ways
        (self.value,) = self.build.call("k", reads, shape, dtype="int8")
        return self.value

    def window(
        self,
        channels: int,
        taps: int,
        stride: int = 1,
        *,
        source: str = "",
        depthwise: bool = False,
    ) -> str:
        """A convolution with `taps` x `taps` windows, padded so that stride 1 keeps the size."""
        source = source or self.value
        shape = self.build.values[source].spec.shape
        assert len(shape) == 3
        rows, columns, wide = shape
        result = -(-rows // stride), -(-columns // stride), channels
        ways = [_in_rows(shape, result, taps, stride, planes=4 if depthwise else wide)]
        ways += [_in_strips(shape, result, taps, stride, pixels) for pixels in (2, 4, 8)]
        if depthwise and stride == 1:
            ways.append(PlainWay(taps * (columns + 2) * 4 * 2, (0,), 1.1))
        return self.layer(*result, reads=[source], ways=ways)

    def linear(self, size: int) -> str:
        """A fully connected layer: the input expanded, or not."""
        (wide,) = self.build.values[self.value].spec.shape
        ways = [PlainWay(2 * wide, (None,), 1.0), PlainWay(0, (None,), 1.2)]
        return self.layer(size, reads=[self.value], ways=ways)

    def add(self, other: str) -> str:
        shape = self.build.values[other].spec.shape
        ways = [PlainWay(0, (0, 0), 1.0)]
        return self.layer(*shape, reads=[self.value, other], ways=ways)

    def pool(self) -> str:
        channels = self.build.values[self.value].spec.shape[-1]
        ways = [PlainWay(channels * 4, (None,), 1.0)]
        return self.layer(channels, reads=[self.value], ways=ways)

    def finish(self) -> Lowered:
        return self.build.build(self.value)


def _in_rows(source: Shape, result: Shape, taps: int, stride: int, planes: int) -> PlainWay:
    """All rows under the window are expanded before a row of the result is written.

    A depthwise convolution expands a few channels of them at a time, so it reads all rows under
    the window again for the next channels.
    """
    rows, columns, channels = source
    after = taps // 2 if planes == channels else stride - 1 - taps // 2
    lead = max(
        (row + 1) * result[1] * result[2]
        - min(rows, max(0, row * stride + after + 1)) * columns * channels
        for row in range(result[0])
    )
    ring = taps * (columns + taps - 1) * planes * 2
    return PlainWay(ring, (lead,), 1.0)


def _in_strips(source: Shape, result: Shape, taps: int, stride: int, pixels: int) -> PlainWay:
    """The pixels under the windows of some outputs are expanded, then these are written."""
    _, columns, channels = source
    lead = max(
        (row * result[1] + end) * result[2]
        - _first_read(row, end, columns, taps, stride) * channels
        for row in range(result[0])
        for end in range(min(pixels, result[1]), result[1] + 1)
    )
    width = (pixels - 1) * stride + taps
    return PlainWay(taps * width * channels * 2, (lead,), 1.0 + taps / width)


def _first_read(row: int, column: int, columns: int, taps: int, stride: int) -> int:
    """The first pixel of the input that outputs from (row, column) on may read."""
    top = max(0, row * stride - taps // 2)
    return top * columns + max(0, min(columns - 1, column * stride - taps // 2))


def resnet8() -> Network:
    """Image classification, 32x32x3."""
    net = Network(32, 32, 3)
    net.window(16, 3)
    for channels, stride in ((16, 1), (32, 2), (64, 2)):
        skip = net.value
        net.window(channels, 3, stride)
        result = net.window(channels, 3)
        if stride == 2:
            net.window(channels, 1, stride, source=skip)
            net.add(result)
        else:
            net.add(skip)
    net.pool()
    net.linear(10)
    return net


def mobilenet() -> Network:
    """Visual wake words, MobileNetV1 of width 0.25, 96x96x3."""
    net = Network(96, 96, 3)
    net.window(8, 3, 2)
    plan = [
        (16, 1),
        (32, 2),
        (32, 1),
        (64, 2),
        (64, 1),
        (128, 2),
        *[(128, 1)] * 5,
        (256, 2),
        (256, 1),
    ]
    for channels, stride in plan:
        before = net.build.values[net.value].spec.shape[-1]
        net.window(before, 3, stride, depthwise=True)
        net.window(channels, 1)
    net.pool()
    net.linear(2)
    return net


def keyword_spotting() -> Network:
    """DS-CNN, 49x10x1."""
    net = Network(490)
    net.layer(25, 5, 64, reads=[net.value], ways=[PlainWay(10 * 13 * 2, (None,), 1.0)])
    for _ in range(4):
        net.window(64, 3, depthwise=True)
        net.window(64, 1)
    net.pool()
    net.linear(12)
    return net


def autoencoder() -> Network:
    """Anomaly detection, fully connected, 640."""
    net = Network(640)
    for size in (128, 128, 128, 128, 8, 128, 128, 128, 128, 640):
        net.linear(size)
    return net
