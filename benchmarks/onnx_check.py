"""Compiles a case of the onnx package for this computer and compares what the library gives."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
import torch

import penjing

from .onnx_cases import OnnxCase

PASSED, REFUSED, WRONG, CRASHED = "passed", "refused", "wrong", "crashed"
# How errors begin that name no operator which is not supported, but what failed unexpectedly.
_BUGS = (
    "pass ",
    "PyTorch cannot export",
    "the ONNX model is malformed in a way that penjing did not",
)


@dataclass(frozen=True)
class Outcome:
    """What became of a case.

    Args:
        status: PASSED; REFUSED with a `CompileError`; WRONG values, dtypes or shapes; CRASHED with
            any other error.
        reason: Why it did not pass.
    """

    status: str
    reason: str = ""


def check(case: OnnxCase) -> Outcome:
    """Compile a case, run it on its inputs and compare with its outputs.

    Where the values differ, those of onnxruntime count too: a few stored ones are rounded otherwise
    than by the arithmetic that the operator is defined by.
    """
    inputs = tuple(_as_tensor(value) for value in case.inputs)
    try:
        model = onnx.ModelProto.FromString(case.model)
        got = penjing.compile(model, inputs, target="host").run(*inputs)
    except penjing.CompileError as error:
        status = CRASHED if str(error).startswith(_BUGS) else REFUSED
        return Outcome(status, " ".join(str(error).split()))
    except Exception as error:
        return Outcome(CRASHED, f"{type(error).__name__}: {' '.join(str(error).split())}")
    values = _flat(got)
    difference = _difference(case, values, _flat(case.outputs))
    if not difference or _agrees_with_onnxruntime(case, values):
        return Outcome(PASSED)
    return Outcome(WRONG, difference)


def _as_tensor(value: Any) -> Any:
    if isinstance(value, list):
        return [_as_tensor(item) for item in value]
    if value is None or value.dtype.kind in "OSU":
        return value
    return torch.from_numpy(np.ascontiguousarray(value).reshape(value.shape).copy())


def _flat(value: Any) -> list[Any]:
    """The arrays of nested lists, tuples and dicts."""
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, (list, tuple)):
        return [array for item in value for array in _flat(item)]
    return [] if value is None else [np.asarray(value)]


def _difference(case: OnnxCase, got: Sequence[Any], wanted: Sequence[Any]) -> str:
    """What is different, in words; nothing if the values agree."""
    if len(got) != len(wanted):
        return f"{len(got)} results instead of {len(wanted)}"
    for index, (one, other) in enumerate(zip(got, wanted, strict=True)):
        if (one.dtype, one.shape) != (other.dtype, other.shape):
            mine, theirs = (f"{array.dtype}{list(array.shape)}" for array in (one, other))
            return f"result {index} is {mine} instead of {theirs}"
        if one.dtype.kind in "OSU" or not one.size:
            continue
        equal = _equal(case, one, other)
        if not equal.all():
            at = tuple(np.argwhere(~equal)[0].tolist())
            share = f"{int((~equal).sum())} of {equal.size} elements"
            return f"result {index} differs in {share}: {one[at]} instead of {other[at]} at {at}"
    return ""


def _equal(case: OnnxCase, one: Any, other: Any) -> Any:
    """Where two arrays agree: integers exactly, floats within the tolerances of the case.

    A sum that is nearly 0 keeps the rounding of its largest terms, so a difference of one
    rounding of the largest float32 is none either.
    """
    if one.dtype.kind in "biu":
        return one == other
    finite = np.abs(other[np.isfinite(other)]).astype(np.float64)
    rounding = 2.0**-23 * float(finite.max(initial=0))
    atol = max(case.absolute_tolerance, rounding)
    return np.isclose(one, other, rtol=case.relative_tolerance, atol=atol, equal_nan=True)


def _agrees_with_onnxruntime(case: OnnxCase, got: Sequence[Any]) -> bool:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level, options.intra_op_num_threads = 4, 1
    try:
        session = onnxruntime.InferenceSession(
            case.model, options, providers=["CPUExecutionProvider"]
        )
        names = [value.name for value in session.get_inputs()]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            results = session.run(None, dict(zip(names, case.inputs, strict=True)))
    except Exception:  # onnxruntime has not this operator or this version of it
        return False
    return not _difference(case, got, _flat(results))
