"""The flesh that pose blend shapes are learnt from, on a bar of two bones; and that the shapes are found again."""

import math
from itertools import permutations, product

import numpy as np
import pytest
import torch

from genlab.ops.kinematics import forward_kinematics, from_rest
from genlab.ops.rotations import axis_angle_to_matrix
from genlab.ops.skinning import linear_blend_skinning
from genlab.recipes import _elastic, _pose_blend

pytest.importorskip("scipy")

PARENTS = (-1, 0, 1)  # a bar along x: a joint at each end and one in the middle
CELL, CELLS = 0.1 / 3, (12, 3, 3)


def grid() -> _elastic.Solid:
    """Each cell of the bar is cut into six tetrahedra, one for each way along its edges from corner to corner."""
    number = np.arange(np.prod([n + 1 for n in CELLS])).reshape([n + 1 for n in CELLS])
    nodes = np.stack(np.meshgrid(*(np.arange(n + 1) * CELL for n in CELLS), indexing="ij"), -1).reshape(-1, 3)
    nodes -= [0.2, 0.05, 0.05]
    tets = []
    for cell, order in product(np.ndindex(*CELLS), permutations(range(3))):
        way = np.cumsum([cell, *np.eye(3, dtype=int)[list(order)]], axis=0)
        tet = [number[tuple(corner)] for corner in way]
        odd = np.linalg.det(np.eye(3)[list(order)]) < 0
        tets.append([tet[0], tet[2], tet[1], tet[3]] if odd else tet)
    return torch.from_numpy(nodes), torch.from_numpy(np.array(tets))


@pytest.fixture(scope="module")
def bar():
    """flesh, and its own body: vertices, joints, faces, weights."""
    nodes, tets = solid = grid()
    outer, faces = np.unique(_elastic.boundary(tets.numpy()), return_inverse=True)
    vertices, faces = nodes[outer].float(), torch.from_numpy(faces.reshape(-1, 3))
    along = torch.sigmoid(vertices[:, 0] / 0.02)
    weights = torch.stack([1 - along, along, 0 * along], dim=1)
    joints = torch.tensor([[-0.2, 0, 0], [0, 0, 0], [0.2, 0, 0]])
    return _elastic.Flesh(vertices, faces, weights, PARENTS, solid), vertices, joints, faces, weights


def bent(*angles: float, root=(0.0, 0.0, 0.0)) -> torch.Tensor:
    """R (1, 3, 3, 3) of a middle joint that turns by so many degrees."""
    return axis_angle_to_matrix(torch.tensor([[root, angles, (0.0, 0.0, 0.0)]]) * math.pi / 180)


def transforms(R, joints):
    return from_rest(*forward_kinematics(R, joints[None], PARENTS), joints[None])


@pytest.mark.parametrize("angles", [(0.0, 90.0, 0.0), (0.0, 0.0, -90.0), (150.0, 0.0, 0.0)])
def test_flesh_keeps_the_volume_that_skinning_loses(bar, angles):
    flesh, vertices, joints, faces, weights = bar
    A = transforms(bent(*angles), joints)
    plain = linear_blend_skinning(vertices[None], A, weights)
    posed = flesh.of(vertices, joints).posed(A[0])
    before, lost, kept = _pose_blend.volumes(torch.stack([vertices, plain[0], posed]), faces)
    assert before == pytest.approx(0.4 * 0.1 * 0.1, rel=1e-6)
    assert lost / before < 0.97 and abs(kept / before - 1) < 0.1 * (1 - lost / before)
    assert (posed - plain[0]).norm(dim=1).max() <= _elastic.FURTHEST + 1e-6


def test_at_rest_nothing_moves_and_a_rigid_motion_stays_one(bar):
    flesh, vertices, joints, *_ = bar
    body = flesh.of(vertices, joints)
    for root in ((0.0, 0.0, 0.0), (20.0, -100.0, 60.0)):
        A = transforms(bent(0, 0, 0, root=root), joints)
        rigid = vertices @ A[0, 0, :, :3].T + A[0, 0, :, 3]
        assert torch.allclose(body.posed(A[0]), rigid, atol=1e-6)


