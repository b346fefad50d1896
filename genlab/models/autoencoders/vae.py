"""The variational autoencoder: codes are distributions, near enough to a known one that codes can be drawn from it."""

import math
import numbers
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from genlab.core import Law, Model
from genlab.models.autoencoders.likelihood import LIKELIHOODS, Likelihood
from genlab.nn.codec import check_codec, check_codes, check_pictures, code_shape, decoder, encoder

LAW = Law(
    latex=r"""\begin{aligned}
\log p_\theta(x) &\ge \underbrace{\mathbb{E}_{q}\,\log p_\theta(x \mid z)}_{\text{reconstruction}} -
\beta\ \underbrace{D_{KL}\bigl(q_\phi(z \mid x)\,\Vert\,p(z)\bigr)}_{\text{KL}}, \qquad
z = \mu_\phi(x) + \sigma_\phi(x)\,\epsilon \\
\log p_\theta(x) &\ge \mathbb{E}\ \log \tfrac{1}{k} \sum_{i=1}^{k}
\frac{p_\theta(x \mid z_i)\,p(z_i)}{q_\phi(z_i \mid x)}
\end{aligned}""",
    symbols={
        "x": "a picture",
        "z": "its code",
        "z_i": "one of k codes drawn from the encoder's distribution",
        r"q_\phi(z \mid x)": "what the encoder says of the code: a Gaussian, in each number by itself",
        r"\mu_\phi,\ \sigma_\phi": "its mean and its deviation, which the encoder, a network, puts out",
        r"\epsilon": "noise from N(0, I): through it a gradient reaches the encoder",
        r"p_\theta(x \mid z)": "what the decoder says of the picture: Bernoulli, Gaussian or logistic pixels",
        "p(z)": "the prior, N(0, I)",
        r"\beta": "1; more, which is a bound too, asks for codes closer to the prior (beta-VAE)",
        r"D_{KL}": "the Kullback-Leibler divergence: how many nats the code says about the picture, at most",
        "k": "samples of the importance-weighted bound (Burda et al., 2016): the more, the tighter",
    },
    paper="Kingma, Welling: Auto-Encoding Variational Bayes",
    year=2014,
    url="https://arxiv.org/abs/1312.6114",
    code="VAE.loss",
)


class Gaussian(NamedTuple):
    """q(z | x): independent normal numbers."""

    mean: Float[Tensor, "B ..."]
    log_var: Float[Tensor, "B ..."]

    @property
    def std(self) -> Float[Tensor, "B ..."]:
        return (0.5 * self.log_var).exp()

    def sample(self, k: int | None = None, generator: torch.Generator | None = None) -> Float[Tensor, "..."]:
        """z = mu + sigma eps: (B, *Z), or k of them each, (k, B, *Z)."""
        shape = self.mean.shape if k is None else (k, *self.mean.shape)
        eps = torch.randn(shape, generator=generator, device=(generator or self.mean).device).to(self.mean)
        return self.mean + self.std * eps

    def log_prob(self, z: Float[Tensor, "..."]) -> Float[Tensor, "..."]:
        """Nats of codes (..., B, *code), summed over the numbers of each: (..., B)."""
        nats = -0.5 * (((z - self.mean) / self.std).square() + self.log_var + math.log(2 * math.pi))
        return nats.flatten(z.ndim - self.mean.ndim + 1).sum(dim=-1)

    def kl(self) -> Float[Tensor, "B ..."]:
        """To the prior N(0, I), of each number: (mu^2 + sigma^2 - log sigma^2 - 1) / 2, in nats."""
        return 0.5 * (self.mean.square() + self.log_var.exp() - self.log_var - 1)


class Elbo(NamedTuple):
    """The bound's two terms, nats per picture; the bound is reconstruction - kl."""

    reconstruction: Float[Tensor, " B"]
    kl: Float[Tensor, " B"]


@dataclass(frozen=True)
class VAEConfig:
    """body, widths, activation, patch: see `genlab.nn.codec`. likelihood: of the pixels, see `Likelihood`. beta: the
    weight of the KL term in training. samples: k of the bound that training raises; 1 is the ELBO."""

    image_size: int = 28
    channels: int = 1
    latents: int = 2
    body: Literal["mlp", "conv", "map"] = "mlp"
    widths: tuple[int, ...] = (512, 256)
    activation: Literal["tanh", "relu", "silu"] = "tanh"
    patch: int = 1
    likelihood: Literal["bernoulli", "gaussian", "logistic"] = "bernoulli"
    beta: float = 1.0
    samples: int = 1

    def __post_init__(self):
        check_codec(self.image_size, self.channels, self.latents, self.body, self.widths, self.activation, self.patch)
        if self.likelihood not in LIKELIHOODS:
            raise ValueError(f"likelihood is one of {', '.join(LIKELIHOODS)}, not {self.likelihood!r}")
        if not 0 <= self.beta < math.inf or not 1 <= self.samples <= 100_000:
            raise ValueError("beta is finite and not negative, samples at least 1")
        if self.samples > 1 and self.beta != 1:
            raise ValueError("the importance-weighted bound (samples > 1) has no beta: leave it at 1")


