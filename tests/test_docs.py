"""The documentation says what is true: generated pages, lists, links and the README's example."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import penjing.passes  # noqa: F401  # registers the passes
from penjing.compiler.library.header import STATUSES
from penjing.compiler.pass_base import known_passes

ROOT = Path(__file__).parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("examples/**/*.md")])


def test_the_page_of_operators_is_what_the_rules_say() -> None:
    command = [sys.executable, str(ROOT / "docs" / "operators.py")]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert (ROOT / "docs" / "operators.md").read_text() == printed, "run `make docs`"


def test_the_page_of_passes_names_every_pass() -> None:
    page = (ROOT / "docs" / "passes.md").read_text()
    ours = {name for name, cls in known_passes().items() if cls.__module__.startswith("penjing.")}
    assert ours == set(re.findall(r"^### `([a-z-]+)", page, re.MULTILINE))


def test_the_page_of_the_c_interface_has_every_status() -> None:
    page = (ROOT / "docs" / "c_abi.md").read_text()
    assert all(f"| {code} | `{name}` | {text} |" in page for name, code, text in STATUSES[1:])


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_and_named_files_exist(page: Path) -> None:
    text = page.read_text()
    for target in re.findall(r"\]\(([^)#:]+)\)", text):
        assert (page.parent / target).exists(), f"{target} is linked but does not exist"
    named = re.findall(r"`((?:compiler|passes|targets|tests|examples|docs)/[\w/]+\.\w+)`", text)
    for name in named:
        assert (ROOT / name).exists(), f"{name} is named but does not exist"


@pytest.mark.qemu
def test_the_example_of_the_readme_runs(tmp_path: Path) -> None:
    if shutil.which("qemu-aarch64") is None:
        pytest.skip("qemu-aarch64 is not installed")
    (code,) = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    saved = {path.name for path in (tmp_path / "build").iterdir()}
    assert saved == {"libmodel.so", "libmodel.a", "model.c", "model.h", "model.json"}
