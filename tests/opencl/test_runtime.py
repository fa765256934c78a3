"""The run time in C: which device it takes, when the CPU runs instead, and its statuses."""

import ctypes
import re
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from .runtime_library import (
    BAD_CONFIG,
    BUILD_FAILED,
    COUNT,
    CPU_ONLY,
    DEVICE_ONLY,
    HERE,
    MISALIGNED_INPUT,
    MISALIGNED_OUTPUT,
    NO_CPU,
    NO_DEVICE,
    NO_OPENCL,
    NULL_INPUT,
    NULL_OUTPUT,
    OK,
    OUT_OF_MEMORY,
    OVERLAP,
    RUNTIME,
    UNSUPPORTED,
    WRONG_RESULTS,
    Arrays,
    Config,
    Fake,
    Session,
    load_runtime,
)


@pytest.fixture(scope="module")
def fake() -> Fake:
    return Fake()


def fake_session(fake: Fake, extensions: str = "", /, **config: Any) -> Session:
    return Session(extensions, opencl_library=bytes(fake.path), **config)


@pytest.mark.parametrize("words", ["", "own_memory", "no_binary", "understates"])
@pytest.mark.parametrize("shift", [0, 4], ids=["shared", "copied"])
def test_a_device_runs_the_model(fake: Fake, words: str, shift: int) -> None:
    with fake.told(words), fake_session(fake) as session:
        assert (session.status, session.message) == (OK, "")
        assert session.on_device
        assert session.device == "Fake GPU, OpenCL 1.2 fake, driver 1.0"
        for seed in range(3):  # memory of other places in each run
            arrays = Arrays(seed=seed, shift=shift)
            assert session.run(arrays) == OK
            arrays.check()
    assert fake.alive() == 0


@pytest.mark.parametrize(
    ("words", "status", "reason"),
    [
        ("no_platform", NO_DEVICE, "none of 0 OpenCL devices is a GPU"),
        ("no_device", NO_DEVICE, "none of 0 OpenCL devices is a GPU"),
        ("is_cpu", NO_DEVICE, "none of 1 OpenCL devices is a GPU"),
        ("unavailable", UNSUPPORTED, "Fake GPU is not available"),
        ("no_compiler", UNSUPPORTED, "Fake GPU has no compiler"),
        ("big_endian", UNSUPPORTED, "Fake GPU is big-endian"),
        ("old_version", UNSUPPORTED, "Fake GPU has only OpenCL 1.1 fake"),
        ("tiny_groups", UNSUPPORTED, "finish needs groups of 24 items, Fake GPU has 16"),
        ("small_groups", UNSUPPORTED, "finish: CL_INVALID_WORK_GROUP_SIZE (-54)"),
        ("small_memory", OUT_OF_MEMORY, "small needs 50004 bytes, Fake GPU may use 10000"),
        ("small_buffers", OUT_OF_MEMORY, "small needs a buffer of 16000 bytes"),
        ("no_memory", OUT_OF_MEMORY, "clCreateBuffer: CL_MEM_OBJECT_ALLOCATION_FAILURE (-4)"),
        ("build_fails", BUILD_FAILED, "line 3: unknown type name 'half'"),
        ("wrong_float", WRONG_RESULTS, "computes square wrong (call 2, run 1): element 1999 is"),
        ("wrong_integer", WRONG_RESULTS, "element 77 is 76, not 77"),
    ],
)
def test_a_device_that_cannot_is_replaced_by_the_cpu(
    fake: Fake, words: str, status: int, reason: str
) -> None:
    with fake.told(words), fake_session(fake) as session:
        assert session.status == OK
        assert not session.on_device
        assert session.device == "cpu"
        assert reason in session.message
        arrays = Arrays()
        assert session.run(arrays) == OK
        arrays.check()
    with fake.told(words), fake_session(fake, runs=DEVICE_ONLY) as session:
        assert session.status == status
        assert not session.handle
        assert reason in session.message
    assert fake.alive() == 0


def test_a_device_that_is_unstable_is_replaced_by_the_cpu(fake: Fake) -> None:
    """Every second launch gives something else: the first run of a call may be right."""
    with fake.told("unstable"), fake_session(fake) as session:
        assert "square wrong" in session.message
        assert not session.on_device


def test_a_device_that_shares_memory_badly_gets_copies(fake: Fake, tmp_path: Path) -> None:
    """Which the cache knows, too."""
    for words in ("shares_badly", "clEnqueueMapBuffer=1"):
        folder = tmp_path / words
        folder.mkdir()
        for _ in range(2):
            with (
                fake.told(words),
                fake_session(fake, cache_folder=bytes(folder)) as session,
            ):
                assert (session.message, session.on_device) == ("", True)
                arrays = Arrays()
                assert session.run(arrays) == OK
                arrays.check()
                assert session.on_device


