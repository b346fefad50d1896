"""The matrix: how well each picture fits each text, as a heat map of numbers, and one cell of it in detail: the softmax
over its picture's column as bars, with a temperature to turn, and what in the picture the number hangs on. Drawn by
matrix.js; the temperature acts in the page alone.

It knows nothing of models. Its value is what `Matrix.whole`, `Matrix.overlay` or `Matrix.message` returns. It fires
`select` when a cell is chosen, with {"row", "column"}, and `release` when the temperature was moved, with
{"temperature"}, null for the one that came with the numbers. Elements of the page with a class gl-now-row,
gl-now-column, gl-now-value, gl-now-logit or gl-now-temperature follow the chosen cell.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from genlab import viz
from genlab.names import require
from genlab.ui.serial import SERIAL

gr = require("gradio", extra="apps")

HERE = Path(__file__).parent
NARROWEST = 0.1  # of the colours' range: small differences are not magnified beyond it

TEMPLATE = """
<div class="gl-matrix" data-state="empty">
  <div class="gl-matrix-grid" role="grid"></div>
  <div class="gl-matrix-line"><p class="gl-status" role="status"></p><output class="gl-matrix-hint"></output></div>
  <div class="gl-matrix-detail" hidden>
    <figure><canvas role="img" width="352" height="352"></canvas><figcaption></figcaption></figure>
    <div>
      <p class="gl-matrix-say"></p>
      <div class="gl-matrix-heat">
        <label></label><input type="range" min="0" max="200" step="1"><output></output>
        <button type="button"></button>
      </div>
      <ul class="gl-matrix-bars"></ul>
    </div>
  </div>
</div>
"""


def matrix(value: dict | None = None, **kwargs):
    """The component."""
    return gr.HTML(
        value,
        html_template=TEMPLATE,
        css_template=(HERE / "matrix.css").read_text(encoding="utf-8"),
        # a component that was hidden is made anew, with its last value alone: the number tells which one it was
        js_on_load=f"const PLACE = {next(SERIAL)};\n" + (HERE / "matrix.js").read_text(encoding="utf-8"),
        apply_default_css=False,
        **kwargs,
    )


class Matrix:
    """The values of the component."""

    @staticmethod
    def whole(
        cells,
        rows: Sequence[Mapping[str, Any]],
        columns: Sequence[Mapping[str, Any]],
        *,
        name: str,
        also: Mapping[str, Any],
        temperature: float,
        turned: float | None = None,
        cell: tuple[int, int] = (0, 0),
        home: tuple[int, int] = (0, 0),
        status: str = "",
        link: dict | None = None,
        pixelated: bool = True,
    ) -> dict:
        """All of it.

        cells (rows, columns): the numbers, called `name`; also: more numbers of that shape by their names, told of a
        cell. rows: a "text" each, with a "note" below it, "warn" where that is bad news, "mark": words of the text that
        are underlined, "short": words for its bar. columns: a "picture", uint8 (h, w, 3), a "name" and its "alt" each.
        temperature: of the softmax over a column; turned: another one that the visitor chose. cell: row and column of
        the chosen one; home: of the one that the link need not name. link: "names" of the link's parts, their "values",
        and "cell" and "temperature", the names of these two parts, which the page writes itself.
        """
        cells = np.asarray(cells, dtype=float)
        if cells.shape != (len(rows), len(columns)) or not cells.size:
            raise ValueError(f"{len(rows)} texts and {len(columns)} pictures make no cells of shape {cells.shape}")
        low, high = float(cells.min()), float(cells.max())
        wider = max(NARROWEST - (high - low), 0) / 2
        heads = [{"src": viz.data_uri(viz.png(c["picture"])), "name": c["name"], "alt": c["alt"]} for c in columns]
        return {
            "serial": next(SERIAL),
            "cells": cells.round(4).tolist(),
            "also": [
                {"name": key, "cells": np.asarray(more, dtype=float).round(4).tolist()} for key, more in also.items()
            ],
            "rows": [dict(row) for row in rows],
            "columns": heads,
            "name": name,
            "range": [low - wider, high + wider],
            "temperature": temperature,
            "turned": turned,
            "cell": list(cell),
            "home": list(home),
            "status": status,
            "link": link,
            "pixelated": pixelated,
        }

    @staticmethod
    def overlay(cell: tuple[int, int], drops) -> dict:
        """What a cell's number loses where a part of its picture, one of a grid of equal parts, is covered."""
        return {
            "serial": next(SERIAL),
            "overlay": {"cell": list(cell), "drops": np.asarray(drops, float).round(4).tolist()},
        }

    @staticmethod
    def message(text: str, error: bool = False, wait: bool = False) -> dict:
        """A sentence below; what is shown stays, paler where something new is on its way."""
        return {"serial": next(SERIAL), "message": text, "error": error, "wait": wait}
