"""The resource certificate: what one inference needs, as macros and checks in NAME.h."""

from dataclasses import dataclass, field

from ...targets.microcontrollers import Microcontroller
from ..library.c_text import comment
from .measure import Measured


@dataclass(frozen=True, kw_only=True)
class Certificate:
    """What one inference needs. Sizes are bytes.

    Attributes:
        arena_bytes: Scratch memory that the caller gives.
        arena_bound_bytes: Proven: no plan with the same layers needs less.
        input_bytes: Of all inputs that are not in the arena.
        output_bytes: Of all outputs.
        weights_bytes: Flash for weights, biases, tables.
        macs: Multiply-adds.
        measured: What the C files turned out to need.
    """

    arena_bytes: int
    arena_bound_bytes: int
    input_bytes: int
    output_bytes: int
    weights_bytes: int
    macs: int
    measured: Measured = field(default_factory=Measured)

    @property
    def ram_bytes(self) -> int:
        """All memory of one inference, as far as it is known."""
        stack = self.measured.stack.bytes if self.measured.stack else 0
        return self.arena_bytes + self.input_bytes + self.output_bytes + stack

    @property
    def flash_bytes(self) -> int:
        """All flash, as far as it is known."""
        return self.weights_bytes + (self.measured.code_bytes or 0)

    def macros(self, name: str, core: Microcontroller) -> str:
        """The certificate as C99 for NAME.h: macros, and checks against the core's memories."""
        prefix, tools = name.upper(), ", ".join(self.measured.tools)
        found_by = f"; stack, code and instructions:\n * {comment(tools)}" if tools else ""
        return "\n".join(
            [
                f"/* What one inference needs{found_by}. */",
                *(
                    f"#define {prefix}_{key} {value}u /* {comment(why)} */"
                    for key, value, why in self._rows(core)
                ),
                *self._checks(name, core),
            ]
        )

    def _rows(self, core: Microcontroller) -> list[tuple[str, int, str]]:
        """Names, values and explanations of the macros."""
        found = self.measured
        rows = [
            ("ARENA_BYTES", self.arena_bytes, f"no plan needs less than {self.arena_bound_bytes}")
        ]
        parts = "arena, inputs and outputs"
        if found.stack is not None:
            parts = "arena, inputs, outputs and stack"
            deepest = " > ".join(found.stack.path)
            rows.append(("STACK_BYTES", found.stack.bytes, f"deepest in {deepest}"))
        rows.append(("RAM_BYTES", self.ram_bytes, parts))
        if found.code_bytes is not None:
            rows.append(("CODE_BYTES", found.code_bytes, "flash"))
        rows.append(("WEIGHTS_BYTES", self.weights_bytes, "flash"))
        rows.append(("MACS", self.macs, "multiply-adds"))
        if found.instructions is not None:
            rows.append(("INSTRUCTIONS", found.instructions, f"executed on {core.llvm_cpu}"))
        for memory, have in (("RAM", core.ram_bytes), ("FLASH", core.flash_bytes)):
            if have:
                rows.append((f"TARGET_{memory}_BYTES", have, f"of {core.name}"))
        return rows

    def _checks(self, name: str, core: Microcontroller) -> list[str]:
        """Types that exist only if the model fits the memories."""
        prefix = name.upper()
        flash = f"{prefix}_WEIGHTS_BYTES"
        if self.measured.code_bytes is not None:
            flash = f"{prefix}_CODE_BYTES + {flash}"
        checks = []
        if core.ram_bytes:
            checks.append(
                _check(f"{name}_fits_ram", f"{prefix}_RAM_BYTES", f"{prefix}_TARGET_RAM_BYTES")
            )
        if core.flash_bytes:
            checks.append(_check(f"{name}_fits_flash", flash, f"{prefix}_TARGET_FLASH_BYTES"))
        return checks


def _check(name: str, need: str, have: str) -> str:
    return f"typedef char {name}[{need} <= {have} ? 1 : -1];"
