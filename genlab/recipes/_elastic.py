"""How flesh follows a posed skeleton: the rest of a solid that keeps its volume, on tetrahedra inside the body.

    E(x) = sum_t V_t (mu/2 sum_i (s_i - 1)^2 + kappa/2 (det F_t - 1)^2) + bones + d^T Q d / 2,    d = x - lbs(X)

F_t = D_t(x) D_t(X)^-1 deforms tetrahedron t, of volume V_t; s_i are its singular values, the last one negative where it
is turned inside out. The first term is the distance to the nearest rotation (corotated elasticity), the second lets
nothing shrink. Bones are rods from joint to joint: points that must go where their joint's transform takes them. Q
pulls weakly towards skinning, and against differences from it that are not smooth. The skin follows the tetrahedra by

    v = lbs(V) + (1 + a) sum_i b_i d_i,    a such that no volume is lost

so that it keeps its detail, and at rest is exact. Nothing keeps skin from going through skin. Descent is L-BFGS on top
of the Laplacian that bounds E near rest, factorised once for a body (Liu, Bouaziz, Kavan: Quasi-Newton Methods for
Real-Time Simulation of Hyperelastic Materials, 2017).
"""

from contextlib import chdir
from tempfile import TemporaryDirectory

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from genlab.names import require
from genlab.ops.skinning import linear_blend_skinning

MU, KAPPA = 1.0, 30.0  # a Poisson's ratio of 0.48
BONE = 3.0  # stiffness of a bone, mu times metres for a metre of it
STEP = 0.01  # metres between two points of a bone, and its radius: without one it could not pass on its twist
SMOOTH = 0.06  # metres: flesh leaves skinning in waves longer than some of these, or folds would buckle at will: with
# less than an edge and a half, one solid's come out otherwise than another's
REACH = 0.3  # metres over which the flesh's own stiffness equals the pull towards skinning
SKULL = 0.02  # the same where flesh hangs on one joint at the end of a limb: skull, palm, sole
FURTHEST = 0.08  # metres from skinning: where skinning folds the body through itself nothing sensible is further
MORE = 0.25  # kappa gives a tenth of the volume up; so much more, at most, of what was moved gets that back too

Solid = tuple[Float[Tensor, "n 3"], Int[Tensor, "m 4"]]  # nodes and tetrahedra


def tetrahedra(vertices: Float[Tensor, "V 3"], faces: Int[Tensor, "F 3"], edge: float) -> Solid:
    """Tetrahedra that fill a watertight surface to 5 mm, edges of about this length, metres; half a minute for a body.
    Finer ones cost more and buckle more."""
    size = float((vertices.amax(0) - vertices.amin(0)).norm())
    with TemporaryDirectory() as folder, chdir(folder):  # it leaves a file where it runs
        x, tets = require("pytetwild", extra="body").tetrahedralize(
            vertices.double().numpy(), faces.int().numpy(), edge / size, epsilon=0.005 / size, num_threads=1
        )
    return torch.from_numpy(np.asarray(x)), torch.from_numpy(np.asarray(tets).astype(np.int64))


def closest(points: np.ndarray, x: np.ndarray, faces: np.ndarray, near: int = 16) -> tuple[np.ndarray, np.ndarray]:
    """About the nearest point of a surface to each of some: its triangle (P, 3) and barycentric coordinates (P, 3).

    Of the triangles whose centres are nearest the one to which the projection, clipped to it, is.
    """
    found = _scipy("spatial").cKDTree(x[faces].mean(1)).query(points, k=min(near, len(faces)))[1]
    a, b, c = np.moveaxis(x[faces[found]], 2, 0)  # (P, near, 3)
    u, v, w = b - a, c - a, points[:, None] - a
    uu, uv, vv, wu, wv = ((p * q).sum(-1) for p, q in ((u, u), (u, v), (v, v), (w, u), (w, v)))
    det = np.maximum(uu * vv - uv * uv, 1e-30)
    s, t = (vv * wu - uv * wv) / det, (uu * wv - uv * wu) / det
    bary = np.stack([1 - s - t, s, t], axis=-1).clip(0, 1)
    bary /= bary.sum(-1, keepdims=True)
    off = w - bary[..., 1:2] * u - bary[..., 2:] * v
    best = (off**2).sum(-1).argmin(1)[:, None]
    return faces[np.take_along_axis(found, best, 1)[:, 0]], np.take_along_axis(bary, best[..., None], 1)[:, 0]


def boundary(tets: np.ndarray) -> np.ndarray:
    """The triangles that only one tetrahedron has."""
    triangles = tets[:, [[1, 2, 3], [0, 3, 2], [0, 1, 3], [0, 2, 1]]].reshape(-1, 3)
    _, index, count = np.unique(np.sort(triangles, axis=1), axis=0, return_index=True, return_counts=True)
    return triangles[index[count == 1]]


def volume(v: np.ndarray, faces: np.ndarray) -> float:
    """Of a closed surface: the sum over triangles of a . (b x c) / 6."""
    a, b, c = v[faces.T]
    return float((a * np.cross(b, c)).sum() / 6)


