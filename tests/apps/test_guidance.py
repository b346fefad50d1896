"""The guidance app as a visitor meets it: in a browser, through a link, and through the API."""

import base64
import json
import re
import threading
import time
from io import BytesIO
from types import ModuleType

import numpy as np
import pytest

pytest.importorskip("gradio")

from lesson import again, finished, live, load, paced, served, shown, starting, visitor

from genlab import ui, viz

SMALL = "steps=5&n=2"  # two pictures in five steps: what is tested is the page


@pytest.fixture(scope="module")
def app() -> ModuleType:
    return load("guidance")


@pytest.fixture(scope="module")
def address(app):
    with served(app) as url:
        app.SHELF.warm()
        yield url


@pytest.fixture
def visit(browser, address):
    """visit(query, width, height): a page that can be used."""
    with visitor(browser, address) as opened:

        def at(*query, **look):
            page = opened(*query, **look)
            page.get_by_role("button", name="Generate").first.wait_for()
            return page

        yield at


def open_tab(page, name: str) -> None:
    page.get_by_role("tab", name=name, exact=True).click()


# -- in the browser ----------------------------------------------------------------------------------------------------


@pytest.mark.browser
def test_a_finished_picture_is_there_without_a_click(visit):
    page = visit()
    finished(page)
    pictures = shown(page)[..., 0]
    assert len(pictures) == 40, "x_t beside x_0 of twenty digits"
    assert all(p.max() > 200 and p.mean() < 100 for p in pictures), "ink on paper in each"
    alt = page.locator(".gl-grid").first.get_attribute("aria-label")
    assert re.search(r"20 generated digits at rho 2, 50 ddim steps, seed 7; \d+ of 20 read as asked", alt)
    said = page.locator(".gl-status").first.inner_text()
    assert said.endswith("50 ddim steps."), "how long it took elsewhere is nobody's business here"
    assert "?" not in page.url, "nothing was changed, so the link needs no state"
    page.locator(".gl-below .katex").nth(5).wait_for()  # the equation is set


@pytest.mark.browser
def test_generate_streams_and_the_scrubber_goes_through_the_steps(visit):
    page = visit("steps=40&n=2")
    finished(page)
    before = shown(page)
    again(page, page.get_by_role("button", name="Generate").first.click)
    live(page)
    assert not np.array_equal(shown(page), before), "another seed"
    last = shown(page)
    scrubber = page.get_by_role("slider", name="Step of the trajectory")
    scrubber.focus()
    scrubber.press("Home")
    assert page.locator(".gl-bar output").first.inner_text().startswith("t = 975")
    assert page.locator(".gl-now-t").first.inner_text() == "975", "the equation follows"
    first = shown(page)
    assert first[:2].std() > last[:2].std() / 4 and not np.array_equal(first[:2], first[2:]), "noise beside a guess"
    scrubber.press("End")
    assert np.array_equal(shown(page), last)


@pytest.mark.browser
def test_the_first_streamed_picture_comes_soon(visit):
    page = visit(SMALL)
    finished(page)
    page.evaluate(
        "() => { const film = document.querySelector('.gl-film'); film.removeAttribute('data-state');"
        " window.seen = new Promise(done => new MutationObserver(() => done(performance.now()))"
        ".observe(film, {attributes: true, attributeFilter: ['data-state']})); }"
    )
    start = page.evaluate("performance.now()")
    page.get_by_role("button", name="Generate").first.click()
    seconds = (page.evaluate("window.seen") - start) / 1000
    assert seconds < 30, "a bound that only a hang exceeds; `make bench` reports the time itself"


@pytest.mark.browser
def test_a_typed_seed_is_used_and_the_next_click_draws_another(visit):
    page = visit(SMALL)
    finished(page)
    box = page.get_by_role("spinbutton", name="Seed", exact=True)
    box.fill("123")
    again(page, page.get_by_role("button", name="Generate").first.click)
    assert box.input_value() == "123" and "seed=123" in page.url
    again(page, page.get_by_role("button", name="Generate").first.click)
    assert box.input_value() != "123" and "seed=123" not in page.url


