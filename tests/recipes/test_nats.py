"""The encoder that learns from dreams, for a tighter bound on the same decoder."""

import copy

import pytest
import torch

from genlab.data import binarized_mnist
from genlab.models.autoencoders import VAE, VAEConfig
from genlab.recipes import _nats


def four_pixels() -> VAE:
    """One number as the code: everything can be summed. Its weights are large, so that a picture tells its code."""
    torch.manual_seed(0)
    model = VAE(VAEConfig(image_size=2, latents=1, widths=(16,), activation="tanh")).eval()
    with torch.no_grad():
        for parameter in model.decoder.parameters():
            parameter.mul_(3)
    return model


def test_dreams_teach_mean_and_deviation_of_the_codes_that_might_be():
    """The Gaussian next to p(z | x), the KL taken that way round, has its moments."""
    model = four_pixels()
    before = copy.deepcopy(model.state_dict())
    taught = _nats.taught_on_dreams(model, steps=1_000, dreams=512, lr=1e-2)
    after = taught.state_dict()
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items()), "the model is as it was"
    assert {key for key in after if not torch.equal(after[key], before[key])} == {
        key for key in after if key.startswith("encoder.")
    }
    x = torch.cartesian_prod(*4 * [torch.tensor([0.0, 1.0])]).view(16, 1, 2, 2)
    z = torch.linspace(-6, 6, 2_001)[:, None]
    with torch.no_grad():
        ink, q, own = model.decode(z).flatten(1).double(), taught.encode(x), model.encode(x)
    bits, codes = x.flatten(1).double(), z.double()[:, 0]
    joint = (bits @ ink.log().T + (1 - bits) @ (1 - ink).log().T - 0.5 * codes.square()).exp()
    often, posterior = joint.sum(1) / joint.sum(), joint / joint.sum(1, keepdim=True)
    mean = posterior @ codes
    deviation = (posterior @ codes.square() - mean.square()).sqrt()
    assert mean.std() > 0.2, "a picture says something about its code"
    assert (often * (q.mean[:, 0] - mean).abs()).sum() < 0.05 < 0.3 < (often * (own.mean[:, 0] - mean).abs()).sum()
    assert (
        (often * (q.std[:, 0] - deviation).abs()).sum() < 0.05 < 0.3 < (often * (own.std[:, 0] - deviation).abs()).sum()
    )
    exact = (joint.sum(1) * (codes[1] - codes[0]) / (2 * torch.pi) ** 0.5).log()
    often_asked = x.repeat(500, 1, 1, 1)
    bounds = [m.log_prob(often_asked, 4, torch.Generator().manual_seed(0)).mean() for m in (model, taught)]
    gaps = [(exact.mean() - bound).item() for bound in bounds]
    assert 0 < gaps[1] < 0.3 * gaps[0], "so its codes tell the likelihood by few samples"


def test_a_taught_encoders_nats_stand_beside_the_models_own(monkeypatch):
    model, (few, many) = four_pixels(), (_nats.FEW, _nats.MANY)
    image = (torch.rand(6, 1, 2, 2, generator=torch.Generator().manual_seed(0)) > 0.5).to(torch.uint8) * 255
    monkeypatch.setattr(binarized_mnist, "load", lambda split: {"image": image} if split == "test" else None)
    jobs = {job.key: job for job in _nats.evaluate(model, samples=4, taught=True)}
    assert [*jobs] == ["nats k=1", f"nats k={few}", f"nats k={many}", f"nats k={many}, encoder taught on dreams"]
    *_, own, taught = (metric for job in jobs.values() for metric in job.run())
    by = _nats.taught_on_dreams(model, _nats.NIGHT // 25)
    for metric, proposes in ((own, model), (taught, by)):
        values = -proposes.log_prob(image[:4].float() / 255, many, torch.Generator().manual_seed(0))
        assert metric.value == pytest.approx(values.mean().item()) and metric.samples == 4
        assert metric.settings == {"importance samples": many}
    assert own.name == "nats" and own.headline and not taught.headline, "the saved weights' own figure is the first"
    assert "taught" in taught.name and f"{_nats.NIGHT // 25:,} steps" in taught.note
    assert len([*_nats.evaluate(model)]) == 3
