"""OpenCL's C interface through ctypes: as much as a list of kernels over buffers needs.

Names and numbers are those of CL/cl.h.
"""

import ctypes
import ctypes.util
from collections.abc import Sequence
from typing import Any

import numpy as np

_ALL_DEVICES = 0xFFFFFFFF
_DEVICE_NAME, _DRIVER_VERSION = 0x102B, 0x102D
_BUILD_LOG = 0x1183
_COPY_HOST = 32  # with CL_MEM_READ_WRITE
_STARTED, _ENDED, _WITH_TIMES = 0x1282, 0x1283, 2

Handle = ctypes.c_void_p


class Device:
    """The first device whose name contains `name`, with one queue that takes times.

    Raises:
        LookupError: There is no such device.
        RuntimeError: A call of OpenCL failed; the message has its name and its status.
    """

    def __init__(self, name: str = "") -> None:
        library = ctypes.util.find_library("OpenCL")
        if library is None:
            raise LookupError("no OpenCL library")
        self._cl = ctypes.CDLL(library)
        self._device = self._find(name)
        devices = (Handle * 1)(self._device)
        self._context = self._make("clCreateContext", None, 1, devices, None, None)
        self._queue = self._make("clCreateCommandQueue", self._context, self._device, _WITH_TIMES)

    @property
    def text(self) -> str:
        """Name of the device and version of its driver."""
        return (
            f"{self._info(self._device, _DEVICE_NAME)} {self._info(self._device, _DRIVER_VERSION)}"
        )

    def build(self, source: str) -> Handle:
        """A program from OpenCL C."""
        text = (ctypes.c_char_p * 1)(source.encode())
        program = self._make("clCreateProgramWithSource", self._context, 1, text, None)
        if self._cl.clBuildProgram(program, 0, None, b"", None, None):
            raise RuntimeError(self._log(program))
        return program

    def kernel(self, program: Handle, name: str, buffers: Sequence[Handle]) -> Handle:
        """A kernel of a program with its arguments set."""
        kernel = self._make("clCreateKernel", program, name.encode())
        for place, buffer in enumerate(buffers):
            self._do("clSetKernelArg", kernel, place, ctypes.c_size_t(8), ctypes.byref(buffer))
        return kernel

    def buffer(self, array: np.ndarray) -> Handle:
        """A buffer with the bytes of an array."""
        size = ctypes.c_size_t(max(1, array.nbytes))
        data = Handle(array.ctypes.data)
        return self._make("clCreateBuffer", self._context, ctypes.c_uint64(_COPY_HOST), size, data)

    def launch(self, kernel: Handle, items: Sequence[int], group: Sequence[int]) -> Handle:
        """Enqueue a kernel; the event has to be released by `release`."""
        event = Handle()
        sizes = [(ctypes.c_size_t * len(items))(*numbers) for numbers in (items, group)]
        self._do(
            "clEnqueueNDRangeKernel",
            *(self._queue, kernel, len(items), None, *sizes, 0, None, ctypes.byref(event)),
        )
        return event

    def release(self, event: Handle) -> None:
        """Give an event back."""
        self._do("clReleaseEvent", event)

    def write(self, buffer: Handle, array: np.ndarray) -> None:
        """Copy an array to a buffer, in the order of the queue."""
        self._copy("clEnqueueWriteBuffer", buffer, array)

    def read(self, buffer: Handle, array: np.ndarray) -> None:
        """Copy a buffer into an array, in the order of the queue."""
        self._copy("clEnqueueReadBuffer", buffer, array)

    def finish(self) -> None:
        """Wait for all that is enqueued."""
        self._do("clFinish", self._queue)

    def nanoseconds(self, event: Handle) -> int:
        """How long the kernel of a finished event ran."""
        times = [ctypes.c_uint64() for _ in range(2)]
        for which, time in zip((_STARTED, _ENDED), times, strict=True):
            size = ctypes.c_size_t(8)
            self._do("clGetEventProfilingInfo", event, which, size, ctypes.byref(time), None)
        return times[1].value - times[0].value

    def _find(self, name: str) -> Handle:
        platforms = self._list(self._cl.clGetPlatformIDs)
        for platform in platforms:
            every = (platform, ctypes.c_uint64(_ALL_DEVICES))
            for device in self._list(self._cl.clGetDeviceIDs, *every):
                if name in self._info(device, _DEVICE_NAME):
                    return device
        raise LookupError(f"no OpenCL device {name}")

    def _list(self, function: Any, *arguments: Any) -> list[Handle]:
        count = ctypes.c_uint32()
        if function(*arguments, 0, None, ctypes.byref(count)) or not count.value:
            return []
        found = (Handle * count.value)()
        function(*arguments, count, found, None)
        return [Handle(handle) for handle in found]

    def _info(self, device: Handle, which: int) -> str:
        text = ctypes.create_string_buffer(1024)
        self._do("clGetDeviceInfo", device, which, ctypes.c_size_t(1024), text, None)
        return text.value.decode()

    def _log(self, program: Handle) -> str:
        size = ctypes.c_size_t()
        arguments = (program, self._device, _BUILD_LOG)
        self._do("clGetProgramBuildInfo", *arguments, size, None, ctypes.byref(size))
        text = ctypes.create_string_buffer(size.value)
        self._do("clGetProgramBuildInfo", *arguments, size, text, None)
        return text.value.decode(errors="replace")

    def _copy(self, function: str, buffer: Handle, array: np.ndarray) -> None:
        place = (ctypes.c_size_t(0), ctypes.c_size_t(array.nbytes), Handle(array.ctypes.data))
        self._do(function, self._queue, buffer, 0, *place, 0, None, None)

    def _make(self, function: str, *arguments: Any) -> Handle:
        """What a clCreate function gives; its last parameter is where its status goes."""
        status = ctypes.c_int32()
        create = self._cl[function]
        create.restype = Handle
        made = create(*arguments, ctypes.byref(status))
        if status.value or not made:
            raise RuntimeError(f"{function}: {status.value}")
        return Handle(made)

    def _do(self, function: str, *arguments: Any) -> None:
        status = self._cl[function](*arguments)
        if status:
            raise RuntimeError(f"{function}: {status}")
