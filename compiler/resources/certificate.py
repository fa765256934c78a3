"""The resource certificate: what one inference needs, as macros and checks in NAME.h."""

from dataclasses import dataclass

from ...targets.microcontrollers import Microcontroller
from ..library.c_text import comment
from .stack import StackUse


@dataclass(frozen=True, kw_only=True)
class Certificate:
    """What one inference needs. Sizes are bytes; None = not known on this machine.

    Attributes:
        arena_bytes: Scratch memory that the caller gives.
        arena_bound_bytes: Proven: no plan with the same layers needs less.
        input_bytes: Of all inputs that are not in the arena.
        output_bytes: Of all outputs.
        stack: Of the run function and all that it calls.
        code_bytes: Flash for machine code.
        weights_bytes: Flash for weights, biases, tables.
        macs: Multiply-adds.
        instructions: Executed by the core.
        measured: What compiled and counted: "arm-none-eabi-gcc 12.2 -O2, QEMU mps2-an386".
    """

    arena_bytes: int
    arena_bound_bytes: int
    input_bytes: int
    output_bytes: int
    weights_bytes: int
    macs: int
    stack: StackUse | None = None
    code_bytes: int | None = None
    instructions: int | None = None
    measured: str = ""

    @property
    def ram_bytes(self) -> int:
        """All memory of one inference, as far as it is known."""
        stack = self.stack.bytes if self.stack else 0
        return self.arena_bytes + self.input_bytes + self.output_bytes + stack

    @property
    def flash_bytes(self) -> int:
        """All flash, as far as it is known."""
        return self.weights_bytes + (self.code_bytes or 0)

    def macros(self, name: str, core: Microcontroller) -> str:
        """The certificate as C99 for NAME.h: macros, and checks against the core's memories."""
        prefix = name.upper()
        rows: list[tuple[str, int, str]] = []
        if self.stack is not None:
            rows.append(
                ("STACK_BYTES", self.stack.bytes, f"deepest: {' > '.join(self.stack.path)}")
            )
        rows.append(
            (
                "RAM_BYTES",
                self.ram_bytes,
                "arena, inputs and outputs"
                + (", stack" if self.stack else "; the stack is not known"),
            )
        )
        if self.code_bytes is not None:
            rows.append(("CODE_BYTES", self.code_bytes, "flash"))
        rows.append(("WEIGHTS_BYTES", self.weights_bytes, "flash"))
        rows.append(("MACS", self.macs, "multiply-adds of one inference"))
        if self.instructions is not None:
            rows.append(("INSTRUCTIONS", self.instructions, "executed in one inference"))
        measured = f" ({self.measured})" if self.measured else ""
        lines = [f"/* What one inference on {core.name} needs{comment(measured)}. */"]
        lines += [
            f"#define {prefix}_{key} {value}u /* {comment(why)} */" for key, value, why in rows
        ]
        for memory, have in (("RAM", core.ram_bytes), ("FLASH", core.flash_bytes)):
            if have:
                lines.append(f"#define {prefix}_TARGET_{memory}_BYTES {have}u /* of the target */")
        return "\n".join([*lines, *self._checks(name, core), ""])

    def _checks(self, name: str, core: Microcontroller) -> list[str]:
        """Types that exist only if the macros fit the memories; their owner may change those."""
        prefix = name.upper()
        checks = []
        if core.ram_bytes:
            checks.append(
                _check(f"{name}_fits_ram", f"{prefix}_RAM_BYTES", f"{prefix}_TARGET_RAM_BYTES")
            )
        if core.flash_bytes:
            flash = f"{prefix}_WEIGHTS_BYTES"
            flash = f"{prefix}_CODE_BYTES + {flash}" if self.code_bytes is not None else flash
            checks.append(_check(f"{name}_fits_flash", flash, f"{prefix}_TARGET_FLASH_BYTES"))
        return checks


def _check(name: str, need: str, have: str) -> str:
    return f"typedef char {name}[{need} <= {have} ? 1 : -1];"
