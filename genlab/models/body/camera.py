"""A pinhole camera at the origin that looks along -z, y up: a body that faces +z faces it.

    u = c_x + f X / (-Z),    v = c_y - f Y / (-Z)

Pictures count pixels from their upper left corner, v downwards.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

NEAREST = 0.05  # metres before the camera; what is nearer, or behind it, is seen as if it were here


@dataclass(frozen=True)
class Camera:
    """focal: focal length, pixels. center: the principal point, pixels. size: the picture's width and height, if known.
    focal (B,) and center (B, 2) may be tensors, a camera for each body. Raises ValueError."""

    focal: float | Tensor = 1_000.0
    center: tuple[float, ...] | Tensor = (0.0, 0.0)
    size: tuple[float, ...] | None = None

    def __post_init__(self):
        try:
            focal, center = torch.as_tensor(self.focal), torch.as_tensor(self.center)
            known = focal.isfinite().all() and (focal > 0).all() and center.isfinite().all()
            sized = self.size is None or (len(self.size) == 2 and min(self.size) > 0)
        except (TypeError, ValueError, RuntimeError, NotImplementedError):  # no numbers
            known = sized = False
        if not known or not sized:
            raise ValueError(
                "a camera has a positive focal length, a center and, if known, a size (width and height), in pixels; "
                f"not {self.focal!r}, {self.center!r} and {self.size!r}"
            )
        if focal.ndim > 1 or center.ndim not in (1, 2) or center.shape[-1] != 2:
            raise ValueError("focal is one number or (B,), center (2,) or (B, 2)")

    def fits(self, bodies: int) -> bool:
        """Whether it is one camera for all, or one for each of so many bodies."""
        sizes = torch.as_tensor(self.focal).numel(), torch.as_tensor(self.center).numel() // 2
        return all(n in (1, bodies) for n in sizes)

    def project(self, points: Float[Tensor, "B K 3"]) -> Float[Tensor, "B K 2"]:
        """Pixels of points in metres."""
        focal, center = self._like(points)
        return center + focal * torch.tensor([1.0, -1.0]).to(points) * seen(points)

    def rays(self, keypoints: Float[Tensor, "B K 2"]) -> Float[Tensor, "B K 2"]:
        """(X, Y) / (-Z) of what is seen at these pixels."""
        focal, center = self._like(keypoints)
        return (keypoints - center) / focal * torch.tensor([1.0, -1.0]).to(keypoints)

    def _like(self, x: Tensor) -> tuple[Tensor, Tensor]:
        focal, center = torch.as_tensor(self.focal).to(x), torch.as_tensor(self.center).to(x)
        return focal.reshape(-1, 1, 1), center.reshape(-1, 1, 2)


def seen(points: Float[Tensor, "B K 3"]) -> Float[Tensor, "B K 2"]:
    """(X, Y) / (-Z): where a camera of focal length 1 sees points."""
    return points[..., :2] / (-points[..., 2:]).clamp_min(NEAREST)