def test_it_does_not_matter_which_way_the_body_faces(bar):
    flesh, vertices, joints, *_ = bar
    body = flesh.of(vertices, joints)
    here, there = (transforms(bent(0, 60, 20, root=root), joints)[0] for root in ((0.0, 0.0, 0.0), (20.0, 50.0, 0.0)))
    expected = body.posed(here) @ there[0, :, :3].T + there[0, :, 3]
    assert torch.allclose(body.posed(there), expected, atol=1e-5)


def test_the_gradient_is_that_of_the_energy(bar):
    flesh, vertices, joints, *_ = bar
    body = flesh.of(vertices, joints)
    rng = np.random.default_rng(0)
    x = body.x + 0.01 * rng.standard_normal(body.x.shape)  # some tetrahedra are inside out
    way = rng.standard_normal(x.shape)
    slope = body.energy(x, body.x, body.bones)[1]
    ahead, behind = (body.energy(x + h * way, body.x, body.bones)[0] for h in (1e-6, -1e-6))
    assert (ahead - behind) / 2e-6 == pytest.approx((slope * way).sum(), rel=1e-4)


def test_another_body_gets_the_same_tetrahedra(bar):
    """Harmonic inside: whatever is linear on the surface is so in the body."""
    flesh, vertices, joints, *_ = bar
    wider = torch.tensor([1.0, 1.5, 0.8])
    body = flesh.of(vertices * wider, joints)
    assert np.allclose(body.x, flesh.x * wider.numpy(), atol=1e-6)
    assert body.volumes.sum() == pytest.approx(0.4 * 0.15 * 0.08, rel=1e-5)
    assert np.allclose(flesh.inside.sum(1), 1) and flesh.inside.min() >= 0


def test_the_nearest_point_of_a_triangle_by_hand():
    x = np.array([[0.0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 9], [1, 0, 9], [0, 1, 9]])
    points = np.array([[0.25, 0.25, 0.5], [-1.0, -1.0, 0.0], [3.0, 0, 8.5]])
    triangle, bary = _elastic.closest(points, x, np.array([[0, 1, 2], [3, 4, 5]]))
    assert triangle.tolist() == [[0, 1, 2], [0, 1, 2], [3, 4, 5]]
    assert np.allclose(bary, [[0.5, 0.25, 0.25], [1, 0, 0], [0, 1, 0]])


def test_descent_finds_the_minimum_of_a_parabola():
    rng = np.random.default_rng(0)
    A = rng.standard_normal((30, 30))
    A = A @ A.T + np.eye(30)
    b = rng.standard_normal((30, 3))
    found = _elastic.minimise(
        lambda x: ((x * (A @ x)).sum() / 2 - (b * x).sum(), A @ x - b), np.zeros((30, 3)), lambda g: g / 50, 200, 1e-9
    )
    assert np.allclose(found, np.linalg.solve(A, b), atol=1e-6)


# -- pose blend shapes -------------------------------------------------------------------------------------------------

CHAIN = (-1, 0, 1, 2, 3, 4, 5)


def chain(M: int = 150, V: int = 40):
    """Points along a chain of seven joints, each bent by the two joints that skin it."""
    g = torch.Generator().manual_seed(0)
    joints = torch.zeros(M, 7, 3)
    joints[:, :, 0] = torch.arange(7.0) * 0.2
    joints = joints.double()
    rest = (torch.rand(V, 3, generator=g) * torch.tensor([1.2, 0.1, 0.1])).double()
    rest = rest + 0.01 * torch.randn(M, 1, 3, generator=g).double()
    first = torch.arange(V) * 6 // V
    weights = torch.zeros(V, 7).double()
    share = 0.2 + 0.6 * torch.rand(V, generator=g).double()
    weights[torch.arange(V), first], weights[torch.arange(V), first + 1] = share, 1 - share
    R = axis_angle_to_matrix(0.4 * torch.randn(M, 7, 3, generator=g).double())
    bends = torch.stack([(first - 1).clamp_min(0), first], dim=1)
    bends[first == 0] = torch.tensor([0, 1])  # the root bends none
    posedirs = 0.02 * torch.randn(V, 3, 2, 9, generator=g).double()
    return rest, R, joints, weights, posedirs, bends.to(torch.uint8)


