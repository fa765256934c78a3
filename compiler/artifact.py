"""A compiled model: run it, measure it, save it, load it."""

import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np

from ..targets.host import runs_here
from ..targets.microcontrollers import Microcontroller
from ..targets.mobile_gpus import MobileGpu
from .errors import CompileError
from .input_arrays import as_arrays, as_result
from .manifest import FORMAT, Manifest, file_sha256
from .profile import Profile, ProfileRow
from .report import Report
from .runners.boards.project import project_files
from .runners.boards.runner import BoardRunner
from .runners.counting import InstructionCount, count_instructions
from .runners.emulated import EmulatedRunner
from .runners.emulator import find_emulator
from .runners.native import NativeRunner
from .runners.opencl import OpenClRunner
from .runners.profiling import profile_steps

_BLOCK_BYTES = 1 << 24  # of a copy: whole huge pages, of which Linux then makes the file's cache


@dataclass(frozen=True, kw_only=True, eq=False)
class Artifact:
    """The files of a compiled model, and ways to use them from Python.

    Attributes:
        manifest: What the model is and how it was made.
        folder: Where its files are; they are not to be changed.
        pass_seconds: Time of each pass, if it was compiled in this process.
        stage_seconds: Time of each stage of the compilation, likewise.
    """

    manifest: Manifest
    folder: Path
    pass_seconds: Sequence[float] = ()
    stage_seconds: Mapping[str, float] = field(default_factory=dict)
    _lock: Lock = field(default_factory=Lock, repr=False)  # of the making of runners
    _keep: Any = field(
        default=None, repr=False
    )  # what deletes a temporary folder when the artifact goes

    def run(self, *inputs: Any, **by_name: Any) -> list[np.ndarray]:
        """The outputs for these inputs, computed by the compiled library.

        It runs in this process if this CPU can execute it, else under an emulator. Libraries for
        GPUs run on any OpenCL device of this machine; without one on the CPU, with a warning.

        Args:
            inputs: Tensors or arrays in the order and nesting of the model's inputs, or one dict.
            by_name: Inputs by name. bfloat16 inputs may be float32; such outputs are float32.
                int8 inputs with a scale may be float32; outputs with one are int8.

        Raises:
            CompileError: The inputs do not fit, or the library cannot run on this machine.
        """
        outputs = self._runner.run(self._arrays(inputs, by_name))
        specs = (entry.spec for entry in self.manifest.outputs)
        return [as_result(array, spec) for array, spec in zip(outputs, specs, strict=True)]

    def count_instructions(self, *inputs: Any, **by_name: Any) -> int:
        """Instructions that one inference on one thread executes: the same every time.

        Raises:
            CompileError: No emulator can run the library.
        """
        return self.trace_instructions(*inputs, **by_name).total

    def trace_instructions(
        self, *inputs: Any, mnemonics: bool = False, **by_name: Any
    ) -> InstructionCount:
        """Like `count_instructions`, with counts of each mnemonic if `mnemonics` is set."""
        arrays = self._arrays(inputs, by_name)
        if self._is_for_board:
            return self._board.count(arrays, mnemonics=mnemonics)
        return count_instructions(self._emulated.process, arrays, mnemonics=mnemonics)

    def measure_stack(self, *inputs: Any, **by_name: Any) -> int:
        """Bytes of stack that one inference touches on the emulated board of a microcontroller.

        Raises:
            CompileError: The target is no microcontroller, or nothing can run its programs here.
        """
        if not self._is_for_board:
            raise CompileError(
                "the stack is measured on microcontrollers only", got=self.manifest.target.name
            )
        return self._board.stack(self._arrays(inputs, by_name))

    def profile(self, *inputs: Any, **by_name: Any) -> Profile:
        """The cost of every kernel call: time here, or instructions under an emulator.

        Libraries for GPUs are timed on the OpenCL device that `run` takes.
        """
        here = runs_here(self.manifest.target)
        arrays = self._arrays(inputs, by_name)
        if isinstance(self.manifest.target, MobileGpu):
            self._check_system(self.manifest.target)
            if not here:
                raise CompileError(
                    "launches are timed in this process",
                    got=f"{self.manifest.target.name} beside {self.manifest.target.cpu}",
                    fix=f'compile for "{self.manifest.target.name},cpu=host"',
                )
            return Profile.of_launches(self.manifest, self._opencl.profile(arrays))
        if self._is_for_board:
            costs = self._board.steps(arrays)
        else:
            emulator = None if here else find_emulator(self.manifest.target)
            costs = profile_steps(self.manifest, self.folder, self._weights, emulator, arrays)
        rows = zip(self.manifest.calls, costs, strict=True)
        return Profile(
            "nanoseconds" if here else "instructions",
            tuple(ProfileRow(call, cost) for call, cost in rows),
        )

    @property
    def report(self) -> Report:
        """Sizes, passes and kernel calls; `print` shows a table."""
        return Report.of(self.manifest, self.pass_seconds, self.stage_seconds)

    def save(self, directory: str | Path, *, project: bool = False) -> None:
        """Write the library, header, source and manifest to a directory, made if it is missing.

        Files appear complete or not at all, the manifest last.

        Args:
            directory: Where the files go.
            project: For microcontrollers, also a CMake project that builds a program around the
                model and runs it under QEMU; its README.md says how.

        Raises:
            CompileError: The directory cannot be written, or there is no project for the target.
        """
        directory = Path(directory)
        extra = self._project() if project else {}
        try:
            self._save(directory, extra)
        except OSError as error:
            raise CompileError(
                "cannot write the artifact", at=str(directory), got=error.strerror or str(error)
            ) from error

    def _save(self, directory: Path, extra: Mapping[str, str]) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        files = [*self.manifest.files, f"{self.manifest.name}.json"]
        with tempfile.TemporaryDirectory(dir=directory, prefix=".penjing-") as temporary:
            for file in files:
                _copy(self.folder / file, Path(temporary, file))
            for file, text in extra.items():
                Path(temporary, file).parent.mkdir(exist_ok=True)
                Path(temporary, file).write_text(text)
            for file in (*extra, *files):
                (directory / file).parent.mkdir(exist_ok=True)
                Path(temporary, file).replace(directory / file)

    def _project(self) -> dict[str, str]:
        target = self.manifest.target
        if not isinstance(target, Microcontroller):
            raise CompileError(
                "there are projects for microcontrollers only",
                got=target.name,
                fix="leave out project: the saved library and header are all that a program needs",
            )
        return project_files(
            self.manifest.name,
            target,
            sources=[file for file in self.manifest.files if file.endswith(".c")],
            inputs=len(self.manifest.inputs),
            outputs=len(self.manifest.outputs),
        )

    def _arrays(self, inputs: Sequence[Any], by_name: Mapping[str, Any]) -> list[np.ndarray]:
        return as_arrays(inputs, by_name, self.manifest.inputs)

    @property
    def _is_for_board(self) -> bool:
        return isinstance(self.manifest.target, Microcontroller)

    @property
    def _runner(self) -> NativeRunner | EmulatedRunner | BoardRunner | OpenClRunner:
        with self._lock:
            if self._is_for_board:
                return self._board
            if isinstance(self.manifest.target, MobileGpu):
                self._check_system(self.manifest.target)
            if not runs_here(self.manifest.target):
                return self._emulated
            is_for_gpu = isinstance(self.manifest.target, MobileGpu)
            return self._opencl if is_for_gpu else self._native

    def _check_system(self, gpu: MobileGpu) -> None:
        if gpu.os != "linux":
            raise CompileError(
                f"libraries for {gpu.os} do not run here",
                got=f"{gpu.name} beside {gpu.cpu}",
                fix=f'compile for "{gpu.name},cpu={gpu.cpu}" as well: only the link differs',
            )

    @cached_property
    def _opencl(self) -> OpenClRunner:
        return OpenClRunner(self.manifest, self.folder / f"lib{self.manifest.name}.so")

    @cached_property
    def _native(self) -> NativeRunner:
        library = self.folder / f"lib{self.manifest.name}.so"
        return NativeRunner(self.manifest, library, self._weights)

    @cached_property
    def _board(self) -> BoardRunner:
        return BoardRunner(self.manifest, self.folder)

    @cached_property
    def _emulated(self) -> EmulatedRunner:
        return EmulatedRunner(self.manifest, self.folder, self._weights)

    @property
    def _weights(self) -> Path | None:
        file = f"{self.manifest.name}.weights"
        return self.folder / file if file in self.manifest.files else None


