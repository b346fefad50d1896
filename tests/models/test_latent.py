"""Latent diffusion: its guidance against the equation, its start from a picture against the closed form, its codec
untouched by training, what it keeps and what it refuses."""

import pytest
import torch
from contract import (
    finite_loss,
    gradients_reach_all,
    keeps_to_its_config,
    learns_one_batch,
    samples_are_seeded,
    saves_and_loads,
    seeded_loss,
)

import genlab
from genlab.core import Sampler
from genlab.models.autoencoders import VAE, VAEConfig
from genlab.models.diffusion import LatentDiffusion, LatentDiffusionConfig
from genlab.models.vision_language import CLIP, CLIPConfig

WORDS = ("a", "red", "blue", "circle", "square", ",")
PROMPTS = ["a red circle", "a blue square, a red square"]


@pytest.fixture(scope="module")
def parts(tmp_path_factory):
    """A tiny codec, and a model that is none, saved where a config can name them."""
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("parts")
    shape = {"image_size": 16, "channels": 3, "latents": 2, "body": "map", "widths": (8, 8), "patch": 2}
    codec = VAE(VAEConfig(**shape, likelihood="gaussian"))
    codec.encoder[-1].bias.data[2:] = -6.0  # sure of its codes, as a trained one is
    codec.save_pretrained(folder / "codec")
    other = {"words": WORDS, "context": 12, "image_size": 16, "image_widths": (8, 8), "features": 8}
    CLIP(CLIPConfig(**other, width=16, heads=2, image_layers=1, text_layers=1)).save_pretrained(folder / "clip")
    return folder


@pytest.fixture
def tiny(parts):
    def make(codec: bool = True, named: str | None = None, **changes) -> LatentDiffusionConfig:
        how = {"image_size": 16, "widths": (8, 16), "embedding": 16, "timesteps": 50, "scale": 0.7}
        how |= {"words": WORDS, "context": 12, "text_width": 16, "text_heads": 2, "text_layers": 1}
        how |= {"codec": named or (str(parts / "codec") if codec else "")}
        return LatentDiffusionConfig(**how | changes)

    return make


def batch(model: LatentDiffusion, n: int = 8) -> dict:
    prompts = [PROMPTS[i % 2] for i in range(n)]
    return {"image": torch.rand(n, 3, 16, 16), "tokens": model.tokens(prompts)}


def awake(model: LatentDiffusion) -> LatentDiffusion:
    """Its last layer starts at zero: give it weights, so that the words matter."""
    torch.manual_seed(3)
    torch.nn.init.normal_(model.unet.head.weight, std=0.3)
    return model.eval()


@pytest.mark.parametrize("codec", [True, False])
def test_contract(codec, tiny, tmp_path):
    torch.manual_seed(0)
    model = LatentDiffusion(tiny(codec))
    some = batch(model)
    for check in (finite_loss, gradients_reach_all, seeded_loss, learns_one_batch):
        check(model, some)
    saves_and_loads(model, tmp_path)
    keeps_to_its_config(model)
    samples_are_seeded(awake(model), steps=3, prompts="a red circle")
    assert isinstance(model, Sampler)


def test_places_are_those_of_the_folded_picture(tiny):
    model = LatentDiffusion(tiny(codec=False, patch=2))
    assert model.unet.encoder.places.shape == (8, 8, 8), "8 channels, 16 / 2 a side"
    assert model.loss(batch(model))[0].isfinite() and model.sample(prompts=PROMPTS, steps=2).shape == (2, 3, 16, 16)


def test_the_codec_is_frozen_and_not_saved(tiny, tmp_path):
    model = LatentDiffusion(tiny())
    kept = {key: value.clone() for key, value in model.codec.state_dict().items()}
    optimizer = torch.optim.Adam(model.parameters(), lr=0.1)
    model.train().loss(batch(model))[0].backward()
    optimizer.step()
    now = model.codec.state_dict()
    assert all(torch.equal(kept[key], now[key]) for key in kept)
    assert not any(name.startswith("codec") for name in model.state_dict())
    moved = model.to(torch.bfloat16)
    assert moved.codec.dtype == torch.bfloat16
    assert moved.sample(prompts=PROMPTS, steps=2).shape == (2, 3, 16, 16)


