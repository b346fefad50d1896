"""The CLIP score app as a visitor meets it: in a browser, through a link, and through the API."""

import base64
import json
import re
import time
from pathlib import Path
from types import ModuleType
from urllib.parse import quote

import numpy as np
import pytest

pytest.importorskip("gradio")

import tiny_clip
from lesson import idle, load, served, slowed, visitor

import genlab
from genlab import GenlabError, ui, viz
from genlab.data import scenes

CELLS = (
    "() => [...document.querySelectorAll('.gl-matrix [role=gridcell] button')].map(b => b.getAttribute('aria-label'))"
)
SHARES = "() => [...document.querySelectorAll('.gl-matrix-bar em')].map(e => e.textContent)"
CONTRAST = """() => {
  const light = (css) => {
    const [r, g, b] = css.match(/[0-9]+/g).map((c) => (c /= 255) <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  return [...document.querySelectorAll(".gl-matrix [role=gridcell] button")].map((button) => {
    const { color, backgroundColor } = getComputedStyle(button), [x, y] = [light(color), light(backgroundColor)];
    return (Math.max(x, y) + 0.05) / (Math.min(x, y) + 0.05);
  });
}"""
CANVAS = "() => document.querySelector('.gl-matrix canvas').toDataURL()"


@pytest.fixture(scope="module")
def app() -> ModuleType:
    return load("clip_score")


@pytest.fixture(scope="module")
def clip(app):
    return app.SHELF[app.CLIP]


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
            page.get_by_role("button", name="Stop").first.wait_for()  # which each view has
            return page

        yield at


def finished(page) -> None:
    page.wait_for_selector(".gl-matrix[data-state=done]")
    page.wait_for_selector(".gl-below .katex")  # what comes last; the first of all, too


def again(page, act, state: str = "done") -> None:
    """Do something that changes the stage, and wait for that."""
    page.evaluate("document.querySelector('.gl-matrix').dataset.state = 'before'")
    act()
    page.wait_for_selector(f".gl-matrix[data-state={state}]")


def numbers(page) -> np.ndarray:
    """The numbers of the matrix, in reading order."""
    return np.array([float(label.split(":")[0].replace("\u2212", "-")) for label in page.evaluate(CELLS)])


def told(page) -> str:
    return page.locator(".gl-matrix .gl-status").inner_text()


def texts_box(page):
    return page.get_by_role("textbox", name="One a line", exact=True)


def setting(app, **changes) -> dict:
    """What is asked for, some of its knobs changed."""
    knobs = {name: changes.pop(name) for name in [*changes] if name in app.KNOBS}
    return app.start(knobs=app.KNOBS.clean(app.KNOBS.defaults() | knobs), **changes)


def shown(app, **changes) -> dict:
    """The matrix's value."""
    return next(v for v in app.stage(setting(app, **changes), ui.Run()) if "cells" in v)


# -- in the browser ----------------------------------------------------------------------------------------------------


@pytest.mark.browser
def test_a_finished_matrix_is_there_without_a_click(visit):
    page = visit()
    finished(page)
    labels = page.evaluate(CELLS)
    assert len(labels) == 16, "four pictures by four captions"
    assert [i for i, label in enumerate(labels) if "best text of this picture" in label] == [0, 5, 10, 15]
    assert page.locator(".gl-matrix [role=columnheader] img").first.bounding_box()["width"] >= 72
    assert "?" not in page.url, "nothing was changed, so the link needs no state"
    assert page.get_by_text("What matters here.").is_visible()
    assert page.locator(".gl-now-value").first.inner_text().startswith("0.")


@pytest.mark.browser
def test_typing_changes_the_matrix_and_tells_unknown_words(visit):
    page = visit()
    finished(page)
    again(page, lambda: texts_box(page).fill("a red circle\na large blue dgo\na photo of a stra"))
    page.wait_for_function("document.querySelectorAll('.gl-matrix [role=rowheader]').length === 3")
    page.get_by_text("not read: 'dgo'").wait_for()
    page.get_by_text("'stra' (did you mean star").wait_for()
    assert page.get_by_role("radio", name="my own").is_checked()
    page.wait_for_url("**say=own**")
    assert "texts=a+red+circle" in page.url


@pytest.mark.browser
def test_texts_typed_before_the_page_is_ready_are_the_visitors_own(visit):
    page = visit()
    finished(page)
    idle(page)  # what a reload cuts short is an error in the console
    slowed(page)
    page.reload(wait_until="domcontentloaded")
    texts_box(page).fill("a red circle\na blue star")  # as the link is still being read
    page.wait_for_function("document.querySelectorAll('.gl-matrix [role=rowheader]').length === 2")
    page.wait_for_url("**say=own**")
    assert texts_box(page).input_value() == "a red circle\na blue star"
    assert page.get_by_role("radio", name="my own").is_checked()


