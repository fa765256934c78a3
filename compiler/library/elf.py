"""Just enough ELF to check a library: little-endian files of 32 and 64 bits."""

import mmap
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

SYMTAB, NOBITS, _DYNAMIC, _DYNSYM = 2, 8, 6, 11  # section types
_GNU_STACK, _EXECUTABLE = 0x6474E551, 1  # program header type and flag
_LOCAL, GLOBAL = 0, 1  # symbol bindings
HIDDEN = 2  # symbol visibility
_NEEDED, _TEXTREL = 1, 22  # dynamic tags


@dataclass(frozen=True)
class Layout:
    """Where the fields are in files of one word size."""

    header: str
    section_offset: int  # of the field with the file offset of the section headers
    section: str
    symbol: str
    symbol_info: int  # offset of the byte with the binding; visibility is in the next one
    symbol_section: int  # offset of the section index
    segment_flags: int
    dynamic: str


_LAYOUTS = {
    1: Layout("<16s2H5I6H", 32, "<10I", "<3I2BH", 12, 14, 24, "<iI"),
    2: Layout("<16s2HI3QI6H", 40, "<2I4Q2I2Q", "<I2BH2Q", 4, 6, 4, "<qQ"),
}


@dataclass(frozen=True, kw_only=True)
class Section:
    """The fields of a section header that matter here."""

    name: str
    type: int
    offset: int
    size: int
    link: int  # symbol tables: index of their string table
    alignment: int
    header_offset: int


@dataclass(frozen=True)
class Symbol:
    """One symbol that other files can see."""

    name: str
    is_defined: bool
    is_hidden: bool
    entry_offset: int


class Elf:
    """A parsed view of an object or a shared library."""

    def __init__(self, data: bytes | mmap.mmap) -> None:
        if data[:4] != b"\x7fELF" or data[4] not in _LAYOUTS or data[5] != 1:
            raise ValueError("not a little-endian ELF file")
        self.data = data
        self.layout = _LAYOUTS[data[4]]
        header = struct.unpack_from(self.layout.header, data)
        self.machine: int = header[2]
        self._segments = (header[5], header[9], header[10])  # offset, entry size, count
        self.sections = self._read_sections(header[6], header[11], header[12], header[13])

    @classmethod
    def open(cls, path: Path) -> "Elf":
        """A view of a file, of which only the parts that are looked at get read."""
        with path.open("rb") as file:
            return cls(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))

    def section_bytes(self, name: str) -> int:
        """Size of the section of that name and of its parts, like `.text.startup`."""
        parts = (s for s in self.sections if s.name == name or s.name.startswith(name + "."))
        return sum(section.size for section in parts)

    def symbols(self) -> Iterator[Symbol]:
        """Global and weak symbols: the dynamic ones if the file has any."""
        tables = [s for s in self.sections if s.type == _DYNSYM]
        for table in tables or [s for s in self.sections if s.type == SYMTAB]:
            yield from self._read_symbols(table)

    def exported(self) -> set[str]:
        """Names that the file offers to others."""
        return {s.name for s in self.symbols() if s.is_defined and not s.is_hidden}

    def undefined(self) -> set[str]:
        """Names that the file needs from others."""
        return {s.name for s in self.symbols() if not s.is_defined}

    def needed(self) -> list[str]:
        """Shared libraries that the dynamic linker has to load first."""
        strings = next((s for s in self.sections if s.name == ".dynstr"), None)
        entries = (value for tag, value in self._dynamic() if tag == _NEEDED)
        return [] if strings is None else [self._string(strings.offset + v) for v in entries]

    def has_text_relocations(self) -> bool:
        """Whether loading the file would write to its code."""
        return any(tag == _TEXTREL for tag, _ in self._dynamic())

    def has_executable_stack(self) -> bool:
        """Whether loading the file would make the stacks of the process executable."""
        offset, size, count = self._segments
        for start in range(offset, offset + size * count, size):
            (kind,) = struct.unpack_from("<I", self.data, start)
            (flags,) = struct.unpack_from("<I", self.data, start + self.layout.segment_flags)
            if kind == _GNU_STACK:
                return bool(flags & _EXECUTABLE)
        return True  # without the marker, the loader assumes the worst

    def _read_sections(self, offset: int, size: int, count: int, names: int) -> list[Section]:
        headers = [
            struct.unpack_from(self.layout.section, self.data, offset + index * size)
            for index in range(count)
        ]
        base = headers[names][4] if headers else 0
        return [
            Section(
                name=self._string(base + fields[0]),
                type=fields[1],
                offset=fields[4],
                size=fields[5],
                link=fields[6],
                alignment=fields[8],
                header_offset=offset + index * size,
            )
            for index, fields in enumerate(headers)
        ]

    def _read_symbols(self, table: Section) -> Iterator[Symbol]:
        strings = self.sections[table.link].offset
        size = struct.calcsize(self.layout.symbol)
        for entry in range(table.offset, table.offset + table.size, size):
            (name,) = struct.unpack_from("<I", self.data, entry)
            info = self.data[entry + self.layout.symbol_info]
            other = self.data[entry + self.layout.symbol_info + 1]
            (section,) = struct.unpack_from("<H", self.data, entry + self.layout.symbol_section)
            if info >> 4 != _LOCAL:
                text = self._string(strings + name)
                yield Symbol(text, section != 0, other & 3 == HIDDEN, entry)

    def _dynamic(self) -> Iterator[tuple[int, int]]:
        for section in self.sections:
            if section.type == _DYNAMIC:
                end = section.offset + section.size
                yield from struct.iter_unpack(self.layout.dynamic, self.data[section.offset : end])

    def _string(self, offset: int) -> str:
        return self.data[offset : self.data.find(b"\0", offset)].decode()
