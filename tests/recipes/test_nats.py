"""The encoder that learns from dreams, for a tighter bound on the same decoder."""

import copy

import torch

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
    taught = _nats.slept(model, steps=1_500, dreams=512, lr=1e-2)
    after = taught.state_dict()
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items()), "the model is as it was"
    assert {key for key in after if not torch.equal(after[key], before[key])} == {
        key for key in after if key.startswith("encoder.")
    }
    x = torch.cartesian_prod(*4 * [torch.tensor([0.0, 1.0])]).view(16, 1, 2, 2)
    z = torch.linspace(-6, 6, 2_001)[:, None]
    with torch.no_grad():
        ink, q = model.decode(z).flatten(1).double(), taught.encode(x)
    bits, codes = x.flatten(1).double(), z.double()[:, 0]
    joint = (bits @ ink.log().T + (1 - bits) @ (1 - ink).log().T - 0.5 * codes.square()).exp()
    often, posterior = joint.sum(1) / joint.sum(), joint / joint.sum(1, keepdim=True)
    mean = posterior @ codes
    deviation = (posterior @ codes.square() - mean.square()).sqrt()
    assert mean.std() > 0.2, "a picture says something about its code"
    assert (often * (q.mean[:, 0] - mean).abs()).sum() < 0.02
    assert (often * (q.std[:, 0] - deviation).abs()).sum() < 0.02
    exact = (joint.sum(1) * (codes[1] - codes[0]) / (2 * torch.pi) ** 0.5).log()
    bound = taught.log_prob(x, 5_000, torch.Generator().manual_seed(0))
    assert (bound - exact).abs().max() < 0.02, "and what it proposes gives the likelihood"
