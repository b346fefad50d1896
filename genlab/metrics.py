"""How good is it? Figures of merit on plain tensors; what compares features leaves their choice to the caller.

FID, KID, precision and recall come from torchmetrics and prdc, fed with features directly, so that any feature network
serves (ours is the judge `cnn-mnist`; such figures compare with each other, not with Inception's).
"""

import contextlib
import io
import math
import warnings

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from genlab.names import require


class _Features(nn.Identity):
    """Stands where torchmetrics expects a feature network: what it is given are features already."""

    def __init__(self, dim: int):
        super().__init__()
        self.num_features = dim


def frechet_distance(real: Float[Tensor, "N D"], fake: Float[Tensor, "M D"]) -> float:
    """FID: ||mu_r - mu_f||^2 + tr(S_r + S_f - 2 (S_r S_f)^(1/2)), Gaussians fitted to both (Heusel et al., 2017)."""
    fid = require("torchmetrics.image.fid", extra="train").FrechetInceptionDistance(_Features(real.shape[1]))
    fid.update(real.float(), real=True)
    fid.update(fake.float(), real=False)
    return fid.compute().item()


def kernel_distance(
    real: Float[Tensor, "N D"], fake: Float[Tensor, "M D"], subsets: int = 100, subset_size: int = 1_000
) -> tuple[float, float]:
    """KID: squared maximum mean discrepancy under the kernel (x.y / D + 1)^3, over random subsets; mean and standard
    deviation (Binkowski et al., 2018)."""
    kid = require("torchmetrics.image.kid", extra="train").KernelInceptionDistance
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # that it keeps all features, which is what it is for
        kid = kid(_Features(real.shape[1]), subsets=subsets, subset_size=min(subset_size, len(real), len(fake)))
    kid.update(real.float(), real=True)
    kid.update(fake.float(), real=False)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)  # which subsets
        mean, std = kid.compute()
    return mean.item(), std.item()


def precision_recall(real: Float[Tensor, "N D"], fake: Float[Tensor, "M D"], k: int = 5) -> dict[str, float]:
    """precision: the share of fakes within reach of a real neighbour; recall: of reals within reach of a fake one,
    where reach is the distance to the k-th neighbour (Kynkaanniemi et al., 2019). density, coverage: Naeem
    et al., 2020."""
    with contextlib.redirect_stdout(io.StringIO()):
        figures = require("prdc", extra="train").compute_prdc(real.float().numpy(), fake.float().numpy(), nearest_k=k)
    return {key: float(value) for key, value in figures.items()}


def agreement(logits: Float[Tensor, "N K"], label: Int[Tensor, " N"]) -> float:
    """The share of examples whose most likely class is the label."""
    return (logits.argmax(dim=1) == label).float().mean().item()


def diversity(x: Float[Tensor, "N ..."], label: Int[Tensor, " N"]) -> float:
    """Variance of a number around its class's mean, averaged over numbers and over classes with two members or more."""
    x = x.flatten(1).float()
    within = [x[label == y].var(dim=0).mean() for y in label.unique() if (label == y).sum() > 1]
    return torch.stack(within).mean().item() if within else 0.0


@torch.no_grad()
def error_rate(predict, x: Tensor, label: Int[Tensor, " N"], batch_size: int = 500) -> float:
    """The share of examples that `predict(x) -> logits` gets wrong; bytes are read as [0, 1]."""
    wrong = 0
    for part, y in zip(x.split(batch_size), label.split(batch_size), strict=True):
        part = part.float() / 255 if part.dtype == torch.uint8 else part
        wrong += (predict(part).argmax(dim=1) != y).sum().item()
    return wrong / len(label)


def bits_per_dim(nats: Float[Tensor, " N"], dims: int) -> Float[Tensor, " N"]:
    """nats / (dims ln 2), for the negative log-likelihood of discrete data."""
    return nats / (dims * math.log(2))


def clip_score(image: Float[Tensor, "N D"], text: Float[Tensor, "N D"]) -> Float[Tensor, " N"]:
    """CLIPScore: 2.5 max(cos, 0) of each picture's features and its text's (Hessel et al., 2021)."""
    return 2.5 * torch.cosine_similarity(image, text, dim=1).clamp_min(0)


def recall_at(scores: Float[Tensor, "N M"], right: Bool[Tensor, "N M"], k: int = 1) -> float:
    """R@k: the share of rows in which one of the k highest scores is a right one. Retrieval of texts for pictures, or
    the other way round; a picture may have several right texts. A right score equal to a wrong one comes after it.
    Raises ValueError for a k that is none."""
    if not 1 <= k <= scores.shape[1]:
        raise ValueError(f"k lies in 1..{scores.shape[1]}, the number of candidates, not {k}")
    best = scores.masked_fill(~right, -math.inf).amax(dim=1, keepdim=True)
    before = (~(scores < best) & ~right).sum(dim=1)  # NaN is no success either
    return (right.any(dim=1) & (before < k)).float().mean().item()


