"""The figures of a VAE's card: the bound by more and more samples."""

import pytest
import torch

from genlab.data import binarized_mnist
from genlab.models.autoencoders import VAE, VAEConfig
from genlab.recipes import _nats


@pytest.mark.parametrize("some", [None, 4, 3])
def test_nats_are_the_models_own_bounds(some, monkeypatch):
    """With some pictures for the many samples, those pictures' gain counts for all: of as many as there are, it is
    the mean over all, up to the luck of its draws."""
    torch.manual_seed(0)
    model, ks = VAE(VAEConfig(image_size=2, latents=1, widths=(16,))).eval(), (1, _nats.FEW, _nats.MANY)
    image = (torch.rand(6, 1, 2, 2) > 0.5).to(torch.uint8) * 255
    monkeypatch.setattr(binarized_mnist, "load", lambda split: {"image": image} if split == "test" else None)
    jobs = {job.key: job for job in _nats.evaluate(model, samples=4, some=some)}
    assert [*jobs] == [f"nats k={k}" for k in ks]
    found = [metric for job in jobs.values() for metric in job.run()]
    assert [metric.headline for metric in found] == [False, False, True]
    for metric, k in zip(found, ks, strict=True):
        exact = -model.log_prob(image[:4].float() / 255, k, torch.Generator().manual_seed(0)).mean().item()
        assert metric.value == pytest.approx(exact, abs=0.02 if some and k == _nats.MANY else 1e-6)
        assert metric.settings == {"importance samples": k} and metric.samples == 4
