"""Runs a compiled model on an emulated board, and measures it there."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from ....targets.microcontrollers import Microcontroller
from ...errors import CompileError
from ...scratch_folder import ScratchFolder
from ..status import MODEL_REFUSED, refusal
from .board import STACK_BYTES, SUPPORT, Board, board_of
from .emulation import BoardRun, run_image
from .image import build_image

_GUARDED = 256  # bytes that the driver adds to each buffer, at most
_DRIVER_RAM = 1024  # bytes that the driver's other variables take, at most


@dataclass(frozen=True, kw_only=True)
class BoardModel:
    """The C files of a model, and what its function asks for.

    Attributes:
        name: NAME of `NAME_run`.
        core: What the files were generated for.
        sources: File names and texts.
        input_bytes: Of each input.
        output_bytes: Of each output.
        arena_bytes: Of the scratch memory.
        alignments: Of inputs, outputs and the arena.
        inputs_may_change: Whether the model may use the inputs as scratch memory.
    """

    name: str
    core: Microcontroller
    sources: Mapping[str, str | bytes]
    input_bytes: tuple[int, ...]
    output_bytes: tuple[int, ...]
    arena_bytes: int
    alignments: tuple[int, int, int] = (8, 8, 8)
    inputs_may_change: bool = False

    @property
    def pool_bytes(self) -> int:
        """Memory for all buffers and their guards."""
        buffers = [*self.input_bytes, *self.output_bytes, self.arena_bytes]
        return sum(buffers) + _GUARDED * len(buffers)

    def facts(self) -> str:
        """The text of model_facts.h."""
        inputs, outputs, arena = self.alignments
        facts = {
            "MODEL_RUN": f"{self.name}_run",
            "INPUTS": len(self.input_bytes),
            "OUTPUTS": len(self.output_bytes),
            "INPUT_BYTES": _initializer(self.input_bytes),
            "OUTPUT_BYTES": _initializer(self.output_bytes),
            "INPUT_ALIGN": inputs,
            "OUTPUT_ALIGN": outputs,
            "ARENA_BYTES": f"{self.arena_bytes}u",
            "ARENA_ALIGN": arena,
            "INPUTS_MAY_CHANGE": int(self.inputs_may_change),
            "POOL_BYTES": f"{self.pool_bytes}u",
        }
        return "".join(f"#define {name} {value}\n" for name, value in facts.items())


class ModelOnBoard:
    """A program that runs one model on a board.

    Args:
        model: What runs.
        options: Of the compiler, after its usual ones (-O2): "-DPENJING_PROFILE", ...
        board: Where it runs, if not on the usual board of the core.

    Raises:
        CompileError: There is no compiler for the core, or the model is larger than the board.
    """

    def __init__(
        self, model: BoardModel, *, options: Sequence[str] = (), board: Board | None = None
    ) -> None:
        self._model, self._options = model, options
        self.board = board or board_of(model.core)
        needed = model.pool_bytes + STACK_BYTES + _DRIVER_RAM
        if needed > self.board.ram.bytes:
            raise CompileError(
                f"{model.name} does not fit the emulated board {self.board.machine}",
                got=f"buffers, arena and stack of {needed} bytes, where {self.board.ram.bytes} are",
                fix="run the generated C files on a computer, or use smaller inputs",
            )

    @cached_property
    def image(self) -> Path:
        """The program, built when it is needed first."""
        self._scratch = ScratchFolder("penjing-image-")
        driver = {
            "model_driver.c": (SUPPORT / "model_driver.c").read_text(),
            "model_facts.h": self._model.facts(),
        }
        return build_image(
            self._model.core,
            {**self._model.sources, **driver},
            self._scratch.path,
            options=self._options,
            board=self.board,
        )

    def run(
        self, inputs: bytes, *, count: bool = False, blocks: bool = False, mnemonics: bool = False
    ) -> BoardRun:
        """Run the model once for each set of inputs in `inputs`, all bytes one after the other.

        `BoardRun.files["outputs"]` holds all outputs in the same way. What is counted: `run_image`.

        Raises:
            CompileError: The model refused its arguments, wrote where it may not, or crashed.
        """
        run = run_image(
            self.image,
            self.board,
            files={"inputs": inputs},
            count=count,
            blocks=blocks,
            mnemonics=mnemonics,
        )
        if run.exit_code >= MODEL_REFUSED:
            raise refusal(self._model.name, run.exit_code - MODEL_REFUSED)
        if run.exit_code:
            raise CompileError(
                f"{self._model.name} did not run to its end on {self.board.machine}",
                got=run.text.strip() or f"exit code {run.exit_code}",
                fix="a bug in penjing",
            )
        return run


def stack_bytes(run: BoardRun) -> int:
    """Bytes of stack that a model touched in its worst run."""
    return int(run.files["stack"])


def _initializer(sizes: Sequence[int]) -> str:
    return f"{{{', '.join(f'{size}u' for size in sizes) or '0'}}}"