def gradient(x: np.ndarray, tets: np.ndarray):
    """G (3 m, n), sparse: what takes positions y (n, 3) to F^T of every tetrahedron, (m, 3, 3) one below the other,
    and the tetrahedra's volumes."""
    D = (x[tets[:, 1:]] - x[tets[:, :1]]).transpose(0, 2, 1)  # edges as columns: F = D(y) D(x)^-1
    volumes = np.abs(np.linalg.det(D)) / 6
    rows = np.linalg.inv(D)  # (m, edge, axis)
    rows = np.concatenate([-rows.sum(1, keepdims=True), rows], axis=1).transpose(0, 2, 1)  # (m, axis, node)
    at = np.broadcast_to(np.arange(3 * len(tets)).reshape(-1, 3, 1), rows.shape)
    to = np.broadcast_to(tets[:, None], rows.shape)
    return _scipy("sparse").csr_array((rows.ravel(), (at.ravel(), to.ravel())), shape=(3 * len(tets), len(x))), volumes


def rods(joints: np.ndarray, parents: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Points of the bones (P, 3), four around each place along one, and the joint that each moves with."""
    points, owners = [], []
    for child, parent in enumerate(parents[1:], start=1):
        way = joints[child] - joints[parent]
        length = np.linalg.norm(way)
        across = np.linalg.svd(way[None])[2][1:] * STEP
        along = np.arange(0.15 * length, 0.85 * length, STEP)[:, None, None] / length
        rod = joints[parent] + along * way + np.concatenate([across, -across])
        points.append(rod.reshape(-1, 3))
        owners.append(np.full(rod.size // 3, parent))
    return np.concatenate(points), np.concatenate(owners)


def locate(points: np.ndarray, x: np.ndarray, tets: np.ndarray, near: int = 24):
    """Each point as a mean of nodes, sparse (P, n), in one of the tetrahedra whose centres are nearest; and whether it
    is inside one."""
    found = tets[_scipy("spatial").cKDTree(x[tets].mean(1)).query(points, k=min(near, len(tets)))[1]]
    corners = x[found]  # (P, near, 4, 3)
    D = (corners[:, :, 1:] - corners[:, :, :1]).swapaxes(2, 3)
    bary = np.linalg.solve(D, (points[:, None] - corners[:, :, 0])[..., None])[..., 0]
    bary = np.concatenate([1 - bary.sum(-1, keepdims=True), bary], axis=-1)
    row = np.arange(len(points))
    best = bary.min(-1).argmax(1)
    bary, nodes = bary[row, best], found[row, best]
    at = _scipy("sparse").csr_array((bary.ravel(), (row.repeat(4), nodes.ravel())), shape=(len(points), len(x)))
    return at, bary.min(1) > -0.01


class Flesh:
    """Tetrahedra that any body with the same surface mesh can be given: `solid` fills one of them, `vertices`.

    parents and weights are the skeleton's. `flesh.of(vertices, joints)` is a body's own, which can be posed.
    """

    def __init__(
        self,
        vertices: Float[Tensor, "V 3"],
        faces: Int[Tensor, "F 3"],
        weights: Float[Tensor, "V J"],
        parents: tuple[int, ...],
        solid: Solid,
    ):
        self.faces = faces.numpy()
        self.x, self.tets = (part.numpy() for part in solid)
        self.vertices, self.weights, self.parents = vertices.double().numpy(), weights.double().numpy(), parents
        skin = boundary(self.tets)
        self.outer = np.unique(skin)
        self.inner = np.setdiff1d(np.arange(len(self.x)), self.outer)
        self.skin = closest(self.vertices, self.x, skin)  # where the vertices are on the tetrahedra
        self.places = closest(self.x[self.outer], self.vertices, self.faces)  # and the other way round
        G, volumes = gradient(self.x, self.tets)
        L = (G.T @ _scipy("sparse").diags_array(np.repeat(volumes, 3)) @ G).tocsr()
        self.solve = _factorised(L[self.inner][:, self.inner])
        self.couples = L[self.inner][:, self.outer]
        inside = self.spread(self.weights).clip(0)
        self.inside = inside / inside.sum(1, keepdims=True)

    def spread(self, values: np.ndarray) -> np.ndarray:
        """Values (V, c) of the surface, harmonic inside: (n, c)."""
        triangle, bary = self.places
        out = np.empty((len(self.x), values.shape[1]))
        out[self.outer] = (values[triangle] * bary[..., None]).sum(1)
        out[self.inner] = -self.solve(self.couples @ out[self.outer])
        return out

    def of(self, vertices: Float[Tensor, "V 3"], joints: Float[Tensor, "J 3"]) -> "Body":
        return Body(self, vertices.double().numpy(), joints.double().numpy())


class Body:
    """`body.posed(A)` is where the skin goes."""

    def __init__(self, flesh: Flesh, vertices: np.ndarray, joints: np.ndarray):
        self.flesh, self.vertices = flesh, vertices
        self.x = flesh.x + flesh.spread(vertices - flesh.vertices)
        self.G, volumes = gradient(self.x, flesh.tets)
        self.volumes = volumes[:, None]
        points, owners = rods(joints, flesh.parents)
        at, inside = locate(points, self.x, flesh.tets)
        self.bones, self.owners, self.at = points[inside], owners[inside], at[inside]
        # Q: a mass at each node, strong where all flesh hangs on a joint at the end of a limb; and waves of d
        mass = np.bincount(flesh.tets.ravel(), np.repeat(volumes / 4, 4), minlength=len(self.x))
        ends = np.setdiff1d(np.arange(len(joints)), flesh.parents)
        reach = np.where(flesh.inside[:, ends].max(1) > 0.95, SKULL, REACH)
        diagonal = _scipy("sparse").diags_array
        L = self.G.T @ diagonal(np.repeat(volumes, 3)) @ self.G
        self.Q = (MU * diagonal(mass / reach**2) + MU * SMOOTH**2 * (L @ diagonal(1 / mass) @ L)).tocsr()
        self.solve = _factorised((MU + KAPPA) * L + BONE * STEP * (self.at.T @ self.at) + self.Q)

    def energy(self, x: np.ndarray, start: np.ndarray, bones: np.ndarray) -> tuple[float, np.ndarray]:
        """E and its gradient (n, 3)."""
        U, s, Vh = np.linalg.svd((self.G @ x).reshape(-1, 3, 3))  # of F^T, whose singular values are F's
        sign = np.sign(np.linalg.det(U) * np.linalg.det(Vh))
        s[:, 2] *= sign
        U[:, :, 2] *= sign[:, None]
        excess = s.prod(1, keepdims=True) - 1
        others = np.stack([s[:, 1] * s[:, 2], s[:, 0] * s[:, 2], s[:, 0] * s[:, 1]], axis=1)
        dE = self.volumes * (MU * (s - 1) + KAPPA * excess * others)
        off, d = self.at @ x - bones, x - start
        pull = self.Q @ d
        E = (self.volumes * (MU * (s - 1) ** 2 + KAPPA * excess**2 / 3)).sum() / 2
        E += BONE * STEP * (off**2).sum() / 2 + (pull * d).sum() / 2
        slope = self.G.T @ ((U * dE[:, None]) @ Vh).reshape(-1, 3)
        return E, slope + BONE * STEP * (self.at.T @ off) + pull

    def posed(self, A: Float[Tensor, "J 3 4"], iterations: int = 80, tolerance: float = 1e-4) -> Float[Tensor, "V 3"]:
        """The skin where these transforms from the rest pose take the joints."""
        A = A.double()
        start = _skinned(self.x, A, self.flesh.inside)
        T = A[self.owners].numpy()
        bones = (T[:, :, :3] @ self.bones[..., None])[..., 0] + T[:, :, 3]
        x = minimise(lambda x: self.energy(x, start, bones), start, self.solve, iterations, tolerance)
        triangle, bary = self.flesh.skin
        moved = ((x - start)[triangle] * bary[..., None]).sum(1)
        moved /= np.maximum(1, np.linalg.norm(moved, axis=1, keepdims=True) / FURTHEST)
        plain = _skinned(self.vertices, A, self.flesh.weights)
        whole, lost, found = (volume(v, self.flesh.faces) for v in (self.vertices, plain, plain + moved))
        more = np.clip((whole - found) / max(found - lost, 0.001 * whole), 0, MORE)
        return torch.from_numpy(plain + (1 + more) * moved).float()


def minimise(energy, x: np.ndarray, solve, iterations: int, tolerance: float, memory: int = 12) -> np.ndarray:
    """L-BFGS whose first guess of the inverse Hessian is `solve`. Ends with a step that moves no row of x further than
    `tolerance`."""
    E, g = energy(x)
    past: list[tuple[np.ndarray, np.ndarray, float]] = []
    for _ in range(iterations):
        q, shares = g.copy(), []
        for s, y, rho in reversed(past):
            shares.append(rho * (s * q).sum())
            q -= shares[-1] * y
        q = solve(q)
        for (s, y, rho), share in zip(past, reversed(shares), strict=True):
            q += (share - rho * (y * q).sum()) * s
        step, slope = 1.0, (g * q).sum()
        while True:
            E_new, g_new = energy(x - step * q)
            if E_new <= E - 1e-4 * step * slope or step < 1e-3:
                break
            step /= 2
        s, y = -step * q, g_new - g
        x, E, g = x + s, E_new, g_new
        if (s * y).sum() > 0:
            past = [*past[-memory + 1 :], (s, y, 1 / (s * y).sum())]
        if np.linalg.norm(s, axis=1).max() < tolerance:
            break
    return x


def _skinned(x: np.ndarray, A: Float[Tensor, "J 3 4"], weights: np.ndarray) -> np.ndarray:
    return linear_blend_skinning(torch.from_numpy(x)[None], A[None], torch.from_numpy(weights))[0].numpy()


def _factorised(A):
    """The solver of a sparse symmetric system."""
    splu = _scipy("sparse.linalg").splu
    return splu(A.tocsc(), permc_spec="MMD_AT_PLUS_A", diag_pivot_thresh=0.0, options={"SymmetricMode": True}).solve


def _scipy(part: str):
    return require(f"scipy.{part}", extra="train")
