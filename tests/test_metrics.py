"""The figures of merit against closed forms, brute force and the definitions."""

import math

import pytest
import torch

from genlab import metrics


def test_frechet_distance_of_gaussians():
    """||m||^2 + sum (s_i - 1)^2 for N(0, I) against N(m, diag s^2)."""
    torch.manual_seed(0)
    m, s = torch.tensor([1.0, 0.0, -0.5]), torch.tensor([2.0, 1.0, 0.5])
    real, fake = torch.randn(100_000, 3), m + s * torch.randn(100_000, 3)
    expected = m.square().sum() + (s - 1).square().sum()
    assert metrics.frechet_distance(real, fake) == pytest.approx(expected.item(), rel=0.02)
    assert metrics.frechet_distance(real, real) == pytest.approx(0, abs=1e-3)


def test_kernel_distance_is_the_unbiased_estimate():
    """On one subset holding everything, against the double sums of its definition."""
    torch.manual_seed(0)
    x, y = torch.randn(50, 4), torch.randn(50, 4) + 0.5
    ours, _ = metrics.kernel_distance(x, y, subsets=1, subset_size=50)

    def kernel(a, b):
        return (a @ b.T / 4 + 1) ** 3

    off = 1 - torch.eye(50)
    within = [(kernel(z, z) * off).sum() / (50 * 49) for z in (x, y)]
    assert ours == pytest.approx((sum(within) - 2 * kernel(x, y).mean()).item(), rel=1e-3)


def test_precision_and_recall_see_what_is_missing():
    """Fakes on one of two clusters: all are real enough, half of the real ones are not covered. And the other way."""
    torch.manual_seed(0)
    left, right = torch.randn(200, 2), torch.randn(200, 2) + 50
    both = torch.cat([left, right])
    half = metrics.precision_recall(both, left + 0.01 * torch.randn(200, 2))
    assert half["precision"] > 0.9 and half["recall"] == pytest.approx(0.5, abs=0.05)
    extra = metrics.precision_recall(left, both)
    assert extra["recall"] > 0.9 and extra["precision"] == pytest.approx(0.5, abs=0.05)


def test_agreement_counts():
    logits = torch.eye(4)[torch.tensor([0, 1, 2, 3])]
    assert metrics.agreement(logits, torch.tensor([0, 1, 2, 0])) == 0.75


def test_diversity_is_the_variance_within_classes():
    x, label = torch.tensor([[0.0], [2.0], [5.0], [5.0], [9.0]]), torch.tensor([0, 0, 1, 1, 2])
    assert metrics.diversity(x, label) == pytest.approx((2.0 + 0.0) / 2)  # class 2 has one member, and no variance
    assert metrics.diversity(x[-1:], label[-1:]) == 0.0


def test_error_rate_reads_bytes_as_pictures():
    images, label = torch.tensor([0, 255, 255], dtype=torch.uint8)[:, None, None, None], torch.tensor([0, 1, 0])

    def predict(x):
        return torch.cat([1 - x, x], dim=1).flatten(1)

    assert metrics.error_rate(predict, images, label, batch_size=2) == pytest.approx(1 / 3)


def test_bits_per_dim_of_uniform_bytes():
    """A byte that can be anything costs eight bits."""
    assert metrics.bits_per_dim(torch.tensor([784 * math.log(256)]), 784).item() == pytest.approx(8)


def test_mpjpe_puts_root_on_root():
    true = torch.randn(4, 24, 3)
    assert torch.allclose(metrics.mpjpe(true + torch.randn(4, 1, 3), true), torch.zeros(4), atol=1e-6)
    off = true.clone()
    off[:, 5, 1] += 0.24
    assert torch.allclose(metrics.mpjpe(off, true), torch.full((4,), 0.01), atol=1e-6)


def test_pa_mpjpe_forgives_rotation_scale_and_shift_but_no_mirror():
    true = torch.randn(4, 24, 3)
    R = torch.linalg.qr(torch.randn(4, 3, 3))[0]
    R = R * torch.linalg.det(R)[:, None, None]
    assert torch.allclose(metrics.pa_mpjpe(0.7 * true @ R.mT + torch.randn(4, 1, 3), true), torch.zeros(4), atol=1e-5)
    assert (metrics.pa_mpjpe(true * torch.tensor([-1.0, 1, 1]), true) > 0.1).all()


def test_pa_mpjpe_finds_the_best_alignment():
    """No small change of the aligned body brings its sum of squares down: the residual is orthogonal to all of them."""
    scipy = pytest.importorskip("scipy.spatial")
    x, y = torch.randn(1, 24, 3, dtype=torch.float64), torch.randn(1, 24, 3, dtype=torch.float64)
    a, b = (p[0] - p[0].mean(0) for p in (x, y))
    R, _ = scipy.transform.Rotation.align_vectors(b.numpy(), a.numpy())
    turned = torch.from_numpy(R.apply(a.numpy()))
    scale = (turned * b).sum() / a.square().sum()
    assert torch.allclose(metrics.pa_mpjpe(x, y)[0], (scale * turned - b).norm(dim=-1).mean(), atol=1e-6)
