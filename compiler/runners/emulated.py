"""Runs a library under an emulator of its CPU."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ...targets.mobile_gpus import MobileGpu
from ..errors import CompileError
from ..manifest import Manifest
from ..scratch_folder import ScratchFolder
from ..toolchain import find_toolchain
from .emulator import Emulator, find_emulator
from .process import ModelProcess, linked_driver, loading_driver


class EmulatedRunner:
    """Runs the shared library where the target's libc is installed, else the static one.

    Args:
        manifest: What the model is.
        folder: Where the libraries are.
        weights: The separate weights file, if there is one.

    Raises:
        CompileError: There is no emulator or no C compiler for the target.
    """

    def __init__(self, manifest: Manifest, folder: Path, weights: Path | None) -> None:
        self._threads = manifest.threads
        emulator = find_emulator(manifest.target)
        library = folder / f"lib{manifest.name}.so"
        self.process = self._process(manifest, library, weights, emulator)

    def run(self, arrays: Sequence[np.ndarray]) -> list[np.ndarray]:
        """The outputs for inputs as the library takes them."""
        return self.process.run(arrays, threads=self._threads)

    def _process(
        self, manifest: Manifest, library: Path, weights: Path | None, emulator: Emulator
    ) -> ModelProcess:
        toolchain = find_toolchain(manifest.target)
        if isinstance(manifest.target, MobileGpu) and not emulator.has_libc:
            raise CompileError(
                f"{manifest.target.name} needs the libc of its CPU to be emulated",
                got=manifest.target.triple,
                fix="install it (Debian: libc6-arm64-cross), or use a CPU of this machine:"
                f' target="{manifest.target.name},cpu=host"',
            )
        if emulator.has_libc:
            program, loaded = loading_driver(toolchain), library
        else:
            self._scratch = ScratchFolder("penjing-emulated-")
            objects = [library.with_suffix(".a")]
            program = self._scratch.path / "driver"
            linked_driver(toolchain, manifest.name, objects, program)
            loaded = None
        return ModelProcess(
            manifest=manifest, program=program, library=loaded, weights=weights, emulator=emulator
        )
