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


def test_clip_score_by_hand():
    image, text = (
        torch.tensor([[3.0, 4.0], [1.0, 0.0], [2.0, 0.0]]),
        torch.tensor([[6.0, 8.0], [0.0, 5.0], [-1.0, 0.0]]),
    )
    assert torch.allclose(metrics.clip_score(image, text), torch.tensor([2.5, 0.0, 0.0]))


def test_recall_counts_rows_whose_right_text_is_among_the_first():
    scores = torch.tensor([[0.9, 0.1, 0.3], [0.8, 0.7, 0.1], [0.5, 0.5, 0.2], [0.2, 0.9, 0.8]])
    right = torch.tensor([[1, 0, 0], [0, 1, 0], [1, 0, 0], [0, 1, 1]]).bool()
    assert metrics.recall_at(scores, right) == 0.5, "a tie is no success; one of two right ones is enough"
    assert metrics.recall_at(scores, right, 2) == 1.0
    assert metrics.recall_at(scores, torch.zeros(4, 3).bool(), 3) == 0.0, "where nothing is right nothing is found"
    with pytest.raises(ValueError, match="1..3"):
        metrics.recall_at(scores, right, 4)


def test_r_precision_against_loops_and_chance():
    torch.manual_seed(0)
    text = torch.nn.functional.normalize(torch.randn(200, 16), dim=1)
    assert metrics.r_precision(text, text) == 1.0
    assert metrics.r_precision(torch.randn(200, 16), text, others=9) == pytest.approx(0.1, abs=0.06)
    near = text + 0.5 * torch.randn(200, 16)
    every = torch.nn.functional.normalize(near, dim=1) @ text.T
    by_hand = (every.argmax(dim=1) == torch.arange(200)).float().mean().item()
    assert metrics.r_precision(near, text, others=199) == pytest.approx(by_hand)
    with pytest.raises(ValueError, match="99 other texts"):
        metrics.r_precision(text[:50], text[:50])


def test_the_gap_is_one_for_a_code_that_is_the_factors_and_none_for_a_mixed_one():
    torch.manual_seed(0)
    factors = torch.stack([torch.randint(4, (40_000,)), torch.randint(6, (40_000,))], dim=1)
    own = factors.float() + 0.01 * torch.rand(40_000, 2)
    assert metrics.mutual_information_gap(torch.cat([own, torch.randn(40_000, 3)], dim=1), factors) > 0.99
    twice = torch.cat([own, own], dim=1)
    assert metrics.mutual_information_gap(twice, factors) < 0.01, "what two numbers say alike is no gap"
    assert metrics.mutual_information_gap(torch.randn(40_000, 5), factors) < 0.01
    sklearn = pytest.importorskip("sklearn.metrics")
    codes = torch.cat([own + torch.randn(40_000, 2), torch.randn(40_000, 1)], dim=1)
    cut = [torch.bucketize(z, torch.linspace(z.min(), z.max(), 21)[1:-1], right=True) for z in codes.T.contiguous()]
    gaps = []
    for v in factors.T:
        information = sorted((sklearn.mutual_info_score(v, z) for z in cut), reverse=True)
        gaps.append((information[0] - information[1]) / sklearn.mutual_info_score(v, v))
    assert metrics.mutual_information_gap(codes, factors) == pytest.approx(sum(gaps) / 2, abs=2e-3)
    with pytest.raises(ValueError, match="entropy"):
        metrics.mutual_information_gap(codes, torch.zeros(40_000, 1, dtype=torch.long))
    with pytest.raises(ValueError, match="two numbers"):
        metrics.mutual_information_gap(codes[:, :1], factors)


def test_psnr_of_a_known_error():
    true = torch.rand(3, 3, 8, 8)
    assert torch.allclose(metrics.psnr(true + 0.1, true), torch.full((3,), 20.0), atol=1e-3)
