"""The run time: times of launches, and the search for faster work-groups."""

from pathlib import Path

import pytest

from .runtime_library import OK, Arrays, Fake, Session

# Nanoseconds that the fake device claims for work-groups: see clEnqueueNDRangeKernel there.
USUAL = [25, 25, 25, 25]
TUNED = [15, 10, 15, 25]  # finish needs the groups that it has


@pytest.fixture(scope="module")
def fake() -> Fake:
    return Fake()


def times(session: Session) -> list[int]:
    arrays = Arrays()
    count, rows = session.profile(arrays)
    arrays.check()
    assert count == 4
    return [int(row.nanoseconds) for row in rows[:count]]


def test_a_profile_has_a_row_for_each_launch(fake: Fake) -> None:
    with fake.told(""), Session(opencl_library=bytes(fake.path)) as session:
        arrays = Arrays()
        count, rows = session.profile(arrays, room=3)
        assert count == 4
        names = [(row.call, row.function) for row in rows]
        assert names == [(0, b"scale"), (1, b"twice"), (2, b"square")]
        assert times(session) == USUAL
    assert fake.alive() == 0


def test_groups_are_tuned_on_the_first_run(fake: Fake, tmp_path: Path) -> None:
    config = {"opencl_library": bytes(fake.path), "cache_folder": bytes(tmp_path)}
    with fake.told(""), Session(**config, tune_milliseconds=10000) as session:
        assert times(session) == USUAL
        arrays = Arrays()
        assert session.run(arrays) == OK
        arrays.check()
        assert session.message == ""
        assert times(session) == TUNED
    with fake.told(""), Session(**config) as session:
        assert times(session) == TUNED
    assert fake.alive() == 0


def test_nothing_is_tuned_without_a_budget(fake: Fake) -> None:
    with fake.told(""), Session(opencl_library=bytes(fake.path)) as session:
        assert session.run(Arrays()) == OK
        assert times(session) == USUAL


def test_a_device_that_cannot_measure_keeps_its_groups(fake: Fake) -> None:
    library = bytes(fake.path)
    with fake.told(""), Session(opencl_library=library, tune_milliseconds=100) as session:
        with fake.told("clGetEventProfilingInfo=1"):
            arrays = Arrays()
            assert session.run(arrays) == OK
            arrays.check()
            assert session.message == ""
            assert session.profile(arrays)[0] == -37
        assert session.on_device
        assert times(session) == USUAL


def test_a_cpu_chooses_its_groups(fake: Fake) -> None:
    """PoCL and others share out whole groups; the run time leaves them the choice."""
    config = {"opencl_library": bytes(fake.path), "any_device": 1}
    with fake.told("is_cpu"), Session(**config) as session:
        assert times(session) == [25, 25, 25, 25]
