"""Operators of operator set 6 as those of set 7, which only differ in how operands broadcast."""

from dataclasses import replace
from typing import TYPE_CHECKING

from torch import Tensor

from .call import Call
from .registry import Translation

if TYPE_CHECKING:
    from .calculate import Calculator

_BROADCASTING = ["Add", "And", "Div", "Equal", "Greater", "Less", "Mul", "Or", "Pow", "Sub", "Xor"]


def in_opset_7(calculator: "Calculator", call: Call) -> Call:
    """The call with its second operand shaped such that broadcasting from the right suits it.

    Set 6 aligns the second operand with the axes of the first that begin at `axis`, and the slope
    of PRelu with axis 1.

    Raises:
        CompileError: There is no such axis.
    """
    if call.opset >= 7 or call.domain or call.op_type not in (*_BROADCASTING, "PRelu"):
        return call
    axis = 1 if call.op_type == "PRelu" else call.attribute("axis", -1)
    attributes = {k: v for k, v in call.attributes.items() if k not in ("axis", "broadcast")}
    first, second = call.tensor(0), call.value(1)
    behind = first.dim() - axis - call.tensor(1).dim()
    if call.tensor(1).numel() == 1 or (axis == -1 and call.op_type != "PRelu") or behind == 0:
        return replace(call, attributes=attributes)
    if not 0 <= axis < first.dim() or behind < 0:
        raise call.refused(f"axis {axis} of {list(first.shape)} for {list(call.tensor(1).shape)}")
    aligned = calculator.apply_one(_with_axes_behind(behind), call, [second], second.name)
    return replace(call, inputs=[call.value(0), aligned, *call.inputs[2:]], attributes=attributes)


def _with_axes_behind(count: int) -> Translation:
    def reshape(call: Call) -> Tensor:
        x = call.tensor(0)
        return x.reshape(*x.shape, *[1] * count)

    return reshape
