"""Single nodes of many versions of the standard against onnxruntime."""

from functools import partial
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto

from .single_node import check as check_any
from .single_node import number, reals

X, IMAGE = reals(2, 3, 4), reals(1, 2, 5, 7)
check = partial(check_any, domain="")


def ints(*values: int, dtype: Any = np.int64) -> np.ndarray:
    """A list of integers as an input."""
    return np.array(values, dtype)


@pytest.mark.parametrize("version", range(7, 13))
def test_attributes_that_became_inputs(version: int) -> None:
    if version < 10:
        check("Slice", [X], version=version, starts=[0, -2], ends=[2, 100], axes=[1, 2])
        check("TopK", [X], version=version, outputs=2, k=2)
    else:
        bounds = [ints(0, -2), ints(2, 100), ints(1, 2)]
        check("Slice", [X, *bounds], version=version)
        check("TopK", [X, ints(2)], version=version, outputs=2)
    if version < 11:
        check("Clip", [X], version=version, min=-0.5, max=0.5)
        check("Pad", [X], version=version, pads=[0, 0, 1, 0, 0, 2], value=2.0)
    else:
        check("Clip", [X, number(-0.5)], version=version)
        check("Pad", [X, ints(0, 0, 1, 0, 0, 2)], version=version)
    check("ReduceSum", [X], version=version, axes=[0, 2])
    check("Squeeze", [X[:1]], version=version, axes=[0])
    check("Unsqueeze", [X], version=version, axes=[0, 4])
    check("Split", [X], version=version, outputs=2, axis=2, split=[1, 3])


@pytest.mark.parametrize("version", [13, 18, 21])
def test_axes_that_are_inputs(version: int) -> None:
    check("ReduceSum", [X, ints(0, -1)], version=version, keepdims=0)
    check("Squeeze", [X[:1], ints()], version=version)
    check("Unsqueeze", [X, ints(-1, 0)], version=version)
    check("Split", [X, ints(1, 0, 3)], version=version, outputs=3, axis=2)
    if version >= 18:
        check("ReduceMax", [X, ints(1)], version=version)
        check("ReduceMean", [X, ints()], version=version, noop_with_empty_axes=1)
        check("Pad", [X, ints(1, 2), None, ints(1)], version=version, mode="edge")
        check("Split", [X], version=version, outputs=3, axis=2, num_outputs=3)


@pytest.mark.parametrize("mode", ["nearest", "linear"])
def test_upsample(mode: str) -> None:
    check("Upsample", [IMAGE], version=7, mode=mode, scales=[1.0, 1.0, 2.0, 3.0])
    check("Upsample", [IMAGE, np.array([1, 1, 2, 1.5], np.float32)], version=9, mode=mode)


def test_integers() -> None:
    signed = ints(-7, 7, 5, dtype=np.int8), ints(3, -3, 2, dtype=np.int8)
    check("Mod", signed)
    check("Mod", signed, fmod=1)
    check("Pow", [ints(2, 3, -2, dtype=np.int32), ints(3, 2, 1, dtype=np.int32)])
    check("Pow", [ints(2, 3, 9, dtype=np.int32), np.array([3.0, 0.5, 2.0], np.float32)])
    check("ReduceMean", [(X * 9).astype(np.int32)], version=13, axes=[1])
    check("ReduceL2", [(X * 9).astype(np.int32)], version=13, axes=[1])
    check("BitShift", [ints(1, 200, dtype=np.uint8), ints(9, 1, dtype=np.uint8)], direction="LEFT")


def test_places_from_the_end() -> None:
    check("Gather", [X, ints(-1, 0, dtype=np.int32)], axis=2)
    check("GatherND", [X, np.array([[0, 1], [1, -1]])])
    check("GatherND", [X, np.array([[1], [-1]])], batch_dims=1)
    updates = reals(1, 2), reals(2, 4)
    check("ScatterElements", [X[0], np.array([[-1, 0]]), updates[0]], axis=1)
    for reduction in ("none", "add", "mul", "max", "min"):
        rows = [X[0], ints(-1, 0).reshape(2, 1), updates[1]]
        check("ScatterND", rows, version=18, reduction=reduction)
    check("OneHot", [ints(-1, 5, 2), number(3, np.int64), np.array([0, 1], np.float32)])


def test_equal_elements() -> None:
    equal = np.array([[1, 3, 3, 2, 3]], np.float32)
    check("ArgMax", [equal], axis=1, select_last_index=1)
    check("ArgMin", [-equal], axis=1, keepdims=0)
    check("TopK", [equal, ints(2)], outputs=2)
    check("TopK", [equal.astype(np.int64), ints(4)], outputs=2, largest=0)


def test_moves() -> None:
    check("Pad", [X, ints(0, 0, 1, 0, -1, 1)], mode="reflect")
    check("Pad", [X, ints(0, 0, -1, 0, 0, 2)], mode="edge")
    check("Slice", [X, ints(-1), ints(-100), ints(2), ints(-2)])
    check("ReverseSequence", [X, ints(2, 1, 2)], batch_axis=1, time_axis=0)
    check("CumSum", [X, number(-1, np.int64)], exclusive=1, reverse=1)
    check("CenterCropPad", [X, ints(5, 2)], version=18, axes=[1, 2])
    check("EyeLike", [X[0]], k=-1, dtype=TensorProto.INT64)
    check("DepthToSpace", [reals(1, 8, 2, 3)], blocksize=2, mode="CRD")


def test_resized_integers_and_parts() -> None:
    whole, scales = (IMAGE * 50).astype(np.int32), np.array([1, 1, 2, 2], np.float32)
    check("Resize", [whole, None, scales], mode="linear")
    check("Resize", [whole.astype(np.uint8), None, scales], mode="nearest")
    part = np.array([0, 0, 0.2, 0.1, 1, 1, 0.9, 1.2], np.float32)
    way: dict[str, Any] = {
        "coordinate_transformation_mode": "tf_crop_and_resize",
        "extrapolation_value": 3.0,
    }
    check("Resize", [IMAGE, part, None, ints(1, 2, 4, 6)], mode="linear", **way)
