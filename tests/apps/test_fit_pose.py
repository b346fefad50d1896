"""The app that fits bodies as a visitor meets it: in a browser, through a link, and through the API."""

import json
import re
import struct
import time
import zlib
from types import ModuleType

import numpy as np
import pytest

pytest.importorskip("gradio")

from lesson import idle, live, load, served, visitor

from genlab import ui, viz
from genlab.names import root

SHORT = "descent=10&steps=1"  # what is tested is the page
PLACES = (
    "() => [...document.querySelectorAll('[data-joint]')]"
    ".map(node => node.getAttribute('transform').match(/[-.\\d]+/g).map(Number))"
)
LEARNED = (
    "() => [...document.querySelectorAll('.gl-fits .gl-lane-lgd line:not(.gl-off)')]"
    ".map(line => [line.x2, line.y2].map(v => v.baseVal.value))"
)
OVER = (
    "run => { const race = document.querySelector('.gl-race');"
    " return race.dataset.state === 'done' && race.dataset.run !== run }"
)


@pytest.fixture(scope="module")
def app() -> ModuleType:
    return load("fit_pose")


@pytest.fixture(scope="module")
def address(app):
    with served(app) as url:
        yield url


@pytest.fixture
def visit(browser, address):
    """visit(query, width, height): a page on which a fit is over. Half the pixels: without a GPU they take long."""
    arrival = json.loads((root() / "apps" / "pictures" / "fit_pose.json").read_text(encoding="utf-8"))["race"]["run"]
    with visitor(browser, address) as opened:

        def at(query: str = "", *size: int, motion: str = "reduce", **look):  # the race shows its end at once
            page = opened(query, *size, reduced_motion=motion, device_scale_factor=0.5, **look)
            page.locator(".gl-view[data-state=done]").wait_for()
            page.wait_for_function(OVER, arg=arrival if query else "")
            idle(page)  # the equation and, of a posed body, the dots
            return page

        yield at


def again(page, act) -> str:
    """Do something that starts a run, and wait for that run's end; what is said of it."""
    run = page.locator(".gl-race").get_attribute("data-run")
    act()
    page.wait_for_function(OVER, arg=run)
    return status(page)


def status(page) -> str:
    return page.locator(".gl-race .gl-status").inner_text()


def drag(page, joint: int, right: float, down: float) -> None:
    box = page.locator(f"[data-joint='{joint}'] .gl-dot").bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + right, y + down, steps=4)
    page.mouse.up()


def places(page) -> np.ndarray:
    return np.array(page.evaluate(PLACES))


def learned(page) -> np.ndarray:
    """Where the learned fit sees joints 1 to 23."""
    return np.array(page.evaluate(LEARNED))


ELBOW, WRIST, KNEE = 18, 20, 4


# -- in the browser ----------------------------------------------------------------------------------------------------


@pytest.mark.browser
def test_a_fit_is_there_on_arrival_and_a_dragged_joint_is_followed(visit):
    page = visit()
    assert "?" not in page.url, "nothing was changed, so the link needs no state"
    assert re.match(r"Learned: .* mm in space after .*Adam: .* mm in space after", status(page))
    assert np.abs(learned(page) - places(page)[1:]).mean() < 12, "the fit lies on the figure"
    charts = [node.get_attribute("aria-label") for node in page.locator(".gl-charts svg").all()]
    assert all(re.search("learned ends at .* descent ends at", words) for words in charts)
    scrubber = page.get_by_role("slider", name="Time of the fit")
    last = learned(page)
    scrubber.focus()
    scrubber.press("Home")
    assert "step 0" in page.locator(".gl-race output").inner_text() and not np.array_equal(learned(page), last)
    assert page.locator(".gl-now-n").inner_text() == "0", "the equation follows"
    scrubber.press("End")
    assert np.array_equal(learned(page), last)

    before = places(page)
    said = again(page, lambda: drag(page, WRIST, 60, -40))
    after = places(page)
    moved = np.abs(after - before).max(axis=1) > 1
    assert list(np.flatnonzero(moved)) == [WRIST], "it alone"
    assert (learned(page) - last)[WRIST - 1] @ (after - before)[WRIST] > 0, "the fit follows"
    assert "mm" not in said and "points=" in page.url
    assert "nobody knows" in page.locator(".gl-charts svg").nth(1).get_attribute("aria-label")
    assert not page.get_by_role("radio", name="walk").is_checked(), "it is no example any more"
    other = visit(page.url.split("?")[1])
    assert np.abs(places(other) - after).max() < 0.1, "the link holds the figure"
    assert np.abs(learned(other) - learned(page)).max() < 1