@pytest.mark.parametrize(
    ("words", "extensions", "is_right"),
    [
        ("rounds", "", True),
        ("rounds_coarsely", "", False),
        ("rounds_coarsely has_fp16", "cl_khr_fp16", True),
        ("wrong_float has_fp16", "cl_khr_fp16", False),
    ],
)
def test_rounding_is_not_an_error(fake: Fake, words: str, extensions: str, is_right: bool) -> None:
    """Programs that compute in float16 may round more."""
    with fake.told(words), fake_session(fake, extensions) as session:
        assert session.on_device == is_right


def test_no_opencl_library() -> None:
    with Session(opencl_library=b"/nowhere/libOpenCL.so") as session:
        assert session.status == OK
        assert "no OpenCL library: /nowhere/libOpenCL.so: cannot open" in session.message
        arrays = Arrays()
        assert session.run(arrays) == OK
        arrays.check()
    with Session(opencl_library=b"/nowhere/libOpenCL.so", runs=DEVICE_ONLY) as session:
        assert session.status == NO_OPENCL


def test_a_library_without_a_function_is_refused() -> None:
    path = bytes(Fake("-DINCOMPLETE").path)
    with Session(opencl_library=path, runs=DEVICE_ONLY) as session:
        assert session.status == NO_OPENCL
        assert session.message.endswith("has no function clReleaseEvent")


def test_the_library_of_pixel_phones_is_asked_for_its_functions() -> None:
    fake = Fake("-DPIXEL")
    with fake.told(""), fake_session(fake) as session:
        assert session.on_device
        arrays = Arrays()
        assert session.run(arrays) == OK
        arrays.check()


def test_a_device_without_fp16_is_replaced_by_the_cpu(fake: Fake) -> None:
    """A longer word in the device's list must not count, and a second device may have it."""
    with fake.told(""), fake_session(fake, "cl_khr_fp16", runs=DEVICE_ONLY) as session:
        assert session.status == UNSUPPORTED
        assert session.message == "Fake GPU lacks cl_khr_fp16"
    for words, name in (("has_fp16", "Fake GPU"), ("two_devices", "Second GPU")):
        with fake.told(words), fake_session(fake, "cl_khr_fp16") as session:
            assert session.device.startswith(name)


def test_a_device_can_be_chosen(fake: Fake) -> None:
    with fake.told("two_devices"):
        with fake_session(fake, device=b"Second") as session:
            assert session.device.startswith("Second GPU")
        with fake_session(fake, device=b"Third", runs=DEVICE_ONLY) as session:
            assert session.status == NO_DEVICE
            assert session.message == "none of 2 OpenCL devices is an allowed one named Third"
    with fake.told("is_cpu"), fake_session(fake, any_device=1) as session:
        assert session.on_device
        arrays = Arrays()
        assert session.run(arrays) == OK
        arrays.check()


def test_memory_can_be_limited(fake: Fake) -> None:
    with fake.told(""), fake_session(fake, most_memory=50003, runs=DEVICE_ONLY) as session:
        assert session.status == OUT_OF_MEMORY
    with fake.told(""), fake_session(fake, most_memory=50004) as session:
        assert session.on_device


def test_a_device_that_fails_later_is_given_up(fake: Fake) -> None:
    for runs, status in ((0, OK), (DEVICE_ONLY, 37)):
        with fake.told(""), fake_session(fake, runs=runs) as session:
            assert session.on_device
            with fake.told("clFinish=1"):
                arrays = Arrays()
                assert session.run(arrays) == status
                assert session.message == "clFinish: CL_OUT_OF_RESOURCES (-5)"
            assert session.on_device == (runs == DEVICE_ONLY)
            assert session.run(arrays) == OK
            arrays.check()
    assert fake.alive() == 0


def test_cpu_only_asks_no_device(fake: Fake) -> None:
    with fake.told(""), fake_session(fake, runs=CPU_ONLY) as session:
        assert (session.status, session.message, session.device) == (OK, "", "cpu")
        assert fake.calls() == 0
        arrays = Arrays()
        assert session.profile(arrays)[0] == 0
        arrays.check()


def test_a_cpu_without_the_instructions(fake: Fake) -> None:
    """The device then runs unchecked, which the message says; without one there is no session."""
    supported = ctypes.c_int.in_dll(load_runtime(), "small_cpu_is_supported")
    supported.value = 0
    try:
        with fake.told("wrong_float"), fake_session(fake) as session:
            assert session.on_device
            assert session.message.startswith("not checked: this CPU lacks instructions")
        for words, runs in (("no_device", 0), ("", CPU_ONLY)):
            with fake.told(words), fake_session(fake, runs=runs) as session:
                assert session.status == NO_CPU
                assert session.message.startswith("this CPU lacks instructions that small uses")
                assert ("none of 0" in session.message) == (runs == 0)
        with fake.told(""), fake_session(fake) as session, fake.told("clFinish=1"):
            assert session.run(Arrays()) == NO_CPU
            assert session.run(Arrays()) == NO_CPU
    finally:
        supported.value = 1
    assert fake.alive() == 0


