"""The CLIPs that a page scores with: ours by name; others' at home, or where the page's owner names them."""

import re
import time
from collections.abc import Iterator
from difflib import get_close_matches
from importlib.util import find_spec
from pathlib import Path

from genlab.names import GenlabError, LoadError, did_you_mean, require, root
from genlab.ui import limits
from genlab.ui.bench import Bench
from genlab.ui.runs import Run
from genlab.ui.shelf import Shelf

gr = require("gradio", extra="apps")

THEIRS = Bench("genlab.models.vision_language", "OpenCLIP")  # one for all pages: two models of others rarely fit


class Judges:
    """`judges = Judges(shelf, "clip-scenes")`; `name = judges.permitted("ViT-B-32/openai")`; once
    `judges.waiting(name, run)` is through and the run is still going, `judges[name]` is the model.

    ours: names on the shelf; the first is meant where none is given. Without any, no name means no judge."""

    def __init__(self, shelf: Shelf | None = None, *ours: str):
        self.ours, self._shelf = ours, shelf

    def permitted(self, name) -> str:
        """The model's name if this visitor may use it. Raises GenlabError."""
        if not isinstance(name, str | None):
            raise GenlabError(f"A model is called by its name, as 'ViT-B-32/openai', not by a {type(name).__name__}.")
        name, allowed = limits.text(name, 300) or (self.ours or ("",))[0], limits.allowed_pipelines(limits.CLIPS)
        if name in self.ours or not name:
            return name
        offered = [*self.ours, *(allowed or [])]
        near = did_you_mean(name, offered) or "."
        if self.ours and re.fullmatch(r"[\w-]+", name) and _is_folder(str(root() / "model_cards" / name)):
            raise GenlabError(f"{name!r} of genlab does not score here: {' or '.join(self.ours)} does.")
        if allowed is not None and name not in allowed:
            raise GenlabError(f"This page scores with {', '.join(offered) or 'no model'}, not with {name!r}{near}")
        if "/" not in name and not _is_folder(name) and not find_spec("open_clip"):
            raise GenlabError(
                f"{name!r} does not come with genlab{near} If it is one of open_clip's, this page needs that library: "
                "pip install 'genlab[clip]'."
            )
        return name

    def __getitem__(self, name: str):
        """The model, if need be after a wait. Raises GenlabError."""
        return self._shelf[name] if name in self.ours else THEIRS.get(name).result()

    def waiting(self, name: str, run: Run) -> Iterator[str]:
        """What to say until the model is there; the run's time starts when it is. Raises GenlabError."""
        if name not in self.ours:
            try:
                yield from THEIRS.waiting(name, run)
            except LoadError as error:
                near = get_close_matches(name.lower(), self.ours, n=1)
                if not near:
                    raise
                raise LoadError(f"{error} Or is it {near[0]!r}, which is here?") from error
        elif not self._shelf.ready(name):
            yield "Loading the model, a few seconds the first time."
            self._shelf[name]
            run.started = time.monotonic()

    def component(self, label: str):
        """Where a visitor chooses among ours and the owner's, and at home writes any name; hidden where there is no
        choice."""
        allowed = limits.allowed_pipelines(limits.CLIPS)
        named = f"{label} ({'or ' if self.ours else ''}an open_clip name, a Hub id, a folder)"
        if allowed is None and not self.ours:
            return gr.Textbox(label=named, max_lines=1, max_length=300)
        choices = [*(self.ours or [""]), *(allowed or [])]
        return gr.Dropdown(
            choices,
            value=choices[0],
            label=named if allowed is None else label,
            allow_custom_value=True,
            visible=allowed is None or len(choices) > 1,
        )


def _is_folder(name: str) -> bool:
    try:
        return Path(name).expanduser().is_dir()
    except (OSError, RuntimeError, ValueError):  # too long a name, nobody's home
        return False
