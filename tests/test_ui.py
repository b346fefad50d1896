"""genlab.ui and genlab.viz without a browser: pictures, charts, knobs, runs, films, the pad, the panels."""

import base64
import gc
import html
import json
import math
import re
import threading
import zlib
from io import BytesIO
from pathlib import Path
from types import SimpleNamespace
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

pytest.importorskip("gradio")

from genlab import ui, viz
from genlab.names import FAMILIES, GenlabError
from genlab.ui import runs, shelf, theme
from genlab.ui.bench import Bench
from genlab.ui.film import KEPT

KNOBS = ui.Knobs(
    label=ui.Choice("Class", "all", ["0", "7", "all"]),
    rho=ui.Number("rho (diffusers ...)", 2.0, 0, 12, 0.1),
    steps=ui.Number("Steps", 50, 5, 100),
    lock=ui.Switch("Lock"),
)
UNHURRIED = settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=40),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


def decoded(uri: str) -> np.ndarray:
    from PIL import Image

    return np.asarray(Image.open(BytesIO(base64.b64decode(uri.split(",", 1)[1]))))


# -- pictures ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(28, 28), (5, 9), (1, 1), (6, 7, 3)])
def test_png_is_read_back_exactly(shape):
    image = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    assert np.array_equal(decoded(viz.data_uri(viz.png(image))), image)


def test_tile_puts_each_picture_where_it_belongs():
    images = np.stack([np.full((2, 2), i / 10) for i in range(5)])
    sheet = viz.tile(images, columns=3, gap=1, scale=2)
    assert sheet.shape == (2 * 4 + 1, 3 * 4 + 2)
    assert (sheet[:4, 5:9] == round(255 * 0.1)).all()
    assert (sheet[5:, :4] == round(255 * 0.3)).all()
    assert (sheet[:, 4] == 255).all() and (sheet[5:, 10:] == 255).all(), "gaps and the empty place are background"


TRIANGLE = {"vertices": np.array([[-1.0, 0, 0], [1, 0, 0], [0, 2, 0]]), "faces": np.array([[0, 1, 2]])}


def test_a_mesh_is_drawn_in_the_middle_of_its_picture():
    picture = viz.mesh_picture(**TRIANGLE, size=(40, 50), yaw=0, pitch=0, background=None, colors=(90, 140, 200))
    there = picture[..., 3] > 0
    assert picture.shape == (40, 50, 4) and there[35, 25] and not there[5, 5] and not there[35, 2]
    assert there.sum() == pytest.approx(0.5 * 0.96**2 * 40 * 40, rel=0.1), "half of the square that it fits into"


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"vertices": np.zeros((0, 3))}, "at least one of each, not (0, 3) and (1, 3)"),
        ({"faces": np.zeros((0, 3), int)}, "at least one of each"),
        ({"vertices": np.zeros((3, 2))}, "not (3, 2)"),
        ({"vertices": np.full((3, 3), np.nan)}, "vertices hold NaN or infinity"),
        ({"vertices": "mesh"}, "vertices are numbers"),
        ({"faces": [[0, 1, 3]]}, "faces name vertices 0 to 2, not 0 to 3"),
        ({"faces": [[-1, 1, 2]]}, "faces name vertices 0 to 2, not -1 to 2"),
        ({"faces": [[0, 0.5, 2]]}, "faces name vertices 0 to 2"),
        ({"colors": [[1, 2, 3]] * 2}, "colors are one (3,) or (3, 3), one a vertex, not (2, 3)"),
        ({"colors": (np.nan, 0, 0)}, "colors hold NaN"),
        ({"box": [0, 1, 2]}, "box is two corners"),
        ({"size": (0, 10)}, "size is a height and a width of 1 or more"),
        ({"size": (10.5, 10)}, "size is a height"),
        ({"size": 10}, "size is a height"),
        ({"samples": 0}, "so is samples, not (320, 240) and 0"),
        ({"yaw": np.inf}, "yaw and pitch are degrees, not inf"),
    ],
    ids=str,
)
def test_what_is_no_mesh_is_told(wrong, sentence):
    with pytest.raises(ValueError, match=re.escape(sentence)):
        viz.mesh_picture(**TRIANGLE | wrong)


