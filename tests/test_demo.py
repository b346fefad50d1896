"""The site: gallery, pages and cards, as a visitor meets them; ports, Ctrl-C and limits, as the owner does.

It runs from a copy of the package with small apps and cards inside, laid out as in the wheel.
"""

import asyncio
import contextlib
import http.client
import http.server
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

pytest.importorskip("gradio")

from genlab import demo
from genlab.names import FAMILIES, GenlabError, Pretrained
from genlab.ui import gallery, limits
from genlab.ui.gallery import Lesson
from genlab.viz import png, tile

PACKAGE = Path(demo.__file__).parent
APP = """
TITLE = {title!r}
SUMMARY = {summary!r}
FAMILY = {family!r}
MODELS = {models!r}

def build():
    import sys
    import gradio as gr
    from genlab import ui
    assert "torch" not in sys.modules, "the page must not wait for torch"
    def {name}_echo(x: str) -> str:
        return x + "!"

    with gr.Blocks() as page, ui.page(TITLE, SUMMARY, FAMILY, models=MODELS):
        x = gr.Textbox(label="Say")
        y = gr.Textbox(label="Heard")
        gr.Button("Go").click({name}_echo, x, y, api_name="{name}_echo")
    return page
"""
BROKEN = (
    APP.split("def build")[0]
    + "def build():\n    from genlab.names import GenlabError\n    raise GenlabError('it needs <a moon>')\n"
)
APPS = {  # file name: (source, title, summary, family, models)
    "guidance": (APP, "Guidance", 'From "any" to <b>seven</b>.', "diffusion", ("tiny-ddpm",)),
    "judge": (APP, "The judge", "Reads digits.", "classic", ("tiny-cnn",)),
    "moon": (BROKEN, "Moon", "Cannot run here.", "rl", ()),
}
CARD = """---
license: apache-2.0
---

# {name}

What {name} is, in a sentence.

![Samples](samples.png)

$$x_t = \\alpha_t x_0$$

- \\\\( \\alpha_t \\\\): what is left of the picture

```python
digits = genlab.from_pretrained("{name}").sample(16, label=7, guidance=1.0, steps=50)
```
"""


def metrics(name: str) -> dict:
    entry = {"name": "agreement", "value": 0.99123, "spread": 0.00071, "better": "higher", "headline": True}
    return {"metrics": [entry, {"name": "fid", "value": 3.2, "better": "lower", "headline": name == "tiny-ddpm"}]}


@pytest.fixture(scope="module")
def copy(tmp_path_factory) -> Path:
    """A folder with the package in it, as installed from a wheel that carries these apps and cards."""
    import numpy as np

    folder = tmp_path_factory.mktemp("site")
    shutil.copytree(PACKAGE, folder / "genlab", ignore=shutil.ignore_patterns("__pycache__", "_bundled"))
    bundled = folder / "genlab" / "_bundled"
    (bundled / "apps" / "pictures").mkdir(parents=True)
    for name, (source, title, summary, family, models) in APPS.items():
        text = source.format(name=name, title=title, summary=summary, family=family, models=models)
        (bundled / "apps" / f"{name}.py").write_text(text)
    for i, (name, family) in enumerate([("tiny-ddpm", "diffusion"), ("tiny-cnn", "classic"), ("untold", "classic")]):
        card = bundled / "model_cards" / name
        card.mkdir(parents=True)
        config = {"genlab": "0.1.0", "family": family, "model": "Tiny", "config": {}}
        (card / "config.json").write_text(json.dumps(config))
        (card / "model.safetensors").write_bytes(bytes((3 - i) * 1_000_000))
        if name != "untold":
            (card / "README.md").write_text(CARD.format(name=name))
            (card / "metrics.json").write_text(json.dumps(metrics(name)))
            noise = np.random.default_rng(i).random((8, 8, 8))
            (card / "samples.png").write_bytes(png(tile(noise, 4, gap=1, scale=4)))
    return folder


