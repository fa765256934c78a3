"""Compiles and runs the C programs of tests/programs, natively or under an emulator."""

import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from penjing import targets
from penjing.compiler.artifact import Artifact
from penjing.compiler.input_arrays import as_arrays, as_result, storage_dtype
from penjing.compiler.library.header import shared_declarations
from penjing.compiler.runners.emulator import find_emulator
from penjing.compiler.runners.process import loading_driver
from penjing.compiler.toolchain import find_toolchain
from penjing.targets.target import Target

PROGRAMS = Path(__file__).with_name("programs")


def build_program(target: Target, sources: Sequence[Path], output: Path, *options: str) -> Path:
    """A program for `target`; it may include penjing.h, the declarations that models share."""
    (output.parent / "penjing.h").write_text(shared_declarations())
    names = [str(source.resolve()) for source in sources]
    warnings = ["-Wall", "-Wextra", "-Werror"]
    find_toolchain(target).run(
        [*warnings, "-O1", f"-I{output.parent.resolve()}", *names, *options, "-o", str(output)],
        output.parent,
    )
    return output


def run_program(
    target: Target, command: Sequence[str | Path]
) -> "subprocess.CompletedProcess[str]":
    """Run a program here or, if this CPU cannot, under the target's emulator."""
    before = () if targets.runs_here(target) else find_emulator(target).command
    return subprocess.run(
        [*before, *map(str, command)], capture_output=True, text=True, check=False, timeout=600
    )


def run_guarded(artifact: Artifact, *inputs: object, **by_name: object) -> list[list[np.ndarray]]:
    """Outputs of runs with forbidden pages around every buffer: after each, then before each.

    An access outside a buffer, or a write to an input, kills the program and fails the test.
    """
    arrays = as_arrays(inputs, by_name, artifact.manifest.inputs)
    target = artifact.manifest.target
    results = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        program = folder / "guarded"
        build_program(target, [PROGRAMS / "guarded.c"], program, "-std=c11", "-ldl")
        (folder / "inputs").write_bytes(b"".join(array.tobytes() for array in arrays))
        for side in ("end", "start"):
            files = [*_model_files(artifact), folder / "inputs", folder / "outputs"]
            done = run_program(target, [program, *files, _weights(artifact), side])
            assert done.returncode == 0, (side, done.returncode, done.stderr)
            results.append(_read_outputs(artifact, folder / "outputs"))
    return results


def run_under_valgrind(artifact: Artifact, *inputs: object, **by_name: object) -> str:
    """What valgrind says about two runs; a wrong access or use of unset memory fails the test.

    Valgrind knows no AVX-512: the artifact's target must be x86-64-v3 or older.
    """
    arrays = as_arrays(inputs, by_name, artifact.manifest.inputs)
    driver = loading_driver(find_toolchain(artifact.manifest.target))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "inputs").write_bytes(b"".join(array.tobytes() for array in arrays))
        files = [*_model_files(artifact), folder / "inputs", folder / "outputs"]
        valgrind = ["valgrind", "--error-exitcode=99", "--track-origins=yes"]
        command = [*valgrind, driver, *files, _weights(artifact), "-", "2", "1"]
        done = subprocess.run(
            [*map(str, command)], capture_output=True, text=True, check=False, timeout=600
        )
    assert done.returncode == 0, done.stderr
    return done.stderr


def _model_files(artifact: Artifact) -> list[Path | str]:
    name = artifact.manifest.name
    return [(artifact.folder / f"lib{name}.so").resolve(), name]


def _weights(artifact: Artifact) -> Path | str:
    file = f"{artifact.manifest.name}.weights"
    return artifact.folder / file if file in artifact.manifest.files else "-"


def _read_outputs(artifact: Artifact, path: Path) -> list[np.ndarray]:
    data, offset, outputs = path.read_bytes(), 0, []
    for entry in artifact.manifest.outputs:
        flat = np.frombuffer(data, storage_dtype(entry.spec), entry.spec.size, offset)
        outputs.append(as_result(flat.reshape(entry.spec.shape), entry.spec))
        offset += entry.spec.nbytes
    return outputs
