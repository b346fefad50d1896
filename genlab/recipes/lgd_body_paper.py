"""lgd-body-paper: learned gradient descent as its paper has it, to see what lgd-body's changes are worth.

Axis-angle rotations, no residual beside the gradient, always four steps from the first guess. The network is that of
lgd-body, a third as wide as the authors' own; people and loss are the same.
"""

import dataclasses

from genlab.models.body import LearnedGradientDescentConfig
from genlab.recipes import lgd_body

RECIPE = dataclasses.replace(
    lgd_body.RECIPE,
    name="lgd-body-paper",
    summary="Learned gradient descent as in its paper: axis-angle, gradient alone, four steps.",
    config=LearnedGradientDescentConfig(rotation="axis-angle", residual=False, longest=4),
    steps=7_000,
    intended_use="Comparing with lgd-body, which is better at everything.",
    snippet=lgd_body.RECIPE.snippet.replace('"lgd-body"', '"lgd-body-paper"'),
)
