"""smpl-open-low: smpl-open with a tenth of its vertices, for whatever has to be quick: tests, sketches, collisions.

Nothing is learned anew, so betas and pose mean what they mean there. Coarse corners are fitted to the skin, and with
them the shape directions; skinning weights and pose blend shapes are those of the skin where the corners are. Joints
and landmarks are regressed from the corners to be where the full body has them.
"""

import dataclasses
import math

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from genlab import viz
from genlab.data import mocap, motions
from genlab.evaluate import Job
from genlab.figures import Metric
from genlab.models.body import SMPL, SMPLConfig
from genlab.models.body.joint_sets import LANDMARKS, PARENTS
from genlab.recipes._low_poly import coarse, least_squares, nearest
from genlab.recipes._pose_blend import volumes
from genlab.recipes._smpl import joint_regressor
from genlab.train import Recipe

FULL = "smpl-open"
SKINNED = 6  # joints that a vertex follows at most, as in the full body
PEOPLE = 200  # to regress joints on; they vary along ten directions, so more would say nothing new
# With the full body's ridge, joints are up to 7 mm off, with this one 3. It may be low: there is nothing to overfit to,
# as these people are sums of the shape directions exactly.
REGRESSOR = {"near": 200, "support": 60, "components": 10, "ridge": 1e-6}
AROUND = 12  # corners nearest to a landmark that may carry it; more reach to what moves otherwise
UNSEEN = 200  # people to measure on


def fit(recipe: Recipe) -> SMPL:
    full, config = SMPL.from_pretrained(FULL), recipe.config
    skin, faces = full.v_template, full.faces.long()
    x, triangles = coarse(skin, faces, config.faces)
    moved = least_squares(x, triangles, skin, faces)
    template, shapedirs = moved(skin), moved(full.shapedirs[..., : config.betas])
    on_skin = nearest(template, skin, faces).float()
    weights = _largest(on_skin @ full.weights, SKINNED)
    dense = on_skin @ full.dense_posedirs().flatten(1)
    posedirs, bends = _strongest(dense.unflatten(1, (3, -1, 9)), config.bending)

    betas = torch.randn(PEOPLE, config.betas, generator=torch.Generator().manual_seed(recipe.seed))
    rest = torch.zeros(1, len(PARENTS), 3)
    vertices = template + torch.einsum("vcn,bn->bvc", shapedirs, betas)
    joints = full(betas, rest).joints
    landmarks = full.keypoints(betas, rest, joints=config.landmarks)
    anywhere = torch.ones(len(template), landmarks.shape[1])  # a landmark's vertices need not follow some joint
    nearby = REGRESSOR | {"near": AROUND, "support": config.support}
    places = joint_regressor(landmarks, vertices, anywhere, (-1,) * landmarks.shape[1], **nearby)
    landmark_vertices = (places != 0).float().topk(config.support).indices

    body = SMPL(dataclasses.replace(config, vertices=len(template), faces=len(triangles)))
    state = {
        "v_template": template,
        "shapedirs": shapedirs,
        "posedirs": posedirs.half(),
        "J_regressor": joint_regressor(joints, vertices, weights, PARENTS, **REGRESSOR),
        "weights": weights,
        "faces": triangles.int(),
        "bends": bends,
        "landmark_vertices": landmark_vertices.int(),
        "landmark_weights": places.gather(1, landmark_vertices),
    }
    body.load_state_dict(state, strict=True, assign=True)
    return body


def _largest(weights: Float[Tensor, "V J"], count: int) -> Float[Tensor, "V J"]:
    """The largest few of a vertex's weights, made to sum to one."""
    kept = weights.topk(count)
    weights = torch.zeros_like(weights).scatter(1, kept.indices, kept.values)
    return weights / weights.sum(dim=1, keepdim=True)


def _strongest(posedirs: Float[Tensor, "V 3 J 9"], count: int) -> tuple[Float[Tensor, "V 3 K 9"], Int[Tensor, "V K"]]:
    """The pose blend shapes of the few joints that bend a vertex most, and which those are."""
    bends = posedirs.norm(dim=(1, 3)).topk(count).indices
    return posedirs.take_along_dim(bends[:, None, :, None], dim=2), bends.to(torch.uint8)


# -- measuring ---------------------------------------------------------------------------------------------------------

NOTES = {
    "volume_change": "volume against the full body's",
    "surface_distance": "distance of the full body's vertices from those places on the triangles that are nearest at "
    "rest: in a fold, the true distance is less",
    "joint_distance": "distance of the 24 joints from the full body's; spreads are over people",
    "landmark_distance": "the same for nose, eyes, ears, toes and heels",
}


def evaluate(body: SMPL, samples=None):
    """Beside the full body with the same numbers: random shapes, each in a pose of its own."""
    n = samples or UNSEEN

    def beside(poses: Tensor, dataset: str, split: str = "", headline: bool = False) -> list[Metric]:
        generator = torch.Generator().manual_seed(1_000)
        betas = torch.randn(n, body.config.betas, generator=generator)
        found = apart(body, betas, poses[torch.randint(len(poses), (n,), generator=generator)])
        common = {"samples": n, "dataset": dataset, "split": split}
        results = []
        for name, each in found.items():
            mean, note = each.mean(dim=1), NOTES[name]
            kind = {"unit": "%"} if name == "volume_change" else {"unit": "mm", "better": "lower"}
            kind["headline"] = headline and name != "landmark_distance"
            spread = mean.std().item() if n > 1 else None
            results.append(Metric(name, mean.mean().item(), spread, note=note, **kind, **common))
            if name != "volume_change":
                shares = {"the worst of all": 1.0, "worse than 99 in 100": 0.99}
                values = each.flatten().sort().values
                for point, share in shares.items():
                    value = values[math.ceil(share * len(values)) - 1].item()
                    results.append(
                        Metric(name, value, settings={"point": point}, **kind | {"headline": False}, **common)
                    )
        return results

    def captured() -> list[Metric]:
        poses = mocap.poses(
            mocap.measuring()["cmu"], use="measuring", apart=0.2, rest=body.J_regressor @ body.v_template
        )
        return beside(poses, "CMU, performers held out", "test", headline=True)

    yield Job("rest", lambda: beside(torch.zeros(1, len(PARENTS), 3), "the rest pose"))
    yield Job("made-up motions", lambda: beside(torch.cat([*map(motions.clip, motions.MOTIONS)]), "made-up motions"))
    yield Job("cmu", captured)


