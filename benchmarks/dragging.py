"""How alive a page is, in a real browser. How many pictures a second it shows while something is dragged: a body as a
beta changes, the digit under the pointer that moves over the map of codes. How soon a change is seen: of a pose, and of
a joint that was let go, to which the server fits a body.

Server and headless Chromium share this machine's cores, and without a graphics card pictures are drawn on them too.
A body is then drawn roughly, and well after a moment of rest, once the page has noticed: both are told, the first two
seconds and the five after them. A change is seen once the page has drawn it and could draw the next picture.
"""

import contextlib
import os
import re
import shutil
import statistics
from collections.abc import Iterator

from benchmarks.timing import table

DRAG = """async (seconds) => {
  const view = document.querySelector(".gl-view"), slider = document.querySelector("input[type=range]");
  const put = Object.getOwnPropertyDescriptor(HTMLInputElement.prototype, "value").set;
  const first = Number(view.dataset.frames), start = performance.now();
  while (performance.now() - start < 1000 * seconds) {
    put.call(slider, (3 * Math.sin(performance.now() / 300)).toFixed(1));
    slider.dispatchEvent(new Event("input", { bubbles: true }));
    await new Promise(requestAnimationFrame);
  }
  return (Number(view.dataset.frames) - first) / ((performance.now() - start) / 1000);
}"""
MOVE = """async (seconds) => {
  const map = document.querySelector(".gl-plane-map canvas"), plane = map.closest(".gl-plane");
  const { left, top, width, height } = map.getBoundingClientRect();
  const first = Number(plane.dataset.frames), start = performance.now();
  while (performance.now() - start < 1000 * seconds) {
    const angle = performance.now() / 500;
    const clientX = left + (0.5 + 0.35 * Math.cos(angle)) * width;
    const clientY = top + (0.5 + 0.35 * Math.sin(angle)) * height;
    map.dispatchEvent(new PointerEvent("pointermove", { clientX, clientY, bubbles: true }));
    await new Promise(requestAnimationFrame);
  }
  return (Number(plane.dataset.frames) - first) / ((performance.now() - start) / 1000);
}"""
# From the next event of a kind until its picture is seen; `run`: that of the first state of the run that it starts
WAIT = """([kind, run]) => {
  const changes = (place, name) => new Promise((done) => {
    const observer = new MutationObserver(() => (observer.disconnect(), done()));
    observer.observe(document.querySelector(place), { attributes: true, attributeFilter: [name] });
  });
  window.glSeen = new Promise((seen) => addEventListener(kind, async (event) => {
    if (run) await changes(".gl-race", "data-run");
    await changes(".gl-view", "data-frames");
    await new Promise(requestAnimationFrame);
    seen(performance.now() - event.timeStamp);
  }, { capture: true, once: true }));
}"""
WINDOWS = {"desk, 1280 x 800": (1280, 800), "phone, 390 x 844": (390, 844)}
LESSONS = {
    "a body's beta dragged": ("body_shape?motion=still", ".gl-view[data-state=done]", DRAG),
    "the pointer moved over the map of digits": ("latent_space", ".gl-plane[data-state=live]:visible", MOVE),
}


TIMES = 20  # changes


def turn(page) -> Iterator[float]:
    """An arm is turned from its slider, by 36 degrees at a time."""
    slider = page.get_by_role("slider", name=re.compile("range slider for Turn about z"))
    slider.focus()
    for k in range(TIMES):
        page.wait_for_timeout(700)  # at rest the body is drawn well again
        page.evaluate(WAIT, ["input", False])
        slider.press("PageUp" if k % 4 < 2 else "PageDown")
        yield page.evaluate("glSeen")


def let_go(page) -> Iterator[float]:
    """A wrist is dragged to another place and let go."""
    for k in range(TIMES):
        page.locator(".gl-race[data-state=done]").wait_for()
        page.wait_for_timeout(700)
        box = page.locator("[data-joint='20'] .gl-dot").bounding_box()
        x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
        page.mouse.move(x, y)
        page.mouse.down()
        page.mouse.move(x + 12 * (-1) ** k, y + 24 * (-1) ** (k // 2), steps=4)
        page.evaluate(WAIT, ["pointerup", True])
        page.mouse.up()
        yield page.evaluate("glSeen")


CHANGES = {
    "a pose, until it is seen": ("body_shape?motion=still&joint=left_shoulder", turn),
    "a joint let go, until its first fit is seen": ("fit_pose", let_go),
}


def run(options) -> str:
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    from playwright.sync_api import sync_playwright

    from genlab.demo import serve

    browser = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if browser is None:
        return "Not measured: it takes a browser (install chromium)."
    site, rates, waits = serve(block=False), [], []
    with sync_playwright() as driver:
        chromium = driver.chromium.launch(executable_path=browser, args=["--no-sandbox", "--disable-gpu"])

        @contextlib.contextmanager
        def visit(path: str, there: str, size: tuple[int, int]):
            page = chromium.new_page(viewport=dict(zip(("width", "height"), size, strict=True)))
            page.set_default_timeout(120_000)
            page.goto(site.local_url + path, wait_until="domcontentloaded")
            page.locator(there).wait_for()
            page.locator(".katex").first.wait_for()  # the last of what comes by itself
            yield page
            page.close()

        for name, size in WINDOWS.items():
            for what, (path, there, script) in LESSONS.items():
                with visit(path, there, size) as page:
                    rates.append([what, name, *(f"{page.evaluate(script, seconds):.0f}" for seconds in (2, 5))])
            for what, (path, change) in CHANGES.items():
                with visit(path, ".gl-view[data-state=done]", size) as page:
                    found = sorted(change(page))
                    waits.append([what, name, f"{statistics.median(found):.0f} ms", f"{found[-1]:.0f} ms"])
        chromium.close()
    site.close()
    fluent = table(["no graphics card", "window", "pictures/s at first", "then"], rates)
    return f"{fluent}\n\n{table([f'{TIMES} changes each', 'window', 'median', 'slowest'], waits)}"
