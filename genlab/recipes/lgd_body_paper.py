"""lgd-body-paper: learned gradient descent as its paper has it in these three points, to see what they are worth.

Axis-angle rotations, no residual beside the gradient, always four steps from the first guess. All else is lgd-body's:
one network for pose, shape and place, a third as wide as the authors' two; compressed gradients; people and losses.
"""

import dataclasses

from genlab.models.body import LearnedGradientDescentConfig
from genlab.recipes import lgd_body

RECIPE = dataclasses.replace(
    lgd_body.RECIPE,
    name="lgd-body-paper",
    summary="Learned gradient descent nearer to its paper: axis-angle, the gradient alone, always four steps.",
    config=LearnedGradientDescentConfig(rotation="axis-angle", residual=False, longest=4),
    steps=7_000,
    intended_use="Comparing with lgd-body: what reading the residual, six numbers a rotation and longer unrolling do.",
    snippet=lgd_body.RECIPE.snippet.replace('"lgd-body"', '"lgd-body-paper"'),
)
