"""Padding with a value, mirrored, repeated or wrapped edges; negative pads crop."""

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from ..arrays import as_tensor
from ..call import Call
from ..registry import onnx_op
from .axes import wrap_axes

_MODES = {"constant": "constant", "reflect": "reflect", "edge": "replicate", "wrap": "circular"}


@onnx_op("Pad")
def pad(call: Call) -> Tensor:
    """`pads` holds what is put in front of each axis, then what is put behind each."""
    x, mode = call.tensor(0), call.attribute("mode", "constant")
    if mode not in _MODES:
        raise call.refused(f"mode {mode!r}")
    if call.opset < 11:
        pads, axes = list(call.needed("pads")), None
    else:
        pads = call.known_ints(1, "the padding")
        axes = call.known_ints(3, "the list of axes") if call.has(3) else None
    axes = wrap_axes(call, range(x.dim()) if axes is None else axes, x.dim())
    if len(pads) != 2 * len(axes):
        raise call.refused(f"pads {pads} for {len(axes)} axes")
    around = np.zeros((x.dim(), 2), int)
    around[axes] = np.array(pads).reshape(2, -1).T
    call.bounded(int(np.abs(around).max(initial=0)))
    if mode == "constant":
        return _pad_constant(call, x, around)
    crop = np.minimum(around, 0)
    return _pad_edges(call, _pad(x, crop) if crop.any() else x, around - crop, mode)


def _pad_constant(call: Call, x: Tensor, around: np.ndarray) -> Tensor:
    if call.opset < 11:
        return _pad(x, around, call.attribute("value", 0.0))
    if not call.has(2):
        return _pad(x, around)
    if call.is_known(2):
        return _pad(x, around, call.known(2).reshape(()).item())
    inside = _pad(torch.ones(x.shape, dtype=torch.bool), around)
    return torch.where(inside, _pad(x, around), call.tensor(2).reshape(()))


def _pad(x: Tensor, around: np.ndarray, value: float = 0) -> Tensor:
    return functional.pad(x, _flat(around), value=value)


def _pad_edges(call: Call, x: Tensor, around: np.ndarray, mode: str) -> Tensor:
    """PyTorch's own padding of the last axes, or else each axis picks where it reads."""
    axes = [axis for axis in range(x.dim()) if around[axis].any()]
    if not axes:
        return x
    if any(x.shape[axis] == 0 for axis in axes):
        raise call.refused(f"mode {mode!r} for an empty tensor of shape {tuple(x.shape)}")
    is_image = 3 <= x.dim() <= 5 and min(axes) >= 2 and x.is_floating_point()
    is_near = all(around[axis].max() <= x.shape[axis] - (mode == "reflect") for axis in axes)
    if is_image and (mode == "edge" or is_near):
        return functional.pad(x, _flat(around[2:]), mode=_MODES[mode])
    for axis in axes:
        places = np.pad(np.arange(x.shape[axis]), around[axis], mode=mode)  # type: ignore[call-overload]
        x = torch.index_select(x, axis, as_tensor(places))
    return x


def _flat(around: np.ndarray) -> list[int]:
    """As PyTorch wants them: the last axis first."""
    return [int(size) for size in around[::-1].reshape(-1)]