def test_codes_are_scaled_and_come_back(tiny):
    model = LatentDiffusion(tiny())
    x = torch.rand(3, 3, 16, 16)
    mean = model.codec.encode(x).mean
    assert torch.allclose(model.encode(x), 0.7 * mean, atol=1e-6)
    assert torch.allclose(model.decode(model.encode(x)), model.codec(x), atol=1e-5)
    pixels = LatentDiffusion(tiny(codec=False))
    assert torch.allclose(pixels.decode(pixels.encode(x)), x, atol=1e-6)


def test_guidance_is_the_equation_with_negative_prompts_in_the_place_of_nothing(tiny):
    """One step of DDIM from T, by hand, for a prompt with nothing, and one with a negative prompt."""
    model = awake(LatentDiffusion(tiny()))
    z = torch.randn(2, *model.code_shape, generator=torch.Generator().manual_seed(5))
    t = torch.full((2,), 50)
    rho = 1.5
    told = model.noise(z, t, model.text_tower(model.tokens(PROMPTS)))
    for negative in ("", "blue"):
        words = model.text_tower(model.tokens([negative, negative]))
        eps = (1 + rho) * told - rho * model.noise(z, t, words)
        alpha, sigma = model.schedule.alpha[50], model.schedule.sigma[50]
        z_0 = ((z - sigma * eps) / alpha).clamp(-5, 5)
        steps = model.sample_steps(
            prompts=PROMPTS,
            negative_prompts=negative,
            guidance=rho,
            steps=2,
            generator=torch.Generator().manual_seed(5),
        )
        assert torch.allclose(next(steps).x_0, z_0, atol=2e-3)


def test_a_prompt_is_read_alike_in_any_company(tiny):
    model = awake(LatentDiffusion(tiny()))

    def drawn(prompts):
        return model.sample(prompts=prompts, steps=3, generator=torch.Generator().manual_seed(0))

    both = drawn(PROMPTS)
    assert torch.allclose(drawn(PROMPTS[:1])[0], both[0], atol=1e-5), "padding changes nothing"
    assert not torch.allclose(drawn(["a blue circle", PROMPTS[1]])[0], both[0], atol=1e-3), "words matter"
    assert torch.allclose(drawn(["a blue circle", PROMPTS[1]])[1], both[1], atol=1e-5)


def test_from_a_picture(tiny):
    model = awake(LatentDiffusion(tiny()))
    x = torch.rand(3, 16, 16, generator=torch.Generator().manual_seed(1))
    knobs = {"prompts": "a red circle", "image": x, "steps": 5, "guidance": 0.0}
    near = model.sample(strength=0.02, generator=torch.Generator().manual_seed(0), **knobs)
    far = model.sample(strength=1.0, generator=torch.Generator().manual_seed(0), **knobs)
    back = model.decode(model.encode(x[None]))
    assert (near - back).square().mean() < (far - back).square().mean()
    steps = list(model.sample_steps(strength=0.5, generator=torch.Generator().manual_seed(0), **knobs))
    assert [step.t for step in steps] == [20, 15, 10, 5, 0], "five steps from t = 25"


def test_a_mask_keeps_its_pixels(tiny):
    model = awake(LatentDiffusion(tiny()))
    x, mask = torch.rand(3, 16, 16), torch.zeros(16, 16)
    mask[:, :8] = 1
    out = model.sample(2, prompts="a blue square", image=x, mask=mask, steps=4)
    assert torch.equal(out[:, :, :, :8], x[None, :, :, :8].expand(2, -1, -1, -1))
    assert not torch.allclose(out[:, :, :, 8:], x[None, :, :, 8:].expand(2, -1, -1, -1))
    *_, last = model.sample_steps(2, prompts="a blue square", image=x, mask=mask, steps=4)
    kept = model.encode(x[None])[:, :, :, :2]  # of the code's 4 columns those that lie in the kept half
    assert torch.allclose(last.x_t[:, :, :, :2], kept.expand(2, -1, -1, -1), atol=1e-5)


