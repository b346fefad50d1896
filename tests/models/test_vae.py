"""VAE: its terms against closed forms and brute force, its bound against the exact likelihood, its pixels' mass against
one."""

import gc
import itertools
import math

import pytest
import torch
from contract import keeps_contract
from torch.distributions import Independent, Normal, kl_divergence

import genlab
from genlab.core import Codec, Density, Sampler
from genlab.models.autoencoders import VAE, Gaussian, VAEConfig
from genlab.models.autoencoders.likelihood import Likelihood

TINY = {
    "mlp": VAEConfig(image_size=4, latents=2, widths=(16,)),
    "conv": VAEConfig(image_size=8, channels=3, latents=5, body="conv", widths=(8, 8), likelihood="logistic"),
    "map": VAEConfig(image_size=8, latents=2, body="map", widths=(8, 8), patch=2, likelihood="gaussian"),
    "iwae": VAEConfig(image_size=4, latents=2, widths=(16,), samples=5),
}


@pytest.mark.parametrize("config", TINY.values(), ids=TINY)
def test_contract(config, tmp_path):
    image = (torch.rand(16, config.channels, config.image_size, config.image_size) > 0.7).float()
    keeps_contract(VAE(config), {"image": image}, tmp_path)


@pytest.mark.parametrize("config", TINY.values(), ids=TINY)
def test_shapes(config):
    model = VAE(config)
    x = torch.rand(3, config.channels, config.image_size, config.image_size)
    assert all(isinstance(model, protocol) for protocol in (Codec, Density, Sampler))
    q = model.encode(x)
    assert q.mean.shape == q.std.shape == (3, *model.code_shape)
    assert q.sample(7).shape == (7, 3, *model.code_shape)
    assert model.decode(q.mean).shape == model(x).shape == x.shape
    assert model.log_weights(x, 4).shape == (4, 3) and model.log_prob(x, 4).shape == (3,)
    assert model.sample(2).shape == model.sample(2, mean=False).shape == (2, *x.shape[1:])
    between = model.interpolate(x[0], x[1], 5)
    assert torch.allclose(between[[0, -1]], model(x[:2]), atol=1e-5) and between.shape == (5, *x.shape[1:])


def test_a_code_is_said_as_torch_says_it():
    q = Gaussian(torch.randn(5, 3), torch.randn(5, 3))
    torch_q = Independent(Normal(q.mean, q.std), 1)
    prior = Independent(Normal(torch.zeros(5, 3), 1.0), 1)
    z = torch.randn(4, 5, 3)
    assert torch.allclose(q.log_prob(z), torch_q.log_prob(z), atol=1e-5)
    assert torch.allclose(q.kl().sum(1), kl_divergence(torch_q, prior), atol=1e-5)
    drawn = q.sample(20_000, torch.Generator().manual_seed(0))
    assert torch.allclose(drawn.mean(0), q.mean, atol=0.1) and torch.allclose(drawn.std(0), q.std, atol=0.1)


def test_the_bound_rises_to_the_exact_likelihood():
    """Nine pixels, one number: the evidence is an integral over a fine grid of z. k = 1, 8, 64, 20,000."""
    torch.manual_seed(3)
    model = VAE(VAEConfig(image_size=3, latents=1, widths=(8,))).eval()
    with torch.no_grad():
        for p in model.parameters():
            p.mul_(2)
        x = (torch.rand(4, 1, 3, 3) > 0.5).float()
        z = torch.linspace(-9, 9, 20_001)[:, None]
        log_prior = Normal(0.0, 1.0).log_prob(z)[:, 0]
        step = math.log(18 / 20_000)
        exact = torch.stack([(model.likelihood(one, model.output(z)) + log_prior).logsumexp(0) + step for one in x])
        many = x.repeat_interleave(8_000, dim=0)
        bounds = [model.bound(many, k).unflatten(0, (4, 8_000)).mean(1) for k in (1, 8, 64)]
        bounds.append(model.log_prob(x, 20_000, torch.Generator().manual_seed(0)))
        reconstruction, kl = model.elbo(many)
        elbo = (reconstruction - kl).unflatten(0, (4, 8_000)).mean(1)
    for lower, higher in itertools.pairwise(bounds):
        assert (higher > lower - 0.02).all()
    assert torch.allclose(elbo, bounds[0], atol=0.15), "the ELBO is the bound with one sample"
    assert (bounds[0] < exact - 0.02).any() and torch.allclose(bounds[-1], exact, atol=0.03)


