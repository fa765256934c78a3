"""The C library of a model: its symbols, its argument checks, its memory accesses."""

import ctypes
import os
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from penjing import targets
from penjing.compiler.artifact import Artifact
from penjing.compiler.library.build import build_library
from penjing.compiler.library.elf import Elf
from penjing.compiler.library.link import POOL_SOURCE
from penjing.compiler.planning import plan_memory
from penjing.compiler.runners import process

from .c_programs import PROGRAMS, build_program, run_guarded, run_under_valgrind
from .hand_written import (
    COLUMNS,
    INNER,
    ROWS,
    assert_matches,
    compile_kernels,
    example_input,
    make_artifact,
    make_lowered,
    reference,
)
from .lowered_builder import LoweredBuilder

HOST = targets.get("host")


@pytest.fixture(scope="module")
def artifact() -> Artifact:
    return make_artifact()


def library_path(artifact: Artifact) -> Path:
    return artifact.folder / f"lib{artifact.manifest.name}.so"


def symbols(path: Path, *options: str) -> set[str]:
    nm = subprocess.run(["nm", *options, path], capture_output=True, text=True, check=True)
    return {line.split()[-1].partition("@")[0] for line in nm.stdout.splitlines()}


@pytest.mark.parametrize("target", ["host", "arm-a72", "armv7-a9"])
@pytest.mark.parametrize("threads", [1, 2])
def test_a_library_exports_its_functions_and_needs_libc_only(target: str, threads: int) -> None:
    artifact = make_artifact(target, name="net", threads=threads)
    library = library_path(artifact)
    exported = {"net_run", "net_describe"} | ({"net_set_threads"} if threads > 1 else set())
    assert symbols(library, "-D", "--defined-only") == exported
    needed = symbols(library, "-D", "--undefined-only") - {"memcpy"}
    if threads == 1:
        assert needed == set()
        assert Elf(library.read_bytes()).needed() == []
    else:
        assert all(s == "sched_yield" or s.startswith("pthread_") for s in needed)


@pytest.mark.parametrize("threads", [1, 2])
def test_two_builds_are_byte_identical(threads: int) -> None:
    first, second = (make_artifact(threads=threads, weights="file") for _ in range(2))
    names = sorted(path.name for path in first.folder.iterdir())
    assert names == sorted(path.name for path in second.folder.iterdir())
    for name in names:
        assert (first.folder / name).read_bytes() == (second.folder / name).read_bytes(), name


class Buffers:
    """Good arguments for `model_run`, to be spoiled one by one."""

    def __init__(self, artifact: Artifact) -> None:
        self.manifest = artifact.manifest
        self.x = example_input()
        self.outputs = [np.full(e.spec.shape, 7, np.float32) for e in self.manifest.outputs]
        memory = np.full(4096, 7, np.uint8)
        start = -memory.ctypes.data % 64
        self.arena = memory[start : start + self.manifest.sizes.arena_bytes]
        self.arguments: list[object] = [
            (ctypes.c_void_p * 2)(self.x.ctypes.data),
            (ctypes.c_void_p * 5)(*(output.ctypes.data for output in self.outputs)),
            ctypes.c_void_p(self.arena.ctypes.data),
            ctypes.c_size_t(self.arena.nbytes),
        ]

    def run(self, artifact: Artifact) -> int:
        return int(ctypes.CDLL(str(library_path(artifact))).model_run(*self.arguments))

    def spoil(self, index: int, value: object) -> None:
        self.arguments[index] = value

    def entry(self, index: int, position: int, value: int | None) -> None:
        self.arguments[index][position] = value  # type: ignore[index]


def shifted(array: np.ndarray, offset: int) -> int:
    return int(array.ctypes.data) + offset


MISUSE: list[tuple[int, Callable[[Buffers], None]]] = [
    (1, lambda b: b.spoil(0, None)),
    (1, lambda b: b.entry(0, 0, None)),
    (2, lambda b: b.spoil(1, None)),
    (2, lambda b: b.entry(1, 3, None)),
    (3, lambda b: b.spoil(2, None)),
    (4, lambda b: b.spoil(3, ctypes.c_size_t(b.arena.nbytes - 1))),
    (4, lambda b: b.spoil(3, ctypes.c_size_t(0))),
    (5, lambda b: b.spoil(2, ctypes.c_void_p(shifted(b.arena, 32)))),
    (6, lambda b: b.entry(0, 0, shifted(b.x, 2))),
    (7, lambda b: b.entry(1, 1, shifted(b.outputs[1], 1))),
    (8, lambda b: b.entry(1, 0, shifted(b.arena, 0))),
    (8, lambda b: b.entry(1, 0, shifted(b.x, 4))),
    (8, lambda b: b.entry(1, 4, shifted(b.outputs[0], 44))),
    (8, lambda b: b.entry(0, 0, shifted(b.arena, 60))),
]