@pytest.mark.browser
def test_joints_are_switched_and_moved_by_hand_and_by_keys(visit):
    page = visit(SHORT)
    seen = page.locator(".gl-tools output")
    knee = page.locator(f"[data-joint='{KNEE}']")
    said = again(page, lambda: knee.locator(".gl-dot").dblclick(force=True))
    assert knee.get_attribute("aria-pressed") == "false" and "not seen" in knee.get_attribute("aria-label")
    assert "mm in space" in said, "the true body is still known"
    assert "points=" in page.url
    again(page, lambda: page.get_by_role("button", name="Switch on").click())
    assert knee.get_attribute("aria-pressed") == "true" and "points=" not in page.url
    knee.focus()
    assert seen.inner_text() == "left knee"
    before = places(page)
    again(page, lambda: page.keyboard.press("ArrowRight"))
    assert np.allclose((places(page) - before)[KNEE], [3.84, 0], atol=0.2)
    again(page, lambda: page.keyboard.press("Delete"))
    assert (
        knee.get_attribute("aria-pressed") == "false" and page.evaluate("document.activeElement.dataset.joint") == "4"
    )
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.dataset.joint") == "5"
    page.get_by_role("button", name="Limb follows").click()
    before = places(page)
    again(page, lambda: drag(page, ELBOW, -20, 20))
    moved = np.abs(places(page) - before).max(axis=1) > 1
    assert list(np.flatnonzero(moved)) == [ELBOW, WRIST, 22]
    arm = places(page)[[ELBOW, WRIST, 22]]
    again(page, lambda: drag(page, ELBOW, 900, 0))
    pulled = places(page)[[ELBOW, WRIST, 22]]
    width = page.locator(".gl-figure svg").evaluate("x => x.viewBox.baseVal.width")
    assert np.allclose(pulled - pulled[0], arm - arm[0], atol=0.1), "as it was bent"
    assert pulled[:, 0].max() == pytest.approx(width, abs=0.1), "and in the picture"
    assert "elbow" in seen.inner_text()
    run = page.locator(".gl-race").get_attribute("data-run")
    drag(page, ELBOW, 50, 0)
    page.wait_for_timeout(500)
    assert page.locator(".gl-race").get_attribute("data-run") == run, "what cannot move is no change"
    again(page, page.locator("label", has=page.get_by_role("radio", name="squat", exact=True)).click)
    assert "of 24 seen" in seen.inner_text(), "nobody took hold of the new figure"


@pytest.mark.browser
def test_what_was_done_to_a_joint_is_undone(visit):
    page = visit(f"pose=squat&{SHORT}")
    undo = page.get_by_role("button", name="Undo", exact=True)
    assert undo.get_attribute("aria-disabled") == "true" and undo.get_attribute("aria-keyshortcuts") == "Control+Z"
    knee, first = page.locator(f"[data-joint='{KNEE}']"), places(page)
    again(page, lambda: knee.locator(".gl-dot").dblclick(force=True))
    said = again(page, lambda: drag(page, WRIST, 60, -40))
    second = places(page)
    assert "mm" not in said and "points=" in page.url
    said = again(page, lambda: page.keyboard.press("Control+z"))
    assert np.array_equal(places(page), first) and knee.get_attribute("aria-pressed") == "false"
    assert "mm in space" in said, "the true body is known again"
    page.get_by_role("radio", name="squat").and_(page.locator(":checked")).wait_for(state="attached")
    undo.focus()
    again(page, lambda: page.keyboard.press("Enter"))
    assert knee.get_attribute("aria-pressed") == "true" and "points=" not in page.url and "pose=squat" in page.url
    assert undo.get_attribute("aria-disabled") == "true"
    assert page.evaluate("document.activeElement.dataset.tool") == "undo"
    again(page, lambda: page.keyboard.press("Control+Shift+Z"))
    again(page, lambda: page.keyboard.press("Control+Shift+Z"))
    assert np.array_equal(places(page), second), "and done again"
    again(page, page.locator("label", has=page.get_by_role("radio", name="wave", exact=True)).click)
    assert undo.get_attribute("aria-disabled") == "true", "another figure has no past"


