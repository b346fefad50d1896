"""The Space of Guidance, written by `genlab space build guidance`."""

from genlab.demo import launch_space

launch_space("guidance")