def test_pose_blend_shapes_are_found_again():
    rest, R, joints, weights, posedirs, bends = chain()
    targets = _pose_blend.blended(rest, R, joints, weights, CHAIN, posedirs, bends)
    samples = rest, R, joints, targets
    found = _pose_blend.bending_joints(samples, weights, CHAIN, bending=2, ridge=1e-9)
    P = _pose_blend.pose_blend_shapes(samples, weights, CHAIN, found, ridge=1e-9)
    assert torch.equal(found.sort(1).values, bends.sort(1).values)
    order = found.long().argsort(1)
    P = P.gather(2, order[:, None, :, None].expand_as(P))
    assert torch.allclose(P, posedirs, atol=0.01 * posedirs.abs().max())


def test_more_ridge_means_smaller_shapes_and_no_residual_means_none():
    rest, R, joints, weights, posedirs, bends = chain(M=40)
    samples = rest, R, joints, _pose_blend.blended(rest, R, joints, weights, CHAIN, posedirs, bends)
    size = [
        float(_pose_blend.pose_blend_shapes(samples, weights, CHAIN, bends, ridge=r).norm()) for r in (1e-4, 1e-2, 1.0)
    ]
    assert size[0] > size[1] > size[2] > 0
    samples = rest, R, joints, _pose_blend.blended(rest, R, joints, weights, CHAIN)
    assert _pose_blend.pose_blend_shapes(samples, weights, CHAIN, bends).abs().max() < 1e-9


def test_a_vertex_listens_to_joints_nearby_alone():
    rest, R, joints, weights, *_ = chain(M=40)
    targets = rest + 0.01 * torch.randn(rest.shape, generator=torch.Generator().manual_seed(1)).double()
    samples = rest, R, joints, targets
    bends = _pose_blend.bending_joints(samples, weights, CHAIN, bending=5)
    P = _pose_blend.pose_blend_shapes(samples, weights, CHAIN, bends)
    near = _pose_blend.nearby(weights, CHAIN).gather(1, bends.long())
    assert not near.all() and P[~near[:, None].expand(-1, 3, -1)].abs().max() < 1e-4 * P.abs().max()
    assert all(len(set(row)) == 5 for row in bends.tolist())


def test_the_mirror_image_of_a_sample():
    """A left and a right arm: what the left did in the sample the right does in its mirror image."""
    joints = torch.tensor([[[0.0, 0, 0], [0.2, 0, 0], [-0.2, 0, 0]]])
    rest = torch.tensor([[[0.1, 0.01, 0.02], [0.3, 0, 0], [-0.1, 0.01, 0.02], [-0.3, 0, 0]]])
    weights = torch.tensor([[0.5, 0.5, 0], [0, 1, 0], [0.5, 0, 0.5], [0, 0, 1]])
    R = axis_angle_to_matrix(torch.tensor([[[0.0, 0, 0], [0.1, 0.5, 0.3], [0, 0, 0]]]))
    other = axis_angle_to_matrix(torch.tensor([[[0.0, 0, 0], [0, 0, 0], [0.1, -0.5, -0.3]]]))
    targets = _pose_blend.blended(rest, R, joints, weights, (-1, 0, 0))
    samples = _pose_blend.with_mirror((rest, R, joints, targets), weights)
    assert torch.allclose(samples[1][1], other[0], atol=1e-6)
    assert torch.allclose(_pose_blend.blended(*samples[:3], weights, (-1, 0, 0)), samples[3], atol=1e-6)
    lopsided = rest + torch.tensor([0.05, 0, 0])
    assert len(_pose_blend.with_mirror((lopsided, R, joints, targets), weights)[0]) == 1


