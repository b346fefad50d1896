"""One look for all apps: theme, page, equation and code panels, knobs, the film that shows a trajectory.

An app states its knobs once (`Knobs`); components, validation and the link follow from them.
"""

from genlab.ui.assemble import assemble, assembled, chosen
from genlab.ui.figure import LARGEST, Figure, bones, figure, read_keypoints
from genlab.ui.film import STOPPING, Film, film
from genlab.ui.frame import Frame, frame, markdown, page
from genlab.ui.judges import Judges
from genlab.ui.knobs import Choice, Knobs, Number, Switch, Text
from genlab.ui.matrix import Matrix, matrix
from genlab.ui.media import arrays_file, mesh_file, picture_file, read_picture, resized, sent_picture
from genlab.ui.pad import DIGITS, drawn, handwritten, ink, packed, pad, strokes, unpacked
from genlab.ui.palette import lengthened, palette, shortened, sketch, sketched
from genlab.ui.panels import call_text, card_text, equation, literal, measured, part, python_text, under_the_hood
from genlab.ui.plane import plane
from genlab.ui.race import Race, race
from genlab.ui.rig import Rig
from genlab.ui.runs import Run, Runs
from genlab.ui.shelf import Shelf, gpu, infer, seeded, tensor
from genlab.ui.theme import look
from genlab.ui.viewer import Scene, viewer

__all__ = [
    "DIGITS",
    "LARGEST",
    "STOPPING",
    "Choice",
    "Figure",
    "Film",
    "Frame",
    "Judges",
    "Knobs",
    "Matrix",
    "Number",
    "Race",
    "Rig",
    "Run",
    "Runs",
    "Scene",
    "Shelf",
    "Switch",
    "Text",
    "arrays_file",
    "assemble",
    "assembled",
    "bones",
    "call_text",
    "card_text",
    "chosen",
    "drawn",
    "equation",
    "literal",
    "figure",
    "film",
    "frame",
    "gpu",
    "handwritten",
    "infer",
    "ink",
    "lengthened",
    "look",
    "markdown",
    "matrix",
    "measured",
    "mesh_file",
    "packed",
    "pad",
    "page",
    "palette",
    "part",
    "picture_file",
    "plane",
    "python_text",
    "race",
    "read_keypoints",
    "read_picture",
    "resized",
    "seeded",
    "sent_picture",
    "shortened",
    "sketch",
    "sketched",
    "strokes",
    "tensor",
    "under_the_hood",
    "unpacked",
    "viewer",
]
