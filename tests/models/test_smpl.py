"""SMPL: its law term by term in plain loops, its gradients against finite differences, files, and an independent
implementation with the same numbers. It is fitted in closed form: buffers, no loss."""

import copy
import json
import pickle
import time
import types

import numpy as np
import pytest
import torch
from contract import keeps_to_its_config, saves_and_loads

import genlab
from genlab.core import law_source
from genlab.models.body import JOINT_SETS, SMPL, SMPLConfig
from genlab.models.body.joint_sets import JOINTS, LANDMARKS, PARENTS
from genlab.names import GenlabError, LoadError
from genlab.ops.rotations import axis_angle_to_matrix, matrix_to_rotation_6d

TREE = (-1, 0, 1, 1, 0, 4)
SIZES = {"SMPL": (24, 10), "MANO": (16, 10), "SMPL-H": (52, 16)}  # joints and betas


def random_body(seed: int = 0, dtype=torch.float64, **config) -> SMPL:
    """Random numbers for everything; weights and regressors are means."""
    g = torch.Generator().manual_seed(seed)
    config = {"vertices": 10, "faces": 4, "betas": 3, "parents": TREE, "bending": 5, **config}
    body = SMPL(SMPLConfig(**config)).eval().double()
    for name, buffer in body.named_buffers():
        if name == "bends":  # different joints for each vertex
            order = torch.rand(len(buffer), len(body.config.parents) - 1, generator=g).argsort(1)
            buffer.copy_(order[:, : buffer.shape[1]])
        elif not buffer.is_floating_point():
            buffer.copy_(torch.randint(body.config.vertices, buffer.shape, generator=g))
        elif name in ("weights", "J_regressor", "landmark_weights"):
            buffer.copy_(torch.rand(buffer.shape, generator=g))
            buffer /= buffer.sum(1, keepdim=True)
        else:
            buffer.copy_(torch.randn(buffer.shape, generator=g))
    return body.to(dtype)


def with_landmarks(**config) -> SMPL:
    return random_body(**{"parents": PARENTS, "bending": 23, "landmarks": LANDMARKS, "support": 3, **config})


