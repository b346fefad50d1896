"""The Space of Text to image, written by `genlab space build text_to_image`."""

from genlab.demo import launch_space

launch_space("text_to_image")
