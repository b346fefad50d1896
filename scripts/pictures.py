"""Take the README's pictures: `make pictures`, or python -m scripts.pictures [OUT].

Serves the site, opens its pages in headless Chromium on a desk, on a phone and in the dark, and writes what is seen to
docs/pictures/*.png. Run `python -m scripts.arrival guidance` (and body_shape) before, if weights or films changed.
"""

import os
import shutil
import sys
from pathlib import Path

os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"

from playwright.sync_api import sync_playwright

from genlab.demo import serve

DESK, PHONE = {"width": 1280, "height": 800}, {"width": 390, "height": 844}
STRIDE = "left_hip:-28,0,-4;left_knee:5,0,0;right_hip:12,0,4;right_knee:28,0,0;right_ankle:-32,0,0;"
STRIDE += "left_shoulder:20,0,-70;right_shoulder:-20,0,70"
WALKER = f"motion=still&b0=1.2&b1=0.6&pose={STRIDE};left_elbow:0,-18,0;right_elbow:0,36,0"  # still, so that it is sharp
KNEE = "left_knee:100,0,0;left_hip:-40,0,0;left_shoulder:0,0,-60;right_shoulder:0,0,60"
UNSEEN = "a+large+blue+heart+above+a+small+red+square,+on+a+white+field"
SHOTS = [  # file, path, size, scheme
    ("gallery", "", DESK, "light"),
    ("guidance", "guidance", DESK, "light"),
    ("guidance-dark", "guidance", DESK, "dark"),
    ("guidance-phone", "guidance", PHONE, "light"),
    ("guidance-sweep", "guidance?view=sweep&label=7&guidance=1.9", DESK, "light"),
    ("guidance-draw", "guidance?view=draw&label=any&guidance=1.9", DESK, "light"),
    ("body-shape", f"body_shape?{WALKER}&skeleton=1", DESK, "light"),
    ("body-shape-dark", f"body_shape?{WALKER}&compare=1&before=-1.5,-1.5,0.5,0,0,0,0,0,0,0|{STRIDE}|111", DESK, "dark"),
    ("body-shape-phone", f"body_shape?{WALKER}", PHONE, "light"),
    ("body-shape-weights", f"body_shape?motion=still&pose={KNEE}&joint=left_knee&weights=1", DESK, "light"),
    ("fit-pose", "fit_pose", DESK, "light"),
    ("fit-pose-dark", "fit_pose?pose=wave&missing=8&noise=6", DESK, "dark"),
    ("fit-pose-phone", "fit_pose", PHONE, "light"),
    ("latent-space", "latent_space", DESK, "light"),
    ("latent-space-dark", "latent_space?behind=points&digit=7&to=1", DESK, "dark"),
    ("latent-space-phone", "latent_space", PHONE, "light"),
    ("latent-space-compare", "latent_space?view=compare", DESK, "light"),
    ("latent-space-traverse", "latent_space?view=traverse", DESK, "light"),
    ("clip-score", "clip_score", DESK, "light"),
    ("clip-score-dark", "clip_score?say=wrong&n=1&things=3&seed=339", DESK, "dark"),
    ("clip-score-phone", "clip_score", PHONE, "light"),
    ("clip-score-nearest", "clip_score?view=nearest", DESK, "light"),
    ("text-to-image", "text_to_image", DESK, "light"),
    ("text-to-image-dark", f"text_to_image?prompt={UNSEEN}", DESK, "dark"),
    ("text-to-image-phone", "text_to_image", PHONE, "light"),
    ("text-to-image-sweep", "text_to_image?view=sweep", DESK, "light"),
    ("text-to-image-sketch", "text_to_image?view=sketch", DESK, "light"),
]
READY = (  # a whole film, with its scrubber: not the picture that the page brings along; or a scene in 3D, or a map
    "() => [...document.querySelectorAll('.gl-film')].some(f => f.offsetParent && f.dataset.state === 'done'"
    " && !f.querySelector('.gl-bar').hidden) || document.querySelector('.gl-view[data-state=done]')"
    " || document.querySelector('.gl-plane[data-state=live], .gl-matrix[data-state=done], .gl-found button')"
)


def main(out: Path) -> None:
    out.mkdir(parents=True, exist_ok=True)
    site = serve(block=False)
    executable = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=executable, args=["--no-sandbox", "--disable-gpu"])
        for name, path, size, scheme in SHOTS:
            page = browser.new_page(viewport=size, color_scheme=scheme)
            page.goto(site.local_url + path, wait_until="domcontentloaded", timeout=120_000)
            if path:
                page.wait_for_function(READY, timeout=180_000)
            page.locator(".gl-page").first.wait_for(timeout=120_000)
            page.wait_for_timeout(1500)  # fonts and formulas settle
            page.screenshot(path=out / f"{name}.png", timeout=120_000)
            print(out / f"{name}.png", flush=True)
            page.close()
        browser.close()
    site.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent.parent / "docs" / "pictures")
