"""Who reads the sentence for latent diffusion: clip-scenes' text tower, frozen, or one of the same size that learns
along? The same data and seconds of training; what of the sentences is drawn by then."""

import torch

from benchmarks.sides import Side, drawn, in_turns
from benchmarks.timing import table
from genlab.core import from_pretrained
from genlab.data import scenes
from genlab.models.diffusion import LatentDiffusion
from genlab.recipes import _asked, _scenes
from genlab.recipes.ldm_scenes import CONFIG, RECIPE

PICTURES = 500
SHOWN = ("shape", "colour", "texture", "size", "relation", "count", "everything")


def run(options) -> str:
    clip, reader, sides = from_pretrained("clip-scenes"), from_pretrained("reader-scenes"), {}
    for name, frozen in {"its own": False, "clip-scenes', frozen": True}.items():
        torch.manual_seed(0)
        model = LatentDiffusion(CONFIG)
        if frozen:
            model.text_tower.load_state_dict(clip.text_tower.state_dict())
            model.text_tower.requires_grad_(False)
        sides[name] = Side(model, RECIPE, _scenes.numbers())
    in_turns(list(sides.values()), options.seconds)

    rows = []
    for name, side in sides.items():
        for split, pairs in (("train", "seen"), ("held_out", "held out")):
            prompts = scenes.captions(scenes.sample(PICTURES, _scenes.TEST_SEED + 8, split=split))
            image = drawn(side.average, prompts)
            right = _asked.compare(prompts, *reader.read(image))
            rows.append([name, pairs, f"{side.step:,}", *(f"{100 * right[w].float().mean():.1f} %" for w in SHOWN)])
    return table(["text tower", "pairs", f"steps in {options.seconds:.0f} s", *SHOWN], rows)
