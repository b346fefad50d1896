"""Fitting a body to keypoints of a picture: what every fitter is given, what it varies, and what it gives.

The unknowns Theta of a body are its pose (a rotation a joint), its shape beta, and where it is. A place is kept in the
measure of what is seen: with c the middle and s half the size of the keypoints' box, as (X, Y) / (-Z),

    transl = d (c_x + s a, c_y + s b, -1),    d = exp(l) / s

so a, b and l are small numbers for a person of any size, anywhere in any picture.
"""

import copy
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from genlab.models.body.camera import Camera, seen
from genlab.models.body.joint_sets import JOINTS, LANDMARKS, PARENTS, POINTS, joint_set
from genlab.models.body.smpl import SMPL
from genlab.ops.rotations import matrix_to_axis_angle

FEWEST = 3  # joints that must be seen: fewer say nothing of a pose
SMALLEST = 1e-4  # half of a box, as (X, Y) / (-Z): someone nine kilometres off
BETAS, PLACE = 10, 3


@dataclass(frozen=True)
class BodyFit:
    """A state of a fit. pose (B, 24, 3) axis-angle, betas (B, 10), transl (B, 3) and joints (B, 24, 3) in metres before
    the camera; losses (B,): mean squared distance of joints from where they are seen, in halves of the keypoints' box.
    """

    pose: Float[Tensor, "B 24 3"]
    betas: Float[Tensor, "B 10"]
    transl: Float[Tensor, "B 3"]
    joints: Float[Tensor, "B 24 3"]
    losses: Float[Tensor, " B"]
    body: SMPL

    @cached_property
    def vertices(self) -> Float[Tensor, "B V 3"]:
        """Computed when asked for: a fit needs none."""
        with torch.no_grad():
            return self.body(self.betas, self.pose, self.transl).vertices


class Fitter:
    """What all fitters share: the body that they fit, which is not part of their weights, and `fit`, the last state of
    `fit_steps`. Goes before Model among the bases."""

    @property
    def body(self) -> SMPL:
        """smpl-open, loaded when first needed, or a copy of what `set_body` said; on the fitter's device."""
        if "_body" not in self.__dict__:
            self.set_body(SMPL.from_pretrained("smpl-open"))
        body = self.__dict__["_body"]
        if body.device != self.device:
            body.to(self.device)
        return body

    def set_body(self, body: SMPL) -> None:
        """Fit another body of this form. Raises ValueError."""
        if not isinstance(body, SMPL) or body.config.parents != PARENTS or body.config.betas != BETAS:
            what = f"{len(body.config.parents)} joints" if isinstance(body, SMPL) else repr(body)
            raise ValueError(f"a body of SMPL's {len(JOINTS)} joints and {BETAS} betas is fitted, not {what}")
        if self.__dict__.get("_given") is body:
            return
        self.__dict__["_given"] = body
        own = copy.deepcopy(body).to(device=self.device, dtype=torch.float32)  # the caller's stays as it is
        self.__dict__["_body"] = own  # past nn.Module, which would save it along

    @staticmethod
    def camera(
        focal: float, center: tuple[float, float] | None = None, size: tuple[float, float] | None = None
    ) -> Camera:
        """A camera for `fit`: pixels; by default its axis meets the middle of the picture."""
        camera = Camera(focal, (0.0, 0.0) if center is None else center, size)
        return Camera(focal, (size[0] / 2, size[1] / 2), size) if center is None and size else camera

    def observed(self, keypoints, confidence, camera: Camera, joints: str | Sequence[str]) -> "Observed":
        """What is seen, on the fitter's device. Raises ValueError: see `observe`."""
        if self.dtype != torch.float32:
            raise ValueError(f"fits are computed in float32, this fitter is {self.dtype}: call its float() first")
        with torch.inference_mode(False), torch.no_grad():  # whatever mode the caller is in, steps need gradients
            seen = observe(keypoints, confidence, camera, joints, self.device)
        lacks = [name for name in LANDMARKS if name not in self.body.config.landmarks]
        asked = [name for name in lacks if seen.confidence[:, POINTS.index(name)].any()]
        if asked:
            raise ValueError(f"the body has no {asked[0]}: leave that keypoint out, or fit smpl-open")
        return seen

    def fit_steps(self, keypoints: Tensor, confidence: Tensor | None, camera: Camera) -> Iterator[BodyFit]:
        """The states of a fit, from the first guess on. Each fitter has its own."""
        raise NotImplementedError(f"{type(self).__name__} has no fit_steps")

    def fit(self, *args, **knobs) -> BodyFit:
        """The last state of `fit_steps`, which says what it takes."""
        *_, last = self.fit_steps(*args, **knobs)
        return last