def numbers(body: SMPL, B: int = 2, seed: int = 1) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Betas, a pose as axis-angle, and a translation."""
    g = torch.Generator().manual_seed(seed)
    shapes = (body.config.betas,), (len(body.config.parents), 3), (3,)
    return tuple(torch.randn(B, *shape, generator=g, dtype=torch.float64).to(body.dtype) for shape in shapes)


def close(a: torch.Tensor, b: torch.Tensor, atol: float = 1e-12) -> bool:
    return torch.allclose(a, b, rtol=0, atol=atol)


# -- the contract ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("config", [{}, {"bending": 2}, {"landmarks": ("nose",)}], ids=["dense", "sparse", "landmarks"])
def test_contract(tmp_path, config):
    body = random_body(dtype=torch.float32, **config)
    assert body.dtype == torch.float32 and body.device.type == "cpu" and not list(body.parameters())
    saves_and_loads(body, tmp_path)
    keeps_to_its_config(body)
    with pytest.raises(NotImplementedError):
        body.loss({})


def test_the_law_shown_is_the_law_computed():
    assert "linear_blend_skinning" in law_source(SMPL)


# -- the law ---------------------------------------------------------------------------------------------------------


def by_hand(body: SMPL, beta, R, transl, shape_blend=True, pose_blend=True, skinning=True):
    """One body, vertex by vertex and joint by joint, on plain numbers. Returns vertices and joints."""
    c, P = body.config, body.dense_posedirs()
    T, weights = body.v_template.clone(), body.weights
    for v in range(c.vertices):
        for n in range(c.betas if shape_blend else 0):
            T[v] += beta[n] * body.shapedirs[v, :, n]
    J = torch.stack([sum(row[v] * T[v] for v in range(c.vertices)) for row in body.J_regressor])
    if pose_blend:
        for v in range(c.vertices):
            for k in range(1, len(c.parents)):
                T[v] += P[v, :, 9 * k - 9 : 9 * k] @ (R[k] - torch.eye(3)).flatten()
    if not skinning:
        return T + transl, J + transl
    world = []  # of each joint, 4 x 4
    for k, parent in enumerate(c.parents):
        own = torch.eye(4, dtype=T.dtype)
        own[:3, :3], own[:3, 3] = R[k], J[k] - (J[parent] if k else 0)
        world.append(world[parent] @ own if k else own)
    posed = torch.zeros_like(T)
    for v in range(c.vertices):
        for k, G in enumerate(world):
            posed[v] += weights[v, k] * (G[:3, :3] @ (T[v] - J[k]) + G[:3, 3])
    return posed + transl, torch.stack([G[:3, 3] for G in world]) + transl


BLENDS = [{}, {"shape_blend": False}, {"pose_blend": False}, {"skinning": False}]
BLENDS += [{"shape_blend": False, "pose_blend": False}, {"pose_blend": False, "skinning": False}]


@pytest.mark.parametrize("blends", BLENDS, ids=lambda blends: ", ".join(blends) or "all")
@pytest.mark.parametrize("tree", [TREE, (-1, 0, 0, 0, 2, 1)], ids=["branches", "out of order"])
def test_the_law_in_loops(tree, blends):
    body = random_body(parents=tree)
    betas, pose, transl = numbers(body)
    found = body(betas, pose, transl, **blends)
    for b, R in enumerate(axis_angle_to_matrix(pose)):
        vertices, joints = by_hand(body, betas[b], R, transl[b], **blends)
        assert close(found.vertices[b], vertices) and close(found.joints[b], joints)


def test_all_off_is_the_template_and_rest_is_the_shape():
    body = random_body()
    betas, pose, _ = numbers(body)
    nothing = body(betas, pose, shape_blend=False, pose_blend=False, skinning=False)
    assert close(nothing.vertices, body.v_template.expand(2, -1, -1))
    assert close(nothing.joints, (body.J_regressor @ body.v_template).expand(2, -1, -1))
    rest = body(betas, torch.zeros_like(pose))
    shaped = body.v_template + torch.einsum("bn,vcn->bvc", betas, body.shapedirs)
    assert close(rest.vertices, shaped) and close(rest.joints, body.J_regressor @ shaped)


def test_the_roots_rotation_bends_nothing_and_turns_all():
    """T(beta, theta) has no term for the root, so its rotation is one of the whole body about the root's joint."""
    body = random_body()
    betas, pose, _ = numbers(body)
    still = pose.clone()
    still[:, 0] = 0
    at = body(betas, still, skinning=False)
    assert close(body(betas, pose, skinning=False).vertices, at.vertices)
    turned, unturned = body(betas, pose), body(betas, still)
    R, pivot = axis_angle_to_matrix(pose[:, 0]), at.joints[:, :1]
    assert close(turned.vertices, (unturned.vertices - pivot) @ R.mT + pivot)
    assert close(turned.joints, (unturned.joints - pivot) @ R.mT + pivot)


def test_a_pose_in_any_notation_is_the_same_pose():
    body = random_body()
    betas, pose, transl = numbers(body)
    expected = body(betas, pose, transl)
    R = axis_angle_to_matrix(pose)
    for other in (pose.flatten(1), R.contiguous(), matrix_to_rotation_6d(R)):
        found = body(betas, other, transl)
        assert close(found.vertices, expected.vertices) and close(found.joints, expected.joints)


@pytest.mark.parametrize("bending", [0, 1, 3])
def test_a_few_bending_joints_are_the_dense_blend_with_zeros(bending):
    sparse = random_body(bending=bending)
    dense = random_body(bending=5)
    full = torch.zeros(10, 3, 5, 9, dtype=torch.float64)
    for v in range(10):
        for i in range(bending):
            full[v, :, sparse.bends[v, i].long()] = sparse.posedirs[v, :, i]
    for name, buffer in dense.named_buffers():
        buffer.copy_(full if name == "posedirs" else sparse.get_buffer(name))
    assert torch.equal(sparse.dense_posedirs(), full.flatten(2)) and (full != 0).sum() == 10 * 27 * bending
    assert close(sparse(*numbers(sparse)).vertices, dense(*numbers(dense)).vertices)


