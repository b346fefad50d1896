"""Vision and language. The family's letters: x a picture, y a text, f and g the image tower and the text tower, tau the
temperature, s_ij how well picture i and text j fit."""

from genlab.models.vision_language.clip import CLIP, CLIPConfig
from genlab.models.vision_language.open_clip import OpenCLIP
from genlab.models.vision_language.scoring import Scoring, TwoTowers

__all__ = ["CLIP", "CLIPConfig", "OpenCLIP", "Scoring", "TwoTowers"]
