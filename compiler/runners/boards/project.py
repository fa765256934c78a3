"""A CMake project around the C files of a model: builds for its core, runs under QEMU."""

from string import Template

from ....targets.microcontrollers import Microcontroller
from .board import SUPPORT, board_of

_BOARD_FILES = ("board.h", "startup.c", "semihosting.c", "memory.c", "string.h", "math.h")
_CMAKE = Template("""\
# $name for $core: `cmake -B build && cmake --build build --target run` runs it under QEMU.
cmake_minimum_required(VERSION 3.20)
if(NOT CMAKE_TOOLCHAIN_FILE)
    set(CMAKE_TOOLCHAIN_FILE "$${CMAKE_CURRENT_SOURCE_DIR}/toolchain.cmake")
endif()
if(NOT CMAKE_BUILD_TYPE)
    set(CMAKE_BUILD_TYPE Release)
endif()
set(CMAKE_C_FLAGS_RELEASE "-O2")
project($name C)
set(APPLICATION main.c CACHE FILEPATH "The file with main()")

# The model. It needs memcpy and memset, no other file of this project.
add_library($name STATIC $sources)
target_include_directories($name PUBLIC .)
target_compile_options($name PRIVATE -Wall -Wextra)
set_target_properties($name PROPERTIES C_STANDARD 99)

# Start-up, text output and memory layout of QEMU's $machine. For another board, replace these by
# the files of its vendor.
add_executable(firmware $${APPLICATION} board/startup.c board/semihosting.c board/memory.c)
target_include_directories(firmware PRIVATE board)
target_compile_options(firmware PRIVATE -Wall -Wextra)
target_link_options(firmware PRIVATE -nostdlib -Wl,--gc-sections
    -T "$${CMAKE_CURRENT_SOURCE_DIR}/board/board.ld")
target_link_libraries(firmware PRIVATE $name gcc)
set_target_properties(firmware PROPERTIES C_STANDARD 11
    LINK_DEPENDS "$${CMAKE_CURRENT_SOURCE_DIR}/board/board.ld")

add_custom_target(run
    COMMAND qemu-system-arm -machine $machine -nographic -monitor none -serial none
        -semihosting-config enable=on,target=native -kernel $$<TARGET_FILE:firmware>
    DEPENDS firmware USES_TERMINAL)
""")
_TOOLCHAIN = Template("""\
# Arm's GNU toolchain for $core, without a libc: board/ has what programs need of one.
set(CMAKE_SYSTEM_NAME Generic)
set(CMAKE_SYSTEM_PROCESSOR arm)
set(CMAKE_C_COMPILER arm-none-eabi-gcc)
set(CMAKE_C_FLAGS_INIT
    "$flags -ffreestanding -ffunction-sections -fdata-sections -isystem $include")
set(CMAKE_TRY_COMPILE_TARGET_TYPE STATIC_LIBRARY)
""")
_MAIN = Template("""\
/* Runs $name once on inputs of zeros and prints what it gives: the place for your application. */
#include "board.h"
#include "$name.h"

static _Alignas($PREFIX_ARENA_ALIGN) uint8_t arena[$PREFIX_ARENA_BYTES + 1];
$buffers
int main(void)
{
    const void *const inputs[] = {$inputs};
    void *const outputs[] = {$outputs};
    int status = $name_run(inputs, outputs, arena, $PREFIX_ARENA_BYTES);
    if (status != PENJING_OK) {
        board_print("$name_run: status ");
        board_print_number((uint32_t)status);
        board_print(", see $name.h\\n");
        return status;
    }
    for (unsigned i = 0; i < sizeof output0; i++) {
        board_print(i == 0 ? "output: " : " ");
        board_print_integer(output0[i]);
    }
    board_print("\\n");
    return 0;
}
""")
_README = Template("""\
# $name on a $core

The files `$name.*` and `${name}_*` are the model; the others build a program around it that runs
under QEMU's `$machine`:

    cmake -B build
    cmake --build build --target run

This needs CMake, `arm-none-eabi-gcc` and `qemu-system-arm` (Debian: cmake gcc-arm-none-eabi
qemu-system-arm). `$name.h` says what `${name}_run` takes and gives, and how much memory it needs.

`main.c` is the place for your application; `-DAPPLICATION=FILE` takes another. `board/` starts the
emulated board and prints by semihosting: on a real one its vendor's start-up code, linker script
and UART take its place, and the model stays as it is.
""")


def project_files(
    name: str, core: Microcontroller, *, sources: list[str], inputs: int, outputs: int
) -> dict[str, str]:
    """The files of the project, to be written beside those of the model: path and text.

    Args:
        name: Of the model.
        core: What it was compiled for.
        sources: The model's files that are compiled.
        inputs: How many inputs it has.
        outputs: How many outputs.
    """
    board = board_of(core)
    words = {
        "name": name,
        "core": core.name,
        "machine": board.machine,
        "sources": " ".join(sources),
        "flags": " ".join(core.gcc_flags),
        "include": "${CMAKE_CURRENT_LIST_DIR}/board",
    }
    files = {f"board/{file}": (SUPPORT / file).read_text() for file in _BOARD_FILES}
    return {
        "CMakeLists.txt": _CMAKE.substitute(words),
        "toolchain.cmake": _TOOLCHAIN.substitute(words),
        "main.c": _main(name, inputs, outputs),
        "README.md": _README.substitute(words),
        "board/board.ld": board.linker_script(),
        **files,
    }


def _main(name: str, inputs: int, outputs: int) -> str:
    prefix = name.upper()
    buffers = [
        f"static _Alignas(16) {ctype} {kind.lower()}{index}[{prefix}_{kind}{index}_BYTES];\n"
        for kind, count, ctype in (("INPUT", inputs, "uint8_t"), ("OUTPUT", outputs, "int8_t"))
        for index in range(count)
    ]
    return _MAIN.substitute(
        name=name,
        PREFIX_ARENA_ALIGN=f"{prefix}_ARENA_ALIGN",
        PREFIX_ARENA_BYTES=f"{prefix}_ARENA_BYTES",
        name_run=f"{name}_run",
        buffers="".join(buffers),
        inputs=", ".join(f"input{index}" for index in range(inputs)) or "0",
        outputs=", ".join(f"output{index}" for index in range(outputs)),
    )