def test_fewer_betas_are_zeros():
    body = random_body()
    betas, pose, _ = numbers(body)
    padded = torch.cat([betas[:, :2], torch.zeros_like(betas[:, 2:])], dim=1)
    assert close(body(betas[:, :2], pose).vertices, body(padded, pose).vertices)
    assert close(body(betas[:, :0], pose).vertices, body(0 * betas, pose).vertices)
    assert close(body.keypoints(betas[:, :2], pose), body.keypoints(padded, pose))


@pytest.mark.parametrize("one", ["betas", "pose", "transl", "betas pose", "pose transl", "betas transl", ""])
@pytest.mark.parametrize("pose_blend", [True, False])
def test_one_for_all(one, pose_blend):
    body = with_landmarks(vertices=8)
    betas, pose, transl = (
        x[:1] if name in one else x for name, x in zip(("betas", "pose", "transl"), numbers(body, 3), strict=True)
    )
    each = [x.expand(3, *x.shape[1:]).contiguous() for x in (betas, pose, transl)]
    found, expected = body(betas, pose, transl, pose_blend=pose_blend), body(*each, pose_blend=pose_blend)
    assert close(found.vertices, expected.vertices) and close(found.joints, expected.joints)
    for joints in ("smpl", "openpose25"):
        assert close(body.keypoints(betas, pose, transl, joints), body.keypoints(*each, joints))


# -- keypoints -------------------------------------------------------------------------------------------------------


def test_keypoints_are_the_joints_and_the_landmarks_skinned():
    """Without the pose blend, a landmark is its weighted mean of vertices, though no vertex is computed."""
    body = with_landmarks()
    given = numbers(body)
    mesh = body(*given, pose_blend=False)
    assert close(body.keypoints(*given), mesh.joints) and close(body.keypoints(*given), body(*given).joints)
    marks = torch.einsum("ls,blsc->blc", body.landmark_weights, mesh.vertices[:, body.landmark_vertices.long()])
    assert close(body.keypoints(*given, joints=LANDMARKS), marks)
    points = dict(zip((*JOINTS, *LANDMARKS), torch.cat([mesh.joints, marks], dim=1).unbind(1), strict=True))
    points["mid_hip"] = (points["left_hip"] + points["right_hip"]) / 2
    points["mid_shoulder"] = (points["left_shoulder"] + points["right_shoulder"]) / 2
    for name, names in JOINT_SETS.items():
        assert close(body.keypoints(*given, joints=name), torch.stack([points[n] for n in names], dim=1))
    assert close(body.keypoints(*given, joints=["mid_hip", "head"])[:, 0], points["mid_hip"])


def test_the_sets_have_their_published_orders():
    coco, body_25, body_18 = (JOINT_SETS[name] for name in ("coco", "openpose25", "openpose18"))
    assert [len(JOINT_SETS[name]) for name in ("smpl", "coco", "openpose18", "openpose25")] == [24, 17, 18, 25]
    for names, places in (
        (JOINTS, {0: "pelvis", 4: "left_knee", 9: "spine3", 15: "head", 20: "left_wrist", 23: "right_hand"}),
        (coco, {0: "nose", 1: "left_eye", 4: "right_ear", 5: "left_shoulder", 10: "right_wrist", 16: "right_ankle"}),
        (body_25, {1: "mid_shoulder", 2: "right_shoulder", 7: "left_wrist", 8: "mid_hip", 11: "right_ankle"}),
        (body_25, {12: "left_hip", 15: "right_eye", 18: "left_ear", 19: "left_big_toe", 24: "right_heel"}),
        (body_18, {1: "mid_shoulder", 4: "right_wrist", 8: "right_hip", 13: "left_ankle", 14: "right_eye"}),
    ):
        assert {i: names[i] for i in places} == places


def test_what_a_body_lacks_is_told():
    body = random_body(parents=PARENTS, bending=23)
    given = numbers(body)
    assert body.keypoints(*given, joints=["mid_hip", "left_wrist"]).shape == (2, 2, 3)
    for joints in ("coco", "openpose18", "openpose25", ["pelvis", "nose"]):
        with pytest.raises(GenlabError, match="this body has no nose: it knows pelvis, .*'smpl' asks"):
            body.keypoints(*given, joints=joints)
    with pytest.raises(ValueError, match="joints is one of 'smpl', 'coco'"):
        body.keypoints(*given, joints="halpe")
    with pytest.raises(ValueError, match="joints are some of"):
        body.keypoints(*given, joints=["tail"])
    hand = random_body()  # of another tree, whose joints have none of these names
    assert hand.keypoints(*numbers(hand)).shape == (2, 6, 3)
    with pytest.raises(GenlabError, match="this body has no pelvis: it knows no names"):
        hand.keypoints(*numbers(hand), joints=["pelvis"])


