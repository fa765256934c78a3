"""The driver that runs a model on a board: its values, its measurements, and what it catches."""

from dataclasses import replace

import numpy as np
import pytest

from penjing import targets
from penjing.compiler.errors import CompileError
from penjing.compiler.runners.boards.board import BOARDS
from penjing.compiler.runners.boards.model import BoardModel, ModelOnBoard, stack_bytes
from penjing.compiler.runners.boards.objects import object_facts
from penjing.targets.microcontrollers import CORES, Microcontroller

# sum of a and b through the arena; STEP marks and faults are chosen by macros.
_SOURCE = """
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#ifdef PENJING_PROFILE
void penjing_step(int call);
#define STEP(call) penjing_step(call)
#else
#define STEP(call) ((void)0)
#endif
#ifndef SABOTAGE
#define SABOTAGE
#endif
static const int8_t offset[4] = {1, 2, 3, 4};
int sum_run(const void *const *inputs, void *const *outputs, void *arena, size_t arena_bytes);
int sum_run(const void *const *inputs, void *const *outputs, void *arena, size_t arena_bytes)
{
    const int8_t *a = inputs[0], *b = inputs[1];
    int8_t *y = outputs[0], *work = arena;
    if (arena_bytes < 16 || ((uintptr_t)arena & 7) != 0)
        return 4;
    STEP(0);
    memcpy(work, a, 16);
    STEP(1);
    for (int i = 0; i < 16; i++)
        y[i] = (int8_t)(work[i] + b[i] + offset[i & 3]);
    STEP(2);
    SABOTAGE;
    return 0;
}
"""


def _core(name: str) -> Microcontroller:
    core = targets.get(name)
    assert isinstance(core, Microcontroller)
    return core


def _model(core: str = "cortex-m4") -> BoardModel:
    return BoardModel(
        name="sum",
        core=_core(core),
        sources={"sum.c": _SOURCE},
        input_bytes=(16, 16),
        output_bytes=(16,),
        arena_bytes=16,
    )


def _inputs(runs: int) -> np.ndarray:
    return np.random.default_rng(0).integers(-50, 50, (runs, 2, 16), np.int8)


def _expected(inputs: np.ndarray) -> bytes:
    sums = inputs[:, 0] + inputs[:, 1] + np.tile([1, 2, 3, 4], 4)
    return bytes(sums.astype(np.int8))


@pytest.mark.qemu
@pytest.mark.parametrize("core", CORES, ids=lambda core: core.name)
def test_every_core_runs_all_sets_of_inputs(core: Microcontroller) -> None:
    inputs = _inputs(3)
    run = ModelOnBoard(_model(core.name)).run(inputs.tobytes(), count=True)
    assert run.files["outputs"] == _expected(inputs)
    assert len(run.instructions) == 3 and len(set(run.instructions)) == 1
    assert 0 < stack_bytes(run) < 100 and stack_bytes(run) % 4 == 0


@pytest.mark.qemu
def test_a_core_of_armv6m_runs_its_own_instructions_and_no_unaligned_access() -> None:
    board, inputs = BOARDS["lm3s6965evb"], _inputs(1)
    run = ModelOnBoard(_model("cortex-m0plus"), board=board).run(inputs.tobytes())
    assert run.files["outputs"] == _expected(inputs)
    unaligned = "-DSABOTAGE=y[0] = (int8_t)*(volatile int32_t *)(work + 1)"
    with pytest.raises(CompileError, match="did not run to its end") as error:
        ModelOnBoard(_model("cortex-m0plus"), options=[unaligned], board=board).run(b"\0" * 32)
    assert "fault at" in error.value.got


@pytest.mark.qemu
def test_steps_add_up_to_the_run() -> None:
    run = ModelOnBoard(_model(), options=["-DPENJING_PROFILE"]).run(b"\0" * 32, count=True)
    assert len(run.steps) == 2 and all(run.steps)
    assert 0 < run.instructions[0] - sum(run.steps) < 60


@pytest.mark.qemu
@pytest.mark.parametrize(
    ("sabotage", "message"),
    [
        ("work[16] = 0", "before or behind the arena"),
        ("work[-1] = 0", "before or behind the arena"),
        ("y[-1] = 0", "before or behind an output"),
        ("((int8_t *)b)[16] = 0", "before or behind an input"),
        ("((int8_t *)b)[3] ^= 1", "changed an input"),
        ("*(volatile int *)0x90000000 = 0", "fault at"),
    ],
)
def test_what_a_model_may_not_do_is_noticed(sabotage: str, message: str) -> None:
    model = ModelOnBoard(_model(), options=[f"-DSABOTAGE={sabotage}"])
    with pytest.raises(CompileError, match="did not run to its end") as error:
        model.run(b"\0" * 32)
    assert message in error.value.got


@pytest.mark.qemu
def test_inputs_may_change_where_that_was_agreed() -> None:
    model = replace(_model(), inputs_may_change=True)
    run = ModelOnBoard(model, options=["-DSABOTAGE=((int8_t *)b)[3] ^= 1"]).run(b"\0" * 32)
    assert len(run.files["outputs"]) == 16


@pytest.mark.qemu
def test_the_refusal_of_a_model_is_named() -> None:
    model = replace(_model(), arena_bytes=8)
    with pytest.raises(CompileError, match="sum_run returned PENJING_SMALL_ARENA"):
        ModelOnBoard(model).run(b"\0" * 32)


@pytest.mark.qemu
def test_the_stack_that_a_model_touches_is_measured() -> None:
    plain = stack_bytes(ModelOnBoard(_model()).run(b"\0" * 32))
    fill = "-DSABOTAGE=volatile char s[200]; for (int i = 0; i < 200; i++) s[i] = 0"
    touched = stack_bytes(ModelOnBoard(_model(), options=[fill]).run(b"\0" * 32))
    assert 200 <= touched - plain <= 216


def test_a_model_that_is_larger_than_the_board_is_refused() -> None:
    with pytest.raises(CompileError, match="does not fit the emulated board") as error:
        ModelOnBoard(replace(_model(), arena_bytes=5_000_000))
    assert "4194304" in error.value.got


@pytest.mark.qemu
def test_facts_of_objects() -> None:
    facts = object_facts(_core("cortex-m4"), {"sum.c": _SOURCE}, options=["-fno-builtin"])
    assert 20 < facts.code_bytes < 200 and facts.constant_bytes == 4
    assert facts.variable_bytes == 0 and facts.undefined == {"memcpy"}