@pytest.mark.parametrize(
    ("knobs", "words"),
    [
        ({"prompts": []}, "one for each"),
        ({"n": 3, "prompts": PROMPTS}, "one for each, not 2 for 3"),
        ({"n": 0}, "n is a whole number"),
        ({"resample": 0}, "resample is"),
        ({"n": 2, "negative_prompts": ["a"]}, "negative_prompts"),
        ({"steps": 0}, "steps lie in"),
        ({"steps": 51}, "steps lie in"),
        ({"sampler": "euler"}, "sampler is one of"),
        ({"guidance": float("nan")}, "guidance"),
        ({"strength": 0.0, "image": torch.rand(3, 16, 16)}, "strength"),
        ({"mask": torch.ones(16, 16)}, "needs the image"),
        ({"prompts": ["\ud800"]}, "half a character"),
        ({"image": 2 * torch.ones(3, 16, 16)}, r"picture in \[0, 1\]"),
        ({"n": 1, "negative_prompts": ["\ud800"]}, "negative_prompts are Unicode"),
        ({"image": torch.rand(3, 8, 8)}, "image is 3 x 16 x 16"),
        ({"image": torch.rand(3, 1, 1)}, "image is 3 x 16 x 16"),
        ({"image": torch.rand(3, 16, 16), "mask": torch.ones(16)}, "mask is 16 x 16"),
        ({"image": torch.rand(3, 16, 16), "mask": torch.ones(4, 4)}, "mask is 16 x 16"),
        ({"image": torch.rand(3, 16, 16), "mask": torch.full((16, 16), float("nan"))}, "NaN"),
    ],
)
def test_refuses(tiny, knobs, words):
    with pytest.raises(ValueError, match=words):
        LatentDiffusion(tiny()).sample(**{"steps": 2} | knobs)


def test_a_picture_is_no_code(tiny):
    model = LatentDiffusion(tiny())
    with pytest.raises(ValueError, match="codes are "):
        model.decode(torch.rand(1, 3, 16, 16))


def test_refuses_parts_that_do_not_fit(tiny, parts, tmp_path):
    with pytest.raises(genlab.core.LoadError, match="holds a CLIP, not a VAE"):
        LatentDiffusion(tiny(named=str(parts / "clip")))
    with pytest.raises(ValueError, match="other pictures"):
        LatentDiffusion(tiny(image_size=32))
    VAE(VAEConfig(image_size=16, channels=3, widths=(8,))).save_pretrained(tmp_path / "flat")
    with pytest.raises(ValueError, match="no maps"):
        LatentDiffusion(tiny(named=str(tmp_path / "flat")))
    with pytest.raises(genlab.core.LoadError, match="no model is called"):
        LatentDiffusion(tiny(named="surely-no-model"))
    with pytest.raises(ValueError, match="attention names levels"):
        tiny(attention=(2,))
    with pytest.raises(ValueError, match="words are lower case"):
        tiny(words=("a", "a"))
    with pytest.raises(ValueError, match="width is a multiple of 2 heads"):
        tiny(text_heads=3)
    assert LatentDiffusion(tiny()).unknown("a crimson circle") == ["crimson"]
    model = LatentDiffusion(tiny())
    model.save_pretrained(tmp_path / "itself")
    config = (tmp_path / "itself" / "config.json").read_text()
    config = config.replace(str(parts / "codec"), str(tmp_path / "itself"))
    (tmp_path / "itself" / "config.json").write_text(config)
    with pytest.raises(genlab.core.LoadError, match="holds a LatentDiffusion, not a VAE"):
        genlab.from_pretrained(tmp_path / "itself")


def test_a_folder_that_happens_to_lie_there_does_not_replace_the_bundled_codec(tiny, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    VAE(VAEConfig(image_size=16, channels=3, latents=2, body="map", widths=(8, 8), patch=2)).save_pretrained(
        "kl-vae-scenes"
    )
    assert LatentDiffusion(tiny(named="kl-vae-scenes", image_size=64)).codec.source != tmp_path / "kl-vae-scenes"
