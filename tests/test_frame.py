"""The frame of a lesson in a real browser: its chips."""

import threading

import pytest

pytest.importorskip("gradio")

import gradio as gr
from lesson import visitor

from genlab import ui

PRESSED, SLOW = [], threading.Event()


@pytest.fixture(scope="module")
def address():
    def set_by(name, before):
        PRESSED.append(name)
        if name == "slow":
            SLOW.wait(20)
        return f"{before}, {name}", name

    with gr.Blocks() as app, ui.page("Frame", "Chips to press.", "diffusion"), ui.frame() as frame:
        with frame.stage:
            so_far, last = gr.Textbox("none", label="so far"), gr.Textbox("none", label="last")
            frame.suggest(["slow", 'quick "one"'])
        frame.suggested(set_by, [so_far], [so_far, last])
    app.launch(prevent_thread_lock=True, quiet=True, **ui.look())
    yield app.local_url
    app.close()


@pytest.fixture
def page(browser, address):
    PRESSED.clear(), SLOW.clear()
    with visitor(browser, address) as visit:
        page = visit()
        page.get_by_label("last").wait_for()
        yield page


def pressing(page, name: str):
    page.get_by_role("button", name=name, exact=True).click()


@pytest.mark.browser
def test_a_chip_says_its_name_and_pressed_again_it_counts_again(page):
    for times in (1, 2):
        pressing(page, 'quick "one"')
        page.wait_for_function(
            "n => document.querySelector('.gl-stage textarea, .gl-stage input').value.split(',').length === n + 1",
            arg=times,
        )
    assert PRESSED == ['quick "one"'] * 2
    assert page.get_by_label("last").input_value() == 'quick "one"'


@pytest.mark.browser
def test_of_chips_pressed_while_an_answer_is_on_its_way_the_last_one_counts(page):
    for name in ("slow", "slow", 'quick "one"'):
        pressing(page, name)
        page.wait_for_timeout(200)
    while not PRESSED:
        page.wait_for_timeout(50)
    assert PRESSED == ["slow"], "one answer at a time"
    SLOW.set()
    page.wait_for_function(
        "() => [...document.querySelectorAll('.gl-stage textarea, .gl-stage input')][1].value[0] === 'q'"
    )
    assert page.get_by_label("so far").input_value() == 'none, slow, quick "one"'
    page.wait_for_timeout(500)
    assert PRESSED == ["slow", 'quick "one"']
