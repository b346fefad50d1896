"""The pipeline tab, used as visitors use it: in the browser and through the API, at home and among strangers."""

import base64
import io
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import tiny_clip
from tiny_pipeline import build

pytest.importorskip("gradio")

import numpy as np
import torch
from PIL import Image

import genlab
from genlab.models.vision_language import OpenCLIP
from genlab.names import GenlabError
from genlab.ui import limits
from genlab.ui.pipeline_tab import EXAMPLE, SCHEDULERS, TRY, Bench, knobs, offered, permitted, python

PATH = {"PYTHONPATH": str(Path(genlab.__file__).parent.parent)}  # for processes that start in another folder
SERVER = """
import sys
import time
import gradio as gr
from genlab.ui import limits, look, page, pipeline_tab
paint = pipeline_tab.paint
def paced(*about, **more):  # 200 steps take long enough to be stopped, on any machine
    for at in paint(*about, **more):
        yield at
        time.sleep(0.05 * (at[1] == 200))
pipeline_tab.paint = paced
with gr.Blocks(**limits.blocks_kwargs()) as demo, page("Guidance", "A lesson.", "diffusion"), gr.Tabs():
    with gr.Tab("Digits"):
        gr.Markdown("elsewhere")
    if pipeline_tab.offered():
        with gr.Tab("Your own pipeline"):
            pipeline_tab.build_tab(demo)
demo.queue(**limits.queue_kwargs())
demo.launch(prevent_thread_lock=True, quiet=True, **limits.launch_kwargs(), **look())
print(demo.local_url, flush=True)
demo.block_thread()
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return build(tmp_path_factory.mktemp("tiny"))


def serve(tmp_path: Path, **env: str):
    """Start the tab's page in a process of its own; the process and its address."""
    script = tmp_path / "page.py"
    script.write_text(SERVER)
    quiet = PATH | {"GRADIO_ANALYTICS_ENABLED": "False", "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(
        [sys.executable, str(script)], env={**os.environ, **quiet, **env}, stdout=subprocess.PIPE, text=True
    )
    url = process.stdout.readline().strip()
    assert url.startswith("http://"), "the page did not start"
    return process, url


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    process, url = serve(tmp_path_factory.mktemp("home"), GENLAB_PUBLIC="0")
    yield url
    process.send_signal(signal.SIGTERM)
    process.wait(timeout=20)


# -- who may run what --------------------------------------------------------------------------------------------------


def test_at_home_any_pipeline_may_be_named(monkeypatch):
    monkeypatch.delenv("SPACE_ID", raising=False)
    monkeypatch.delenv("GENLAB_PUBLIC", raising=False)
    assert offered()
    assert permitted(" /some/folder ") == "/some/folder"
    with pytest.raises(GenlabError, match="Name a pipeline first"):
        permitted("  ")


def test_strangers_choose_among_those_configured(monkeypatch):
    monkeypatch.setenv("SPACE_ID", "user/space")
    monkeypatch.delenv("GENLAB_PUBLIC", raising=False)
    monkeypatch.delenv("GENLAB_PIPELINES", raising=False)
    assert not offered()
    monkeypatch.setenv("GENLAB_PIPELINES", " user/one, user/two,")
    assert offered()
    assert permitted("user/two") == "user/two"
    for name in ("/etc", "user/three", "../user/one", "user/one\x00", None, 3, ["user/one"], {}):
        if name == "user/one\x00":
            assert permitted(name) == "user/one"  # a control character is dropped before the name is looked up
            continue
        with pytest.raises(GenlabError, match="This page runs user/one, user/two|Name a pipeline"):
            permitted(name)


@pytest.mark.parametrize("names", ["/etc", "one", "user/one;user/two", "https://host/user/one", "../.."])
def test_a_malformed_list_is_told_to_the_owner(monkeypatch, names):
    monkeypatch.setenv("GENLAB_PUBLIC", "1")
    monkeypatch.setenv("GENLAB_PIPELINES", names)
    with pytest.raises(GenlabError, match="GENLAB_PIPELINES lists Hub ids"):
        offered()


