"""Programs on the emulated boards: what they print, write and execute."""

import importlib.util

import pytest

from penjing import targets
from penjing.compiler.errors import CompileError
from penjing.compiler.runners.boards import emulation, image, toolchain
from penjing.compiler.runners.boards.board import board_of
from penjing.compiler.runners.boards.emulation import BoardRun, run_program
from penjing.targets.microcontrollers import CORES, Microcontroller

_LOOP = (
    '__asm__ volatile(".syntax unified\\n movs r0, #100\\n1: subs r0, #1\\n bne 1b" ::: "r0", "cc")'
)


def _run(body: str, core: Microcontroller, **options: object) -> BoardRun:
    source = f'#include "board.h"\n#include <string.h>\nint main(void)\n{{\n{body}\n}}\n'
    return run_program(core, {"main.c": source}, **options)  # type: ignore[arg-type]


def _core(name: str) -> Microcontroller:
    core = targets.get(name)
    assert isinstance(core, Microcontroller)
    return core


@pytest.mark.qemu
@pytest.mark.parametrize("core", CORES, ids=lambda core: core.name)
def test_every_core_counts_exactly_and_copies_files(core: Microcontroller) -> None:
    body = f"""
        static char text[20];
        int file = board_open_to_read("in");
        size_t length = board_read(file, text, sizeof text);
        board_mark_begin();
        {_LOOP};
        board_mark_end();
        board_mark_begin();
        board_mark_end();
        file = board_open_to_write("out");
        board_write(file, text, length);
        board_print("done");
        return 7;"""
    run = _run(body, core, files={"in": b"some bytes"})
    assert run.exit_code == 7 and run.text == "done" and run.files == {"out": b"some bytes"}
    assert run.instructions == (201, 0)


@pytest.mark.qemu
def test_steps_are_counted_between_their_marks() -> None:
    body = f"""
        board_mark_begin();
        penjing_step(0);
        {_LOOP};
        penjing_step(1);
        penjing_step(2);
        board_mark_end();
        return 0;"""
    steps = _run(body, _core("cortex-m4")).steps
    assert len(steps) == 2 and 201 <= steps[0] <= 203 and steps[1] <= 2


@pytest.mark.qemu
def test_programs_that_go_wrong_say_where() -> None:
    core = _core("cortex-m4")
    missing = _run('return board_open_to_read("nowhere");', core)
    assert missing.exit_code == 2 and missing.text == "cannot open nowhere\n"
    fault = _run("return *(volatile int *)0x90000000;", core)
    assert fault.exit_code == 4 and "address 90000000" in fault.text


@pytest.mark.qemu
def test_a_stack_that_grows_too_far_faults_instead_of_overwriting() -> None:
    body = "volatile char large[8000]; large[0] = 1; return large[0] - 1;"
    assert _run(body, _core("cortex-m4")).exit_code != 0


@pytest.mark.qemu
def test_memory_functions_at_every_alignment() -> None:
    body = """
        static unsigned char from[64], to[64], moved[64];
        for (int i = 0; i < 64; i++)
            from[i] = (unsigned char)(i + 1);
        int wrong = 0;
        for (volatile int a = 0; a < 5; a++)
            for (volatile int b = 0; b < 5; b++)
                for (volatile size_t n = 0; n < 40; n += 3) {
                    memset(to, 0, 64);
                    memcpy(to + a, from + b, n);
                    for (int i = 0; i < 64; i++)
                        wrong |= to[i] != (i >= a && i < a + (int)n ? from[i - a + b] : 0);
                    memcpy(moved, from, 64);
                    memmove(moved + a, moved + b, n);
                    for (int i = 0; i < (int)n; i++)
                        wrong |= moved[i + a] != from[i + b];
                    memset(to + a, 9, n);
                    for (int i = 0; i < (int)n; i++)
                        wrong |= to[a + i] != 9;
                }
        return wrong;"""
    assert _run(body, _core("cortex-m4")).exit_code == 0


@pytest.mark.slow
@pytest.mark.qemu
@pytest.mark.parametrize("name", ["cortex-m0plus", "cortex-m4", "cortex-m33", "cortex-m55"])
def test_zig_builds_programs_too(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    core = _core(name)
    found = toolchain.toolchains(core)
    zig = [each for each in found if "-rtlib=compiler-rt" in each.helpers]
    if not zig:
        pytest.skip("zig is not installed")
    monkeypatch.setattr(image, "find_board_toolchain", lambda core: zig[0])
    body = f"""
        volatile long long a = 1234567890123, b = 1000;
        volatile float real = 1.5f;
        real *= real;
        #if {int(core.has_dsp)} != defined(__ARM_FEATURE_DSP)
        #error "DSP"
        #endif
        #if {int(core.has_mve)} != defined(__ARM_FEATURE_MVE)
        #error "MVE"
        #endif
        board_mark_begin();
        {_LOOP};
        board_mark_end();
        return real != 2.25f || a * b >> 20 != 1177375688;"""
    run = _run(body, core)
    assert run.exit_code == 0 and run.instructions == (201,)


def test_the_absence_of_tools_is_explained(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    monkeypatch.delenv("PENJING_CC", raising=False)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(CompileError, match="no C compiler for cortex-m4") as error:
        toolchain.find_board_toolchain(_core("cortex-m4"))
    assert error.value.got == "none is installed" and "gcc-arm-none-eabi" in error.value.fix
    with pytest.raises(CompileError, match="needs qemu-system-arm") as error:
        emulation._machine(board_of(_core("cortex-m4")))
    assert "apt install qemu-system-arm" in error.value.fix


@pytest.mark.qemu
def test_a_program_that_does_not_end_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(emulation, "_LONGEST_SECONDS", 1)
    with pytest.raises(CompileError, match="did not end in 1 s"):
        _run("for (;;) { }", _core("cortex-m4"))


@pytest.mark.qemu
def test_a_chosen_compiler_gets_the_flags_of_the_core(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PENJING_CC", "arm-none-eabi-gcc -fno-common")
    found = toolchain.find_board_toolchain(_core("cortex-m7"))
    assert found.command[:2] == ("arm-none-eabi-gcc", "-fno-common")
    assert "-mcpu=cortex-m7" in found.command and found.helpers == "-lgcc"


def test_a_chosen_compiler_must_generate_code_for_arm(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PENJING_CC", "gcc-that-is-nowhere -O3")
    with pytest.raises(CompileError, match="no C compiler for cortex-m3") as error:
        toolchain.find_board_toolchain(_core("cortex-m3"))
    assert error.value.at == "PENJING_CC" and "gcc-that-is-nowhere" in error.value.got