def _copy(source: Path, target: Path) -> None:
    with source.open("rb") as old, target.open("wb") as new:
        shutil.copyfileobj(old, new, _BLOCK_BYTES)


def load(directory: str | Path) -> Artifact:
    """The artifact that was saved to a directory.

    Args:
        directory: What `Artifact.save` wrote to; or the path of a NAME.json if it holds several.

    Raises:
        CompileError: There is none, or a file is missing or was changed.
    """
    path = Path(directory)
    manifest_path = path if path.is_file() else _find_manifest(path)
    manifest, folder = Manifest.read(manifest_path), manifest_path.parent
    for file, digest in manifest.files.items():
        if not (folder / file).is_file() or file_sha256(folder / file) != digest:
            raise CompileError(
                f"{file} is missing or is not the one that was saved with {manifest_path.name}",
                at=str(folder),
                fix="save the artifact again",
            )
    return Artifact(manifest=manifest, folder=folder)


def _find_manifest(folder: Path) -> Path:
    found = [path for path in sorted(folder.glob("*.json")) if f'"{FORMAT}"' in path.read_text()]
    if len(found) != 1:
        raise CompileError(
            "expected the folder of one compiled model",
            at=str(folder),
            got=", ".join(path.name for path in found) or "no manifest",
            fix="give the path of a NAME.json" if found else "give the folder of artifact.save()",
        )
    return found[0]