def test_configurations_that_make_no_sense() -> None:
    known = ctypes.sizeof(Config)
    for size in (1, known - 1):
        with Session(size=size) as session:
            assert session.status == BAD_CONFIG
            assert session.message == f"config.size is {size}, less than {known}"
    for runs in (-1, 3):
        with Session(runs=runs) as session:
            assert session.status == BAD_CONFIG
            assert session.message == f"config.runs is {runs}"
    with Session(size=0, runs=CPU_ONLY) as session:
        assert session.status == OK


def test_a_later_version_of_the_configuration() -> None:
    """A longer one is taken if what this version does not know is zero."""
    library, handle = load_runtime(), ctypes.c_void_p()
    known = ctypes.sizeof(Config)
    for last, status in ((0, OK), (1, BAD_CONFIG)):
        memory = (ctypes.c_uint8 * (known + 8))()
        memory[known + 7] = last
        config = Config.from_buffer(memory)
        config.size, config.runs = known + 8, CPU_ONLY
        program = library.small_program()
        created = library.session_create(program, ctypes.byref(memory), ctypes.byref(handle))
        assert created == status
        library.session_destroy(handle)
    assert b"does not know, 63 bytes in" in library.session_message(None)


def test_no_configuration_is_the_default_one() -> None:
    library, handle = load_runtime(), ctypes.c_void_p()
    assert library.session_create(library.small_program(), None, ctypes.byref(handle)) == OK
    library.session_destroy(handle)
    assert library.session_create(library.small_program(), None, None) == BAD_CONFIG
    library.session_destroy(None)


@pytest.mark.parametrize("runs", [DEVICE_ONLY, CPU_ONLY])
def test_arguments_that_make_no_sense(fake: Fake, runs: int) -> None:
    with fake.told(""), fake_session(fake, runs=runs) as session:
        for name, index, shift, status, reason in (
            ("inputs", 1, None, NULL_INPUT, "input 1 is NULL"),
            ("outputs", 2, None, NULL_OUTPUT, "output 2 is NULL"),
            ("inputs", 0, 1, MISALIGNED_INPUT, "input 0 is misaligned"),
            ("outputs", 2, 2, MISALIGNED_OUTPUT, "output 2 is misaligned"),
        ):
            arrays = Arrays()
            pointers = getattr(arrays, name)
            pointers[index] = None if shift is None else pointers[index] + shift
            assert session.run(arrays) == status
            assert session.message == reason
            assert session.profile(arrays)[0] == -status
            assert not arrays.y.any()
        arrays = Arrays()
        arrays.outputs[1] = arrays.x.ctypes.data + 4 * COUNT - 1
        assert session.run(arrays) == OVERLAP
        assert session.message == "output 1 overlaps input 0"
        arrays.outputs[1] = arrays.y.ctypes.data + 8
        assert session.run(arrays) == OVERLAP
        assert session.message == "output 1 overlaps output 0"
        for inputs, outputs, status in ((None, arrays.outputs, 1), (arrays.inputs, None, 2)):
            assert session.library.session_run(session.handle, inputs, outputs) == status


def test_inputs_may_overlap(fake: Fake) -> None:
    with fake.told(""), fake_session(fake) as session:
        arrays = Arrays()
        arrays.inputs[1] = arrays.x.ctypes.data
        arrays.x.view("i4")[1] = 5
        assert session.run(arrays) == OK
        np.testing.assert_array_equal(arrays.q, np.arange(COUNT) % 100 + 5)


def test_failures_belong_to_their_thread(fake: Fake) -> None:
    """Two threads fail for other reasons; each reads its own."""
    messages: dict[bytes, str] = {}

    def create(name: bytes) -> None:
        with fake_session(fake, device=name, runs=DEVICE_ONLY) as session:
            barrier.wait()
            messages[name] = session.message

    barrier = threading.Barrier(2)
    with fake.told(""):
        threads = [threading.Thread(target=create, args=(name,)) for name in (b"A?", b"B?")]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert all(text.endswith(f"named {name.decode()}") for name, text in messages.items())
    assert len(messages) == 2


def test_the_page_of_the_c_interface_has_every_status_and_field() -> None:
    header = (RUNTIME / "session.h").read_text()
    page = (HERE.parents[1] / "docs" / "c_abi.md").read_text()
    statuses = re.findall(r"(PENJING_\w+) = (3[2-9]|4\d)\b", header)
    assert len(statuses) == 9
    assert all(f"| {code} | `{name}` |" in page for name, code in statuses)
    assert all(f"| `{field}` |" in page for field, *_ in Config._fields_)
    assert all(re.search(rf"\b{field};", header) for field, *_ in Config._fields_)