@pytest.mark.browser
def test_generate_pressed_again_draws_something_else(visit, app, monkeypatch):
    """Even before the first picture of what was asked for: a seed on its way to the stage was not typed."""
    page, begin = visit(SMALL), app.RUNS.begin
    finished(page)
    monkeypatch.setattr(app.RUNS, "begin", lambda *run: time.sleep(1) or begin(*run))
    box = page.get_by_role("spinbutton", name="Seed", exact=True)
    found = [box.input_value()]
    for _ in range(3):
        page.get_by_role("button", name="Generate").first.click()
        page.wait_for_function("old => document.querySelector('.gl-seed input').value !== old", arg=found[-1])
        found.append(box.input_value())
    assert len({*found}) == 4


@pytest.mark.browser
def test_the_link_changes_as_soon_as_the_stage_does(visit):
    page = visit()
    finished(page)
    starting(page, page.get_by_role("button", name="a little", exact=True).click)
    live(page)
    assert "guidance=1" in page.url
    finished(page)


@pytest.mark.browser
def test_a_link_reproduces_what_it_shows(visit):
    page = visit(f"label=7&guidance=0.5&seed=11&{SMALL}")
    finished(page)
    here = shown(page)
    assert page.get_by_role("radio", name="7", exact=True).is_checked()
    assert page.get_by_role("spinbutton", name="Seed", exact=True).input_value() == "11"
    other = visit(page.url.split("?")[1])
    finished(other)
    assert np.array_equal(shown(other), here)
    assert set(page.url.split("?")[1].split("&")) == {"label=7", "guidance=0.5", "seed=11", "steps=5", "n=2"}


@pytest.mark.browser
def test_a_hostile_link_is_clamped(visit):
    page = visit("label=%3Cscript%3Ealert(1)%3C/script%3E&guidance=NaN&steps=-9e99&n=1e99&seed=-5&view=../etc&ink=%00")
    finished(page)
    assert "steps=5" in page.url and "seed=0" in page.url and "script" not in page.url
    assert len(shown(page)) == 40


@pytest.mark.browser
def test_changing_one_knob_shows_before_beside_now(visit):
    page = visit(f"seed=3&guidance=4&{SMALL}")
    finished(page)
    guided = shown(page)[2:]
    again(page, lambda: page.get_by_role("button", name="no guidance", exact=True).click())
    assert "guidance=0" in page.url and "seed=3" in page.url
    titles = page.locator(".gl-film figcaption").all_inner_texts()[:2]
    assert titles[0].startswith("before: rho 4") and titles[1].startswith("now: rho 0")
    assert np.array_equal(shown(page)[:2], guided)
    page.get_by_role("button", name="step by step").first.click()
    assert page.locator(".gl-film figcaption").first.inner_text().startswith("xₜ")


@pytest.mark.browser
def test_all_that_changed_is_named(visit):
    page = visit(f"label=7&guidance=6&{SMALL}")
    finished(page)
    assert page.locator(".gl-modes:visible").count() == 0, "nobody asked for what was there on arrival"
    again(page, lambda: page.get_by_role("button", name="a classifier instead", exact=True).click())
    titles = page.locator(".gl-film figcaption").all_inner_texts()[:2]
    assert titles[0] == "before: Class 7, rho 6, Steps 5, Classifier scale 0"
    assert titles[1] == "now: Class all, rho 0, Steps 50, Classifier scale 4"


@pytest.mark.browser
def test_every_control_acts(visit, app):
    page = visit(SMALL)
    finished(page)
    page.get_by_role("button", name="More").click()
    for name in ("7", "any", "ddpm", "dpm++", "unipc", "ddim"):
        again(
            page, lambda name=name: page.locator("label", has=page.get_by_role("radio", name=name, exact=True)).click()
        )
    assert "label=any" in page.url and "sampler" not in page.url
    for name, knob in app.KNOBS.items():
        if not isinstance(knob, ui.Number) or knob.box or name == "reach":
            continue
        slider = page.get_by_role("slider", name=f"range slider for {knob.label}")
        old = page.url
        slider.focus()
        again(
            page,
            lambda slider=slider: slider.press(
                "ArrowLeft" if slider.input_value() != slider.get_attribute("min") else "ArrowRight"
            ),
        )
        assert page.url != old, name


