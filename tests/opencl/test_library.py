"""Models become OpenCL libraries that run on a device, and on the CPU where there is none."""

import json
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

import penjing
from penjing.compiler.artifact import Artifact, load
from penjing.compiler.cli.main import main
from penjing.compiler.errors import CompileError
from penjing.compiler.library.elf import Elf
from penjing.compiler.manifest import Manifest
from penjing.compiler.runners.emulator import find_emulator
from penjing.compiler.toolchain import find_toolchain
from penjing.targets import MobileGpu
from penjing.targets.opencl.types import CannotPrint

from .runs import device


class Small(nn.Module):
    """Windows over images with borders, a part that is stored twice, outputs that are copied."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3, padding=1)
        self.depthwise = nn.Conv2d(8, 8, 5, padding=2, groups=8)
        self.pool = nn.MaxPool2d(3, 2, 1)
        self.linear = nn.Linear(8, 5)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        x = self.pool(self.depthwise(self.conv(x).relu()))
        y = self.linear(x.mean((2, 3)))
        return y, x, y.softmax(-1), y


IMAGE = (2, 3, 9, 11)


@pytest.fixture(scope="module")
def small() -> Small:
    torch.manual_seed(0)
    return Small().eval()


@pytest.fixture(scope="module")
def artifact(small: Small) -> Artifact:
    device()
    return penjing.compile(small, (torch.zeros(IMAGE),), target="opencl", name="small")


def check(artifact: Artifact, model: nn.Module, tolerance: float) -> None:
    x = torch.randn(IMAGE)
    with torch.no_grad():
        expected = model(x)
    for mine, right in zip(artifact.run(x), expected, strict=True):
        torch.testing.assert_close(torch.from_numpy(mine), right, atol=tolerance, rtol=tolerance)


def test_a_device_computes_what_pytorch_does(artifact: Artifact, small: Small) -> None:
    check(artifact, small, 1e-5)
    assert artifact._opencl.is_on_device
    assert "OpenCL" in artifact._opencl.device


def test_a_saved_library_runs_and_keeps_its_facts(
    artifact: Artifact, small: Small, tmp_path: Path
) -> None:
    artifact.save(tmp_path)
    again = load(tmp_path)
    assert again.manifest == artifact.manifest
    assert isinstance(again.manifest.target, MobileGpu)
    assert sorted(again.manifest.files) == [
        "libsmall.a",
        "libsmall.so",
        "small.c",
        "small.cl",
        "small.h",
    ]
    check(again, small, 1e-5)


def test_the_library_exports_its_functions_and_needs_no_opencl(artifact: Artifact) -> None:
    elf = Elf.open(artifact.folder / "libsmall.so")
    words = ("create", "run", "destroy", "message", "device", "on_device", "profile", "describe")
    assert elf.exported() == {f"small_{word}" for word in words}
    assert not any("OpenCL" in name for name in elf.needed())


def test_calls_list_their_launches_without_borders(artifact: Artifact) -> None:
    manifest = Manifest.read(artifact.folder / "small.json")
    calls = manifest.calls
    assert calls == artifact.manifest.calls
    assert all(call.launches for call in calls)
    assert not any("border" in call.ops for call in calls)
    conv = next(call for call in calls if "aten.conv2d.default" in call.ops)
    assert sum(launch.operations for launch in conv.launches) >= 2 * conv.macs
    count = sum(len(call.launches) for call in calls)
    assert f"{count} launches" in artifact.report.summary()


def test_a_profile_has_every_launch(artifact: Artifact) -> None:
    profile = artifact.profile(torch.randn(IMAGE))
    launches = [launch for call in artifact.manifest.calls for launch in call.launches]
    assert [row.launch for row in profile.launches] == launches
    assert profile.total == sum(row.nanoseconds for row in profile.launches) > 0
    assert "per byte" in str(profile)
    assert "at best" not in str(profile)  # nothing is known about the device
    content = json.loads(json.dumps(profile.to_json()))
    assert content["launches"][0]["function"] == launches[0].function


def test_the_command_line_runs_and_profiles_a_saved_library(
    artifact: Artifact, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    artifact.save(tmp_path)
    assert main(["run", str(tmp_path)]) == 0
    assert "f32[2,5]" in capsys.readouterr().out
    assert main(["profile", str(tmp_path), "--top", "1"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 3
    assert lines[-1].endswith(f"in {len(artifact.manifest.calls)} calls")


def test_a_header_compiles_as_c_and_cpp(artifact: Artifact, tmp_path: Path) -> None:
    toolchain = find_toolchain(artifact.manifest.target)
    for language in ("c", "c++"):
        text = '#include "small.h"\nint main(void) { return small_create(0, 0); }\n'
        (tmp_path / "main.c").write_text(text)
        flags = ["-x", language, "-Wall", "-Wextra", "-Werror", "-c", "main.c"]
        toolchain.run([f"-I{artifact.folder}", *flags], tmp_path)


def test_archives_of_two_models_link_into_one_program(artifact: Artifact, tmp_path: Path) -> None:
    other = penjing.compile(nn.ReLU(), (torch.zeros(4),), target="opencl", name="other")
    (tmp_path / "main.c").write_text(TWO_MODELS)
    archives = [str(each.folder / f"lib{each.manifest.name}.a") for each in (artifact, other)]
    folders = [f"-I{each.folder}" for each in (artifact, other)]
    flags = ["-Wall", "-Wextra", "-Werror", "-o", "main", "main.c", *archives, "-ldl"]
    find_toolchain(artifact.manifest.target).run([*folders, *flags], tmp_path)
    done = subprocess.run([tmp_path / "main"], capture_output=True, text=True, check=True)
    assert done.stdout == "cpu cpu 0 2\n"


def test_float16_is_stored_where_that_is_chosen(small: Small) -> None:
    device()
    half = penjing.compile(
        small, (torch.zeros(IMAGE),), target="opencl", name="half", precision="float16"
    )
    check(half, small, 1e-2)
    assert half.manifest.passes[-2]["name"] == "reduce-precision"
    assert [entry.spec.dtype for entry in half.manifest.outputs] == ["float32"] * 4


TWO_MODELS = """
#include <stdio.h>
#include "small.h"
#include "other.h"
int main(void)
{
    static float image[SMALL_INPUT0_ELEMENTS], y[SMALL_OUTPUT0_ELEMENTS], x[SMALL_OUTPUT1_ELEMENTS];
    static float s[SMALL_OUTPUT2_ELEMENTS], again[SMALL_OUTPUT3_ELEMENTS];
    float in[4] = {-1, 2, -3, 4}, out[4];
    penjing_config config = {.size = sizeof config, .runs = PENJING_ON_CPU_ONLY};
    penjing_session *small, *other;
    if (small_create(&config, &small) != PENJING_OK || other_create(&config, &other) != PENJING_OK)
        return 1;
    if (small_run(small, (const void *[]){image}, (void *[]){y, x, s, again}) != PENJING_OK ||
        other_run(other, (const void *[]){in}, (void *[]){out}) != PENJING_OK)
        return 2;
    printf("%s %s %g %g\\n", small_device(small), other_device(other), out[0], out[1]);
    small_destroy(small);
    other_destroy(other);
}
"""


class Corners(nn.Module):
    """Outputs that no kernel writes: an input, a weight, nothing at all."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(4))

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return x, self.weight, x[:0], x.sum()