def start(copy: Path, code: str, **env: str) -> tuple[subprocess.Popen, str]:
    """Run `code` in a process that imports the copy; the process, and the address it prints."""
    quiet = {
        "GENLAB_PUBLIC": "",  # it decides by itself who is a stranger, whatever holds in the tests' process
        "PYTHONPATH": str(copy),
        "HF_HUB_OFFLINE": "1",
        "PYTHONUNBUFFERED": "1",
        "HTTP_PROXY": "http://127.0.0.1:9",
    }
    process = subprocess.Popen(
        [sys.executable, "-c", code],
        env={**os.environ, **quiet, **env},
        cwd=copy,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    said = ""
    for line in process.stdout:
        said += line
        if found := re.search(r"http://\S+", line):
            return process, found[0].rstrip("/")
    raise AssertionError(f"no address:\n{said}")


def end(process: subprocess.Popen, how=signal.SIGTERM) -> str:
    process.send_signal(how)
    try:
        return process.communicate(timeout=30)[0]
    finally:
        process.kill()


@pytest.fixture(scope="module")
def site(copy):
    process, url = start(copy, "from genlab.demo import serve; serve()")
    yield url
    assert "Traceback" not in end(process), "nothing that a visitor did may surprise the server"


def get(url: str | urllib.request.Request) -> tuple[int, str]:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(url, timeout=60) as answer:
            return answer.status, answer.read().decode(errors="replace")
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode(errors="replace")


# -- ports and names ---------------------------------------------------------------------------------------------------


@pytest.fixture
def taken():
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        yield server.getsockname()[1]


def test_a_port_that_is_asked_for_is_given_or_refused(taken):
    with pytest.raises(
        GenlabError, match=rf"port {taken} is taken.*; (\d+) is free: make demo PORT=\1, or genlab demo"
    ):
        demo.find_port(taken)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        free = probe.getsockname()[1]
    assert demo.find_port(free) == free


def test_the_first_free_port_is_taken_and_none_is_told(taken, monkeypatch):
    monkeypatch.setattr(demo, "PORTS", range(taken, taken + 2))
    assert demo.find_port(None) == taken + 1
    monkeypatch.setattr(demo, "PORTS", range(taken, taken + 1))
    with pytest.raises(GenlabError, match="are taken.*make demo PORT="):
        demo.find_port(None)


@pytest.mark.parametrize("port", [0, -1, 65536])
def test_a_port_is_a_number_in_range(port):
    with pytest.raises(GenlabError, match="from 1 to 65535"):
        demo.find_port(port)


def test_an_address_of_another_machine_is_told():
    with pytest.raises(GenlabError, match="no address of this machine"):
        demo.find_port(7860, "192.0.2.1")
    for host in ("foo..bar", "x" * 1000):
        with pytest.raises(GenlabError, match="is no address of this machine"):
            demo.find_port(7860, host)


def test_a_wrong_name_is_told_before_anything_starts(capsys):
    with pytest.raises(GenlabError, match="no app is called 'guidanc'; did you mean 'guidance'"):
        demo.serve("guidanc")
    assert "starting" not in capsys.readouterr().out


# -- the gallery's HTML ------------------------------------------------------------------------------------------------


def test_families_stand_in_the_order_of_the_course():
    lessons = [Lesson(f, f.title(), "A lesson.", f) for f in reversed(FAMILIES)]
    found = re.findall(r'class="gl-shelf gl-(\w+)"', gallery.html(lessons, []))
    assert found == list(FAMILIES)


def test_what_apps_and_cards_say_is_text_not_markup(tmp_path):
    bad = '<img src=x onerror=alert(1)>"&'
    model = Pretrained(bad, "diffusion", bad, bad, tmp_path)
    metric = {"name": bad, "value": 1.0, "unit": bad, "headline": True}
    (tmp_path / "metrics.json").write_text(json.dumps({"metrics": [metric]}))
    html = gallery.html([Lesson(bad, bad, bad, "diffusion", (bad,), trouble=bad)], [model])
    assert "<img src=x" not in html
    assert 'onerror=alert(1)>"' not in html


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "{}", '{"metrics": 3}', '{"metrics": [{"name": "fid"}, 3]}', '{"metrics": [{"headline": 1}]}'],
)
def test_a_model_without_figures_says_so(tmp_path, text):
    (tmp_path / "metrics.json").write_text(text)
    row = gallery.html([], [Pretrained("x", "gan", "X", "What x is.", tmp_path)])
    assert "not measured" in row


def test_an_app_shows_its_own_picture_before_a_models(tmp_path, monkeypatch):
    monkeypatch.setattr(gallery, "root", lambda: tmp_path)
    app = Lesson("guidance", "Guidance", "A lesson.", "diffusion", ("a", "b"))
    assert gallery.picture_of(app) is None
    for file in ("model_cards/b/samples.png", "model_cards/a/samples.png", "apps/pictures/guidance.png"):
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).touch()
        assert gallery.picture_of(app) == tmp_path / file


