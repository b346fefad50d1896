"""A closed surface by few triangles: which they are, and where their corners go.

Let b_i be the barycentric coordinates, on the coarse triangles, of the point nearest to vertex v_i of the fine surface,
and a_i the area around it. The corners x go where the fine surface is met best, in least squares:

    x = argmin sum_i a_i |sum_k b_ik x_k - v_i|^2 + hold sum_k |x_k - sum_i c_ki v_i|^2 = M v

with c_k the coordinates, on the fine triangles, of the point nearest to corner k. M is linear, and its rows sum to one:
so it takes shape directions over as it does the vertices. Corners on the surface would be simpler, but lose volume: an
octagon in a circle lacks a tenth of its area.
"""

from collections.abc import Callable

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from genlab.names import GenlabError, require
from genlab.recipes._elastic import closest

HOLD = 1e-5  # square metres: a hundredth of the skin around a corner, so it counts only where hardly a vertex is near

Mesh = tuple[Float[Tensor, "v 3"], Int[Tensor, "f 3"]]
Carry = Callable[[Float[Tensor, "V ..."]], Float[Tensor, "v ..."]]  # values at the vertices to values at the corners


def coarse(vertices: Float[Tensor, "V 3"], faces: Int[Tensor, "F 3"], count: int) -> Mesh:
    """About `count` triangles for a surface that is its own mirror image in x and has edges along x = 0.

    Edges collapse where it costs least (Garland, Heckbert: Surface Simplification Using Quadric Error Metrics, 1997),
    on the half of positive x; the other half is its image, and they share the rim. Raises GenlabError where the two do
    not make a closed surface without handles, as a sphere is.
    """
    x, faces = vertices.double().numpy(), faces.numpy()
    half = faces[x[faces][..., 0].mean(axis=1) > 0]
    half = require("pyvista", extra="body").PolyData.from_regular_faces(x, half).clean(tolerance=0)
    half = half.decimate(1 - count / 2 / half.n_cells)
    x, left = np.array(half.points), half.regular_faces
    rim = _rim(left)
    x[rim, 0] = 0
    image = np.arange(len(x)) + len(x)
    image[rim] = rim
    used, both = np.unique(np.concatenate([left, image[left][:, ::-1]]), return_inverse=True)
    if len(_rim(both)) or len(both) != 2 * (len(used) - 2):  # Euler: V - E + F = 2
        raise GenlabError(f"halves of {count // 2} triangles do not make one closed surface: ask for more")
    return torch.from_numpy(np.concatenate([x, x * (-1, 1, 1)])[used]), torch.from_numpy(both)


def _rim(faces: np.ndarray) -> np.ndarray:
    """The corners of edges that do not have one triangle on each side."""
    edges = np.sort(faces[:, [0, 1, 1, 2, 2, 0]].reshape(-1, 2), axis=1)
    edges, count = np.unique(edges, axis=0, return_counts=True)
    return np.unique(edges[count != 2])


def nearest(points: Float[Tensor, "P 3"], vertices: Float[Tensor, "V 3"], faces: Int[Tensor, "F 3"]) -> Tensor:
    """The points of a surface nearest to some, as a sparse (P, V): a row holds three barycentric coordinates."""
    index, share = closest(points.double().numpy(), vertices.double().numpy(), faces.numpy())
    row = torch.arange(len(points)).repeat_interleave(3)
    place = torch.stack([row, torch.from_numpy(index).flatten()])
    size = len(points), len(vertices)
    return torch.sparse_coo_tensor(place, torch.from_numpy(share).flatten(), size, check_invariants=True)


def least_squares(
    x: Float[Tensor, "v 3"], triangles: Int[Tensor, "f 3"], vertices: Float[Tensor, "V 3"], faces: Int[Tensor, "F 3"]
) -> Carry:
    """M, for coarse triangles with corners near x."""
    B, C = nearest(vertices, x, triangles), nearest(x, vertices, faces)
    a, b, c = vertices.double()[faces].unbind(1)
    third = torch.linalg.cross(b - a, c - a).norm(dim=1) / 6  # of a triangle's area, to each of its vertices
    area = torch.zeros(len(vertices), dtype=torch.double).index_add_(0, faces.flatten(), third.repeat_interleave(3))
    weighted = (B * area[:, None]).t()
    factor = torch.linalg.cholesky(weighted @ B.to_dense() + HOLD * torch.eye(len(x), dtype=torch.double))

    def carry(values: Float[Tensor, "V ..."]) -> Float[Tensor, "v ..."]:
        columns = values.double().flatten(1)
        found = torch.cholesky_solve(weighted @ columns + HOLD * (C @ columns), factor)
        return found.unflatten(1, values.shape[1:]).to(values.dtype)

    return carry