@pytest.mark.browser
def test_every_control_acts(visit, app):
    page = visit(SHORT)
    page.get_by_role("button", name="More").click()
    for name in ("arms up", "squat", "wave", "random", "walk", "COCO 17", "OpenPose 18", "OpenPose 25", "SMPL 24"):
        before = places(page)
        again(page, page.locator("label", has=page.get_by_role("radio", name=name, exact=True)).click)
        assert places(page).shape != before.shape or not np.allclose(places(page), before), name
    for name, knob in app.KNOBS.items():
        if not isinstance(knob, ui.Number) or knob.box:
            continue
        slider, old = page.get_by_role("slider", name=f"range slider for {knob.label}"), page.url
        slider.focus()
        again(page, lambda slider=slider: slider.press("ArrowRight"))
        assert page.url != old, name
    ghost = page.get_by_role("checkbox", name="true body as a ghost")
    again(page, ghost.click)
    assert "truth=0" in page.url
    old = places(page)
    again(page, page.get_by_role("button", name="Random pose").click)
    assert "pose=random" in page.url and not np.allclose(places(page), old)
    seed = page.get_by_role("spinbutton", name="Seed", exact=True)
    seed.fill("77")
    again(page, lambda: page.keyboard.press("Enter"))
    assert "seed=77" in page.url


@pytest.mark.browser
def test_the_words_along_the_time_keep_apart(visit, app, monkeypatch):
    """However long a fit takes: here a hundred times as long as the clock says."""
    walk = app.walk
    monkeypatch.setattr(app, "walk", lambda *about: ((100 * ms, state) for ms, state in walk(*about)))
    page = visit("steps=1&descent=50")
    for chart in page.locator(".gl-charts svg").all():
        words = [tick for tick in chart.locator("text.tick").all() if re.search("s$", tick.text_content())]
        boxes = sorted((box["x"], box["x"] + box["width"]) for box in (word.bounding_box() for word in words))
        assert {"100 ms", "1 s"} <= {word.text_content() for word in words}
        assert all(one[1] < two[0] for one, two in zip(boxes[:-1], boxes[1:], strict=True))


@pytest.mark.browser
def test_chips_tell_the_lesson_and_a_new_run_ends_the_old(visit, app, monkeypatch):
    page, begun, begin, walk = visit(SHORT), [], app.RUNS.begin, app.walk

    def press(name: str):  # at once: playwright's own click takes as long as a whole run on a busy machine
        page.evaluate(f"[...document.querySelectorAll('button')].find(b => b.textContent.trim() === '{name}').click()")

    def endless(lane, *about):  # a descent that goes on until it is ended, however slow the page
        run = begun[-1]
        for step in walk(lane, *about):
            yield step
            while lane == "descent" and run.going:
                time.sleep(0.01)

    monkeypatch.setattr(app.RUNS, "begin", lambda *about: begun.append(begin(*about)) or begun[-1])
    monkeypatch.setattr(app, "walk", endless)
    page.evaluate("glStates.length = 0")
    press("arms up")
    live(page)
    press("half of the joints")
    page.wait_for_function("() => location.search.includes('missing=12')")
    press("Stop")
    page.locator(".gl-race[data-state=done]").wait_for()
    assert [run.ended for run in begun] == ["replaced", "stopped"]
    assert status(page).startswith("Stopped. Learned: ")
    assert page.locator(".gl-tools output").inner_text() == "12 of 24 seen"


@pytest.mark.browser
def test_a_moved_joint_pauses_the_race_before_it(visit):
    """The page has better things to draw: the new fit."""
    page = visit(SHORT, motion="no-preference")
    page.locator(".gl-play[aria-label=Play]").wait_for()
    page.evaluate("() => { const now = performance.now(); performance.now = () => now }")  # a race without an end
    page.locator(".gl-play").click()
    page.locator(".gl-play[aria-label=Pause]").wait_for()
    label = "document.querySelector('.gl-play').ariaLabel"
    page.evaluate(f"document.addEventListener('gl-moved', () => globalThis.labels = [{label}])")
    again(page, lambda: drag(page, WRIST, 20, 20))
    assert page.evaluate("labels") == ["Play"]


