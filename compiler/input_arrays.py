"""What a user passes to `Artifact.run` -> one numpy array per input of the library, and back."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch.utils import _pytree as pytree

from .errors import CompileError
from .ir.tensor_spec import TensorSpec
from .manifest import TensorEntry


def storage_dtype(spec: TensorSpec) -> np.dtype[Any]:
    """The numpy dtype of a buffer; bfloat16, which numpy lacks, is stored as uint16."""
    return np.dtype(np.uint16 if spec.dtype == "bfloat16" else spec.dtype)


def as_arrays(
    inputs: Sequence[Any], by_name: Mapping[str, Any], entries: Sequence[TensorEntry]
) -> list[np.ndarray]:
    """Dense arrays in the order of `entries`.

    Args:
        inputs: Tensors or arrays by position, nested as the model takes them; or one dict by name.
        by_name: Keyword inputs.
        entries: What the library expects. A bfloat16 input may be given as float32, and so may
            integers that stand for real numbers: they are rounded to their steps.

    Raises:
        CompileError: The number, names, shapes or dtypes differ from what was compiled.
    """
    names = [entry.name for entry in entries]
    first = inputs[0] if len(inputs) == 1 else None
    if isinstance(first, Mapping) and set(first) == set(names):
        inputs, by_name = (), {**first, **by_name}
    given = _leaves(inputs)
    missing = [name for name in names[len(given) :] if name not in by_name]
    unknown = [name for name in by_name if name not in names[len(given) :]]
    if len(given) > len(names) or missing or unknown:
        got = [f"{len(given)} by position", *(f"{name}=" for name in by_name)]
        raise CompileError(
            f"the model takes {len(names)} inputs: {', '.join(map(_text, entries))}",
            got=", ".join(got),
            fix="pass each input once, in this order or by these names",
        )
    given += [by_name[name] for name in names[len(given) :]]
    return [_as_array(value, entry) for value, entry in zip(given, entries, strict=True)]


def as_result(array: np.ndarray, spec: TensorSpec) -> np.ndarray:
    """An output buffer as the user gets it: bfloat16 becomes float32, exactly."""
    if spec.dtype == "bfloat16":
        return (array.astype(np.uint32) << 16).view(np.float32)
    return array


def _leaves(inputs: Sequence[Any]) -> list[Any]:
    """The tensors of nested inputs; None and other constants of the traced call are left out."""
    leaves = pytree.tree_leaves(tuple(inputs))
    return [leaf for leaf in leaves if isinstance(leaf, (torch.Tensor, np.ndarray, np.generic))]


def _as_array(value: Any, entry: TensorEntry) -> np.ndarray:
    array = _to_numpy(value)
    spec, dtype = entry.spec, storage_dtype(entry.spec)
    if spec.dtype == "bfloat16" and array.dtype == np.float32:
        array = _to_numpy(torch.from_numpy(np.array(array)).to(torch.bfloat16))
    if entry.scale is not None and array.dtype == np.float32:
        array = _rounded(array, entry.scale, entry.zero_point, dtype)
    if array.shape != spec.shape or array.dtype != dtype:
        raise CompileError(
            f"input {entry.name} must be {spec}",
            got=f"{array.dtype}{list(array.shape)}",
            fix="convert it, or compile the model for inputs like this",
        )
    return np.require(array, requirements=["C_CONTIGUOUS", "ALIGNED"])


def _rounded(array: np.ndarray, scale: float, zero_point: int, dtype: np.dtype[Any]) -> np.ndarray:
    """The nearest integers, the even one of two, as `quantize_per_tensor` has it."""
    limits = np.iinfo(dtype)
    steps = np.rint(array * np.float32(1 / scale)) + np.float32(zero_point)
    return np.asarray(np.clip(steps, limits.min, limits.max).astype(dtype))


def _to_numpy(value: Any) -> np.ndarray:
    if not isinstance(value, torch.Tensor):
        return np.asarray(value)
    plain = value.detach().cpu()
    if plain.dtype == torch.bfloat16:
        plain = plain.view(torch.uint16)
    return np.asarray(plain.numpy())


def _text(entry: TensorEntry) -> str:
    return f"{entry.name} {entry.spec}"