@pytest.mark.browser
@pytest.mark.parametrize("latency", [0, 400])
def test_chips_pressed_at_once_end_in_the_last_one(visit, latency):
    page = visit()
    finished(page)
    slowed(page, latency)
    for pause in (0, 250):
        for name in ("one word wrong", "which colour?", "unseen pair", "which colour?", "captions", "one word wrong"):
            page.wait_for_timeout(pause)
            page.get_by_role("button", name=name, exact=True).first.click()
        idle(page)
        assert "say=wrong" in page.url and page.get_by_role("radio", name="one word wrong").is_checked()
        heads = page.locator(".gl-matrix [role=rowheader]").all_inner_texts()
        assert "the truth about picture 1" in heads[0]
        assert texts_box(page).input_value().splitlines()[0] in heads[0], "the box follows the stage"
        page.get_by_role("button", name="captions", exact=True).first.click()
        page.get_by_role("button", name="captions", exact=True).first.click()
        page.wait_for_url(re.compile("^[^?]*$"))


@pytest.mark.browser
def test_what_is_pasted_as_the_page_writes_is_scored(visit):
    page = visit()
    finished(page)
    slowed(page)
    for pause in (0, 40, 120):
        before = texts_box(page).input_value()
        page.get_by_role("button", name="New pictures").click()
        page.wait_for_function("old => document.querySelector('.gl-own textarea').value !== old", arg=before)
        page.wait_for_timeout(pause)
        texts_box(page).fill("a red circle")
        page.wait_for_function("document.querySelectorAll('.gl-matrix [role=rowheader]').length === 1")
        page.wait_for_url("**say=own**")
        assert texts_box(page).input_value() == "a red circle"
        again(page, page.get_by_role("button", name="captions", exact=True).first.click)


@pytest.mark.browser
def test_the_link_follows_to_nearest_each_time(visit):
    page = visit()
    finished(page)
    for name in ("one word wrong", "captions", "one word wrong"):
        page.get_by_role("button", name="find a picture").first.click()
        page.wait_for_url("**view=nearest**")
        page.get_by_role("button", name=name, exact=True).first.click()
        page.wait_for_url(lambda url: "view=nearest" not in url)


@pytest.mark.browser
def test_pictures_out_of_sight_are_hinted_at(visit):
    page = visit("n=20")
    finished(page)
    grid = page.locator(".gl-matrix-grid")
    faded = "document.querySelector('.gl-matrix-grid').matches('.gl-goes-on')"
    assert page.evaluate(faded)
    grid.evaluate("node => node.scrollTo(1e6, 0)")
    page.wait_for_function(f"!{faded}")
    page.set_viewport_size({"width": 3000, "height": 800})
    assert not page.evaluate(faded)


@pytest.mark.browser
def test_new_pictures_are_new_at_each_press(visit):
    page = visit()
    finished(page)
    slowed(page, 150)
    seeds = []
    seed = page.locator(".gl-seed input")
    for _ in range(4):
        before = seed.input_value()
        page.get_by_role("button", name="New pictures").click()
        page.wait_for_function("old => document.querySelector('.gl-seed input').value !== old", arg=before)
        seeds.append(seed.input_value())
    page.wait_for_url(f"**seed={seeds[-1]}**")
    assert len({*seeds}) == 4
    seed.fill("5")
    seed.press("Enter")
    page.wait_for_url("**seed=5**")


@pytest.mark.browser
def test_nearest_shows_what_it_heeds_and_the_scores_come_back_as_they_were(visit):
    page = visit()
    finished(page)
    before = texts_box(page).input_value()
    page.get_by_role("button", name="More").click()
    page.get_by_role("button", name="find a picture", exact=True).click()
    page.wait_for_selector(".gl-found button")
    texts_box(page).wait_for(state="detached")
    gone = ["New pictures", "Add pictures of your own"]
    assert not any(page.get_by_role("button", name=name).is_visible() for name in gone)
    assert page.get_by_role("button", name="Stop").is_visible() and page.get_by_label(re.compile("^Model")).is_visible()
    held_out = page.locator("label", has=page.get_by_role("radio", name="one never seen", exact=True))
    caption = page.locator(".gl-found img").first.get_attribute("alt")
    held_out.click()
    page.wait_for_url("**split=held_out**")
    page.wait_for_function("old => document.querySelector('.gl-found img').alt !== old", arg=caption)
    again(page, page.get_by_role("button", name="captions", exact=True).first.click)
    assert texts_box(page).input_value() == before


@pytest.mark.browser
def test_a_chip_far_below_the_stage_brings_it_into_view(visit):
    page = visit("n=10", width=390, height=844)
    finished(page)
    page.wait_for_function("document.querySelectorAll('.gl-matrix [role=gridcell]').length === 100")
    page.get_by_role("button", name="read digits", exact=True).click()
    page.wait_for_function("Math.abs(document.querySelector('.gl-stage').getBoundingClientRect().top) < 40")


@pytest.mark.browser
def test_texts_that_cannot_be_scored_are_told_and_the_page_lives_on(visit):
    page = visit()
    finished(page)
    before = numbers(page)
    again(page, lambda: texts_box(page).fill("  \n "), "error")
    assert told(page).startswith("Write at least one text")
    again(page, lambda: texts_box(page).fill("a red star\n" + "x" * 10_000), "error")
    assert told(page) == "A text may have 500 characters; number 2 has 10,000."
    assert np.array_equal(numbers(page), before), "what was shown stays"
    again(page, lambda: texts_box(page).fill("a red star"))
    assert len(numbers(page)) == 4
    templates = page.get_by_role("textbox", name=re.compile("^Templates"))
    again(page, lambda: templates.fill("a {} and a {}"), "error")
    assert "one place for the text" in told(page)
    again(page, lambda: templates.fill("a large {}"))


