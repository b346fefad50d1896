"""What a search found: pictures in order, each with its number and one of them chosen, and below it texts in order.

The value is HTML, from `found(...)` or a sentence of the app's. Its event `select` says {"index"}: which picture was
clicked. A link among the results becomes the page's address.
"""

import json
from collections.abc import Sequence
from html import escape
from pathlib import Path

import numpy as np

from genlab import viz
from genlab.names import require

gr = require("gradio", extra="apps")

HERE = Path(__file__).parent


def nearest(value: str = "", **kwargs):
    """The component."""
    return gr.HTML(
        value,
        css_template=(HERE / "nearest.css").read_text(encoding="utf-8"),
        js_on_load=(HERE / "nearest.js").read_text(encoding="utf-8"),
        apply_default_css=False,
        **kwargs,
    )


def found(
    title: str,
    pictures: Sequence[np.ndarray],
    alts: Sequence[str],
    numbers: Sequence[float],
    chosen: int,
    second: str,
    texts: Sequence[tuple[str, float, bool]],
    *,
    warning: str = "",
    pixelated: bool = True,
    link: dict | None = None,
) -> str:
    """The value of the component. pictures: uint8 (h, w, 3) each, with `alts` and `numbers`; chosen: one of them.
    second: the title over the texts, each with its number and whether it is right. link: "names" of the parts of
    the link and their "values"; without it the address of the page stays."""
    buttons = "".join(
        f'<button type="button" data-index="{k}" aria-pressed="{str(k == chosen).lower()}" title="{escape(alt)}">'
        f'<img src="{viz.data_uri(viz.png(picture))}" alt="{escape(alt)}"><span>{number:.2f}</span></button>'
        for k, (picture, alt, number) in enumerate(zip(pictures, alts, numbers, strict=True))
    )
    most = max([number for _, number, _ in texts] + [1e-6])
    rows = "".join(
        f'<li{" class=gl-here" if right else ""}><i style="width: {max(0, 56 * number / most):.0f}px"></i>'
        f"<b>{number:.2f}</b><span>{escape(text)}</span></li>"
        for text, number, right in texts
    )
    here = f' data-link="{escape(json.dumps(link))}"' if link else ""
    warn = f'<p class="gl-status gl-error" role="status">{escape(warning)}</p>' if warning else ""
    return (
        f'<div class="gl-nearest{" gl-pixelated" if pixelated else ""}"{here}>{warn}<h3>{escape(title)}</h3>'
        f'<div class="gl-found" role="group" aria-label="{escape(title)}">{buttons}</div>'
        f"<h3>{escape(second)}</h3><ol>{rows}</ol></div>"
    )
