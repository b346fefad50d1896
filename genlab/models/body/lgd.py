"""Learned gradient descent: a network reads the gradient of the reprojection error and says how to go on."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from genlab.core import Law, Model
from genlab.models.body.camera import Camera, seen
from genlab.models.body.fit import BETAS, PLACE, BodyFit, Fitter, Observed, body_fit, points_of, reprojection
from genlab.models.body.joint_sets import JOINTS, POINTS
from genlab.ops.rotations import axis_angle_to_matrix, rotation_6d_to_matrix

LAW = Law(
    latex=r"""\begin{aligned}
\Theta_0 &= \mathcal{G}_w(x), \qquad \Theta_{n+1} = \Theta_n +
\mathcal{N}_w\Bigl(\frac{\partial L}{\partial \Theta}(\Theta_n),\ \Theta_n,\ x,\ r(\Theta_n)\Bigr) \\
L(\Theta) &= \frac{\sum_i c_i\,\lVert r_i(\Theta) \rVert^2}{\sum_i c_i}, \qquad r_i(\Theta) = \pi(X_i(\Theta)) - x_i
\end{aligned}""",
    symbols={
        r"\Theta_n": "the body's unknowns after n steps: pose, shape and place",
        r"\mathcal{N}_w": "the network: its weights w are learned so that few steps lead to the true body. It reads "
        "gradients as logarithms with a sign, since they span orders of magnitude",
        r"\mathcal{G}_w": "a second network, for the first guess",
        "x": "the keypoints: where the joints are seen in the picture",
        "c_i": "how sure keypoint i is, 0 where it is missing",
        "r_i": "how far joint i is seen from where it should be, in halves of the keypoints' box; the paper's network "
        "reads its gradient alone",
        r"X_i(\Theta)": "joint i of the body, metres",
        r"\pi": "the camera's projection",
        "L": "the reprojection error, which ordinary descent would follow downhill",
    },
    paper="Song, Chen, Hilliges: Human Body Model Fitting by Learned Gradient Descent",
    year=2020,
    url="https://arxiv.org/abs/2008.08474",
    code="LearnedGradientDescent.step",
)


@dataclass(frozen=True)
class LearnedGradientDescentConfig:
    """width, blocks: of both networks, the first guess and the step. rotation: the pose's numbers, three a joint as in
    the paper, or six, which never jump. residual: show the step each keypoint's error too, not its gradient alone.
    iterations: steps of a fit. longest: training unrolls any number of steps from `iterations` - 1 to this, three times
    in ten from a later state than the first, so that the steps learn to stand still; equal to `iterations`: always just
    that many from the first guess, as in the paper."""

    width: int = 384
    blocks: int = 2
    rotation: Literal["axis-angle", "6d"] = "6d"
    residual: bool = True
    iterations: int = 4
    longest: int = 6

    def __post_init__(self):
        if min(self.width, self.blocks, self.iterations) < 1 or not self.iterations <= self.longest <= 1_000:
            raise ValueError("width, blocks and iterations are positive, longest lies from iterations to 1000")


class LearnedGradientDescent(Fitter, Model):
    """Bodies from keypoints: `fit(keypoints, confidence, camera) -> BodyFit`; `fit_steps` yields the states, of which
    the first, before any step, is a direct regression. The body is `smpl-open`, or what `set_body` says."""

    config: LearnedGradientDescentConfig

    def __init__(self, config: LearnedGradientDescentConfig = LearnedGradientDescentConfig()):
        super().__init__(config)
        self.numbers = 6 if config.rotation == "6d" else 3
        unknowns, picture = len(JOINTS) * self.numbers + BETAS + PLACE, 3 * len(POINTS)
        self.guess = _Network(picture, unknowns, config)
        step = picture + 2 * unknowns + (2 * len(POINTS) if config.residual else 0)
        self.update = _Network(step, unknowns, config)

    # -- the law -----------------------------------------------------------------------------------------------------

    def step(self, theta: Float[Tensor, "B U"], observed: Observed, points: Float[Tensor, "B P 3"]) -> Tensor:
        """Theta_(n+1) from Theta_n and the points it has."""
        L, off = reprojection(observed, points)
        (gradient,) = torch.autograd.grad(L.sum(), theta, retain_graph=True)
        parts = [compress(gradient.detach()), theta, picture(observed)]
        if self.config.residual:
            parts.append(compress(off.flatten(1)))
        return theta + 0.1 * self.update(torch.cat(parts, dim=1))

    def start(self, observed: Observed) -> Float[Tensor, "B U"]:
        """Theta_0, guessed from the keypoints alone."""
        rest = torch.tensor([1.0, 0, 0, 0, 1, 0] if self.numbers == 6 else [0.0, 0, 0]).to(observed.where)
        mean = torch.cat([rest.repeat(len(JOINTS)), rest.new_zeros(BETAS + PLACE)])
        return mean + self.guess(picture(observed))

    def next(self, theta: Float[Tensor, "B U"], observed: Observed) -> Float[Tensor, "B U"]:
        """`step`, for nobody who learns from it."""
        with torch.inference_mode(False), torch.enable_grad():
            theta = theta.detach().clone().requires_grad_()
            return self.step(theta, observed, self.points(theta, observed)).detach()

    def parts(self, theta: Float[Tensor, "B U"]) -> tuple[Tensor, Tensor, Tensor]:
        """Betas, rotations (B, 24, 3, 3) and place of Theta."""
        pose, betas, place = theta.split([len(JOINTS) * self.numbers, BETAS, PLACE], dim=1)
        to_matrix = rotation_6d_to_matrix if self.numbers == 6 else axis_angle_to_matrix
        return betas, to_matrix(pose.unflatten(1, (len(JOINTS), -1))), place

    def points(self, theta: Float[Tensor, "B U"], observed: Observed) -> Float[Tensor, "B P 3"]:
        betas, R, place = self.parts(theta)
        return points_of(self.body, betas, R, observed.transl(place))

    # -- learning ----------------------------------------------------------------------------------------------------

    def loss(self, batch: dict[str, Tensor]) -> tuple[Tensor, dict[str, float]]:
        """The mean, over the first guess and all steps, of the error in the joints' places (relative to the pelvis), in
        the picture, in rotations, shape and place; each an L1 or a distance. batch: pose (B, 24, 3), betas (B, 10) and
        transl (B, 3) of bodies; where (B, P, 2) and confidence (B, P) of their POINTS as `Observed` has them."""
        observed = Observed.of(batch["where"], batch["confidence"])
        true_R = axis_angle_to_matrix(batch["pose"])
        true = points_of(self.body, batch["betas"], true_R, batch["transl"]).detach()
        c, first, steps, total, log = self.config, 0, self.config.longest, 0.0, {}
        theta = self.start(observed)
        if self.training and c.longest > c.iterations:
            steps = int(torch.randint(c.iterations - 1, c.longest + 1, ()))
            if torch.rand(()) < 0.3:
                first = 1  # the state in which it starts is not its own doing
                for _ in range(int(torch.randint(2, 8, ()))):
                    theta = self.next(theta, observed)
        for n in range(steps + 1):
            with torch.enable_grad():
                theta = theta if theta.requires_grad else theta.requires_grad_()
                points = self.points(theta, observed)
                betas, R, place = self.parts(theta)
                joints = (points - points[:, :1]) - (true - true[:, :1])
                error = joints[:, : len(JOINTS)].norm(dim=-1).mean()
                flat = observed.relative(seen(points)) - observed.relative(seen(true))
                moved = (observed.transl(place) - batch["transl"]).norm(dim=-1) / batch["transl"].norm(dim=-1)
                if n >= first:
                    total = total + (
                        5.0 * error
                        + flat.clamp(-2, 2).norm(dim=-1).mean()
                        + 0.5 * (R - true_R).abs().sum(dim=(-1, -2)).mean() / 3
                        + 0.05 * (betas - batch["betas"]).abs().mean()
                        + 0.5 * moved.mean()
                    )
                if n == min(c.iterations, steps):
                    log["mpjpe_mm"] = 1000 * error.item()
                if n < steps:
                    theta = self.step(theta, observed, points)
        return total / (steps + 1 - first), log

    # -- fitting -----------------------------------------------------------------------------------------------------

    def fit_steps(
        self,
        keypoints: Any,
        confidence: Any = None,
        camera: Camera = Camera(),
        *,
        joints: str | Sequence[str] = "smpl",
        steps: int | None = None,
    ) -> Iterator[BodyFit]:
        """The first guess, then the state after each step (default: as many as were trained). keypoints: pixels, in the
        order of `joints` (see `SMPL.keypoints`); NaN or confidence 0 where one is missing. Raises ValueError."""
        steps = self.config.iterations if steps is None else steps
        if isinstance(steps, bool) or not isinstance(steps, int) or not 0 <= steps <= 1_000:
            raise ValueError(f"steps is a whole number from 0 to 1000, not {steps!r}")
        return self._walk(self.observed(keypoints, confidence, camera, joints), steps)

    def _walk(self, observed: Observed, steps: int) -> Iterator[BodyFit]:
        with torch.inference_mode(False), torch.no_grad():
            theta = self.start(observed)
        for n in range(steps + 1):
            betas, R, place = self.parts(theta.detach())
            yield body_fit(self.body, observed, betas, R, place)
            if n < steps:
                theta = self.next(theta, observed)


def picture(observed: Observed) -> Float[Tensor, "B X"]:
    """x: where each point is seen, in halves of the box from its middle, and how surely."""
    return torch.cat([observed.normalised.flatten(1), observed.confidence], dim=1)


def compress(x: Tensor) -> Tensor:
    """Gradients span orders of magnitude: sign and logarithm, smooth at zero."""
    return torch.asinh(30 * x)


class _Network(nn.Module):
    """A linear layer, residual blocks, a linear layer that starts at zero: at first nothing moves."""

    def __init__(self, inputs: int, outputs: int, config: LearnedGradientDescentConfig):
        super().__init__()
        self.enter = nn.Linear(inputs, config.width)
        self.blocks = nn.ModuleList(_Block(config.width) for _ in range(config.blocks))
        self.leave = nn.Linear(config.width, outputs)
        nn.init.zeros_(self.leave.weight)
        nn.init.zeros_(self.leave.bias)

    def forward(self, x: Tensor) -> Tensor:
        h = self.enter(x)
        for block in self.blocks:
            h = block(h)
        return self.leave(h)


class _Block(nn.Module):
    def __init__(self, width: int):
        super().__init__()
        self.layers = nn.Sequential(
            nn.LayerNorm(width), nn.Linear(width, width), nn.PReLU(), nn.Linear(width, width), nn.PReLU()
        )

    def forward(self, h: Tensor) -> Tensor:
        return h + self.layers(h)
