"""smpl-open: the parts of SMPL, learned from bodies that anyone may use.

The official body is PCA over scans behind a licence. Here the same parts are learned from two thousand adults of Anny
(CC0), posed by CMU's motion capture (free): template and shape directions, joint regressor, and pose blend shapes whose
target is an elastic solid that keeps its volume. Skinning weights are Anny's, summed onto 24 joints.
"""

import dataclasses
from functools import cache
from statistics import stdev

import torch
from torch import Tensor

from genlab.data import mocap
from genlab.evaluate import Job
from genlab.figures import Metric
from genlab.models.body import SMPL, SMPLConfig
from genlab.models.body.joint_sets import LANDMARKS, PARENTS
from genlab.names import GenlabError, require
from genlab.recipes import _body_pictures, _elastic, _pose_blend
from genlab.recipes import _fitting as fitting
from genlab.recipes._smpl import joint_regressor, shape_directions, shape_of
from genlab.train import Recipe

PEOPLE = 2_000  # bodies to learn from; 10 directions are as good from 1,000
TAUGHT = 22  # twice so many of them teach how flesh bends, in 12 poses each
UNSEEN = 200  # bodies to measure on, of another seed
BENT, POSES = 5, 20  # of those, how many are bent, and in how many poses each
EDGES = tuple(
    mm / 1000 for mm in range(40, 47)
)  # folds of one solid differ by millimetres from another's: seven are asked
# key of _pose_blend.compare, name, unit, what is good, settings, headline, note
BENDING = (
    ("volume_percent", "volume_change", "%", "", {}, True, "mean change from the rest pose; spread: over people"),
    ("volume_skinning_percent", "volume_change", "%", "", {"pose blend": "off"}, False, ""),
    ("volume_flesh_percent", "volume_change", "%", "", {"of": "the elastic target"}, False, ""),
    ("volume_abs_percent", "volume_change", "%", "lower", {"mean of": "its size"}, False, ""),
    (
        "residual_less_percent",
        "residual_mended",
        "%",
        "higher",
        {},
        True,
        "by how much the pose blend shapes lower the root mean square distance of vertices from the elastic target, "
        "which is the mean of seven solids, cut into other tetrahedra, as in learning; people and poses are unseen",
    ),
    ("residual_mm", "residual", "mm", "lower", {}, False, "root mean square distance from the elastic target"),
    ("residual_skinning_mm", "residual", "mm", "lower", {"pose blend": "off"}, False, ""),
    ("excess_worst_mm", "excess", "mm", "lower", {}, False, "how much farther off the worst vertex is than without"),
)


def fit(recipe: Recipe) -> SMPL:
    from genlab.data import anny_bodies

    rig = anny_bodies.load()
    vertices, joints = rig.sample(PEOPLE, seed=recipe.seed)
    template, shapedirs, betas = shape_directions(vertices, recipe.config.betas)
    regressor = joint_regressor(joints, vertices, rig.weights, PARENTS)
    poses = mocap.poses(mocap.training()["train"], use="training", apart=0.35, rest=regressor @ template)
    skin = rig.weights, PARENTS
    # who is bent: half are as people are, half as unlike as they get, since one P serves every girth
    usual = torch.randperm(PEOPLE, generator=torch.Generator().manual_seed(recipe.seed))[:TAUGHT].tolist()
    bodies = [*_pose_blend.apart(betas, TAUGHT), *usual]
    how = {"bending": recipe.config.bending, "progress": _told("flesh")}
    solids = fleshes(template, rig.faces, *skin)
    posedirs, bends = _pose_blend.learn(vertices[bodies], joints[bodies], *skin, poses, fleshes=solids, **how)
    config = dataclasses.replace(recipe.config, vertices=len(template), faces=len(rig.faces))
    body = SMPL(config)
    points, shares = zip(*(rig.landmarks[name] for name in config.landmarks), strict=True)
    state = {
        "v_template": template,
        "shapedirs": shapedirs,
        "posedirs": posedirs.half(),  # half precision: at 5 cm it rounds by 0.015 mm
        "J_regressor": regressor,
        "weights": rig.weights,
        "faces": rig.faces.int(),
        "bends": bends,
        "landmark_vertices": torch.stack(points).int(),
        "landmark_weights": torch.stack(shares),
    }
    body.load_state_dict(state, strict=True, assign=True)
    return body


def fleshes(template: Tensor, faces: Tensor, weights: Tensor, parents: tuple[int, ...]) -> list[_elastic.Flesh]:
    """The mean body's, cut into tetrahedra of several sizes."""
    solids = (_elastic.tetrahedra(template, faces, edge) for edge in EDGES)
    return [_elastic.Flesh(template, faces, weights, parents, solid) for solid in solids]


def _told(what: str):
    """A progress bar: each solve takes a second or two."""
    bar = require("tqdm", extra="train").tqdm(desc=what, unit="pose", leave=False)

    def progress(done: int, of: int) -> None:
        bar.total = of
        bar.update(done - bar.n)

    return progress


# -- measuring ---------------------------------------------------------------------------------------------------------


