"""The cache of the run time: what it saves, what it refuses, and who may write it at once."""

import threading
from pathlib import Path
from typing import Any

import pytest

from .runtime_library import DEVICE_ONLY, OK, WRONG_RESULTS, Arrays, Fake, Session


@pytest.fixture(scope="module")
def fake() -> Fake:
    return Fake()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "cache").mkdir()
    return tmp_path / "cache"


def cached(fake: Fake, folder: Path, **config: Any) -> Session:
    return Session(opencl_library=bytes(fake.path), cache_folder=bytes(folder), **config)


def run_well(session: Session) -> None:
    assert (session.status, session.message, session.on_device) == (OK, "", True)
    arrays = Arrays()
    assert session.run(arrays) == OK
    arrays.check()


def fill(fake: Fake, folder: Path) -> Path:
    """The cache file of a first session."""
    with fake.told(""), cached(fake, folder) as session:
        run_well(session)
        assert fake.source_builds() == 1
    (file,) = folder.iterdir()
    assert file.name.startswith("small-")
    return file


def test_the_second_session_neither_compiles_nor_checks(fake: Fake, folder: Path) -> None:
    file = fill(fake, folder)
    content = file.read_bytes()
    with fake.told("wrong_float"), cached(fake, folder) as session:
        assert session.on_device  # or the check would have found it out
        assert fake.source_builds() == 0
    with fake.told(""), cached(fake, folder) as session:
        run_well(session)
    assert file.read_bytes() == content
    assert fake.alive() == 0


def test_a_verdict_is_kept_until_the_driver_changes(fake: Fake, folder: Path) -> None:
    with fake.told("wrong_float"), cached(fake, folder, runs=DEVICE_ONLY) as session:
        assert session.status == WRONG_RESULTS
    with fake.told(""), cached(fake, folder) as session:
        assert session.message == "Fake GPU computed wrong results before (cached)"
        assert not session.on_device
        assert fake.source_builds() == 0
    with fake.told(""), cached(fake, folder, skip_check=1) as session:
        assert session.on_device
    with fake.told("new_driver"), cached(fake, folder) as session:
        run_well(session)


def test_what_was_not_checked_is_checked_later(fake: Fake, folder: Path) -> None:
    with fake.told("wrong_float"), cached(fake, folder, skip_check=1) as session:
        assert session.on_device
    with fake.told("wrong_float"), cached(fake, folder) as session:
        assert fake.source_builds() == 0
        assert not session.on_device


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: b"",
        lambda data: data[:20],
        lambda data: data[:-1],
        lambda data: data + b"\0",
        lambda data: bytes(len(data)),
        lambda data: data[:-3] + b"?" + data[-2:],
        lambda data: data[:30] + bytes([data[30] ^ 4]) + data[31:],
        lambda data: bytes([data[0] ^ 1]) + data[1:],
    ],
    ids=["empty", "header", "short", "long", "zeros", "binary", "verdict", "checksum"],
)
def test_a_damaged_file_is_made_anew(fake: Fake, folder: Path, damage: object) -> None:
    file = fill(fake, folder)
    content = file.read_bytes()
    assert callable(damage)
    file.write_bytes(damage(content))
    with fake.told(""), cached(fake, folder) as session:
        run_well(session)
        assert fake.source_builds() == 1
    assert file.read_bytes() == content
    assert list(folder.iterdir()) == [file]


def test_no_bit_of_a_file_goes_unnoticed(fake: Fake, folder: Path) -> None:
    file = fill(fake, folder)
    content = file.read_bytes()
    for place in range(len(content)):
        file.write_bytes(content[:place] + bytes([content[place] ^ 16]) + content[place + 1 :])
        with fake.told(""), cached(fake, folder, skip_check=1) as session:
            assert session.on_device
            assert fake.source_builds() == 1, place


def test_a_binary_that_the_driver_refuses_is_replaced(fake: Fake, folder: Path) -> None:
    fill(fake, folder)
    with fake.told("refuse_binary"), cached(fake, folder) as session:
        run_well(session)
        assert fake.source_builds() == 1
    assert fake.alive() == 0


def test_a_driver_that_gives_no_binary(fake: Fake, folder: Path) -> None:
    for _ in range(2):
        with fake.told("no_binary"), cached(fake, folder) as session:
            run_well(session)
            assert fake.source_builds() == 1


def test_a_folder_that_cannot_be_written(fake: Fake, folder: Path) -> None:
    """It is said, and the device runs; nothing is left behind."""
    with fake.told(""), cached(fake, folder / "nowhere") as session:
        assert session.on_device
        assert session.message.startswith(f"cannot write {folder}/nowhere/small-")
    file = fill(fake, folder)
    file.unlink()
    file.mkdir()
    with fake.told(""), cached(fake, folder) as session:
        assert session.on_device
        assert session.message == f"cannot write {file}"
    assert list(folder.iterdir()) == [file]


def test_sessions_share_a_folder(fake: Fake, folder: Path) -> None:
    failed = []

    def use() -> None:
        for _ in range(5):
            with cached(fake, folder) as session:
                if not session.on_device or session.run(Arrays()) != OK:
                    failed.append(session.message)

    with fake.told(""):
        threads = [threading.Thread(target=use) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert not failed
    assert len(list(folder.iterdir())) == 1
