"""The figure of joints: what a link or the page brings back, and the keypoints of other people's files."""

import json

import numpy as np
import pytest

pytest.importorskip("gradio")

from genlab import GenlabError, ui
from genlab.ui.figure import SETS


def figure(joints: str = "smpl", **about) -> ui.Figure:
    rng = np.random.default_rng(0)
    count = SETS[joints]
    return ui.Figure(
        joints, rng.uniform(20, 380, (count, 2)), (rng.random(count) > 0.3).astype(float), (400, 440), **about
    )


@pytest.mark.parametrize("true, read", [(True, False), (False, True), (False, False)])
@pytest.mark.parametrize("joints", SETS)
def test_a_figure_survives_the_page_and_the_link(joints, true, read):
    made = figure(joints, true=true, read=read)
    page = ui.Figure.of(json.loads(json.dumps(made.value())))
    linked = ui.Figure.unpacked(made.packed())
    for back in (page, linked):
        assert np.abs(back.xy - made.xy).max() < 0.06 and np.array_equal(back.c, made.c)
        assert (back.joints, back.size, back.true, back.read) == (joints, (400, 440), true, read)
    assert len(made.packed()) < 180


@pytest.mark.parametrize("joints", SETS)
def test_bones_join_all_joints_from_the_trunk_outwards(joints):
    pairs = ui.bones(figure(joints).names)
    assert {k for pair in pairs for k in pair} == set(range(SETS[joints]))
    names = figure(joints).names
    inner, outer = (names.index(f"left_{part}") for part in ("shoulder", "elbow"))
    assert [inner, outer] in pairs


JUNK = [
    None,
    "",
    "AA",
    "%%%",
    "A" * 5000,
    7,
    [],
    {},
    "____",
    {"xy": [[0, 0]], "c": [1], "size": [9, 9], "joints": "smpl"},
]


@pytest.mark.parametrize("junk", JUNK, ids=range(len(JUNK)))
def test_anything_else_is_no_figure(junk):
    assert ui.Figure.unpacked(junk) is None and ui.Figure.of(junk) is None


@pytest.mark.parametrize(
    "change",
    [
        {"joints": "hand"},
        {"joints": ["smpl"]},
        {"xy": [[0, 0]] * 23},
        {"xy": [[float("nan"), 0]] * 24},
        {"xy": [["a", 0]] * 24},
        {"c": None},
        {"c": [[1]] * 24},
        {"size": [1e9, 400]},
        {"size": [400]},
        {"size": ["a", {}]},
    ],
)
def test_a_figure_with_a_hole_is_none(change):
    assert ui.Figure.of(figure().value() | change) is None


def test_places_far_outside_come_near():
    back = ui.Figure.of(figure().value() | {"xy": [[1e300, -1e300]] * 24, "c": [5] * 24})
    assert np.abs(back.xy).max() < 1000 and back.c.max() == 1


# -- files -----------------------------------------------------------------------------------------------------------


def rows(count: int = 17) -> list[list[float]]:
    return [[100.0 + 10 * k, 50.0 + 15 * k, 2] for k in range(count)]


def flat(count: int = 17) -> list[float]:
    return [x for row in rows(count) for x in row]


@pytest.mark.parametrize(
    ("source", "joints"),
    [
        ({"keypoints": flat()}, "coco"),
        ([{"keypoints": flat(), "score": 0.9, "image_id": 3}], "coco"),
        ({"annotations": [{"keypoints": [0] * 51}, {"keypoints": flat()}]}, "coco"),
        ({"people": [{"pose_keypoints_2d": flat(25)}]}, "openpose25"),
        ({"version": 1.1, "people": [{"pose_keypoints_2d": flat(18)}]}, "openpose18"),
        ({"keypoints": rows(24)}, "smpl"),
        ([row[:2] for row in rows(24)], "smpl"),
    ],
)
def test_keypoints_of_each_kind_are_read(source, joints):
    for given in (source, json.dumps(source), json.dumps(source).encode()):
        read = ui.read_keypoints(given)
        assert read.joints == joints and read.seen == len(read.c) and read.read and not read.true
        assert np.array_equal(read.xy[1], [110, 65])
        assert all(0 < read.xy[:, i].max() <= read.size[i] for i in (0, 1)), "all lie in the picture that is guessed"


def test_what_is_missing_is_missing_and_the_picture_is_as_large_as_told():
    points = rows()
    points[3] = [0, 0, 0]
    points[4] = [5, 5, 0]
    points[5] = [None, None, None]
    points[6] = [200, 100, 0.4]
    read = ui.read_keypoints({"keypoints": points, "size": [640, 480]})
    assert read.seen == 14 and read.size == (640, 480)
    assert list(read.c[2:7]) == [1, 0, 0, 0, 0.4] and np.isfinite(read.xy).all()


def test_of_several_people_the_best_seen_is_taken():
    far = [x / 2 if i % 3 < 2 else 0.1 for i, x in enumerate(flat(25))]
    read = ui.read_keypoints({"people": [{"pose_keypoints_2d": far}, {"pose_keypoints_2d": flat(25)}]})
    assert read.xy[0, 0] == 100


HOSTILE = {
    "no JSON": "keypoints",
    "no text": b"\xff\xfe\x00",
    "deep": "[" * 100_000 + "]" * 100_000,
    "large": "[" + "1," * 600_000 + "1]",
    "a long number": '{"keypoints": [' + "9" * 5000 + "]}",
    "empty": "{}",
    "nobody": '{"people": []}',
    "words": {"keypoints": ["a"] * 51},
    "nested": {"keypoints": [[[1, 2, 3]]] * 17},
    "too few": {"keypoints": [[1, 2, 1]] * 2 + [[0, 0, 0]] * 15},
    "sixteen": {"keypoints": flat(16)},
    "not finite": '{"keypoints": [' + ", ".join(["NaN, Infinity, 1"] * 17) + "]}",
    "far away": {"keypoints": [1e300, 1e300, 1] * 17},
    "one dot": {"keypoints": [100, 100, 1] * 17},
    "a number": 7,
    "nothing": None,
    "truth": True,
    "objects": {"people": [{"pose_keypoints_2d": {"a": 1}}, 3, None]},
}


@pytest.mark.parametrize("source", HOSTILE.values(), ids=HOSTILE)
def test_all_else_is_refused_in_a_sentence(source):
    with pytest.raises(GenlabError, match=r"^[A-Z].{20,180}\.$"):
        ui.read_keypoints(source)
