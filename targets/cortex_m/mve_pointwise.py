"""Sums and rescaled values of int8 tensors on cores with vectors: four elements at a time."""

import math

import numpy as np

from ..microcontrollers import Microcontroller
from .layer import Layer, MicroKernel, NodeArguments, lowers_layer
from .mve_text import vector_kernel
from .statements import Pointer, call, function


@lowers_layer("penjing.add_int8")
def add(node: NodeArguments, core: Microcontroller) -> list[Layer]:
    """Operands of one shape, both computed at run time."""
    if not core.has_mve or len(node.inputs) != 2:
        return []
    x, y = node.inputs
    if x.shape != y.shape or (x.dtype, y.dtype) != ("int8", "int8"):
        return []
    return [_layer(node, ("x_multiplier", "y_multiplier"))]


@lowers_layer("penjing.rescale_int8")
def rescale(node: NodeArguments, core: Microcontroller) -> list[Layer]:
    """One operand."""
    return [_layer(node, ("multiplier",))] if core.has_mve and len(node.inputs) == 1 else []


def _layer(node: NodeArguments, factors: tuple[str, ...]) -> Layer:
    names = ("x", "other")[: len(factors)]
    count = math.prod(node.output.shape)
    kernel = _kernel(node, names, count)
    operands = [Pointer(name, "int8") for name in names]
    constants, y = Pointer("constants", "int32"), Pointer("y", "int8")
    given = [pointer.at() for pointer in (*operands, constants, y)]
    words = [node.values["offset"], *(node.values[factor] for factor in factors)]
    return Layer(
        function([*operands, constants, y], [call(kernel.name, *given)]),
        (np.array(words, np.int32),),
        (kernel,),
        leads=(0,) * len(operands),
        cost=3.5 * count + 20,
        variant="vectors of four elements",
    )


def _kernel(node: NodeArguments, names: tuple[str, ...], count: int) -> MicroKernel:
    """void name(x, [other,] constants, y)."""
    low, high, shift = (node.values[name] for name in ("low", "high", "shift"))
    name = f"{'add' if len(names) == 2 else 'rescale'}_vectors_{count}_{shift}_{low}_{high}"
    name = name.replace("-", "m")
    pointers = "".join(f"const int8_t *{operand}, " for operand in names)
    products = [f"{operand}[i] * constants[{i + 1}]" for i, operand in enumerate(names)]
    sums = [
        f"    sum = vmlaq_n_s32(sum, vldrbq_z_s32({operand} + i, inside), constants[{i + 1}]);"
        for i, operand in enumerate(names)
    ]
    vectors = [
        f"for (int32_t i = 0; i < {count}; i += 4) {{",
        f"    const mve_pred16_t inside = vctp32q((uint32_t)({count} - i));",
        "    int32x4_t sum = vdupq_n_s32(constants[0]);",
        *sums,
        f"    sum = vminq_s32(vshrq_n_s32(sum, {shift}), vdupq_n_s32({high}));",
        f"    vstrbq_p_s32(y + i, vmaxq_s32(sum, vdupq_n_s32({low})), inside);",
        "}",
    ]
    portable = [
        f"for (int32_t i = 0; i < {count}; ++i) {{",
        f"    int32_t value = ({' + '.join(products)} + constants[0]) >> {shift};",
        f"    value = value < {low} ? {low} : value;",
        f"    y[i] = (int8_t)(value > {high} ? {high} : value);",
        "}",
    ]
    return vector_kernel(
        name,
        f"{count} elements.",
        f"void {name}({pointers}const int32_t *constants, int8_t *y)",
        vectors="\n".join(vectors),
        portable="\n".join(portable),
    )