def test_values_outside_the_range_and_nan_become_pictures():
    x = np.array([[[-1.0, 2.0], [np.nan, 0.5]]])
    assert viz.to_uint8(x).tolist() == [[[0, 255], [0, 128]]]


def test_bfloat16_tensors_and_colour():
    import torch

    x = torch.ones(2, 3, 4, 5, dtype=torch.bfloat16)
    assert viz.to_uint8(x).shape == (2, 4, 5, 3)
    with pytest.raises(ValueError, match="images have shape"):
        viz.to_uint8(np.zeros((2, 4, 5, 5)))


@UNHURRIED
@given(st.floats(-1e6, 1e6), st.floats(1e-6, 1e6))
def test_ticks_are_few_round_and_inside(low, width):
    found = viz.ticks(low, low + width)
    assert len(found) <= 7
    assert all(low - 1e-6 * width <= t <= low + width * (1 + 1e-6) for t in found if len(found) > 1)


def test_chart_is_well_formed_names_its_axes_and_escapes():
    lines = [
        viz.Line([(0.05, 90), (0.03, 99)], ["rho 0", "rho <8>"], name="card"),
        viz.Line([(0.04, float("nan")), (0.04, 97)], ["lost", "now"], joined=False, now=True),
    ]
    svg = viz.line_chart(lines, x="diversity", y="agreement (%)", alt='says "what" & numbers')
    root = ElementTree.fromstring(svg)
    texts = [node.text for node in root.iter("text")]
    assert {"diversity", "agreement (%)", "rho 0", "rho <8>", "card"} <= set(texts)
    assert root.attrib["aria-label"] == 'says "what" & numbers'
    assert "nan" not in svg
    assert viz.line_chart([], x="x", y="y", alt="") == ""


def test_words_of_a_chart_do_not_cover_each_other():
    line = viz.Line([(i / 1000, 100) for i in range(6)], [f"rho {i}" for i in range(6)])
    far = viz.Line([(1, 90)], ["far"])
    svg = ElementTree.fromstring(viz.line_chart([line, far], x="x", y="y", alt=""))
    heights = [float(node.attrib["y"]) for node in svg.iter("text") if (node.text or "").startswith("rho")]
    assert len(set(heights)) == 6 and np.diff(sorted(heights)).min() >= 14


def test_where_a_chart_is_crowded_the_newest_words_stay():
    crowd = viz.Line([(0.5 + i / 10_000, 99) for i in range(20)], [f"run {i}" for i in range(20)], joined=False)
    far = viz.Line([(0.1, 90), (0.9, 95)])
    svg = ElementTree.fromstring(viz.line_chart([far, crowd], x="x", y="y", alt=""))
    words = {node.text: float(node.attrib["y"]) for node in svg.iter("text") if (node.text or "").startswith("run")}
    assert "run 19" in words and "run 0" not in words and np.diff(sorted(words.values())).min() >= 14
    assert len(svg.findall(".//circle")) == 22


def test_an_axis_can_be_kept_from_magnifying_small_differences():
    line = viz.Line([(0, 99.95), (1, 100)])
    svg = ElementTree.fromstring(viz.line_chart([line], x="x", y="y", alt="", y_most=100, y_span=5))
    levels = [float(node.text) for node in svg.iter("text") if node.attrib.get("text-anchor") == "end"]
    assert min(levels) <= 96 and max(levels) == 100


# -- knobs -------------------------------------------------------------------------------------------------------------


@given(st.dictionaries(st.sampled_from([*KNOBS, "other"]), ANYTHING))
@UNHURRIED
def test_whatever_a_stranger_sends_comes_out_in_range(sent):
    clean = KNOBS.clean(sent)
    assert list(clean) == list(KNOBS)
    assert clean["label"] in ("0", "7", "all")
    assert isinstance(clean["rho"], float) and 0 <= clean["rho"] <= 12
    assert type(clean["steps"]) is int and 5 <= clean["steps"] <= 100
    assert type(clean["lock"]) is bool


@pytest.mark.parametrize(
    ("name", "sent", "used"),
    [
        ("rho", "3.14", 3.1),
        ("rho", float("inf"), 12.0),
        ("rho", -1e300, 0.0),
        ("rho", "nan", 2.0),
        ("steps", 10**400, 50),
        ("steps", 7.6, 8),
        ("label", 7, "7"),
        ("label", 7.0, "7"),
        ("label", "<script>", "all"),
        ("lock", "true", True),
        ("lock", "1", True),
        ("lock", 1, False),
    ],
)
def test_clean(name, sent, used):
    assert KNOBS[name].clean(sent) == used