def test_a_run_that_made_way_for_another_shows_nothing_more(app):
    knobs, run = app.KNOBS.defaults() | {"descent": 10}, ui.Run()
    states = app.race(knobs, app.pictured(knobs), run)
    first, found = next(states)
    assert first["lanes"]["lgd"] and found is None
    run.ended = "replaced"
    assert [*states] == []


@pytest.mark.browser
def test_the_dots_are_those_of_the_last_run(visit, app, monkeypatch):
    """Of two runs asked for one after the other the first may be late: its dots then stay away."""
    page, pictured, late = visit(SHORT), app.pictured, []

    def slow(knobs):
        figure = pictured(knobs)
        if knobs["pose"] == "squat":
            time.sleep(1.5)
            late.append(figure)
        return figure

    monkeypatch.setattr(app, "pictured", slow)
    name = "descent without a prior"
    for chip in ("ten steps", name):
        page.evaluate(f"[...document.querySelectorAll('button')].find(b => b.textContent.trim() === '{chip}').click()")
        page.wait_for_timeout(300)
    page.wait_for_function("() => location.search.includes('prior=0')")
    page.locator(".gl-race[data-state=done]").wait_for()
    while not late:
        page.wait_for_timeout(100)
    page.wait_for_timeout(500)
    expected = pictured(app.KNOBS.clean(app.KNOBS.defaults() | app.TRY[name])).xy
    assert np.allclose(page.evaluate(PLACES), expected, atol=0.1)
    assert page.get_by_role("radio", name="walk").is_checked()
    assert float(page.locator(".gl-now-L").inner_text()) > 0, "the equation stays filled"


def png_of(width: int, height: int) -> bytes:
    """A PNG's beginning, whatever size it claims."""
    header = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + header + struct.pack(">I", zlib.crc32(header))


@pytest.mark.browser
def test_keypoints_and_a_picture_of_ones_own(visit):
    page = visit(SHORT)
    good = {"keypoints": [x for k in range(17) for x in (200 + 9 * (k % 4), 60 + 20 * k, 2)]}
    files = page.locator(".gl-controls input[type=file]")

    def upload(data: bytes, name: str = "keypoints.json"):
        files.set_input_files({"name": name, "mimeType": "application/json", "buffer": data})

    said = again(page, lambda: upload(json.dumps(good).encode()))
    assert said.startswith("Learned: ") and page.locator("[data-joint]").count() == 17
    assert np.allclose(places(page)[3], [227, 120])
    kept, old = page.url, places(page)
    for data, sentence in ((b"[" * 200_000, "That is no JSON"), (b"{}", "No keypoints in it")):
        upload(data)
        page.locator(".gl-race .gl-status.gl-error", has_text=sentence).wait_for()
    assert page.url == kept and np.array_equal(places(page), old), "all stays as it was"

    picture = page.locator(".gl-figure input[type=file]")
    picture.set_input_files({"name": "bomb.png", "mimeType": "image/png", "buffer": png_of(60_000, 60_000)})
    page.get_by_text("too many pixels").wait_for()
    picture.set_input_files({"name": "not.png", "mimeType": "image/png", "buffer": b"<script>"})
    page.get_by_text("no picture that can be read").wait_for()
    fine = viz.png(np.full((500, 300), 180, np.uint8))
    again(page, lambda: picture.set_input_files({"name": "me.png", "mimeType": "image/png", "buffer": fine}))
    assert page.locator(".gl-figure svg").get_attribute("viewBox") == "0 0 300 500"
    assert np.allclose(places(page), old), "keypoints of this very picture keep their places"
    again(page, page.get_by_role("button", name="Remove picture").click)
    assert page.locator(".gl-figure image[href]").count() == 0
    assert np.allclose(places(page), old)
    other = visit(page.url.split("?")[1])
    assert np.allclose(places(other), old, atol=0.1) and other.locator(".gl-controls input:checked").count() == 0
    other.get_by_text("These are your keypoints").first.wait_for()