@pytest.mark.parametrize("model", [Corners(), nn.Identity()])
def test_outputs_that_no_kernel_writes(model: nn.Module) -> None:
    device()
    x = torch.randn(3, 4)
    artifact = penjing.compile(model, (x,), target="opencl", name="corners")
    expected = model(x)
    rights = expected if isinstance(expected, tuple) else (expected,)
    for mine, right in zip(artifact.run(x), rights, strict=True):
        torch.testing.assert_close(torch.from_numpy(mine), right.detach())
    assert artifact._opencl.is_on_device


def test_a_device_without_float16_arithmetic_leaves_the_model_to_the_cpu() -> None:
    if "cl_khr_fp16" in device().extensions:
        pytest.skip("the device has float16 arithmetic")
    model, x = nn.Linear(7, 5).eval(), torch.randn(3, 7)
    half = {"precision": "float16", "half": "arithmetic"}
    artifact = penjing.compile(model, (x,), target="opencl", name="narrow", **half)  # type: ignore[arg-type]
    with pytest.warns(RuntimeWarning, match=r"narrow runs on the CPU: .* lacks cl_khr_fp16"):
        (mine,) = artifact.run(x)
    torch.testing.assert_close(torch.from_numpy(mine), model(x).detach(), atol=1e-2, rtol=1e-2)
    assert artifact._opencl.device == "cpu"


