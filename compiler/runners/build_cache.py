"""Small programs that penjing compiles for itself, kept between runs."""

import os
import tempfile
from collections.abc import Callable, Sequence
from functools import cache
from hashlib import sha256
from pathlib import Path

from ..scratch_folder import ScratchFolder


def cached_build(name: str, key: Sequence[str], build: Callable[[Path], None]) -> Path:
    """The file that `build` makes; made once for each key.

    Args:
        name: Begins the file's name.
        key: Everything that the content depends on.
        build: Writes the file to the path it gets.
    """
    folder = _cache_folder()
    path = folder / f"{name}-{sha256(repr(tuple(key)).encode()).hexdigest()[:20]}"
    if not path.exists():
        with tempfile.TemporaryDirectory(dir=folder, prefix="build-") as temporary:
            made = Path(temporary) / name
            build(made)
            made.replace(path)  # at once, so that nobody sees half a file
    return path


@cache
def _cache_folder() -> Path:
    """$XDG_CACHE_HOME/penjing; a temporary folder of this process if that cannot be written."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    folder = Path(base) / "penjing"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return folder
    except OSError:
        return _process_folder().path


@cache
def _process_folder() -> ScratchFolder:
    return ScratchFolder("penjing-cache-")
