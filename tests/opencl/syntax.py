"""OpenCL C read by clang, as for a device that has every extension."""

import shutil
import subprocess
from pathlib import Path

import pytest


def check_syntax(source: str, folder: Path) -> None:
    """Fail on errors and warnings; skips the test if there is no clang."""
    clang = shutil.which("clang")
    if clang is None:
        pytest.skip("needs clang")
    path = folder / "source.cl"
    path.write_text(source)
    command = [clang, "-x", "cl", "-cl-std=CL1.2", "-target", "spir64", "-fsyntax-only"]
    command += ["-Xclang", "-finclude-default-header", "-Xclang", "-cl-ext=+all"]
    command += ["-Wall", "-Werror", "-Wno-unused-function", "-Wno-unknown-pragmas", str(path)]
    found = subprocess.run(command, capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stderr[:4000]