def test_a_body_with_fingers_knows_the_names_that_it_shares():
    body = random_body(parents=(*PARENTS[:22], *[20] * 15, *[21] * 15), bending=51)
    given = numbers(body)
    assert close(body.keypoints(*given, joints=["right_wrist"])[:, 0], body(*given).joints[:, 21])
    with pytest.raises(GenlabError, match="this body has no left_hand"):
        body.keypoints(*given, joints=["left_hand"])


# -- gradients -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("scale", [0.0, 1e-4, 1.0])
@pytest.mark.parametrize("blends", BLENDS[:4], ids=lambda blends: ", ".join(blends) or "all")
def test_gradients_through_the_mesh(scale, blends):
    """Of vertices and joints with respect to shape, pose and place, at the zero rotation too."""
    body = random_body()
    betas, pose, transl = numbers(body)
    given = [x.requires_grad_() for x in (betas, scale * pose, transl)]
    assert torch.autograd.gradcheck(lambda *x: tuple(body(*x, **blends)), given)


@pytest.mark.parametrize("scale", [0.0, 1.0])
@pytest.mark.parametrize("tree", [TREE, (-1, 0, 0, 0, 2, 1)], ids=["branches", "out of order"])
def test_gradients_through_the_joints_alone(scale, tree):
    body = random_body(parents=tree)
    betas, pose, transl = numbers(body)
    assert torch.autograd.gradcheck(body.keypoints, [x.requires_grad_() for x in (betas, scale * pose, transl)])
    R = axis_angle_to_matrix(pose.detach()).contiguous().requires_grad_()
    assert torch.autograd.gradcheck(body.keypoints, (betas[:1].detach().requires_grad_(), R))


def test_gradients_through_the_landmarks():
    body = with_landmarks(vertices=8)
    given = [x.requires_grad_() for x in numbers(body, 1)]
    assert torch.autograd.gradcheck(lambda *x: body.keypoints(*x, joints=["nose", "mid_hip", "left_heel"]), given)


def test_one_shape_for_all_poses_has_the_sum_of_their_gradients():
    body = random_body()
    betas, pose, _ = numbers(body, 3)
    one = betas[:1].clone().requires_grad_()
    many = betas[:1].repeat(3, 1).requires_grad_()
    for path in (lambda b: body(b, pose).vertices, lambda b: body.keypoints(b, pose)):
        (expected,) = torch.autograd.grad(path(many).square().sum(), many)
        (found,) = torch.autograd.grad(path(one).square().sum(), one)
        assert close(found, expected.sum(0, keepdim=True), 1e-9)


def test_what_inference_asked_for_first_serves_gradients_later():
    body = with_landmarks(vertices=9)
    given = numbers(body)
    with torch.inference_mode():
        body(*given), body.keypoints(*given, joints="coco")
        made_there = random_body(seed=3)
        assert made_there(*numbers(made_there)).vertices.isfinite().all()
    pose = given[1].requires_grad_()
    (body(*given).vertices.sum() + body.keypoints(*given, joints="coco").sum()).backward()
    assert pose.grad.isfinite().all() and pose.grad.any()


# -- copies, dtypes, changes -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["v_template", "shapedirs", "posedirs", "J_regressor", "weights"])
def test_a_changed_buffer_changes_the_body(name):
    """What is prepared from the buffers follows them: changed in place, replaced, or loaded."""
    body = random_body()
    given = numbers(body)
    before, joints = body(*given).vertices, body.keypoints(*given)
    twin = copy.deepcopy(body)
    body.get_buffer(name).mul_(1.5)
    after = body(*given).vertices
    assert not close(before, after)
    assert close(body.keypoints(*given), body(*given).joints)
    assert close(twin(*given).vertices, before) and close(twin.keypoints(*given), joints)
    setattr(body, name, body.get_buffer(name) / 1.5)
    assert close(body(*given).vertices, before)
    twin.get_buffer(name).mul_(1.5)
    twin(*given)
    twin.load_state_dict(body.state_dict())
    assert close(twin(*given).vertices, before)