@dataclass(frozen=True)
class Observed:
    """What is seen of all POINTS: where (B, P, 2), as (X, Y) / (-Z) and 0 where nothing is; how surely, 0 to 1 (B, P);
    and the box of it, middle (B, 2) and half its size (B, 1)."""

    where: Float[Tensor, "B P 2"]
    confidence: Float[Tensor, "B P"]
    middle: Float[Tensor, "B 2"]
    half: Float[Tensor, "B 1"]

    @classmethod
    def of(cls, where: Float[Tensor, "B P 2"], confidence: Float[Tensor, "B P"]) -> "Observed":
        there = (confidence > 0)[..., None]
        low = where.masked_fill(~there, torch.inf).amin(dim=1)
        high = where.masked_fill(~there, -torch.inf).amax(dim=1)
        half = ((high - low).amax(dim=1, keepdim=True) / 2).clamp_min(SMALLEST)
        return cls(where * there, confidence, (low + high) / 2, half)

    def __getitem__(self, rows) -> "Observed":
        """Some of the bodies, by a slice or by their numbers."""
        return Observed(self.where[rows], self.confidence[rows], self.middle[rows], self.half[rows])

    @property
    def normalised(self) -> Float[Tensor, "B P 2"]:
        """In halves of the box from its middle."""
        return self.relative(self.where) * (self.confidence > 0)[..., None]

    def relative(self, where: Float[Tensor, "B P 2"]) -> Float[Tensor, "B P 2"]:
        return (where - self.middle[:, None]) / self.half[:, None]

    def transl(self, place: Float[Tensor, "B 3"]) -> Float[Tensor, "B 3"]:
        depth = place[:, 2:].clamp(-4, 4).exp() / self.half
        return depth * torch.cat([self.middle + self.half * place[:, :2], -torch.ones_like(depth)], dim=1)