@pytest.mark.parametrize(("status", "spoil"), MISUSE)
def test_misuse_is_refused_and_nothing_is_touched(
    artifact: Artifact, status: int, spoil: Callable[[Buffers], None]
) -> None:
    buffers = Buffers(artifact)
    assert buffers.run(artifact) == 0
    for output in buffers.outputs:
        output[:] = 7
    buffers.arena[:] = 7
    spoil(buffers)
    assert buffers.run(artifact) == status
    assert all((output == 7).all() for output in buffers.outputs)
    assert (buffers.arena == 7).all()


def test_weights_of_another_build_are_refused() -> None:
    artifact, other = (make_artifact(weights="file", seed=seed) for seed in (0, 1))
    buffers = Buffers(artifact)
    assert buffers.run(artifact) == 1  # no weights given
    for weights, expected in ((artifact, 0), (other, 9)):
        data = (weights.folder / "model.weights").read_bytes()
        memory = np.frombuffer(bytes(64) + data, np.uint8).copy()
        start = -memory.ctypes.data % 64
        memory[start : start + len(data)] = np.frombuffer(data, np.uint8)
        buffers.entry(0, 1, shifted(memory, start))
        assert buffers.run(artifact) == expected
        buffers.entry(0, 1, shifted(memory, start) + 4)
        assert buffers.run(artifact) == 6


@pytest.mark.parametrize("weights", ["embed", "file"])
def test_no_byte_outside_the_buffers_is_accessed(weights: str) -> None:
    x = example_input()
    for outputs in run_guarded(make_artifact(weights=weights), x):
        assert_matches(outputs, x)


@pytest.mark.qemu
@pytest.mark.parametrize("target", ["arm-a72", "armv7-a9"])
def test_no_byte_outside_the_buffers_is_accessed_on_arm(target: str) -> None:
    x = example_input()
    for outputs in run_guarded(make_artifact(target), x):
        assert_matches(outputs, x)


@pytest.mark.skipif(shutil.which("valgrind") is None, reason="valgrind is not installed")
def test_valgrind_finds_nothing() -> None:
    assert "0 errors" in run_under_valgrind(make_artifact("x86-64-v3"), example_input())


def test_sanitizers_find_nothing(artifact: Artifact, tmp_path: Path) -> None:
    """The generated entry, with checks of addresses and undefined behavior compiled into it."""
    folder, program = artifact.folder.resolve(), tmp_path / "program"
    sources = [process.DRIVER_SOURCE, folder / "model.c"]
    sanitize = ["-fsanitize=undefined,address", "-fno-sanitize-recover"]
    options = ["-DMODEL=model", f"-I{folder}", *sanitize, str(folder / "libmodel.a"), "-ldl"]
    build_program(HOST, sources, program, *options)
    (tmp_path / "inputs").write_bytes(example_input().tobytes())
    files = [tmp_path / "inputs", tmp_path / "outputs"]
    command = [str(word) for word in (program, "-", "-", *files, "-", "-", 1, 1)]
    environment = {**os.environ, "ASAN_OPTIONS": "detect_leaks=0"}  # the driver frees nothing
    done = subprocess.run(command, capture_output=True, check=False, env=environment)
    assert (done.returncode, done.stderr) == (0, b"")


def test_several_models_link_into_one_program(tmp_path: Path) -> None:
    """Each with its own thread pool, run by several threads at once, shared and static."""
    folders = [make_artifact(name=n, threads=3, seed=s) for n, s in (("first", 0), ("second", 1))]
    for artifact in folders:
        artifact.save(tmp_path)
    for index, libraries in enumerate((["libfirst.a", "libsecond.a"], ["-lfirst", "-lsecond"])):
        program = build_program(
            HOST,
            [PROGRAMS / "two_models.c"],
            tmp_path / f"two{index}",
            *("-std=c11", f"-L{tmp_path}", *libraries, f"-Wl,-rpath,{tmp_path}", "-lpthread"),
        )
        done = subprocess.run([program], capture_output=True, text=True, check=False, timeout=60)
        assert done.returncode == 0, done.stderr
        numbers, names = done.stdout.splitlines()
        assert names == "first second"
        expected = [reference(input_of(t), seed)[1] for t in range(2) for seed in range(2)]
        got = np.array(numbers.split(), np.float32).reshape(4, ROWS)
        np.testing.assert_allclose(got, expected, rtol=1e-4)


