"""Union-find over arrays does what one pair at a time would do."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from penjing.compiler.coupling.atoms import HEADS, LOCKED, STORED, Atoms

COUNT = 30
Pairs = list[tuple[int, int]]
_PAIRS = st.lists(st.tuples(st.integers(0, COUNT - 1), st.integers(0, COUNT - 1)), max_size=25)


def naive_classes(batches: list[Pairs]) -> list[int]:
    """The smallest atom of the class of each atom."""
    classes = list(range(COUNT))
    for left, right in (pair for batch in batches for pair in batch):
        low, high = sorted((classes[left], classes[right]))
        classes = [low if each == high else each for each in classes]
    return classes


@given(st.lists(_PAIRS, max_size=4))
def test_union_of_many_pairs_at_once(batches: list[Pairs]) -> None:
    atoms = Atoms()
    every = atoms.new(COUNT, 0)
    for batch in batches:
        pairs = np.array(batch, np.int64).reshape(-1, 2)
        atoms.union(pairs[:, 0], pairs[:, 1])
    assert atoms.find(every).tolist() == naive_classes(batches)


@given(_PAIRS, st.integers(0, COUNT - 1), st.integers(0, COUNT - 1))
def test_marks_and_locks_are_those_of_the_class(pairs: Pairs, marked: int, locked: int) -> None:
    atoms = Atoms()
    every = atoms.new(COUNT, STORED)
    atoms.mark(every[[marked]], HEADS)
    atoms.lock(every[[locked]], "why", "where")
    for left, right in pairs:
        atoms.union(every[[left]], every[[right]])
    classes = naive_classes([pairs])
    same = [each == classes[locked] for each in classes]
    assert atoms.is_locked(every).tolist() == same
    assert atoms.marked(every, HEADS).tolist() == [each == classes[marked] for each in classes]
    expected: dict[tuple[str, str] | None, int] = {("why", "where"): sum(same)}
    if not all(same):
        expected[None] = COUNT - sum(same)
    assert atoms.reasons(every) == expected
    assert atoms.marked(every, STORED).all()
    assert atoms.marked(every, LOCKED).tolist() == same


def test_the_first_reason_is_kept() -> None:
    atoms = Atoms()
    some = atoms.new(4, 0)
    atoms.lock(some[:1], "first", "here")
    atoms.lock(some[1:2], "second", "there")
    atoms.lock(some[:1], "third", "there")
    atoms.union(some[:1], some[1:2])
    assert atoms.reasons(some) == {("first", "here"): 2, None: 2}


def test_atoms_of_many_tensors() -> None:
    atoms = Atoms()
    rows = [atoms.new(1000, 0) for _ in range(5)]
    for row in rows[1:]:
        atoms.union(rows[0], row)
    assert len(atoms) == 5000
    assert (atoms.find(rows[4]) == np.arange(1000)).all()