@UNHURRIED
@given(st.floats(0, 12), st.integers(5, 100), st.sampled_from(["0", "7", "all"]), st.booleans())
def test_a_link_leads_back(rho, steps, label, lock):
    values = KNOBS.clean({"rho": rho, "steps": steps, "label": label, "lock": lock})
    assert KNOBS.clean(KNOBS.query(values)) == values


def test_defaults_need_no_link():
    assert KNOBS.query(KNOBS.defaults()) == {}


# -- runs --------------------------------------------------------------------------------------------------------------


def test_a_model_that_is_in_use_is_not_loaded_again(monkeypatch):
    loaded = []

    class Model:
        @classmethod
        def from_pretrained(cls, source):
            loaded.append(source)
            return cls()

    monkeypatch.setattr("genlab.ui.bench.import_module", lambda name: SimpleNamespace(Model=Model))
    bench = Bench("anywhere", "Model")
    first = bench.get("a").result(10)
    assert bench.get("a").result(10) is first and bench.get("b").result(10) is not first
    assert bench.get("a").result(10) is first and loaded == ["a", "b"]
    del first
    bench.get("b").result(10)
    gc.collect()
    bench.get("a").result(10)
    assert loaded == ["a", "b", "b", "a"], "what nobody works with made way"


def test_a_new_run_replaces_the_old_one_of_the_same_visitor_only():
    all_runs = ui.Runs()
    first, other = all_runs.begin("a"), all_runs.begin("b")
    second = all_runs.begin("a")
    assert (first.going, first.replaced, second.going, other.going) == (False, True, True, True)
    all_runs.end("a")
    assert (second.going, second.ended) == (False, "stopped")
    all_runs.end("nobody")
    assert other.going


def test_a_run_knows_what_it_is_about():
    all_runs = ui.Runs()
    all_runs.begin("a", ("watch", {"rho": 2}))
    assert all_runs.going("a", ("watch", {"rho": 2}))
    assert not all_runs.going("a", ("watch", {"rho": 3})) and not all_runs.going("b", ("watch", {"rho": 2}))
    all_runs.end("a")
    assert not all_runs.going("a", ("watch", {"rho": 2}))


def test_wanting_the_same_leaves_its_run_alone_and_tells_whether_that_was_cut_short():
    all_runs = ui.Runs()
    assert not all_runs.want("a", "red"), "no run yet, so none was cut short"
    red = all_runs.begin("a", "red")
    assert not all_runs.want("a", "red") and red.going
    assert not all_runs.want("a", "blue") and red.replaced
    assert all_runs.want("a", "red"), "blue's run has not begun, and red's is to begin anew"
    blue = all_runs.begin("a", "blue")
    all_runs.end("a")
    assert not all_runs.want("a", "red") and blue.ended == "stopped", "what was stopped stays so"
    red = all_runs.begin("a", "red")
    red.ended = "done"
    all_runs.end("a")
    assert not all_runs.want("a", "red"), "one that was through before Stop was not cut short"
    assert not all_runs.want("a", "blue") and all_runs.want("a", "red"), "blue may be on the stage by now"


def test_a_run_ends_when_its_time_is_up(monkeypatch):
    run = ui.Runs(seconds=5).begin(None)
    assert run.going
    now = runs.time.monotonic()
    monkeypatch.setattr(runs.time, "monotonic", lambda: now + 6)
    assert not run.going and run.ended == "time"


def test_visitors_are_forgotten_in_the_end(monkeypatch):
    monkeypatch.setattr(runs, "REMEMBERED", 3)
    all_runs = ui.Runs()
    for i in range(10):
        all_runs.begin(str(i))
    assert list(all_runs._present) == ["7", "8", "9"]


# -- shelf -------------------------------------------------------------------------------------------------------------