def test_strangers_meet_tighter_bounds(monkeypatch):
    monkeypatch.setenv("GENLAB_PUBLIC", "1")
    strange = knobs().clean({"steps": 1e9, "height": 1e9, "guidance": float("inf"), "seed": -1, "scheduler": "rm -rf"})
    assert strange == {"guidance": 30, "steps": 100, "scheduler": "own", "seed": 0, "height": 512, "width": 0}
    monkeypatch.setenv("GENLAB_PUBLIC", "0")
    assert knobs().clean({"height": 1e9})["height"] == 2048


@pytest.mark.parametrize("value", [None, 3, [], {}, float("nan"), b"a"])
def test_a_prompt_that_is_no_text_is_empty(value):
    assert limits.text(value) == ""


def test_a_prompt_is_cut_and_loses_control_characters(monkeypatch):
    monkeypatch.setenv("GENLAB_PUBLIC", "1")
    assert limits.text(" a\x00b\x1b[31m \n") == "a b [31m"
    assert len(limits.text("x" * 10_000)) == limits.STRANGER.text


# -- what it says and holds --------------------------------------------------------------------------------------------


def test_the_menu_holds_what_stable_diffusion_takes(folder):
    from genlab.models.diffusion.pipeline import Pipeline

    assert set(SCHEDULERS) <= set(Pipeline.from_pretrained(folder).schedulers)
    for changes in TRY.values():
        assert knobs().clean(changes) | changes == knobs().clean(changes)  # every suggestion lies within the bounds


def test_the_python_panel_paints_the_same(folder, tmp_path):
    values = knobs().clean({"steps": 3, "guidance": 2.5, "seed": 5, "scheduler": "UniPC", "height": 16})
    text = python(str(folder), 'say "cat"', "dog's", values)
    code = text.removeprefix("```python\n").removesuffix("\n```")
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=os.environ | PATH, check=True, timeout=200)
    from PIL import Image

    from genlab.models.diffusion.pipeline import Pipeline
    from genlab.ui import seeded

    ours = Pipeline.from_pretrained(folder).sample(
        'say "cat"', negative="dog's", guidance=2.5, steps=3, scheduler="UniPC", height=16, generator=seeded(5)
    )
    assert Image.open(tmp_path / "painting.png").tobytes() == ours.tobytes()


def test_the_bench_holds_one_and_tries_a_failed_one_again(folder, tmp_path):
    bench, missing = Bench(), tmp_path / "later"
    first = bench.get(str(folder))
    assert bench.get(str(folder)) is first
    with pytest.raises(GenlabError, match="neither a folder nor a Hub id"):
        bench.get(str(missing)).result(timeout=60)
    missing.symlink_to(folder)
    assert bench.get(str(missing)).result(timeout=60).size == (16, 16)
    assert bench.get(str(folder)) is not first


# -- the API -----------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_endpoint(home, folder, tmp_path):
    from gradio_client import Client
    from PIL import Image

    client = Client(home, verbose=False, download_files=str(tmp_path))
    ask = {"source": str(folder), "prompt": "a cat", "steps": 3, "api_name": "/pipeline_sample"}
    file, facts = client.predict(**ask, seed=3)
    again, _ = client.predict(**ask, seed=3)
    other, _ = client.predict(**ask, seed=4)
    one, two, three = (Image.open(f if isinstance(f, str) else f["path"]).tobytes() for f in (file, again, other))
    assert one == two != three
    assert facts["steps"] == 3 and facts["source"] == str(folder)
    with pytest.raises(Exception, match="Flow Euler|neither a folder nor a Hub id"):
        client.predict(source="no such thing", prompt="a cat", api_name="/pipeline_sample")


