"""The race: several fitters at one task, what each has reached against the clock. Drawn by race.js, which as its cursor
moves tells a figure and a viewer on the page what the bodies are like at that time.
"""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from genlab.names import require

gr = require("gradio", extra="apps")

HERE = Path(__file__).parent
APART = 1.06  # a lane keeps a state only if it is so much later than the one before: the clock's scale is logarithmic

TEMPLATE = """
<div class="gl-race">
  <div class="gl-bar">
    <button type="button" class="gl-play" aria-label="Play">&#9654;</button>
    <div class="gl-track"><input type="range" min="0" max="1000" value="1000" aria-label="Time of the fit"></div>
    <output></output>
  </div>
  <div class="gl-charts">
    <figure><figcaption></figcaption><svg viewBox="0 0 440 156" class="gl-chart" role="img"></svg></figure>
    <figure><figcaption></figcaption><svg viewBox="0 0 440 156" class="gl-chart" role="img"></svg></figure>
  </div>
  <p class="gl-status" role="status"></p>
</div>
"""


def race(value: dict | None = None, **kwargs):
    """The component. Its value is what `Race.live`, `Race.whole` or `Race.message` returns."""
    return gr.HTML(
        value,
        html_template=TEMPLATE,
        js_on_load=(HERE / "race.js").read_text(encoding="utf-8"),
        apply_default_css=False,
        **kwargs,
    )


class Race:
    """Collects the states of each lane and packs them for the page.

    `lanes`: class names ("lgd") and the words for them. `about`: what race.js needs beside them: names and bones of the
    joints, units of both errors, the true body if it is known, each mesh's name by lane.
    """

    def __init__(self, run: str, lanes: Mapping[str, str], **about: Any):
        self.about = {"run": run, "words": dict(lanes), **about}
        self.lanes: dict[str, list[dict[str, Any]]] = {lane: [] for lane in lanes}
        self.last: dict[str, dict[str, Any]] = {}
        self.sent = dict.fromkeys(lanes, 0)

    def add(self, lane: str, ms: float, n: int, errors: Sequence[float | None], xy, pose, betas, **now: Any) -> None:
        """One state: when, after how many steps, its two errors, its joints in the picture, and its body."""
        state = {"ms": round(ms, 2), "n": n, "errors": [None if e is None else _finite(e) for e in errors], **now}
        state |= {"xy": np.round(xy, 1).tolist(), "pose": np.round(pose, 4).ravel().tolist()}
        state["betas"] = np.round(betas, 3).tolist()
        kept = self.lanes[lane]
        if len(kept) < 2 or ms > APART * kept[-1]["ms"]:
            kept.append(state)
        self.last[lane] = state

    def live(self, status: str, link: dict | None = None) -> dict:
        """The states since the last call, to be added to those on the page. The first ones bring the link along."""
        first = not any(self.sent.values())
        new = {lane: kept[self.sent[lane] :] for lane, kept in self.lanes.items()}
        self.sent = {lane: len(kept) for lane, kept in self.lanes.items()}
        return {**self.about, "lanes": new, "status": status, "whole": False, "link": link if first else None}

    def whole(self, status: str, *, alt: str, link: dict | None = None) -> dict:
        """All of it, the last state of each lane included. `alt` says what it shows, with the numbers."""
        for lane, state in self.last.items():
            if self.lanes[lane][-1] is not state:
                self.lanes[lane].append(state)
        return {**self.about, "lanes": self.lanes, "status": status, "whole": True, "alt": alt, "link": link}

    @staticmethod
    def message(text: str, error: bool = False) -> dict:
        """A sentence below the charts, which stay as they are."""
        return {"message": text, "error": error}


def _finite(x: float) -> float | None:
    return float(f"{x:.6g}") if math.isfinite(x) else None
