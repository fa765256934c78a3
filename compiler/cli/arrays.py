"""Input and output tensors of the command line: .npy files, or random values."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ..errors import CompileError
from ..input_arrays import storage_dtype
from ..manifest import TensorEntry


def read_inputs(
    files: Sequence[Path], entries: Sequence[TensorEntry], *, seed: int
) -> list[np.ndarray]:
    """The arrays in the files, or random ones if there are no files."""
    if files:
        return [_load(path) for path in files]
    generator = np.random.default_rng(seed)
    return [_random(entry, generator) for entry in entries]


def save_outputs(files: Sequence[Path], outputs: Sequence[np.ndarray]) -> None:
    """Save each output in its file.

    Raises:
        CompileError: There are not as many files as outputs.
    """
    if len(files) != len(outputs):
        raise CompileError(
            f"the model has {len(outputs)} outputs",
            got=f"{len(files)} files",
            fix="repeat -o for each output, or leave it out to see a summary",
        )
    for path, output in zip(files, outputs, strict=True):
        np.save(path, output)


def _load(path: Path) -> np.ndarray:
    try:
        array: np.ndarray = np.load(path)
    except (OSError, ValueError) as error:
        raise CompileError(f"cannot read {path}: {error}", fix="save it with numpy.save") from error
    return array


def _random(entry: TensorEntry, generator: np.random.Generator) -> np.ndarray:
    """Normal numbers; for integers zeros and ones, which are valid in every table."""
    spec = entry.spec
    if spec.dtype == "bfloat16":
        return generator.standard_normal(spec.shape, np.float32)
    if spec.dtype.startswith("float"):
        return generator.standard_normal(spec.shape).astype(spec.dtype)
    return generator.integers(0, 2, spec.shape).astype(storage_dtype(spec))
