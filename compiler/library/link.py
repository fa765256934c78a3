"""Generated sources and kernels -> objects, shared library, static library."""

from collections.abc import Sequence, Set
from dataclasses import dataclass
from pathlib import Path

from ..toolchain import Toolchain
from .elf import Elf
from .object_file import drop_debug, hide_symbols

POOL_SOURCE = Path(__file__).parents[2] / "targets" / "cpu" / "pool.c"

_COMPILE = (
    "-std=c11",
    "-O2",
    "-g0",
    "-fPIC",
    "-fno-asynchronous-unwind-tables",
    "-fno-unwind-tables",
    "-fno-stack-protector",  # would need __stack_chk_fail from libc
    "-fno-ident",
    "-U_FORTIFY_SOURCE",  # would need __memcpy_chk from libc
)
_LINK = (
    "-shared",
    "-nostdlib",
    "-Wl,-s",
    "-Wl,--gc-sections",
    "-Wl,--build-id=none",
    "-Wl,--hash-style=both",
    "-Wl,-z,noexecstack",
    "-Wl,-z,relro",
    "-Wl,-z,now",
)
# Workers may still be on their way out of the library when it is unloaded: it stays.
_LINK_THREADS = ("-Wl,-z,nodelete", "-lpthread", "-lc")

_LAUNCH = "__TVMBackendParallelLaunch"
_LIBC = frozenset({"memcpy", "memset", "memmove"})
_EMBED = """\
    .section .rodata.{symbol},"a",%progbits
    .balign 64
    .globl {symbol}
    .hidden {symbol}
    .type {symbol}, %object
{symbol}:
    .incbin "{file}"
    .size {symbol}, . - {symbol}
    .section .note.GNU-stack,"",%progbits
"""


@dataclass(frozen=True, kw_only=True)
class Sources:
    """Everything a library is built from."""

    name: str
    header: str  # NAME.h
    entry: str  # NAME.c
    weights: bytes  # to embed, may be empty
    kernels: bytes  # one object file, may be empty
    threads: int


def compile_objects(toolchain: Toolchain, sources: Sources, folder: Path) -> list[Path]:
    """The object files of a library, made in `folder`: entry, kernels, weights, thread pool."""
    (folder / f"{sources.name}.h").write_text(sources.header)
    (folder / f"{sources.name}.c").write_text(sources.entry)
    objects = [compile_source(toolchain, folder / f"{sources.name}.c", "entry.o")]
    if sources.kernels:
        objects.append(folder / "kernels.o")
        objects[-1].write_bytes(own_kernels(sources.kernels, sources.name))
    if sources.weights:
        symbol = f"{sources.name}_weights"
        objects.append(embed(toolchain, folder, "weights", symbol, sources.weights))
    if sources.threads > 1:
        (folder / "pool.c").write_bytes(POOL_SOURCE.read_bytes())
        define = f"-DMODEL={sources.name}"
        objects.append(compile_source(toolchain, folder / "pool.c", "pool.o", define))
    return objects


def embed(toolchain: Toolchain, folder: Path, name: str, symbol: str, data: bytes) -> Path:
    """The object NAME.o in `folder`, in which a hidden symbol stands for some bytes."""
    file = f"{name}.bin"
    (folder / file).write_bytes(data)
    (folder / f"{name}.S").write_text(_EMBED.format(symbol=symbol, file=file))
    return compile_source(toolchain, folder / f"{name}.S", f"{name}.o")


def compile_source(toolchain: Toolchain, source: Path, output: str, *flags: str) -> Path:
    """Compile one file; the object lies beside it."""
    options = [*_COMPILE, *toolchain.compile_options, *flags]
    arguments = [*options, "-c", source.name, "-o", output]
    toolchain.run(arguments, source.parent)
    return source.parent / output


def link_library(
    toolchain: Toolchain,
    name: str,
    objects: Sequence[Path],
    *,
    threads: int,
    system: Sequence[str] = (),
) -> Path:
    """The shared library of some objects, beside them; it exports what they declare visible.

    `system` are options for those libraries of the system that it needs.
    """
    folder = objects[0].parent
    library = folder / f"lib{name}.so"
    arguments = [path.name for path in objects]
    arguments += [
        *_LINK,
        *toolchain.link_options,
        f"-Wl,-soname,{library.name}",
        "-o",
        library.name,
    ]
    if threads > 1:
        arguments += _LINK_THREADS
    toolchain.run([*arguments, *system, *_helpers(toolchain, objects)], folder)
    library.chmod(0o644)
    return library


def check_library(library: Path, name: str, *, threads: int) -> None:
    """Prove what every library promises: what it exports, what it needs, how it loads.

    Raises:
        AssertionError: penjing made a library that breaks a promise.
    """
    elf = Elf.open(library)
    threaded = {f"{name}_set_threads"} if threads > 1 else set[str]()
    check_promises(
        elf,
        exports={f"{name}_run", f"{name}_describe"} | threaded,
        foreign={symbol for symbol in elf.undefined() if not _is_libc(symbol, threads)},
    )
    state = sum(section.size for section in elf.sections if section.name in (".data", ".bss"))
    assert threads > 1 or state == 0, f"has {state} bytes of mutable state"


def check_promises(elf: Elf, *, exports: Set[str], foreign: Set[str]) -> None:
    """Prove that a library exports just that, needs nothing foreign and loads without tricks."""
    assert elf.exported() == exports, f"exports {sorted(elf.exported() ^ exports)}"
    assert not foreign, f"needs {sorted(foreign)}"
    assert not elf.has_executable_stack(), "wants an executable stack"
    assert not elf.has_text_relocations(), "changes its code when it is loaded"


def _is_libc(symbol: str, threads: int) -> bool:
    of_threads = symbol.startswith("pthread_") or symbol == "sched_yield"
    return symbol in _LIBC or (threads > 1 and of_threads)


def own_kernels(kernels: bytes, name: str) -> bytes:
    """The kernels' object with every symbol prefixed by the model's name and invisible outside.

    TVM's code calls through a weak pointer variable to start a parallel loop. Under its new name it
    is the one that the model's thread pool defines; no longer weak, it also makes linkers take the
    pool out of the static library.
    """
    elf = Elf(kernels)
    defined = {symbol.name for symbol in elf.symbols() if symbol.is_defined}

    def rename(symbol: str) -> str:
        if symbol == _LAUNCH:
            return f"{name}_parallel_launch"
        is_ours = symbol not in defined or symbol.startswith(f"{name}_")
        return symbol if is_ours else f"{name}_{symbol}"

    return hide_symbols(drop_debug(kernels), rename, undefine=(_LAUNCH,))


def _helpers(toolchain: Toolchain, objects: Sequence[Path]) -> tuple[str, ...]:
    """The compiler's helper library, only if something asks for more than libc has."""
    elves = [Elf.open(path) for path in objects]
    defined = {s.name for elf in elves for s in elf.symbols() if s.is_defined}
    wanted = {symbol for elf in elves for symbol in elf.undefined()} - defined
    return (toolchain.helpers,) if any(not _is_libc(symbol, 2) for symbol in wanted) else ()
