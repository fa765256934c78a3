"""Links for Android without its NDK: shared libraries that only say who has which function.

The linker looks for a symbol and writes the name of the library that has it into the result. Empty
functions under Android's names are enough for that. What is compiled against glibc's headers fits
Android's libc as long as it uses functions of plain C types alone, as the run time does.
"""

from collections.abc import Iterable
from pathlib import Path

from ..toolchain import Toolchain

_LIBRARIES = ("libc.so", "libdl.so")


def android_libraries(toolchain: Toolchain, symbols: Iterable[str], folder: Path) -> list[str]:
    """Options for a linker that runs in `folder`, where the libraries are put.

    Args:
        toolchain: For the CPU of the phone.
        symbols: What is wanted from Android's libc and dynamic linker.
        folder: Where to work.
    """
    wanted: dict[str, list[str]] = {library: [] for library in _LIBRARIES}
    for symbol in sorted(symbols):
        wanted["libdl.so" if symbol.startswith("dl") else "libc.so"].append(symbol)
    (folder / "android").mkdir()
    for library, names in wanted.items():
        text = "".join(f"void {name}(void);\nvoid {name}(void) {{}}\n" for name in names)
        (folder / "android" / f"{library}.c").write_text(text)
        flags = ["-shared", "-nostdlib", "-fPIC", "-fno-builtin", f"-Wl,-soname,{library}"]
        files = ["-o", f"android/{library}", f"android/{library}.c"]
        toolchain.run([*flags, *files], folder)
    return [f"android/{library}" for library in _LIBRARIES]