def input_of(thread: int) -> np.ndarray:
    """What two_models.c feeds."""
    return (np.arange(1, ROWS * INNER + 1, dtype=np.float32) / (thread + 1)).reshape(ROWS, INNER)


@pytest.mark.skipif(shutil.which("g++") is None, reason="g++ is not installed")
def test_the_header_works_in_cpp(artifact: Artifact, tmp_path: Path) -> None:
    program = tmp_path / "include"
    options = ["-std=c++11", "-Wall", "-Wextra", "-Wpedantic", "-Werror", f"-I{artifact.folder}"]
    libraries = [artifact.folder / "libmodel.a", "-o", program]
    command = ["g++", *options, PROGRAMS / "include.cpp", *libraries]
    subprocess.run([*map(str, command)], check=True)
    assert subprocess.run([program], check=False).returncode == 0


def test_the_header_tells_the_exact_numbers(artifact: Artifact) -> None:
    header = (artifact.folder / "model.h").read_text()
    facts = {
        "ARENA_BYTES": f"{artifact.report.arena_bytes}u",
        "ARENA_ALIGN": "64u",
        "INPUT_COUNT": "1",
        "OUTPUT_COUNT": "5",
        "INPUT0_SHAPE": f"{{{ROWS}, {INNER}}}",
        "OUTPUT0_SHAPE": f"{{{ROWS * COLUMNS}}}",
        "OUTPUT0_BYTES": f"{4 * ROWS * COLUMNS}u",
        "OUTPUT3_DTYPE": "PENJING_FLOAT32",
    }
    for name, value in facts.items():
        assert f"#define MODEL_{name} {value}\n" in header


def test_equal_constants_are_stored_once(artifact: Artifact) -> None:
    stored = artifact.report.weights_bytes
    assert stored == 128 + 64  # w and b, each padded to 64 bytes; w is used by two calls


@pytest.mark.parametrize("weights", ["embed", "file"])
def test_a_model_without_kernels_copies(weights: str) -> None:
    """Inputs and constants of several types and ranks, nothing in the arena."""
    build = LoweredBuilder("model", HOST)
    x = build.input(2, 3, dtype="int64")
    flag, empty = build.input(dtype="bool"), build.input(0, 4)
    constant = build.constant(np.array([1.5, 2.5], np.float64))
    lowered = build.build(constant, flag, build.view(x, 6), empty, constant)
    artifact = build_library(lowered, plan_memory(lowered), b"", weights=weights)
    assert artifact.report.arena_bytes == 0
    values = np.arange(6).reshape(2, 3)
    outputs = artifact.run(values, np.bool_(True), np.empty((0, 4), np.float32))
    assert [output.tolist() for output in outputs] == [
        [1.5, 2.5],
        True,
        [0, 1, 2, 3, 4, 5],
        [],
        [1.5, 2.5],
    ]


def test_a_model_without_inputs_runs() -> None:
    build = LoweredBuilder("model", HOST, threads=2)
    lowered = build.build(build.constant(np.arange(3)))
    artifact = build_library(lowered, plan_memory(lowered), b"")
    assert artifact.run()[0].tolist() == [0, 1, 2]
    header = (artifact.folder / "model.h").read_text()
    assert "#define MODEL_INPUT_COUNT 0\n" in header


def test_names_cannot_break_the_c_code() -> None:
    lowered = make_lowered(HOST)
    odd = replace(lowered, input_names=('a"b\\c*/d??/\n',), output_names=tuple("abcdé"))
    artifact = build_library(odd, plan_memory(odd), compile_kernels(HOST))
    x = example_input()
    assert_matches(artifact.run(x), x)
    assert '"a\\042b\\134c*/d\\077\\077/\\012"' in (artifact.folder / "model.h").read_text()


def test_a_caller_and_its_worker_start_at_the_two_ends_of_a_loop(tmp_path: Path) -> None:
    sources = [POOL_SOURCE, PROGRAMS / "pool_order.c"]
    program = build_program(HOST, sources, tmp_path / "pool_order", "-std=c11", "-DMODEL=model")
    assert subprocess.run([program], check=False, timeout=60).returncode == 0


def test_the_thread_pool_has_no_races(tmp_path: Path) -> None:
    sources = [POOL_SOURCE, PROGRAMS / "pool_race.c"]
    options = ["-std=c11", "-g", "-DMODEL=model", "-fsanitize=thread"]
    program = build_program(HOST, sources, tmp_path / "pool_race", *options)
    for _ in range(3):
        done = subprocess.run([program], capture_output=True, text=True, check=False, timeout=120)
        assert done.returncode == 0, done.stderr
