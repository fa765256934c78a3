"""Values of images at places between their elements, and boxes in images."""

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from ..call import Call
from ..registry import onnx_op

_MODES = {
    "bilinear": "bilinear",
    "linear": "bilinear",
    "nearest": "nearest",
    "bicubic": "bicubic",
    "cubic": "bicubic",
}


@onnx_op("GridSample")
def grid_sample(call: Call) -> Tensor:
    x, grid = call.tensor(0), call.tensor(1)
    given = call.attribute("mode", "linear" if call.opset >= 20 else "bilinear")
    mode, padding = _MODES.get(given), call.attribute("padding_mode", "zeros")
    if mode is None or x.dim() not in (4, 5) or (mode == "bicubic" and x.dim() == 5):
        raise call.refused(f"mode {given!r} for images of {x.dim() - 2} axes")
    aligns = bool(call.attribute("align_corners", 0))
    return functional.grid_sample(x, grid, mode, padding, aligns)


@onnx_op("RoiAlign")
def roi_align(call: Call) -> Tensor:
    """Means or maxima over samples in the bins of boxes (He et al. 2017).

    Maxima are those of the four elements around each sample times their weights, as ONNX has them.
    """
    x, boxes, batch = (call.tensor(index) for index in range(3))
    usual = "half_pixel" if call.opset >= 16 else "output_half_pixel"
    is_moved = call.attribute("coordinate_transformation_mode", usual) == "half_pixel"
    counts = call.attribute("output_height", 1), call.attribute("output_width", 1)
    samples = call.attribute("sampling_ratio", 0)
    if samples <= 0:
        raise call.refused("attribute sampling_ratio is 0: samples by the size of each box")
    corners = boxes * call.attribute("spatial_scale", 1.0) - (0.5 if is_moved else 0.0)
    (rows, row_weights), (columns, column_weights) = (
        _samples(corners[:, axis], corners[:, axis + 2], count, samples, size, is_moved)
        for axis, count, size in ((1, counts[0], x.shape[2]), (0, counts[1], x.shape[3]))
    )
    images = batch.long().reshape(-1, 1, 1)
    taken = x.permute(0, 2, 3, 1)[images, rows.unsqueeze(2), columns.unsqueeze(1)]
    weights = row_weights.unsqueeze(2) * column_weights.unsqueeze(1)
    weighted = taken * weights.unsqueeze(-1)
    sizes = counts[0], 2 * samples, counts[1], 2 * samples
    bins = weighted.reshape(len(boxes), *sizes, x.shape[1])
    if call.attribute("mode", "avg") == "max":
        result = bins.amax((2, 4))
    else:
        result = bins.sum((2, 4)) / samples**2
    return result.permute(0, 3, 1, 2)


def _samples(
    start: Tensor, end: Tensor, count: int, samples: int, size: int, is_moved: bool
) -> tuple[Tensor, Tensor]:
    """The two elements around each sample of each box along an axis, and their weights.

    Both are [boxes, count * samples * 2]; a sample more than 1 outside has weights of 0.
    """
    length = end - start if is_moved else (end - start).clamp(min=1.0)
    steps = (torch.arange(count * samples, dtype=start.dtype) + 0.5) / samples
    places = start.unsqueeze(1) + steps * (length / count).unsqueeze(1)
    is_inside = (places >= -1) & (places <= size)
    inner = places.clamp(0, size - 1)
    low = inner.floor()
    share = inner - low
    elements = torch.stack([low, (low + 1).clamp(max=size - 1)], -1)
    weights = torch.stack([1 - share, share], -1) * is_inside.unsqueeze(-1)
    return elements.long().flatten(1), weights.flatten(1)


@onnx_op("MaxRoiPool")
def max_roi_pool(call: Call) -> Tensor:
    """Maxima of bins, whole elements each, of boxes [image, x, y, x, y] (Girshick 2015)."""
    x, boxes = call.tensor(0), call.tensor(1)
    rows, columns = call.needed("pooled_shape")
    corners = _rounded(boxes[:, 1:] * call.attribute("spatial_scale", 1.0)).long()
    wide = _bins(corners[:, 0], corners[:, 2], columns, x.shape[3])
    high = _bins(corners[:, 1], corners[:, 3], rows, x.shape[2])
    images = x[boxes[:, 0].long()]  # [boxes, C, H, W]
    least = torch.full((), -float("inf"), dtype=x.dtype)
    along = torch.where(wide[:, None, None], images.unsqueeze(3), least).amax(4)
    result = torch.where(high[:, None, :, :, None], along.unsqueeze(2), least).amax(3)
    return torch.where(result == least, torch.zeros_like(result), result)


def _rounded(x: Tensor) -> Tensor:
    """To the nearest, halves away from zero, as C does."""
    return torch.sign(x) * torch.floor(x.abs() + 0.5)


def _bins(start: Tensor, end: Tensor, count: int, size: int) -> Tensor:
    """Which elements of an axis are in each bin of each box: [boxes, count, size]."""
    length = (end - start + 1).clamp(min=1).unsqueeze(1).to(torch.float32) / count
    index = torch.arange(count)
    first = (index * length).floor().long() + start.unsqueeze(1)
    last = ((index + 1) * length).ceil().long() + start.unsqueeze(1)
    places = torch.arange(size)
    return (places >= first.unsqueeze(2)) & (places < last.unsqueeze(2))


@onnx_op("NonMaxSuppression")
def non_max_suppression(call: Call) -> np.ndarray:
    """Batch, class and box of each box that is kept; how many depends on values."""
    boxes, scores = call.known(0, "its boxes"), call.known(1, "its scores")
    most = call.known_ints(2)[0] if call.has(2) else 0
    overlap = float(call.known(3).item()) if call.has(3) else 0.0
    least = float(call.known(4).item()) if call.has(4) else -np.inf
    if call.attribute("center_point_box", 0):
        half = boxes[..., 2:] / 2
        low, high = boxes[..., :2] - half, boxes[..., :2] + half
    else:
        low = np.minimum(boxes[..., :2], boxes[..., 2:])
        high = np.maximum(boxes[..., :2], boxes[..., 2:])
    chosen = [
        (batch, kind, box)
        for batch in range(scores.shape[0])
        for kind in range(scores.shape[1])
        for box in _kept(low[batch], high[batch], scores[batch, kind], most, overlap, least)
    ]
    return np.array(chosen, np.int64).reshape(-1, 3)


def _kept(
    low: np.ndarray, high: np.ndarray, scores: np.ndarray, most: int, overlap: float, least: float
) -> list[int]:
    """The boxes with the largest scores, none of which overlaps one before it too much."""
    kept: list[int] = []
    for box in np.argsort(-scores, kind="stable"):
        if len(kept) >= most or scores[box] <= least:
            break
        if all(_shared(low, high, box, other) <= overlap for other in kept):
            kept.append(int(box))
    return kept


def _shared(low: np.ndarray, high: np.ndarray, one: int, other: int) -> float:
    """The intersection of two boxes over their union."""
    sides = np.minimum(high[one], high[other]) - np.maximum(low[one], low[other])
    inside = np.prod(np.maximum(sides, 0))
    total = sum(np.prod(high[box] - low[box]) for box in (one, other)) - inside
    return float(inside / total) if inside > 0 and total > 0 else 0.0