@pytest.mark.slow
def test_strangers_meet_no_tab_and_no_endpoint(tmp_path):
    from gradio_client import Client

    process, url = serve(tmp_path, SPACE_ID="user/space", GENLAB_PUBLIC="", GENLAB_PIPELINES="")
    try:
        client = Client(url, verbose=False)
        assert "/pipeline_sample" not in json.dumps(client.view_api(return_format="dict"))
    finally:
        process.terminate()
        process.wait(timeout=20)
    process, url = serve(tmp_path, GENLAB_PUBLIC="1", GENLAB_PIPELINES="user/tiny")
    try:
        client = Client(url, verbose=False)
        for source in (str(tmp_path), "user/other", "../user/tiny"):
            with pytest.raises(Exception, match="This page runs user/tiny"):
                client.predict(source=source, prompt="a cat", api_name="/pipeline_sample")
        with pytest.raises(Exception, match="could not be fetched"):
            client.predict(source="user/tiny", prompt="a cat", api_name="/pipeline_sample")
    finally:
        process.terminate()
        process.wait(timeout=20)


# -- in the browser ----------------------------------------------------------------------------------------------------


@pytest.mark.browser
@pytest.mark.slow
def test_a_visitor_paints_scores_stops_and_errs(home, folder, browser, tmp_path):
    context = browser.new_context(viewport={"width": 1280, "height": 800})
    page = context.new_page()
    trouble, elsewhere = [], []
    page.on("console", lambda message: trouble.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: trouble.append(str(error)))
    page.on("request", lambda r: elsewhere.append(r.url) if not r.url.startswith((home, "data:", "blob:")) else None)
    page.set_default_timeout(60_000)
    page.goto(home, wait_until="domcontentloaded")
    page.get_by_role("tab", name="Your own pipeline").click()
    status, painting = page.locator(".gl-status").last, page.locator("img.gl-painting")
    generate = page.get_by_role("button", name="Generate")

    def said(text: str) -> None:
        status.filter(has_text=text).wait_for()

    generate.click()
    said("Name a pipeline first")
    assert EXAMPLE in status.inner_text()
    source = page.get_by_label("Pipeline: a Hub id or a folder")
    source.fill("/no/such/folder")
    generate.click()
    said("neither a folder nor a Hub id")
    assert source.input_value() == "/no/such/folder"  # the controls keep their values

    source.fill(str(folder))
    page.get_by_label("Prompt", exact=True).fill("a cat")
    generate.click()
    said("25 steps in")
    first = painting.get_attribute("src")
    assert first.startswith("data:image/png")
    assert "a cat: step 25 of 25, rho 6.5, seed 42" in painting.get_attribute("alt")

    page.get_by_role("button", name="no guidance").click()
    page.locator('img[alt*="step 25 of 25, rho 0, seed 42"]').wait_for()
    assert painting.get_attribute("src") != first
    page.get_by_role("button", name="as usual").click()
    page.locator('img[alt*="step 25 of 25, rho 6.5, seed 42"]').wait_for()
    assert painting.get_attribute("src") == first  # the same knobs, the same picture

    page.get_by_role("button", name="Python").click()
    assert f"from_pretrained('{folder}')" in page.locator(".gl-below:visible code").last.inner_text()

    judge = tiny_clip.build(tmp_path)
    page.get_by_role("button", name="More").last.click()
    page.get_by_label("CLIPScore by").fill(str(judge))
    page.get_by_role("button", name="as usual").click()
    said("CLIPScore ")
    with Image.open(io.BytesIO(base64.b64decode(painting.get_attribute("src").split(",", 1)[1]))) as image:
        pixels = torch.from_numpy(np.array(image.convert("RGB"))).permute(2, 0, 1)[None] / 255
    score = OpenCLIP.from_pretrained(str(judge)).clip_score(pixels, ["a cat"]).item()
    assert "25 steps in" in status.inner_text() and f"CLIPScore {score:.2f} by {judge}." in status.inner_text()
    assert "clip.clip_score(pixels, ['a cat'])" in page.locator(".gl-below:visible code").last.inner_text()
    page.get_by_label("CLIPScore by").fill("/no/such/judge")
    page.get_by_role("button", name="no guidance").click()
    said("no model is called")
    assert painting.get_attribute("alt").endswith("step 25 of 25, rho 0, seed 42"), "the picture stays"
    page.get_by_label("CLIPScore by").fill("")

    steps = page.get_by_label("number input for Steps")
    steps.fill("200")
    generate.click()
    said("Step ")
    page.get_by_role("button", name="Stop").click()
    said("Stopped after")
    assert not trouble
    assert not elsewhere
    context.close()
