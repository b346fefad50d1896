"""A body of few vertices, and people in pictures, for tests of fitting: no weights, no captured motion."""

import torch

from genlab.models.body import SMPL, SMPLConfig
from genlab.models.body.camera import seen
from genlab.models.body.fit import points_of
from genlab.models.body.joint_sets import LANDMARKS

# Roughly a person: x, y, z of each joint in a T-pose, metres.
JOINTS = torch.tensor(
    [
        (0, 0, 0), (0.1, -0.05, 0), (-0.1, -0.05, 0), (0, 0.1, -0.02), (0.1, -0.45, 0), (-0.1, -0.45, 0), (0, 0.22, 0),
        (0.1, -0.85, -0.03), (-0.1, -0.85, -0.03), (0, 0.3, 0), (0.1, -0.9, 0.1), (-0.1, -0.9, 0.1), (0, 0.5, 0),
        (0.08, 0.42, 0), (-0.08, 0.42, 0), (0, 0.58, 0.02), (0.18, 0.42, 0), (-0.18, 0.42, 0), (0.45, 0.42, 0),
        (-0.45, 0.42, 0), (0.7, 0.42, 0), (-0.7, 0.42, 0), (0.78, 0.42, 0), (-0.78, 0.42, 0),
    ]
)  # fmt: skip


def tiny_body() -> SMPL:
    """A tetrahedron around each joint, fastened to it; each beta makes the body taller, wider or thicker somewhere."""
    generator = torch.Generator().manual_seed(0)
    corners = 0.05 * torch.tensor([(1.0, 1, 1), (1, -1, -1), (-1, 1, -1), (-1, -1, 1)])
    config = SMPLConfig(vertices=96, faces=96, betas=10, bending=2, landmarks=LANDMARKS, support=2)
    body = SMPL(config)
    body.v_template.copy_((JOINTS[:, None] + corners).flatten(0, 1))
    body.shapedirs.copy_(0.05 * body.v_template[:, :, None] * torch.randn(3, 10, generator=generator))
    body.weights.copy_(torch.eye(24).repeat_interleave(4, dim=0))
    body.J_regressor.copy_(body.weights.t() / 4)
    body.faces.copy_(
        (4 * torch.arange(24)[:, None, None] + torch.tensor([(0, 1, 2), (0, 3, 1), (0, 2, 3), (1, 3, 2)])).flatten(0, 1)
    )
    head, feet = [60, 61, 62, 63, 60], [40, 41, 42, 44, 45, 46]
    body.landmark_vertices.copy_(torch.tensor([[v, v] for v in head + feet]))
    body.landmark_weights.fill_(0.5)
    return body.eval()


def batch(n: int, seed: int = 0) -> dict[str, torch.Tensor]:
    """Standing people four metres off, their joints a little turned, all points seen exactly."""
    generator = torch.Generator().manual_seed(seed)
    pose, betas = 0.2 * torch.randn(n, 24, 3, generator=generator), torch.randn(n, 10, generator=generator)
    transl = torch.tensor([[0.2, 0.1, -4.0]]).repeat(n, 1)
    where = seen(points_of(tiny_body(), betas, pose, transl))
    return {"pose": pose, "betas": betas, "transl": transl, "where": where, "confidence": torch.ones(where.shape[:2])}
