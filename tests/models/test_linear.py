"""The linear autoencoder is PCA: against scikit-learn, in closed form and by descent."""

import pytest
import torch
from contract import keeps_contract

from genlab.models.autoencoders import LinearAutoencoder, LinearAutoencoderConfig

TINY = LinearAutoencoderConfig(image_size=8, latents=3)


@pytest.fixture(scope="module")
def digits():
    from genlab.data import digits

    return digits.load("train")["image"].float() / 255


def angle(a, b) -> float:
    """The largest principal angle between two spans of orthonormal rows, in radians."""
    return float(torch.linalg.matrix_norm(b - b @ a.T @ a, 2).clamp(max=1).asin())


def test_contract(tmp_path):
    keeps_contract(LinearAutoencoder(TINY), {"image": torch.rand(32, 1, 8, 8)}, tmp_path)


def test_fit_is_pca(digits):
    decomposition = pytest.importorskip("sklearn.decomposition")
    size = digits.shape[-1]
    model = LinearAutoencoder(LinearAutoencoderConfig(image_size=size, latents=5)).fit(digits)
    pca = decomposition.PCA(5, svd_solver="full").fit(digits.flatten(1).double().numpy())
    components = torch.from_numpy(pca.components_).float()
    assert angle(components, model.weight.detach()) < 1e-3
    codes = torch.from_numpy(pca.transform(digits[:50].flatten(1).double().numpy())).float()
    with torch.no_grad():
        assert torch.allclose(model.encode(digits[:50]).abs(), codes.abs(), atol=1e-4), "each up to its sign"
        back = torch.from_numpy(pca.inverse_transform(codes.double().numpy())).float()
        assert torch.allclose(model(digits[:50]).flatten(1), back, atol=1e-4)


def test_descent_finds_the_same_subspace(digits):
    """From random weights, with no more than the loss: below 1e-3 radians from PCA's span."""
    config = LinearAutoencoderConfig(image_size=digits.shape[-1], latents=2)
    closed, learned = LinearAutoencoder(config).fit(digits), LinearAutoencoder(config)
    optimizer = torch.optim.LBFGS(
        learned.parameters(), max_iter=400, tolerance_change=1e-12, line_search_fn="strong_wolfe"
    )

    def closure():
        optimizer.zero_grad()
        loss = learned.loss({"image": digits})[0]
        loss.backward()
        return loss

    optimizer.step(closure)
    span = torch.linalg.qr(learned.weight.detach().T)[0].T
    assert angle(closed.weight.detach(), span) < 1e-3
    gram = learned.weight @ learned.weight.T
    assert torch.allclose(gram, torch.eye(2), atol=1e-3), "and its rows are orthonormal, though nobody asked"


def test_bad_wishes():
    with pytest.raises(ValueError, match="1..64"):
        LinearAutoencoderConfig(image_size=8, latents=65)
    with pytest.raises(ValueError, match="two pictures"):
        LinearAutoencoder(TINY).fit(torch.rand(1, 1, 8, 8))
    with pytest.raises(ValueError, match=r"codes are \(B, 3\), not \(1, 9\)"):
        LinearAutoencoder(TINY).decode(torch.zeros(1, 9))


def test_pretrained_is_beaten_by_no_other_plane(mnist):
    """pca-mnist leaves what PCA leaves: the variance beyond its two directions, and no other plane leaves less."""
    model = LinearAutoencoder.from_pretrained("pca-mnist")
    image = mnist["image"].float() / 255
    with torch.no_grad():
        error = (model(image) - image).square().mean()
        x = image.flatten(1) - model.mean
        turned = torch.linalg.qr(model.weight.T + 0.02 * torch.randn(784, 2))[0].T
        other = (x @ turned.T @ turned - x).square().mean()
    assert error < other and 0.05 < error < 0.06