def test_buffers_that_come_to_lie_where_others_lay_are_seen():
    body = random_body(vertices=5_000)
    given = numbers(body)
    for _ in range(3):
        body(*given)
        for _ in range(2):  # the second may get the memory of the one before
            body.v_template = torch.randn(5_000, 3, dtype=torch.float64)
        rest = body(*given, shape_blend=False, pose_blend=False, skinning=False).vertices
        assert close(rest - given[2][:, None], body.v_template.expand(2, -1, -1))


@pytest.mark.parametrize(("dtype", "atol"), [(torch.float32, 1e-5), (torch.bfloat16, 0.3), (torch.float16, 0.04)])
def test_other_precisions(dtype, atol):
    body = with_landmarks()
    given = numbers(body)
    mesh, points = body(*given), body.keypoints(*given, joints="openpose25")
    other = copy.deepcopy(body).to(dtype)
    found, seen = other(*given), other.keypoints(*given, joints="openpose25")  # what it is given is converted
    assert {found.vertices.dtype, found.joints.dtype, seen.dtype} == {dtype} and other.faces.dtype == torch.int32
    scale = mesh.vertices.abs().max()
    for a, b in ((found.vertices, mesh.vertices), (found.joints, mesh.joints), (seen, points)):
        assert close(a.double() / scale, b / scale, atol)
    assert close(body(*given).vertices, mesh.vertices)
    assert close(other.to(torch.float64)(*given).vertices / scale, mesh.vertices / scale, atol)


def test_many_bodies_of_half_precision_are_finite():
    """The check for NaN must not overflow: the sum of these rotations' numbers is beyond half precision."""
    body = random_body(dtype=torch.float16)
    assert body(torch.zeros(1, 3), torch.zeros(8_000, 6, 3)).vertices.isfinite().all()


# -- what is refused -------------------------------------------------------------------------------------------------

