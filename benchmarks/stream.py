"""How soon after the click the guidance lesson shows a picture, and how many it shows a second, in a real browser.

Server and headless Chromium share this machine's cores. The click is at the default knobs (20 digits, 50 DDIM steps,
rho = 2: both passes), once the models are loaded.
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


def run(options) -> str:
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    from playwright.sync_api import sync_playwright

    from genlab.demo import serve

    browser = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if browser is None:
        return "Not measured: it takes a browser (install chromium)."
    site = serve(block=False)
    with sync_playwright() as driver:
        chromium = driver.chromium.launch(executable_path=browser, args=["--no-sandbox", "--disable-gpu"])
        page = chromium.new_page(viewport={"width": 1280, "height": 800})
        page.set_default_timeout(120_000)
        page.goto(site.local_url + "guidance", wait_until="domcontentloaded")
        page.wait_for_function(READY)
        page.evaluate(CLICK)  # the first click waits for the models
        runs = [page.evaluate(CLICK) for _ in range(options.repeats)]
        chromium.close()
    site.close()

    def spread(values: list[float], unit: str) -> str:
        return f"{median(values):.2f} {unit} ({min(values):.2f} to {max(values):.2f})"

    rows = [
        ["click to first picture", spread([times[0] for times in runs], "s")],
        ["click to finished run", spread([times[-1] for times in runs], "s")],
        ["pictures shown a second", spread([(len(t) - 1) / (t[-1] - t[0]) for t in runs], "/s")],
    ]
    return table(["guidance lesson, default knobs", "median (least to most)"], rows)
