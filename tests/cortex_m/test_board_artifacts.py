"""An artifact for a microcontroller runs and is measured through the same methods as any other."""

from pathlib import Path

import numpy as np
import pytest

from penjing import targets
from penjing.compiler.artifact import Artifact
from penjing.compiler.errors import CompileError
from penjing.compiler.input_arrays import as_arrays
from penjing.compiler.ir.tensor_spec import TensorSpec
from penjing.compiler.manifest import CallEntry, Manifest, Sizes, TensorEntry

# y[h][w][c] = x[h][w][c] + c, whose channels are last.
_SOURCE = """
#include <stddef.h>
#include <stdint.h>
#ifdef PENJING_PROFILE
void penjing_step(int call);
#define STEP(call) penjing_step(call)
#else
#define STEP(call) ((void)0)
#endif
int ramp_run(const void *const *inputs, void *const *outputs, void *arena, size_t arena_bytes);
int ramp_run(const void *const *inputs, void *const *outputs, void *arena, size_t arena_bytes)
{
    const int8_t *x = inputs[0];
    int8_t *y = outputs[0];
    (void)arena, (void)arena_bytes;
    STEP(0);
    for (int i = 0; i < 24; i++)
        y[i] = (int8_t)(x[i] + i % 3);
    STEP(1);
    return 0;
}
"""


@pytest.fixture
def ramp(tmp_path: Path) -> Artifact:
    (tmp_path / "ramp.c").write_text(_SOURCE)
    image = TensorSpec((1, 3, 2, 4), "int8")
    call = CallEntry(kernel="ramp", macs=24, bytes=48, ops=("aten.add",), modules=("ramp",))
    sizes = Sizes(
        library_bytes=0,
        code_bytes=0,
        weights_bytes=0,
        arena_bytes=0,
        arena_lower_bound_bytes=0,
        macs=24,
    )
    manifest = Manifest(
        name="ramp",
        target=targets.get("cortex-m4"),
        threads=1,
        weights="embed",
        inputs=(TensorEntry(name="x", spec=image, channels_last=True),),
        outputs=(TensorEntry(name="y", spec=image, channels_last=True),),
        passes=(),
        calls=(call,),
        sizes=sizes,
        tools={},
        source_sha256="",
        files={"ramp.c": ""},
    )
    return Artifact(manifest=manifest, folder=tmp_path)


@pytest.mark.qemu
def test_arrays_keep_the_order_of_axes_of_pytorch(ramp: Artifact) -> None:
    x = np.random.default_rng(0).integers(-100, 100, (1, 3, 2, 4), np.int8)
    (y,) = ramp.run(x)
    np.testing.assert_array_equal(y, x + np.arange(3, dtype=np.int8)[:, None, None])


@pytest.mark.qemu
def test_instructions_steps_and_stack(ramp: Artifact) -> None:
    x = np.zeros((1, 3, 2, 4), np.int8)
    count = ramp.trace_instructions(x, mnemonics=True)
    assert count.total == ramp.count_instructions(x) == ramp.count_instructions(x + 1)
    assert abs(sum(count.by_mnemonic.values()) - count.total) < 5  # that of the marks
    profile = ramp.profile(x)
    assert profile.unit == "instructions" and len(profile.rows) == 1
    assert 100 < profile.total < count.total
    assert 0 <= ramp.measure_stack(x) < 100


def test_real_numbers_are_rounded_to_the_steps_of_an_input() -> None:
    entry = TensorEntry(name="x", spec=TensorSpec((6,), "int8"), scale=0.5, zero_point=-3)
    x = np.array([0, 0.25, 0.75, -1.2, 500, -500], np.float32)
    (array,) = as_arrays((x,), {}, [entry])
    assert array.dtype == np.int8 and array.tolist() == [-3, -3, -1, -5, 127, -128]
    with pytest.raises(CompileError, match="input x must be"):
        as_arrays((x,), {}, [TensorEntry(name="x", spec=TensorSpec((6,), "int8"))])


def test_a_project_is_saved_around_the_files(ramp: Artifact, tmp_path: Path) -> None:
    (ramp.folder / "ramp.json").write_text("{}")
    ramp.save(tmp_path / "saved", project=True)
    saved = {str(path.relative_to(tmp_path / "saved")) for path in tmp_path.glob("saved/**/*")}
    assert {"ramp.c", "ramp.json", "CMakeLists.txt", "main.c", "board/board.ld"} <= saved
    assert "add_library(ramp STATIC ramp.c)" in (tmp_path / "saved/CMakeLists.txt").read_text()
    ramp.save(tmp_path / "plain")
    assert {path.name for path in tmp_path.glob("plain/*")} == {"ramp.c", "ramp.json"}


def test_there_are_projects_for_microcontrollers_only(ramp: Artifact, tmp_path: Path) -> None:
    object.__setattr__(ramp.manifest, "target", targets.get("arm-a72"))
    with pytest.raises(CompileError, match="projects for microcontrollers only"):
        ramp.save(tmp_path / "saved", project=True)
    assert not (tmp_path / "saved").exists()


def test_the_stack_is_measured_on_microcontrollers_only(ramp: Artifact) -> None:
    object.__setattr__(ramp.manifest, "target", targets.get("arm-a72"))
    with pytest.raises(CompileError, match="on microcontrollers only"):
        ramp.measure_stack(np.zeros((1, 3, 2, 4), np.int8))
