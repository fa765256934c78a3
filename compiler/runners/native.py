"""Runs a library inside this process."""

import _ctypes
import ctypes
import os
import threading
import weakref
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..input_arrays import storage_dtype
from ..manifest import Manifest
from ..planning import ARENA_ALIGN
from .status import refusal

_EMPTY = np.zeros(ARENA_ALIGN, np.uint8)  # what pointers to no elements point to


class NativeRunner:
    """A loaded library. Threads may run it at once: each has an arena of its own.

    Args:
        manifest: What the model is.
        library: The shared library.
        weights: The separate weights file, if there is one.
    """

    def __init__(self, manifest: Manifest, library: Path, weights: Path | None) -> None:
        self._manifest = manifest
        self._library = ctypes.CDLL(str(library.resolve()))
        self._function = self._library[f"{manifest.name}_run"]
        self._function.restype = ctypes.c_int
        self._weights = None if weights is None else np.memmap(weights, np.uint8, "r")
        self._local = threading.local()
        weakref.finalize(self, _ctypes.dlclose, self._library._handle)
        if manifest.threads > 1:
            set_threads = self._library[f"{manifest.name}_set_threads"]
            set_threads(manifest.threads)
            weakref.finalize(self, _stop_workers, set_threads, os.getpid())  # runs first

    def run(self, arrays: Sequence[np.ndarray]) -> list[np.ndarray]:
        """The outputs for inputs as the library takes them.

        Raises:
            CompileError: The library refused its arguments.
        """
        specs = [entry.spec for entry in self._manifest.outputs]
        outputs = [np.empty(spec.shape, storage_dtype(spec)) for spec in specs]
        given = list(arrays) if self._weights is None else [*arrays, self._weights]
        status = self._function(
            pointers(given),
            pointers(outputs),
            ctypes.c_void_p(self._arena()),
            ctypes.c_size_t(self._manifest.sizes.arena_bytes),
        )
        if status:
            raise refusal(self._manifest.name, status)
        return outputs

    def _arena(self) -> int:
        """Address of this thread's arena."""
        if not hasattr(self._local, "address"):
            size = self._manifest.sizes.arena_bytes + ARENA_ALIGN
            self._local.memory = np.empty(size, np.uint8)
            self._local.address = -(-self._local.memory.ctypes.data // ARENA_ALIGN) * ARENA_ALIGN
        return int(self._local.address)


def _stop_workers(set_threads: Callable[[int], int], process: int) -> None:
    """Stop the library's threads, unless this is a forked process, which never had them."""
    if os.getpid() == process:
        set_threads(1)


def pointers(arrays: Sequence[np.ndarray]) -> Any:
    """An array of C pointers to the elements of arrays; never NULL, never empty."""
    addresses = [array.ctypes.data if array.size else _EMPTY.ctypes.data for array in arrays]
    return (ctypes.c_void_p * max(1, len(addresses)))(*addresses)
