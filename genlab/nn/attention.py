"""Attention: softmax(q k^T / sqrt d) v (Vaswani et al., 2017)."""

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor


def attend(
    q: Float[Tensor, "B heads L d"],
    k: Float[Tensor, "B heads M d"],
    v: Float[Tensor, "B heads M d"],
    there: Bool[Tensor, "B M"] | None = None,
) -> Float[Tensor, "B heads L d"]:
    """What each of L queries finds among M keys. there: which keys there are; nobody attends to the others.

    On CPUs written out: torch's fused function takes four times as long there to train in bfloat16.
    """
    mask = None if there is None else there[:, None, None]
    if q.device.type != "cpu":
        return F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
    s = (q * q.shape[-1] ** -0.5) @ k.mT
    if mask is not None:
        s = s.masked_fill(~mask, torch.finfo(s.dtype).min)
    return s.softmax(dim=-1) @ v


def rotated(x: Float[Tensor, "B heads L d"], base: float = 100.0) -> Float[Tensor, "B heads L d"]:
    """Pair j of the numbers of the l-th vector turned by the angle l base^(-2j/d): of queries and keys so turned the
    products depend on how far apart they are alone (Su et al., 2021). base: a few times the length of the texts."""
    L, d = x.shape[-2:]
    angle = torch.arange(L, device=x.device)[:, None] * base ** (-torch.arange(0, d, 2, device=x.device) / d)
    cos, sin = angle.cos().to(x.dtype), angle.sin().to(x.dtype)
    a, b = x.unflatten(-1, (d // 2, 2)).unbind(-1)
    return torch.stack([a * cos - b * sin, a * sin + b * cos], dim=-1).flatten(-2)
