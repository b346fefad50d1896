"""What the card of a body shows: its shape directions, and what its pose blend shapes mend."""

import numpy as np
import torch
from torch import Tensor

from genlab import viz
from genlab.core import Model
from genlab.models.body.joint_sets import JOINTS

SIZE = (240, 180)
FAR = 3.0  # standard deviations: one body in four hundred is so far out
ARMS_DOWN = {"left_shoulder": (0, 0, -65), "right_shoulder": (0, 0, 65)}  # so that bodies are shown larger
BENT = (  # of the left: joint, rotation vector in degrees, yaw and pitch of the camera, half of what it sees (metres)
    ("left_elbow", (0, -125, 0), 25, 45, 0.22),
    ("left_knee", (125, 0, 0), 70, 5, 0.26),
    ("left_shoulder", (0, 0, 70), 10, 5, 0.3),
)


def card(body: Model) -> Tensor:
    """The template, then the first five shape directions, three standard deviations down (above) and up (below). Last
    row: elbow, knee and shoulder, each by skinning alone, then with the pose blend shapes."""
    still = torch.zeros(1, len(body.config.parents), 3)
    mean, far = torch.zeros(1, body.config.betas), FAR * torch.eye(body.config.betas)[:5]
    bodies = body(torch.cat([mean, -far, far]), _turned(still, ARMS_DOWN)).vertices
    box = torch.stack([bodies.amin(dim=(0, 1)), bodies.amax(dim=(0, 1))])
    pictures = [viz.mesh_picture(v, body.faces, size=SIZE, yaw=20, box=box, samples=3) for v in bodies]
    pictures.insert(6, viz.mesh_picture(bodies[0], body.faces, size=SIZE, yaw=110, box=box, samples=3))
    for name, degrees, yaw, pitch, half in BENT:
        for blend in (False, True):
            out = body(mean, _turned(still, {name: degrees}), pose_blend=blend)
            joint = out.joints[0, JOINTS.index(name)]
            look = {
                "size": SIZE,
                "yaw": yaw,
                "pitch": pitch,
                "samples": 3,
                "box": torch.stack([joint - half, joint + half]),
            }
            pictures.append(viz.mesh_picture(out.vertices[0], body.faces, **look))
    return torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2).unflatten(0, (3, 6)) / 255


def _turned(pose: Tensor, degrees: dict[str, tuple[float, float, float]]) -> Tensor:
    pose = pose.clone()
    for name, turn in degrees.items():
        pose[0, JOINTS.index(name)] = torch.deg2rad(torch.tensor(turn, dtype=pose.dtype))
    return pose