@pytest.mark.qemu
def test_a_phone_without_opencl_runs_the_model_on_its_cpu(small: Small) -> None:
    artifact = penjing.compile(small, (torch.zeros(IMAGE),), target="mali-g7x", name="phone")
    check(artifact, small, 1e-2)  # float16 is the default there
    assert "ms (estimate by peak numbers, not measured)" in artifact.report.summary()
    with pytest.raises(CompileError, match="launches are timed in this process"):
        artifact.profile(torch.zeros(IMAGE))


@pytest.mark.qemu
def test_a_library_for_android_calls_its_libc(small: Small, tmp_path: Path) -> None:
    target = "adreno-6xx,os=android"
    artifact = penjing.compile(small, (torch.zeros(IMAGE),), target=target, name="phone")
    elf = Elf.open(artifact.folder / "libphone.so")
    assert sorted(elf.needed()) == ["libc.so", "libdl.so"]
    assert not elf.section_bytes(".gnu.version_r")  # Android's libc has no such versions
    assert not elf.section_bytes(".tdata") + elf.section_bytes(".tbss")
    with pytest.raises(CompileError, match="libraries for android do not run here"):
        artifact.run(torch.zeros(IMAGE))
    check(as_on_linux(artifact, tmp_path), small, 1e-2)


def as_on_linux(artifact: Artifact, folder: Path) -> Artifact:
    """A library for Android that runs here: glibc under the names that it asks for."""
    assert isinstance(artifact.manifest.target, MobileGpu)
    emulated = replace(artifact.manifest.target, os="linux")
    emulator = find_emulator(emulated)
    libc = Path(emulator.command[-1]) / "lib" / "libc.so.6"
    for name in ("libc.so", "libdl.so"):
        (folder / name).symlink_to(libc)
    command = (*emulator.command, "-E", f"LD_LIBRARY_PATH={folder}")
    again = replace(artifact, manifest=replace(artifact.manifest, target=emulated))
    process = replace(again._emulated.process, emulator=replace(emulator, command=command))
    again._emulated.process = process
    return again


def test_what_cannot_be_printed_names_the_module(
    small: Small, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*arguments: object, **options: object) -> None:
        raise CannotPrint("a loop")

    monkeypatch.setattr("penjing.targets.opencl.lower.print_kernel", refuse)
    with pytest.raises(CompileError, match="no kernel of opencl computes this") as caught:
        penjing.compile(small, (torch.zeros(IMAGE),), target="opencl")
    assert "conv" in caught.value.at
    assert "a loop" in caught.value.got


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"threads": 2}, "is a GPU"),
        ({"weights": "file"}, "is a GPU"),
        ({"precision": "float8"}, "precision must be"),
        ({"target": "x86-64-v3", "precision": "float16"}, "precision is chosen for mobile GPUs"),
        ({"target": "opencl,cpu=cortex-m4"}, "no 64-bit CPU"),
        ({"target": "opencl,cpu=armv7-a9"}, "no 64-bit CPU"),
        ({"target": "opencl,os=ios"}, "os is linux or android"),
        ({"target": "arm-a72,cpu=arm-a53"}, "no mobile GPU"),
    ],
)
def test_options_that_do_not_fit_are_refused(options: dict[str, object], message: str) -> None:
    with pytest.raises(CompileError, match=message):
        penjing.compile(nn.ReLU(), (torch.zeros(1),), **{"target": "opencl", **options})  # type: ignore[arg-type]
