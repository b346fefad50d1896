"""An app by itself, in a real browser: what the tests of each app begin with, and how they watch its film."""

import importlib.util
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import ModuleType

import numpy as np

from genlab import ui
from genlab.names import root

# Each state that an element of the page came into, however shortly: playwright looks twice a second.
STATES = """globalThis.glStates = [];
new MutationObserver((changes) => glStates.push(...changes.map(({ target }) => target.dataset.state)))
  .observe(document, { attributes: true, attributeFilter: ["data-state"], subtree: true });
"""
REST = """() => new Promise((done) =>
  requestIdleCallback(() => setTimeout(done, 100), { timeout: 5000 }))"""
FILM = "[...document.querySelectorAll('.gl-film')].find(node => node.offsetParent)"


def load(name: str) -> ModuleType:
    """The module of an app, as no other test has it."""
    spec = importlib.util.spec_from_file_location(f"{name}_under_test", root() / "apps" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@contextmanager
def served(app: ModuleType) -> Iterator[str]:
    """The address at which an app is served for a while."""
    site = app.build()
    site.queue(max_size=16)
    site.launch(prevent_thread_lock=True, quiet=True, **ui.look())
    yield site.local_url
    site.close()


@contextmanager
def visitor(browser, address: str) -> Iterator[Callable]:
    """open(query, width, height, dark): a page whose console stays silent and which asks no other host for anything."""
    troubles, pages = [], []

    def open_page(query: str = "", width: int = 1280, height: int = 800, dark: bool = False, script: str = "", **look):
        scheme = "dark" if dark else "light"
        page = browser.new_page(viewport={"width": width, "height": height}, color_scheme=scheme, **look)
        pages.append(page)
        page.add_init_script(STATES + script)
        page.set_default_timeout(90_000)
        page.under_way = set()  # what it has asked for and not got
        page.heard = time.monotonic()  # when it last asked or got
        page.on("request", lambda r: heard(page, r, begins="/heartbeat/" not in r.url))  # which never ends
        page.on("requestfinished", lambda r: heard(page, r))
        page.on("requestfailed", lambda r: heard(page, r))
        page.on("console", lambda m: troubles.append(m.text) if m.type == "error" else None)
        page.on("pageerror", lambda error: troubles.append(str(error)))
        page.on("request", lambda r: None if r.url.startswith((address, "data:", "blob:")) else troubles.append(r.url))
        page.goto(f"{address}?{query}" if query else address, wait_until="domcontentloaded")
        return page

    yield open_page
    for page in pages:
        page.close()
    assert not troubles, troubles


def heard(page, request, begins: bool = False) -> None:
    page.heard = time.monotonic()
    (page.under_way.add if begins else page.under_way.discard)(request)


def idle(page) -> None:
    """Wait until the page waits for nothing, and has asked for nothing for a while: all that was begun is over."""
    while page.under_way or time.monotonic() - page.heard < 0.4:
        page.evaluate(REST)  # in which what came may lead to the next word


def slowed(page, latency: int = 300) -> None:
    """From now on each request takes so many milliseconds longer."""
    network = page.context.new_cdp_session(page)
    network.send("Network.enable")
    network.send(
        "Network.emulateNetworkConditions",
        {"offline": False, "latency": latency, "downloadThroughput": -1, "uploadThroughput": -1},
    )


def finished(page) -> None:
    """Wait until the film on the stage is whole: its scrubber has come."""
    page.wait_for_function(
        f"() => {{ const film = {FILM}; "
        "return film && film.dataset.state === 'done' && !film.querySelector('.gl-bar').hidden }"
    )


def live(page) -> None:
    """Wait until something has begun to form, even if it is whole by now."""
    page.wait_for_function("() => glStates.includes('live')")


def paced(walk: Callable, pause: Callable[[], object]) -> Callable:
    """A walk that pauses after each step: so that a test may do something before the last one, on any machine."""

    def walked(*about, **more):
        for states in walk(*about, **more):
            yield states
            pause()

    return walked


def again(page, act: Callable[[], object]) -> None:
    """Do something that starts a run, and wait for that run's end."""
    starting(page, act)
    finished(page)


def starting(page, act: Callable[[], object]) -> None:
    """Do something that starts a run; what was there before is no longer taken for its end."""
    page.evaluate("document.querySelectorAll('.gl-film').forEach(node => node.removeAttribute('data-state'))")
    page.evaluate("glStates.length = 0")
    act()


def shown(page) -> np.ndarray:
    """The pictures of the film on the stage, (n, h * w, 4) bytes: red, green, blue and alpha."""
    pixels = page.evaluate(
        f"() => [...{FILM}.querySelectorAll('canvas')]"
        ".map(c => [...c.getContext('2d').getImageData(0, 0, c.width, c.height).data])"
    )
    return np.array(pixels, np.uint8).reshape(len(pixels), -1, 4)
