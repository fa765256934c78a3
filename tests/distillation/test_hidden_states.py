from penjing.compiler.ir.program import origin_of
from penjing.passes.distillation.hidden_states import hidden_states, pair_by_origin
from tests.distillation.students import distilled, shorter_student, the_teacher


def test_states_are_the_residual_stream_and_pair_by_their_place() -> None:
    states, theirs = hidden_states(shorter_student()), hidden_states(the_teacher())
    assert [origin_of(node).module_path for node in states] == [
        "table", "blocks.0", "blocks.0", "blocks.2", "blocks.2", "",
    ]  # fmt: skip
    pairs, skipped = pair_by_origin(states, theirs)
    assert not skipped
    assert [theirs.index(pair.teacher) for pair in pairs] == [0, 1, 2, 5, 6, 7]


def test_a_state_before_a_gap_is_paired_with_the_nearest_of_the_teacher() -> None:
    """Where the block before a removed one does its work too, it should keep doing so."""
    program = distilled(shorter_student(), epochs=1)
    assert program.reports[-1].details["hidden_states"] == 6
