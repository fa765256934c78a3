from dataclasses import dataclass
from typing import Literal

import pytest

from penjing.compiler.errors import CompileError
from penjing.compiler.ir.program import Program
from penjing.compiler.pass_base import Pass
from penjing.compiler.pass_text import parse
from penjing.passes import FoldBatchNorm, FuseRegions


@dataclass(frozen=True)
class _Shrink(Pass):
    name = "test-shrink"
    contract = "lossy"

    ratio: float
    criterion: Literal["taylor", "magnitude"] = "taylor"
    skip: tuple[str, ...] = ()
    seed: int | None = None
    data: dict[str, int] | None = None

    def run(self, program: Program) -> int:
        return 0


def test_passes_are_separated_by_commas() -> None:
    passes = parse(" fold-batch-norm,fuse-regions{ max_ops = 8 } ")
    assert passes == [FoldBatchNorm(), FuseRegions(max_ops=8)]
    assert parse("") == []


def test_text_and_pass_are_the_same() -> None:
    shrink = _Shrink(ratio=0.5, criterion="magnitude", skip=("head", "a, b{}"), seed=3)
    assert parse(str(shrink)) == [shrink]
    assert parse(f"{shrink}, {shrink}") == [shrink, shrink]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("fuse-region", "unknown pass 'fuse-region'; did you mean 'fuse-regions'? (known: "),
        ("fuse-regions{maxops=1}", "has no option 'maxops'; did you mean 'max_ops'?"),
        ("fuse-regions{max_ops}", "expected option=value for pass fuse-regions"),
        ("fuse-regions{max_ops=many}", "option max_ops of pass fuse-regions must be int"),
        ("fuse-regions{max_ops=1,max_ops=2}", "option max_ops of pass fuse-regions is given twice"),
        ("fuse-regions{max_ops=1", "cannot read passes: missing closing '}'"),
        ("fuse-regions}", "cannot read passes: '}' at column 13 closes nothing"),
        ("fold-batch-norm,,fuse-regions", "expected a pass as name{option=value}"),
        ("fold-batch-norm fuse-regions", "unknown pass 'fold-batch-norm fuse-regions'"),
        ("fuse-regions{max_ops=1}x", "expected a pass as name{option=value}"),
        ("fold-batch-norm{x=1}", "pass fold-batch-norm has no option 'x' (known: none)"),
        ("test-shrink{seed=1}", "pass test-shrink needs option ratio"),
        ("test-shrink{ratio=1,criterion=x}", "must be taylor or magnitude: not one of"),
        ("test-shrink{ratio=1,data=x}", "option data of pass test-shrink must be"),
    ],
)
def test_what_cannot_be_read_is_explained(text: str, message: str) -> None:
    with pytest.raises(CompileError) as error:
        parse(text)
    assert message in error.value.what