NAN, INF = float("nan"), float("inf")


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"betas": torch.zeros(2, 4)}, r"betas are \(B, n\), n at most 3, not \(2, 4\)"),
        ({"betas": torch.zeros(3)}, r"betas are \(B, n\)"),
        ({"betas": torch.zeros(5, 3)}, "betas of 5, pose of 2, transl of 2 bodies"),
        ({"betas": torch.zeros(0, 3)}, "betas of 0, .*at least one"),
        ({"betas": torch.full((2, 3), NAN)}, "^betas holds NaN"),
        ({"betas": torch.tensor([[INF, 0, -INF]])}, "^betas holds NaN or infinity"),
        ({"pose": torch.zeros(2, 5, 3)}, r"pose is \(B, 6, 3\) or \(B, 18\) axis-angle, .* not \(2, 5, 3\)"),
        ({"pose": torch.zeros(2, 17)}, r"not \(2, 17\)"),
        ({"pose": torch.zeros(18)}, r"not \(18,\)"),
        ({"pose": torch.zeros(2, 6, 4)}, r"not \(2, 6, 4\)"),
        ({"pose": torch.zeros(2, 6, 3, 4)}, r"not \(2, 6, 3, 4\)"),
        ({"pose": torch.zeros(3, 6, 3)}, "pose of 3"),
        ({"pose": torch.full((2, 6, 3), NAN)}, "^pose holds NaN"),
        ({"pose": torch.full((2, 18), INF)}, "^pose holds NaN"),
        ({"pose": torch.full((2, 6, 6), NAN)}, "^pose holds NaN"),
        ({"pose": torch.full((2, 6, 3, 3), -INF)}, "^pose holds NaN"),
        ({"transl": torch.zeros(3)}, r"transl is \(B, 3\), not \(3,\)"),
        ({"transl": torch.zeros(2, 2)}, r"transl is \(B, 3\), not \(2, 2\)"),
        ({"transl": torch.zeros(4, 3)}, "transl of 4"),
        ({"transl": torch.full((1, 3), NAN)}, "^transl holds NaN"),
    ],
    ids=lambda value: "" if isinstance(value, str) else f"{next(iter(value))} {[*next(iter(value.values())).shape]}",
)
def test_what_makes_no_body_is_told(changed, says):
    body = random_body(dtype=torch.float32)
    given = {"betas": torch.zeros(2, 3), "pose": torch.zeros(2, 6, 3), "transl": torch.zeros(2, 3), **changed}
    for path in (body, body.keypoints):
        with pytest.raises(ValueError, match=says):
            path(**given)


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"parents": [-1, 2, 1]}, "parents are a tree"),
        ({"parents": [0, 0]}, "parents are a tree"),
        ({"parents": []}, "parents are a tree"),
        ({"parents": [-1]}, "two joints or more"),
        ({"parents": [-1, 0, 10**20]}, "parents"),
        ({"parents": [-1, 0.5]}, "parents"),
        ({"parents": "tree"}, "parents"),
        ({"bending": 6}, "bending is at most the 5 joints below the root"),
        ({"bending": -1}, "bending"),
        ({"vertices": 0}, "a body has vertices"),
        ({"vertices": -5}, "vertices"),
        ({"vertices": 10**12}, ""),
        ({"vertices": 11}, ""),
        ({"vertices": 2.5}, "vertices"),
        ({"faces": 0}, "faces"),
        ({"betas": 10**9}, ""),
        ({"support": 0}, "support"),
        ({"support": 10**15}, ""),
        ({"landmarks": ["nose", "nose"]}, "two landmarks have one name"),
        ({"landmarks": [1]}, "landmarks"),
        ({"landmarks": ["nose"] * 10**5}, ""),
        ({"parents": [-1, *range(10**5)]}, ""),
    ],
    ids=lambda value: str(value)[:40],
)
def test_a_hostile_config_is_a_load_error(tmp_path, changed, says):
    folder = random_body(dtype=torch.float32, landmarks=("nose",), support=2).save_pretrained(tmp_path / "body")
    file = folder / "config.json"
    data = json.loads(file.read_text())
    file.write_text(json.dumps(data | {"config": data["config"] | changed}))
    start = time.process_time()
    with pytest.raises(LoadError, match=says or None):
        genlab.from_pretrained(folder)
    assert time.process_time() - start < 2


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (torch.zeros(3, 3), "off 1 by up to 1$"),
        (1.02 * torch.eye(3), "off 1 by up to 0.04"),
        (torch.tensor([[1, 0.1, 0], [0, 1, 0], [0, 0, 1]]), "off 1 by up to 0.1"),
        (-torch.eye(3), "determinant of -1"),
        (torch.tensor([[1, -1, 1], [1, 1, 1], [1, 0, 1]]) * 1e38, "off 1 by up to inf"),
    ],
    ids=["nothing", "scaled", "sheared", "mirrored", "huge"],
)
def test_matrices_that_turn_nothing_are_told(wrong, says):
    body = random_body(dtype=torch.float32)
    betas, pose, _ = numbers(body)
    R = axis_angle_to_matrix(pose)
    R[1, 4] = wrong
    with pytest.raises(ValueError, match=f"^pose holds matrices that are no rotations: .*{says}"):
        body(betas, R)
    body(betas, R.requires_grad_())  # who learns them may be on the way


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.float16])
def test_rotations_of_any_precision_are_rotations(dtype):
    body = random_body(dtype=dtype)
    betas, pose, _ = numbers(body, B=50)
    exact = axis_angle_to_matrix(3 * pose.double())
    for R in (exact.to(dtype), axis_angle_to_matrix(pose)):
        assert body(betas, R).vertices.isfinite().all()
    with torch.inference_mode():
        body(betas, exact.to(dtype))


# -- other tools' files ----------------------------------------------------------------------------------------------


def official(J: int, B: int, V: int = 50) -> dict[str, np.ndarray]:
    """The arrays of a published file, with random numbers."""
    rng = np.random.default_rng(0)
    parents = [2**32 - 1, *(rng.integers(k) for k in range(1, J))]
    return {
        "v_template": rng.normal(size=(V, 3)),
        "shapedirs": rng.normal(size=(V, 3, B)),
        "posedirs": rng.normal(size=(V, 3, (J - 1) * 9)),
        "J_regressor": rng.dirichlet(np.ones(V), size=J),
        "weights": rng.dirichlet(np.ones(J), size=V),
        "kintree_table": np.stack([np.array(parents), np.arange(J)]).astype(np.uint32),
        "f": rng.integers(V, size=(2 * V - 4, 3)).astype(np.uint32),
    }


