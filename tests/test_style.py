"""The size limits of CONTRIBUTING.md, and that the folders import each other one way."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCES = sorted(
    path
    for folder in ("compiler", "passes", "targets", "penjing")
    for path in ROOT.glob(f"{folder}/**/*.py")
    if not any(parent.is_symlink() for parent in path.parents)
)
# Who may import whom: targets know nothing of the compiler; only the driver and the command line
# know the passes.
FORBIDDEN = {"targets": ("compiler", "passes"), "compiler": ("passes",)}
KNOW_PASSES = ("driver.py", "cli")


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_files_and_functions_stay_small(path: Path) -> None:
    text = path.read_text()
    assert len(text.splitlines()) <= 300, "split the file"
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and node.end_lineno:
            body = node.body[1:] if ast.get_docstring(node) else node.body
            lines = node.end_lineno - body[0].lineno + 1 if body else 0
            assert lines <= 50, f"{node.name} at line {node.lineno} has {lines} lines: split it"


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_point_one_way(path: Path) -> None:
    relative = path.relative_to(ROOT)
    if relative.parts[0] == "compiler" and relative.parts[1] in KNOW_PASSES:
        return
    banned = FORBIDDEN.get(relative.parts[0], ())
    for module in _imported_folders(path):
        assert module not in banned, f"{relative} imports {module}"


def _imported_folders(path: Path) -> Iterator[str]:
    """The top folders that a file of a package imports from by relative imports."""
    package = path.relative_to(ROOT).parent.parts
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.level:
            base = package[: len(package) - node.level + 1]
            if node.level == len(package) + 1:
                yield from (
                    [node.module.partition(".")[0]] if node.module else [a.name for a in node.names]
                )
            elif base:
                yield base[0]
