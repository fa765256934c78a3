"""A model for a GPU: generated sources, kernels of the CPU and the run time -> libraries."""

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..library.archive import extract_archive, write_archive
from ..library.elf import Elf
from ..library.header import shared_declarations
from ..library.link import check_promises, compile_source, embed, link_library, own_kernels
from ..library.object_file import hide_symbols
from ..runners.build_cache import cached_build
from ..toolchain import Toolchain
from .android import android_libraries
from .entry import EXPORTS
from .header import RUNTIME

# What the run time may ask of libc: all of it is in glibc 2.17 and in Android 5.
_FUNCTIONS = """
calloc clock_gettime dlclose dlerror dlopen dlsym fclose fopen fread free fseek ftell fwrite
getauxval getenv getpid malloc memchr memcmp memcpy memmove memset pthread_self realloc remove
rename sched_yield snprintf strchr strcmp strcspn strlen strncmp strrchr strspn strstr strtol
strtoul strtoull usleep vsnprintf
"""
_LIBC = frozenset(_FUNCTIONS.split())
_SYSTEM = ["-ldl", "-lc"]


@dataclass(frozen=True, kw_only=True)
class Sources:
    """Everything a library for a GPU is built from."""

    name: str
    header: str  # NAME.h
    entry: str  # NAME.c
    weights: bytes  # may be empty
    source: bytes  # OpenCL C
    kernels: bytes  # one object file, may be empty


def compile_objects(toolchain: Toolchain, sources: Sources, folder: Path) -> list[Path]:
    """The object files of a library, made in `folder`."""
    name = sources.name
    for header in ("program.h", "session.h"):
        (folder / header).write_bytes((RUNTIME / header).read_bytes())
    (folder / f"{name}.h").write_text(sources.header)
    (folder / f"{name}.c").write_text(sources.entry)
    objects = [compile_source(toolchain, folder / f"{name}.c", "entry.o")]
    if sources.kernels:
        objects.append(folder / "kernels.o")
        objects[-1].write_bytes(own_kernels(sources.kernels, name))
    objects.append(embed(toolchain, folder, "source", f"{name}_source", sources.source))
    if sources.weights:
        objects.append(embed(toolchain, folder, "weights", f"{name}_weights", sources.weights))
    return [*objects, *_runtime(toolchain, name, folder)]


def _runtime(toolchain: Toolchain, name: str, folder: Path) -> list[Path]:
    """The run time; the names of its functions begin with the model's, so that two models meet."""
    files = {path.name: path.read_text() for path in sorted(RUNTIME.glob("*.[ch]"))}
    files["penjing.h"] = shared_declarations()

    def build(path: Path) -> None:
        with tempfile.TemporaryDirectory(prefix="penjing-runtime-") as work:
            write_archive(path, _compile_files(toolchain, files, Path(work)))

    key = (*toolchain.command, toolchain.version, *files.values())
    objects = extract_archive(cached_build("opencl-runtime", key, build), folder)
    elves = [Elf(path.read_bytes()) for path in objects]
    own = {symbol.name for elf in elves for symbol in elf.symbols() if symbol.is_defined}
    for path in objects:
        data = hide_symbols(path.read_bytes(), lambda s: f"{name}_{s}" if s in own else s)
        path.write_bytes(data)
    return objects


def _compile_files(toolchain: Toolchain, files: Mapping[str, str], folder: Path) -> list[Path]:
    """The objects of some C files, in `folder`."""
    for name, text in files.items():
        (folder / name).write_text(text)
    sources = [folder / name for name in files if name.endswith(".c")]
    return [compile_source(toolchain, path, f"{path.stem}.o") for path in sources]


def link(toolchain: Toolchain, name: str, objects: Sequence[Path], *, os: str) -> Path:
    """The shared library, checked: it exports the functions of NAME.h and needs libc alone.

    Args:
        toolchain: For the CPU.
        name: Of the model.
        objects: In one folder.
        os: "linux" or "android", which call libc differently.

    Raises:
        AssertionError: penjing made a library that breaks a promise.
    """
    system = _SYSTEM
    if os == "android":
        wanted = {symbol for path in objects for symbol in Elf.open(path).undefined()} & _LIBC
        system = android_libraries(toolchain, wanted, objects[0].parent)
    library = link_library(toolchain, name, objects, threads=1, system=system)
    elf = Elf.open(library)
    exports = {f"{name}_{word}" for word in EXPORTS}
    check_promises(elf, exports=exports, foreign=elf.undefined() - _LIBC)
    return library
