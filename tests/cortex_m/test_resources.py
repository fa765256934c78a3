"""The resource certificate, and what does not fit."""

import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from penjing.compiler.errors import CompileError
from penjing.compiler.lowering.program import Lowered
from penjing.compiler.planning import MemoryPlan, plan_memory
from penjing.compiler.resources.certificate import Certificate
from penjing.compiler.resources.fit import arena_limit, check_flash, check_ram, find_peak
from penjing.compiler.resources.measure import Measured, measure
from penjing.compiler.resources.stack import CallGraph, StackUse
from penjing.compiler.runners.boards.model import BoardModel, ModelOnBoard, stack_bytes
from penjing.targets.microcontrollers import CORTEX_M4, Microcontroller

from ..lowered_builder import LoweredBuilder

needs_gcc = pytest.mark.skipif(not shutil.which("arm-none-eabi-gcc"), reason="needs arm gcc")

_GRAPH = """\
graph: { title: "m.c"
node: { title: "m.c:inner.isra.0" label: "inner.isra\\nm.c:2:38\\n80 bytes (static)" }
node: { title: "other" label: "other\\nm.c:2:38\\n8 bytes (static)" }
node: { title: "run" label: "run\\nm.c:3:5\\n32 bytes (static)" }
node: { title: "memset" label: "memset\\nstring.h:33:9" shape : ellipse }
edge: { sourcename: "run" targetname: "m.c:inner.isra.0" label: "m.c:3:41" }
edge: { sourcename: "run" targetname: "other" label: "m.c:3:57" }
edge: { sourcename: "other" targetname: "memset" label: "m.c:3:57" }
edge: { sourcename: "loop" targetname: "loop" label: "m.c:3:57" }
node: { title: "loop" label: "loop\\nm.c:3:5\\n8 bytes (static)" }
node: { title: "far" label: "far\\nm.c:3:5\\n8 bytes (static)" }
edge: { sourcename: "far" targetname: "__indirect_call" label: "m.c:3:90" }
}
"""


def test_the_deepest_path_of_calls_is_found() -> None:
    graph = CallGraph()
    graph.read(_GRAPH)
    assert graph.deepest("run") == StackUse(112, ("run", "inner"))
    assert graph.deepest("other") == StackUse(40, ("other", "memset"))


def test_stacks_without_a_bound_are_refused() -> None:
    graph = CallGraph()
    graph.read(_GRAPH)
    with pytest.raises(CompileError, match="call themselves"):
        graph.deepest("loop")
    with pytest.raises(CompileError, match="far > __indirect_call"):
        graph.deepest("far")
    with pytest.raises(CompileError, match="no constant size"):
        graph.read(_GRAPH.replace("80 bytes (static)", "80 bytes (dynamic)"))


def model(*, frame: int, name: str = "net") -> BoardModel:
    """A model whose run function calls one of another file with a frame of so many words."""
    run = (
        "void second(volatile int *x);\n"
        f"int {name}_run(const void *const *in, void *const *out, void *arena, unsigned long n);\n"
        f"int {name}_run(const void *const *in, void *const *out, void *arena, unsigned long n)\n"
        "{\n    volatile int a[20];\n    a[3] = *(const signed char *)in[0] + (arena != 0 && n);\n"
        "    second(a);\n    *(signed char *)out[0] = (signed char)a[0];\n    return 0;\n}\n"
    )
    second = (
        "void second(volatile int *x);\n"
        f"void second(volatile int *x)\n{{\n    volatile int a[{frame}];\n    a[0] = 1;\n"
        "    *x = a[0];\n}\n"
    )
    return BoardModel(
        name=name,
        core=CORTEX_M4,
        sources={"a.c": run, "b.c": second},
        input_bytes=(8,),
        output_bytes=(8,),
        arena_bytes=8,
    )


_ASSEMBLY = """\
    .type   inner.isra.0, %function
inner.isra.0:
    push {r4, r5}
@ 30 "net_kernels.h" 1
    push {r4-r11, lr}
.rept 2
    ldr r4, [sp, #4]
.endr
1:
    str r0, [sp, #-8]!
    sub sp, sp, #24
@ 0 "" 2
    sub sp, sp, #400
"""


def test_what_inline_assembly_pushes_is_added() -> None:
    graph = CallGraph()
    graph.read(_GRAPH)
    graph.read_assembly(_ASSEMBLY)
    assert graph.deepest("run").bytes == 112 + 9 * 4 + 8 + 24


@needs_gcc
def test_frames_of_several_files_are_added() -> None:
    found = measure(model(frame=30))
    assert found.stack is not None
    assert found.code_bytes is not None
    assert found.stack.path == ("net_run", "second")
    assert 200 <= found.stack.bytes <= 240
    assert 40 <= found.code_bytes <= 120
    assert "gcc" in found.tools[0]


