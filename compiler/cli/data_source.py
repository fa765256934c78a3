"""Calibration data and the measure of quality that the command line names."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ..errors import CompileError
from .model_source import load_object

_SAMPLES_AT_ONCE = 16


def load_calibration(text: str | None) -> Any:
    """An iterable of batches from FILE.npz, FILE.npy, or a name of Python code; None for None.

    Arrays hold samples on dimension 0. In an .npz they have the names of the model's inputs, or
    are in their order where they have none (`arr_0`, ...).
    """
    if text is None:
        return None
    if Path(text).suffix not in (".npy", ".npz"):
        return load_object(text)
    try:
        loaded = np.load(text)
    except (OSError, ValueError) as error:
        raise CompileError(
            f"cannot read {text}: {error}", fix="save it with numpy.savez"
        ) from error
    if isinstance(loaded, np.ndarray):
        return list(_batches({"arr_0": loaded}))
    return list(_batches(dict(loaded)))


def load_evaluate(text: str | None) -> Callable[[Any], float] | None:
    """The function from a program to its quality that `text` names; None for None.

    Raises:
        CompileError: It names something else.
    """
    if text is None:
        return None
    evaluate = load_object(text, call=False)
    if not callable(evaluate):
        raise CompileError(f"{text} is no function", fix="name one that takes a program")
    result: Callable[[Any], float] = evaluate
    return result


def _batches(arrays: dict[str, np.ndarray]) -> Iterator[Any]:
    counts = {len(array) if array.ndim else 0 for array in arrays.values()}
    if len(counts) != 1 or 0 in counts:
        shapes = ", ".join(f"{name} {list(array.shape)}" for name, array in arrays.items())
        raise CompileError("arrays must hold the same number of samples", got=shapes or "none")
    tensors = {name: torch.from_numpy(array) for name, array in arrays.items()}
    has_names = not all(name.startswith("arr_") for name in tensors)
    for start in range(0, counts.pop(), _SAMPLES_AT_ONCE):
        part = {name: tensor[start : start + _SAMPLES_AT_ONCE] for name, tensor in tensors.items()}
        yield part if has_names else tuple(part.values())
