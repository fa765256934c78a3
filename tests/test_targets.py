"""Targets: the registry, and that LLVM and the emulators accept what they say."""

import platform
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
import torch

import penjing
from penjing import CompileError, targets
from penjing.targets.host import cache_sizes, cpu_flags, describe, host_target, required_flags
from penjing.targets.x86 import LEVEL_FLAGS

ARM_NAMES = (
    "arm-generic",
    "arm-a53",
    "arm-a55",
    "arm-a72",
    "arm-a76",
    "arm-a78",
    "arm-x1",
    "armv7-generic",
    "armv7-a9",
)


def test_names_lists_the_host_first_and_every_target_once() -> None:
    names = targets.names()
    assert names[0] == "host"
    assert set(ARM_NAMES) | {"x86-64-v2", "x86-64-v3", "x86-64-v4"} <= set(names)
    assert len(set(names)) == len(names)
    assert all(targets.get(name).name == name for name in names)


@pytest.mark.parametrize(
    ("wrong", "nearest"),
    [("arm-a27", "arm-a72"), ("arm72", "arm-a72"), ("x86-64-v5", "x86-64-v2"), ("gpu", "")],
)
def test_unknown_name_lists_the_known_ones(wrong: str, nearest: str) -> None:
    with pytest.raises(targets.UnknownTarget) as caught:
        targets.get(wrong)
    assert caught.value.nearest == nearest
    assert str(caught.value).startswith(f"unknown target {wrong!r}")
    assert all(name in str(caught.value) for name in targets.names())


def test_a_name_is_registered_once(monkeypatch: pytest.MonkeyPatch) -> None:
    known = dict(targets.registry._TARGETS)
    monkeypatch.setattr(targets.registry, "_TARGETS", known)
    mine = targets.register(replace(targets.get("arm-a72"), name="my-board", l2_bytes=1))
    assert targets.get("my-board") is mine
    with pytest.raises(ValueError, match="already a target named 'my-board'"):
        targets.register(mine)


def test_a_target_states_its_source_and_a_whole_vector_width() -> None:
    with pytest.raises(ValueError, match="say where its numbers come from"):
        replace(targets.get("arm-a72"), source="")
    with pytest.raises(ValueError, match="multiple of 64, got 100"):
        replace(targets.get("arm-a72"), simd_bits=100)


def test_a_gpu_has_the_fields_of_the_cpu_beside_it() -> None:
    gpu, cpu = targets.get("adreno-7xx,cpu=arm-a53"), targets.get("arm-a53")
    assert isinstance(gpu, targets.MobileGpu)
    assert (gpu.name, gpu.cpu, gpu.llvm_cpu) == ("adreno-7xx", "arm-a53", cpu.llvm_cpu)
    assert (gpu.features, gpu.gflops) == (cpu.features, targets.get("adreno-7xx").gflops)  # type: ignore[attr-defined]
    assert targets.get("opencl", cpu="host").features == targets.get("host").features
    with pytest.raises(targets.WrongTargetOption, match="options are flash=SIZE"):
        targets.get("opencl,gpu=1")


def test_lanes_count_the_elements_of_one_register() -> None:
    assert targets.get("arm-a72").lanes(32) == 4
    assert targets.get("x86-64-v4").lanes(8) == 64


@pytest.mark.parametrize("name", targets.names())
def test_llvm_knows_the_cpu_and_its_features(name: str) -> None:
    from tvm.target import codegen

    from penjing.targets.cpu.codegen import llvm_target

    target = targets.get(name)
    llvm = llvm_target(target)
    assert str(llvm.attrs["mcpu"]) == target.llvm_cpu
    assert codegen.llvm_is_valid_cpu(target.llvm_cpu, target.triple)
    known = {str(feature) for feature in codegen.llvm_get_cpu_features(llvm)}
    # What a target says on top of its CPU is something that LLVM has heard of and switched on.
    assert {feature.removeprefix("+") for feature in target.features} <= known


