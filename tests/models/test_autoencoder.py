"""Autoencoder: the contract for each body; codes of the shape that the config says; better than PCA of its width."""

import pytest
import torch
from contract import keeps_contract

import genlab
from genlab.models.autoencoders import Autoencoder, AutoencoderConfig
from genlab.nn.codec import code_shape

BODIES = {
    "mlp": AutoencoderConfig(image_size=8, latents=3, widths=(16, 8)),
    "conv": AutoencoderConfig(image_size=8, channels=3, latents=5, body="conv", widths=(8, 12), activation="silu"),
    "map": AutoencoderConfig(image_size=8, latents=2, body="map", widths=(8, 8), patch=2, activation="silu"),
}


@pytest.mark.parametrize("config", BODIES.values(), ids=BODIES)
def test_contract(config, tmp_path):
    keeps_contract(Autoencoder(config), {"image": torch.rand(16, config.channels, 8, 8)}, tmp_path)


@pytest.mark.parametrize("config", BODIES.values(), ids=BODIES)
def test_shapes_of_codes_and_pictures(config):
    model, x = Autoencoder(config), torch.rand(3, config.channels, 8, 8)
    z = model.encode(x)
    assert z.shape == (3, *code_shape(8, config.latents, config.body, config.widths, config.patch))
    back = model.decode(z)
    assert back.shape == x.shape and back.min() >= 0 and back.max() <= 1
    assert torch.equal(model(x), back)
    with pytest.raises(ValueError, match=rf"codes are \(B, {config.latents}.*, not \(1, 9\)"):
        model.decode(torch.zeros(1, 9))


@pytest.mark.parametrize(
    "wish, words",
    [
        ({"widths": ()}, "1 to 8"),
        ({"latents": 0}, "positive"),
        ({"body": "conv", "widths": (8, 8, 8), "image_size": 30}, "halved 2 times"),
        ({"body": "conv", "patch": 0}, "patches of 0"),
        ({"patch": 2}, "for convolutions"),
    ],
)
def test_configs_from_which_nothing_can_be_built(wish, words):
    with pytest.raises(ValueError, match=words):
        AutoencoderConfig(**wish)


def test_pretrained_beats_pca_of_the_same_width(mnist):
    image = mnist["image"].float() / 255
    with torch.no_grad():
        ours, pca = (
            (genlab.from_pretrained(name)(image) - image).square().mean() for name in ("ae-mnist", "pca-mnist")
        )
    assert ours < 0.75 * pca
