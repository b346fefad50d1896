"""The Space of genlab, written by `genlab space build genlab`."""

from genlab.demo import launch_space

launch_space("genlab")
