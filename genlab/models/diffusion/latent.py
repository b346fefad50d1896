"""Latent diffusion: pictures from sentences. Noise is removed from a picture's small code, and not from its pixels.

The codec (a VAE whose codes are maps) is a pretrained model of its own, which the config names: the weights here are
those of the denoiser and of its text tower. With no codec the same denoiser works on pixels, to compare with.
"""

import numbers
import re
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from genlab.core import Law, Model, find_class
from genlab.models.diffusion.guidance import ClassifierFreeGuidance
from genlab.models.diffusion.samplers import Inpaint, Step, check_walk, sampler_steps
from genlab.models.diffusion.schedule import NoiseSchedule, check_schedule
from genlab.names import root
from genlab.nn.codec import check_codes
from genlab.nn.embeddings import sinusoidal
from genlab.nn.text import PAD, TextTower, check_tower
from genlab.nn.unet import UNet, Words, check_encoder
from genlab.words import SPECIAL, check_words, strings, tokens, unknown

LAW = Law(
    latex=r"\begin{aligned} z_0 &\sim s\,q(z \mid x), \qquad z_t = \alpha_t\,z_0 + \sigma_t\,\epsilon, \qquad "
    r"\min_\theta\ \mathbb{E}\;w_t\,\lVert \epsilon - \epsilon_\theta(z_t, \tau(y), t) \rVert^2 \\"
    r"\epsilon^* &= (1+\rho)\,\epsilon_\theta(z_t, \tau(y), t) - \rho\,\epsilon_\theta(z_t, \tau(y'), t), \qquad "
    r"\hat{x} = D(\hat{z}_0 / s) \end{aligned}",
    symbols={
        "x": "a picture",
        r"q(z \mid x)": "the codec's Gaussian over its code, a small map",
        "z_0": "the code, scaled",
        "s": "the scale: codes come to a deviation of 1",
        r"z_t": "the code with noise, all noise at t = T",
        "t": "the step, 1 .. T",
        r"\epsilon": "Gaussian noise of the code's size",
        r"\alpha_t,\ \sigma_t": "how much code and how much noise there is",
        r"\epsilon_\theta": "the U-Net's estimate of the noise; each place of the map attends to the words",
        r"w_t": r"$1/\alpha_t^2$: the network predicts $v = \alpha_t\epsilon - \sigma_t z_0$",
        "y": "the sentence, or nothing where it was dropped",
        "y'": "nothing, or a negative prompt: what to keep away from",
        r"\tau": "the text tower: a vector for each word",
        r"\rho": "guidance strength; 0 is none (the guidance_scale of diffusers is 1 + rho)",
        r"\epsilon^*": "the noise that is removed instead",
        r"\hat{z}_0": "the code when all noise is gone",
        "D": "the codec's decoder",
        r"\hat{x}": "the picture",
    },
    paper="Rombach et al.: High-Resolution Image Synthesis with Latent Diffusion Models",
    year=2022,
    url="https://arxiv.org/abs/2112.10752",
    code="LatentDiffusion.loss",
)


@dataclass(frozen=True)
class LatentDiffusionConfig:
    """codec: the pretrained VAE, "" for pixels. words: what the text tower can read; others are one unknown word to it.
    context: words of a sentence at most, the rest is cut off. scale: of codes, one over their deviation. bound: scaled
    codes lie within [-bound, bound]; pixels within [-1, 1]. patch: see `genlab.nn.unet`. text_width, text_heads,
    text_layers: of the text tower. drop_text: the share of sentences dropped in training."""

    codec: str = "kl-vae-scenes"
    words: tuple[str, ...] = ()
    context: int = 48
    image_size: int = 64
    channels: int = 3
    scale: float = 1.0
    bound: float = 5.0
    widths: tuple[int, ...] = (128, 192)
    blocks: int = 1
    patch: int = 1
    attention: tuple[int, ...] = (0, 1)
    embedding: int = 128
    text_width: int = 128
    text_heads: int = 4
    text_layers: int = 3
    schedule: Literal["linear", "cosine"] = "cosine"
    timesteps: int = 1000
    drop_text: float = 0.1

    def __post_init__(self):
        check_schedule(self.schedule, self.timesteps)
        check_encoder(self.image_size, self.channels, self.widths, self.blocks, self.patch, self.embedding)
        if not (1e-3 <= self.scale <= 1e3 and 1e-3 <= self.bound <= 1e3 and 0 <= self.drop_text < 1):
            raise ValueError("scale and bound lie in 0.001..1000, and drop_text lies in [0, 1)")
        check_words(self.words)
        check_tower(self.context, self.text_width, self.text_heads, self.text_layers)
        if not self.attention or not all(0 <= level < len(self.widths) for level in self.attention):
            raise ValueError(f"attention names levels, 0..{len(self.widths) - 1}: words are attended to there")


