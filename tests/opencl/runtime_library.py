"""The run time of OpenCL libraries with a small model, built for tests and called by ctypes."""

import ctypes
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from penjing import targets
from penjing.compiler.opencl_library import runtime
from penjing.compiler.runners.opencl import Config as Config
from penjing.compiler.runners.opencl import Time as Time
from penjing.targets.target import Target

from ..c_programs import build_program

HERE = Path(__file__).parent
RUNTIME = Path(str(runtime.__file__)).parent
HOST = targets.get("host")

COUNT = 2000  # elements of x, y and q
OK, NULL_INPUT, NULL_OUTPUT, MISALIGNED_INPUT, MISALIGNED_OUTPUT, OVERLAP = 0, 1, 2, 6, 7, 8
NO_OPENCL, NO_DEVICE, UNSUPPORTED, BUILD_FAILED, OUT_OF_MEMORY = 32, 33, 34, 35, 36
LAUNCH_FAILED, WRONG_RESULTS, BAD_CONFIG, NO_CPU = 37, 38, 39, 40
DEVICE_OR_CPU, DEVICE_ONLY, CPU_ONLY = 0, 1, 2


@cache
def _folder() -> TemporaryDirectory[str]:
    return TemporaryDirectory(prefix="penjing-opencl-")


def build(
    name: str, sources: Sequence[Path], *options: str, target: Target = HOST, extensions: str = ""
) -> Path:
    """A program or library of the run time and the small model."""
    output = Path(_folder().name) / target.name / name
    output.parent.mkdir(exist_ok=True)
    words = ["-std=c11", "-g", "-Wconversion", f"-I{RUNTIME}", f'-DEXTENSIONS="{extensions}"']
    return build_program(target, sources, output, *words, *options, "-ldl", "-lpthread")


def runtime_sources() -> list[Path]:
    """The C files of the run time."""
    return sorted(RUNTIME.glob("*.c"))


def many_sessions(*options: str, name: str = "many_sessions", target: Target = HOST) -> Path:
    """The program of sessions in several threads."""
    models = [HERE / f"{model}_program.c" for model in ("small", "other")]
    sources = [HERE / "many_sessions.c", *models, *runtime_sources()]
    return build(name, sources, *options, target=target)


@cache
def load_runtime(extensions: str = "") -> ctypes.CDLL:
    """The run time with the small model, which asks for these extensions, in this process."""
    name = f"libruntime{extensions}.so"
    sources = [*runtime_sources(), HERE / "small_program.c"]
    library = ctypes.CDLL(
        str(build(name, sources, "-shared", "-fPIC", extensions=extensions)), os.RTLD_LOCAL
    )
    library.small_program.restype = ctypes.c_void_p
    library.session_message.restype = ctypes.c_char_p
    library.session_device.restype = ctypes.c_char_p
    for name in ("message", "device", "on_device", "destroy"):
        getattr(library, f"session_{name}").argtypes = [ctypes.c_void_p]
    library.session_create.argtypes = [ctypes.c_void_p] * 3
    library.session_run.argtypes = [ctypes.c_void_p] * 3
    library.session_profile.argtypes = [ctypes.c_void_p] * 4 + [ctypes.c_uint32]
    return library


@cache
def fake_path(*options: str, target: Target = HOST) -> Path:
    """The library of OpenCL that fails and lies where it is told."""
    name = f"libfake{''.join(options)}.so"
    hidden = ("-shared", "-fPIC", "-fvisibility=hidden", *options)
    return build(name, sorted(HERE.glob("fake_*.c")), *hidden, target=target)


