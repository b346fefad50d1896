"""The parts of SMPL, learned from bodies whose parts are known."""

import numpy as np
import pytest
import torch

from genlab.data import anny_bodies
from genlab.models.body.joint_sets import JOINTS, PARENTS
from genlab.recipes._smpl import joint_regressor, shape_directions, shape_of


@pytest.fixture(scope="module")
def bodies() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """200 bodies of 300 vertices that vary along three directions; joints, means of some of them; who follows what."""
    generator = torch.Generator().manual_seed(0)
    anchors = torch.tensor([(0.0, 0.3 * k, 0.0) for k in range(4)])
    template = anchors.repeat_interleave(75, dim=0) + 0.1 * torch.randn(300, 3, generator=generator)
    directions = torch.randn(3, 300, 3, generator=generator) * torch.tensor([0.05, 0.02, 0.01])[:, None, None]
    vertices = template + torch.einsum("nk,kvc->nvc", torch.randn(200, 3, generator=generator), directions)
    follows = torch.eye(4).repeat_interleave(75, dim=0)
    mean = torch.zeros(4, 300)
    for joint in range(4):
        mean[joint, 75 * joint : 75 * joint + 6] = 1 / 6
    return vertices, mean @ vertices, follows


def test_shape_directions_are_the_principal_ones(bodies):
    decomposition = pytest.importorskip("sklearn.decomposition")
    vertices, _, _ = bodies
    template, shapedirs, betas = shape_directions(vertices, 3)
    pca = decomposition.PCA(3).fit(vertices.flatten(1).double().numpy())
    ours = shapedirs.flatten(0, 1).T.double().numpy()
    assert np.allclose(np.linalg.norm(ours, axis=1), np.sqrt(pca.explained_variance_), rtol=1e-4)
    cosines = np.abs(np.sum(ours * pca.components_, axis=1)) / np.linalg.norm(ours, axis=1)
    assert np.allclose(cosines, 1, atol=1e-5)
    assert torch.allclose(betas.std(dim=0), torch.ones(3), atol=1e-4)
    rebuilt = template + torch.einsum("nb,vcb->nvc", betas, shapedirs)
    assert torch.allclose(rebuilt, vertices, atol=1e-4)  # three directions are all there are
    assert torch.allclose(shape_of(vertices, template, shapedirs), betas, atol=1e-3)


def test_more_of_the_first_direction_is_taller():
    generator = torch.Generator().manual_seed(0)
    template = torch.randn(100, 3, generator=generator)
    height = 1 + 0.1 * torch.randn(50, 1, 1, generator=generator)
    vertices = template * torch.cat([torch.ones_like(height), height, torch.ones_like(height)], dim=2)
    _, shapedirs, _ = shape_directions(vertices, 1)
    up = shapedirs[template[:, 1].argmax(), 1, 0] - shapedirs[template[:, 1].argmin(), 1, 0]
    assert up > 0


def test_joints_are_regressed_from_the_vertices_around_them(bodies):
    vertices, joints, follows = bodies
    regressor = joint_regressor(joints[:150], vertices[:150], follows, (-1, 0, 1, 2), near=100, support=40)
    assert torch.allclose(regressor.sum(dim=1), torch.ones(4), atol=1e-5)
    assert ((regressor != 0).sum(dim=1) <= 40).all()
    assert (regressor @ vertices[150:] - joints[150:]).norm(dim=-1).max() < 2e-3  # of bodies not seen; metres
    far = regressor[0, 150:]  # joint 0 has nothing of those that follow neither it nor its child
    assert (far == 0).all()


def test_arms_go_to_the_horizontal():
    """Whatever way they hung; bones keep their lengths, and what follows nothing but the trunk stays."""
    generator = torch.Generator().manual_seed(0)
    joints = torch.randn(5, 24, 3, generator=generator)
    vertices, weights = joints.clone(), torch.eye(24)
    posed, moved = anny_bodies.t_pose(vertices, joints, weights)
    assert torch.allclose(posed, moved, atol=1e-5)
    index = {name: k for k, name in enumerate(JOINTS)}
    for side, x in (("left", 1.0), ("right", -1.0)):
        shoulder, elbow, wrist = (moved[:, index[f"{side}_{name}"]] for name in ("shoulder", "elbow", "wrist"))
        for bone in (elbow - shoulder, wrist - elbow):
            way = torch.nn.functional.normalize(bone, dim=-1)
            assert torch.allclose(way, torch.tensor([x, 0.0, 0.0]).expand(5, 3), atol=1e-4)
    lengths = [(j[:, 1:] - j[:, list(PARENTS[1:])]).norm(dim=-1) for j in (joints, moved)]
    assert torch.allclose(*lengths, atol=1e-5)
    trunk = [index[name] for name in ("pelvis", "spine3", "left_knee", "head")]
    assert torch.allclose(moved[:, trunk], joints[:, trunk], atol=1e-6)


def test_the_rig_names_smpls_joints():
    assert anny_bodies.JOINTS == JOINTS and anny_bodies.PARENTS == PARENTS
