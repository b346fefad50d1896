"""What each model was to reach, held against the figures on its card: new weights do not fall short of it unseen."""

import json
import operator

import pytest

from genlab.names import root

SIX = ("shape", "colour", "size", "place", "relation", "count")
BARS = [  # card, figure, settings, what it is to be
    ("cnn-mnist", "test_error", {}, "<= 0.5"),
    ("reader-scenes", "read right", {"what": "everything"}, ">= 99"),
    ("vae-binarized-mnist", "nats", {"importance samples": 5000}, "<= 86"),
    ("vae-paper-mnist", "nats", {"importance samples": 5000}, "<= 88.71"),
    ("iwae-paper-mnist", "nats", {"importance samples": 5000}, "<= 87.10"),
    ("kl-vae-scenes", "psnr", {}, ">= 30"),
    ("clip-scenes", "R@1", {"words": "caption"}, ">= 98"),
    ("clip-scenes", "told apart", {"change": "any word"}, ">= 95"),
    ("clip-mnist", "zero_shot", {}, ">= 98"),
    *(("ldm-scenes", "drawn right", {"what": what, "pairs": "seen", "rho": 2.0}, ">= 95") for what in SIX),
    *(("ldm-scenes", "drawn right", {"what": what, "pairs": "held out", "rho": 2.0}, ">= 80") for what in SIX),
    ("smpl-open", "shape_error", {}, "<= 2"),
    ("smpl-open", "joint_error", {}, "<= 3"),
]
COMPARED = {"<=": operator.le, ">=": operator.ge}


def figures(card: str, name: str, **settings) -> list[float]:
    """The values of a figure at all settings that hold these; without any, its first, which leads the card."""
    record = json.loads((root() / "model_cards" / card / "metrics.json").read_text(encoding="utf-8"))
    named = [m for m in record["metrics"] if m["name"] == name and settings.items() <= m["settings"].items()]
    assert named, f"{card} has no {name} at {settings}"
    return [m["value"] for m in (named if settings else named[:1])]


@pytest.mark.parametrize(("card", "name", "settings", "bar"), BARS, ids=str)
def test_the_card_clears_its_bar(card, name, settings, bar):
    sign, number = bar.split()
    for value in figures(card, name, **settings):
        assert COMPARED[sign](value, float(number)), f"{value} is not {bar}"


@pytest.mark.parametrize("card", ["vae-binarized-mnist", "vae-paper-mnist", "iwae-paper-mnist"])
def test_the_bound_rises_with_its_samples(card):
    one, some, many = (figures(card, "nats", **{"importance samples": k})[0] for k in (1, 64, 5000))
    assert one > some > many, "minus the bound, in nats"


def test_a_dear_code_is_the_better_disentangled():
    (dear,), (plain,) = (figures(card, "mig") for card in ("beta-vae-scenes", "vae-scenes"))
    assert dear > 2 * plain