@needs_gcc
@pytest.mark.qemu
def test_the_stack_that_a_model_touches_is_within_the_certificate() -> None:
    small = model(frame=60)
    found = measure(small)
    run = ModelOnBoard(small).run(bytes(8), count=True)
    assert found.stack is not None
    assert found.stack.bytes - 100 <= stack_bytes(run) <= found.stack.bytes
    assert found.instructions == run.instructions[0]


def test_without_tools_nothing_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PENJING_CC", "no-such-compiler")
    assert measure(model(frame=1)) == Measured()


def two_layers() -> tuple[Lowered, MemoryPlan]:
    """A wide layer between two narrow ones, with weights and scratch memory."""
    build = LoweredBuilder()
    weights = build.constant(np.zeros(300, np.int8))
    (small,) = build.call("k0", [build.input(10, dtype="int8")], (1000,), dtype="int8")
    (wide,) = build.call("k1", [small, weights], (5000,), dtype="int8", workspaces=(16,))
    lowered = build.build(*build.call("k2", [wide], (4,), dtype="int8"))
    return lowered, plan_memory(lowered, align=8)


def certificate(plan: MemoryPlan, stack: StackUse | None = None) -> Certificate:
    return Certificate(
        arena_bytes=plan.arena_bytes,
        arena_bound_bytes=plan.lower_bound_bytes,
        input_bytes=10,
        output_bytes=4,
        weights_bytes=300,
        macs=12345,
        measured=Measured(
            code_bytes=2000, stack=stack, instructions=99999, tools=("gcc 1, -O2", "QEMU b")
        ),
    )


def limited(ram: int = 0, flash: int = 0) -> Microcontroller:
    return replace(CORTEX_M4, ram_bytes=ram, flash_bytes=flash)


def test_the_peak_is_where_most_memory_is_in_use() -> None:
    lowered, plan = two_layers()
    peak = find_peak(lowered, plan)
    assert peak is not None
    assert (peak.step, peak.bytes) == (1, 6064)
    assert [size for _, size in peak.values] == [5000, 1000, 64]


def test_a_model_without_enough_memory_is_refused_by_the_layer_at_the_peak() -> None:
    lowered, plan = two_layers()
    needs = certificate(plan, StackUse(100, ("run",)))
    check_ram(lowered, plan, needs, limited(ram=6178))
    check_ram(lowered, plan, needs, CORTEX_M4)
    with pytest.raises(CompileError) as error:
        check_ram(lowered, plan, needs, limited(ram=6000), ["smaller images"])
    assert "needs 178 bytes more RAM" in error.value.what
    assert error.value.at == "layer1 (test.k1)"
    assert "arena 6064 + inputs 10 + outputs 4 + stack 100" in error.value.got
    assert "5000 the result of layer1 (test.k1), 1000 the result of layer0" in error.value.got
    assert error.value.fix.startswith("smaller images; ")


def test_what_remains_for_the_arena() -> None:
    lowered, _ = two_layers()
    assert arena_limit(lowered, CORTEX_M4) is None
    assert arena_limit(lowered, limited(ram=4096)) == 4096 - 14 - 512
    assert arena_limit(lowered, limited(ram=4096), inputs_in_arena=True) == 4096 - 4 - 512
    assert arena_limit(lowered, limited(ram=100)) == 0


def test_a_model_without_enough_flash_is_refused_by_its_largest_layer() -> None:
    lowered, plan = two_layers()
    check_flash(lowered, certificate(plan), limited(flash=2300))
    with pytest.raises(CompileError) as error:
        check_flash(lowered, certificate(plan), limited(flash=2048))
    assert "needs 252 bytes more flash" in error.value.what
    assert error.value.at == "layer1 (test.k1)"
    assert "300 of them in this layer" in error.value.got


def compiles(text: str, tmp_path: Path) -> bool:
    (tmp_path / "t.c").write_text(text)
    options = ["-std=c99", "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-fsyntax-only"]
    return not subprocess.run(["cc", *options, "t.c"], cwd=tmp_path, check=False).returncode


@pytest.mark.skipif(not shutil.which("cc"), reason="needs a C compiler")
def test_the_header_checks_the_memories_of_the_target(tmp_path: Path) -> None:
    _, plan = two_layers()
    needs = certificate(plan, StackUse(100, ("run", "layer")))
    text = needs.macros("net", limited(ram=8192, flash=4096))
    assert "#define NET_STACK_BYTES 100u /* deepest in run > layer */" in text
    assert "#define NET_RAM_BYTES 6178u" in text
    assert "#define NET_MACS 12345u" in text
    assert "#define NET_INSTRUCTIONS 99999u" in text
    assert compiles(text, tmp_path)
    assert not compiles(needs.macros("net", limited(ram=6177)), tmp_path)
    assert not compiles(needs.macros("net", limited(flash=2299)), tmp_path)
    assert "TARGET" not in needs.macros("net", CORTEX_M4)
