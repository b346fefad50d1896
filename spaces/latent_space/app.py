"""The Space of Latent space, written by `genlab space build latent_space`."""

from genlab.demo import launch_space

launch_space("latent_space")
