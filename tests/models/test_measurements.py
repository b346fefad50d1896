"""The tailor's tape, on bodies whose girth and volume are known in closed form."""

import math

import pytest
import torch

from genlab.models.body import SMPL, SMPLConfig
from genlab.models.body.joint_sets import JOINTS, PARENTS
from genlab.models.body.measurements import girth, measurements

SIDES, RADIUS, HEIGHT = 64, 0.15, 1.7
LEVELS = {"left_hip": 0.5, "spine1": 0.56, "spine2": 0.65, "spine3": 0.75}  # shares of the height


def prism(x: float, z: float, low: float, high: float) -> tuple[torch.Tensor, torch.Tensor]:
    """A closed prism over a polygon with vertices on an ellipse: (2 n + 2, 3) and its faces, normals outward."""
    phi = torch.arange(SIDES) * 2 * math.pi / SIDES
    ring = torch.stack([x * phi.sin(), torch.zeros(SIDES), z * phi.cos()], dim=1)
    up = torch.tensor([0.0, 1.0, 0.0])
    v = torch.cat([ring + low * up, ring + high * up, low * up[None], high * up[None]])
    i = torch.arange(SIDES)
    j, top = (i + 1) % SIDES, SIDES
    faces = [
        (i, j, i + top),
        (j, j + top, i + top),
        (j, i, 0 * i + 2 * SIDES),
        (i + top, j + top, 0 * i + 2 * SIDES + 1),
    ]
    return v, torch.cat([torch.stack(face, dim=1) for face in faces])


HANDS = (
    *PARENTS[:22],
    *(wrist if k == 0 else 22 + 3 * n + k - 1 for n, wrist in enumerate([20, 21]) for k in range(3)),
)


def column(parents: tuple[int, ...] = PARENTS, arm_of: int = JOINTS.index("left_elbow")) -> SMPL:
    """A column whose first direction widens it by a tenth and whose second stretches it, with an arm that a tape at
    any height would meet, and that follows a joint."""
    trunk, faces = prism(RADIUS, RADIUS, -0.85, 0.85)
    arm, more = prism(0.05, 0.05, -0.85, 0.85)
    v = torch.cat([trunk, arm + torch.tensor([1.0, 0, 0])])
    wide, tall = v.clone(), v.clone()
    wide[:, 1], wide[len(trunk) :], tall[:, [0, 2]] = 0, 0, 0
    J = len(parents)
    body = SMPL(SMPLConfig(vertices=len(v), faces=2 * len(faces), betas=2, parents=parents, bending=J - 1))
    body.v_template.copy_(v)
    body.shapedirs.copy_(torch.stack([0.1 * wide, 0.05 * tall], dim=-1))
    body.faces.copy_(torch.cat([faces, more + len(trunk)]))
    for joint in range(J):
        share = LEVELS.get(JOINTS[joint], 0.5) if joint < 22 else 0.5
        body.J_regressor[joint, 2 * SIDES], body.J_regressor[joint, 2 * SIDES + 1] = 1 - share, share
    body.weights[: len(trunk), 0] = 1
    body.weights[len(trunk) :, arm_of] = 1
    return body


def test_a_column_measures_what_it_should():
    found = measurements(column(), torch.tensor([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]]))
    polygon = 2 * SIDES * RADIUS * math.sin(math.pi / SIDES)
    area = SIDES / 2 * math.sin(2 * math.pi / SIDES)
    arm = area * 0.05**2 * HEIGHT
    assert found["height"].tolist() == pytest.approx([HEIGHT, HEIGHT, 1.05 * HEIGHT])
    for tape in ("chest", "waist", "hip"):
        assert found[tape].tolist() == pytest.approx([polygon, 1.1 * polygon, polygon], rel=1e-3)
    trunk = area * RADIUS**2 * HEIGHT
    assert found["volume"].tolist() == pytest.approx([trunk + arm, 1.21 * trunk + arm, 1.05 * (trunk + arm)], rel=1e-4)


@pytest.mark.parametrize(("x", "z"), [(0.15, 0.15), (0.2, 0.12)])
def test_a_girth_is_the_perimeter_of_the_hull(x, z):
    """Against the polygon's own perimeter, which is convex, and again with a dent that a tape would bridge."""
    v, faces = prism(x, z, 0, 1)
    edges = torch.cat([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    ring = v[:SIDES, [0, 2]]
    around = (ring - ring.roll(1, 0)).norm(dim=1).sum()
    assert girth(v[None], edges, torch.tensor([0.5])).item() == pytest.approx(around.item(), rel=1e-3)
    # rays at that height: only their ends on the convex outline count
    dented = v.clone()
    dented[[0, SIDES]] *= torch.tensor([0.2, 1.0, 0.2])
    hull = torch.cat([ring[1:], ring[1:2]])
    bridged = (hull[1:] - hull[:-1]).norm(dim=1).sum()
    assert girth(dented[None], edges, torch.tensor([0.5])).item() == pytest.approx(bridged.item(), rel=1e-3)
    assert girth(v[None], edges, torch.tensor([2.0])).item() == 0


def test_gradients_reach_the_shape():
    betas = torch.zeros(1, 2, requires_grad=True)
    found = measurements(column(), betas)
    waist, volume = (
        torch.autograd.grad(found[name].sum(), betas, retain_graph=True)[0] for name in ("waist", "volume")
    )
    assert waist[0].tolist() == pytest.approx([0.1 * found["waist"].item(), 0], abs=1e-5)
    assert volume[0, 1].item() == pytest.approx(0.05 * found["volume"].item(), rel=1e-3)


def test_fingers_belong_to_the_arm():
    """SMPL-H has fingers where SMPL has its hands, and more behind them."""
    plain, fingers = (measurements(body, torch.zeros(1, 2)) for body in (column(), column(HANDS, len(HANDS) - 1)))
    assert {name: x.item() for name, x in fingers.items()} == {name: x.item() for name, x in plain.items()}


@pytest.mark.parametrize("parents", [(-1, 0), tuple(range(-1, 23)), (*PARENTS[:21], 18, *PARENTS[22:])])
def test_a_body_without_smpls_joints_is_told_so(parents):
    """However many joints it has."""
    body = SMPL(SMPLConfig(vertices=4, faces=2, parents=parents, bending=1))
    with pytest.raises(ValueError, match=f"SMPL's joints, and the {len(parents)} of this body are others"):
        measurements(body, torch.zeros(1, 1))