@pytest.mark.browser
def test_stop_stops_and_keeps_what_there_is(visit, app, monkeypatch):
    monkeypatch.setattr(app, "walk", paced(app.walk, lambda: time.sleep(0.1)))
    page = visit("steps=100&n=20&sampler=ddpm")
    live(page)
    page.get_by_role("button", name="Stop").first.click()
    finished(page)
    status = page.locator(".gl-status").first.inner_text()
    assert re.match(r"Stopped after \d+ of 100 steps: ", status)


@pytest.mark.browser
def test_a_second_click_restarts_instead_of_queueing(visit, app, monkeypatch):
    pressed = threading.Event()
    monkeypatch.setattr(app, "walk", paced(app.walk, lambda: pressed.wait(0.1)))
    page = visit("steps=100&n=20")
    live(page)
    begun, real = [], app.RUNS.begin
    monkeypatch.setattr(app.RUNS, "begin", lambda *about: begun.append(real(*about)) or begun[-1])
    for _ in range(2):
        starting(page, page.get_by_role("button", name="Generate").first.click)
        live(page)
    pressed.set()
    finished(page)
    assert [run.ended for run in begun] == ["replaced", ""]


@pytest.mark.browser
def test_the_sweep_and_the_chart(visit, app, monkeypatch):
    looked = threading.Event()
    monkeypatch.setattr(app, "walk", paced(app.walk, lambda: looked.wait(60)))
    page = visit(f"label=7&view=sweep&{SMALL}")
    live(page)
    assert not page.locator(".gl-row-note").first.inner_text(), "what the film of arrival said is not said of this run"
    looked.set()
    finished(page)
    assert len(shown(page)) == 50
    heads = page.locator(".gl-row-head:visible").all_inner_texts()
    assert [re.match(r"rho (\d+)", head)[1] for head in heads] == ["0", "1", "2", "4", "8"]
    assert all(re.search(r"\d+ of 10 read as asked, diversity 0\.\d+", head) for head in heads)
    chart = page.locator("svg.gl-chart")
    assert "rho 8: agreement" in chart.get_attribute("aria-label")
    assert "now: rho 8" in chart.text_content()


@pytest.mark.browser
def test_opening_a_view_shows_it_at_the_present_knobs(visit):
    page = visit()
    finished(page)
    open_tab(page, "Sweep rho")
    finished(page)
    assert len(shown(page)) == 50 and page.url.endswith("?view=sweep"), "the film of arrival: nothing was run"
    assert page.locator(".gl-bar output:visible").inner_text().startswith("t = 0")
    other = visit(f"guidance=0&{SMALL}")
    finished(other)
    again(other, lambda: open_tab(other, "Draw"))
    assert "guidance=0" in other.url and "view=draw" in other.url and len(shown(other)) == 2


@pytest.mark.browser
def test_a_drawing_is_kept_and_finished(visit, app):
    page = visit(f"view=draw&{SMALL}&label=3")
    finished(page)
    page.get_by_role("button", name="Clear").click()
    page.get_by_text("Draw part of a digit first").wait_for()
    box = page.locator(".gl-pad canvas").bounding_box()
    x, y, unit = box["x"], box["y"], box["width"] / 28
    page.mouse.move(x + 8 * unit, y + 8 * unit)
    page.mouse.down()
    page.mouse.move(x + 18 * unit, y + 8 * unit, steps=4)
    again(page, page.mouse.up)
    pictures = shown(page)[..., 0].reshape(2, 28, 28)
    assert (pictures[:, 7:9, 9:17] > 200).all(), "the stroke is there"
    assert "ink=" in page.url
    other = visit(page.url.split("?")[1])
    finished(other)
    assert np.array_equal(shown(other)[..., 0].reshape(2, 28, 28), pictures), "the link holds the drawing"


@pytest.mark.browser
def test_enter_generates(visit):
    page = visit(SMALL)
    finished(page)
    page.get_by_role("spinbutton", name="Seed", exact=True).focus()
    again(page, lambda: page.keyboard.press("Enter"))
    assert "seed=" in page.url
    page.get_by_role("checkbox", name="keep it").focus()
    again(page, lambda: page.keyboard.press("Enter"))
    assert page.evaluate("document.activeElement.type") == "checkbox", "the keyboard goes on from where it was"