@pytest.mark.browser
def test_the_temperature_acts_without_a_request(visit):
    page = visit("say=wrong&n=1&things=3&seed=10")
    finished(page)
    page.get_by_text("the truth about picture 1").wait_for()
    idle(page)  # the stream of the first run is closed
    requests = []
    page.on("request", lambda request: requests.append(request.url))
    before = page.evaluate(SHARES)
    slide = "(node, to) => { node.value = to; node.dispatchEvent(new Event('input', { bubbles: true })); }"
    slider = page.get_by_role("slider", name="Temperature")
    slider.evaluate(slide, 0)
    cold = page.evaluate(SHARES)
    slider.evaluate(slide, 200)
    hot = page.evaluate(SHARES)
    assert requests == []
    assert cold != before != hot and slider.get_attribute("aria-valuetext") == "2"
    even = 100 / len(hot)
    assert all(abs(float(share.split()[0]) - even) < 3 for share in hot), "hot: all alike"
    assert page.locator(".gl-now-temperature").first.inner_text() == "2", "the equation follows"
    slider.focus()
    slider.press("ArrowLeft")
    page.wait_for_url("**tau=**")
    page.get_by_role("button", name=re.compile("as learned")).click()
    assert page.evaluate(SHARES) == before and "tau" not in page.url


@pytest.mark.browser
def test_a_trap_is_a_click_away(visit):
    page = visit()
    finished(page)
    again(page, page.get_by_role("button", name="one word wrong", exact=True).click)
    heads = page.locator(".gl-matrix [role=rowheader]").all_inner_texts()
    assert "the truth about picture 1" in heads[0] and "wrong colour" in "".join(heads)
    assert all(("✓" in head) != ("✗" in head) for head in heads[1:])
    wrong = page.locator(".gl-matrix [role=rowheader] mark").all_inner_texts()
    assert len(wrong) >= len(heads) - 1 and all(map(str.isalpha, wrong)), "words, and not the comma that follows"
    assert "say=wrong" in page.url and len(numbers(page)) == len(heads)


@pytest.mark.browser
def test_a_cell_is_chosen_by_keys_and_its_picture_looked_at(visit):
    page = visit()
    finished(page)
    page.wait_for_timeout(300)
    before = page.evaluate(CANVAS)
    page.locator(".gl-matrix [role=gridcell] button[tabindex='0']").focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowDown")
    assert page.locator(".gl-matrix-hint").inner_text().startswith("Picture 2, \u201ca")
    again(page, lambda: page.keyboard.press("Enter"))
    page.wait_for_url("**cell=1%2C1**")
    assert page.locator(".gl-matrix-say").inner_text().startswith("Picture 2 and")
    assert page.evaluate(CANVAS) != before
    assert page.locator(".gl-now-column").first.inner_text().startswith("Picture 2:")


@pytest.mark.browser
def test_the_chosen_picture_is_in_sight(visit):
    page = visit("n=20&cell=2,19")
    finished(page)
    chosen = page.locator(".gl-matrix [role=gridcell] .gl-here").bounding_box()
    grid = page.locator(".gl-matrix-grid").bounding_box()
    assert grid["x"] < chosen["x"] and chosen["x"] + chosen["width"] + 1 <= grid["x"] + grid["width"], "with its frame"


@pytest.mark.browser
def test_pictures_of_ones_own_and_files_that_are_none(visit, tmp_path):
    image = np.full((90, 150, 3), (205, 232, 200), np.uint8)
    image[25:65, 55:95] = (214, 48, 49)
    (tmp_path / "square.png").write_bytes(viz.png(image))
    (tmp_path / "notes.txt").write_text("words")
    page = visit()
    finished(page)
    files = page.locator("input[type=file]").first
    files.set_input_files([tmp_path / "square.png", tmp_path / "notes.txt"])
    page.wait_for_function("document.querySelectorAll('.gl-matrix [role=gridcell]').length === 20")
    page.get_by_text("notes.txt is no picture that can be read here").wait_for()
    assert len(numbers(page)) == 20 and page.locator(".gl-matrix [role=columnheader] img").count() == 5
    for i in range(500):
        (tmp_path / f"{i}.png").write_bytes(viz.png(image[:9, :9]))
    files.set_input_files([tmp_path / f"{i}.png" for i in range(500)])
    page.get_by_text("500 files are too many: this page holds 48").wait_for()
    again(page, page.get_by_role("button", name="Remove them").click)
    assert len(numbers(page)) == 16