def observe(
    keypoints: Any,
    confidence: Any,
    camera: Camera,
    joints: str | Sequence[str] = "smpl",
    device: torch.device | None = None,
) -> Observed:
    """A detector's keypoints (B, K, 2), in pixels, and their confidence (B, K), as what is seen of all POINTS. Those
    that are NaN or of confidence below 0.001 are not seen. Raises ValueError for another number of keypoints than the
    set has, and for what no picture can show."""
    names = joint_set(joints)
    keypoints = _numbers(keypoints, "keypoints", device)
    if keypoints.ndim != 3 or keypoints.shape[1:] != (len(names), 2):
        what = joints if isinstance(joints, str) else "these joints"
        raise ValueError(f"keypoints of {what!r} are (B, {len(names)}, 2) pixels, not {tuple(keypoints.shape)}")
    if not isinstance(camera, Camera) or not camera.fits(len(keypoints)):
        raise ValueError(f"camera is a Camera, one for all {len(keypoints)} bodies or one for each, not {camera!r}")
    if confidence is None:
        confidence = torch.ones(keypoints.shape[:2])
    confidence = _numbers(confidence, "confidence", device)
    if confidence.shape != keypoints.shape[:2]:
        raise ValueError(
            f"confidence is {tuple(keypoints.shape[:2])}, one for each joint, not {tuple(confidence.shape)}"
        )
    if (confidence.isnan() | (confidence < 0) | (confidence > 1)).any():
        raise ValueError("confidence lies in [0, 1]: 0 for a joint that is not seen")
    confidence = confidence * (~keypoints.isnan().any(dim=-1) & (confidence > 1e-3))
    if not len(keypoints):
        raise ValueError("there is nobody to fit: keypoints are of one person or more")
    if ((confidence > 0).sum(dim=1) < FEWEST).any():
        raise ValueError(f"too few joints are seen: a fit needs {FEWEST}, each with a confidence above 0")
    there = (confidence > 0)[..., None]
    if camera.size is not None:
        size = torch.tensor(camera.size, device=keypoints.device)
        outside = (there & ((keypoints < -size / 2) | (keypoints > 1.5 * size))).any(dim=-1).any(dim=0)
        if outside.any():
            name = names[int(outside.int().argmax())]
            raise ValueError(f"the {name} lies far outside the picture of {camera.size}: give pixels, or confidence 0")
    where = camera.rays(keypoints.masked_fill(~there, 0.0))
    if not (where[there[..., 0]].abs() < 100).all():  # NaN too
        raise ValueError("keypoints lie too far from the camera's axis: give pixels, and the camera's focal length")
    place = [POINTS.index(name) for name in names]
    every, sure = where.new_zeros(len(where), len(POINTS), 2), confidence.new_zeros(len(where), len(POINTS))
    every[:, place], sure[:, place] = where, confidence
    seen = Observed.of(every, sure)
    if (seen.half <= SMALLEST).any():
        raise ValueError("keypoints lie in one place: give pixels, and the camera's focal length in pixels")
    return seen


def _numbers(x: Any, what: str, device: torch.device | None) -> Tensor:
    """A copy in float32, free of any graph. Raises ValueError."""
    try:
        x = torch.as_tensor(x, device=device)
        if x.is_complex() or x.layout != torch.strided:
            raise TypeError("complex or sparse")
        return x.detach().clone().to(torch.float32)
    except (TypeError, ValueError, RuntimeError, NotImplementedError) as error:
        raise ValueError(f"{what} are numbers, NaN where a joint is missing: {error}") from error


def reprojection(observed: Observed, points: Float[Tensor, "B P 3"]) -> tuple[Tensor, Tensor]:
    """The loss of each body (B,), and what it is made of (B, P, 2): how far each point is from where it is seen, in
    halves of the box, 0 where it is not seen.

        L = sum_i c_i |pi(X_i) - x_i|^2 / sum_i c_i
    """
    off = (observed.relative(seen(points)) - observed.relative(observed.where)) * (observed.confidence > 0)[..., None]
    c = observed.confidence
    return (c * off.square().sum(dim=-1)).sum(dim=1) / c.sum(dim=1), off


def points_of(body: SMPL, betas: Tensor, pose: Tensor, transl: Tensor) -> Float[Tensor, "B P 3"]:
    """All POINTS of a body: the 24 joints first. Landmarks that it lacks are at the origin: nobody may see them."""
    if not set(LANDMARKS) - set(body.config.landmarks):
        return body.keypoints(betas, pose, transl, joints=POINTS)
    known = [name for name in POINTS if name not in LANDMARKS or name in body.config.landmarks]
    found = body.keypoints(betas, pose, transl, joints=known)
    points = found.new_zeros(len(found), len(POINTS), 3)
    return points.index_copy(1, torch.tensor([POINTS.index(name) for name in known], device=found.device), found)


def body_fit(body: SMPL, observed: Observed, betas: Tensor, R: Tensor, place: Tensor) -> BodyFit:
    """What a fitter gives, of its present shape, rotations (B, 24, 3, 3) and place."""
    with torch.no_grad():
        transl = observed.transl(place.detach())
        points = points_of(body, betas.detach(), R.detach(), transl)
        losses, _ = reprojection(observed, points)
        pose = matrix_to_axis_angle(R.detach())
    return BodyFit(pose, betas.detach(), transl, points[:, : len(JOINTS)], losses, body)