def r_precision(image: Float[Tensor, "N D"], text: Float[Tensor, "N D"], others: int = 99, seed: int = 0) -> float:
    """The share of generated pictures whose own text is nearer, by the cosine, than `others` texts drawn from the rest
    (Xu et al., 2018). Raises ValueError where there are not so many."""
    n = len(image)
    if not 1 <= others < n:
        raise ValueError(f"{others} other texts cannot be drawn from {n - 1}")
    generator = torch.Generator().manual_seed(seed)
    image, text = (torch.nn.functional.normalize(x, dim=1) for x in (image, text))
    drawn = torch.stack([torch.randperm(n - 1, generator=generator)[:others] for _ in range(n)]).to(image.device)
    drawn = drawn + (drawn >= torch.arange(n, device=image.device)[:, None])  # any but its own
    first = [
        (image[i] * text[i]).sum(dim=1) > torch.einsum("nd,nkd->nk", image[i], text[drawn[i]]).amax(dim=1)
        for i in torch.arange(n).split(256)
    ]
    return torch.cat(first).float().mean().item()


def mutual_information_gap(codes: Float[Tensor, "N Z"], factors: Int[Tensor, "N K"], bins: int = 20) -> float:
    """MIG: how much more the best number of a code says of a factor than the second best, in shares of the factor's
    entropy, averaged over factors (Chen et al., 2018):

        MIG = 1/K sum_k (I(z_a; v_k) - I(z_b; v_k)) / H(v_k),    a, b: the numbers that say most of v_k

    Numbers are cut into so many equal bins, as in Locatello et al. (2019). Raises ValueError for a factor that is
    always the same, and for codes of one number or with NaN or infinity.
    """
    if codes.shape[1] < 2:
        raise ValueError("a gap takes codes of two numbers or more")
    if not codes.isfinite().all():
        raise ValueError("the codes hold NaN or infinity")
    low, high = codes.amin(dim=0), codes.amax(dim=0)
    cut = ((codes - low) / (high - low).clamp_min(1e-12) * bins).long().clamp_max(bins - 1)
    gaps = []
    for factor in factors.T:
        values, v = factor.unique(return_inverse=True)
        if len(values) < 2:
            raise ValueError("a factor that is always the same has no entropy: leave it out")
        joint = torch.stack([torch.bincount(z * len(values) + v, minlength=bins * len(values)) for z in cut.T])
        p = joint.double().view(-1, bins, len(values)) / len(codes)
        p_z, p_v = p.sum(dim=2, keepdim=True), p.sum(dim=1, keepdim=True)
        information = torch.special.xlogy(p, p / (p_z * p_v).clamp_min(1e-300)).sum(dim=(1, 2))
        entropy = -torch.special.xlogy(p_v[0], p_v[0]).sum()
        best, second = information.topk(2).values
        gaps.append((best - second) / entropy)
    return torch.stack(gaps).mean().item()


def psnr(x: Float[Tensor, "N ..."], true: Float[Tensor, "N ..."]) -> Float[Tensor, " N"]:
    """-10 log10 of the mean squared error of pictures in [0, 1], dB."""
    return -10 * (x - true).square().flatten(1).mean(dim=1).log10()


def mpjpe(joints: Float[Tensor, "N J 3"], true: Float[Tensor, "N J 3"]) -> Float[Tensor, " N"]:
    """Mean per-joint position error of each body, both with the first joint, the root, at the origin."""
    return ((joints - joints[:, :1]) - (true - true[:, :1])).norm(dim=-1).mean(dim=1)


def pa_mpjpe(joints: Float[Tensor, "N J 3"], true: Float[Tensor, "N J 3"]) -> Float[Tensor, " N"]:
    """MPJPE after the rotation, scale and shift that bring each body nearest to the true one (Procrustes alignment):

        min over s, R, t of |s R x + t - y|^2:    U S V^T = svd(sum_j x_j y_j^T),  R = V D U^T,  s = tr(S D) / |x|^2

    with D = diag(1, 1, det(V U^T)), so that R does not mirror.
    """
    x, y = (p.double() - p.double().mean(dim=1, keepdim=True) for p in (joints, true))
    U, S, Vh = torch.linalg.svd(x.mT @ y)
    D = torch.ones_like(S)
    D[:, 2] = torch.linalg.det(Vh.mT @ U.mT).sign()
    R = Vh.mT @ torch.diag_embed(D) @ U.mT
    scale = (S * D).sum(dim=1) / x.square().sum(dim=(1, 2)).clamp_min(1e-12)
    return (scale[:, None, None] * (x @ R.mT) - y).norm(dim=-1).mean(dim=1).to(joints.dtype)
