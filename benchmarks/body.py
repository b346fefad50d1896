"""Our SMPL against smplx on one and the same model of SMPL's size: the mesh, its gradients, and the joints alone.

The model is random numbers of the published shapes: 6,890 vertices, 24 joints, 10 betas, every joint bending every
vertex, four joints to a vertex. Both give the same vertices and the same gradients, which is asserted before anything
is timed.
"""

import contextlib
import io
import os
import types
from statistics import median

import numpy as np
import torch
from torch import Tensor

from benchmarks.timing import paired, ratio, table
from genlab.models.body import SMPL, SMPLConfig

BATCHES, THREADS = (1, 64, 256), (1, 2)
ENOUGH = 16  # bodies in one timed run, at least: what takes a millisecond is called again and again
ALONE = 16  # calls of the joints alone for each of the mesh: fitters ask for nothing else, thousands of times on end


def run(options) -> str:
    try:
        import smplx
    except ImportError:
        print(
            "body compares with smplx, whose licence allows research only and which is therefore not among this "
            "project's requirements: where that suits you, `pip install smplx`, and run this again"
        )
        return ""
    ours = synthetic()
    with contextlib.redirect_stdout(io.StringIO()):  # a warning of ten betas
        theirs = smplx.SMPL("", data_struct=published(ours), **dict.fromkeys(WITHOUT, False))
    before, rows, alone = torch.get_num_threads(), [], []
    try:
        for threads in THREADS:
            torch.set_num_threads(threads)
            for batch in BATCHES:
                mesh, peer, joints = sides(ours, theirs, batch)
                agree(mesh, peer)
                for what in mesh:
                    mine, other = paired(mesh[what], peer[what], options.repeats)
                    rows.append([f"{threads}", f"{batch}", what, ms(mine, batch), ms(other, batch), ratio(other, mine)])
            for what in mesh:
                mine, other = paired(mesh[what], joints[what], options.repeats)
                other = [seconds / ALONE for seconds in other]
                alone.append([f"{threads}", f"{batch}", what, ms(mine, batch), ms(other, batch), ratio(mine, other)])
    finally:
        torch.set_num_threads(before)
    head = ["threads", "bodies", "what", "ours, ms", "smplx, ms", "ours is faster by"]
    joints_head = [*head[:3], "mesh, ms", "joints alone, ms", "joints are cheaper by"]
    note = "Vertices agree within 1e-5 m, gradients of betas and pose within 1e-5 of the largest. "
    note += f"Load average {os.getloadavg()[1]:.1f} on {os.cpu_count()} cores: on busy ones two threads tell little."
    return f"{table(head, rows)}\n\n{note}\n\n{table(joints_head, alone)}"


def synthetic() -> SMPL:
    g = torch.Generator().manual_seed(0)
    body = SMPL(SMPLConfig()).eval()
    V, J = body.weights.shape
    for name, scale in {"v_template": 0.3, "shapedirs": 0.01, "posedirs": 0.003}.items():
        buffer = body.get_buffer(name)
        buffer.copy_(scale * torch.randn(buffer.shape, generator=g))
    near = torch.rand(V, J, generator=g).topk(4).indices
    body.weights.scatter_(1, near, torch.rand(V, 4, generator=g).softmax(1))
    some = torch.rand(J, V, generator=g).topk(32).indices
    body.J_regressor.scatter_(1, some, torch.rand(J, 32, generator=g).softmax(1))
    body.faces.copy_(torch.randint(V, body.faces.shape, generator=g))
    return body


# Parameters of its own, which smplx would otherwise make and, for one, add.
WITHOUT = ("create_betas", "create_body_pose", "create_global_orient", "create_transl")


def published(body: SMPL) -> types.SimpleNamespace:
    """The entries of a published file."""
    arrays = {name: buffer.numpy() for name, buffer in body.named_buffers()}
    arrays |= {"posedirs": body.dense_posedirs().numpy(), "f": arrays["faces"]}
    parents = body.config.parents
    return types.SimpleNamespace(**arrays, kintree_table=np.array([parents, range(len(parents))]))


def sides(ours: SMPL, theirs, batch: int) -> tuple[dict, dict, dict]:
    """What is timed, by name: our mesh, smplx's, our joints."""
    g = torch.Generator().manual_seed(1)
    betas = torch.randn(batch, ours.config.betas, generator=g)
    pose = 0.4 * torch.randn(batch, 3 * len(ours.config.parents), generator=g)

    def both(of, again: int = calls(batch)) -> dict:
        """Forward, and with it the gradients of a random linear functional of the outcome."""
        with torch.no_grad():
            weight = torch.randn(of(betas, pose).shape, generator=torch.Generator().manual_seed(2))
        leaves = (betas.clone().requires_grad_(), pose.clone().requires_grad_())

        def forward() -> Tensor:
            with torch.no_grad():
                for _ in range(again):
                    out = of(betas, pose)
            return out

        def backward() -> tuple[Tensor, ...]:
            for _ in range(again):
                out = torch.autograd.grad(of(*leaves), leaves, weight)
            return out

        return {"forward": forward, "forward and backward": backward}

    return (
        both(lambda betas, pose: ours(betas, pose).vertices),
        both(lambda betas, pose: theirs(betas=betas, global_orient=pose[:, :3], body_pose=pose[:, 3:]).vertices),
        both(ours.keypoints, ALONE * calls(batch)),
    )


def agree(mesh: dict, peer: dict) -> None:
    off = (mesh["forward"]() - peer["forward"]()).abs().max()
    assert off < 1e-5, f"vertices differ by {off} m"
    for ours, theirs in zip(mesh["forward and backward"](), peer["forward and backward"](), strict=True):
        off = (ours - theirs).abs().max() / theirs.abs().max()
        assert off < 1e-5, f"gradients differ by {off} of the largest"


def calls(batch: int) -> int:
    return max(1, ENOUGH // batch)


def ms(seconds: list[float], batch: int) -> str:
    """Milliseconds of one call."""
    return f"{1e3 * median(seconds) / calls(batch):.2f}"
