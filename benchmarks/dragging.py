"""How many pictures a second the body lesson shows while a beta is dragged, in a real browser.

Server and headless Chromium share this machine's cores, and without a graphics card pictures are drawn on them too.
The page then draws roughly while something moves, once it has noticed: both are told, the first two seconds and the
five after them.
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
WINDOWS = {"desk, 1280 x 800": (1280, 800), "phone, 390 x 844": (390, 844)}


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
        for name, (width, height) in WINDOWS.items():
            page = chromium.new_page(viewport={"width": width, "height": height})
            page.set_default_timeout(120_000)
            page.goto(site.local_url + "body_shape?motion=still", wait_until="domcontentloaded")
            page.locator(".gl-view[data-state=done]").wait_for()
            page.locator(".katex").first.wait_for()  # the last of what comes by itself
            rates = [page.evaluate(DRAG, seconds) for seconds in (2, 5)]
            rows.append([name, *(f"{rate:.0f}" for rate in rates)])
            page.close()
        chromium.close()
    site.close()
    return table(["body lesson, a beta dragged, no graphics card", "pictures/s at first", "then"], rows)
