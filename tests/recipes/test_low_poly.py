"""Few triangles for many: on surfaces whose best answer is known, and on the body."""

import pytest
import torch

import genlab
from genlab.data import motions
from genlab.models.body import SMPL
from genlab.models.body.joint_sets import LANDMARKS, PARENTS
from genlab.models.body.measurements import measurements
from genlab.names import GenlabError
from genlab.recipes import smpl_open_low
from genlab.recipes._low_poly import coarse, least_squares, nearest
from genlab.recipes._pose_blend import volumes

OCTAHEDRON = torch.tensor([(1.0, 0, 0), (-1, 0, 0), (0, 1, 0), (0, -1, 0), (0, 0, 1), (0, 0, -1)])
EIGHT = torch.tensor([(0, 2, 4), (2, 1, 4), (1, 3, 4), (3, 0, 4), (2, 0, 5), (1, 2, 5), (3, 1, 5), (0, 3, 5)])


def halved(v: torch.Tensor, faces: torch.Tensor, times: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Four triangles for each, its edges halved."""
    for _ in range(times):
        edges = torch.cat([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]]).sort(dim=1).values
        edges, which = edges.unique(dim=0, return_inverse=True)
        ab, bc, ca = (len(v) + which).chunk(3)
        a, b, c = faces.T
        v = torch.cat([v, v[edges].mean(dim=1)])
        faces = torch.cat([torch.stack(t, dim=1) for t in ((a, ab, ca), (ab, b, bc), (ca, bc, c), (ab, bc, ca))])
    return v, faces


def torus(n: int = 24) -> tuple[torch.Tensor, torch.Tensor]:
    """A ring around z."""
    i, j = torch.meshgrid(torch.arange(n), torch.arange(n), indexing="ij")
    phi, theta = 2 * torch.pi * (i + 6) / n, 2 * torch.pi * j / n
    r = 1 + 0.3 * theta.cos()
    v = torch.stack([r * phi.cos(), r * phi.sin(), 0.3 * theta.sin()], dim=-1).flatten(0, 1)
    v[v[:, 0].abs() < 1e-6, 0] = 0
    a, b, c, d = ((n * ((i + p) % n) + (j + q) % n).flatten() for p, q in ((0, 0), (1, 0), (1, 1), (0, 1)))
    return v, torch.cat([torch.stack([a, b, c], dim=1), torch.stack([a, c, d], dim=1)])


def closed(faces: torch.Tensor) -> bool:
    """Each edge is walked once in each direction: no holes, and one side is outside."""
    edges = torch.cat([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    return len(edges.unique(dim=0)) == len(edges) and torch.equal(edges.unique(dim=0), edges.flip(1).unique(dim=0))


def test_a_sphere_by_fewer_triangles():
    pytest.importorskip("pyvista")
    v, faces = halved(OCTAHEDRON, EIGHT, 4)
    v = torch.nn.functional.normalize(v, dim=1)
    x, triangles = coarse(v, faces, 200)
    assert abs(len(triangles) - 200) <= 8 and len(triangles) == 2 * (len(x) - 2) and closed(triangles)
    mirrored = x * torch.tensor([-1.0, 1, 1])
    assert (torch.cdist(mirrored, x).min(dim=1).values < 1e-9).all()
    on_it = torch.nn.functional.normalize(x, dim=1)
    ball, hull = (volumes(p[None], t).item() for p, t in ((v, faces), (on_it, triangles)))
    fitted = volumes(least_squares(x, triangles, v, faces)(v)[None], triangles).item()
    assert abs(fitted / ball - 1) < 0.01 < 1 - hull / ball  # corners on the sphere would cut it short


def test_what_does_not_close_like_a_sphere_is_told():
    pytest.importorskip("pyvista")
    v, faces = torus()
    assert closed(faces)
    with pytest.raises(GenlabError, match="do not make one closed surface"):
        coarse(v, faces, 400)


def test_the_nearest_point_of_a_surface():
    """Inside a triangle, beyond an edge, and beyond a corner; a row holds shares of one."""
    points = torch.tensor([(1.0, 1, 1), (1, 1, 0), (3, 0.1, 0.1)], dtype=torch.double)
    rows = nearest(points, OCTAHEDRON, EIGHT).to_dense()
    assert torch.allclose(rows.sum(dim=1), torch.ones(3, dtype=torch.double)) and (rows >= 0).all()
    expected = torch.tensor([(1 / 3, 1 / 3, 1 / 3), (0.5, 0.5, 0), (1, 0, 0)], dtype=torch.double)
    assert torch.allclose(rows @ OCTAHEDRON.double(), expected, atol=1e-6)


def test_corners_of_flat_triangles_are_found_again():
    """Where the fine surface is the coarse one, its edges halved, M gives back the corners, and affine values there."""
    v, faces = halved(OCTAHEDRON, EIGHT, 3)
    moved = least_squares(OCTAHEDRON.double(), EIGHT, v, faces)
    assert torch.allclose(moved(v), OCTAHEDRON, atol=1e-5)
    values = torch.stack([v @ torch.tensor([1.0, 2, 3]) + 5, torch.ones(len(v))], dim=1)[:, None]
    expected = torch.stack([OCTAHEDRON @ torch.tensor([1.0, 2, 3]) + 5, torch.ones(6)], dim=1)[:, None]
    assert torch.allclose(moved(values), expected, atol=1e-4)


def test_least_squares_are_least():
    """No corner can move without the surface being met less well."""
    torch.manual_seed(0)
    v, faces = halved(OCTAHEDRON, EIGHT, 3)
    v = v + 0.02 * torch.randn(v.shape)
    B = nearest(v, OCTAHEDRON, EIGHT).to_dense()
    a, b, c = v.double()[faces].unbind(1)
    area = torch.zeros(len(v), dtype=torch.double)
    area.index_add_(0, faces.flatten(), (torch.linalg.cross(b - a, c - a).norm(dim=1) / 6).repeat_interleave(3))
    x = least_squares(OCTAHEDRON, EIGHT, v, faces)(v.double()).requires_grad_()
    loss = (area[:, None] * (B @ x - v).square()).sum()
    (slope,) = torch.autograd.grad(loss, x)
    assert slope.abs().max() < 1e-4  # what the hold allows


# -- the body ----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def low() -> SMPL:
    return SMPL.from_pretrained("smpl-open-low")


@pytest.fixture(scope="module")
def people() -> tuple[torch.Tensor, torch.Tensor]:
    """Ten of random shape, in moments of made-up motions."""
    poses = torch.cat([motions.clip(name, fps=1) for name in motions.MOTIONS])
    generator = torch.Generator().manual_seed(7)
    return torch.randn(10, 10, generator=generator), poses[torch.randperm(len(poses), generator=generator)[:10]]


def holds(body: SMPL, people: tuple[torch.Tensor, torch.Tensor]) -> None:
    found = smpl_open_low.apart(body, *people)
    assert found["joint_distance"].mean() < 0.5 and found["joint_distance"].max() < 3
    assert found["landmark_distance"].mean() < 0.7 and found["landmark_distance"].max() < 5
    assert found["surface_distance"].mean() < 2.5
    assert found["volume_change"].abs().max() < 4


def test_it_is_the_same_person_by_a_tenth_of_the_vertices(low, people):
    full = SMPL.from_pretrained("smpl-open")
    assert 10 * low.config.vertices < full.config.vertices and closed(low.faces.long())
    assert (low.config.parents, low.config.landmarks, low.config.betas) == (PARENTS, LANDMARKS, full.config.betas)
    holds(low, people)


def test_another_body_is_not_the_same_person(low, people):
    """The measure would see betas in another order."""
    other = SMPL.from_pretrained("smpl-open-low")
    other.shapedirs.copy_(low.shapedirs[..., [1, 0, *range(2, 10)]])
    with pytest.raises(AssertionError):
        holds(other, people)


def test_a_tape_measures_the_same(low):
    full = SMPL.from_pretrained("smpl-open")
    betas = torch.tensor([[0.0, 0, 0], [1, -1, 0.5], [-2, 1, 0]])
    ours, true = measurements(low, betas), measurements(full, betas)
    for name in true:
        assert torch.allclose(ours[name], true[name], rtol=0.03), name


def test_it_can_be_made_again(people):
    """From smpl-open, in seconds, and twice the same."""
    pytest.importorskip("pyvista")
    recipe = smpl_open_low.RECIPE
    body, again = (recipe.fit(recipe).eval() for _ in range(2))
    assert (body.config.vertices, body.config.faces) == (recipe.config.vertices, recipe.config.faces)
    assert all(torch.equal(a, b) for a, b in zip(body.buffers(), again.buffers(), strict=True))
    holds(body, people)


def test_it_is_small():
    entry = {entry.name: entry for entry in genlab.list_pretrained()}["smpl-open-low"]
    assert (entry.folder / "model.safetensors").stat().st_size < 1_000_000
