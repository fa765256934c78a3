"""Image windows as columns and back."""

import torch
from hypothesis import given
from hypothesis import strategies as st

from .harness import check
from .strategies import few, numbered

aten = torch.ops.aten

pair = st.lists(st.integers(1, 3), min_size=2, max_size=2)


@few
@given(kernel=pair, dilation=pair, stride=pair, padding=pair, batched=st.booleans())
def test_im2col_and_col2im(
    kernel: list[int], dilation: list[int], stride: list[int], padding: list[int], batched: bool
) -> None:
    padding = [p - 1 for p in padding]
    x = numbered((2, 3, 9, 7) if batched else (3, 9, 7))
    check(aten.im2col.default, x, kernel, dilation, padding, stride)
    columns = aten.im2col.default(x, kernel, dilation, padding, stride)
    check(aten.col2im.default, columns, [9, 7], kernel, dilation, padding, stride)
