"""Human bodies. Metres, y up; at rest a body faces +z with its left hand towards +x. A pose theta is a rotation of each
joint of a tree against its parent, a shape beta a few numbers in standard deviations."""

from genlab.models.body.camera import Camera
from genlab.models.body.fit import BodyFit, Fitter
from genlab.models.body.joint_sets import JOINT_SETS
from genlab.models.body.lgd import LearnedGradientDescent, LearnedGradientDescentConfig
from genlab.models.body.optimization import OptimizationFit, OptimizationFitConfig
from genlab.models.body.smpl import SMPL, BodyOutput, SMPLConfig

__all__ = [
    "JOINT_SETS",
    "SMPL",
    "BodyFit",
    "BodyOutput",
    "Camera",
    "Fitter",
    "LearnedGradientDescent",
    "LearnedGradientDescentConfig",
    "OptimizationFit",
    "OptimizationFitConfig",
    "SMPLConfig",
]