@pytest.mark.browser
def test_a_figure_comes_back_from_the_picture_behind_it(visit):
    page = visit(SHORT)
    first, size = places(page), page.locator(".gl-figure svg").get_attribute("viewBox")
    fine = {"name": "me.png", "mimeType": "image/png", "buffer": viz.png(np.full((500, 300), 180, np.uint8))}
    chooser, remove = page.locator(".gl-figure input[type=file]"), page.get_by_role("button", name="Remove picture")
    again(page, lambda: chooser.set_input_files(fine))
    assert not np.allclose(places(page), first, atol=1)
    said = again(page, remove.click)
    assert np.array_equal(places(page), first) and "mm in space" in said, "the true body is known again"
    again(page, lambda: chooser.set_input_files(fine))
    again(page, lambda: drag(page, WRIST, 20, -20))
    again(page, remove.click)
    assert page.locator(".gl-figure svg").get_attribute("viewBox") == size
    moved = np.abs(places(page) - first).max(axis=1) > 1
    assert list(np.flatnonzero(moved)) == [WRIST], "what was done meanwhile is kept"


@pytest.mark.browser
def test_on_a_phone_in_the_dark_the_stage_comes_first_and_nothing_sticks_out(visit):
    page = visit("points=%00&steps=1&descent=10&noise=NaN&missing=1e99&pose=../etc", width=390, height=844, dark=True)
    assert "missing=20" in page.url and "etc" not in page.url, "a hostile link is clamped"
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    stage, controls = (page.locator(place).first.bounding_box() for place in (".gl-stage", ".gl-controls"))
    assert stage["y"] < controls["y"]
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(16, 20, 24)"


# -- through the API ---------------------------------------------------------------------------------------------------


def test_both_fitters_through_the_api(address, app):
    from gradio_client import Client

    client = Client(address, verbose=False)
    named = client.view_api(return_format="dict")["named_endpoints"]
    ours = {name for name in named if name.startswith("/fit_pose")}
    assert ours == {"/fit_pose_lgd", "/fit_pose_adam"} and all(named[name]["description"] for name in ours)
    figure = app.pictured(app.KNOBS.defaults())
    rows = [[*xy, 1] for xy in figure.xy.tolist()]
    sent = {"keypoints": rows, "size": list(figure.size)}
    found = client.predict(keypoints=sent, api_name="/fit_pose_lgd")
    assert found["joints"] == "smpl" and found["seen"] == 24 and found["complete"] and len(found["steps"]) == 5
    last = found["steps"][-1]
    assert np.shape(last["pose"]) == np.shape(last["joints"]) == (24, 3) and len(last["betas"]) == 10
    times = [step["ms"] for step in found["steps"]]
    assert times == sorted(times) and 0 <= last["loss"] < found["steps"][0]["loss"]
    slow = client.predict(keypoints=json.loads(json.dumps(sent)), steps=10, api_name="/fit_pose_adam")
    assert len(slow["steps"]) == 11 and slow["steps"][-1]["loss"] < slow["steps"][0]["loss"]


@pytest.mark.parametrize(
    "sent", [None, {}, [], "x", {"keypoints": "x"}, {"people": [[]]}, {"keypoints": [[1, 1, 1]] * 24}]
)
def test_the_api_refuses_what_are_no_keypoints(app, sent):
    import gradio as gr

    for function in (app.fit_pose_lgd, app.fit_pose_adam):
        with pytest.raises(gr.Error, match="[Kk]eypoints|JSON"):
            function(sent)


def test_a_stranger_may_send_any_numbers(app):
    sent = {"keypoints": [[100.0 + k, 20 * k, 3] for k in range(24)], "size": ["a", -1]}
    found = app.fit_pose_lgd(sent, steps=float("nan"), focal="x")
    assert len(found["steps"]) == 5 and json.loads(json.dumps(found, allow_nan=False))
    found = app.fit_pose_adam(sent, steps=-1e9, method="newton", prior=1e300, focal=0)
    assert len(found["steps"]) == 11 and found["complete"]


# -- what the page says ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("changes", [{}, {"pose": "random", "joints": "coco", "missing": 5, "prior": 0.5}])
def test_the_python_panel_fits_what_is_on_the_stage(app, changes):
    knobs = app.KNOBS.clean({"steps": 2, "descent": 10} | changes)
    figure = app.pictured(knobs)
    code = re.fullmatch(r"```python\n(.*)\n```", app.python(knobs, figure), flags=re.S)[1]
    namespace = {}
    exec(code, namespace)
    for lane, name in (("lgd", "fit"), ("descent", "slow")):
        *_, state = app.steps_of(lane, knobs, figure)
        assert np.abs(viz.to_numpy(namespace[name].joints - state.joints)).max() < 0.01, "a tenth of a pixel apart"