@pytest.mark.browser
def test_a_kept_seed_is_kept(visit):
    page = visit(f"seed=5&{SMALL}")
    finished(page)
    before = shown(page)
    page.get_by_role("checkbox", name="keep it").check()
    again(page, lambda: page.get_by_role("button", name="Generate").first.click())
    assert np.array_equal(shown(page), before)


@pytest.mark.browser
@pytest.mark.parametrize("dark", [False, True])
def test_on_a_phone_the_stage_comes_first_and_nothing_sticks_out(visit, dark):
    page = visit(width=390, height=844, dark=dark)
    finished(page)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    stage, controls = (page.locator(place).first.bounding_box() for place in (".gl-stage", ".gl-controls"))
    assert stage["y"] < controls["y"]
    assert page.locator(".gl-cell canvas").first.bounding_box()["width"] >= 68
    background = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (background == "rgb(16, 20, 24)") == dark


@pytest.mark.browser
def test_on_a_desk_the_stage_has_most_of_the_room_and_digits_are_large(visit):
    page = visit()
    finished(page)
    assert page.locator(".gl-stage").first.bounding_box()["width"] >= 0.6 * 1280
    assert page.locator(".gl-cell canvas").first.bounding_box()["width"] >= 72
    assert page.evaluate("document.documentElement.scrollWidth") <= 1280


# -- through the API ---------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def client(address):
    from gradio_client import Client

    return Client(address, verbose=False)


def picture(path: str) -> np.ndarray:
    from PIL import Image

    return np.asarray(Image.open(path))


def test_the_endpoints_are_named_and_described(client):
    named = client.view_api(return_format="dict")["named_endpoints"]
    ours = {name for name in named if name.startswith("/guidance_")}
    assert ours == {"/guidance_sample", "/guidance_grid", "/guidance_inpaint", "/guidance_compare"}
    assert all(named[name]["description"] for name in ours)


def test_sample_through_the_api(client):
    path, found = client.predict(label="7", guidance=1.0, steps=5, n=3, seed=1, api_name="/guidance_sample")
    assert picture(path).shape == (28 * 4, 3 * 28 * 4 + 2)
    assert found["knobs"]["label"] == "7" and len(found["reads"]) == 3 and found["complete"]
    again, _ = client.predict(label="7", guidance=1.0, steps=5, n=3, seed=1, api_name="/guidance_sample")
    assert np.array_equal(picture(path), picture(again))


@pytest.mark.parametrize(
    "sent",
    [
        {"label": None, "guidance": None, "steps": None, "n": None, "seed": None},
        {"label": ["x"], "guidance": "a lot", "steps": {}, "n": [], "seed": "-"},
        {"label": "../../etc/passwd", "guidance": 1e308, "steps": -1, "n": -1, "seed": -1, "eta": 1e9},
        {"sampler": "euler", "low": 2, "high": -2, "rescale": -1, "classifier": "1", "seed": 2**80},
    ],
)
def test_a_stranger_may_send_anything(app, sent):
    _, found = app.guidance_sample(**{"steps": 5, "n": 2} | sent | ({} if sent.get("steps", 5) else {"steps": 5}))
    assert app.KNOBS.clean(found["knobs"]) == found["knobs"]
    assert len(found["reads"]) == found["knobs"]["n"]


def test_grid_compare_and_inpaint(app):
    _, grid = app.guidance_grid(label="3", steps=5, n=2)
    assert [row["guidance"] for row in grid["rows"]] == [0, 1, 2, 4, 8]
    assert grid["rows"][0]["diversity"] > 0
    _, change = app.guidance_compare(knob="guidance", before="0", after="6", steps=5, n=2)
    assert change["mean_change"] > 0 and change["after"]["knobs"]["guidance"] == 6
    _, same = app.guidance_compare(knob="guidance", before="2", after="2", steps=5, n=2)
    assert same["mean_change"] == 0
    drawing = ui.strokes([[(8, 8), (18, 8)]])
    file, done = app.guidance_inpaint(drawing.tolist(), label="7", steps=5, n=2)
    pictures = picture(file["path"])[::4, ::4]
    assert np.abs(pictures[7:9, 9:17].astype(int) - np.round(255 * drawing[7:9, 9:17])).max() <= 1
    assert len(done["reads"]) == 2


