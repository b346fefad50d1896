"""Linear-blend skinning: each point of a surface follows a weighted mean of the joints' transforms.

v'_i = sum_k w_ik A_k v_i,    A_k v = R_k v + t_k,    sum_k w_ik = 1
"""

import torch
from jaxtyping import Float
from torch import Tensor
from torch.autograd.function import once_differentiable

# In one go: their blended transforms, 12 numbers a point, then stay in the processor's cache. With fewer its threads
# would wait for each other too often.
BODIES = 16


def linear_blend_skinning(
    v: Float[Tensor, "B V 3"], A: Float[Tensor, "B J 3 4"], weights: Float[Tensor, "V J"]
) -> Float[Tensor, "B V 3"]:
    """Points v of the rest pose, carried by the transforms A = [R | t] from the rest pose. Differentiable once.
    Fastest where the coordinates of v lie apart in memory, as those of the result do: v as (B, 3, V), turned."""
    return _Skinning.apply(v.transpose(1, 2).contiguous(), A, weights.t().contiguous()).transpose(1, 2)


class _Skinning(torch.autograd.Function):
    """The sum above on coordinates apart, x (B, 3, V), so that every operation runs along the points. Its gradient
    blends the transforms anew instead of keeping them, which for a batch of bodies would be most of the memory."""

    @staticmethod
    def forward(ctx, x: Tensor, A: Tensor, weights: Tensor) -> Tensor:
        ctx.save_for_backward(x, A, weights)
        out = torch.empty_like(x)
        for part, T in _blended(A, weights):  # T[:, r, c] = sum_k w_k A_k[r, c]
            y = torch.addcmul(T[:, :, 3], T[:, :, 0], x[part, 0:1], out=out[part])
            y.addcmul_(T[:, :, 1], x[part, 1:2]).addcmul_(T[:, :, 2], x[part, 2:3])
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx, grad: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        x, A, weights = ctx.saved_tensors
        grad_x, grad_A = torch.empty_like(x), A.new_empty(len(A), 3, 4, A.shape[1])
        grad_weights, rows = torch.zeros_like(weights), A.permute(0, 2, 3, 1)
        for part, T in _blended(A, weights):
            g = grad[part].contiguous()
            y = torch.mul(T[:, 0, :3], g[:, 0:1], out=grad_x[part])
            y.addcmul_(T[:, 1, :3], g[:, 1:2]).addcmul_(T[:, 2, :3], g[:, 2:3])
            torch.mul(g[:, :, None], x[part, None], out=T[:, :, :3])  # from here on T holds its own gradient
            T[:, :, 3] = g
            torch.mm(T.flatten(0, 2), weights.t(), out=grad_A[part].flatten(0, 2))
            if ctx.needs_input_grad[2]:
                grad_weights += rows[part].flatten(0, 2).t() @ T.flatten(0, 2)
        return grad_x, grad_A.permute(0, 3, 1, 2), grad_weights


def _blended(A: Tensor, weights: Tensor):
    """Some bodies after the other: their place in the batch, and the transform of each point, (B, 3, 4, V)."""
    rows, V = A.permute(0, 2, 3, 1), weights.shape[1]  # (B, 3, 4, J)
    bodies = BODIES if A.is_cpu else max(BODIES, (1 << 28) // (12 * V))  # a gigabyte's worth, where there are no caches
    for start in range(0, len(A), bodies):
        part = slice(start, start + bodies)
        yield part, (rows[part].reshape(-1, len(weights)) @ weights).view(-1, 3, 4, V)
