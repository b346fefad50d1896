"""How soon after the click the lessons that draw show a picture, and how many they show a second, in a real browser.

Server and headless Chromium share this machine's cores. The click is at the default knobs (rho = 2: both passes; of
guidance 20 digits in 50 DDIM steps, of text to image 4 pictures in 30). The first click of all waits for the models.
"""

import os
import shutil
from statistics import median

from benchmarks.timing import table

CLICK = """() => {
  const film = [...document.querySelectorAll(".gl-film")].find(node => node.offsetParent), start = performance.now();
  const times = [];
  return new Promise(done => {
    new MutationObserver(() => {
      times.push((performance.now() - start) / 1000);
      if (film.dataset.state === "done") done(times);
    }).observe(film, {attributes: true, attributeFilter: ["data-state"]});
    document.querySelector(".gl-generate").click();
  });
}"""
READY = (
    "() => [...document.querySelectorAll('.gl-film')].some(f => f.offsetParent && f.dataset.state === 'done'"
    " && !f.querySelector('.gl-bar').hidden)"
)


PAGES = {"guidance": "guidance", "text_to_image": "text to image"}


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
        for path, name in PAGES.items():
            page = chromium.new_page(viewport={"width": 1280, "height": 800})
            page.set_default_timeout(120_000)
            page.goto(site.local_url + path, wait_until="domcontentloaded")
            page.wait_for_function(READY)
            first = page.evaluate(CLICK)[0]  # waits for the models
            runs = [page.evaluate(CLICK) for _ in range(options.repeats)]
            shown = [(len(times) - 1) / (times[-1] - times[0]) for times in runs]
            rows.append([name, f"{first:.2f}", *map(spread, ([t[0] for t in runs], [t[-1] for t in runs], shown))])
            page.close()
        chromium.close()
    site.close()
    head = ["lesson, default knobs", "the first click of all to a picture, s", "click to first picture, s"]
    return table([*head, "click to finished run, s", "pictures shown a second"], rows)


def spread(values: list[float]) -> str:
    return f"{median(values):.2f} ({min(values):.2f} to {max(values):.2f})"