@pytest.mark.browser
def test_a_drawing_becomes_a_picture_in_colours_or_in_ink(visit):
    page = visit()
    finished(page)
    page.get_by_role("button", name="Draw one").click()
    page.get_by_role("button", name="Add the drawing").click()
    page.get_by_text("Nothing is drawn yet").wait_for()
    paint(page, ".gl-palette canvas")
    again(page, page.get_by_role("button", name="Add the drawing").click)
    page.wait_for_function("document.querySelectorAll('.gl-matrix [role=gridcell]').length === 20")
    assert "drawing 1" in page.locator(".gl-matrix").inner_text()
    page.wait_for_url("**drawn=**")
    other = visit(page.url.split("?")[1])
    finished(other)
    other.wait_for_function("document.querySelectorAll('.gl-matrix [role=gridcell]').length === 20")
    assert numbers(other).tolist() == numbers(page).tolist(), "the link holds the drawing"
    other.close()
    again(page, page.get_by_role("button", name="read digits", exact=True).click)
    page.wait_for_function("document.querySelectorAll('.gl-matrix [role=gridcell]').length === 110")
    assert page.locator(".gl-palette canvas").is_hidden()
    paint(page, ".gl-pad canvas")
    again(page, page.get_by_role("button", name="Add the drawing").click)
    page.wait_for_function("document.querySelectorAll('.gl-matrix [role=gridcell]').length === 120")
    assert "scored by clip-mnist" in told(page)
    again(page, page.get_by_role("button", name="captions", exact=True).first.click)
    assert "scored by clip-scenes" in told(page), "the lesson on scenes is clip-scenes' again"


def paint(page, canvas: str) -> None:
    """A stroke down the middle."""
    page.locator(canvas).scroll_into_view_if_needed()
    box = page.locator(canvas).bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"]
    page.mouse.move(x, y + 0.2 * box["height"])
    page.mouse.down()
    page.mouse.move(x + 3, y + 0.5 * box["height"], steps=4)
    page.mouse.move(x, y + 0.8 * box["height"], steps=4)
    page.mouse.up()


@pytest.mark.browser
def test_a_link_reproduces_what_it_shows(visit):
    page = visit("say=own&texts=red%0Ablue&templates=a+%7B%7D+circle&seed=3&n=2&things=1&tau=0.5&cell=1,1")
    finished(page)
    page.wait_for_function("document.querySelectorAll('.gl-matrix [role=gridcell]').length === 4")
    assert page.locator(".gl-matrix-heat output").inner_text() == "0.5"
    assert page.locator(".gl-matrix-say").inner_text().startswith("Picture 2 and \u201cblue\u201d")
    here = page.evaluate(CELLS)
    other = visit(page.url.split("?")[1])
    finished(other)
    other.wait_for_function("document.querySelectorAll('.gl-matrix [role=gridcell]').length === 4")
    assert other.evaluate(CELLS) == here and other.evaluate(SHARES) == page.evaluate(SHARES)


@pytest.mark.browser
def test_a_text_in_a_link_is_shown_as_it_is_and_asks_nobody(visit):
    """The visit itself sees to the second: its page may ask no other host."""
    text = "a red heart ![x](http://example.invalid/x.png) *large* $\\pi$ $1 | http://example.invalid"
    page = visit(f"say=own&texts={quote(text)}&n=1")
    finished(page)
    page.locator(".gl-now-row", has_text="red heart").first.wait_for()
    assert page.locator(".gl-now-row").first.inner_text() == text
    assert page.locator(".gl-below table img, .gl-below table a").count() == 0


@pytest.mark.browser
def test_a_hostile_link_is_clamped(visit):
    page = visit("say=%3Cscript%3E&n=1e9&seed=NaN&things=x&tau=-1&cell=a,9e9&templates=%7B0.__class__%7D&view=../x")
    finished_or_told = page.wait_for_selector(".gl-matrix[data-state=error]")
    assert finished_or_told and "one place for the text" in told(page)
    again(page, page.get_by_role("button", name="captions", exact=True).click)
    assert "script" not in page.url and "tau" not in page.url


@pytest.mark.browser
def test_a_scene_is_found_by_words(visit):
    page = visit("view=nearest")
    page.wait_for_selector(".gl-found button")
    alts = ".gl-found img >> nth=0"
    before = page.locator(alts).get_attribute("alt")
    page.get_by_role("textbox", name="Look for").fill("a small blue cross on a pink field")
    page.get_by_text("The nearest to “a small blue cross on a pink field”").wait_for()
    assert page.locator(alts).get_attribute("alt") != before
    page.wait_for_url("**query=a+small+blue+cross**")
    page.get_by_role("textbox", name="Look for").press("Enter")
    page.wait_for_timeout(500)
    assert "seed" not in page.url and "say" not in page.url, "Enter searches, and draws nothing new"
    page.wait_for_function(
        "document.querySelector('.gl-now-row')?.textContent === 'a small blue cross on a pink field'"
    )
    page.locator(".gl-found button").nth(3).click()
    page.wait_for_selector(".gl-found button:nth-child(4)[aria-pressed=true]")
    page.wait_for_url("**picked=3**")
    other = visit(page.url.split("?")[1])
    other.wait_for_selector(".gl-found button:nth-child(4)[aria-pressed=true]")
    assert page.locator(".gl-nearest li").count() == 6
    below = page.get_by_role("button", name="find a picture", exact=True)
    top = below.bounding_box()["y"] + page.evaluate("scrollY")
    page.get_by_role("textbox", name="Look for").fill("")
    page.get_by_text("Write what to look for.").wait_for()
    assert abs(below.bounding_box()["y"] + page.evaluate("scrollY") - top) < 8, "the page stays where it is"
    page.locator(".gl-now-row").first.wait_for(state="detached")  # nor has the equation anything to tell


