"""Who reads the sentence for latent diffusion: clip-scenes' text tower, frozen, or one of the same size that learns
along? The same data and seconds of training; what of the sentences is drawn by then."""

import torch

from benchmarks.sides import Side, in_turns
from benchmarks.timing import table
from genlab.core import from_pretrained
from genlab.data import scenes
from genlab.models.diffusion import LatentDiffusion
from genlab.recipes import _asked, _scenes
from genlab.recipes.ldm_scenes import CONFIG, RECIPE

HOW = {"steps": 30, "guidance": 2.0}
PICTURES = 500
SHOWN = ("shape", "colour", "texture", "size", "relation", "count", "everything")


def drawn(model: LatentDiffusion, prompts: list[str]) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    with torch.autocast("cpu", torch.bfloat16):
        some = [prompts[i : i + 50] for i in range(0, len(prompts), 50)]
        return torch.cat([model.sample(prompts=part, generator=generator, **HOW).float() for part in some])


def run(options) -> str:
    clip, reader, sides = from_pretrained("clip-scenes"), from_pretrained("reader-scenes"), {}
    for name in ("its own", "clip-scenes', frozen"):
        torch.manual_seed(0)
        model = LatentDiffusion(CONFIG)
        if "frozen" in name:
            model.text_tower.load_state_dict(clip.text_tower.state_dict())
            model.text_tower.requires_grad_(False)
        sides[name] = Side(model, RECIPE, _scenes.numbers())
    in_turns(list(sides.values()), options.seconds)

    rows = []
    for name, side in sides.items():
        for split, pairs in (("train", "seen"), ("held_out", "held out")):
            asked = scenes.sample(PICTURES, _scenes.TEST_SEED + 8, split=split)
            image = drawn(side.average, scenes.captions(asked))
            right = _asked.compare(asked, *reader.read(image))
            rows.append([name, pairs, f"{side.step:,}", *(f"{100 * right[w].float().mean():.1f} %" for w in SHOWN)])
    return table(["text tower", "pairs", f"steps in {options.seconds:.0f} s", *SHOWN], rows)
