"""One look for all apps: theme, page, equation and code panels, knobs, the film that shows a trajectory.

An app states its knobs once (`Knobs`); components, validation and the link follow from them.
"""

from genlab.ui.film import STOPPING, Film, film
from genlab.ui.frame import Frame, frame, markdown, page
from genlab.ui.knobs import Choice, Knobs, Number, Switch
from genlab.ui.media import picture_file
from genlab.ui.pad import drawn, ink, packed, pad, strokes, unpacked
from genlab.ui.panels import call_text, card_text, equation, measured, python_text, under_the_hood
from genlab.ui.runs import Run, Runs
from genlab.ui.shelf import Shelf, gpu, infer, seeded, tensor
from genlab.ui.theme import look
from genlab.ui.viewer import Scene, viewer

__all__ = [
    "STOPPING",
    "Choice",
    "Film",
    "Frame",
    "Knobs",
    "Number",
    "Run",
    "Runs",
    "Scene",
    "Shelf",
    "Switch",
    "call_text",
    "card_text",
    "drawn",
    "equation",
    "film",
    "frame",
    "gpu",
    "infer",
    "ink",
    "look",
    "markdown",
    "measured",
    "packed",
    "pad",
    "page",
    "picture_file",
    "python_text",
    "seeded",
    "strokes",
    "tensor",
    "under_the_hood",
    "unpacked",
    "viewer",
]