class Fake:
    """The fake library in this process."""

    def __init__(self, *options: str) -> None:
        self.path = fake_path(*options)
        self._library = ctypes.CDLL(str(self.path))
        self._library.fake_misuse.restype = ctypes.c_char_p

    @contextmanager
    def told(self, words: str) -> Iterator[None]:
        """Within, it does what the words say; afterwards it must have been used as is allowed."""
        before = os.environ.get("FAKE_OPENCL", "")
        self._library.fake_reset()
        os.environ["FAKE_OPENCL"] = words
        try:
            yield
        finally:
            os.environ["FAKE_OPENCL"] = before
        assert self._library.fake_misuse() == b""

    def calls(self) -> int:
        """Calls since the begin of `told`."""
        return int(self._library.fake_calls())

    def source_builds(self) -> int:
        """Programs that were created from source since the begin of `told`."""
        return int(self._library.fake_source_builds())

    def alive(self) -> int:
        """Objects that are not released."""
        return int(self._library.fake_alive())


class Session:
    """A session of the small model; `status` is what creating it gave."""

    def __init__(self, extensions: str = "", /, **config: Any) -> None:
        self.library = load_runtime(extensions)
        self.handle = ctypes.c_void_p()
        self.config = Config(**{"size": ctypes.sizeof(Config), **config})
        program = self.library.small_program()
        self.status = self.library.session_create(
            program, ctypes.byref(self.config), ctypes.byref(self.handle)
        )

    def __enter__(self) -> "Session":
        return self

    def __exit__(self, *_: object) -> None:
        self.library.session_destroy(self.handle)
        self.handle = ctypes.c_void_p()

    @property
    def message(self) -> str:
        """What went wrong, of a failed session too."""
        return str(self.library.session_message(self.handle).decode())

    @property
    def device(self) -> str:
        """What runs the model."""
        return str(self.library.session_device(self.handle).decode())

    @property
    def on_device(self) -> bool:
        """Whether a device of OpenCL runs the model."""
        return bool(self.library.session_on_device(self.handle))

    def run(self, arrays: "Arrays") -> int:
        """The status of one inference."""
        return int(self.library.session_run(self.handle, arrays.inputs, arrays.outputs))

    def profile(self, arrays: "Arrays", room: int = 8) -> tuple[int, list[Time]]:
        """What session_profile returns, and all rows that it was given."""
        times = (Time * room)()
        count = self.library.session_profile(
            self.handle, arrays.inputs, arrays.outputs, times, room
        )
        return int(count), list(times)


def aligned(dtype: str, count: int, alignment: int, shift: int = 0) -> np.ndarray:
    """An array `shift` bytes behind an aligned address."""
    size = np.dtype(dtype).itemsize * count
    memory = np.zeros(size + 2 * alignment, np.uint8)
    start = -memory.ctypes.data % alignment + shift
    return memory[start : start + size].view(dtype)


class Arrays:
    """Inputs and outputs of the small model, and what it has to compute."""

    def __init__(self, *, seed: int = 0, shift: int = 0) -> None:
        """Of memory that a device can share if `shift` is 0."""
        generator = np.random.default_rng(seed)
        self.x = aligned("f4", COUNT, 128, shift)
        self.x[:] = generator.standard_normal(COUNT)
        self.n = np.array([0, seed % 20], "i4")
        self.y = aligned("f4", COUNT, 128, shift)
        self.q = np.zeros(COUNT, "i1")
        self.z = aligned("f4", COUNT - 1, 128, shift)
        self.inputs = (ctypes.c_void_p * 2)(self.x.ctypes.data, self.n.ctypes.data)
        self.outputs = (ctypes.c_void_p * 3)(
            self.y.ctypes.data, self.q.ctypes.data, self.z.ctypes.data
        )

    def check(self) -> None:
        """Compare with what the model is, in NumPy."""
        index = np.arange(COUNT)
        values = 2 * self.x * ((index % 7 + 1) / 8).astype("f4")
        n = int(self.n[1])
        np.testing.assert_allclose(self.y, values * values + n, rtol=1e-6)
        np.testing.assert_array_equal(self.q, index % 100 + n)
        np.testing.assert_allclose(self.z, values[1:], rtol=1e-6)
        self.y[:] = self.q[:] = self.z[:] = -1