def evaluate(body: SMPL, samples=None):
    """On people and on captured poses that the fit has not seen."""
    n = samples or UNSEEN

    if n < BENT:
        raise GenlabError(f"at least {BENT} samples: so many people are bent")

    def people() -> tuple[Tensor, Tensor]:
        from genlab.data import anny_bodies

        return anny_bodies.load().sample(n, seed=1_000)

    def shape() -> list[Metric]:
        vertices, joints = people()
        betas = shape_of(vertices, body.v_template, body.shapedirs)
        near = body.v_template + torch.einsum("nb,vcb->nvc", betas, body.shapedirs)
        off = 1000 * (near - vertices).norm(dim=-1).mean(dim=1)
        mean = 1000 * (body.v_template - vertices).norm(dim=-1).mean(dim=1)
        missed = 1000 * (body.J_regressor @ near - joints).norm(dim=-1)
        common = {"unit": "mm", "better": "lower", "samples": n, "dataset": "Anny, adults of another seed"}
        spread = "spread: standard deviation over people"
        note = f"distance of vertices from the nearest body of {body.config.betas} betas; {spread}"
        return [
            Metric("shape_error", off.mean().item(), off.std().item(), headline=True, note=note, **common),
            Metric("shape_error", mean.mean().item(), mean.std().item(), settings={"betas": 0}, **common),
            Metric(
                "joint_error",
                missed.mean().item(),
                missed.mean(dim=1).std().item(),
                headline=True,
                note=f"distance of regressed joints on those nearest bodies from Anny's own; {spread}",
                **common,
            ),
            Metric("joint_error", missed.mean(dim=0).max().item(), settings={"joint": "the worst"}, **common),
        ]

    @cache
    def solids() -> list[_elastic.Flesh]:
        return fleshes(body.v_template, body.faces.long(), body.weights, PARENTS)

    def bending(data: str, name: str) -> list[Metric]:
        vertices, joints = (x[:BENT] for x in people())
        poses = mocap.poses(
            mocap.measuring()[data], use="measuring", apart=0.2, rest=body.J_regressor @ body.v_template
        )
        faces, *skin = body.faces.long(), body.weights, PARENTS
        pairs, targets = [(i, j) for i in range(BENT) for j in range(POSES)], []
        for edge, flesh in zip(EDGES, solids(), strict=True):
            told = _told(f"flesh, {data}, edges of {1000 * edge:.0f} mm")
            *found, target = _pose_blend.solve(vertices, joints, *skin, poses, pairs, [flesh], told)
            targets.append(target)
        found = (*found, torch.stack(targets).mean(dim=0))
        learned = (faces, *skin, body.posedirs.float(), body.bends.long())
        every = _pose_blend.compare(found, *learned)
        each = [_pose_blend.compare([x[POSES * i : POSES * (i + 1)] for x in found], *learned) for i in range(BENT)]
        return [
            Metric(
                figure,
                every[key],
                stdev(one[key] for one in each),
                unit,
                better,
                len(pairs),
                dataset=f"{name}, {BENT} people unseen",
                split="test",
                settings=settings,
                headline=headline and data == "cmu",
                note=note,
            )
            for key, figure, unit, better, settings, headline, note in BENDING
        ]

    yield Job("shape", shape)
    for data, name in fitting.DATA.items():
        yield Job(f"bending, {data}", lambda data=data, name=name: bending(data, name))


@torch.no_grad()
def golden(body: SMPL) -> dict[str, Tensor]:
    """Three bodies in random poses: every twentieth vertex, all joints."""
    generator = torch.Generator().manual_seed(0)
    betas, pose = torch.randn(3, 10, generator=generator), 0.3 * torch.randn(3, 24, 3, generator=generator)
    out = body(betas, pose)
    return {"betas": betas, "pose": pose, "vertices": out.vertices[:, ::20].contiguous(), "joints": out.joints}


RECIPE = Recipe(
    name="smpl-open",
    summary="A human body in SMPL's form with free weights: shape, joints and bending learned, skinning from Anny.",
    model=SMPL,
    config=SMPLConfig(vertices=13_348, faces=26_692, betas=10, bending=4, landmarks=LANDMARKS, support=8),
    fit=fit,
    evaluate=evaluate,
    golden=golden,
    samples=_body_pictures.card,
    source="Bodies from [Anny](https://github.com/naver/anny), whose meshes are MakeHuman's (CC0); poses from "
    "[CMU's motion capture](http://mocap.cs.cmu.edu). Measured on Bandai-Namco's motion data too (CC BY-NC 4.0, so "
    "never learned from).",
    intended_use="Learning and teaching what SMPL is; research and products that need a body in its form with free "
    "weights; fitting to keypoints (lgd-body).",
    limits="An artist's shapes, not scans: MakeHuman's, in proportions after the WHO's tables, so a real person is met "
    "less well than by the official body. Adults only. No hands, no face: neither has joints of its own. Its betas are "
    "not those of other bodies. Joints are signed sums of vertices: right for bodies of its own shape space, not for "
    "finding joints in noisy or foreign meshes. Bending follows an elastic solid without bones, muscles and contact: "
    "skin may pass through itself in tight folds, and arms far above the shoulders are rare in what it was bent in. "
    + mocap.CMU.credit,
    snippet="""import torch
import genlab

body = genlab.from_pretrained("smpl-open")
betas, pose = torch.tensor([[2.0, -1.0]]), torch.zeros(1, 24, 3)
pose[0, 16, 2] = -1.2  # the left shoulder, about the axis ahead: the arm comes down
vertices, joints = body(betas, pose)  # (1, 13348, 3) and (1, 24, 3), metres
body.save_npz("smpl-open.npz")  # for tools that read SMPL's own files""",
)
