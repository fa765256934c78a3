"""One layer on a microcontroller: the contract between the compiler and hand-scheduled kernels.

A layer is one operator of a quantized program. `lowers_layer` registers a function that gives the
ways in which a core can compute it; what nobody registered, or gives no way for, takes the generic
path of scalar loops.

    @lowers_layer("penjing.add_int8")
    def add(node: NodeArguments, core: Microcontroller) -> list[Layer]: ...

The planner takes of every layer the fastest way that does not make the arena larger than the ways
that need least memory, so a layer may offer fast ones that need much scratch, as long as one needs
little. What that one may need, max(lead, 0) + scratch in bytes, is decided by the largest layers:

    3x3 convolution, stride 1, 32x32x16 -> 16 channels      1528   (ResNet8; no lead: scratch 1528)
    1x1 convolution, 48x48x8 -> 16 channels        18432 + 2432    (MobileNetV1: lead + scratch)
    depthwise 3x3, stride 2, 48x48x16                       2432
    1x1 and depthwise 3x3 of 24x24x32 in rows               1920   (1x1 from 16: 9216 + 1920)
    1x1 64 -> 64 channels, depthwise 3x3, both 25x5x64      1400   (DS-CNN)
    10x4 convolution, stride 2, 49x10x1 -> 64 channels      1400   (scratch only)
    linear, 640 -> 128 and 128 -> 640                        640   (autoencoder; scratch only)
    linear, 128 -> 128                                       512

A convolution that expands strips of w columns of the rows under its window before it writes w
pixels needs a lead of one row and one pixel, (W + 1) * C for the same channels: a scratch of
3 (w + 2) C int16 is enough. Without scratch the lead is a row more, or as many pixels as it keeps.
A 1x1 convolution that expands p pixels before it writes them has, for O > C, the lead
H * W * (O - C), else 0. A depthwise convolution that goes through the image once for every four
channels, and expands the whole image first, has the lead 0 and the lead unit C: only channels that
it has read lie where it writes, if the result starts a multiple of C before the input.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..microcontrollers import Microcontroller

Array = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True)
class Operand:
    """A tensor that the C function gets by a pointer; its elements are dense.

    Rank 4 is [N, H, W, C]; every other rank is as in PyTorch.
    """

    name: str  # of the parameter in the operator's schema: "x"
    shape: tuple[int, ...]
    dtype: str  # "int8", "uint8", "float32", ...


@dataclass(frozen=True)
class NodeArguments:
    """One operator with its arguments, without PyTorch.

    Attributes:
        op: "penjing.conv_int8", "aten.cat", ...: namespace and name, no overload.
        inputs: The tensors that are computed at run time, in the order of the schema. Lists of
            tensors (aten.cat) are flattened. Two may be the same value (x + x).
        output: The result.
        constants: Constant tensors by the schema's names, in PyTorch's order of axes: a
            convolution's weight is [O, I / groups, KH, KW].
        values: All other arguments by the schema's names, defaults filled in: ints, floats, bools,
            lists of them, None. Axes (`dim`) are not negative and count those of `Operand.shape`:
            of a rank-4 value, channels are 3.
        module: The path of the user's module that it comes from, "" if none.
    """

    op: str
    inputs: tuple[Operand, ...]
    output: Operand
    constants: Mapping[str, Array] = field(default_factory=dict)
    values: Mapping[str, Any] = field(default_factory=dict)
    module: str = ""


@dataclass(frozen=True)
class MicroKernel:
    """A `static inline` function that layers call, as text for NAME_kernels.h.

    The text is self-contained C99 (NAME_kernels.h includes <stdint.h> and, where they are used,
    <math.h>, <stdbool.h>, <string.h>, <arm_mve.h>): a comment, then the versions under feature
    macros, the portable one last. Helpers that several share are micro-kernels of their own: they
    come first in `Layer.micro_kernels`. Equal names have equal texts.
    """

    name: str
    text: str


@dataclass(frozen=True)
class RowStream:
    """A layer that can take its input row by row, in order.

    Its result is there after the last row; its scratch memory stays as it is between rows.

    Attributes:
        feed: The micro-kernel: void feed(x, row, constants..., y, scratch), row from 0.
        rows: Of the input.
        row_bytes: Of each.
    """

    feed: str
    rows: int
    row_bytes: int


@dataclass(frozen=True, eq=False)
class Layer:
    """One way to compute one operator.

    Attributes:
        func: A `tirx.PrimFunc` over raw pointers that returns nothing. Parameters, in this order:
            the node's inputs, the constants, the result, and the scratch memory if there is any.
            A parameter is a `Var` with a `PointerType` of an element type; its name is its name in
            C. It allocates nothing: accumulators are values, arrays lie in scratch.
        constants: Packed weights, biases, multipliers: arrays of int8, uint8, int16, int32 or
            float32, each aligned to 8 bytes in flash.
        micro_kernels: What `call_extern` in `func` calls, helpers first.
        scratch_bytes: Size of the scratch memory, which is aligned to 8 bytes; 0 = none.
        leads: For each input, the bytes by which the result must start before it to share its
            memory: with address of result <= address of input - lead, no byte is written before it
            was read for the last time. It may be negative. None: the two must not overlap; so for
            all inputs where `leads` is empty.
        lead_unit: Memory is shared only at distances that are a lead plus a multiple of this.
        cost: Estimated executed instructions.
        variant: What distinguishes it, for reports: "3 pixels x 2 channels".
        stream: How it takes its input row by row, if it can.
    """

    func: Any
    constants: tuple[Array, ...] = ()
    micro_kernels: tuple[MicroKernel, ...] = ()
    scratch_bytes: int = 0
    leads: tuple[int | None, ...] = ()
    lead_unit: int = 1
    cost: float = 0.0
    variant: str = ""
    stream: RowStream | None = None

    def __post_init__(self) -> None:
        if self.scratch_bytes < 0 or self.scratch_bytes % 8:
            raise ValueError(f"scratch must be a multiple of 8 bytes, got {self.scratch_bytes}")


Rule = Callable[[NodeArguments, Microcontroller], list[Layer]]
_RULES: dict[str, list[Rule]] = {}


def lowers_layer(*ops: str) -> Callable[[Rule], Rule]:
    """Register what gives variants of layers with these operators.

    Several functions may know one operator, each some of its cases (dense and depthwise
    convolutions). An empty list means not this one: if no function knows a way, the generic path
    takes the layer.
    """

    def add(rule: Rule) -> Rule:
        for op in ops:
            _RULES.setdefault(op, []).append(rule)
        return rule

    return add


def variants(node: NodeArguments, core: Microcontroller) -> list[Layer]:
    """The ways in which a core computes an operator; none means the generic path.

    The first is the fastest.

    Raises:
        ValueError: A layer does not have the parameters that the contract asks for.
    """
    found = [layer for rule in _RULES.get(node.op, ()) for layer in rule(node, core)]
    for layer in found:
        _check(node, layer)
    return sorted(found, key=lambda layer: layer.cost)


def _check(node: NodeArguments, layer: Layer) -> None:
    wanted = len(node.inputs) + len(layer.constants) + 1 + bool(layer.scratch_bytes)
    if len(layer.func.params) != wanted:
        raise ValueError(
            f"a layer of {node.op} has {len(layer.func.params)} parameters instead of {wanted}"
        )
    if layer.leads and len(layer.leads) != len(node.inputs):
        raise ValueError(f"a layer of {node.op} needs one lead for each of its inputs")
