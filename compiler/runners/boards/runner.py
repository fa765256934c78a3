"""Runs and measures the C files of an artifact on the emulated board of its core."""

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

import numpy as np

from ....targets.microcontrollers import Microcontroller
from ...input_arrays import storage_dtype
from ...manifest import Manifest, TensorEntry
from ..counting import InstructionCount
from .model import BoardModel, ModelOnBoard, stack_bytes

_TO_CHANNELS_LAST, _TO_CHANNELS_FIRST = (0, 2, 3, 1), (0, 3, 1, 2)
_PROFILE = ("-DPENJING_PROFILE",)


class BoardRunner:
    """An artifact's C files in programs for a board, which are built when they are needed first.

    Arrays have PyTorch's order of axes. The C function has the channels of rank-4 values last.

    Args:
        manifest: What the model is; its target is a microcontroller.
        folder: Where its files are.

    Raises:
        CompileError: There is no compiler or emulator, the model is larger than the board, refused
            its arguments, wrote where it may not, or crashed.
    """

    def __init__(self, manifest: Manifest, folder: Path) -> None:
        self._manifest, self._folder = manifest, folder

    def run(self, arrays: Sequence[np.ndarray]) -> list[np.ndarray]:
        """The outputs for inputs."""
        return self._outputs(self._plain.run(self._inputs(arrays)).files["outputs"])

    def count(self, arrays: Sequence[np.ndarray], *, mnemonics: bool = False) -> InstructionCount:
        """Instructions of one inference, with counts of each mnemonic if they are asked for."""
        run = self._plain.run(self._inputs(arrays), count=True, mnemonics=mnemonics)
        return InstructionCount(run.instructions[0], dict(run.mnemonics))

    def steps(self, arrays: Sequence[np.ndarray]) -> list[int]:
        """Instructions of each kernel call, from a build that tells about them."""
        return list(self._measuring.run(self._inputs(arrays), count=True).steps)

    def stack(self, arrays: Sequence[np.ndarray]) -> int:
        """Bytes of stack that one inference touches."""
        return stack_bytes(self._plain.run(self._inputs(arrays)))

    @cached_property
    def _plain(self) -> ModelOnBoard:
        return ModelOnBoard(self.model)

    @cached_property
    def _measuring(self) -> ModelOnBoard:
        return ModelOnBoard(self.model, options=_PROFILE)

    @cached_property
    def model(self) -> BoardModel:
        """The C files and what they ask for."""
        manifest = self._manifest
        assert isinstance(manifest.target, Microcontroller)
        files = [name for name in manifest.files if name.endswith((".c", ".h"))]
        return BoardModel(
            name=manifest.name,
            core=manifest.target,
            sources={name: (self._folder / name).read_bytes() for name in files},
            input_bytes=tuple(entry.spec.nbytes for entry in manifest.inputs),
            output_bytes=tuple(entry.spec.nbytes for entry in manifest.outputs),
            arena_bytes=manifest.sizes.arena_bytes,
        )

    def _inputs(self, arrays: Sequence[np.ndarray]) -> bytes:
        return b"".join(map(_bytes_of, arrays, self._manifest.inputs))

    def _outputs(self, data: bytes) -> list[np.ndarray]:
        outputs, offset = [], 0
        for entry in self._manifest.outputs:
            outputs.append(_array_of(data, offset, entry))
            offset += entry.spec.nbytes
        return outputs


def _bytes_of(array: np.ndarray, entry: TensorEntry) -> bytes:
    return (array.transpose(_TO_CHANNELS_LAST) if entry.channels_last else array).tobytes()


def _array_of(data: bytes, offset: int, entry: TensorEntry) -> np.ndarray:
    stored = entry.stored
    array = np.frombuffer(data, storage_dtype(stored), stored.size, offset).reshape(stored.shape)
    return array.transpose(_TO_CHANNELS_FIRST).copy() if entry.channels_last else array.copy()