@pytest.mark.parametrize("suffix", [".npz", ".pkl"])
@pytest.mark.parametrize("model", SIZES)
def test_a_published_file_becomes_a_body_and_a_file_again(tmp_path, model, suffix):
    arrays, file = official(*SIZES[model]), tmp_path / f"model{suffix}"
    if suffix == ".npz":
        np.savez(file, **arrays)
    else:
        file.write_bytes(pickle.dumps({**arrays, "bs_type": "lrotmin"}, protocol=2))
    body = SMPL.from_file(file)
    J, B = SIZES[model]
    assert (len(body.config.parents), body.config.betas, body.config.bending) == (J, B, J - 1)
    assert body.dtype == torch.float32 and not body.training
    for key in ("v_template", "shapedirs", "J_regressor", "weights"):
        assert np.allclose(body.get_buffer(key).numpy(), arrays[key], rtol=0, atol=1e-6)
    assert np.allclose(body.dense_posedirs().numpy(), arrays["posedirs"], rtol=0, atol=1e-6)
    assert np.array_equal(body.faces.numpy(), arrays["f"])
    given = numbers(body)
    found = body.double()(*(x.double() for x in given))
    vertices, joints = by_hand(
        body, given[0][0].double(), axis_angle_to_matrix(given[1][0].double()), given[2][0].double()
    )
    assert close(found.vertices[0], vertices, 1e-9) and close(found.joints[0], joints, 1e-9)

    body = body.float()
    body.save_npz(tmp_path / "again.npz")
    again = SMPL.from_file(tmp_path / "again.npz")
    loaded = genlab.from_pretrained(body.save_pretrained(tmp_path / "saved"))
    for other in (again, loaded):
        assert other.config == body.config
        assert all(torch.equal(buffer, other.get_buffer(key)) for key, buffer in body.named_buffers())
        assert torch.equal(other(*given).vertices, body(*given).vertices)


def test_a_sparse_blend_is_written_dense(tmp_path):
    body = random_body(dtype=torch.float32, bending=2)
    body.save_npz(tmp_path / "body.npz")
    dense = SMPL.from_file(tmp_path / "body.npz")
    assert dense.config.bending == 5
    assert close(dense(*numbers(body)).vertices, body(*numbers(body)).vertices, 1e-5)


def test_what_is_no_body_is_told(tmp_path):
    (tmp_path / "body.pkl").write_bytes(b"cos\nsystem\n(S'true'\ntR.")
    with pytest.raises(LoadError, match="os.system, which no body model needs"):
        SMPL.from_file(tmp_path / "body.pkl")
    with pytest.raises(LoadError, match="there is no such file"):
        SMPL.from_file(tmp_path / "none.npz")
    with pytest.raises(GenlabError, match="was not written"):
        random_body().save_npz(tmp_path / "none" / "body.npz")


def test_an_independent_implementation_agrees(tmp_path, capsys):
    """smplx, at SMPL's own size; its licence forbids it to be one of our dependencies."""
    smplx = pytest.importorskip("smplx", reason="smplx is not installed, and is not free: pip install smplx")
    body = random_body(dtype=torch.float32, vertices=6_890, faces=13_776, betas=10, parents=PARENTS, bending=23)
    body.posedirs.mul_(0.01)
    body.shapedirs.mul_(0.03)
    body.save_npz(tmp_path / "body.npz")
    arrays = types.SimpleNamespace(**np.load(tmp_path / "body.npz"))
    other = smplx.SMPL("", data_struct=arrays, batch_size=4)
    betas, pose, transl = numbers(body, 4)
    for x in (betas, pose):
        x.requires_grad_()
    theirs = other(betas=betas, global_orient=pose[:, 0], body_pose=pose[:, 1:].flatten(1), transl=transl)
    ours = body(betas, pose, transl)
    assert close(ours.vertices, theirs.vertices, 1e-5) and close(ours.joints, theirs.joints[:, :24], 1e-5)
    assert close(body.keypoints(betas, pose, transl), theirs.joints[:, :24], 1e-5)
    c = torch.randn(ours.vertices.shape)
    for a, b in zip(
        *(torch.autograd.grad((c * out.vertices).sum(), (betas, pose)) for out in (ours, theirs)), strict=True
    ):
        assert close(a / b.abs().max(), b / b.abs().max(), 1e-5)


