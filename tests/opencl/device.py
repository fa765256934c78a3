"""OpenCL from Python, enough to run one kernel after the other on numpy arrays.

Nothing else is imported: it also runs where a checker of kernels has a compiler of its own.
"""

import ctypes
import ctypes.util
import os
from collections.abc import Iterable, Sequence
from functools import cache
from typing import Any

import numpy as np

_READ_WRITE, _COPY = 1, 32  # CL_MEM_READ_WRITE, CL_MEM_COPY_HOST_PTR
_ANY_DEVICE, _BUILD_LOG, _EXTENSIONS = 0xFFFFFFFF, 0x1183, 0x1030
_POINTERS = (
    *("clCreateContext", "clCreateCommandQueue", "clCreateProgramWithSource"),
    *("clCreateKernel", "clCreateBuffer"),
)
Array = np.ndarray[Any, Any]


class DeviceError(RuntimeError):
    """OpenCL refused something."""


@cache
def find_device() -> "Device | None":
    """The first device there is, if any."""
    is_simulated = "oclgrind" in os.environ.get("LD_PRELOAD", "")  # then it is in the process
    name = None if is_simulated else ctypes.util.find_library("OpenCL")
    if name is None and not is_simulated:
        return None
    library = ctypes.CDLL(name)
    for function in _POINTERS:
        getattr(library, function).restype = ctypes.c_void_p
    platforms = (ctypes.c_void_p * 8)()
    count = ctypes.c_uint()
    if library.clGetPlatformIDs(8, platforms, ctypes.byref(count)) != 0:
        return None
    for platform in platforms[: count.value]:
        handle, found = ctypes.c_void_p(), ctypes.c_uint()
        arguments = (ctypes.c_void_p(platform), ctypes.c_ulong(_ANY_DEVICE), 1)
        status = library.clGetDeviceIDs(*arguments, ctypes.byref(handle), ctypes.byref(found))
        if status == 0 and found.value:
            return Device(library, handle)
    return None


class Device:
    """A device with a queue in order."""

    def __init__(self, library: ctypes.CDLL, handle: ctypes.c_void_p) -> None:
        self._library, self._handle = library, handle
        status = ctypes.c_int()
        context = library.clCreateContext(
            None, 1, ctypes.byref(handle), None, None, ctypes.byref(status)
        )
        _check(status.value, "clCreateContext")
        self._context = ctypes.c_void_p(context)
        queue = library.clCreateCommandQueue(
            self._context, handle, ctypes.c_ulong(0), ctypes.byref(status)
        )
        _check(status.value, "clCreateCommandQueue")
        self._queue = ctypes.c_void_p(queue)

    @property
    def extensions(self) -> frozenset[str]:
        """What the device has beyond OpenCL 1.2."""
        text = ctypes.create_string_buffer(1 << 16)
        size = ctypes.c_size_t(len(text))
        status = self._library.clGetDeviceInfo(self._handle, _EXTENSIONS, size, text, None)
        _check(status, "clGetDeviceInfo")
        return frozenset(text.value.decode().split())

    def build(self, source: str, options: str = "-cl-std=CL1.2") -> ctypes.c_void_p:
        """The program of a source text; its errors are in the exception."""
        text = ctypes.c_char_p(source.encode())
        status = ctypes.c_int()
        program = ctypes.c_void_p(
            self._library.clCreateProgramWithSource(
                self._context, 1, ctypes.byref(text), None, ctypes.byref(status)
            )
        )
        _check(status.value, "clCreateProgramWithSource")
        given = (1, ctypes.byref(self._handle), options.encode(), None, None)
        if self._library.clBuildProgram(program, *given) != 0:
            log = ctypes.create_string_buffer(1 << 16)
            size = ctypes.c_size_t(len(log))
            self._library.clGetProgramBuildInfo(program, self._handle, _BUILD_LOG, size, log, None)
            raise DeviceError(f"{log.value.decode()}\n{source}")
        return program

    def run(
        self,
        program: ctypes.c_void_p,
        launches: Iterable[Any],
        arrays: Sequence[Array],
        starts: Sequence[int],
    ) -> list[Array]:
        """The arrays after launches of a program.

        Args:
            program: What `build` gave.
            launches: As targets/opencl/kernel.py has them.
            arrays: What they read and write, of any dtype.
            starts: Elements into each array where the kernels' values begin.
        """
        buffers = [self._buffer(array) for array in arrays]
        for launch in launches:
            self._launch(program, launch, buffers, starts)
        results = [self._read(*pair) for pair in zip(buffers, arrays, strict=True)]
        for buffer in buffers:
            self._library.clReleaseMemObject(buffer)
        return results

    def release(self, program: ctypes.c_void_p) -> None:
        """Give a program up."""
        self._library.clReleaseProgram(program)

    def _buffer(self, value: Array) -> ctypes.c_void_p:
        """A buffer with the array in it; one element if it has none."""
        filled = np.ascontiguousarray(value) if value.size else np.zeros(1, value.dtype)
        status = ctypes.c_int()
        buffer = self._library.clCreateBuffer(
            self._context,
            ctypes.c_ulong(_READ_WRITE | _COPY),
            ctypes.c_size_t(filled.nbytes),
            ctypes.c_void_p(filled.ctypes.data),
            ctypes.byref(status),
        )
        _check(status.value, "clCreateBuffer")
        return ctypes.c_void_p(buffer)

    def _read(self, buffer: ctypes.c_void_p, like: Array) -> Array:
        result = np.empty_like(like, order="C")
        if not like.size:
            return result
        target = ctypes.c_void_p(result.ctypes.data)
        size = ctypes.c_size_t(result.nbytes)
        status = self._library.clEnqueueReadBuffer(
            self._queue, buffer, 1, ctypes.c_size_t(0), size, target, 0, None, None
        )
        _check(status, "clEnqueueReadBuffer")
        return result

    def _launch(
        self,
        program: ctypes.c_void_p,
        launch: Any,
        buffers: Sequence[ctypes.c_void_p],
        starts: Sequence[int],
    ) -> None:
        status = ctypes.c_int()
        name = launch.function.encode()
        made = self._library.clCreateKernel(program, name, ctypes.byref(status))
        _check(status.value, f"clCreateKernel of {launch.function}")
        kernel = ctypes.c_void_p(made)
        for place, argument in enumerate(launch.arguments):
            pair = (buffers[argument], ctypes.c_uint(starts[argument]))
            for index, value in enumerate(pair, 2 * place):
                given = (ctypes.c_size_t(ctypes.sizeof(value)), ctypes.byref(value))
                _check(self._library.clSetKernelArg(kernel, index, *given), f"argument {index}")
        group = (ctypes.c_size_t * 3)(*launch.group) if launch.group else None
        by = launch.group or [min(count, 2) for count in launch.items]  # as if groups were of two
        items = [-(-count // size) * size for count, size in zip(launch.items, by, strict=True)]
        status_code = self._library.clEnqueueNDRangeKernel(
            self._queue, kernel, 3, None, (ctypes.c_size_t * 3)(*items), group, 0, None, None
        )
        _check(status_code, f"clEnqueueNDRangeKernel of {launch.function}")
        self._library.clFinish(self._queue)
        self._library.clReleaseKernel(kernel)


def _check(status: int, what: str) -> None:
    if status != 0:
        raise DeviceError(f"{what}: status {status}")
