"""How many pictures a second a page shows while something is dragged, in a real browser: a body as a beta changes, and
the digit under the pointer that moves over the map of codes.

Server and headless Chromium share this machine's cores, and without a graphics card pictures are drawn on them too.
A body is then drawn roughly while something moves, once the page has noticed: both are told, the first two seconds and
the five after them.
"""

import os
import shutil

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
WINDOWS = {"desk, 1280 x 800": (1280, 800), "phone, 390 x 844": (390, 844)}
LESSONS = {
    "a body's beta dragged": ("body_shape?motion=still", ".gl-view[data-state=done]", DRAG),
    "the pointer moved over the map of digits": ("latent_space", ".gl-plane[data-state=live]:visible", MOVE),
}


def run(options) -> str:
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    from playwright.sync_api import sync_playwright

    from genlab.demo import serve

    browser = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if browser is None:
        return "Not measured: it takes a browser (install chromium)."
    site, rows = serve(block=False), []
    with sync_playwright() as driver:
        chromium = driver.chromium.launch(executable_path=browser, args=["--no-sandbox", "--disable-gpu"])
        for what, (path, there, script) in LESSONS.items():
            for name, (width, height) in WINDOWS.items():
                page = chromium.new_page(viewport={"width": width, "height": height})
                page.set_default_timeout(120_000)
                page.goto(site.local_url + path, wait_until="domcontentloaded")
                page.locator(there).wait_for()
                page.locator(".katex").first.wait_for()  # the last of what comes by itself
                rates = [page.evaluate(script, seconds) for seconds in (2, 5)]
                rows.append([what, name, *(f"{rate:.0f}" for rate in rates)])
                page.close()
        chromium.close()
    site.close()
    return table(["no graphics card", "window", "pictures/s at first", "then"], rows)