@pytest.mark.qemu
@pytest.mark.parametrize("name", ARM_NAMES)
def test_the_emulator_models_the_cpu(name: str) -> None:
    target = targets.get(name)
    if shutil.which(target.qemu) is None:
        pytest.skip(f"{target.qemu} is not installed")
    listing = subprocess.run([target.qemu, "-cpu", "help"], capture_output=True, text=True)
    assert target.qemu_cpu in listing.stdout.split()


@pytest.mark.parametrize("level", LEVEL_FLAGS)
def test_host_is_the_highest_level_whose_flags_it_has(level: str) -> None:
    host = describe("x86_64", LEVEL_FLAGS[level] | {"unheard_of"}, {})
    same = targets.get(level)
    assert (host.name, host.llvm_cpu, host.simd_bits) == ("host", level, same.simd_bits)
    assert host.features == ()


def test_host_reports_its_extras_and_caches() -> None:
    host = describe("x86_64", LEVEL_FLAGS["x86-64-v4"] | {"avx512_vnni"}, {1: 48, 2: 7})
    assert host.features == ("+avx512vnni",)
    assert (host.l1d_bytes, host.l2_bytes) == (48, 7)
    arm = describe("aarch64", frozenset({"asimddp", "asimdhp", "fp"}), {})
    assert arm.triple == "aarch64-linux-gnu"
    assert arm.features == ("+neon", "+dotprod", "+fullfp16")
    assert arm.qemu == ""


def test_host_refuses_what_it_cannot_compile_for() -> None:
    with pytest.raises(targets.UnsupportedHost, match="no host target for riscv64"):
        describe("riscv64", frozenset(), {})
    with pytest.raises(targets.UnsupportedHost, match="older than x86-64-v2"):
        describe("x86_64", frozenset({"sse2"}), {})


def test_flags_are_those_that_all_cores_share() -> None:
    text = "processor : 0\nflags\t\t: avx fma\nmodel : x\n\nprocessor : 1\nflags\t\t: fma sse\n"
    assert cpu_flags(text) == {"fma"}
    assert cpu_flags("Features\t: fp asimd\n") == {"fp", "asimd"}
    assert cpu_flags("") == set()


def test_cache_sizes_skip_the_instruction_cache(tmp_path: Path) -> None:
    for index, (level, kind, size) in enumerate(
        [(1, "Data", "48K"), (1, "Instruction", "32K"), (2, "Unified", "1024K")]
    ):
        folder = tmp_path / f"index{index}"
        folder.mkdir()
        for name, value in (("level", level), ("type", kind), ("size", size)):
            (folder / name).write_text(f"{value}\n")
    assert cache_sizes(tmp_path) == {1: 48 * 1024, 2: 1024 * 1024}


def test_this_machine_runs_its_own_code_and_no_other_architecture() -> None:
    host = targets.get("host")
    assert targets.runs_here(host)
    foreign = "x86-64-v2" if host.triple.startswith("aarch64") else "arm-a72"
    assert not targets.runs_here(targets.get(foreign))
    assert not targets.runs_here(targets.get("armv7-a9"))


def test_a_library_needs_the_instructions_of_its_target() -> None:
    needs = {name: required_flags(targets.get(name)) for name in ("arm-a72", "arm-a76")}
    assert needs["arm-a72"] == {"fp", "asimd"}
    assert needs["arm-a76"] > needs["arm-a72"] | {"asimddp", "atomics"}
    plain = targets.get("x86-64-v4")
    assert required_flags(plain) == LEVEL_FLAGS["x86-64-v4"]
    vnni = replace(plain, features=("+avx512vnni",))
    assert required_flags(vnni) == LEVEL_FLAGS["x86-64-v4"] | {"avx512_vnni"}


def test_a_machine_of_another_kind_runs_nothing_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    own = targets.get("host")
    monkeypatch.setattr(platform, "machine", lambda: "riscv64")
    host_target.cache_clear()
    try:
        assert not targets.runs_here(own)
        with pytest.raises(CompileError, match="no host target for riscv64"):
            penjing.compile(torch.nn.ReLU(), (torch.ones(1),), target="host")
    finally:
        host_target.cache_clear()