def test_a_vertex_that_counts_is_met_more_closely():
    """Whole numbers of counts are copies of a sample, for the vertices that they are of; these are left better off, and
    the others as they were. And `excess` is how much further each is than by skinning."""
    rest, R, joints, weights, *_ = chain(M=40)
    rest, joints = (part[:1].expand_as(part) for part in (rest, joints))  # copies must not move the mean body
    targets = rest + 0.01 * torch.randn(rest.shape, generator=torch.Generator().manual_seed(1)).double()
    samples, counts = (rest, R, joints, targets), torch.ones(rest.shape[:2]).double()
    few = slice(0, rest.shape[1] // 2)
    counts[3, few] = 5
    more = tuple(torch.cat([part, part[3:4].expand(4, *part.shape[1:])]) for part in samples)
    ridge, how = 1e-3, (weights, CHAIN, _pose_blend.bending_joints(samples, weights, CHAIN))
    P = _pose_blend.pose_blend_shapes(samples, *how, ridge=ridge, counts=counts)
    copied = _pose_blend.pose_blend_shapes(more, *how, ridge=ridge * 40 / 44)
    plain = _pose_blend.pose_blend_shapes(samples, *how, ridge=ridge)
    assert torch.allclose(P[few], copied[few], atol=1e-6)
    assert torch.allclose(P[few.stop :], plain[few.stop :], atol=1e-6)
    found = [_pose_blend.blended(rest, R, joints, weights, CHAIN, shapes, how[2]) - targets for shapes in (P, plain)]
    assert found[0][3, few].norm() < 0.9 * found[1][3, few].norm()
    skinned = _pose_blend.blended(rest, R, joints, weights, CHAIN) - targets
    further = 1000 * (found[0].norm(dim=-1) - skinned.norm(dim=-1))
    assert torch.allclose(_pose_blend.excess(samples, weights, CHAIN, P, how[2]), further)


def test_vertices_that_came_out_worse_are_mended_by_fitting_again(monkeypatch):
    rest, R, joints, weights, posedirs, bends = chain(M=60)
    targets = _pose_blend.blended(rest, R, joints, weights, CHAIN, posedirs, bends)
    targets[:3] += 0.1 * torch.randn(targets[:3].shape, generator=torch.Generator().manual_seed(1)).double()
    samples, worst = (rest, R, joints, targets), []
    monkeypatch.setattr(_pose_blend, "solve", lambda *_: samples)
    for again in (0, 3):
        monkeypatch.setattr(_pose_blend, "AGAIN", again)
        poses = torch.zeros(1, 7, 3)
        P, found = _pose_blend.learn(rest[:1], joints[:1], weights, CHAIN, poses, bending=2, fleshes=[None])
        worst.append(float(_pose_blend.excess(samples, weights, CHAIN, P, found).max()))
    assert worst[1] < 0.8 * worst[0]


def test_bodies_are_bent_in_one_solid_after_the_other():
    class Still:
        """A solid that knows one place."""

        def __init__(self, at: float):
            self.at = at

        def of(self, vertices, joints) -> "Still":
            return self

        def posed(self, A):
            return torch.full((4, 3), self.at)

    rest, joints, weights = torch.zeros(3, 4, 3), torch.zeros(3, 2, 3), torch.full((4, 2), 0.5)
    pairs = [(0, 0), (0, 1), (1, 0), (2, 1)]
    *_, targets = _pose_blend.solve(rest, joints, weights, (-1, 0), torch.zeros(2, 2, 3), pairs, [Still(1), Still(2)])
    assert targets[:, 0, 0].tolist() == [1, 1, 2, 1]


def test_bodies_far_apart_are_chosen():
    betas = torch.tensor([[0.1, 0.0], [3.0, 0.0], [0.2, 0.1], [0.0, -2.0], [2.9, 0.0], [-1.5, 1.5]])
    assert _pose_blend.apart(betas, 4) == [0, 1, 5, 3]
    assert sorted(_pose_blend.apart(betas, 99)) == list(range(6))


def test_it_learns_from_bodies_and_helps_in_new_poses(bar):
    flesh, vertices, joints, faces, weights = bar
    wider = torch.tensor([[1.0, 1, 1], [1, 1.2, 1], [1, 0.9, 1.1]])
    bodies, stands = vertices * wider[:, None], joints.expand(3, 3, 3)
    poses = torch.zeros(19, 3, 3)
    poses[:, 1] = 2 * torch.rand(19, 3, generator=torch.Generator().manual_seed(0)) - 1
    seen = []
    P, bends = _pose_blend.learn(
        bodies[:2], stands[:2], weights, PARENTS, poses[:16],
        poses_each=8, bending=1, fleshes=[flesh], progress=lambda *at: seen.append(at),
    )  # fmt: skip
    assert P.shape == (len(vertices), 3, 1, 9) and seen == [(i, 16) for i in range(1, 17)]
    new = _pose_blend.solve(bodies[2:], stands[2:], weights, PARENTS, poses[16:], [(0, k) for k in range(3)], [flesh])
    found = _pose_blend.compare(new, faces, weights, PARENTS, P.half(), bends)
    assert found["residual_less_percent"] > 50 and found["excess_worst_mm"] < 10
    assert abs(found["volume_percent"]) < 0.5 * abs(found["volume_skinning_percent"])