def test_the_shelf_loads_each_model_once_however_many_ask(monkeypatch):
    loads = []

    def load(name, device, dtype):
        loads.append((name, dtype))
        return object()

    monkeypatch.setattr(shelf.genlab, "from_pretrained", load, raising=False)
    models = ui.Shelf("a", "b", fast=("b",))
    assert not models.ready("a")
    threads = [threading.Thread(target=lambda: models["a"]) for _ in range(8)]
    [t.start() for t in threads]
    [t.join() for t in threads]
    models["b"]
    assert loads == [("a", None), ("b", shelf.genlab.fast_dtype())]
    assert models["a"] is models["a"] and models.ready("a")


def test_warming_is_quiet_about_missing_models(monkeypatch):
    def load(name, **_):
        raise GenlabError("no such model")

    monkeypatch.setattr(shelf.genlab, "from_pretrained", load, raising=False)
    models = ui.Shelf("a")
    models.warm()
    for thread in threading.enumerate():
        if thread.name == "genlab-warm":
            thread.join()
    with pytest.raises(GenlabError, match="no such model"):
        models["a"]


# -- film --------------------------------------------------------------------------------------------------------------


def make_film(frames: int, n: int = 3) -> tuple[ui.Film, np.ndarray]:
    film = ui.Film("run", ["x_t", "x_0"], columns=3, of=frames)
    pictures = np.random.default_rng(1).integers(0, 256, (frames, 2, n, 4, 4), dtype=np.uint8)
    for i, (x_t, x_0) in enumerate(pictures):
        film.add(frames - i, x_t, x_0, captions=["7"] * n, score=i / frames, alpha="0.5")
    return film, pictures


def test_the_last_frame_of_a_film_is_exact_and_the_others_close():
    film, pictures = make_film(5)
    value = film.whole("done", alt="five frames")
    sheet = decoded(value["sheet"]).astype(int)
    assert sheet.shape == (5 * 4, 2 * 3 * 4)
    expected = np.concatenate([np.concatenate(list(frame.reshape(6, 4, 4)), axis=1) for frame in pictures])
    assert (sheet[-4:] == expected[-4:]).all()
    assert np.abs(sheet - expected).max() <= 9
    assert [frame["at"] for frame in value["frames"]] == [0, 1, 2, 3, 4]
    assert value["frames"][1]["now"] == {"t": "4", "alpha": "0.5"}


def test_a_still_is_the_last_frame():
    film, pictures = make_film(5)
    still = ui.Film.still(film.whole("done", alt="five frames"))
    assert np.array_equal(decoded(still["sheet"]), np.concatenate(list(pictures[-1].reshape(6, 4, 4)), axis=1))
    assert [frame["at"] for frame in still["frames"]] == [4] and still["alt"] == "five frames"
    assert still["link"] is None, "the page is still to read its own link"
    assert ui.Film.still(None) is None


def test_live_sends_each_frame_once():
    film, pictures = make_film(3)
    assert [f["at"] for f in json.loads(film.live("")["frames"])] == [0, 1, 2]
    assert film.live("")["frames"] == "[]" and film.live("")["sheet"] is None
    film.add(0, *pictures[0])
    assert [f["at"] for f in json.loads(film.live("")["frames"])] == [3]


def test_a_long_film_is_thinned_but_keeps_both_ends():
    kept = [f["at"] for f in make_film(100)[0].whole("", alt="")["frames"]]
    assert len(kept) == KEPT and kept[0] == 0 and kept[-1] == 99


def test_a_films_words_arrive_though_gradio_sends_only_what_differs():
    from gradio.utils import diff
    from gradio_client.utils import apply_diff

    film, page = ui.Film("run", of=9, panels=("x",), columns=1), None
    for at, count in enumerate((6, 2, 5, 1)):
        told = {"head": "1", "words": [(f"{at} {k}", None) for k in range(count)]}
        film.add(8 - at, np.zeros((3, 4, 4, 3), np.uint8), captions=[told] * 3, at=at)
        sent = film.live("")
        page = sent if page is None else apply_diff(page, diff(page, sent))
        assert page == sent and json.loads(page["frames"])[0]["captions"][2]["words"][-1] == [f"{at} {count - 1}", None]