def test_the_figure_is_the_true_body_in_the_middle_of_the_picture(app):
    for pose in ("walk", "stretch", "squat", "wave", "random"):
        figure = app.pictured(app.KNOBS.defaults() | {"pose": pose})
        low, high = figure.xy.min(axis=0), figure.xy.max(axis=0)
        assert np.abs((low + high) / 2 - np.array(figure.size) / 2).max() < 4
        assert ((high - low) / figure.size).max() == pytest.approx(app.FILLED, abs=0.02)


def test_more_noise_goes_the_same_way_and_more_missing_are_more(app):
    def at(**changes):
        return app.pictured(app.KNOBS.defaults() | changes)

    plain, some, more = (at(noise=noise).xy for noise in (0, 5, 10))
    assert np.allclose(more - plain, 2 * (some - plain))
    assert np.std(some - plain) == pytest.approx(5, rel=0.4)
    gone = [set(np.flatnonzero(at(missing=n).c == 0)) for n in (0, 4, 20)]
    assert gone[0] < gone[1] < gone[2] and [len(g) for g in gone] == [0, 4, 20]


def test_a_turn_about_the_vertical_comes_after_the_pose(app):
    """Against matrices."""
    from genlab.ops.rotations import axis_angle_to_matrix

    a = np.random.default_rng(0).normal(size=(20, 3))
    a *= (2.9 / np.linalg.norm(a, axis=1).max()) * np.linspace(0, 1, 20)[:, None]
    for row, yaw in zip(a, np.linspace(-3, 3, 20), strict=True):
        R, up, both = (
            viz.to_numpy(axis_angle_to_matrix(ui.tensor(v))) for v in (row, np.array([0, yaw, 0]), app.turned(row, yaw))
        )
        assert np.allclose(both, up @ R, atol=1e-6)


def test_what_is_there_on_arrival_was_fitted_by_the_weights_of_today(app):
    ready = json.loads(app.ARRIVAL.read_text(encoding="utf-8"))
    figure = ui.Figure.of(ready["figure"])
    knobs = app.KNOBS.defaults()
    assert np.abs(figure.xy - app.pictured(knobs).xy).max() < 0.1
    *_, state = app.steps_of("lgd", knobs, figure)
    found = app.measured(state, figure, app.truth_of(knobs, figure))
    assert found["mm"] == pytest.approx(ready["found"]["lgd"]["mm"], rel=0.05)


def test_setting_up_is_off_the_clock(app, monkeypatch):
    steps_of, begun = app.steps_of, []

    def slow(lane, *about):
        if lane not in begun:
            begun.append(lane)
            time.sleep(1)
        return steps_of(lane, *about)

    monkeypatch.setattr(app, "steps_of", slow)
    monkeypatch.setattr(app, "REHEARSED", set())
    knobs = app.KNOBS.defaults() | {"steps": 1, "descent": 10}
    run = ui.Run(app.SECONDS)
    *_, (shown, _) = app.race(knobs, app.pictured(knobs), run)
    assert begun == ["lgd", "descent"]
    assert all(shown["lanes"][lane][0]["ms"] < 900 for lane in begun)


def test_the_bodies_are_packed_once_for_all_visitors(app):
    for make, part in ((app.scene, "items"), (app.bending, "update")):
        one, two = make(), make()
        assert all(one[part][k] is two[part][k] for k in (one[part] if part == "update" else range(len(one[part]))))
        assert one["serial"] != two["serial"], "each is news to its page"


def test_poses_of_the_prior_have_its_mean_and_spread(app):
    """Whitened by their component, they are standard normal."""
    model = app.SHELF[app.DESCENT]
    poses = model.poses(4000, generator=ui.seeded(0))
    assert not poses[:, 0].any() and np.array_equal(poses[:9], model.poses(4000, generator=ui.seeded(0))[:9])
    off = poses[:, None, 1:].flatten(2) - model.means
    white = viz.to_numpy((off[:, :, None] @ model.whitening)[:, :, 0])
    nearest = (white**2).sum(axis=2).min(axis=1)
    assert nearest.mean() == pytest.approx(model.means.shape[1], rel=0.1)
