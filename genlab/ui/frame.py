"""The frame every app shares: title and lesson, controls beside the stage, suggestions, and folded detail below.

with ui.page(TITLE, SUMMARY, FAMILY), ui.frame() as frame:
    with frame.controls: ...
    with frame.stage: ...
    with frame.below: ...
"""

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import wraps
from html import escape
from typing import Any

from genlab.names import require

gr = require("gradio", extra="apps")

MATH = [
    {"left": "$$", "right": "$$", "display": True},
    {"left": "$", "right": "$", "display": False},
]


@dataclass
class Frame:
    """The places of a lesson, each a gradio context, and its buttons."""

    controls: Any
    stage: Any
    below: Any
    generate: Any = None
    stop: Any = None
    pressed: Any = None  # the chip that was pressed last, and when: pressed again, it is another value
    names: Sequence[str] = ()  # of the chips

    @contextmanager
    def group(self, name: str) -> Iterator[None]:
        """A named group of controls: What, How or Seed."""
        with gr.Column(elem_classes="gl-group"):
            gr.HTML(f"<h2>{escape(name)}</h2>", apply_default_css=False)
            yield

    def buttons(self, label: str = "Generate") -> None:
        """Generate and Stop, at the foot of the controls. Enter presses the first, where no box runs by itself."""
        with gr.Row(elem_classes="gl-buttons"):
            self.generate = gr.Button(label, variant="primary", elem_classes="gl-generate", min_width=96)
            self.stop = gr.Button("Stop", elem_classes="gl-stop", min_width=72)

    def suggest(self, names: Sequence[str]) -> None:
        """'Try this': one chip a name, in the order of the lesson. The app says what they set: see `suggested`."""
        self.names, self.pressed = tuple(names), gr.Textbox("", visible="hidden", label="pressed")
        with gr.Row(elem_classes="gl-chips"):
            gr.HTML("<span>Try this</span>", apply_default_css=False)
            for name in names:
                chip = gr.Button(name, size="sm", elem_classes="gl-chip gl-suggest", min_width=32)
                js = f"() => [{json.dumps(name)}, Date.now()].join('\\n')"
                chip.click(None, None, self.pressed, js=js, queue=False, api_visibility="private")

    def suggested(self, function: Callable, inputs: Sequence, outputs: Sequence):
        """The event of a chip: function(name, *inputs) says what it sets, outputs. Of several that are pressed in quick
        succession the last one counts, whichever answers come first."""

        @wraps(function)  # gradio reads the signature, and hands the request to whom it names it
        def put(name, *values):
            return function(name, *values) if name in self.names else gr.skip()

        return self.pressed.change(
            put,
            [self.pressed, *inputs],
            outputs,
            js="(pressed, ...values) => [pressed.split('\\n')[0], ...values]",
            queue=False,
            show_progress="hidden",
            api_visibility="private",
            trigger_mode="always_last",
        )


@contextmanager
def page(title: str, summary: str, family: str, home: str = "/", models: Sequence[str] = ()) -> Iterator[None]:
    """A page in the house's look, under its title and one-sentence lesson.

    home: where its gallery stands. models: the pretrained models it shows; the header leads to the first one's card.
    """
    card = "".join(
        f'<a href="card?name={escape(name)}" title="How {escape(name)} was made and measured">Model card</a>'
        for name in models[:1]
    )
    with gr.Column(elem_classes=f"gl-page gl-{family}"):
        gr.HTML(
            f'<header class="gl-header"><nav><a href="{escape(home)}">genlab</a> / {escape(family.replace("_", " "))}'
            f'<span>{card}<button type="button" data-gl="link">Copy link</button>'
            '<button type="button" data-gl="dark">Light / dark</button></span></nav>'
            f"<h1>{escape(title)}</h1><p>{escape(summary)}</p></header>",
            apply_default_css=False,
        )
        yield


@contextmanager
def frame() -> Iterator[Frame]:
    """Controls on the left, the stage on the right, the detail below; on a phone the stage comes first."""
    with gr.Column(elem_classes="gl-frame"):
        with gr.Row(elem_classes="gl-split", equal_height=False):
            controls = gr.Column(scale=3, min_width=280, elem_classes="gl-controls")
            stage = gr.Column(scale=8, min_width=320, elem_classes="gl-stage")
        below = gr.Column(elem_classes="gl-below")
    yield Frame(controls, stage, below)


def markdown(text: Any = "", **kwargs):
    """Markdown with formulas, set by the KaTeX that ships with gradio."""
    return gr.Markdown(text, latex_delimiters=MATH, **kwargs)
