"""The run time on a real device of OpenCL, if one is installed: PoCL makes the CPU one."""

import subprocess
from pathlib import Path

import pytest

from .runtime_library import DEVICE_ONLY, NO_DEVICE, NO_OPENCL, OK, Arrays, Session, many_sessions


@pytest.fixture(scope="module", autouse=True)
def _needs_a_device() -> None:
    with Session(any_device=1, runs=DEVICE_ONLY) as session:
        if session.status in (NO_OPENCL, NO_DEVICE):
            pytest.skip(session.message)


@pytest.mark.parametrize("shift", [0, 4], ids=["shared", "copied"])
def test_a_device_computes_what_the_cpu_does(shift: int) -> None:
    with Session(any_device=1, runs=DEVICE_ONLY) as session:
        assert (session.status, session.message) == (OK, "")
        for seed in range(3):
            arrays = Arrays(seed=seed, shift=shift)
            assert session.run(arrays) == OK
            arrays.check()


def test_a_cache_saves_the_compiled_program(tmp_path: Path) -> None:
    for _ in range(2):
        with Session(any_device=1, runs=DEVICE_ONLY, cache_folder=bytes(tmp_path)) as session:
            assert (session.status, session.message) == (OK, "")
            arrays = Arrays()
            assert session.run(arrays) == OK
            arrays.check()
    (file,) = tmp_path.iterdir()
    assert len(file.read_bytes()) > 1000  # the binary is in it


def test_a_damaged_cache_is_made_anew(tmp_path: Path) -> None:
    config = {"any_device": 1, "runs": DEVICE_ONLY, "cache_folder": bytes(tmp_path)}
    with Session(**config) as session:
        assert session.status == OK
    (file,) = tmp_path.iterdir()
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 255
    file.write_bytes(content)
    with Session(**config) as session:
        assert (session.status, session.message) == (OK, "")
    assert file.read_bytes() != content


def test_tuned_groups_compute_the_same(tmp_path: Path) -> None:
    config = {"any_device": 1, "runs": DEVICE_ONLY, "cache_folder": bytes(tmp_path)}
    for _ in range(2):
        with Session(**config, tune_milliseconds=300) as session:
            arrays = Arrays()
            assert session.run(arrays) == OK
            arrays.check()
            count, rows = session.profile(arrays)
            assert count == 4
            assert all(row.nanoseconds > 0 for row in rows[:4])
            arrays.check()


def test_a_device_without_an_extension_is_not_taken() -> None:
    with Session("cl_of_nobody", any_device=1) as session:
        assert not session.on_device
        assert session.message.endswith("lacks cl_of_nobody")
        arrays = Arrays()
        assert session.run(arrays) == OK
        arrays.check()


def test_models_and_threads_share_a_device(tmp_path: Path) -> None:
    command = [many_sessions(), "libOpenCL.so.1", tmp_path, "10"]
    done = subprocess.run([*map(str, command)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert not done.stdout.startswith("cpu")
    assert len(list(tmp_path.iterdir())) == 2