class LatentDiffusion(Model):
    """Sentences to pictures in [0, 1]."""

    config: LatentDiffusionConfig

    def __init__(self, config: LatentDiffusionConfig = LatentDiffusionConfig()):
        super().__init__(config)
        c = config
        codec = _frozen("autoencoders", "VAE", c.codec) if c.codec else None
        # In a tuple, so that it is no part of this model's own weights: it is frozen, and saved elsewhere
        self._pretrained = (codec,)
        if codec and (codec.config.image_size, codec.config.channels) != (c.image_size, c.channels):
            raise ValueError(
                f"the codec {c.codec} is for other pictures than {c.channels} x {c.image_size} pixels square"
            )
        if codec and len(codec.code_shape) != 3:
            raise ValueError(f"the codes of {c.codec} are no maps: latent diffusion takes a VAE with body 'map'")
        self.code_shape = codec.code_shape if codec else (c.channels, c.image_size, c.image_size)
        channels, side, _ = self.code_shape
        check_encoder(side, channels, c.widths, c.blocks, c.patch, c.embedding)
        self.schedule = NoiseSchedule(c.schedule, c.timesteps)
        self.time = nn.Sequential(nn.Linear(c.embedding, c.embedding), nn.SiLU(), nn.Linear(c.embedding, c.embedding))
        self.text_tower = TextTower(len(SPECIAL) + len(c.words), c.text_width, c.text_heads, c.text_layers)
        # Places are told: a thing is left of another wherever both are, which convolutions alone are slow to learn
        more = {"words": c.text_width, "side": side // c.patch}
        self.unet = UNet(channels, c.widths, c.embedding, c.blocks, c.patch, c.attention, **more)

    @property
    def codec(self):
        """The pretrained VAE; None for pixels."""
        return self._pretrained[0]

    def _apply(self, move, recurse=True):
        if self.codec is not None:
            self.codec._apply(move, recurse)
        return super()._apply(move, recurse)

    # -- pictures and codes ------------------------------------------------------------------------------------------

    @torch.no_grad()
    def encode(self, x: Float[Tensor, "B C H W"], mean: bool = True) -> Float[Tensor, "B Z h w"]:
        """z_0, scaled: the codec's mean code, or a sample of its Gaussian."""
        if self.codec is None:
            return 2 * x.float() - 1
        q = self.codec.encode(x)
        return self.config.scale * (q.mean if mean else q.sample())

    @torch.no_grad()
    def decode(self, z: Float[Tensor, "B Z h w"]) -> Float[Tensor, "B C H W"]:
        """The picture of a scaled code, in [0, 1]. Raises ValueError for what is no code."""
        check_codes(z, self.code_shape)
        if self.codec is None:
            return ((z + 1) / 2).clamp(0, 1)
        return self.codec.decode(z / self.config.scale).clamp(0, 1)

    # -- words -------------------------------------------------------------------------------------------------------

    def tokens(self, texts: Sequence[str]) -> Int[Tensor, "B L"]:
        """Numbers of words, an end behind them, padded. Raises ValueError for what is no list of texts."""
        return tokens(texts, self.config.words, self.config.context).to(self.device)

    def unknown(self, text: str) -> list[str]:
        """The words of a text that the text tower cannot read."""
        return unknown(text, self.config.words)

    # -- denoising ---------------------------------------------------------------------------------------------------

    def output(self, z_t: Float[Tensor, "B Z h w"], t: Int[Tensor, " B"], words: Words) -> Float[Tensor, "B Z h w"]:
        """What the network predicts: v = alpha eps - sigma z_0, in float32."""
        e = self.time(sinusoidal(t, self.config.embedding).to(self.dtype))
        return self.unet(z_t.to(self.dtype), F.silu(e), words).float()

    def noise(self, z_t: Float[Tensor, "B Z h w"], t: Int[Tensor, " B"], words: Words) -> Float[Tensor, "B Z h w"]:
        """eps_theta = alpha v + sigma z_t."""
        alpha, sigma = self.schedule.at(t)
        return alpha * self.output(z_t, t, words) + sigma * z_t

    def loss(self, batch: dict[str, Tensor]) -> tuple[Tensor, dict[str, float]]:
        """E || v - v_theta(z_t, tau(y), t) ||^2 over random t, noise and dropped sentences. batch: image (B, C, H, W)
        in [0, 1], tokens (B, L) as `tokens` gives them."""
        z_0 = self.encode(batch["image"], mean=False)
        t = self.schedule.random_times(len(z_0))
        eps = torch.randn_like(z_0)
        dropped = torch.rand(len(z_0), device=z_0.device) < self.config.drop_text
        nothing = F.pad(self.tokens([""]), (0, batch["tokens"].shape[1] - 1), value=PAD)
        words = self.text_tower(torch.where(dropped[:, None], nothing, batch["tokens"]))
        alpha, sigma = self.schedule.at(t)
        error = (self.output(alpha * z_0 + sigma * eps, t, words) - (alpha * eps - sigma * z_0)).square()
        return error.mean(), {"noise_mse": (alpha.square() * error).mean().item()}

    # -- sampling ----------------------------------------------------------------------------------------------------

    def sample_steps(
        self,
        n: int | None = None,
        *,
        prompts: str | Sequence[str] = "",
        negative_prompts: str | Sequence[str] | None = None,
        guidance: float = 2.0,
        steps: int = 30,
        sampler: str = "ddim",
        eta: float = 0.0,
        interval: tuple[float, float] = (0.0, 1.0),
        rescale: float = 0.0,
        image: Float[Tensor, "C H W"] | Float[Tensor, "B C H W"] | None = None,
        strength: float = 0.7,
        mask: Tensor | None = None,
        resample: int = 1,
        generator: torch.Generator | None = None,
    ) -> Iterator[Step]:
        """Codes while they form: (t, z_t, predicted z_0) after each of `steps` steps; `decode` makes pictures of them.

        prompts: a sentence for each picture, or one for all n. guidance: rho, acting while t / T lies in `interval`,
        away from the negative prompts (by default from nothing). sampler, eta, rescale: as in `DDPM.sample_steps`.
        image: a picture in [0, 1] to start from, noised up to t = strength T; or with a mask (1 = keep, where diffusers
        has 1 = repaint; (H, W) or (B, 1, H, W)) a picture of which the rest is painted anew, `resample` times over with
        ddpm and ddim. Raises ValueError.
        """
        T = self.config.timesteps
        check_walk(1 if n is None else n, steps, T, resample, generator)
        prompts = [prompts] * (n or 1) if isinstance(prompts, str) else strings(prompts, "prompts")
        n = n or len(prompts)
        if not prompts or len(prompts) != n:
            raise ValueError(
                f"prompts are one sentence for all n pictures or one for each, not {len(prompts)} for {n!r}"
            )
        if negative_prompts is None or isinstance(negative_prompts, str):
            against = [negative_prompts or ""] * n
        else:
            against = strings(negative_prompts, "negative_prompts")
        if len(against) != n:
            raise ValueError(f"negative_prompts are one for all pictures or one for each, not {len(against)} for {n}")
        told = _Told(self, [*prompts, *against])
        label = torch.arange(n, device=self.device)
        denoiser = ClassifierFreeGuidance(told, guidance, interval, rescale, against=label + n)
        noise = torch.randn(
            (n, *self.code_shape), generator=generator, device=generator.device if generator else None
        ).to(self.device)
        start, inpaint, z = T, None, noise
        if image is not None:
            z_0 = self.encode(self._picture(image, n))
            if mask is not None:
                inpaint = Inpaint(z_0, self._keep(mask, n), resample)
            else:
                if not (isinstance(strength, numbers.Real) and 0 < strength <= 1):
                    raise ValueError(f"strength lies in (0, 1], not {strength!r}")
                start = max(1, round(strength * T))
                z = self.schedule.alpha[start] * z_0 + self.schedule.sigma[start] * noise
        elif mask is not None:
            raise ValueError("a mask needs the image of which it keeps a part")
        bound = self.config.bound if self.codec else 1.0
        yield from sampler_steps(
            sampler, denoiser, z, label, min(int(steps), start), eta, inpaint, generator, start=start, bound=bound
        )

    def sample(self, n: int | None = None, **knobs) -> Float[Tensor, "B C H W"]:
        """Pictures in [0, 1], the last of `sample_steps`, whose knobs it takes; where a mask keeps pixels, these."""
        (last,) = deque(self.sample_steps(n, **knobs), maxlen=1)
        x = self.decode(last.x_t)
        if knobs.get("mask") is None:
            return x
        keep = self._mask(knobs["mask"], len(x))
        return torch.where(keep, self._picture(knobs["image"], len(x)), x)

    def _picture(self, image, n: int) -> Float[Tensor, "B C H W"]:
        c = self.config
        try:
            image = torch.as_tensor(image, dtype=torch.float32, device=self.device)
            if image.shape[-3:] != (c.channels, c.image_size, c.image_size):
                raise ValueError(f"{tuple(image.shape)}")
            image = image.expand(n, -1, -1, -1)
        except (TypeError, ValueError, RuntimeError) as error:
            raise ValueError(f"image is {c.channels} x {c.image_size} x {c.image_size}, or {n} such") from error
        if not (image.isfinite().all() and image.min() >= 0 and image.max() <= 1):
            raise ValueError("image is a picture in [0, 1]")
        return image

    def _mask(self, mask, n: int) -> Bool[Tensor, "B 1 H W"]:
        size = self.config.image_size
        try:
            mask = torch.as_tensor(mask, dtype=torch.float32, device=self.device)
            if mask.shape[-2:] != (size, size):
                raise ValueError(f"{tuple(mask.shape)}")
            mask = mask.expand(n, 1, -1, -1)
        except (TypeError, ValueError, RuntimeError) as error:
            raise ValueError(f"mask is {size} x {size}, or (B, 1, {size}, {size})") from error
        if mask.isnan().any():
            raise ValueError("mask holds NaN: 1 is to keep, 0 to paint anew")
        return mask > 0.5

    def _keep(self, mask, n: int) -> Bool[Tensor, "B Z h w"]:
        """The places of the code of which all pixels are kept."""
        channels, side, _ = self.code_shape
        pixels = self.config.image_size // side
        return (F.avg_pool2d(self._mask(mask, n).float(), pixels) == 1).expand(n, channels, side, side)


class _Told:
    """A denoiser that has read some prompts: label i is prompt i."""

    def __init__(self, model: LatentDiffusion, prompts: Sequence[str]):
        self.model, self.schedule = model, model.schedule
        self.null_label = len(prompts) - 1  # asked for by protocol alone: guidance is told what to push away from
        with torch.no_grad():
            self.states, self.there = model.text_tower(model.tokens(prompts))

    def noise(self, z_t: Tensor, t: Tensor, label: Int[Tensor, " B"]) -> Tensor:
        return self.model.noise(z_t, t, (self.states[label], self.there[label]))


def _frozen(family: str, kind: str, name: str) -> Model:
    """The pretrained model of that name, which is of this class; genlab's own where it brings one, whatever lies in the
    present folder. Raises LoadError."""
    bundled = root() / "model_cards" / name
    if re.fullmatch(r"[\w-]+", name) and bundled.is_dir():
        name = bundled
    return find_class(family, kind).from_pretrained(name, dtype=torch.float32).requires_grad_(False)