def test_a_film_in_colour_keeps_pale_tints_and_frames_may_be_left_out():
    pictures = np.random.default_rng(1).integers(0, 256, (2, 3, 4, 4, 3), dtype=np.uint8)
    film = ui.Film("run", ["x"], columns=3, of=9)
    told = {"head": "1.97", "words": [("red", True), ("circle", False)]}
    for at, frame in zip((0, 8), pictures, strict=True):
        film.add(8 - at, frame, captions=[told] * 3, at=at)
    value = film.whole("done", alt="two frames")
    sheet = decoded(value["sheet"]).astype(int)
    expected = np.concatenate([np.concatenate(list(frame), axis=1) for frame in pictures])
    assert sheet.shape == (8, 12, 3) and (sheet[4:] == expected[4:]).all() and np.abs(sheet - expected).max() <= 5
    assert [frame["at"] for frame in value["frames"]] == [0, 8]
    assert value["frames"][1]["captions"] == [told] * 3
    assert decoded(ui.Film.still(value)["sheet"]).shape == (4, 12, 3)


@pytest.mark.parametrize("box", [False, True])
def test_a_number_beyond_its_range_reaches_the_app_which_brings_it_into_range(box):
    knob = ui.Number("n", 2, 0, 8, box=box)
    for sent, used in ((9999, 8), (-5, 0), (None, 2), ("junk", 2), ([], 2), (math.nan, 2)):
        assert knob.clean(knob.component().preprocess(sent)) == used


# -- pad ---------------------------------------------------------------------------------------------------------------


def test_a_drawing_goes_through_the_link_unharmed():
    image = ui.strokes([[(5, 5), (20, 22), (9, 25)]])
    value = ui.drawn(image)
    assert ui.unpacked(ui.packed(value)) == value
    assert np.abs(ui.ink(value) - image).max() <= 0.5 / 255 + 1e-6
    assert len(ui.packed(value)) < 700, "short enough for a link"


@pytest.mark.parametrize(
    "text",
    [
        None,
        "",
        "!!",
        "A" * 5000,
        7,
        True,
        b"ff" * 784,
        ["ff" * 784],
        {"ff": {"ff": []}},
        "é" * 1568,
        "\ud800" * 1568,
        "٣" * 1568,  # digits, but not ours
        "ff" * 784 + "\n",
        "0x" * 784,
        "f" * 1_000_000,
        base64.urlsafe_b64encode(zlib.compress(b"x")).decode(),
        base64.urlsafe_b64encode(zlib.compress(b"x" * 784)[:-6]).decode()[:-3],
        base64.urlsafe_b64encode(b"x" * 784).decode(),
    ],
    ids=lambda value: repr(value)[:20],
)
def test_a_strangers_drawing_is_an_empty_pad(text):
    assert ui.unpacked(text) == ""
    assert not ui.ink(text).any()
    assert ui.packed(text) == ""


def test_a_drawing_of_what_is_no_ink_is_cut_to_it():
    image = np.full((28, 28), np.nan)
    image[0, :4] = [-3, 0.5, 7, np.inf]
    assert ui.ink(ui.drawn(image))[0, :5].tolist() == pytest.approx([0, 0.5, 1, 1, 0], abs=0.51 / 255)


def test_a_bomb_in_a_link_is_not_unpacked():
    bomb = base64.urlsafe_b64encode(zlib.compress(bytes(2_000_000))).decode()
    assert len(bomb) < 4 * 28 * 28, "it passes the check of length"
    assert ui.unpacked(bomb) == ""


def test_strokes_leave_ink_on_the_line_and_none_elsewhere():
    image = ui.strokes([[(4.5, 10.5), (20.5, 10.5)]])
    assert (image[10, 4:20] == 1).all()
    assert image[:8].max() == 0 and image[13:].max() == 0


# -- panels and look ---------------------------------------------------------------------------------------------------


def test_the_equation_shows_every_symbol_of_the_law_with_its_value():
    from genlab.core import law
    from genlab.models.diffusion import ClassifierFreeGuidance

    text = ui.equation("diffusion", "ClassifierFreeGuidance", {r"\rho": "**2**"})
    stated = law(ClassifierFreeGuidance)
    assert f"$${stated.latex}$$" in text and stated.url in text
    for symbol, meaning in stated.symbols.items():
        assert f"| ${symbol}$ | {meaning} |" in text
    assert "| **2** |" in text


