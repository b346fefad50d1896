"""How SMPL's parts are learned from a sample of bodies: each is a least-squares fit with a reason to be sparse."""

import torch
from jaxtyping import Float, Int
from torch import Tensor


def shape_directions(
    vertices: Float[Tensor, "n V 3"], betas: int
) -> tuple[Float[Tensor, "V 3"], Float[Tensor, "V 3 B"], Float[Tensor, "n B"]]:
    """Template and principal directions, each as far as one standard deviation moves it, and the bodies' betas.

    PCA by the n x n Gram matrix: there are fewer bodies than coordinates. A direction's sign is free: here it makes
    the body taller, or where it hardly does, larger across, arm span and all.
    """
    template = vertices.mean(dim=0)
    X = (vertices - template).flatten(1).double()
    values, vectors = torch.linalg.eigh(X @ X.T / (len(X) - 1))
    values, vectors = values.flip(0)[:betas], vectors.flip(1)[:, :betas]
    directions = vectors.T @ X / (len(X) - 1) ** 0.5  # of length sqrt(eigenvalue): one standard deviation
    shaped = directions.unflatten(1, (-1, 3))
    tall = shaped[:, template[:, 1].argmax(), 1] - shaped[:, template[:, 1].argmin(), 1]
    wide = torch.einsum("bvc,vc->b", shaped[..., [0, 2]], template[:, [0, 2]].double()) / len(template)
    sign = torch.where(tall.abs() > 0.01, tall, wide).sign()
    shapedirs = (sign[:, None, None] * shaped).permute(1, 2, 0).float()
    return template, shapedirs, (vectors * sign * (len(X) - 1) ** 0.5).float()


def shape_of(
    vertices: Float[Tensor, "n V 3"], template: Float[Tensor, "V 3"], shapedirs: Float[Tensor, "V 3 B"]
) -> Float[Tensor, "n B"]:
    """The betas that come nearest to given bodies: the directions are orthogonal."""
    S = shapedirs.flatten(0, 1)
    return (vertices - template).flatten(1) @ S / S.square().sum(dim=0)


def joint_regressor(
    joints: Float[Tensor, "n J 3"],
    vertices: Float[Tensor, "n V 3"],
    weights: Float[Tensor, "V J"],
    parents: tuple[int, ...],
    near: int = 1_500,
    support: int = 160,
    components: int = 40,
    ridge: float = 2e-5,
) -> Float[Tensor, "J V"]:
    """Each joint as a weighted sum of vertices around it, the weights summing to one: ridge regression.

    The bodies vary along few directions, so what must be matched is the mean body and its principal directions: some
    hundred equations. Of the `near` vertices nearest to a joint, that follow it, its parent or a child, the `support`
    that are spread widest carry it: a ring around the limb. Weights may be negative, unlike in the paper: with
    non-negative ones (NNLS) knees and spine are 8 to 14 mm off, since no joint has to move as a mean of its skin does.
    The sizes are the smallest, and the ridge the largest, that kept every joint within 4 mm on bodies not seen.
    """
    mean_v, mean_j = vertices.mean(0), joints.mean(0)
    X, Y = (vertices - mean_v).flatten(1).double(), (joints - mean_j).flatten(1).double()
    basis = torch.linalg.eigh(X @ X.T)[1].flip(1)[:, :components] / len(X) ** 0.5
    X, Y = ((basis.T @ A).unflatten(1, (-1, 3)) for A in (X, Y))
    X, Y = torch.cat([mean_v[None], X]), torch.cat([mean_j[None], Y])  # (1 + c, V, 3), (1 + c, J, 3)
    regressor = torch.zeros(joints.shape[1], vertices.shape[1])
    for joint, parent in enumerate(parents):
        around = [joint, *[parent][: parent >= 0], *(k for k, p in enumerate(parents) if p == joint)]
        far = (mean_v - mean_j[joint]).norm(dim=1) + 10.0 * (weights[:, around].sum(dim=1) < 0.1)
        ring = far.topk(min(near, len(far)), largest=False).indices
        ring = ring[_spread(mean_v[ring], support)]
        A, b = X[:, ring].permute(0, 2, 1).flatten(0, 1), Y[:, joint].flatten()
        one = A.new_full((1, len(ring)), 10.0)  # that they sum to one matters most
        A, b = torch.cat([A, one]), torch.cat([b, one[0, :1]])
        r = torch.linalg.solve(A.T @ A + ridge * torch.eye(len(ring), dtype=A.dtype), A.T @ b)
        regressor[joint, ring] = (r / r.sum()).float()
    return regressor


def _spread(points: Float[Tensor, "N 3"], n: int) -> Int[Tensor, " n"]:
    """The first point, then ever the one farthest from those chosen."""
    chosen, far = [0], (points - points[0]).norm(dim=1)
    while len(chosen) < min(n, len(points)):
        chosen.append(int(far.argmax()))
        far = torch.minimum(far, (points - points[chosen[-1]]).norm(dim=1))
    return torch.tensor(chosen)
