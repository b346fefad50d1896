"""What a search found: pictures in order, each with its number and one of them chosen, and below it texts in order.

The value is HTML, from `found(...)` or a sentence of the app's. Its event `select` says {"index"}: which picture was
clicked. A link among the results becomes the page's address.
"""

import json
from collections.abc import Sequence
from html import escape

import numpy as np

from genlab import viz
from genlab.names import require

gr = require("gradio", extra="apps")

STYLE = """
.gl-nearest h3 { font-size: 16px; line-height: 24px; font-weight: 600; margin: 12px 0 8px; }
.gl-found { display: grid; grid-template-columns: repeat(auto-fill, minmax(128px, 1fr)); gap: 8px; }
.gl-found button { font: inherit; color: inherit; background: none; border: 0; padding: 0; cursor: pointer; }
.gl-found img { display: block; width: 100%; aspect-ratio: 1; }
.gl-pixelated .gl-found img { image-rendering: pixelated; }
.gl-found button[aria-pressed=true] img { outline: 3px solid var(--gl-accent); }
.gl-found button[aria-pressed=true] span { font-weight: 600; color: var(--body-text-color); }
.gl-found span { display: block; font: 14px/20px var(--font-mono); color: var(--body-text-color-subdued); }
.gl-nearest ol { list-style: none; margin: 0; padding: 0; font-size: 15px; line-height: 22px; }
.gl-nearest li { display: grid; grid-template-columns: 56px 44px 1fr; gap: 8px; align-items: center; padding: 2px 0; margin: 0; }
.gl-nearest li i { height: 12px; background: var(--gl-accent); opacity: .55; justify-self: end; }
.gl-nearest li b { font: 15px/22px var(--font-mono); }
.gl-nearest li.gl-here { font-weight: 600; }
.gl-nearest li.gl-here i { opacity: 1; }
"""  # noqa: E501
SCRIPT = """
function relink() { // let the page's address lead back to what is shown
  const text = element.querySelector("[data-link]")?.dataset.link;
  if (!text) return;
  const { names, values } = JSON.parse(text), url = new URL(location.href);
  for (const name of names) url.searchParams.delete(name);
  for (const [name, word] of Object.entries(values)) url.searchParams.set(name, word);
  history.replaceState(history.state, "", url);
}
watch("value", relink);
element.addEventListener("click", (event) => {
  const button = event.target.closest("[data-index]");
  if (button) trigger("select", { index: Number(button.dataset.index) });
});
"""


def nearest(value: str = "", **kwargs):
    """The component."""
    return gr.HTML(value, css_template=STYLE, js_on_load=SCRIPT, apply_default_css=False, **kwargs)


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
