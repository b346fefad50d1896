"""The Space of Fit a pose, written by `genlab space build fit_pose`."""

from genlab.demo import launch_space

launch_space("fit_pose")
