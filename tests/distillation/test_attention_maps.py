import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from penjing.compiler.batched_run import run_batched
from penjing.compiler.frontend.trace import trace
from penjing.passes.distillation.attention_maps import attentions
from tests.distillation.students import the_teacher, token_batch


def test_attention_maps_are_those_that_attention_uses() -> None:
    ids, mask = token_batch(5)
    for one in attentions(the_teacher()):
        value = one.node.args[2]
        assert isinstance(value, torch.fx.Node)
        with torch.no_grad():
            run = run_batched(the_teacher(), (ids, mask), keep=[*one.reads, value, one.node])
        torch.testing.assert_close(one.map(run.kept) @ run.kept[value], run.kept[one.node])


class Causal(nn.Module):
    def __init__(self, causal: bool, mask: bool) -> None:
        super().__init__()
        self.causal, self.mask = causal, mask

    def forward(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        mask = (q @ k.transpose(2, 3)) * 0.3 if self.mask else None
        return functional.scaled_dot_product_attention(
            q, k, v, attn_mask=mask, is_causal=self.causal, scale=0.4
        )


@pytest.mark.parametrize(("causal", "mask"), [(True, False), (False, True)])
def test_attention_maps_know_scales_and_masks(causal: bool, mask: bool) -> None:
    q, k, v = torch.randn(3, 2, 2, 5, 4, generator=torch.Generator().manual_seed(0))
    program = trace(Causal(causal, mask), (q[:1], k[:1], v[:1]))
    (one,) = attentions(program)
    run = run_batched(program, (q, k, v), keep=[*one.reads, one.node])
    torch.testing.assert_close(one.map(run.kept) @ v, run.kept[one.node])
