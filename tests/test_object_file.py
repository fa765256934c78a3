"""Reading and changing ELF objects, and archives of them, judged by GNU's tools."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from penjing import targets
from penjing.compiler.library.archive import extract_archive, write_archive
from penjing.compiler.library.elf import Elf
from penjing.compiler.library.object_file import drop_debug, hide_symbols
from penjing.compiler.toolchain import find_toolchain
from penjing.targets.target import Target

SOURCE = """
#include <stddef.h>
void *memset(void *, int, size_t);
int weak_variable __attribute__((weak));
static int hidden_in_file(int x) { return x * 3; }
__attribute__((weak)) int helper(int x) { return hidden_in_file(x) + weak_variable; }
int kernel(int *values) { memset(values, 0, (size_t)values[1]); return helper(values[0]); }
"""
MAIN = """
int m_kernel(int *);
int m_weak_variable = 5;
int main(void) { int values[100] = {0, 400}; return m_kernel(values) == 5 ? 0 : 1; }
"""
OWN = ("weak_variable", "helper", "kernel")
TARGETS = ["x86-64-v2", "arm-a72", "armv7-a9"]


def compile_source(target: Target, text: str, path: Path, *options: str) -> bytes:
    path.with_suffix(".c").write_text(text)
    arguments = ["-O1", "-g", "-c", path.with_suffix(".c").name, "-o", path.name, *options]
    find_toolchain(target).run(arguments, path.parent)
    return path.read_bytes()


def symbols(path: Path) -> dict[str, tuple[str, str, bool]]:
    """Binding, visibility and whether it is defined, of every global symbol, by readelf."""
    listing = subprocess.run(
        ["readelf", "-sW", path], capture_output=True, text=True, check=True
    ).stdout
    rows = [line.split() for line in listing.splitlines() if re.match(r" +\d+: ", line)]
    named = [row for row in rows if len(row) > 7 and row[4] in ("GLOBAL", "WEAK")]
    return {row[7]: (row[4], row[5], row[6] != "UND") for row in named}


@pytest.mark.skipif(shutil.which("readelf") is None, reason="binutils are not installed")
@pytest.mark.parametrize("name", TARGETS)
def test_symbols_get_new_names_and_hide(name: str, tmp_path: Path) -> None:
    target = targets.get(name)
    data = compile_source(target, SOURCE, tmp_path / "kernel.o")
    changed = hide_symbols(
        drop_debug(data),
        lambda symbol: f"m_{symbol}" if symbol in OWN else symbol,
        undefine=("weak_variable",),
    )
    (tmp_path / "changed.o").write_bytes(changed)
    found = symbols(tmp_path / "changed.o")
    found.pop("_GLOBAL_OFFSET_TABLE_", None)
    assert found == {
        "m_weak_variable": ("GLOBAL", "DEFAULT", False),
        "m_helper": ("WEAK", "HIDDEN", True),
        "m_kernel": ("GLOBAL", "HIDDEN", True),
        "memset": ("GLOBAL", "DEFAULT", False),
    }
    assert len(changed) < len(data)
    assert Elf(data).section_bytes(".debug_info") > 0
    assert Elf(changed).section_bytes(".debug_info") == 0
    assert Elf(changed).section_bytes(".text") == Elf(data).section_bytes(".text")
    compile_source(target, MAIN, tmp_path / "main.o")
    find_toolchain(target).run(["main.o", "changed.o", "-o", "program"], tmp_path)
    if targets.runs_here(target):
        assert subprocess.run([tmp_path / "program"], check=False).returncode == 0


@pytest.mark.parametrize("name", TARGETS)
def test_archives_keep_their_members(name: str, tmp_path: Path) -> None:
    target = targets.get(name)
    files = [tmp_path / "kernel.o", tmp_path / "odd.o"]
    compile_source(target, SOURCE, files[0])
    files[1].write_bytes(compile_source(target, MAIN, tmp_path / "main.o") + b"\0")
    write_archive(tmp_path / "all.a", files)
    (tmp_path / "out").mkdir()
    extracted = extract_archive(tmp_path / "all.a", tmp_path / "out")
    assert [file.name for file in extracted] == ["kernel.o", "odd.o"]
    for file, original in zip(extracted, files, strict=True):
        assert file.read_bytes() == original.read_bytes()
    listing = subprocess.run(
        ["nm", "-s", tmp_path / "all.a"], capture_output=True, text=True, check=True
    ).stdout
    assert "kernel in kernel.o" in listing
    assert "main in odd.o" in listing


def test_what_is_no_elf_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not a little-endian ELF file"):
        Elf(b"\x7fELF\x02\x02")
    (tmp_path / "no.a").write_bytes(b"!<thin>\n")
    with pytest.raises(ValueError, match="not an archive"):
        extract_archive(tmp_path / "no.a", tmp_path)
