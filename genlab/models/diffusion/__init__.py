"""Diffusion. The family's letters: x_0 a picture in [-1, 1], x_t = alpha_t x_0 + sigma_t eps for t = 0 (clean) .. T
(noise), y a class, rho the strength of classifier-free guidance (0 = none)."""

from genlab.models.diffusion.classifier_guidance import ClassifierGuidance
from genlab.models.diffusion.ddpm import DDPM, DDPMConfig
from genlab.models.diffusion.guidance import ClassifierFreeGuidance
from genlab.models.diffusion.latent import LatentDiffusion, LatentDiffusionConfig
from genlab.models.diffusion.noisy_classifier import NoisyClassifier, NoisyClassifierConfig
from genlab.models.diffusion.samplers import SAMPLERS, Step

__all__ = [
    "DDPM",
    "SAMPLERS",
    "ClassifierFreeGuidance",
    "ClassifierGuidance",
    "DDPMConfig",
    "LatentDiffusion",
    "LatentDiffusionConfig",
    "NoisyClassifier",
    "NoisyClassifierConfig",
    "Step",
]