@pytest.mark.browser
def test_every_control_acts(visit, app):
    page = visit("n=3")
    finished(page)
    page.get_by_role("button", name="More").click()
    for name in ("other words", "captions", "3", "one never seen", "as in training"):
        radio = page.locator("label", has=page.get_by_role("radio", name=name, exact=True))
        again(page, radio.first.click)
    slider = page.get_by_role("slider", name=re.compile("Pictures"))
    slider.focus()
    again(page, lambda: slider.press("ArrowRight"))
    assert "n=4" not in page.url and len(numbers(page)) == 16 and "things=3" in page.url
    again(page, page.get_by_role("button", name="New pictures").click)
    page.wait_for_url(re.compile("seed="))
    *names, last = app.TRY
    for name in names:
        again(page, page.get_by_role("button", name=name, exact=True).click)
    page.get_by_role("button", name=last, exact=True).click()
    page.get_by_text("The nearest to “").wait_for()


@pytest.mark.browser
@pytest.mark.parametrize("dark", [False, True])
def test_on_a_phone_the_stage_comes_first_and_nothing_sticks_out(visit, dark):
    page = visit("n=7", width=390, height=844, dark=dark)
    finished(page)
    page.wait_for_function("document.querySelectorAll('.gl-matrix [role=gridcell]').length === 49")
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    stage, controls = (page.locator(place).first.bounding_box() for place in (".gl-stage", ".gl-controls"))
    assert stage["y"] < controls["y"]
    text, cell = (page.locator(f".gl-matrix [role={role}]").first.bounding_box() for role in ("rowheader", "gridcell"))
    assert text["y"] + text["height"] <= cell["y"] + 1 and cell["width"] >= 64, "each text above its numbers"


@pytest.mark.browser
def test_numbers_stand_out_from_their_colour(visit):
    page = visit("n=12")
    finished(page)
    page.wait_for_function("document.querySelectorAll('.gl-matrix [role=gridcell]').length === 144")
    assert page.locator(".gl-matrix-more").inner_text() in ("and 2 more, each 0 %", "and 2 more, each at most 0.1 %")
    ratios = page.evaluate(CONTRAST)
    assert min(ratios) >= 4.5


# -- models of others --------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return tiny_clip.build(tmp_path_factory.mktemp("clips"))


def test_a_model_of_open_clip_scores(app, folder):
    from genlab.models.vision_language import OpenCLIP

    *_, whole, overlay = app.stage(setting(app, model=str(folder), n=2), ui.Run())
    some = scenes.sample(24, app.KNOBS["seed"].default, most=2)[:2]
    theirs = OpenCLIP.from_pretrained(folder).score(scenes.draw(some, 224).float() / 255, scenes.captions(some))
    assert np.allclose(whole["cells"], theirs.T.cpu(), atol=2e-3)
    assert np.array(overlay["overlay"]["drops"]).shape == (8, 8) and not whole["pixelated"]
    assert whole["temperature"] == pytest.approx(1 / 14.285, rel=0.01)
    *_, found = app.search(setting(app, model=str(folder), view="nearest"), ui.Run())
    assert "of 60 pictures" in found["html"] and found["cosine"] <= 1


@pytest.mark.browser
def test_a_model_of_open_clip_scores_on_the_page_and_a_wrong_name_is_told(visit, folder):
    page = visit()
    finished(page)
    box = page.get_by_label(re.compile(r"^Model \(")).first
    box.fill("no-such-model")
    again(page, lambda: box.press("Enter"), "error")
    assert "no model is called 'no-such-model'" in told(page)
    box.fill(str(folder))
    again(page, lambda: box.press("Enter"))
    assert f"scored by {folder}" in told(page) and len(numbers(page)) == 16
    box.fill("clip-scenes")
    again(page, lambda: box.press("Enter"))
    assert "scored by clip-scenes" in told(page)


def test_strangers_use_our_models_and_those_the_owner_names(app, monkeypatch):
    assert app.JUDGES.permitted(" clip-scenes ") == app.JUDGES.permitted(None) == "clip-scenes"
    monkeypatch.setenv("GENLAB_PUBLIC", "0")
    with pytest.raises(GenlabError, match="'ddpm-mnist' of genlab does not score here: clip-scenes or clip-mnist does"):
        app.JUDGES.permitted("ddpm-mnist")
    assert app.JUDGES.permitted("/some/folder") == "/some/folder"
    monkeypatch.setenv("GENLAB_PUBLIC", "1")
    for name in ("/etc", "user/clip", "ViT-B-32/openai", "../x"):
        with pytest.raises(GenlabError, match="This page scores with clip-scenes, clip-mnist, not with"):
            app.JUDGES.permitted(name)
    monkeypatch.setenv("GENLAB_CLIPS", "user/clip")
    assert app.JUDGES.permitted("user/clip") == "user/clip" and app.JUDGES.permitted("clip-scenes") == "clip-scenes"
    monkeypatch.setenv("GENLAB_CLIPS", "/etc")
    with pytest.raises(GenlabError, match="GENLAB_CLIPS lists Hub ids"):
        app.JUDGES.permitted("user/clip")


# -- through the API ---------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def client(address):
    from gradio_client import Client

    return Client(address, verbose=False)


def test_the_endpoints_are_named_and_described(client):
    named = client.view_api(return_format="dict")["named_endpoints"]
    ours = {name for name in named if name.startswith("/clip_")}
    assert ours == {"/clip_scenes", "/clip_score", "/clip_zero_shot", "/clip_nearest"}
    assert all(named[name]["description"] for name in ours)


