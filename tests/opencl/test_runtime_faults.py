"""The run time under faults, memory checkers, threads and another architecture."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from penjing import targets

from ..c_programs import run_program
from .runtime_library import OK, Arrays, Fake, Session, fake_path, many_sessions

A72 = targets.get("arm-a72")


def run(command: list[object], **environment: str) -> "subprocess.CompletedProcess[str]":
    words = [str(word) for word in command]
    variables = {**os.environ, "FAKE_OPENCL": "", **environment}
    return subprocess.run(words, capture_output=True, text=True, check=False, env=variables)


def test_every_call_of_opencl_may_fail(tmp_path: Path) -> None:
    """One fault after the other: the model is run in any case, and nothing is leaked."""
    fake, number, calls, on_cpu = Fake(), 0, 1, 0
    while calls >= number:  # else no call is left to fail
        number += 1
        with fake.told(f"fail={number}"):
            config = {"opencl_library": bytes(fake.path), "cache_folder": bytes(tmp_path)}
            with Session(**config) as session:
                assert session.status == OK
                arrays = Arrays()
                assert session.run(arrays) == OK
                arrays.check()
                on_cpu += not session.on_device
                assert session.on_device or session.message
            calls = fake.calls()
        assert fake.alive() == 0
        for file in tmp_path.iterdir():
            file.unlink()
    assert number > 100
    assert on_cpu > 50


@pytest.mark.skipif(shutil.which("valgrind") is None, reason="valgrind is not installed")
@pytest.mark.parametrize(
    "words",
    [
        "",
        pytest.param("build_fails", marks=pytest.mark.slow),
        pytest.param("clEnqueueNDRangeKernel=9", marks=pytest.mark.slow),
        pytest.param("no_platform", marks=pytest.mark.slow),
        "wrong_integer",
    ],
)
def test_valgrind_finds_nothing(tmp_path: Path, words: str) -> None:
    valgrind = ["valgrind", "-q", "--leak-check=full", "--error-exitcode=9"]
    done = run([*valgrind, many_sessions(), fake_path(), tmp_path, 1], FAKE_OPENCL=words)
    assert (done.returncode, done.stderr) == (0, "")


def test_threads_do_not_race(tmp_path: Path) -> None:
    """Two models, six threads, one session shared by two of them, one cache."""
    sanitize = "-fsanitize=thread"
    program, library = many_sessions(sanitize, name="raced"), fake_path(sanitize)
    done = run([program, library, tmp_path, 20])
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("Fake GPU")
    assert len(list(tmp_path.iterdir())) == 2


def test_sanitizers_find_nothing(tmp_path: Path) -> None:
    sanitize = ("-fsanitize=undefined,address", "-fno-sanitize-recover")
    program, library = many_sessions(*sanitize, name="sanitized"), fake_path(*sanitize)
    for words, cache in (("", tmp_path), ("wrong_float", "-")):
        done = run([program, library, cache, 2], FAKE_OPENCL=words)
        assert (done.returncode, done.stderr) == (0, "")


def test_oclgrind_finds_nothing() -> None:
    """A simulated device that checks every argument of OpenCL and every access of the kernels.

    It computes something else now and then when several threads call it: they take turns.
    """
    found = sorted(Path("/usr").glob("lib*/**/oclgrind/liboclgrind-rt.so"))
    if not found:
        pytest.skip("oclgrind is not installed")
    checks = {"OCLGRIND_CHECK_API": "1", "OCLGRIND_DATA_RACES": "1"}
    done = run([many_sessions(), found[0], "-", 1, "in-turn"], **checks)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("Oclgrind Simulator")


@pytest.mark.qemu
def test_it_falls_back_on_arm() -> None:
    done = run_program(A72, [many_sessions(target=A72), "/nowhere/libOpenCL.so", "-", "2"])
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("cpu; no OpenCL library: /nowhere/libOpenCL.so")


@pytest.mark.qemu
def test_it_runs_on_a_device_on_arm(tmp_path: Path) -> None:
    program, library = many_sessions(target=A72), fake_path(target=A72)
    done = run_program(A72, [program, library, tmp_path, "2"])
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "Fake GPU, OpenCL 1.2 fake, driver 1.0; \n"
