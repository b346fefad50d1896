"""The body app as a visitor meets it: in a browser, through a link, with a file of their own, and through the API."""

import io
import re
from types import ModuleType

import numpy as np
import pytest

pytest.importorskip("gradio")

import torch
from lesson import idle, load, served, visitor

from genlab import GenlabError
from genlab.models.body.joint_sets import PARENTS
from genlab.ui import limits

STILL = "motion=still"
# SMPL-H's tree: five fingers of three joints on each wrist, where SMPL has two hands
FINGERS = (*PARENTS[:22], *(20 + k // 15 if k % 3 == 0 else 21 + k for k in range(30)))


@pytest.fixture(scope="module")
def app() -> ModuleType:
    return load("body_shape")


@pytest.fixture(scope="module")
def address(app):
    with served(app) as url:
        app.scene()
        yield url


@pytest.fixture
def visit(browser, address):
    """visit(query, width, height): a page with a body on its stage. Half the pixels: without a GPU they take long."""
    with visitor(browser, address) as opened:

        def at(query: str = "", width: int = 900, height: int = 600, **look):
            page = opened(query, width, height, device_scale_factor=0.5, **look)
            page.locator(".gl-view[data-state=done]").wait_for()
            page.locator(".katex").first.wait_for()
            idle(page)  # all has come that comes by itself
            return page

        yield at


# A fifth of a round of the walk goes by, and is held.
PART = """async () => {
  const view = document.querySelector(".gl-view"), from = Number(view.dataset.seconds);
  const stage = view.querySelector(".gl-orbit");
  const key = () => stage.dispatchEvent(new KeyboardEvent("keydown", { key: " ", bubbles: true }));
  for (key();;) {
    await new Promise(requestAnimationFrame);
    const part = ((Number(view.dataset.seconds) - from) / 1.1) % 1;
    if (part > 0.15 && part < 0.4) return key();
  }
}"""


def settled(page) -> None:
    """Wait until nothing is drawn any more, for a while."""
    page.evaluate(
        "async () => { const stage = document.querySelector('.gl-view'); let before;"
        " do { before = stage.dataset.frames; await new Promise(done => setTimeout(done, 150)); }"
        " while (before !== stage.dataset.frames || stage.dataset.rough); }"
    )


def seen(page) -> np.ndarray:
    """The middle of the stage, (h, w, 3), when two looks agree: a busy browser may be a picture behind."""
    from PIL import Image

    last = picture = None
    while picture is None or not np.array_equal(last, picture):
        settled(page)
        shot = Image.open(io.BytesIO(page.locator(".gl-orbit").screenshot())).convert("RGB")
        last, picture = picture, np.asarray(shot).astype(int)[10:-20]
    return picture


def differ(a: np.ndarray, b: np.ndarray) -> float:
    """The share of pixels that are clearly different."""
    return float((np.abs(a - b).max(axis=-1) > 24).mean())


def slider(page, name: str):
    return page.get_by_role("slider", name=re.compile(f"range slider for {name}"))


def drag(page, what, share: float) -> None:
    """Take a slider's thumb by the mouse, hold it at a share of the way, and keep holding."""
    what.scroll_into_view_if_needed()
    box = what.bounding_box()
    y = box["y"] + box["height"] / 2
    page.mouse.move(box["x"] + box["width"] / 2, y)
    page.mouse.down()
    page.mouse.move(box["x"] + share * box["width"], y, steps=4)


def checkbox(page, name: str):
    return page.get_by_role("checkbox", name=name, exact=True)


def chosen(page, name: str) -> None:
    page.locator("label", has=page.get_by_role("radio", name=name, exact=True)).click()


def alt(page) -> str:
    return page.locator(".gl-orbit").get_attribute("aria-label")


def waits(page, words: str) -> None:
    page.wait_for_function(
        "words => document.querySelector('.gl-orbit').getAttribute('aria-label').includes(words)", arg=words
    )


def link(page, has: str) -> None:
    page.wait_for_function("words => decodeURIComponent(location.search).includes(words)", arg=has)


# -- in the browser ----------------------------------------------------------------------------------------------------


@pytest.mark.browser
def test_on_arrival_somebody_walks(visit, app):
    page = visit()
    page.wait_for_function("() => document.querySelector('.gl-view').dataset.playing === 'walk'")
    waits(page, "walking; height 169")
    assert page.locator(".gl-facts").inner_text().split()[:3] == ["height", f"{app.ABOUT['mean']['height']:.1f}", "cm"]
    assert "?" not in page.url, "nothing was changed, so the link needs no state"
    stage = page.locator(".gl-orbit")
    stage.focus()
    stage.press(" ")
    first = seen(page)
    assert differ(first, np.broadcast_to(first[:1, :1], first.shape)) > 0.05, "somebody is there"
    page.evaluate(PART)
    assert differ(first, seen(page)) > 0.01, "and moves"


@pytest.mark.browser
def test_betas_move_the_body_without_a_server_and_the_numbers_with_one(visit):
    """While all that the page asks the server for is held back, the picture follows nonetheless."""
    page = visit(STILL)
    before, held, free = seen(page), [], []
    page.route("**/*", lambda route: route.continue_() if free else held.append(route))
    url = page.url
    drag(page, slider(page, "β₀"), 0.9)
    page.wait_for_function("old => location.href !== old", arg=url)
    after, url = seen(page), page.url
    assert differ(before, after) > 0.02, "taller"
    drag(page, slider(page, "β₀"), 0.2)
    page.wait_for_function("old => location.href !== old", arg=url)
    assert differ(after, seen(page)) > 0.02, "and shorter"
    free.append(True)
    page.mouse.up()
    for route in held:
        route.continue_()
    link(page, "b0=-2")
    page.wait_for_function("() => parseFloat(document.querySelector('.gl-facts dd').textContent) < 155")
    page.get_by_role("button", name="Six more").click()
    for n in range(10):
        facts, what = page.locator(".gl-facts").inner_text(), slider(page, f"β{'₀₁₂₃₄₅₆₇₈₉'[n]}")
        what.focus()
        what.press("End")
        link(page, f"b{n}=4")
        page.wait_for_function("old => document.querySelector('.gl-facts').innerText !== old", arg=facts)
    page.get_by_role("button", name="Reset").click()
    waits(page, "height 169 cm")
    page.wait_for_function("() => !location.search.includes('b0')")


@pytest.mark.browser
def test_turning_a_joint_ends_the_motion(visit):
    """And it turns about three axes."""
    page = visit("motion=wave&joint=left_shoulder")
    page.wait_for_function("() => document.querySelector('.gl-view').dataset.playing === 'wave'")
    for axis, key in (("y", "ArrowLeft"), ("z", "ArrowRight"), ("x", "Home")):
        before, what = seen(page) if axis == "x" else None, slider(page, f"Turn about {axis}")
        what.focus()
        what.press(key)
        page.wait_for_function("() => document.querySelector('.gl-view').dataset.playing === ''")
        if before is not None:
            link(page, "left_shoulder:-180")
            assert differ(before, seen(page)) > 0.002
    assert page.get_by_role("radio", name="hold a pose").is_checked()
    link(page, "pose=left_shoulder:-180,-1,1")
    waits(page, "left shoulder -180, -1, 1°")
    page.get_by_label("Joint", exact=True).click()
    page.get_by_role("option", name="right knee", exact=True).click()
    assert slider(page, "Turn about x").input_value() == "0", "another joint, not yet turned"
    slider(page, "Turn about x").focus()
    slider(page, "Turn about x").press("End")
    link(page, "pose=left_shoulder:-180,-1,1;right_knee:180,0,0")
    for name in ("squat", "stretch", "walk"):
        chosen(page, name)
        page.wait_for_function("name => document.querySelector('.gl-view').dataset.playing === name", arg=name)
        link(page, f"motion={name}" if name != "walk" else "pose=")


@pytest.mark.browser
def test_each_step_of_the_law_and_each_view_shows(visit, app):
    page = visit(f"{STILL}&b1=-2&b2=1&pose=left_elbow:0,-90,0;left_knee:60,0,0&joint=left_knee")
    shown = seen(page)
    names = {"shape": "shape blend", "skin": "skinning", "skeleton": "skeleton", "weights": "the joint's weights"}
    names |= {"close": "the joint from near", "template": "template", "compare": "before | now"}
    for name, label in names.items():
        on = name not in app.WORDS
        checkbox(page, label).set_checked(on)
        link(page, f"{name}={int(on)}")
        assert differ(shown, seen(page)) > 0.003, name
        checkbox(page, label).set_checked(not on)
        page.wait_for_function("word => !location.search.includes(word)", arg=f"{name}=")
        assert differ(shown, seen(page)) < 1e-3, f"{name}, and back"
    checkbox(page, "pose blend").uncheck()
    link(page, "bend=0")
    waits(page, "Without pose blend.")
    assert "left out" in page.locator(".gl-below").inner_text()


@pytest.mark.browser
def test_before_stands_beside_now(visit):
    page = visit(f"{STILL}&b0=1")
    checkbox(page, "before | now").check()
    link(page, "before=1,0,0,0,0,0,0,0,0,0||111")
    slider(page, "β₀").focus()
    slider(page, "β₀").press("End")
    page.wait_for_function("() => document.querySelector('.gl-facts').innerText.includes('(+3')")
    settled(page)
    assert sorted(page.locator(".gl-tags span").all_inner_texts()) == ["before", "now"]
    here = seen(page)
    other = visit(page.url.split("?")[1])
    assert differ(seen(other), here) < 1e-3, "the link holds both"


@pytest.mark.browser
def test_the_chips_tell_the_lesson(visit, app):
    page = visit()
    for name, changes in app.TRY.items():
        page.get_by_role("button", name=name, exact=True).click()
        word = next(f"{k}={v:g}" if isinstance(v, float) else k for k, v in changes.items() if k != "random")
        if changes.get(word, "walk") != "walk" or "=" in word:
            link(page, word)
        waits(page, app.in_words(app.clean(app.DEFAULTS | changes)))
        if "compare" in changes:
            says = page.get_by_text("Solid: now, without pose blend. Veil: before.")
            says.wait_for()
            box, stage = says.bounding_box(), page.locator(".gl-orbit").bounding_box()
            assert stage["y"] < box["y"] and box["y"] + box["height"] < stage["y"] + stage["height"], "on the picture"
            assert page.locator(".gl-tags span").count() == 0, "no name above a head that nobody sees"
    assert page.locator(".gl-view .gl-status").inner_text() == ""
    page.get_by_role("button", name="the knee's weights", exact=True).click()
    page.get_by_text("how much of each vertex follows the left knee").wait_for()


@pytest.mark.browser
def test_random_people_and_their_seed(visit):
    page = visit(STILL)
    before = seen(page)
    page.get_by_role("button", name="Random person").first.click()
    link(page, "seed=")
    assert differ(before, seen(page)) > 0.005
    page.get_by_role("checkbox", name="keep it").check()
    page.get_by_role("spinbutton", name="Seed", exact=True).fill("3")
    page.keyboard.press("Enter")
    link(page, "seed=3")
    link(page, "b0=2&b1=-2.6")
    again = visit(f"{STILL}&b1=1&seed=3")
    again.get_by_role("checkbox", name="keep it").check()
    again.get_by_role("button", name="Random person").first.click()
    link(again, "?b0=2&b1=-2.6")
    page.wait_for_function("link => location.href === link", arg=again.url)  # one person, one link
    page.get_by_role("button", name="Reset").click()
    page.wait_for_function("() => !location.search.includes('b0')")
    assert differ(before, seen(page)) < 1e-3


@pytest.mark.browser
def test_what_one_sees_can_be_taken_along(visit, app, tmp_path):
    trimesh = pytest.importorskip("trimesh")
    page = visit(f"{STILL}&b0=1&pose=left_elbow:0,-90,0")
    knobs = app.clean({"b0": 1, "motion": "still", "pose": "left_elbow:0,-90,0"})
    vertices, joints = app.stands(app.SHELF[app.BODY], knobs)
    for kind in app.KINDS:
        with page.expect_download() as download:
            page.get_by_role("button", name=kind.upper(), exact=True).click()
        assert download.value.suggested_filename == f"body.{kind}"
        download.value.save_as(tmp_path / f"body.{kind}")
    for kind in ("glb", "obj"):
        mesh = trimesh.load(tmp_path / f"body.{kind}", process=False, force="mesh")
        assert np.allclose(mesh.bounds, [vertices.min(0), vertices.max(0)], atol=1e-4)
        assert len(mesh.faces) == 26_692
    found = np.load(tmp_path / "body.npz")
    assert set(found) == {"betas", "poses", "vertices", "joints", "faces"} and found["betas"][0] == 1
    assert found["poses"].shape == (1, 72) and np.allclose(found["joints"], joints, atol=1e-6)
    assert np.allclose(found["vertices"], vertices, atol=1e-6)


@pytest.mark.browser
def test_without_webgl_it_moves_too(visit):
    none = """
    const real = HTMLCanvasElement.prototype.getContext;
    HTMLCanvasElement.prototype.getContext = function (kind, ...more) {
      return kind === "webgl2" ? null : real.call(this, kind, ...more);
    };
    """
    page = visit(STILL, script=none)
    assert "no WebGL2" in page.locator(".gl-view .gl-status").inner_text()
    before = seen(page)
    slider(page, "β₀").focus()
    slider(page, "β₀").press("End")
    link(page, "b0=4")
    assert differ(before, seen(page)) > 0.02


@pytest.mark.browser
def test_on_a_phone_in_the_dark_the_stage_comes_first_and_nothing_sticks_out(visit):
    hostile = "b0=NaN&b1=9e99&motion=%3Cscript%3E&pose=left_elbow:9999,0,0;root:1,1,1;x&before=%00|||&compare=maybe&z=1"
    page = visit(hostile, width=390, height=844, dark=True)
    link(page, "b1=4")
    link(page, "pose=left_elbow:180,0,0")
    assert not any(word in page.url for word in ("script", "before", "root")), "a hostile link is clamped"
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    stage, controls = (page.locator(place).first.bounding_box() for place in (".gl-stage", ".gl-controls"))
    assert stage["y"] < controls["y"]
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(16, 20, 24)"


@pytest.mark.browser
def test_ones_own_file_is_shown_and_a_bad_one_is_told(visit, app, tmp_path):
    small_body(FINGERS).save_npz(tmp_path / "mine.npz")
    (tmp_path / "bad.pkl").write_bytes(b"cos\nsystem\n(S'touch /tmp/owned'\ntR.")
    page = visit(f"{STILL}&joint=left_hand&pose=left_hand:0,0,9")
    before = seen(page)
    page.get_by_role("button", name="Your own SMPL file").click()
    box, load = page.get_by_label("Path of the file"), page.get_by_role("button", name="Load", exact=True)
    for wrong, said in (("bad.pkl", "bad.pkl"), ("none.npz", "no such file")):
        box.fill(str(tmp_path / wrong))
        load.click()
        page.get_by_text(said).last.wait_for()
    assert differ(before, seen(page)) < 1e-3, "the stage stays as it is"
    box.fill(str(tmp_path / "mine.npz"))
    load.click()
    page.get_by_text("On the stage: 104 vertices, 52 joints, 3 betas").wait_for()
    link(page, "motion=still")
    page.wait_for_function("() => !location.search.includes('left_hand')")
    page.get_by_label("Joint", exact=True).click()
    assert page.get_by_role("option").count() == 22, "those of SMPL's that this body has, without names for fingers"
    page.get_by_role("option", name="right wrist", exact=True).click()
    one = seen(page)
    assert differ(before, one) > 0.02
    chosen(page, "walk")
    page.wait_for_function("() => document.querySelector('.gl-view').dataset.playing === 'walk'")
    chosen(page, "hold a pose")
    link(page, "motion=still")
    small_body(FINGERS, seed=1).save_npz(tmp_path / "mine.npz")
    facts = page.locator(".gl-facts").inner_text()
    load.click()
    page.wait_for_function("old => document.querySelector('.gl-facts').innerText !== old", arg=facts)
    assert differ(one, seen(page)) > 0.02, "the file has changed, and was loaded again"
    page.evaluate("document.querySelector('.gl-view').removeAttribute('data-state')")
    page.get_by_role("button", name="Back to smpl-open").click()
    page.get_by_text("On the stage: 13,348 vertices").wait_for()
    page.locator(".gl-view[data-state=done]").wait_for()
    idle(page)
    assert differ(before, seen(page)) < 0.01, "but for the hand"


# -- what stands behind it ---------------------------------------------------------------------------------------------


def small_body(parents=PARENTS, seed: int = 0):
    """Two vertices a joint, and three betas."""
    from genlab.models.body import SMPL, SMPLConfig

    J, generator = len(parents), torch.Generator().manual_seed(seed)
    V, F = 2 * J, 2 * J - 2
    body = SMPL(SMPLConfig(vertices=V, faces=F, betas=3, parents=parents, bending=J - 1))
    body.v_template.copy_(torch.rand(V, 3, generator=generator) * 1.6)
    body.shapedirs.copy_(torch.randn(V, 3, 3, generator=generator) * 0.05)
    body.posedirs.copy_(torch.randn(V, 3, J - 1, 9, generator=generator) * 0.01)
    body.faces.copy_(torch.stack([torch.arange(F), torch.arange(F) + 1, torch.arange(F) + 2], dim=1))
    body.J_regressor.copy_(torch.eye(J).repeat_interleave(2, dim=1) / 2)
    body.weights.copy_(torch.eye(J).repeat_interleave(2, dim=0))
    return body


def test_no_strangers_file_is_read(app, tmp_path, monkeypatch):
    small_body().save_npz(tmp_path / "mine.npz")
    monkeypatch.setenv(limits.PUBLIC, "1")
    with pytest.raises(GenlabError, match="your own machine"):
        app.OWN[str(tmp_path / "mine.npz")]
    assert "Path of the file" not in str(app.build().get_config_file()["components"])


@pytest.mark.parametrize(
    "state",
    [
        {"motion": "still", "b0": 1.5, "pose": "left_elbow:0,-90,0;left_knee:40,0,5", "bend": False},
        {"motion": "squat", "b3": -2.0},
    ],
)
@pytest.mark.parametrize("own", [False, True])
def test_the_python_panel_makes_what_is_on_the_stage(app, state, own, capsys, tmp_path):
    """Also of an own body, which has other joints and fewer betas."""
    path = str(tmp_path / "mine.npz") if own else ""
    if own:
        small_body(FINGERS).save_npz(path)
        state = state | {"pose": f"{state.get('pose', '')};left_hand:1,2,3"}
    knobs, body = app.clean(state), app.OWN[path]
    made = {}
    exec(app.python(knobs, body, path).removeprefix("```python\n").removesuffix("\n```"), made)
    vertices, _ = app.stands(body, knobs)
    mine = made["vertices"][0].numpy()
    assert np.allclose(mine - [0, mine[:, 1].min(), 0], vertices, atol=1e-5)
    assert "height" in capsys.readouterr().out
    assert 100 * made["measurements"](made["body"], made["betas"])["height"].item() == pytest.approx(
        app.facts(body, knobs)["height"], abs=0.06
    )
    poses = np.load(app.export(body, knobs, "npz")["path"])["poses"]
    assert np.allclose(poses, made["pose"].flatten(1)), "and so does the file"


def test_an_own_body_has_smpls_joints(app, tmp_path):
    small_body((*PARENTS[:21], 18, *PARENTS[22:])).save_npz(tmp_path / "other.npz")
    with pytest.raises(GenlabError, match="24 joints that are not SMPL's"):
        app.OWN[str(tmp_path / "other.npz")]


def test_what_all_visitors_get_is_packed_once(app):
    for make, part in ((app.scene, "items"), (app.bending, "update")):
        one, two = make(), make()
        assert one[part] is two[part] and one["serial"] != two["serial"], "each is news to its page"


def test_a_file_is_read_again_when_it_is_loaded_and_has_changed(app, tmp_path):
    path = str(tmp_path / "mine.npz")
    small_body().save_npz(path)
    one, shown = app.OWN.again(path), app.scene(path)
    assert app.OWN.again(path) is one is app.OWN[path] and app.scene(path)["items"] is shown["items"]
    small_body(FINGERS).save_npz(path)
    assert app.OWN[path] is one, "the body on the stage stays, until it is loaded again"
    two = app.OWN.again(path)
    assert len(two.config.parents) == 52 and app.OWN[path] is two
    assert app.scene(path)["items"] != shown["items"]
    (tmp_path / "mine.npz").write_bytes(b"no body")
    with pytest.raises(GenlabError):
        app.OWN.again(path)
    assert app.OWN[path] is two


def test_the_words_of_the_sliders_are_measured(app):
    about, picture = app.arrival()
    assert about == {name: app.ABOUT[name] for name in about}, "python -m scripts.arrival body_shape"
    assert picture.ndim == 3


# -- through the API ---------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def client(address):
    from gradio_client import Client

    return Client(address, verbose=False)


def test_the_endpoints_are_named_and_described(client):
    named = client.view_api(return_format="dict")["named_endpoints"]
    ours = {name for name in named if name.startswith("/body_shape_")}
    assert ours == {"/body_shape_mesh", "/body_shape_pose", "/body_shape_measure", "/body_shape_random"}
    assert all(named[name]["description"] for name in ours)


def test_a_mesh_through_the_api(client):
    trimesh = pytest.importorskip("trimesh")
    pose = {"left_elbow": [0, -90, 0]}
    path, found = client.predict(betas=[1.0], pose=pose, api_name="/body_shape_mesh")
    mesh = trimesh.load(path, force="mesh")
    assert mesh.extents[1] * 100 == pytest.approx(found["height"], abs=0.1)
    assert found["knobs"]["pose"] == "left_elbow:0,-90,0" and 60 < found["volume"] < 90
    joints = client.predict(betas=[1.0], pose=pose, api_name="/body_shape_pose")["joints"]
    assert joints["left_wrist"][2] > joints["left_elbow"][2] + 0.2, "the forearm points ahead"
    person = client.predict(seed=5, api_name="/body_shape_random")
    assert client.predict(betas=person["betas"], api_name="/body_shape_measure")["height"] == person["height"]


@pytest.mark.parametrize("betas", [None, "x", [None, "y", float("nan"), 1e308], [1] * 10_000, {"a": 1}])
@pytest.mark.parametrize(
    "pose", [None, "left_elbow:0,-9", {"left_elbow": "x", "tail": [1, 2, 3]}, {"head": [1e99, None, []]}]
)
def test_a_stranger_may_send_anything(app, betas, pose):
    found = app.body_shape_pose(betas, pose, motion=["walk"], seconds="soon")
    assert app.clean(found["knobs"]) == found["knobs"] and len(found["joints"]) == 24
    assert np.isfinite(list(found["joints"].values())).all()


@pytest.mark.parametrize("before", [None, 7, "|||", "1,2|x|222", "9" * 10_000, "nan,inf|left_knee:1,2,3|010"])
def test_what_came_before_is_cleaned_too(app, before):
    once = app.clean_before(before)
    assert app.clean_before(once) == once
    assert app.before_of(app.clean({"before": before, "compare": True}))["motion"] == "walk"