def test_scores_through_the_api_are_those_of_the_model(client, clip):
    some = scenes.sample(24, 17, most=2)
    image, captions = scenes.draw(some[:2]), scenes.captions(some[:2])
    sent = base64.b64encode(viz.png(image[0].permute(1, 2, 0).numpy())).decode()
    found = client.predict([sent, "scene:17:1"], [*captions, "a red dgo"], api_name="/clip_score")
    expected = clip.score(image.float() / 255, found["texts"])
    assert np.allclose(found["cosine"], expected.cpu(), atol=2e-3)
    assert np.allclose(found["clip_score"], 2.5 * expected.clamp_min(0).cpu(), atol=4e-3)
    assert "dgo" in found["not_read"]["a red dgo"]
    shares = client.predict("scene:17", ["red", "blue"], ["a {} star", "a {} heart"], 0.1, api_name="/clip_zero_shot")
    p = clip.zero_shot(image[:1].float() / 255, ["red", "blue"], ["a {} star", "a {} heart"], 0.1)[0]
    assert np.allclose([*shares["probability"].values()], p.cpu(), atol=5e-3)
    file, near = client.predict("a red circle", 3, api_name="/clip_nearest")
    assert Path(file).is_file() and len(near) == 3 and near[0]["cosine"] >= near[2]["cosine"]
    file, said = client.predict(seed=17, n=2, api_name="/clip_scenes")
    assert said == captions and Path(file).is_file()


@pytest.mark.parametrize(
    ("name", "sent", "said"),
    [
        ("clip_score", {"images": [], "texts": ["a"]}, "images are a list of 1 to 48"),
        ("clip_score", {"images": "scene:1", "texts": ["a"]}, "images are a list"),
        ("clip_score", {"images": ["scene:1"] * 500, "texts": ["a"]}, "images are a list of 1 to 48"),
        ("clip_score", {"images": ["/etc/passwd"], "texts": ["a"]}, "image 1 is no"),
        ("clip_score", {"images": ["scene:1:99"], "texts": ["a"]}, "scenes 0 to 23"),
        ("clip_score", {"images": ["scene:1"], "texts": []}, "texts are a list of strings"),
        ("clip_score", {"images": ["scene:1"], "texts": 5}, "texts are a list of strings"),
        ("clip_score", {"images": ["scene:1"], "texts": [" "]}, "none of them empty"),
        ("clip_score", {"images": ["scene:1"], "texts": ["x" * 10_000]}, "number 1 has 10,000"),
        ("clip_score", {"images": ["scene:1"], "texts": ["x"] * 51}, "51 texts are too many"),
        ("clip_score", {"images": [None], "texts": ["a"]}, "image 1 is no file"),
        ("clip_score", {"images": ["scene:1"], "texts": ["a"], "model": "../x"}, "This page scores with"),
        ("clip_zero_shot", {"image": {}, "classes": ["a"]}, "no file in base64"),
        ("clip_zero_shot", {"image": "scene:1", "classes": [1]}, "classes are a list of strings"),
        ("clip_zero_shot", {"image": "scene:1", "classes": ["a"], "templates": ["{0.__class__}"]}, "one place"),
        ("clip_zero_shot", {"image": "scene:1", "classes": ["a"], "templates": "a {}"}, "templates are a list"),
        ("clip_nearest", {"text": ""}, "texts are a list of strings, one or more, none of them empty"),
        ("clip_nearest", {"text": None}, "none of them empty"),
    ],
)
def test_endpoints_refuse_what_they_cannot_score(app, monkeypatch, name, sent, said):
    import gradio as gr

    monkeypatch.setenv("GENLAB_PUBLIC", "1")
    with pytest.raises(gr.Error, match=re.escape(said)):
        getattr(app, name)(**sent)


@pytest.mark.parametrize("tau", [None, "x", float("nan"), -1, [], 1e300])
def test_numbers_that_a_stranger_sends_are_held_in_range(app, tau):
    found = app.clip_zero_shot("scene:99999999999"[:12], ["red", "blue"], temperature=tau)
    assert 0.001 <= found["temperature"] <= 10 and sum(found["probability"].values()) == pytest.approx(1, abs=1e-3)
    assert app.cell_of([tau, 0]) in (None, (10_000, 0), (0, 0))


# -- what the page says ------------------------------------------------------------------------------------------------


def test_a_line_is_a_text(app):
    assert app.texts_of(" a\n\n b \x00c ") == ["a", "b  c"]
    assert app.templates_of("") == ["{}"] and app.templates_of("a {}\nthe {}") == ["a {}", "the {}"]
    for wrong in ("a", "{}{}", "{0}", "{} {x}", "{{}}", "{!r}", "{:>99999999}"):
        with pytest.raises(GenlabError, match="one place for the text"):
            app.templates_of(wrong)