# -- the pretrained bodies -------------------------------------------------------------------------------------------


@pytest.fixture(scope="module", params=["smpl-open", "smpl-open-low"])
def pretrained(request) -> SMPL:
    return SMPL.from_pretrained(request.param)


def test_the_mean_body_is_a_person(pretrained):
    """Its size, which way it faces, and that its skin is closed and its inside inside."""
    body = pretrained
    rest = body(torch.zeros(1, body.config.betas), torch.zeros(1, len(PARENTS), 3))
    v, J, faces = rest.vertices[0].double(), rest.joints[0], body.faces.long()
    assert body.config.parents == PARENTS and body.config.landmarks == LANDMARKS
    assert 1.5 < v[:, 1].max() - v[:, 1].min() < 1.8
    assert 1.3 < v[:, 0].max() - v[:, 0].min() < 2.0  # the arms are stretched out
    assert J[JOINTS.index("left_hand"), 0] > 0.5 and J[JOINTS.index("right_hand"), 0] < -0.5
    assert J[JOINTS.index("head"), 1] > J[0, 1] > J[JOINTS.index("left_foot"), 1]
    names = ("nose", "left_ear", "left_big_toe", "left_heel")
    nose, ear, toe, heel = body.keypoints(torch.zeros(1, 1), torch.zeros(1, 72), joints=names)[0]
    assert nose[2] > ear[2] + 0.05 and toe[2] > heel[2] + 0.1 and ear[0] > 0
    edges = torch.cat([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    forth = edges[:, 0] * len(v) + edges[:, 1]
    back = edges[:, 1] * len(v) + edges[:, 0]
    assert len(forth.unique()) == len(forth) and torch.equal(forth.sort().values, back.sort().values)
    a, b, c = v[faces].unbind(1)
    assert 0.05 < (a * torch.linalg.cross(b, c)).sum() / 6 < 0.09


def test_its_parts_are_what_the_law_asks_for(pretrained):
    body = pretrained
    assert torch.allclose(body.weights.float().sum(1), torch.ones(body.config.vertices), atol=2e-3)
    assert (body.weights >= 0).all() and ((body.weights != 0).sum(1) <= 6).all()
    assert torch.allclose(body.J_regressor.float().sum(1), torch.ones(len(PARENTS)), atol=2e-3)
    assert torch.allclose(body.landmark_weights.float().sum(1), torch.ones(len(LANDMARKS)), atol=2e-3)
    assert (body.faces >= 0).all() and (body.faces < body.config.vertices).all()
    assert (body.landmark_vertices >= 0).all() and (body.landmark_vertices < body.config.vertices).all()
    if body.config.bending < len(PARENTS) - 1:
        assert (body.bends < len(PARENTS) - 1).all()
        assert all(len(set(row)) == body.config.bending for row in body.bends.tolist())
    assert all(buffer.isfinite().all() for buffer in body.buffers())
    assert 0.01 < body.posedirs.abs().max() < 0.3  # it bends


def test_it_loads_at_once():
    seconds = []
    for _ in range(3):
        start = time.process_time()
        SMPL.from_pretrained("smpl-open")
        seconds.append(time.process_time() - start)
    assert min(seconds) < 0.2


@pytest.mark.parametrize("name", ["bends", "landmark_vertices"])
def test_numbers_of_joints_and_vertices_that_there_are_not_are_told(name):
    config = SMPLConfig(vertices=5, faces=2, betas=2, parents=(-1, 0, 1), bending=1, landmarks=("nose",), support=2)
    body = SMPL(config)
    getattr(body, name).fill_(77)
    with pytest.raises(GenlabError, match=f"{name} of this body lie outside"):
        body(torch.zeros(1, 2), torch.zeros(1, 3, 3))
