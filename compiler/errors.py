"""The errors a user sees: what went wrong, where in the model, what we saw, what to do."""


class CompileError(Exception):
    """Something the user gave cannot be compiled.

    Args:
        what: One sentence saying what happened and what was expected.
        at: Module path in the user's model, or the place in the pipeline.
        got: The op, shape, dtype or value that was seen.
        fix: One thing the user can do about it.
    """

    def __init__(self, what: str, *, at: str = "", got: str = "", fix: str = "") -> None:
        self.what, self.at, self.got, self.fix = what, at, got, fix
        rows = [f"  {key:<4} {value}" for key, value in self._parts() if value]
        super().__init__("\n".join([what, *rows]))

    def _parts(self) -> tuple[tuple[str, str], ...]:
        return ("at", self.at), ("got", self.got), ("fix", self.fix)


class UnsupportedOp(CompileError):
    """The model uses an op that no lowering rule covers."""

    def __init__(self, op: str, *, at: str, got: str) -> None:
        super().__init__(
            f"no lowering rule for {op}",
            at=at,
            got=got,
            fix=f"replace the op in the model, or add a rule with @lowers({op}): docs/operators.md",
        )