# -- over HTTP ---------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_pages_are_light_and_private_files_stay_private(site, copy):
    for path in ("/", "/guidance", "/judge", "/card"):
        status, page = get(site + path)
        assert status == 200
        assert len(page) < 120_000, path  # the style sheet is most of it; each page carries its own parts only
    assert '"analytics_enabled":false' in page
    cards = copy / "genlab" / "_bundled" / "model_cards"
    assert get(f"{site}/gradio_api/file={cards}/tiny-ddpm/samples.png")[0] == 200
    for private in (
        cards / "tiny-ddpm" / "config.json",
        copy / "genlab" / "demo.py",
        "/etc/passwd",
        cards / ".." / "..",
    ):
        assert get(f"{site}/gradio_api/file={private}")[0] in (403, 404)
    assert get(f"{site}/nowhere")[0] == 404


def upload(site: str, *sizes: int) -> tuple[int, str]:
    """Files of so many bytes, sent at once."""
    head = b'--x\r\nContent-Disposition: form-data; name="files"; filename="a.bin"\r\n\r\n'
    body = b"".join(head + bytes(size) + b"\r\n" for size in sizes) + b"--x--\r\n"
    kind = {"Content-Type": "multipart/form-data; boundary=x"}
    return get(urllib.request.Request(f"{site}/gradio_api/upload", body, kind, method="POST"))


@pytest.mark.slow
def test_a_file_over_the_limit_is_refused_and_several_below_it_are_not(site):
    most = limits.OWNER.upload
    assert upload(site, 3 * most)[0] == 413
    status, paths = upload(site, most - 1, most - 1)
    assert status == 200 and len(json.loads(paths)) == 2


@pytest.mark.slow
@pytest.mark.parametrize("chunked", [False, True])
@pytest.mark.parametrize(
    "path", ["call/judge_echo", "queue/join", "run/predict", "api/judge_echo", "upload", "nowhere"]
)
def test_a_request_over_a_megabyte_is_refused_before_it_is_parsed(site, path, chunked):
    ask = http.client.HTTPConnection(site.removeprefix("http://"), timeout=60)
    body = b'{"data": ["' + b"x" * 1_000_000 + b'"]}'
    sent = (body[i : i + 50_000] for i in range(0, len(body), 50_000)) if chunked else body
    ask.request("POST", f"/gradio_api/{path}", sent, {"Content-Type": "application/json"}, encode_chunked=chunked)
    # a body of unknown length is counted as it is read, so only where somebody reads it
    assert ask.getresponse().status == 413 or (chunked and path in ("upload", "nowhere"))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("path", "kind", "body"),
    [
        ("upload", b"multipart/form-data; boundary=" + b"x" * 5000, b"--x\r\n"),
        (
            "upload",
            b"multipart/form-data; boundary=x",
            b'--x\r\nContent-Disposition: form-data; name="files"\r\n\r\na\r\n--x--',
        ),
        ("queue/join", b"application/json", b'{"data": ["a"], "fn_index": 1, "session_hash": "\\ud800"}'),
    ],
)
def test_what_gradio_stumbles_on_is_refused(site, path, kind, body):
    ask = http.client.HTTPConnection(site.removeprefix("http://"), timeout=60)
    ask.request("POST", f"/gradio_api/{path}", body, {"Content-Type": kind})
    assert ask.getresponse().status == 400


@pytest.mark.slow
def test_of_two_kinds_of_content_the_first_is_meant(site):
    ask = http.client.HTTPConnection(site.removeprefix("http://"), timeout=60)
    ask.putrequest("POST", "/gradio_api/queue/join")
    body = b'{"data": ["' + b"x" * 1_000_000 + b'"]}'
    for name, value in [("Type", "application/json"), ("Type", "multipart/form-data"), ("Length", len(body))]:
        ask.putheader(f"Content-{name}", value)
    ask.endheaders(body)
    assert ask.getresponse().status == 413