def test_what_somebody_wrote_is_shown_as_it_is():
    markdown = pytest.importorskip("markdown_it").MarkdownIt("commonmark").enable("table")
    for text in (
        "a *red* heart ![x](http://a.b/c.png)",
        "<img src=x> & | `code` _x_ $1$ \\",
        "1. [a](b) http://a.b www.a.org",
        "é, 7",
    ):
        table = markdown.render(f"| a | b |\n| --- | --- |\n| {ui.literal(text)} | 1 |")
        (cell,) = re.findall(r"<td>(.*?)</td>\s*<td>1", table, re.DOTALL)
        assert html.unescape(re.sub("</?span>", "", cell)) == text
        assert not re.findall("<(?!/?span>)", cell), "no mark-up is left"
    assert "www." not in ui.literal("www.a.org"), "nor a link where such names become one"
    assert "$1$" not in re.sub("&#36;", "$", ui.literal("$1$")), "and no formula"


def test_under_the_hood_is_the_installed_source():
    text = ui.under_the_hood("diffusion", "ClassifierFreeGuidance")
    assert "def noise(" in text and "(1 + self.rho) * conditional - self.rho * unconditional" in text


def test_call_text_leaves_out_defaults():
    assert ui.call_text("f", {"n": 1, "a": 0, "b": "'x'"}, {"a": 0, "b": "'y'"}) == "f(\n    n=1,\n    b='x',\n)"


def test_measured_reads_the_card_and_says_nothing_where_nothing_was_measured(tmp_path, monkeypatch):
    from genlab.ui import panels

    monkeypatch.setattr(panels, "root", lambda: tmp_path)
    assert ui.measured("x", "agreement") == []
    folder = tmp_path / "model_cards" / "x"
    folder.mkdir(parents=True)
    entries = '[{"name": "agreement", "value": null}, {"name": "agreement", "value": 0.9}, {"name": "fid", "value": 3}]'
    (folder / "metrics.json").write_text(f'{{"metrics": {entries}}}')
    assert ui.measured("x", "agreement") == [{"name": "agreement", "value": 0.9}]
    assert "no card yet" in ui.card_text("x")
    (folder / "README.md").write_text("---\nlicense: mit\n---\n# X\n![samples](samples.png)\nText")
    assert ui.card_text("x") == "# X\nText"
    (folder / "README.md").write_text(r"- \\( q(z \mid x) \\): of \\(z\\), \\( \tfrac{1}{2} \\)")
    assert ui.card_text("x") == r"- $q(z \mid x)$: of $z$, $\tfrac{1}{2}$", "as ui.markdown sets formulas"


def test_a_mesh_file_has_normals_and_needs_no_scipy(monkeypatch):
    trimesh = pytest.importorskip("trimesh")
    monkeypatch.delattr(trimesh.geometry, "weighted_vertex_normals")  # which wants scipy, and tells so at length
    corners = np.array([[1, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]], np.float32)
    faces = np.array([[0, 1, 2], [0, 3, 1], [0, 2, 3], [1, 3, 2]])
    lines = Path(ui.mesh_file(corners, faces, "obj")["path"]).read_text().splitlines()
    normals = [[float(x) for x in line.split()[1:]] for line in lines if line.startswith("vn ")]
    assert np.allclose(normals, corners / np.sqrt(3), atol=1e-6)
    assert b"NORMAL" in Path(ui.mesh_file(corners, faces, "glb")["path"]).read_bytes()


def luminance(colour: str) -> float:
    channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return float(np.dot(linear, [0.2126, 0.7152, 0.0722]))


def contrast(a: str, b: str) -> float:
    high, low = sorted([luminance(a), luminance(b)], reverse=True)
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("family", FAMILIES)
def test_accents_are_legible_in_light_and_dark(family):
    light, dark = theme.ACCENTS[family]
    assert contrast(light, "#ffffff") >= 4.5
    assert contrast(dark, "#101418") >= 4.5


def test_the_look_asks_nobody_for_anything():
    look = ui.look()
    text = look["css"] + look["head"] + look["theme"]._get_theme_css()
    text = text.replace("http://www.w3.org/2000/svg", "")  # a name, not an address
    assert not re.search(r"https?://|@import|url\(['\"]?//", text)
    assert "SourceSansPro-Regular.woff2" in text and "IBMPlexMono-Regular.woff2" in text
