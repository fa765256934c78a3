"""What the wheel, the checkout and the public names contain."""

import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest

import penjing

if sys.version_info >= (3, 11):
    import tomllib
else:
    tomllib = pytest.importorskip("tomllib", reason="reads pyproject.toml")

ROOT = Path(__file__).parents[1]
FOLDERS = ("compiler", "passes", "targets")


def _setuptools() -> dict[str, Any]:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())
    tables: dict[str, Any] = settings["tool"]["setuptools"]
    return tables


def _sources(pattern: str) -> set[str]:
    files = (path for folder in FOLDERS for path in (ROOT / folder).rglob(pattern))
    return {str(path.relative_to(ROOT)) for path in files if "__pycache__" not in path.parts}


def test_every_folder_of_code_is_a_listed_package() -> None:
    folders = {str(Path(file).parent) for file in _sources("*.py")}
    expected = {"penjing"} | {"penjing." + folder.replace("/", ".") for folder in folders}
    assert set(_setuptools()["packages"]) == expected
    assert all((ROOT / folder / "__init__.py").exists() for folder in folders)


def test_the_links_of_the_checkout_lead_to_the_folders() -> None:
    for folder in FOLDERS:
        assert (ROOT / "penjing" / folder).resolve() == ROOT / folder


@pytest.mark.slow
def test_the_wheel_holds_every_source_file(tmp_path: Path) -> None:
    build = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"]
    subprocess.run([*build, "--wheel-dir", tmp_path, ROOT], check=True)
    (wheel,) = tmp_path.glob("*.whl")
    names = set(zipfile.ZipFile(wheel).namelist())
    for pattern in ("*.py", "*.c", "*.h", "*.S", "*.ld"):
        assert {f"penjing/{source}" for source in _sources(pattern)} <= names
    assert "penjing/py.typed" in names


def test_every_public_name_can_be_had_and_no_other() -> None:
    assert all(getattr(penjing, name) is not None for name in penjing.__all__)
    assert set(penjing.__all__) <= set(dir(penjing))
    with pytest.raises(AttributeError, match="no attribute 'kompile'"):
        _ = penjing.kompile


def test_passes_are_known_by_name_without_importing_them() -> None:
    code = (
        "import penjing, torch; program = penjing.trace(torch.nn.ReLU(), torch.ones(2));"
        "print(len(penjing.optimize(program, 'fold-batch-norm').reports))"
    )
    command = [sys.executable, "-c", code]
    assert subprocess.run(command, capture_output=True, text=True).stdout == "1\n"


def test_importing_the_package_imports_nothing_heavy() -> None:
    code = (
        "import sys, penjing; print(sorted({'torch', 'tvm', 'numpy', 'rich'} & set(sys.modules)))"
    )
    command = [sys.executable, "-c", code]
    assert subprocess.run(command, capture_output=True, text=True).stdout == "[]\n"
