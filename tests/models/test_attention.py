"""Attention equals torch's fused function, values and gradients, with words missing and without."""

import pytest
import torch
import torch.nn.functional as F

from genlab.nn.attention import attend


@pytest.mark.parametrize("missing", [False, True])
def test_equals_scaled_dot_product_attention(missing):
    torch.manual_seed(0)
    q, k, v = (torch.randn(3, 2, n, 8, dtype=torch.float64, requires_grad=True) for n in (5, 7, 7))
    there = None
    if missing:
        there = torch.rand(3, 7) > 0.4
        there[:, 0] = True
    mask = None if there is None else there[:, None, None]
    for ours, theirs in zip(
        torch.autograd.grad(attend(q, k, v, there).sin().sum(), (q, k, v)),
        torch.autograd.grad(F.scaled_dot_product_attention(q, k, v, attn_mask=mask).sin().sum(), (q, k, v)),
        strict=True,
    ):
        assert torch.allclose(ours, theirs, atol=1e-12)
    assert torch.allclose(attend(q, k, v, there), F.scaled_dot_product_attention(q, k, v, attn_mask=mask), atol=1e-12)