@pytest.mark.slow
def test_a_visitor_who_leaves_or_goes_on_sending_is_no_surprise(site):
    """The server's log is looked at as it ends."""
    where = site.removeprefix("http://").split(":")
    head = "POST /gradio_api/upload HTTP/1.1\r\nHost: x\r\nContent-Type: multipart/form-data; boundary=x\r\n"
    with socket.create_connection((where[0], int(where[1]))) as visitor:
        visitor.sendall(f"{head}Content-Length: 9000\r\n\r\n--x\r\n".encode())
    with socket.create_connection((where[0], int(where[1]))) as visitor:
        visitor.sendall(b"GET /gradio_api/heartbeat/abc HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
        with contextlib.suppress(OSError):
            for _ in range(30):
                visitor.sendall(b"10000\r\n" + bytes(0x10000) + b"\r\n")
    assert get(site)[0] == 200


@pytest.mark.slow
@pytest.mark.parametrize(
    "body", [b"[" * 900_000, b'{"data": ' + b"[" * 900_000, b'{"data": [1' + b"0" * 900_000 + b"]}"]
)
def test_json_that_is_hard_to_parse_is_refused(site, body):
    ask = http.client.HTTPConnection(site.removeprefix("http://"), timeout=60)
    ask.request("POST", "/gradio_api/call/judge_echo", body, {"Content-Type": "application/json"})
    assert ask.getresponse().status in (400, 422)


@pytest.mark.slow
@pytest.mark.parametrize("path", ["call/judge_echo", "queue/join", "run/predict"])
@pytest.mark.parametrize("chunked", [False, True])
def test_a_file_at_another_address_is_not_fetched(site, path, chunked):
    class Elsewhere(http.server.BaseHTTPRequestHandler):
        asked = []

        def do_GET(self):
            self.asked.append(self.path)

    elsewhere = http.server.HTTPServer(("127.0.0.1", 0), Elsewhere)
    threading.Thread(target=elsewhere.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{elsewhere.server_port}/x.png"
    file = {"path": url, "meta": {"_type": "gradio.FileData"}}
    body = json.dumps({"data": [[{"deep": file}]], "fn_index": 0, "session_hash": "x"}).replace("http", "\\u0068ttp")
    ask = http.client.HTTPConnection(site.removeprefix("http://"), timeout=60)
    sent = iter([body.encode()]) if chunked else body
    ask.request("POST", f"/gradio_api/{path}", sent, {"Content-Type": "application/json"}, encode_chunked=chunked)
    answer = ask.getresponse()
    assert answer.status == 400 and b"none is fetched from another address" in answer.read()
    elsewhere.shutdown()
    assert Elsewhere.asked == []


@pytest.mark.slow
def test_endpoints_of_all_apps_stand_side_by_side(site):
    from gradio_client import Client

    client = Client(site, verbose=False)
    endpoints = client.view_api(return_format="dict")["named_endpoints"]
    assert sorted(endpoints) == ["/guidance_echo", "/judge_echo"]
    assert client.predict("ho", api_name="/judge_echo") == "ho!"


@pytest.mark.slow
def test_functions_are_mcp_tools_beside_the_pages(copy):
    pytest.importorskip("mcp", reason="the extra genlab[mcp] is not installed")
    process, url = start(copy, "from genlab.demo import serve; serve()")
    try:
        for path, own in (("/", "The working laboratory"), ("/guidance", '"label":"Say"'), ("/judge", '"label":"Say"')):
            status, page = get(url + path)
            assert status == 200 and own in page and "MCP Server" not in page
        assert process.stdout.readline().strip() == f"its functions are MCP tools at {url}/gradio_api/mcp/"
        tools, said = asyncio.run(call_tool(f"{url}/gradio_api/mcp/", "judge_echo", {"x": "ho"}))
        assert tools == ["guidance_echo", "judge_echo"]
        assert said == "ho!"
    finally:
        end(process)


async def call_tool(url: str, name: str, arguments: dict) -> tuple[list[str], str]:
    """The tools of an MCP server, and what one of them answers, through the protocol's own client."""
    from mcp import ClientSession
    from mcp.client.streamable_http import streamable_http_client

    async with streamable_http_client(url) as (read, write, _), ClientSession(read, write) as session:
        await session.initialize()
        tools = await session.list_tools()
        answer = await session.call_tool(name, arguments)
        return sorted(tool.name for tool in tools.tools), answer.content[0].text


@pytest.mark.slow
def test_one_app_stands_at_the_root_and_ctrl_c_ends_it(copy):
    process, url = start(copy, "from genlab.demo import serve; serve('judge'); print('code after serve')")
    status, page = get(url)
    assert status == 200 and '"label":"Say"' in page and "The judge" in page
    assert get(f"{url}/guidance")[0] == 404
    port = url.rsplit(":", 1)[1]
    code = f"from genlab.demo import serve\ntry:\n serve(port={port})\nexcept RuntimeError as e: print(e)"
    second = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": str(copy)}, capture_output=True, text=True
    )
    assert f"port {port} is taken" in second.stdout and not second.stderr
    asked = time.monotonic()
    said = end(process, signal.SIGINT)
    assert time.monotonic() - asked < 20
    assert "genlab has stopped" in said and "Traceback" not in said
    assert "code after serve" in said
    assert process.returncode == 0


@pytest.mark.slow
def test_a_port_that_is_taken_while_the_site_is_built_is_given_up(copy, taken):
    code = f"from genlab import demo; find = demo.find_port; found = iter([{taken}])\n"
    code += "demo.find_port = lambda port, host: next(found, None) or find(port, host)\ndemo.serve()"
    process, url = start(copy, code)
    try:
        assert not url.endswith(f":{taken}")
        assert "The working laboratory" in get(url)[1]
    finally:
        end(process)


@pytest.mark.slow
def test_a_space_starts_where_the_platform_says(copy, taken):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    # without the second line gradio takes the checkout's folder of that name for the platform's package
    code = "import sys\nsys.modules['spaces'] = None\n"
    code += "from genlab.ui import limits\nfrom genlab.demo import launch_space\n"
    code += "import gradio, threading\nprint(limits.is_public())\nlaunch_space('genlab')"
    platform = {
        "SPACE_ID": "user/space",
        "SYSTEM": "spaces",
        "GRADIO_SERVER_PORT": str(port),
        "NO_PROXY": "127.0.0.1,0.0.0.0,localhost",
    }
    process, url = start(copy, code, GRADIO_SERVER_NAME="0.0.0.0", **platform)
    try:
        assert url.endswith(f":{port}")
        assert get(f"http://127.0.0.1:{port}/guidance")[0] == 200
        status, said = upload(f"http://127.0.0.1:{port}", *[limits.STRANGER.upload - 1] * 6)
        assert status == 413 and "100 MB together: send fewer" in said
    finally:
        end(process)


# -- in the browser ----------------------------------------------------------------------------------------------------


@pytest.fixture
def page(browser, site):
    """A page of the site, that must not complain nor ask another host."""
    context = browser.new_context(viewport={"width": 1280, "height": 800})
    page = context.new_page()
    page.set_default_timeout(60_000)
    trouble, elsewhere = [], []
    page.on("console", lambda message: trouble.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: trouble.append(str(error)))
    page.on("request", lambda r: elsewhere.append(r.url) if not r.url.startswith((site, "data:", "blob:")) else None)
    page.goto(site, wait_until="domcontentloaded")
    page.get_by_role("heading", level=1).wait_for()
    yield page
    assert not trouble
    assert not elsewhere
    context.close()


@pytest.mark.browser
@pytest.mark.slow
def test_from_the_gallery_to_an_app_and_back(page):
    assert page.title() == "genlab"
    card = page.get_by_role("link", name="Guidance").first
    page.wait_for_function("img => img.complete && img.naturalWidth > 0", arg=card.locator("img").element_handle())
    assert "Not available here: it needs <a moon>" in page.locator(".gl-broken").inner_text()
    assert not page.locator("nav a", has_text="Home").is_visible()  # gradio's own bar
    assert not page.locator("footer").is_visible()  # gradio's list of functions: this page has none
    card.click()
    page.get_by_label("Say").fill("hello")
    page.get_by_role("button", name="Go", exact=True).click()
    page.wait_for_function("[...document.querySelectorAll('textarea, input')].some(n => n.value === 'hello!')")
    assert page.title() == "Guidance · genlab"
    page.get_by_role("link", name="Model card").click()
    page.get_by_role("heading", name="tiny-ddpm").wait_for()
    page.go_back()
    page.get_by_role("button", name="Use via API").wait_for()
    page.go_back()
    page.get_by_role("heading", name="Pretrained models").wait_for()


@pytest.mark.browser
@pytest.mark.slow
def test_search_and_order(page):
    names = page.locator("tbody th > a:first-child")
    assert names.all_inner_texts() == ["tiny-cnn", "untold", "tiny-ddpm"]  # by family, as a course would take them
    page.get_by_role("button", name="Model").click()
    assert names.all_inner_texts() == ["tiny-cnn", "tiny-ddpm", "untold"]
    page.get_by_role("button", name="Weights").click()
    assert names.all_inner_texts() == ["untold", "tiny-cnn", "tiny-ddpm"]
    page.get_by_role("button", name="Weights").click()
    assert names.all_inner_texts() == ["tiny-ddpm", "tiny-cnn", "untold"]
    assert page.get_by_role("columnheader", name="Weights", exact=False).last.get_attribute("aria-sort") == "descending"
    row = page.locator("tr", has_text="tiny-ddpm")
    assert "0.99123 ± 0.00071" in row.inner_text() and "FID ↓" in row.inner_text()

    page.keyboard.press("/")
    page.keyboard.type("tiny DDPM")
    assert page.locator("tbody tr:visible").count() == 1
    assert page.locator(".gl-card:visible").count() == 1
    assert page.locator(".gl-shelf:visible").count() == 1
    search = page.get_by_role("searchbox")
    search.fill("nothing of the kind")
    assert page.locator(".gl-none").inner_text() == "Nothing here is called “nothing of the kind”."
    page.keyboard.press("Escape")
    assert page.locator("tbody tr:visible").count() == 3
    page.keyboard.type("judge")
    page.keyboard.press("Enter")
    page.wait_for_function("document.title === 'The judge · genlab'")


@pytest.mark.browser
@pytest.mark.slow
def test_a_card_is_read_on_the_site(page, site):
    page.get_by_role("link", name="tiny-ddpm").click()
    page.get_by_role("heading", name="tiny-ddpm").wait_for()
    page.get_by_text("What tiny-ddpm is, in a sentence.").wait_for()
    picture = page.get_by_alt_text("Samples")
    picture.wait_for()
    page.wait_for_function("document.querySelector('img[alt=Samples]').naturalWidth > 0")
    assert page.locator(".katex").count() == 2  # one formula on its own line, one within a sentence
    assert "license" not in page.locator(".prose").first.inner_text()
    assert page.title() == "tiny-ddpm · genlab"
    page.goto(f"{site}/card?name=../../etc", wait_until="domcontentloaded")
    page.get_by_text("There is no model of that name here").wait_for()
    assert page.title() == "No such card · genlab"
    page.get_by_role("link", name="untold").click()
    page.get_by_text("has no card yet").wait_for()
    page.get_by_role("link", name="genlab", exact=True).click()
    page.get_by_role("heading", name="Pretrained models").wait_for()


@pytest.mark.browser
@pytest.mark.slow
def test_dark_stays_on_the_next_page(page):
    dark = "document.body.classList.contains('dark')"
    assert not page.evaluate(dark)
    page.get_by_role("button", name="Light / dark").click()
    assert page.evaluate(dark)
    page.get_by_role("link", name="tiny-ddpm").click()
    page.get_by_text("What tiny-ddpm is, in a sentence.").wait_for()
    assert page.evaluate(dark)
    page.get_by_role("button", name="Light / dark").click()
    page.get_by_role("link", name="genlab", exact=True).click()
    page.get_by_role("heading", name="Pretrained models").wait_for()
    assert not page.evaluate(dark)


@pytest.mark.browser
@pytest.mark.slow
@pytest.mark.parametrize("address", ["nowhere", "guidance/deeper/<b>", "gradio_api/nothing"])
def test_an_address_that_leads_nowhere_leads_home(browser, site, address):
    context = browser.new_context()
    page = context.new_page()
    assert page.goto(f"{site}/{address}").status == 404
    assert page.title() == "Not found · genlab"
    assert f"Nothing is at /{address}." in page.locator("main").inner_text()
    assert page.locator("main a").all_inner_texts() == ["the gallery", "Guidance", "The judge"]
    page.get_by_role("link", name="The judge").click()
    page.get_by_label("Say").wait_for()
    context.close()


@pytest.mark.browser
@pytest.mark.slow
def test_on_a_phone_nothing_is_cut_off(page):
    page.set_viewport_size({"width": 390, "height": 844})
    assert not page.evaluate("document.documentElement.scrollWidth > innerWidth")
    assert page.locator(".gl-card").first.bounding_box()["width"] > 340
    page.get_by_role("link", name="tiny-ddpm").click()
    code = page.locator(".prose pre")
    code.wait_for()
    assert not page.evaluate("document.documentElement.scrollWidth > innerWidth")
    assert code.evaluate("node => node.scrollWidth > node.clientWidth"), "a long line scrolls inside its block"