def apart(body: SMPL, betas: Float[Tensor, "n B"], poses: Float[Tensor, "n J 3"]) -> dict[str, Float[Tensor, "n P"]]:
    """How far each body is from the full one of the same numbers: at P points, millimetres; in volume, percent."""
    full = SMPL.from_pretrained(FULL)
    faces, full_faces = body.faces.long(), full.faces.long()
    places = nearest(full.v_template, body.v_template, faces).float()
    found: dict[str, list[Tensor]] = {name: [] for name in NOTES}
    for person in zip(betas.split(1), poses.split(1), strict=True):  # one by one: a full body and its blend are large
        (v, J), (full_v, full_J) = body(*person), full(*person)
        marks, full_marks = (one.keypoints(*person, joints=LANDMARKS) for one in (body, full))
        found["volume_change"].append(100 * (volumes(v, faces) / volumes(full_v, full_faces) - 1))
        found["surface_distance"].append(1000 * (places @ v[0] - full_v[0]).norm(dim=1))
        found["joint_distance"].append(1000 * (J - full_J)[0].norm(dim=1))
        found["landmark_distance"].append(1000 * (marks - full_marks)[0].norm(dim=1))
    return {name: torch.stack(each) for name, each in found.items()}


@torch.no_grad()
def golden(body: SMPL) -> dict[str, Tensor]:
    """Three bodies in random poses: every fifth vertex, all joints."""
    generator = torch.Generator().manual_seed(0)
    betas, pose = torch.randn(3, 10, generator=generator), 0.3 * torch.randn(3, 24, 3, generator=generator)
    out = body(betas, pose)
    return {"betas": betas, "pose": pose, "vertices": out.vertices[:, ::5].contiguous(), "joints": out.joints}


@torch.no_grad()
def samples(body: SMPL) -> Tensor:
    """Above, smpl-open; below, the same five people by few triangles, each shown flat."""
    full = SMPL.from_pretrained(FULL)
    moments = (("walk", 0.1), ("walk", 0.6), ("stretch", 3.0), ("squat", 1.5), ("wave", 2.0))  # seconds
    pose = torch.cat([motions.MOTIONS[name](torch.tensor([t])) for name, t in moments])
    betas = torch.randn(5, 10, generator=torch.Generator().manual_seed(5))
    high, low = full(betas, pose).vertices, body(betas, pose).vertices
    corners = low[:, body.faces.long()].flatten(1, 2)  # apart, or shading would smooth over the edges
    pictures = []
    for skins, faces in ((high, full.faces), (corners, torch.arange(corners.shape[1]).unflatten(0, (-1, 3)))):
        for v, whole in zip(skins, high, strict=True):
            middle, half = (whole.amin(dim=0) + whole.amax(dim=0)) / 2, torch.tensor([0.55, 1.0, 0.55])
            box = torch.stack([middle - half, middle + half])
            pictures.append(viz.mesh_picture(v, faces, size=(360, 260), yaw=25, box=box, samples=3))
    return torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2).unflatten(0, (2, 5)) / 255


RECIPE = Recipe(
    name="smpl-open-low",
    summary="smpl-open by 1,202 vertices: the same betas and poses, a tenth of the mesh.",
    model=SMPL,
    config=SMPLConfig(vertices=1_202, faces=2_400, betas=10, bending=4, landmarks=LANDMARKS, support=8),
    fit=fit,
    evaluate=evaluate,
    golden=golden,
    samples=samples,
    source="smpl-open alone, and so bodies from [Anny](https://github.com/naver/anny) (CC0) and poses from "
    "[CMU's motion capture](http://mocap.cs.cmu.edu), in others of which it is measured.",
    intended_use="Whatever takes smpl-open's betas and pose and has to be quick or small: tests, sketches, collisions, "
    "many bodies at once.",
    limits="A sketch of the full body: fingers, toes and ears are a few triangles each, and in folds (groin, armpit, "
    "elbow, under a breast) skin may be centimetres from where the full body has it. All limits of smpl-open are its "
    "own too; and it belongs to the smpl-open that it was made from. " + mocap.CMU.credit,
    snippet="""import torch
import genlab

low, full = genlab.from_pretrained("smpl-open-low"), genlab.from_pretrained("smpl-open")
betas, pose = torch.tensor([[2.0, -1.0]]), torch.zeros(1, 24, 3)
pose[0, 16, 2] = -1.2  # the left shoulder, about the axis ahead: the arm comes down
vertices, joints = low(betas, pose)  # (1, 1202, 3) and (1, 24, 3), metres
print((joints - full(betas, pose).joints).norm(dim=-1).max())  # 0.001 or so: the same person""",
)
