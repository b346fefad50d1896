"""Numbers as vectors a network can read."""

import math

import torch
from jaxtyping import Float, Shaped
from torch import Tensor


def sinusoidal(t: Shaped[Tensor, " B"], dim: int, longest: float = 10_000.0) -> Float[Tensor, "B dim"]:
    """sin(w_k t), cos(w_k t) at dim/2 frequencies w_k falling from 1 to 1/longest (Vaswani et al., 2017).

    Computed in float32: bfloat16 cannot tell t = 999 from t = 1000.
    """
    half = dim // 2
    w = torch.exp(-math.log(longest) * torch.arange(half, device=t.device, dtype=torch.float32) / half)
    angles = t.float()[:, None] * w
    return torch.cat([angles.sin(), angles.cos()], dim=1)