class VAE(Model):
    """Pictures in [0, 1] to Gaussians over codes, and codes to pictures; codes are (latents,), or with body 'map'
    (latents, h, w)."""

    config: VAEConfig

    def __init__(self, config: VAEConfig = VAEConfig()):
        super().__init__(config)
        c = config
        self.encoder = encoder(c.image_size, c.channels, 2 * c.latents, c.body, c.widths, c.activation, c.patch)
        self.decoder = decoder(c.image_size, c.channels, c.latents, c.body, c.widths, c.activation, c.patch)
        self.likelihood = Likelihood(c.likelihood, c.channels)

    # -- codes and pictures ------------------------------------------------------------------------------------------

    def encode(self, x: Float[Tensor, "B C H W"]) -> Gaussian:
        """q(z | x). Raises ValueError for what is no picture."""
        check_pictures(x, self.config.channels, self.config.image_size)
        mean, log_var = self.encoder(x.to(self.dtype)).float().chunk(2, dim=1)
        return Gaussian(mean, log_var.clamp(-14, 6))  # a deviation of 0.001 to 20: beyond, nothing is learned

    def decode(self, z: Float[Tensor, "B ..."]) -> Float[Tensor, "B C H W"]:
        """The mean picture of p(x | z), in [0, 1]. Raises ValueError for what is no code."""
        check_codes(z, self.code_shape)
        return self.likelihood.mean(self.output(z))

    def output(self, z: Float[Tensor, "B ..."]) -> Float[Tensor, "B C H W"]:
        """What the decoder network says, in float32: `likelihood` reads it."""
        return self.decoder(z.to(self.dtype)).float()

    def forward(self, x: Float[Tensor, "B C H W"]) -> Float[Tensor, "B C H W"]:
        """The picture that the mean code stands for."""
        return self.decode(self.encode(x).mean)

    @property
    def code_shape(self) -> tuple[int, ...]:
        c = self.config
        return code_shape(c.image_size, c.latents, c.body, c.widths, c.patch)

    # -- the law -----------------------------------------------------------------------------------------------------

    def elbo(self, x: Float[Tensor, "B C H W"], generator: torch.Generator | None = None) -> Elbo:
        """The two terms, from one sample of z a picture; the KL in closed form."""
        q = self.encode(x)
        z = q.sample(generator=generator)
        return Elbo(self.likelihood(x, self.output(z)), q.kl().flatten(1).sum(dim=1))

    def log_weights(
        self, x: Float[Tensor, "B C H W"], k: int, generator: torch.Generator | None = None
    ) -> Float[Tensor, "k B"]:
        """log p(x | z_i) p(z_i) / q(z_i | x), for k samples of z a picture. Raises ValueError."""
        q = self.encode(x)
        return self._log_weights(x, q.sample(_whole(k, "k"), generator), q)

    def _log_weights(
        self, x: Float[Tensor, "B C H W"], z: Float[Tensor, "k B ..."], q: Gaussian
    ) -> Float[Tensor, "k B"]:
        y = self.output(z.flatten(0, 1)).unflatten(0, z.shape[:2])
        prior = Gaussian(torch.zeros_like(q.mean), torch.zeros_like(q.mean))
        return self.likelihood(x, y) + prior.log_prob(z) - q.log_prob(z)

    def bound(
        self, x: Float[Tensor, "B C H W"], k: int, generator: torch.Generator | None = None
    ) -> Float[Tensor, " B"]:
        """log 1/k sum_i of the weights: the importance-weighted bound, all k samples at once.

        The encoder's gradient is doubly reparametrised: sum_i s_i^2 dlog w_i/dz_i dz_i/dphi, with s_i the share of w_i
        in the sum of weights. It has the plain one's mean, without the noise that drowns that as k grows (Tucker et
        al., 2019, https://arxiv.org/abs/1810.04152). Raises ValueError.
        """
        q, k = self.encode(x), _whole(k, "k")
        z = q.sample(k, generator)
        log_w = self._log_weights(x, z, Gaussian(q.mean.detach(), q.log_var.detach()))
        if z.requires_grad:  # one share comes with the gradient of the logarithm below
            share = log_w.detach().softmax(dim=0).view(*log_w.shape, *[1] * (z.ndim - 2))
            z.register_hook(lambda gradient: gradient * share)  # which must not hold z: memory would wait for the gc
        return log_w.logsumexp(dim=0) - math.log(k)

    def loss(self, batch: dict[str, Tensor]) -> tuple[Tensor, dict[str, float]]:
        """beta KL - reconstruction, or minus the importance-weighted bound. batch: image (B, C, H, W) in [0, 1]."""
        x = batch["image"]
        if self.config.samples > 1:
            bound = self.bound(x, self.config.samples).mean()
            return -bound, {"bound": bound.item()}
        reconstruction, kl = (term.mean() for term in self.elbo(x))
        log = {"reconstruction": reconstruction.item(), "kl": kl.item()}
        return self.config.beta * kl - reconstruction, log

    # -- use ---------------------------------------------------------------------------------------------------------

    @torch.no_grad()
    def log_prob(
        self,
        x: Float[Tensor, "B C H W"],
        importance_samples: int = 64,
        generator: torch.Generator | None = None,
        at_once: int | None = None,
    ) -> Float[Tensor, " B"]:
        """log p(x) from below, nats per picture: the bound with so many samples, `at_once` codes decoded at a time (by
        default about three million pixels). 5,000 samples are what papers report. Raises ValueError."""
        at_once = max(1, 3_000_000 // max(1, x[:1].numel())) if at_once is None else at_once
        importance_samples, at_once = _whole(importance_samples, "importance_samples"), _whole(at_once, "at_once")
        out = []
        for some in x.split(max(1, at_once // importance_samples)):
            total, left = torch.full((len(some),), -math.inf, device=x.device), importance_samples
            while left:
                k = min(left, max(1, at_once // max(1, len(some))))
                total = torch.logaddexp(total, self.log_weights(some, k, generator).logsumexp(dim=0))
                left -= k
            out.append(total - math.log(importance_samples))
        return torch.cat(out)

    def sample_steps(self, n: int, **knobs) -> Iterator[Tensor]:
        """One state: it is drawn at once."""
        yield self.sample(n, **knobs)

    @torch.no_grad()
    def sample(
        self, n: int, *, temperature: float = 1.0, mean: bool = True, generator: torch.Generator | None = None
    ) -> Float[Tensor, "n C H W"]:
        """Pictures of codes from the prior, whose deviation is the temperature. mean: the mean of p(x | z), else pixels
        drawn from it. Raises ValueError."""
        n = _whole(n, "n", 0)
        if not isinstance(temperature, numbers.Real) or not 0 <= temperature < math.inf:
            raise ValueError(f"a temperature is not negative, and finite, not {temperature!r}")
        z = torch.randn((n, *self.code_shape), generator=generator, device=(generator or self).device).to(self.device)
        y = self.output(temperature * z)
        return self.likelihood.mean(y) if mean else self.likelihood.draw(y, generator)

    @torch.no_grad()
    def interpolate(
        self, a: Float[Tensor, "C H W"], b: Float[Tensor, "C H W"], steps: int = 8
    ) -> Float[Tensor, "steps C H W"]:
        """From one picture to another along the straight line between their mean codes. Raises ValueError."""
        steps = _whole(steps, "steps", 2)
        if a.shape != b.shape:
            raise ValueError(f"both are pictures of one size, not {tuple(a.shape)} and {tuple(b.shape)}")
        start, end = self.encode(torch.stack([a, b])).mean
        way = torch.linspace(0, 1, steps).to(start).view(-1, *[1] * start.ndim)
        return self.decode(start + way * (end - start))

    @torch.no_grad()
    def traverse(self, z: Float[Tensor, " Z"], values: Float[Tensor, " V"]) -> Float[Tensor, "Z V C H W"]:
        """Of one code each number in turn set to each of some values, the others left: a row a number. Raises
        ValueError where codes are maps."""
        if z.shape != self.code_shape or z.ndim != 1:
            raise ValueError(f"a traversal takes one code of {self.config.latents} numbers, and codes that are no maps")
        z = z.to(self.dtype)
        codes = z.repeat(len(z), len(values), 1)
        number = torch.arange(len(z))
        codes[number, :, number] = values.to(z)
        return self.decode(codes.flatten(0, 1)).unflatten(0, (len(z), len(values)))


def _whole(value, name: str, least: int = 1) -> int:
    if isinstance(value, bool) or not isinstance(value, numbers.Integral) or value < least:
        raise ValueError(f"{name} is a whole number, {least} or more, not {value!r}")
    return int(value)
