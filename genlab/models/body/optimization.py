"""Fitting by optimisation: the body that explains the keypoints and is likely as a body, found by going downhill."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from numbers import Real
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from genlab.core import Law, Model
from genlab.models.body.camera import Camera
from genlab.models.body.fit import BETAS, BodyFit, Fitter, Observed, body_fit, points_of, reprojection
from genlab.models.body.joint_sets import JOINTS
from genlab.ops.rotations import axis_angle_to_matrix

LAW = Law(
    latex=r"""\Theta^* = \arg\min_\Theta\
\underbrace{\sum_i \frac{c_i}{2\sigma^2}\,\lVert \pi(X_i(\Theta)) - x_i \rVert^2}_{-\log p(x \mid \Theta)}\ -\
\log \underbrace{\sum_m w_m\,\mathcal{N}(\theta;\ \mu_m, \Sigma_m)}_{p(\theta)}\ +\ \tfrac12 \lVert \beta \rVert^2""",
    symbols={
        r"\Theta": "the unknowns: pose, shape and place",
        "x_i": "where joint i is seen",
        "c_i": "how surely, 0 where it is not",
        r"\pi(X_i(\Theta))": "where the camera sees joint i of the body",
        r"\sigma": "how far keypoints are off, in halves of their box",
        r"p(\theta)": "the pose prior: a mixture of Gaussians fitted to captured poses",
        r"w_m,\ \mu_m,\ \Sigma_m": "weight, mean and covariance of its Gaussian m",
        r"\mathcal{N}": "the density of a Gaussian",
        r"\beta": "the shape, in standard deviations",
    },
    paper="Bogo, Kanazawa, Lassner, Gehler, Romero, Black: Keep it SMPL (SMPLify)",
    year=2016,
    url="https://arxiv.org/abs/1607.08128",
    code="OptimizationFit.energy",
)
TURNING = 3 * (len(JOINTS) - 1)  # numbers of a pose without the pelvis
MOST = 100_000  # poses drawn in one go: each takes a matrix of the prior with it
YAWS = 4  # first guesses: facing the camera, its left, away, its right


@dataclass(frozen=True)
class OptimizationFitConfig:
    """components: Gaussians in the pose prior. sigma: of the keypoints, in halves of their box."""

    components: int = 8
    sigma: float = 0.02

    def __post_init__(self):
        if self.components < 1 or not 0 < self.sigma < 10:
            raise ValueError("components and sigma are positive")


class OptimizationFit(Fitter, Model):
    """Bodies from keypoints by Adam or L-BFGS: the interface of LearnedGradientDescent. Its weights are the prior's."""

    config: OptimizationFitConfig

    def __init__(self, config: OptimizationFitConfig = OptimizationFitConfig()):
        super().__init__(config)
        M = config.components
        self.register_buffer("log_weights", torch.full((M,), 1 / M).log())
        self.register_buffer("means", torch.zeros(M, TURNING))
        self.register_buffer("whitening", torch.eye(TURNING).repeat(M, 1, 1))  # W with W W^T = Sigma^-1

    # -- the law -----------------------------------------------------------------------------------------------------

    def log_prior(self, pose: Float[Tensor, "B 24 3"]) -> Float[Tensor, " B"]:
        """log p(theta) of the joints' rotations, all but the pelvis': which way a body faces says nothing of it."""
        white = torch.einsum("bmd,mde->bme", pose[:, 1:].flatten(1)[:, None] - self.means, self.whitening)
        log_det = self.whitening.diagonal(dim1=1, dim2=2).abs().log().sum(dim=1)
        half_log_2pi = 0.9189385332046727
        logs = self.log_weights + log_det - 0.5 * white.square().sum(dim=2) - half_log_2pi * TURNING
        return logs.logsumexp(dim=1)

    @torch.no_grad()
    def poses(
        self, n: int, *, generator: torch.Generator | None = None, spread: float = 1.0
    ) -> Float[Tensor, "n 24 3"]:
        """Poses drawn from the prior, the pelvis unturned; `spread` times as far from their component's mean. Raises
        ValueError."""
        if isinstance(n, bool) or not isinstance(n, int) or not 1 <= n <= MOST:
            raise ValueError(f"n is a whole number from 1 to {MOST}, not {n!r}")
        if not within(spread, 0, 100):
            raise ValueError(f"spread lies in [0, 100], not {spread!r}")
        which = torch.multinomial(self.log_weights.exp().cpu(), n, replacement=True, generator=generator)
        white = torch.randn(n, TURNING, generator=generator)
        means, whitening = self.means.cpu()[which], self.whitening.cpu()[which]
        off = torch.linalg.solve(whitening.float().transpose(1, 2), white[..., None])[..., 0]  # Sigma = (W W^T)^-1
        return torch.nn.functional.pad((means + spread * off).unflatten(1, (-1, 3)), (0, 0, 1, 0)).to(self.device)

    def energy(self, theta: Float[Tensor, "B U"], observed: Observed, prior: float = 1.0) -> Float[Tensor, " B"]:
        """What is minimised; `prior` weighs the prior of pose and shape (1: as the law has it, 0: none)."""
        betas, pose, place = parts(theta)
        points = points_of(self.body, betas, axis_angle_to_matrix(pose), observed.transl(place))
        L, _ = reprojection(observed, points)
        E = L * observed.confidence.sum(dim=1) / (2 * self.config.sigma**2)
        if prior:
            E = E + prior * (0.5 * betas.square().sum(dim=1) - self.log_prior(pose))
        return E

    def start(self, observed: Observed) -> Float[Tensor, "S U"]:
        """The prior's mean, at its place in the picture, facing four ways: S = 4 B, the ways of a body together."""
        mean = self.log_weights.softmax(dim=0) @ self.means
        yaw = torch.arange(YAWS) * (2 * torch.pi / YAWS)
        theta = mean.new_zeros(YAWS, 3 + TURNING + BETAS + 3)
        theta[:, 1], theta[:, 3 : 3 + TURNING] = (yaw + torch.pi) % (2 * torch.pi) - torch.pi, mean
        theta[:, -1] = -0.16  # half of a box around a person is some 0.85 m
        return theta.repeat(len(observed.middle), 1)

    # -- fitting -----------------------------------------------------------------------------------------------------

    def fit_steps(
        self,
        keypoints: Any,
        confidence: Any = None,
        camera: Camera = Camera(),
        *,
        joints: str | Sequence[str] = "smpl",
        steps: int = 200,
        method: str = "adam",
        rate: float | None = None,
        prior: float = 1.0,
    ) -> Iterator[BodyFit]:
        """The first guess, then the state after each step. A fifth of the steps tries all four ways to face, the rest
        goes on from the best. keypoints, confidence, joints: as of LearnedGradientDescent. rate: of Adam (0.05), which
        falls to a tenth along a cosine, or of L-BFGS (1), of which a step is five iterations. Raises ValueError."""
        if isinstance(steps, bool) or not isinstance(steps, int) or not 0 <= steps <= 10_000:
            raise ValueError(f"steps is a whole number from 0 to 10000, not {steps!r}")
        if not isinstance(method, str) or method not in DESCENTS:
            raise ValueError(f"method is one of {', '.join(map(repr, DESCENTS))}, not {method!r}")
        if not within(prior, 0, 1_000):
            raise ValueError(f"prior lies in [0, 1000], not {prior!r}")
        if not (rate is None or within(rate, 0, 10) and rate > 0):
            raise ValueError(f"rate lies in (0, 10], not {rate!r}")
        return self._walk(self.observed(keypoints, confidence, camera, joints), steps, method, rate, prior)

    def _walk(self, observed: Observed, steps: int, method: str, rate: float | None, prior: float):
        with torch.inference_mode(False):  # gradients go through it
            many = observed[torch.arange(len(observed.half)).repeat_interleave(YAWS)]
        scout = min(steps, max(1, steps // 5))
        for n, theta in enumerate(DESCENTS[method](self, self.start(observed), many, scout, steps, rate, prior)):
            best = self._best(theta, many, prior)
            yield self._state(theta[best], observed)
            if n == scout:
                break
        if steps > scout:
            walk = DESCENTS[method](self, theta[best], observed, steps - scout, steps, rate, prior, done=scout)
            next(walk)  # where it starts is known
            for theta in walk:
                yield self._state(theta, observed)

    def _best(self, theta: Tensor, many: Observed, prior: float) -> Tensor:
        with torch.no_grad():
            E = self.energy(theta, many, prior).nan_to_num(torch.inf).unflatten(0, (-1, YAWS))
        return E.argmin(dim=1) + YAWS * torch.arange(len(E), device=E.device)

    def _state(self, theta: Tensor, observed: Observed) -> BodyFit:
        betas, pose, place = parts(theta.detach())
        return body_fit(self.body, observed, betas, axis_angle_to_matrix(pose), place)


def within(x: Any, low: float, high: float) -> bool:
    """Whether it is a number, and one from low to high: NaN is not."""
    return isinstance(x, Real) and not isinstance(x, bool) and bool(low <= x <= high)


def parts(theta: Float[Tensor, "B U"]) -> tuple[Tensor, Tensor, Tensor]:
    """Betas, pose (B, 24, 3) and place of Theta."""
    pose, betas, place = theta.split([3 + TURNING, BETAS, 3], dim=1)
    return betas, pose.unflatten(1, (-1, 3)), place


def _adam(fit: OptimizationFit, theta, observed, count: int, steps: int, rate, prior, done: int = 0):
    """Theta at the start and after each of `count` steps, of `steps` in all. Written out: the first of torch's own
    optimisers to be made imports its compiler, which takes longer than several fits."""
    b1, b2 = 0.9, 0.99
    theta = theta.detach().clone()
    m, v = torch.zeros_like(theta), torch.zeros_like(theta)
    yield theta
    for k in range(1, count + 1):
        with torch.inference_mode(False), torch.enable_grad():
            free = theta.clone().requires_grad_()
            (g,) = torch.autograd.grad(fit.energy(free, observed, prior).sum(), free)
        m, v = b1 * m + (1 - b1) * g, b2 * v + (1 - b2) * g.square()
        lr = (rate or 0.05) * (0.55 + 0.45 * math.cos(math.pi * (done + k - 1) / max(steps, 1)))
        theta = theta - lr * (m / (1 - b1**k)) / ((v / (1 - b2**k)).sqrt() + 1e-8)
        yield theta


def _lbfgs(fit: OptimizationFit, theta, observed, count: int, steps: int, rate, prior, done: int = 0):
    """The same with L-BFGS: each body by itself, since a common line search would hold all to the most careful."""
    with torch.inference_mode(False), torch.enable_grad():
        bodies = [row.clone()[None].requires_grad_() for row in theta.detach()]
        optimizers = [torch.optim.LBFGS([b], rate or 1.0, max_iter=5, line_search_fn="strong_wolfe") for b in bodies]
    yield torch.cat(bodies).detach()
    for _ in range(count):
        for i, (one, optimizer) in enumerate(zip(bodies, optimizers, strict=True)):
            part = observed[i : i + 1]

            def closure(one=one, optimizer=optimizer, part=part) -> Tensor:
                optimizer.zero_grad()
                E = fit.energy(one, part, prior).sum()
                E.backward()
                return E

            with torch.inference_mode(False), torch.enable_grad():
                optimizer.step(closure)
        yield torch.cat(bodies).detach()


DESCENTS = {"adam": _adam, "lbfgs": _lbfgs}
