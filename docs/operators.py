"""Prints docs/operators.md: every operator that has a lowering rule, and the rule's formula."""

import inspect
from collections import defaultdict

import penjing.compiler.lowering.rules  # noqa: F401  # fills the table
from penjing.compiler.lowering.registry import RULES

HEADER = """\
# Operators

Generated from the rules by `make docs`; a test compares.

penjing compiles programs of these {count} operators. `torch.export` and penjing's tracing rewrite
most others into them: in-place operators, operators that PyTorch can decompose, and everything
whose value is known at compile time. What remains without a rule is a `CompileError` that names the
operator, the module and the shapes. `examples/custom_op.py` shows how to add a rule without
touching penjing.
"""


def main() -> None:
    """Print the page."""
    families = defaultdict(list)
    for op, entry in RULES.items():
        rule = getattr(entry.rule, "func", entry.rule)  # of a partial
        family = rule.__module__.rpartition(".")[2]
        summary = (inspect.getdoc(rule) or "").partition("\n")[0]
        families[family].append(f"| `{op}` | {summary.replace('|', chr(92) + '|')} |")
    print(HEADER.format(count=len(RULES)))
    for family in sorted(families):
        print(f"## {family.replace('_', ' ').capitalize()}\n\n| operator | rule |\n|---|---|")
        print("\n".join(sorted(families[family])) + "\n")


if __name__ == "__main__":
    main()
