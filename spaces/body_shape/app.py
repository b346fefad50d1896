"""The Space of Body shape, written by `genlab space build body_shape`."""

from genlab.demo import launch_space

launch_space("body_shape")
