"""Random small changes of pictures that leave their meaning alone."""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor


def random_affine(
    x: Float[Tensor, "B C H W"], degrees: float = 10.0, scale: float = 0.1, shift: float = 0.1, shear: float = 0.1
) -> Float[Tensor, "B C H W"]:
    """Each picture rotated by up to +-degrees, scaled by 1 +- scale, sheared and shifted (in parts of its size); zeros
    come in from outside."""
    B = len(x)

    def uniform(limit: float) -> Tensor:
        return (2 * torch.rand(B, device=x.device) - 1) * limit

    angle, s = uniform(torch.pi * degrees / 180), 1 + uniform(scale)
    cos, sin = angle.cos() / s, angle.sin() / s
    row1 = torch.stack([cos, -sin + uniform(shear), uniform(2 * shift)], dim=1)
    row2 = torch.stack([sin, cos, uniform(2 * shift)], dim=1)
    grid = F.affine_grid(torch.stack([row1, row2], dim=1), list(x.shape), align_corners=False)
    return F.grid_sample(x, grid, align_corners=False)
