"""The plane's Python side: what is packed for the page, and what comes back from it."""

import base64
import math

import numpy as np
import pytest

pytest.importorskip("gradio")

from genlab.ui import plane as component
from genlab.ui.plane import CELLS, chosen, grid, news, space


def unpacked(layer: dict) -> tuple[np.ndarray, np.ndarray]:
    """What plane_spaces.js makes of a layer."""
    whole, scale, bias = (
        np.frombuffer(base64.b64decode(layer[key]), kind)
        for key, kind in (("weight", "<i2"), ("scale", "<f4"), ("bias", "<f4"))
    )
    return whole.reshape(layer["shape"]) * scale[:, None], bias


def test_layers_come_back_to_a_65000th_of_each_rows_largest():
    rng = np.random.default_rng(0)
    layers = [
        (rng.normal(size=(6, 2)) * 10.0 ** np.arange(-3, 3)[:, None], rng.normal(size=6)),
        (rng.normal(size=(4, 6)), np.zeros(4)),
    ]
    layers[1][0][2] = 0
    packed = space("s", layers=layers, activation="tanh")["layers"]
    for (weight, bias), layer in zip(layers, packed, strict=True):
        back, same = unpacked(layer)
        assert (np.abs(back - weight) <= np.abs(weight).max(axis=1, keepdims=True) / 65_534 * 1.001).all()
        assert np.allclose(same, bias, atol=1e-6)


def test_a_sheet_lies_as_its_grid():
    codes = grid((-1, 1, -2, 2)).reshape(CELLS, CELLS, 2)
    assert (np.diff(codes[0, :, 0]) > 0).all() and (np.diff(codes[:, 0, 1]) < 0).all(), "from the upper left on"
    assert np.allclose(codes.mean(axis=(0, 1)), 0, atol=1e-6) and codes[0, 0, 1] == pytest.approx(2 - 2 / CELLS)
    about = space("s", sheet=np.zeros((CELLS**2, 4, 4), np.uint8))
    assert about["sheet"].startswith("data:image/png;base64,")


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"box": (1, -1, 0, 1)}, "left < right"),
        ({"box": (0, math.nan, 0, 1)}, "NaN"),
        ({"sheet": np.zeros((3, 4, 4))}, "17 x 17 pictures, not 3"),
        ({"points": np.zeros((3, 3))}, r"points are \(N, 2\)"),
        ({"points": np.zeros((3, 2)), "labels": [1]}, "with N labels"),
        ({"layers": [(np.zeros((4, 3)), np.zeros(4))]}, "takes 2 numbers"),
        ({"layers": [(np.zeros((4, 2)), np.zeros(4)), (np.zeros((4, 5)), np.zeros(4))]}, "takes 4 numbers"),
        ({"layers": [(np.zeros((4, 2)), np.zeros(3))]}, "a bias for each row"),
        ({"layers": [(np.full((4, 2), np.inf), np.zeros(4))]}, "NaN or infinity"),
        ({"layers": [(np.zeros((4, 2)), np.zeros(4))], "activation": "gelu"}, "relu, tanh"),
    ],
    ids=str,
)
def test_what_is_no_space_is_told(wrong, sentence):
    with pytest.raises(ValueError, match=sentence):
        space("s", **wrong)


@pytest.mark.parametrize(
    "sent",
    [
        None,
        7,
        "x",
        [],
        {"at": [1]},
        {"at": "12"},
        {"at": [1, "2"]},
        {"at": [math.nan, 0]},
        {"at": [1e9, 0]},
        {"at": [True, 0]},
    ],
    ids=str,
)
def test_a_strangers_choice_is_none(sent):
    assert chosen(sent) == (None, None)


def test_a_choice_comes_back():
    assert chosen({"at": [1, 2.0004], "ends": [[0, 1], [2, 3]]}) == ([1.0, 2.0], [[0.0, 1.0], [2.0, 3.0]])
    assert chosen({"at": [1, 2], "ends": [[0, 1], [2]]})[1] is None


def test_two_values_are_never_equal():
    assert news(at=[0, 0]) != news(at=[0, 0])


def test_the_component_is_small_where_asked():
    import gradio as gr

    with gr.Blocks():
        assert "gl-small" in component(small=True).html_template and "gl-small" not in component().html_template
