"""Running and measuring libraries, here and under emulators."""

import re
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from penjing import targets
from penjing.compiler.artifact import Artifact
from penjing.compiler.errors import CompileError
from penjing.compiler.runners import emulated, emulator
from penjing.compiler.runners.build_cache import cached_build
from penjing.compiler.runners.counting import run_lengths, trace_marks
from penjing.compiler.runners.native import NativeRunner
from penjing.compiler.runners.status import refusal
from penjing.targets import host

from .hand_written import assert_matches, example_input, make_artifact

ARM = ["arm-a72", "armv7-a9"]


def check(artifact: Artifact, seed: int = 1) -> None:
    x = example_input(seed)
    assert_matches(artifact.run(x), x)


@pytest.mark.parametrize("weights", ["embed", "file"])
@pytest.mark.parametrize("threads", [1, 3])
def test_a_library_runs_in_this_process(weights: str, threads: int) -> None:
    check(make_artifact(weights=weights, threads=threads))


@pytest.mark.parametrize("threads", [1, 3])
def test_python_threads_run_one_artifact_at_once(threads: int) -> None:
    artifact = make_artifact(threads=threads)
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda seed: check(artifact, seed), range(200)))


def test_artifacts_of_one_name_do_not_mix() -> None:
    x = example_input()
    first, second = make_artifact(seed=0), make_artifact(seed=1)
    for artifact, seed in ((first, 0), (second, 1), (first, 0)):
        assert_matches(artifact.run(x), x, seed)


def test_a_refused_call_names_the_status() -> None:
    artifact = make_artifact(weights="file")
    library = artifact.folder / "libmodel.so"
    runner = NativeRunner(artifact.manifest, library, artifact.folder / "model.h")
    with pytest.raises(CompileError, match="model_run returned PENJING_WRONG_WEIGHTS"):
        runner.run([example_input()])
    assert "status 99" in str(refusal("model", 99))


@pytest.mark.qemu
@pytest.mark.parametrize("target", ARM)
@pytest.mark.parametrize(("weights", "threads"), [("embed", 1), ("file", 3)])
def test_a_library_runs_under_an_emulator(target: str, weights: str, threads: int) -> None:
    check(make_artifact(target, weights=weights, threads=threads))


@pytest.mark.qemu
@pytest.mark.parametrize("target", ARM)
@pytest.mark.parametrize("threads", [1, 3])
def test_without_the_targets_libc_the_static_library_runs(
    target: str, threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(emulator, "_sysroot", lambda target: None)
    artifact = make_artifact(target, threads=threads)
    check(artifact)
    assert artifact.count_instructions(example_input()) > 100
    assert artifact.profile(example_input()).total > 100


@pytest.mark.qemu
@pytest.mark.slow
def test_with_zig_alone_a_library_runs_under_an_emulator(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(emulator, "_sysroot", lambda target: None)
    zig = f"{sys.executable} -m ziglang cc -target {targets.get('arm-a72').zig_target}"
    monkeypatch.setenv("PENJING_CC", zig)
    check(make_artifact("arm-a72", threads=2))


@pytest.mark.qemu
@pytest.mark.parametrize("target", [*ARM, "x86-64-v3"])
def test_instruction_counts_are_steady_and_exact(target: str) -> None:
    artifact, x = make_artifact(target, weights="file"), example_input()
    count = artifact.trace_instructions(x, mnemonics=True)
    assert count.total == artifact.count_instructions(x) == artifact.count_instructions(x)
    assert sum(count.by_mnemonic.values()) == pytest.approx(count.total, abs=60)
    assert sum(count.by_kind.values()) == sum(count.by_mnemonic.values())
    profile = artifact.profile(x) if target in ARM else None
    if profile is not None:
        assert profile.unit == "instructions"
        assert 0 < count.total - profile.total < 800  # argument checks and copies
        assert [row.cost for row in profile.rows] == [r.cost for r in artifact.profile(x).rows]


@pytest.mark.qemu
@pytest.mark.parametrize("threads", [1, 3])
def test_the_first_run_executes_what_later_ones_do(threads: int) -> None:
    artifact = make_artifact("arm-a72", threads=threads)
    marks, _ = trace_marks(artifact._emulated.process, [example_input()], runs=3)
    _, first, *later = run_lengths(marks)
    assert later == [first, first]


@pytest.mark.qemu
def test_kinds_of_arm_instructions_are_told_apart() -> None:
    kinds = make_artifact("armv7-a9").trace_instructions(example_input(), mnemonics=True).by_kind
    assert kinds["multiply-add"] >= 60  # one for each multiply-add of the product
    assert min(kinds["load"], kinds["store"], kinds["branch"]) > 30


def test_a_profile_times_every_call_natively() -> None:
    profile = make_artifact(threads=2).profile(example_input())
    assert profile.unit == "nanoseconds"
    assert [row.call.kernel for row in profile.rows] == ["model_k0", "model_k1", "model_k2"]
    lines = str(profile).splitlines()
    assert re.match(r"model_k0 +\d+ +\d+\.\d% +60 ", lines[1])
    assert profile.to_json()["calls"][0]["macs"] == 60


def test_a_target_without_emulator_is_explained() -> None:
    with pytest.raises(CompileError, match="no emulator runs the instructions of x86-64-v4"):
        emulator.find_emulator(targets.get("x86-64-v4"))


def test_a_missing_instruction_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host, "cpu_flags", lambda text: frozenset({"avx512f"}))
    assert not host.runs_here(targets.get("x86-64-v4"))
    with pytest.raises(CompileError, match="no emulator runs") as raised:
        emulator.find_emulator(targets.get("x86-64-v4"))
    assert "this CPU lacks abm, avx, avx2" in raised.value.got


def test_a_missing_emulator_tells_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(CompileError, match="needs qemu-aarch64") as raised:
        emulator.find_emulator(targets.get("arm-a72"))
    assert "apt install qemu-user" in raised.value.fix


@pytest.mark.qemu
def test_a_crash_is_reported(tmp_path: Path) -> None:
    artifact = make_artifact("arm-a72")
    (tmp_path / "libmodel.so").write_bytes(b"no library")
    runner = emulated.EmulatedRunner(artifact.manifest, tmp_path, None)
    with pytest.raises(CompileError, match="did not run to its end") as raised:
        runner.run([example_input()])
    assert "cannot load" in raised.value.got


@pytest.mark.qemu
def test_a_refusal_in_the_emulator_names_the_status() -> None:
    artifact = make_artifact("arm-a72", weights="file")
    weights = artifact.folder / "model.weights"
    weights.write_bytes(b"?" + weights.read_bytes()[1:])
    with pytest.raises(CompileError, match="model_run returned PENJING_WRONG_WEIGHTS"):
        artifact.run(example_input())


def test_programs_are_compiled_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    made: list[Path] = []

    def build(path: Path) -> None:
        made.append(path)
        path.write_text("content")

    key = [str(tmp_path)]
    first, second = (cached_build("test-program", key, build) for _ in range(2))
    assert first == second
    assert first.read_text() == "content"
    assert len(made) == 1
    assert cached_build("test-program", [*key, "changed"], build) != first
    for path in {first, cached_build("test-program", [*key, "changed"], build)}:
        path.unlink()
