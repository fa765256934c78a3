"""A temporary folder that lives as long as an object."""

import shutil
import tempfile
import weakref
from pathlib import Path


class ScratchFolder:
    """A new folder, removed when this object is collected or the interpreter ends."""

    def __init__(self, prefix: str) -> None:
        self.path = Path(tempfile.mkdtemp(prefix=prefix))
        weakref.finalize(self, shutil.rmtree, self.path, ignore_errors=True)
