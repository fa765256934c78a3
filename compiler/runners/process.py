"""Runs a model in a process of its own: natively, or under an emulator of its CPU."""

import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..errors import CompileError
from ..input_arrays import storage_dtype
from ..library.header import shared_declarations
from ..manifest import Manifest
from ..toolchain import Toolchain
from .build_cache import cached_build
from .emulator import Emulator
from .status import MODEL_REFUSED, refusal

DRIVER_SOURCE = Path(__file__).with_name("driver.c")
_LAST_LINES = 8  # of what a crashed program printed


@dataclass(frozen=True, kw_only=True)
class ModelProcess:
    """A program that runs one model.

    Args:
        manifest: What the model is.
        program: The driver (driver.c) for its CPU.
        library: The shared library, unless the program contains the model.
        weights: The separate weights file, if there is one.
        emulator: None = run on this CPU.
    """

    manifest: Manifest
    program: Path
    library: Path | None
    weights: Path | None
    emulator: Emulator | None

    def run(
        self,
        arrays: Sequence[np.ndarray],
        *,
        runs: int = 1,
        threads: int = 1,
        emulator_options: Sequence[str] = (),
        times: Path | None = None,
    ) -> list[np.ndarray]:
        """The outputs of the last of some runs.

        Args:
            arrays: The inputs, as the library takes them.
            runs: How often.
            threads: Threads of one inference, if the library supports them.
            emulator_options: Extra options of the emulator.
            times: File for the time of each step.

        Raises:
            CompileError: The model refused its arguments or crashed.
        """
        before: list[str] = []
        if self.emulator is not None:
            before = [*self.emulator.command, *emulator_options]
        with tempfile.TemporaryDirectory(prefix="penjing-run-") as name:
            inputs, outputs = Path(name, "inputs"), Path(name, "outputs")
            inputs.write_bytes(b"".join(array.tobytes() for array in arrays))
            files = [self.library, self.manifest.name, inputs, outputs, self.weights, times]
            command = [*before, self.program, *(file or "-" for file in files)]
            done = subprocess.run(
                [*map(str, command), str(runs), str(threads)],
                capture_output=True,
                text=True,
                errors="replace",
                check=False,
            )
            self._check(done)
            return self._read(outputs.read_bytes())

    def _check(self, done: "subprocess.CompletedProcess[str]") -> None:
        if done.returncode >= MODEL_REFUSED:
            raise refusal(self.manifest.name, done.returncode - MODEL_REFUSED)
        if done.returncode:
            lines = done.stderr.strip().splitlines()[-_LAST_LINES:]
            raise CompileError(
                f"{self.manifest.name} did not run to its end",
                got="\n       ".join([f"exit code {done.returncode}", *lines]),
            )

    def _read(self, data: bytes) -> list[np.ndarray]:
        arrays: list[np.ndarray] = []
        offset = 0
        for entry in self.manifest.outputs:
            spec = entry.spec
            flat = np.frombuffer(data, storage_dtype(spec), spec.size, offset)
            arrays.append(flat.reshape(spec.shape).copy())
            offset += spec.nbytes
        return arrays


def loading_driver(toolchain: Toolchain) -> Path:
    """The driver that loads a shared library: compiled once per toolchain."""

    def build(path: Path) -> None:
        _build(toolchain, ["-rdynamic", "-ldl"], path, static=False)

    key = (*toolchain.command, toolchain.version, DRIVER_SOURCE.read_text(), shared_declarations())
    return cached_build("driver", key, build)


def linked_driver(toolchain: Toolchain, name: str, objects: Sequence[Path], path: Path) -> Path:
    """A driver at `path` that contains the model made of `objects`; it needs no libc to run."""
    files = [str(file.resolve()) for file in objects]
    options = [f"-DMODEL={name}", *files, toolchain.helpers, "-lpthread"]
    _build(toolchain, options, path, static=True)
    return path


def _build(toolchain: Toolchain, options: Sequence[str], path: Path, *, static: bool) -> None:
    with tempfile.TemporaryDirectory(prefix="penjing-driver-") as name:
        folder = Path(name)
        (folder / "driver.c").write_bytes(DRIVER_SOURCE.read_bytes())
        (folder / "penjing.h").write_text(shared_declarations())
        command = ["-std=c11", "-O2", "-g0", "driver.c", *options, "-o", str(path.resolve())]
        toolchain.run(command, folder, static=static)
