"""The film: small pictures side by side while they form, then a scrubber over every step. Drawn by film.js.

Frames travel as one PNG sheet: a row for each frame, in it all pictures of the first panel, then of the next.
"""

import base64
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from genlab import viz
from genlab.names import require

gr = require("gradio", extra="apps")

HERE = Path(__file__).parent
KEPT = 64  # frames of a finished film; enough for smooth scrubbing, small enough to send in one piece
MOST_NUMBERS = 6_000_000  # in all of them: of many large pictures fewer are kept
FEWER_GREYS = np.round(np.arange(256) / 17).astype(np.uint8) * 17
FEWER_COLOURS = np.round(np.round(np.arange(256) / 255 * 31) * 255 / 31).astype(np.uint8)  # pale ones keep their tint

TEMPLATE = """
<div class="gl-film">
  <div class="gl-modes" role="group" aria-label="What to show" hidden>
    <button type="button" data-mode="steps" aria-pressed="true"></button>
    <button type="button" data-mode="change" aria-pressed="false"></button>
  </div>
  <div class="gl-panels"></div>
  <div class="gl-bar" hidden>
    <button type="button" class="gl-play" aria-label="Play">&#9654;</button>
    <div class="gl-track">
      <svg viewBox="0 0 100 24" preserveAspectRatio="none" aria-hidden="true"></svg>
      <input type="range" min="0" value="0" aria-label="Step of the trajectory">
    </div>
    <output></output>
  </div>
  <p class="gl-status" role="status"></p>
</div>
"""


def film(value: dict | None = None, **kwargs):
    """The component. Its value is what `Film.live` or `Film.whole` returns, or `Film.message(...)`."""
    return gr.HTML(
        value,
        html_template=TEMPLATE,
        js_on_load=(HERE / "film.js").read_text(encoding="utf-8"),
        apply_default_css=False,
        **kwargs,
    )


# For the Stop button's `js`: it is heard at once, though the step that is under way has to end first.
STOPPING = """(...values) => {
  for (const node of document.querySelectorAll(".gl-film")) {
    if (node.dataset.state === "live") node.querySelector(".gl-status").textContent = "Stopping ...";
  }
  return values;
}"""


class Film:
    """Collects the frames of one run and packs them for the page.

    `panels`: their titles. `of`: how many frames are to come. `rows`: a label for each row of pictures, if rows differ.
    `band`: the range of t in which something acts, shaded behind the scrubber. `score`: what the curve behind it shows.
    `knobs`, `noise`: a run with other knobs and the same noise is shown beside the one before it. `subject`: the knob
    that says what is drawn; if it and others changed, the two are not held against each other. `room`: captions such as
    the last frame will have, for which room is left from the first on.
    """

    def __init__(
        self,
        run: str,
        panels: Sequence[str],
        columns: int,
        of: int,
        *,
        rows: Sequence[str] = (),
        band: tuple[float, float] | None = None,
        score: str = "",
        knobs: dict[str, str] | None = None,
        noise: str = "",
        subject: str = "",
        room: Sequence[dict] = (),
    ):
        self.about: dict[str, Any] = {
            "run": run,
            "panels": list(panels),
            "cols": columns,
            "of": of,
            "rows": list(rows),
            "band": band,
            "score": score,
            "knobs": knobs or {},
            "noise": noise,
            "subject": subject,
            "room": list(room),
        }
        self.frames: list[np.ndarray] = []  # each (h, panels * n * w) or (h, panels * n * w, 3)
        self.facts: list[dict[str, Any]] = []
        self.sent = 0

    def add(
        self,
        t: float,
        *panels: np.ndarray,
        captions: Sequence[str | dict] = (),
        score: float | None = None,
        at: int | None = None,
        **now,
    ) -> None:
        """One frame: uint8 pictures (n, h, w) or (n, h, w, 3) for each panel, words under the last one's, the score,
        values to show. A caption is a text, or {"head": text, "words": [(text, right or wrong or None), ...]}. at: the
        number of the frame, where some are left out."""
        pictures = np.concatenate(panels)
        self.about["n"], self.about["size"] = len(panels[0]), list(pictures.shape[1:3])
        self.frames.append(np.concatenate(list(pictures), axis=1))
        at = len(self.facts) if at is None else at
        self.facts.append({"at": at, "t": t, "captions": list(captions), "score": score, "now": {"t": f"{t:g}", **now}})

    def live(self, status: str, link: dict | None = None) -> dict:
        """The frames since the last call, to be added to those on the page. The first ones bring the link along.

        What is said of them goes as one text: gradio sends only what differs from the value before, and loses count
        where lists in lists become shorter."""
        first, self.sent = self.sent, len(self.frames)
        value = self._pack(range(first, self.sent), status)
        return value | {
            "frames": json.dumps(value["frames"], default=float),
            "whole": False,
            "link": None if first else link,
        }

    def whole(
        self,
        status: str,
        *,
        alt: str,
        link: dict | None = None,
        notes: Sequence[str] = (),
        titles: Sequence[str] = (),
    ) -> dict:
        """The finished film. `alt` says what it shows, with the numbers; `link` is the query that leads back here;
        `notes` are of the rows, `titles` of the last panel's pictures, told where they are pointed at."""
        self.sent = len(self.frames)
        most = min(KEPT, max(8, MOST_NUMBERS // max(self.frames[-1].size, 1))) if self.frames else 0
        kept = np.unique(np.linspace(0, len(self.frames) - 1, most).round().astype(int)) if most else []
        return self._pack(kept, status) | {
            "whole": True,
            "alt": alt,
            "link": link,
            "notes": list(notes),
            "titles": list(titles),
        }

    @staticmethod
    def still(value: dict | None) -> dict | None:
        """The last picture of a finished film: light enough to come with the page, whose link it leaves alone."""
        if value is None:
            return None
        from PIL import Image

        with Image.open(io.BytesIO(base64.b64decode(value["sheet"].split(",", 1)[1]))) as sheet:
            last = np.asarray(sheet)[-value["size"][0] :]
        sheet = viz.data_uri(viz.png(last))
        return value | {"sheet": sheet, "frames": value["frames"][-1:], "link": None, "still": True}

    @staticmethod
    def message(text: str, error: bool = False, wait: bool = False) -> dict:
        """A sentence on the stage; the pictures there stay, faded if what they show is about to be replaced."""
        return {"message": text, "error": error, "wait": wait}

    def _pack(self, chosen, status: str) -> dict:
        chosen = [int(i) for i in chosen]
        last = len(self.frames) - 1
        # 16 greys (or 32 for each of three colours) are enough for what passes by, and halve what noise costs to send;
        # the result stays exact.
        fewer = FEWER_COLOURS if self.frames and self.frames[0].ndim == 3 else FEWER_GREYS
        sheet = [self.frames[i] if i == last else fewer[self.frames[i]] for i in chosen]
        return {
            **self.about,
            "status": status,
            "sheet": viz.data_uri(viz.png(np.concatenate(sheet))) if sheet else None,
            "frames": [self.facts[i] for i in chosen],
        }