def test_the_bounds_gradient_is_doubly_reparametrised():
    """Decoder: autograd's of the plain bound. Encoder: sum_i s_i^2 dlog w_i/dz_i dz_i/dphi, written out."""
    torch.manual_seed(0)
    model, k = VAE(VAEConfig(image_size=3, latents=2, widths=(8,))), 8
    x = (torch.rand(4, 1, 3, 3) > 0.5).float()

    def draw():
        return torch.Generator().manual_seed(1)

    def gradient(value, part):
        return torch.autograd.grad(value.sum(), list(part.parameters()))

    plain = model.log_weights(x, k, draw()).logsumexp(0) - math.log(k)
    assert torch.allclose(model.bound(x, k, draw()), plain), "the values are the same"
    for ours, theirs in zip(
        gradient(model.bound(x, k, draw()), model.decoder), gradient(plain, model.decoder), strict=True
    ):
        assert torch.allclose(ours, theirs, atol=1e-6)

    q = model.encode(x)
    held, way = Gaussian(q.mean.detach(), q.log_var.detach()), q.sample(k, draw())
    z = way.detach().requires_grad_()
    log_p = model.likelihood(x, model.output(z.flatten(0, 1)).unflatten(0, (k, 4)))
    log_w = log_p + Normal(0.0, 1.0).log_prob(z).sum(-1) - Normal(held.mean, held.std).log_prob(z).sum(-1)
    (slope,) = torch.autograd.grad(log_w.sum(), z)
    written = (log_w.softmax(0).detach().square()[..., None] * slope * way).sum()
    for ours, theirs in zip(
        gradient(model.bound(x, k, draw()), model.encoder), gradient(written, model.encoder), strict=True
    ):
        assert theirs.abs().max() > 1e-3 and torch.allclose(ours, theirs, atol=1e-6)


def test_the_bounds_gradient_has_autograds_mean_and_less_noise():
    """Of the encoder: equal in the mean of 20,000 draws, while a single draw strays less by far."""
    torch.manual_seed(0)
    model = VAE(VAEConfig(image_size=3, latents=2, widths=(8,)))
    x = (torch.rand(1, 1, 3, 3) > 0.5).float()

    def plain(some, k):
        return model.log_weights(some, k).logsumexp(0) - math.log(k)

    def gradient(bound, k, copies, seed):
        torch.manual_seed(seed)
        return torch.autograd.grad(bound(x.repeat(copies, 1, 1, 1), k).mean(), model.encoder[-1].bias)[0]

    for k in (1, 8):
        ours, theirs = gradient(model.bound, k, 20_000, 1), gradient(plain, k, 20_000, 1)
        assert theirs.abs().max() > 0.1 and torch.allclose(ours, theirs, atol=0.03), (k, ours, theirs)
    noise = [torch.stack([gradient(b, 64, 1, i) for i in range(200)]).var(0).sum() for b in (model.bound, plain)]
    assert noise[0] < 0.5 * noise[1]


def test_a_training_step_leaves_no_memory_to_the_garbage_collector():
    """A hook that held what it hangs on kept every step's pictures, gigabytes of them, until the collector came."""
    model = VAE(VAEConfig(image_size=3, latents=2, widths=(8,), samples=5))
    batch = {"image": (torch.rand(4, 1, 3, 3) > 0.5).float()}

    def tensors() -> int:
        model.loss(batch)[0].backward()
        return sum(issubclass(type(thing), torch.Tensor) for thing in gc.get_objects())

    gc.collect()
    gc.disable()
    try:
        assert tensors() == tensors() == tensors()
    finally:
        gc.enable()


def test_all_binary_pictures_together_have_probability_one():
    torch.manual_seed(0)
    model = VAE(VAEConfig(image_size=3, latents=1, widths=(8,))).eval()
    x = torch.tensor(list(itertools.product([0.0, 1.0], repeat=9))).view(-1, 1, 3, 3)
    total = model.log_prob(x, 400, torch.Generator().manual_seed(1)).logsumexp(0).exp()
    assert abs(total - 1) < 0.03


def test_log_prob_does_not_depend_on_how_many_at_once():
    model, x = VAE(TINY["mlp"]).eval(), (torch.rand(5, 1, 4, 4) > 0.5).float()
    runs = [model.log_prob(x, 3_000, torch.Generator().manual_seed(s), at_once=n) for s, n in ((0, 64), (1, 100_000))]
    assert torch.allclose(*runs, atol=0.1)
    assert model.log_prob(x[:0], 3).shape == (0,)


@pytest.mark.parametrize("kind", TINY)
def test_of_no_picture_there_is_nothing_to_say(kind):
    model = VAE(TINY[kind]).eval()
    c = model.config
    x = torch.rand(0, c.channels, c.image_size, c.image_size)
    assert model.log_prob(x, 2).shape == (0,)
    assert model(x).shape == model.sample(0).shape == x.shape


