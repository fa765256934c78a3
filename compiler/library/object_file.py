"""Changes to relocatable ELF objects: names, visibility, debug sections."""

import struct
from collections.abc import Callable, Collection

from .elf import GLOBAL, HIDDEN, NOBITS, SYMTAB, Elf, Section, Symbol

_DEBUG = (".debug_", ".rel.debug_", ".rela.debug_")
_ABSOLUTE = 0xFFF1  # section index of symbols that are in no section
_WORD = 8  # alignment of the section headers


def hide_symbols(
    data: bytes, rename: Callable[[str], str], undefine: Collection[str] = ()
) -> bytes:
    """An object whose global symbols carry new names, the defined ones hidden.

    Hidden symbols link the parts of one library but are invisible outside it; the new names keep
    two libraries apart that are linked into one program.

    Args:
        data: The object.
        rename: Old name -> new name.
        undefine: Old names of symbols that another object defines.
    """
    elf = Elf(data)
    table = next(section for section in elf.sections if section.type == SYMTAB)
    strings = elf.sections[table.link]
    names = bytearray(data[strings.offset : strings.offset + strings.size])
    patched = bytearray(data)
    for symbol in elf.symbols():
        new = rename(symbol.name)
        if new != symbol.name:
            struct.pack_into("<I", patched, symbol.entry_offset, len(names))
            names += new.encode() + b"\0"
        if symbol.name in undefine:
            _undefine(patched, elf, symbol)
        elif symbol.is_defined:
            visibility = symbol.entry_offset + elf.layout.symbol_info + 1
            patched[visibility] = patched[visibility] & ~3 | HIDDEN
    _set_header(patched, elf, strings, offset=len(patched), size=len(names))
    return bytes(patched + names)


def drop_debug(data: bytes) -> bytes:
    """An object without its debug sections.

    Their headers stay, emptied, so that no other section changes its number.
    """
    elf = Elf(data)
    numbers = {n for n, section in enumerate(elf.sections) if section.name.startswith(_DEBUG)}
    patched = bytearray(data)
    _detach_symbols(patched, elf, numbers)
    content = bytearray(data[: struct.calcsize(elf.layout.header)])
    for number in sorted(range(len(elf.sections)), key=lambda n: elf.sections[n].offset):
        section = elf.sections[number]
        if number in numbers:
            header = section.header_offset
            name = patched[header : header + 4]
            size = struct.calcsize(elf.layout.section)
            patched[header : header + size] = name + bytes(size - 4)
        elif section.type not in (0, NOBITS):
            content += bytes(-len(content) % max(1, section.alignment))
            offset = len(content)
            content += patched[section.offset : section.offset + section.size]
            _set_header(patched, elf, section, offset=offset, size=section.size)
    content += bytes(-len(content) % _WORD)
    headers = elf.sections[0].header_offset
    size = struct.calcsize(elf.layout.section) * len(elf.sections)
    word = "<Q" if elf.layout.section_offset == 40 else "<I"
    struct.pack_into(word, content, elf.layout.section_offset, len(content))
    return bytes(content + patched[headers : headers + size])


def _detach_symbols(patched: bytearray, elf: Elf, numbers: set[int]) -> None:
    """Make the local symbols of some sections symbols of no section, without a name."""
    layout = elf.layout
    size = struct.calcsize(layout.symbol)
    for table in (section for section in elf.sections if section.type == SYMTAB):
        for entry in range(table.offset, table.offset + table.size, size):
            (number,) = struct.unpack_from("<H", patched, entry + layout.symbol_section)
            if number in numbers:
                patched[entry : entry + size] = bytes(size)
                struct.pack_into("<H", patched, entry + layout.symbol_section, _ABSOLUTE)


def _undefine(patched: bytearray, elf: Elf, symbol: Symbol) -> None:
    """Turn a symbol into a reference, keeping its name."""
    layout, entry = elf.layout, symbol.entry_offset
    name = patched[entry : entry + 4]
    size = struct.calcsize(layout.symbol)
    patched[entry : entry + size] = name + bytes(size - 4)
    patched[entry + layout.symbol_info] = GLOBAL << 4


def _set_header(patched: bytearray, elf: Elf, section: Section, *, offset: int, size: int) -> None:
    fields = list(struct.unpack_from(elf.layout.section, patched, section.header_offset))
    fields[4], fields[5] = offset, size
    struct.pack_into(elf.layout.section, patched, section.header_offset, *fields)