@pytest.mark.parametrize(
    "drawing", [None, [], "x", [[0] * 28] * 28, [[float("nan")] * 28] * 28, [[1] * 27] * 28, [["a"]]]
)
def test_inpaint_refuses_what_is_no_drawing(app, drawing):
    import gradio as gr

    with pytest.raises(gr.Error, match="28 rows of 28 numbers"):
        app.guidance_inpaint(drawing, steps=5, n=1)


def test_a_run_has_its_time(app):
    _, found = app.finished(ui.Run(0.0), app.KNOBS.defaults(), 1)
    assert not found["complete"] and found["steps"] == 1


# -- what the page says --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("view", "changes"),
    [
        ("watch", {"label": "4", "guidance": 1.5, "sampler": "ddpm"}),
        ("watch", {"low": 0.2, "high": 0.9, "rescale": 0.5, "eta": 0.5, "classifier": 1.0}),
        ("draw", {"label": "any", "reach": 1}),
        ("sweep", {"label": "all"}),
    ],
)
def test_the_python_panel_draws_what_is_on_the_stage(app, view, changes):
    knobs = app.KNOBS.clean({"steps": 5, "n": 2, "seed": 9} | changes)
    code = re.fullmatch(r"```python\n(.*)\n```", app.python(view, knobs, app.DRAWING), flags=re.S)[1]
    namespace = {}
    exec(code, namespace)
    images = namespace["images"]
    if view == "sweep":
        images, knobs = images[4.0], knobs | {"guidance": 4.0}
    part = app.known_part(app.DRAWING, knobs["reach"]) if view == "draw" else ()
    stage, _ = app.finished(ui.Run(), knobs, len(images), *part)
    assert np.abs(stage.astype(int) - np.round(255 * viz.to_numpy(images[:, 0]))).max() <= 1


def test_the_known_part_reaches_as_far_as_asked(app):
    ink = np.zeros((28, 28))
    ink[10, 10] = 1
    for reach in (0, 1, 6):
        known, mask = app.known_part(ui.drawn(ink), reach)
        assert mask.sum() == (2 * reach + 1) ** 2 and known.sum() == 1 and mask[0, 10, 10]


def test_the_verdict_counts_agreement_and_diversity_within_classes(app):
    images = np.zeros((20, 28, 28), np.uint8)
    images[3] = 255  # the first 3 is white, the second black: variance 1/2 in that class, 0 in nine others
    odds = np.eye(10)[[i % 10 for i in range(20)]]
    odds[0] = odds[1]  # the first 0 is read as a 1
    found = app.verdict(images, odds, "all")
    assert found["agreement"] == 0.95 and found["marks"][0] == "1 ✗" and found["marks"][1] == "1 ✓"
    assert found["diversity"] == pytest.approx(0.05)
    assert app.verdict(images, odds, "any")["agreement"] is None


def test_what_is_there_on_arrival_was_drawn_by_the_weights_of_today(app):
    """The bundled films are those that the command writes now, up to rounding of another machine's arithmetic."""
    films = json.loads(app.ARRIVAL.read_text(encoding="utf-8"))
    assert set(films) == set(app.VIEWS)
    from PIL import Image

    sheet = np.asarray(Image.open(BytesIO(base64.b64decode(films["watch"]["sheet"].split(",")[1]))))
    kept = sheet[-28:, 20 * 28 :].reshape(28, 20, 28).swapaxes(0, 1)
    fresh, _ = app.finished(ui.Run(), app.KNOBS.defaults(), 20)
    assert np.abs(kept.astype(int) - fresh).mean() < 6


def test_the_page_appears_before_the_models(app):
    start = time.monotonic()
    before = set(app.SHELF._models)
    app.build()
    assert set(app.SHELF._models) == before, "building loads nothing"
    assert time.monotonic() - start < 60