@pytest.mark.parametrize("kind", ["bernoulli", "gaussian", "logistic"])
def test_pixels_have_mass_one(kind):
    likelihood = Likelihood(kind, 1)
    y = torch.tensor([-3.0, 0.0, 1.0, 6.0])
    if kind == "gaussian":
        levels = torch.linspace(-3, 4, 40_001)
        per = 7 / 40_000
    else:
        levels, per = (torch.arange(256) / 255, 1.0) if kind == "logistic" else (torch.tensor([0.0, 1.0]), 1.0)
    nats = likelihood(levels.view(-1, 1, 1, 1, 1), y.view(-1, 1, 1, 1))
    assert torch.allclose(nats.exp().sum(0) * per, torch.ones(4), atol=1e-3)
    y = torch.full((20_000, 1, 1, 1), 0.3)
    drawn = likelihood.draw(y, torch.Generator().manual_seed(0))
    weights = likelihood(levels.view(-1, 1, 1, 1), torch.full((len(levels), 1, 1, 1), 0.3)).exp() * per
    inside = levels.clamp(0, 1)
    assert abs(drawn.mean() - (weights * inside).sum()) < 0.01


def test_the_logistic_keeps_its_gradient_far_away():
    """A byte that the mean is 150 widths away from: log(s(b) - s(a)) by itself would be the logarithm of zero."""
    likelihood, y = Likelihood("logistic", 1), torch.zeros(1, 1, 1, requires_grad=True)
    with torch.no_grad():
        likelihood.log_scale.fill_(-6)
    nats = likelihood(torch.full((1, 1, 1), 220 / 255), y)
    nats.backward()
    assert -1_000 < nats < -100 and 10 < y.grad < 1_000


def test_beta_weighs_the_kl_alone():
    x = {"image": (torch.rand(8, 1, 4, 4) > 0.5).float()}
    plain = VAE(TINY["mlp"])
    heavy = VAE(VAEConfig(image_size=4, latents=2, widths=(16,), beta=4.0))
    heavy.load_state_dict(plain.state_dict())
    losses = []
    for model in (plain, heavy):
        torch.manual_seed(0)
        loss, log = model.loss(x)
        losses.append((loss, log["kl"], log["reconstruction"]))
    assert losses[0][1:] == losses[1][1:]
    assert torch.isclose(losses[1][0] - losses[0][0], torch.tensor(3 * losses[0][1]), atol=1e-5)


def test_a_traversal_moves_one_number_at_a_time():
    model = VAE(VAEConfig(image_size=4, latents=3, widths=(16,)))
    z, values = torch.randn(3), torch.tensor([-2.0, 0.0, 2.0])
    rows = model.traverse(z, values)
    assert rows.shape == (3, 3, 1, 4, 4)
    by_hand = z.clone()
    by_hand[1] = 2.0
    assert torch.allclose(rows[1, 2], model.decode(by_hand[None])[0], atol=1e-6)


@pytest.mark.parametrize(
    "call, words",
    [
        (lambda m: VAEConfig(beta=-1.0), "beta"),
        (lambda m: VAEConfig(beta=math.nan), "beta"),
        (lambda m: VAEConfig(samples=0), "samples"),
        (lambda m: VAEConfig(samples=5, beta=2.0), "has no beta"),
        (lambda m: m.log_prob(torch.rand(1, 1, 4, 4), 0), "importance_samples is a whole number, 1 or more"),
        (lambda m: m.log_prob(torch.rand(1, 1, 4, 4), True), "importance_samples is a whole number"),
        (lambda m: m.bound(torch.rand(1, 1, 4, 4), 0), "k is a whole number"),
        (lambda m: m.log_weights(torch.rand(1, 1, 4, 4), -1), "k is a whole number"),
        (lambda m: m.decode(torch.zeros(2, 9)), r"codes are \(B, 2\), not \(2, 9\)"),
        (lambda m: m.decode(torch.zeros(2)), r"codes are \(B, 2\), not \(2,\)"),
        (lambda m: m.sample(-1), "n is a whole number, 0 or more"),
        (lambda m: m.sample(1, temperature=math.inf), "temperature"),
        (lambda m: m.interpolate(torch.rand(1, 4, 4), torch.rand(1, 4, 4), 1), "steps is a whole number, 2 or more"),
    ],
)
def test_senseless_wishes_are_told(call, words):
    with pytest.raises(ValueError, match=words):
        call(VAE(TINY["mlp"]))


def test_pretrained_map_is_of_digits(mnist):
    """Codes drawn from the prior are read as digits by the judge: surely in three cases of four; and what comes back of
    test digits is nearer than PCA's."""
    model, judge = VAE.from_pretrained("vae-mnist"), genlab.from_pretrained("cnn-mnist")
    image = mnist["image"].float() / 255
    with torch.no_grad():
        drawn = model.sample(500, generator=torch.Generator().manual_seed(0))
        sure = (judge(drawn).softmax(1).amax(1) > 0.7).float().mean()
        error = (model(image) - image).square().mean()
        pca = (genlab.from_pretrained("pca-mnist")(image) - image).square().mean()
    assert sure > 0.75 and error < 0.8 * pca