@pytest.mark.parametrize("seed", range(8))
def test_traps_change_what_they_say_they_change(app, seed):
    some = scenes.sample(24, seed, most=3)
    found = app.world(app.CLIP).traps(some, seed)
    true = scenes.captions(some[:1])[0]
    assert found[0] == ("", true, []) and len({text for _, text, _ in found}) == len(found)
    for kind, text, mark in found[1:]:
        words, others = true.split(), text.split()
        assert len(words) == len(others) and mark
        assert all(words[k] != others[k] for k in mark)
        if kind != "exchanged":
            assert len(mark) == 1
        else:
            words, others = (set(t.replace(",", "").split()) - {"a", "an"} for t in (true, text))
            assert words == others
    assert {"colour", "shape", "size", "field"} <= {kind for kind, *_ in found}


def test_the_matrix_holds_the_models_cosines(app, clip):
    some = scenes.sample(24, 5, most=2)[:3]
    value = shown(app, seed=5, n=3)
    expected = clip.score(scenes.draw(some).float() / 255, scenes.captions(some)).T.cpu()
    assert np.allclose(value["cells"], expected, atol=2e-3) and value["temperature"] == pytest.approx(clip.temperature)
    assert np.allclose(value["also"][0]["cells"], 2.5 * expected.clamp_min(0), atol=4e-3)


def test_what_matters_is_where_the_thing_is(app):
    """A cover in the picture's commonest colour changes nothing where there is nothing."""
    some = scenes.sample(24, 1, most=1)[:4]
    pictures = scenes.draw(some).permute(0, 2, 3, 1).numpy()
    for i, text in enumerate(scenes.captions(some)):
        drops = app.drops(app.CLIP, pictures[i], text, ["{}"], ui.Run())
        y, x = np.unravel_index(np.abs(drops).argmax(), drops.shape)
        at = some.centre[i, 0].numpy() * 8
        assert np.hypot(x + 0.5 - at[0], y + 0.5 - at[1]) < 2.6, text
        assert drops.max() > 0.02


def test_digits_of_our_own_hand_are_read_by_clip_mnist(app):
    labels, pictures = app.world(app.MNIST).sample(100, 3, "1", "any", 28)
    assert sorted(labels[:10]) == list(range(10))
    names, forms = app.NAMES, ["a handwritten {}", "the digit {}"]
    g, f = app.told(app.MNIST, names, forms, ui.Run()), app.seen(app.MNIST, list(pictures), ui.Run())
    right = ((f @ g.T).argmax(axis=1) == labels).mean()
    assert right >= 0.9, right
    on_paper = app.seen(app.MNIST, [255 - picture for picture in pictures[:10]], ui.Run())
    assert np.allclose(on_paper, f[:10], atol=5e-3), "dark ink on light paper is read like light ink on black"
    found = app.clip_zero_shot("digit:3:4", names, forms, model=app.MNIST)
    assert found["best"] == names[(f[4] @ g.T).argmax()]


def test_phrases_of_digits_name_them(app):
    digits, labels = app.world(app.MNIST), np.arange(10)
    assert digits.captions(labels) == [f"a handwritten {name}" for name in app.NAMES]
    for y, text in zip(labels, digits.paraphrases(labels, 1), strict=True):
        assert {app.NAMES[y], str(y)} & set(text.split())
    (_, true, _), *wrong = digits.traps(labels[3:], 0)
    assert true == "a handwritten three" and len({text for _, text, _ in wrong} - {true}) == 4
    assert all(mark == [2] for _, _, mark in wrong)


def test_the_cover_moves_over_the_whole_picture(app):
    picture = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    hidden = app.covered(picture)
    changed = np.stack([(a != picture).any(axis=-1) for a in hidden])
    assert len(hidden) == 64 and changed.any(axis=0).mean() > 0.99
    assert changed[27].sum() == pytest.approx(16 * 16, rel=0.02) and changed[0].sum() < 16 * 16


def test_what_was_encoded_is_remembered_and_a_run_ends(app):
    calls = []

    def encode(rows):
        calls.append(len(rows))
        return np.ones((len(rows), 2)) * np.array(rows)[:, None]

    now = time.monotonic()
    keys = [("test", now, i % 20) for i in range(40)]
    first = app.features(keys, encode, ui.Run())
    assert calls == [16, 4] and first.shape == (40, 2) and np.array_equal(first[:20], first[20:])
    assert np.array_equal(app.features(keys, encode, ui.Run(0.0)), first) and calls == [16, 4]
    with pytest.raises(app.Ended):
        app.features([("test", "new")], encode, ui.Run(0.0))


