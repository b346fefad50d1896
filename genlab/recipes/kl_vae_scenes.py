"""kl-vae-scenes: pictures of scenes to small maps and back, for latent diffusion to work on."""

import torch

from genlab.data import scenes
from genlab.evaluate import Job
from genlab.figures import Metric
from genlab.metrics import psnr
from genlab.models.autoencoders import VAE, VAEConfig
from genlab.recipes import _scenes
from genlab.train import Batch, Recipe


def fresh(batch: Batch) -> Batch:
    """Of any combinations: a codec is no judge of what belongs together, and sees no text."""
    return {"image": _scenes.pictures(_scenes.fresh(batch, split="any"))}


def splits() -> dict[str, Batch]:
    valid = scenes.sample(1_000, _scenes.VALID_SEED, split="any")
    return {"train": _scenes.numbers(), "valid": {"image": scenes.draw(valid)}}


def evaluate(model: VAE, samples=None):
    n = samples or 5_000

    def run() -> list[Metric]:
        image = _scenes.pictures(scenes.sample(n, _scenes.TEST_SEED, split="any"))
        quality, codes, kl = [], [], []
        for part in image.split(250):
            q = model.encode(part)
            quality.append(psnr(model.decode(q.mean), part))
            codes.append(q.mean)
            kl.append(q.kl().flatten(1).sum(dim=1))
        quality, kl = torch.cat(quality), torch.cat(kl)
        common = {"samples": n, "dataset": "genlab.data.scenes", "split": "test"}
        note = "a map of 256 numbers in the place of 12,288; spread: standard deviation over pictures"
        return [
            Metric(
                "psnr",
                quality.mean().item(),
                quality.std().item(),
                unit="dB",
                better="higher",
                headline=True,
                note=note,
                **common,
            ),
            Metric("kl", kl.mean().item(), kl.std().item(), unit="nats", **common),
            Metric("deviation", torch.cat(codes).std().item(), note="of the codes' numbers", **common),
        ]

    yield Job("psnr", run)


@torch.no_grad()
def golden(model: VAE) -> dict[str, torch.Tensor]:
    image = _scenes.pictures(scenes.sample(2, 0))
    code = model.encode(image).mean
    return {"image": image, "code": code, "back": model.decode(code)}


@torch.no_grad()
def samples(model: VAE):
    """Eight scenes (first row) and what comes back of them (second row)."""
    image = _scenes.pictures(scenes.sample(8, _scenes.TEST_SEED))
    return torch.stack([image, model(image)])


RECIPE = Recipe(
    name="kl-vae-scenes",
    summary="64 x 64 scenes to maps of 8 x 8 x 4 numbers and back: the codec of latent diffusion.",
    model=VAE,
    config=VAEConfig(
        image_size=64,
        channels=3,
        latents=4,
        body="map",
        widths=(48, 96),
        activation="silu",
        patch=4,
        likelihood="gaussian",
    ),
    data=splits,
    augment=fresh,  # scenes are made as they are needed
    steps=4_000,
    batch_size=64,
    lr=2e-3,
    warmup=200,
    ema=0.998,
    precision="bf16",
    validate_every=1_000,
    evaluate=evaluate,
    golden=golden,
    samples=samples,
    source="genlab.data.scenes, made as it trains",
    intended_use="The codec of ldm-scenes. The deviation of its pixels is learned: beta = 1 presses codes lightly.",
    limits="Scenes of genlab.data.scenes alone, 64 x 64; fine stripes and dots come back softer than they were.",
    snippet="""import genlab
from genlab.data import scenes

vae = genlab.from_pretrained("kl-vae-scenes")
code = vae.encode(scenes.draw(scenes.sample(4, seed=1)).float() / 255).mean  # (4, 4, 8, 8)
vae.decode(code)  # (4, 3, 64, 64)""",
)
