"""Where atoms go when dimensions are merged and split."""

import numpy as np
import torch

from penjing.compiler.coupling.atoms import STORED
from penjing.compiler.coupling.constraints import deciding_dims, settle
from penjing.compiler.coupling.flow import Flow
from penjing.compiler.coupling.join import join
from penjing.compiler.coupling.labels import Block, Labels
from penjing.compiler.coupling.reshaping import reshaped
from penjing.compiler.frontend.trace import trace


def flow_and(*shape: int) -> tuple[Flow, Labels]:
    """A flow and free labels of a tensor in it."""
    program = trace(torch.nn.ReLU(), (torch.zeros(1),))
    flow = Flow(program, through_norms=False, attention="heads")
    return flow, free(flow, *shape)


def free(flow: Flow, *shape: int) -> Labels:
    """New labels: every position of every dimension is free."""
    blocks = (Block((dim,), flow.atoms.new(n, STORED)) for dim, n in enumerate(shape))
    return Labels(shape, tuple(blocks))


def test_one_of_the_merged_dimensions_repeats_its_atoms() -> None:
    flow, labels = flow_and(2, 3)
    flow.lock(labels.atoms(0), "it is locked")
    merged = reshaped(flow, labels, (6,))
    assert merged.atoms(0).tolist() == [*labels.atoms(1), *labels.atoms(1)]
    apart = reshaped(flow, merged, (2, 3))
    assert apart.atoms(1).tolist() == labels.atoms(1).tolist()
    assert flow.atoms.is_locked(apart.atoms(0)).all()


def test_of_two_free_dimensions_the_first_stays_free() -> None:
    flow, labels = flow_and(2, 3)
    merged = reshaped(flow, labels, (6,))
    assert merged.atoms(0).tolist() == np.repeat(labels.atoms(0), 3).tolist()
    assert flow.atoms.is_locked(labels.atoms(1)).all()


def test_a_split_dimension_is_a_joint_block_until_something_decides() -> None:
    flow, labels = flow_and(5, 12)
    split = reshaped(flow, labels, (5, 3, 4))
    block = split.block(1)
    assert block.dims == (1, 2)
    assert deciding_dims(flow.atoms, block) == []
    assert reshaped(flow, split, (5, 12)).atoms(1).tolist() == labels.atoms(1).tolist()
    flow.lock_dim(split, 2, "heads are dropped whole")
    assert deciding_dims(flow.atoms, block) == [1]


def test_an_open_joint_block_goes_to_the_dimension_with_more_units() -> None:
    flow, labels = flow_and(12)
    block = reshaped(flow, labels, (3, 4)).block(0)
    settle(flow.atoms, flow.constraints)
    assert deciding_dims(flow.atoms, block) == [1]
    assert len(np.unique(flow.atoms.find(labels.atoms(0)))) == 4


def test_a_transposed_merge_moves_atoms() -> None:
    flow, labels = flow_and(6)
    turned = reshaped(flow, labels, (2, 3)).part([1, 0])
    assert reshaped(flow, turned, (6,)).atoms(0).tolist() == [0, 3, 1, 4, 2, 5]


def test_sizes_of_one_come_and_go() -> None:
    flow, labels = flow_and(4, 6)
    wide = reshaped(flow, labels, (1, 4, 1, 6, 1))
    assert wide.atoms(1).tolist() == labels.atoms(0).tolist()
    assert wide.atoms(3).tolist() == labels.atoms(1).tolist()
    assert flow.atoms.is_locked(wide.atoms(2)).all()


def test_what_has_one_dimension_of_a_joint_block_follows_it() -> None:
    flow, labels = flow_and(12)
    split, rows, columns = reshaped(flow, labels, (3, 4)), free(flow, 3, 1), free(flow, 4)
    join(flow, [split, rows, columns], (3, 4))
    flow.lock_dim(split, 1, "heads are dropped whole")
    settle(flow.atoms, flow.constraints)
    assert not flow.atoms.is_locked(rows.atoms(0)).any()
    roots = flow.atoms.find(labels.atoms(0)).reshape(3, 4)
    assert flow.atoms.find(rows.atoms(0)).tolist() == roots[:, 0].tolist()
    assert flow.atoms.is_locked(columns.atoms(0)).all()


def test_blocks_that_overlap_in_part_are_locked() -> None:
    flow, first = flow_and(6, 4)
    left = reshaped(flow, first, (2, 3, 4))
    right = reshaped(flow, free(flow, 2, 12), (2, 3, 4))
    joined = join(flow, [left, right], (2, 3, 4)).labels
    assert all(flow.atoms.is_locked(joined.atoms(dim)).all() for dim in range(3))
    assert flow.atoms.is_locked(first.atoms(0)).all()
