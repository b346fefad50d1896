"""ldm-scenes: type a sentence, get a picture: latent diffusion of the made-up world. The text tower learns along."""

import copy

import torch

from genlab.core import fast_dtype
from genlab.data import scenes
from genlab.models.diffusion import LatentDiffusion, LatentDiffusionConfig
from genlab.recipes import _asked, _scenes
from genlab.train import Batch, Recipe
from genlab.words import tokens

CONFIG = LatentDiffusionConfig(words=scenes.vocabulary(), scale=1.2)  # kl-vae-scenes' codes deviate by 0.84
STEPS = 30
COLOURLESS = 0.3  # of things in other words: who types may leave a colour open


def told(some: scenes.Scenes, seed: int) -> Batch:
    """Pictures and sentences, half of them with all that is there, half in other words and with less said."""
    half = len(some) // 2
    texts = scenes.captions(some[:half]) + scenes.paraphrases(some[half:], seed, COLOURLESS)
    return {"image": _scenes.pictures(some), "tokens": tokens(texts, CONFIG.words, CONFIG.context)}


def fresh(batch: Batch) -> Batch:
    return told(_scenes.fresh(batch), _scenes.seed())


def splits() -> dict[str, Batch]:
    return {"train": _scenes.numbers(), "valid": told(scenes.sample(1_000, _scenes.VALID_SEED), 0)}


def evaluate(model: LatentDiffusion, samples=None):
    fast = copy.deepcopy(model).to(dtype=fast_dtype(), memory_format=torch.channels_last)  # as the app draws

    def draw(prompts: list[str], **knobs) -> torch.Tensor:
        return fast.sample(prompts=prompts, **knobs).float()

    yield from _asked.jobs(draw, samples or 1_000, STEPS)


@torch.no_grad()
def golden(model: LatentDiffusion) -> dict[str, torch.Tensor]:
    prompts = scenes.captions(scenes.sample(2, 0))
    drawn = model.sample(prompts=prompts, steps=4, generator=torch.Generator().manual_seed(0))
    return {"tokens": model.tokens(prompts), "image": drawn}


@torch.no_grad()
def samples(model: LatentDiffusion):
    """A row each: seen combinations of colour and shape, and held-out ones."""
    rows = []
    for split in ("train", "held_out"):
        prompts = scenes.captions(scenes.sample(8, _scenes.TEST_SEED + 4, split=split))
        rows.append(model.sample(prompts=prompts, steps=STEPS, generator=torch.Generator().manual_seed(0)))
    return torch.stack(rows)


RECIPE = Recipe(
    name="ldm-scenes",
    summary="Type a sentence, get a picture: latent diffusion of coloured shapes, text tower and all.",
    model=LatentDiffusion,
    config=CONFIG,
    data=splits,
    augment=fresh,  # scenes are made as they are needed
    steps=21_000,  # an hour and a half on a core
    batch_size=64,
    lr=1e-3,
    warmup=500,
    ema=0.9995,  # averages the last 2,000 steps or so
    precision="bf16",
    validate_every=1_000,
    evaluate=evaluate,
    golden=golden,
    samples=samples,
    source="genlab.data.scenes, made as it trains",
    intended_use="Text-to-image small enough to watch: guidance, negative prompts, pictures from pictures. Teaching.",
    limits="It knows scenes of genlab.data.scenes and the words of its captions alone, 64 x 64 pixels. It saw all "
    "colours said for 21,000 steps; then, in other words than captions', 20 % left open, and for the last 7,000 30 %. "
    "Held-out pairs of colour and shape it never saw nor read; its codec, which reads nothing, saw pictures of them. "
    "Its text tower is its own: after equal seconds of training it draws more sentences right in everything than with "
    "that of clip-scenes, frozen, which learns relations sooner and textures later (`python -m benchmarks towers`).",
    snippet="""import genlab
import torch

ldm = genlab.from_pretrained("ldm-scenes")
prompt = "a small striped red circle left of a large blue square, on a green field"
ldm.sample(prompts=[prompt], guidance=2.0, generator=torch.Generator().manual_seed(0))  # (1, 3, 64, 64)""",
)
