"""Autoencoders. The family's letters: x a picture in [0, 1], z its code, x_hat the picture that a code stands for,
q(z | x) the encoder's distribution, p(x | z) the decoder's, p(z) = N(0, I) the prior."""

from genlab.models.autoencoders.autoencoder import Autoencoder, AutoencoderConfig
from genlab.models.autoencoders.linear import LinearAutoencoder, LinearAutoencoderConfig
from genlab.models.autoencoders.vae import VAE, Elbo, Gaussian, VAEConfig

__all__ = [
    "VAE",
    "Autoencoder",
    "AutoencoderConfig",
    "Elbo",
    "Gaussian",
    "LinearAutoencoder",
    "LinearAutoencoderConfig",
    "VAEConfig",
]
