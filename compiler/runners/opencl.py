"""Runs a library for a GPU inside this process."""

import _ctypes
import ctypes
import os
import threading
import warnings
import weakref
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import CompileError
from ..input_arrays import storage_dtype
from ..manifest import Manifest
from ..scratch_folder import ScratchFolder
from .native import pointers
from .status import refusal

_DEVICE = "PENJING_DEVICE"  # part of the name of the device to take


class Config(ctypes.Structure):
    """penjing_config of NAME.h."""

    _fields_ = (
        ("size", ctypes.c_size_t),
        ("runs", ctypes.c_int32),
        ("any_device", ctypes.c_int32),
        ("opencl_library", ctypes.c_char_p),
        ("device", ctypes.c_char_p),
        ("cache_folder", ctypes.c_char_p),
        ("skip_check", ctypes.c_int32),
        ("tune_milliseconds", ctypes.c_uint32),
        ("most_memory", ctypes.c_size_t),
    )


class Time(ctypes.Structure):
    """penjing_time of NAME.h."""

    _fields_ = (
        ("call", ctypes.c_uint32),
        ("function", ctypes.c_char_p),
        ("nanoseconds", ctypes.c_uint64),
    )


class OpenClRunner:
    """A loaded library and one session; threads that run it wait for each other.

    It takes any OpenCL device, also one that is a CPU; $PENJING_DEVICE may hold part of the name of
    the one to take. Where there is none the library runs on the CPU, with a warning.

    Args:
        manifest: What the model is.
        library: The shared library.

    Raises:
        CompileError: Neither a device nor this CPU can run it.
    """

    def __init__(self, manifest: Manifest, library: Path) -> None:
        self._manifest = manifest
        self._library = ctypes.CDLL(str(library.resolve()))
        weakref.finalize(self, _ctypes.dlclose, self._library._handle)
        self._lock = threading.Lock()
        self._cache = ScratchFolder("penjing-opencl-")  # compiled programs, for this object only
        self._session = self._create()
        destroy = self._function("destroy", None)
        weakref.finalize(self, destroy, self._session)  # runs before the library is unloaded
        if not self.is_on_device:
            text = f"{manifest.name} runs on the CPU: {self.message}"
            warnings.warn(text, RuntimeWarning, stacklevel=2)

    @property
    def is_on_device(self) -> bool:
        """Whether a device runs the model, and not the CPU."""
        return bool(self._function("on_device", ctypes.c_int)(self._session))

    @property
    def device(self) -> str:
        """Name, version and driver of the device; "cpu" without one."""
        return self._text("device")

    @property
    def message(self) -> str:
        """Why the CPU runs the model, or what went wrong last; "" if nothing."""
        return self._text("message")

    def run(self, arrays: Sequence[np.ndarray]) -> list[np.ndarray]:
        """The outputs for inputs as the library takes them.

        Raises:
            CompileError: The library refused its arguments, or the device failed.
        """
        outputs = self._outputs()
        run = self._function("run", ctypes.c_int)
        with self._lock:
            self._check("run", run(self._session, pointers(arrays), pointers(outputs)))
        return outputs

    def profile(self, arrays: Sequence[np.ndarray]) -> list[int]:
        """Nanoseconds of every launch of one inference, in the order they run.

        Raises:
            CompileError: The model runs on the CPU, or the device failed.
        """
        if not self.is_on_device:
            raise CompileError(
                "launches have times on an OpenCL device only",
                got=self.message,
                fix="install one, such as PoCL, or profile a CPU target",
            )
        count = sum(len(call.launches) for call in self._manifest.calls)
        times = (Time * max(1, count))()
        profile, given = self._function("profile", ctypes.c_int), pointers(arrays)
        outputs = self._outputs()
        with self._lock:
            found = profile(self._session, given, pointers(outputs), times, ctypes.c_uint32(count))
            self._check("profile", -min(0, found))
        return [int(time.nanoseconds) for time in times[:count]]

    def _create(self) -> ctypes.c_void_p:
        session = ctypes.c_void_p()
        config = Config(
            size=ctypes.sizeof(Config),
            any_device=1,
            device=os.environ.get(_DEVICE, "").encode() or None,
            cache_folder=str(self._cache.path).encode(),
        )
        create = self._function("create", ctypes.c_int)
        self._session = session  # NULL, of which a failed create leaves its message
        self._check("create", create(ctypes.byref(config), ctypes.byref(session)))
        return session

    def _outputs(self) -> list[np.ndarray]:
        specs = [entry.spec for entry in self._manifest.outputs]
        return [np.empty(spec.shape, storage_dtype(spec)) for spec in specs]

    def _check(self, function: str, status: int) -> None:
        if status:
            name = self._manifest.name
            raise refusal(name, status, function=function, message=self.message)

    def _text(self, function: str) -> str:
        value = self._function(function, ctypes.c_char_p)(self._session)
        return str((value or b"").decode(errors="replace"))

    def _function(self, word: str, result: Any) -> Any:
        function = self._library[f"{self._manifest.name}_{word}"]
        function.restype = result
        return function
