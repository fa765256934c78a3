"""Runs single layers as C, on this computer and on emulated boards, and compares their bytes."""

import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from penjing import targets
from penjing.compiler.runners.boards.emulation import run_program
from penjing.targets.cortex_m.layer import Array, Layer, NodeArguments
from penjing.targets.cortex_m.print_c import print_function
from penjing.targets.microcontrollers import Microcontroller

_C_TYPES = {"int8": "int8_t", "uint8": "uint8_t", "int16": "int16_t", "int32": "int32_t"}
_GUARD = 64  # bytes around the result and the scratch memory
_WARNINGS = ("-Wall", "-Wextra", "-Werror")
_STRICT = ("-std=c99", "-Wpedantic", *_WARNINGS)
_SANITIZED = ("-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all")
_HEAD = """\
#include <stdint.h>
#include <string.h>
#if defined(__ARM_FEATURE_MVE)
#include <arm_mve.h>
#endif
#ifdef ON_BOARD
#include "board.h"
#else
#include <stdio.h>
#define board_mark_begin()
#define board_mark_end()
#define board_print puts
#endif
"""
_OUTSIDE = f"""
static int is_outside(const unsigned char *memory, int size)
{{
    int outside = 0;
    for (int i = 0; i < {_GUARD}; ++i)
        outside |= memory[i] != 0xa5 || memory[{_GUARD} + size + i] != 0xa5;
    return outside;
}}
"""


def core(name: str) -> Microcontroller:
    """The core of that name."""
    found = targets.get(name)
    assert isinstance(found, Microcontroller)
    return found


def check_layer(
    node: NodeArguments,
    layer: Layer,
    inputs: Sequence[Array],
    expected: Array,
    *,
    on: Microcontroller | None = None,
) -> int:
    """Run a layer with its result beside its inputs, and where it shares memory with each.

    Args:
        node: What the layer computes.
        layer: One way to do so.
        inputs: The values of its inputs, in the layout of the layer.
        expected: The result.
        on: The core that it runs on; None is this computer, with sanitizers.

    Returns:
        Executed instructions on the board, of the run with the result beside; 0 on this computer.
    """
    source = _program(node, layer, inputs, expected)
    if on is not None:
        run = run_program(on, {"main.c": "#define ON_BOARD\n" + source}, options=_WARNINGS)
        assert run.exit_code == 0, f"{on.name}: {run.text or run.exit_code}"
        return run.instructions[0]
    with TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "main.c").write_text(source)
        compiler = shutil.which("gcc") or "cc"
        command = [compiler, *_STRICT, *_SANITIZED, "-O1", "main.c", "-o", "main"]
        subprocess.run(command, cwd=folder, check=True)
        done = subprocess.run(["./main"], cwd=folder, capture_output=True, text=True)
        assert done.returncode == 0, (done.stdout + done.stderr)[:3000]
    return 0


@dataclass(frozen=True)
class _Place:
    """Where the result starts in memory, which `shared`, an input, starts in too."""

    shared: int = -1
    input_start: int = 0
    start: int = 0

    @classmethod
    def at(cls, shared: int, distance: int) -> "_Place":
        """The result `distance` bytes before an input."""
        return cls(shared, max(distance, 0), max(-distance, 0))


def _places(layer: Layer) -> list[_Place]:
    """Beside all inputs, and for each lead there and a little further."""
    places = [_Place()]
    for index, lead in enumerate(layer.leads):
        if lead is not None:
            places.append(_Place.at(index, lead))
            # the input begins at a multiple of 8, as all values do
            places.append(_Place.at(index, lead + 8 * layer.lead_unit))
    return places


def _program(node: NodeArguments, layer: Layer, inputs: Sequence[Array], expected: Array) -> str:
    places, read = _places(layer), len(node.inputs) + len(layer.constants)
    printed = print_function(
        layer.func,
        "layer",
        read=read,
        restrict=len(places) == 1,
        micro_kernels=[kernel.name for kernel in layer.micro_kernels],
    )
    kernels = dict.fromkeys((*printed.helpers, *layer.micro_kernels))
    arrays = [_array(f"constant_{i}", data) for i, data in enumerate(layer.constants)]
    arrays += [_array(f"value_{i}", data) for i, data in enumerate(inputs)]
    arrays.append(_array("expected", expected))
    types = [_C_TYPES[str(data.dtype)] for data in inputs]
    for i, data in enumerate(inputs):
        size = f"[{data.size}] __attribute__((aligned(8)))"
        arrays.append(f"static {types[i]} input_{i}{size};")
    largest = max(data.nbytes for data in (*inputs, expected))
    largest += max(place.input_start + place.start for place in places) + 2 * _GUARD
    arrays.append(f"static unsigned char memory[{largest}] __attribute__((aligned(8)));")
    scratch = layer.scratch_bytes + 2 * _GUARD
    arrays.append(f"static unsigned char scratch[{scratch}] __attribute__((aligned(8)));")
    result = _C_TYPES[str(expected.dtype)]
    runs = [_check(layer, inputs, expected, result, place) for place in places]
    main = ["int main(void)", "{", *runs, "    return 0;", "}", ""]
    texts = [kernel.text for kernel in kernels]
    return "\n".join([_HEAD, *texts, printed.text, *arrays, _OUTSIDE, *main])


def _check(
    layer: Layer, inputs: Sequence[Array], expected: Array, result: str, place: _Place
) -> str:
    arguments, copies, size = [], [], place.start + expected.nbytes
    for i, data in enumerate(inputs):
        name = f"input_{i}"
        if i == place.shared:
            name = f"(memory + {_GUARD + place.input_start})"
            size = max(size, place.input_start + data.nbytes)
        arguments.append(f"({_C_TYPES[str(data.dtype)]} *)(void *){name}")
        copies.append(f"memcpy({arguments[-1]}, value_{i}, sizeof value_{i});")
    arguments += [f"constant_{i}" for i in range(len(layer.constants))]
    arguments.append(f"({result} *)(void *)(memory + {_GUARD + place.start})")
    if layer.scratch_bytes:
        arguments.append(f"(void *)(scratch + {_GUARD})")
    lines = [
        "memset(memory, 0xa5, sizeof memory);",
        "memset(scratch, 0xa5, sizeof scratch);",
        *copies,
        "board_mark_begin();",
        f"layer({', '.join(arguments)});",
        "board_mark_end();",
        f"const {result} *found = (const {result} *)(void *)(memory + {_GUARD + place.start});",
        f"for (int i = 0; i < {expected.size}; ++i)",
        "    if (found[i] != expected[i])",
        f'        return board_print("other bytes: {place}"), 1;',
        f"if (is_outside(memory, {size}) || is_outside(scratch, {layer.scratch_bytes}))",
        f'    return board_print("wrote outside: {place}"), 1;',
    ]
    return "    {\n" + "\n".join(f"        {line}" for line in lines) + "\n    }"


def _array(name: str, data: Array) -> str:
    values = ",".join(map(str, np.asarray(data).ravel().tolist()))
    kind = _C_TYPES[str(data.dtype)]
    return f"static const {kind} {name}[{data.size}] __attribute__((aligned(8))) = {{{values}}};"
