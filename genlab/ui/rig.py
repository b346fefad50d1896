"""What lets a mesh of the viewer move in the page itself: its joints, and how it follows them. See viewer_rig.js."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from genlab.viz import to_numpy


@dataclass(frozen=True)
class Rig:
    """A tree of J joints, parents before children, under a mesh of V vertices with K directions.

    joints (J, 3) and how each direction moves them, moves (K, J, 3); weights (V, J). What bends the mesh before
    skinning may come later, since it is large: bending (V, 3, S, 9), directions for the nine numbers of R - I of S
    joints of each vertex, which bends (V, S) names.
    """

    parents: Sequence[int]
    joints: Any
    moves: Any
    weights: Any
    bends: Any = None
    bending: Any = None

    @classmethod
    def of(cls, body, bending: bool = True, betas: int = 10) -> "Rig":
        """The rig of a genlab.models.body.SMPL, for its first betas: where it has fewer, the others move nothing."""
        regressor, shape = to_numpy(body.J_regressor), to_numpy(body.shapedirs)[..., :betas]
        shape = np.pad(shape, ((0, 0), (0, 0), (0, betas - shape.shape[2])))
        rig = {"joints": regressor @ to_numpy(body.v_template), "moves": np.einsum("jv,vck->kjc", regressor, shape)}
        if bending:
            V, _, K, _ = body.posedirs.shape
            all_joints = np.broadcast_to(np.arange(K, dtype=np.uint8), (V, K))
            bends = to_numpy(body.bends) if hasattr(body, "bends") else all_joints
            rig |= {"bends": bends + 1, "bending": to_numpy(body.posedirs)}  # the root bends nothing
        return cls(parents=list(body.config.parents), weights=to_numpy(body.weights), **rig)

    def packed(self, pack) -> dict[str, Any]:
        """For the page; `pack` is the viewer's."""
        order = np.argsort(-self.weights, axis=1, kind="stable")
        slots = int((self.weights > 0.5 / 65535).sum(1).max())
        follow = order[:, :slots]
        share = np.round(np.take_along_axis(self.weights, follow, 1).clip(0, 1) * 65535)
        return {
            "parents": [int(parent) for parent in self.parents],
            "joints": to_numpy(self.joints).round(6).ravel().tolist(),
            "moves": [move.round(6).ravel().tolist() for move in to_numpy(self.moves)],
            "follow": pack(follow.T[..., None].astype(np.uint8)),
            "share": pack(share.T[..., None].astype(np.uint16)),
            **(self.packed_bending(pack) if self.bending is not None else {}),
        }

    def packed_bending(self, pack) -> dict[str, Any]:
        """The large part; a slot (of one joint a vertex) has one scale."""
        x = np.moveaxis(to_numpy(self.bending).astype(np.float32), (2, 3), (0, 2)).reshape(-1, len(self.weights), 27)
        scale = np.maximum(np.abs(x).max(axis=(1, 2)), 1e-12) / 32767
        whole = np.round(x / scale[:, None, None]).astype(np.int16)
        bends = to_numpy(self.bends).T[..., None].astype(np.uint8)
        return {"bends": pack(bends), "bending": {**pack(whole), "scale": scale.tolist()}}