def test_unknown_words_are_told_with_near_ones(app):
    a, b, c = app.unread(app.CLIP, ["a red circle", "a blue triangel", " ".join(["red"] * 60)])
    assert a == "" and b.startswith("not read: 'triangel' (did you mean triangle") and "read up to word 47" in c


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"say": "paraphrases", "seed": 4, "n": 3, "split": "held_out"},
        {"say": "wrong", "n": 1, "things": "3", "seed": 10},
        {"say": "own", "texts": "red\n'blue'", "templates": "a {} star\na {} heart", "turned": 0.5},
        {"uploads": [("mine.png", np.full((80, 80, 3), 99, np.uint8))]},
        {
            "uploads": [
                ("drawing 1", np.full((64, 64, 3), 99, np.uint8)),
                ("mine.png", np.full((80, 80, 3), 9, np.uint8)),
            ]
        },
        {
            "model": "clip-mnist",
            "n": 1,
            "uploads": [("drawing 1", np.eye(28, dtype=np.uint8)[..., None].repeat(3, -1) * 255)],
        },
        {"model": "clip-mnist", "n": 3, "say": "paraphrases"},
        {"model": "clip-mnist", "n": 1, "say": "wrong", "uploads": [("dark.png", np.full((80, 80, 3), 9, np.uint8))]},
    ],
    ids=str,
)
def test_the_python_panel_computes_what_is_on_the_stage(app, changes, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name, picture in changes.get("uploads", []):
        Path(name).write_bytes(viz.png(picture))
    value = shown(app, **changes)
    code = re.fullmatch(r"```python\n(.*)\n```", app.python(setting(app, **changes)), flags=re.S)[1]
    namespace = {}
    exec(code, namespace)
    assert np.allclose(np.array(value["cells"]).T, namespace["cosines"].cpu(), atol=2e-3)
    tau = changes.get("turned") or value["temperature"]
    odds = np.exp(np.array(value["cells"]).T / tau)
    assert np.allclose(namespace["p"].cpu(), odds / odds.sum(axis=1, keepdims=True), atol=0.05)


@pytest.mark.parametrize(
    "changes", [{}, {"query": "it's a star", "split": "any"}, {"picked": 3}, {"model": "clip-mnist"}], ids=str
)
def test_the_python_panel_finds_what_the_search_found(app, changes):
    asked = setting(app, view="nearest", **changes)
    *_, found = app.search(asked, ui.Run())
    namespace = {}
    exec(re.fullmatch(r"```python\n(.*)\n```", app.python(asked), flags=re.S)[1], namespace)
    numbers = [float(number) for number in re.findall(r"<span>([-\d.]+)</span></button>", found["html"])]
    assert np.allclose(namespace["similar"][namespace["near"]], numbers, atol=0.02)
    picked = namespace["near"][changes.get("picked", 0)]
    assert found["cosine"] == pytest.approx(namespace["similar"][picked].item(), abs=0.01)
    texts = re.findall(r"<span>([^<]+)</span></li>", found["html"])
    assert texts[0] == namespace["best"][0] and len(texts) == len(namespace["best"]) == 6


def test_what_the_page_says_of_searching_is_true(app):
    """A whole caption is found, and by a few words what they say."""
    pictures, captions = app.hay(app.CLIP, "train")
    f = app.seen(app.CLIP, list(pictures), ui.Run())
    whole, short = app.told(
        app.CLIP, ["a small green circle at the top, on a blue field", "a large red star"], ["{}"], ui.Run()
    )
    assert captions[(f @ whole).argmax()] == "a small green circle at the top, on a blue field"
    first = [captions[i] for i in app.order(f @ short, 12)]
    counts = {word: sum(word in caption for caption in first) for word in ("red", "large", "star")}
    assert min(counts.values()) >= 8, counts


def test_a_drawing_goes_through_the_link_and_a_file_does_not(app):
    rng = np.random.default_rng(0)
    scene = np.full((64, 64, 3), 255, np.uint8)
    scene[20:40, 30:50] = (214, 48, 49)
    digit = np.repeat((255 * ui.handwritten(1)[0][0]).round().astype(np.uint8)[..., None], 3, axis=-1)
    noise = rng.integers(0, 256, (64, 64, 3), np.uint8)
    uploads = [("drawing 1", scene), ("mine.png", scene), ("drawing 2", noise), ("drawing 3", digit)]
    back = app.drawings_of(app.link(setting(app, uploads=uploads))["values"]["drawn"])
    assert [word for word, _ in back] == ["drawing 1", "drawing 2"]
    assert np.array_equal(back[0][1], scene) and np.array_equal(back[1][1], digit)
    for strange in (None, 3, "", "~~~", "!!", "a" * 9_000, ["x"]):
        assert app.drawings_of(strange) == []


def test_a_link_holds_what_was_asked(app):
    asked = setting(app, say="own", texts="a\nb", templates="the {}", n=2, view="nearest", query="a star")
    values = app.link(asked)["values"]
    assert values == {
        "n": "2",
        "say": "own",
        "texts": "a\nb",
        "templates": "the {}",
        "view": "nearest",
        "query": "a star",
    }
    assert app.link(app.start())["values"] == {}
    assert "texts" not in app.link(setting(app, say="own", texts="x" * 5000))["values"]


def test_of_no_pictures_and_no_scenes_there_is_a_sentence(app):
    with pytest.raises(GenlabError, match="There is no picture"):
        shown(app, n=0, say="own", texts="a")
    with pytest.raises(GenlabError, match="These texts are said of pictures made here"):
        shown(app, n=0)


def test_what_is_there_on_arrival_was_scored_by_the_weights_of_today(app):
    ready = json.loads(app.ARRIVAL.read_text(encoding="utf-8"))
    fresh = shown(app)
    assert np.allclose(ready["whole"]["cells"], fresh["cells"], atol=0.02)
    assert ready["whole"]["rows"] == fresh["rows"] and ready["whole"]["columns"] == fresh["columns"]
    assert ready["whole"]["link"] is None and "data-link" not in ready["near"]


def test_the_page_appears_before_the_models(app):
    assert genlab.list_pretrained()
    start, before = time.monotonic(), set(app.SHELF._models)
    app.build()
    assert set(app.SHELF._models) == before, "building loads nothing"
    assert time.monotonic() - start < 60
