"""How deep the stack of a C function gets, from the frames and calls that gcc reports.

gcc does not look into inline assembly. What that pushes is read in the assembler's input.
"""

import re
from dataclasses import dataclass, field

from ..errors import CompileError

# Frames of what is linked from elsewhere: a little more than the deepest of newlib (memcpy on
# Armv6-M: 20 bytes) and of libgcc 12.2 (division of 64 bits on Armv6-M: 104 bytes).
EXTERNAL_BYTES = {"memcpy": 32, "memset": 32, "__aeabi_": 112}
_NODE = re.compile(r'node: \{ title: "([^"]+)" label: "([^"]*)"')
_EDGE = re.compile(r'edge: \{ sourcename: "([^"]+)" targetname: "([^"]+)"')
_FUNCTION = re.compile(r"\.type\s+([\w.$]+), %function")
_LABEL = re.compile(r"([\w.$]+):")
_INLINE, _END = re.compile(r'@ [1-9]\d* "'), re.compile(r'@ 0 "" 2')  # around inline assembly
_PUSH = re.compile(r"(v?)(?:push|stmdb\s+sp!,|stmfd\s+sp!,)\s*\{([^}]*)\}")
_LOWER = re.compile(r"(?:sub\S*\s+sp,(?:\s*sp,)?\s*#|\[sp,\s*#-)(\d+)")
_FRAME = re.compile(r"(\d+) bytes \(([^)]*)\)")


@dataclass(frozen=True)
class StackUse:
    """The deepest stack of a function.

    Attributes:
        bytes: At most that many, with all that it calls.
        path: The functions on the stack then, the outermost first.
    """

    bytes: int
    path: tuple[str, ...]


@dataclass
class CallGraph:
    """Frames of functions and who calls whom, of several C files.

    Functions that only one file sees are known as "file.c:name".
    """

    frames: dict[str, int] = field(default_factory=dict)
    pushed: dict[str, int] = field(default_factory=dict)  # by inline assembly
    calls: dict[str, set[str]] = field(default_factory=dict)

    def read(self, text: str) -> None:
        """Add what gcc's `-fcallgraph-info=su` wrote about one file.

        Raises:
            CompileError: A function's frame has no constant size.
        """
        for name, label in _NODE.findall(text):
            frame = _FRAME.search(label)
            if frame is None:
                continue
            if frame[2] not in ("static", "dynamic,bounded"):
                raise CompileError(
                    "a frame on the stack has no constant size", at=name, fix="a bug in penjing"
                )
            self.frames[name] = int(frame[1])
        for caller, called in _EDGE.findall(text):
            self.calls.setdefault(caller, set()).add(called)

    def read_assembly(self, text: str) -> None:
        """Add what the inline assembly of one file may push: everything, one after the other."""
        functions = set(_FUNCTION.findall(text))
        function, inside = "", False
        for line in text.splitlines():
            code = line.strip()
            if (label := _LABEL.fullmatch(code)) and label[1] in functions:
                function = label[1]
            inside = (inside or bool(_INLINE.match(code))) and not _END.match(code)
            if inside:
                self.pushed[function] = self.pushed.get(function, 0) + _lowered(code)

    def deepest(self, function: str) -> StackUse:
        """The deepest stack of a function.

        Raises:
            CompileError: It calls itself, a pointer, or something that is not known.
        """
        return self._deepest(function, (), {})

    def _deepest(
        self, function: str, callers: tuple[str, ...], known: dict[str, StackUse]
    ) -> StackUse:
        if function in known:
            return known[function]
        if function not in self.frames:
            frame = next((n for k, n in EXTERNAL_BYTES.items() if function.startswith(k)), None)
            if frame is None:
                raise CompileError(
                    "the depth of the stack is not known", at=" > ".join((*callers, function))
                )
            return StackUse(frame, (function,))
        if function in callers:
            raise CompileError("functions call themselves", at=" > ".join((*callers, function)))
        below = [
            self._deepest(called, (*callers, function), known)
            for called in sorted(self.calls.get(function, ()))
        ]
        deepest = max(below, key=lambda use: use.bytes, default=StackUse(0, ()))
        frame = self.frames[function] + self.pushed.get(function.rpartition(":")[2], 0)
        known[function] = StackUse(frame + deepest.bytes, (_short(function), *deepest.path))
        return known[function]


def _lowered(instruction: str) -> int:
    """Bytes by which an instruction lowers the stack pointer."""
    if push := _PUSH.match(instruction):
        return _registers(push[2]) * (8 if push[1] else 4)
    lower = _LOWER.search(instruction)
    return int(lower[1]) if lower else 0


def _registers(text: str) -> int:
    """How many registers are in "r4-r11, lr"."""
    count = 0
    for part in text.split(","):
        first, _, last = (end.strip(" rds") for end in part.partition("-"))
        count += int(last) - int(first) + 1 if last else 1
    return count


def _short(function: str) -> str:
    return function.rpartition(":")[2].partition(".")[0]
