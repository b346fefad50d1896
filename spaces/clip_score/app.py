"""The Space of CLIP score, written by `genlab space build clip_score`."""

from genlab.demo import launch_space

launch_space("clip_score")
