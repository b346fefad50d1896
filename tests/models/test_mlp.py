"""MLP: the contract, and the forward pass and gradient by hand."""

import pytest
import torch
from contract import keeps_contract

from genlab.models.classic import MLP, MLPConfig

TINY = MLPConfig(inputs=16, widths=(12, 8), dropout=0.1, dropout_input=0.0)


def test_contract(tmp_path):
    keeps_contract(MLP(TINY), {"image": torch.rand(32, 1, 4, 4), "label": torch.arange(32) % 10}, tmp_path)


@pytest.mark.parametrize("activation", ["relu", "tanh", "sigmoid", "gelu"])
def test_forward_and_gradient_by_hand(activation):
    """h_k = sigma(W_k h_{k-1} + b_k); the gradient by the chain rule, layer by layer, against autograd in float64."""
    mlp = MLP(MLPConfig(inputs=16, widths=(12, 8), activation=activation)).double().eval()
    sigma = {"relu": torch.relu, "tanh": torch.tanh, "sigmoid": torch.sigmoid, "gelu": torch.nn.functional.gelu}
    x, label = torch.rand(5, 16, dtype=torch.float64), torch.arange(5)
    linear = [layer for layer in mlp.layers if isinstance(layer, torch.nn.Linear)]

    h, kept = x, []
    for layer in linear[:-1]:
        z = h @ layer.weight.T + layer.bias
        kept.append((h, z))
        h = sigma[activation](z)
    logits = h @ linear[-1].weight.T + linear[-1].bias
    assert torch.allclose(mlp(x), logits, atol=1e-12)

    torch.nn.functional.cross_entropy(mlp(x), label).backward()
    delta = (logits.softmax(1) - torch.nn.functional.one_hot(label, 10)) / 5
    assert torch.allclose(linear[-1].weight.grad, delta.T @ h, atol=1e-10)
    for layer, above, (h_in, z) in zip(linear[-2::-1], linear[:0:-1], kept[::-1], strict=True):
        z = z.detach().requires_grad_()
        slope = torch.autograd.grad(sigma[activation](z).sum(), z)[0]
        delta = (delta @ above.weight) * slope
        assert torch.allclose(layer.weight.grad, delta.T @ h_in, atol=1e-10)
        assert torch.allclose(layer.bias.grad, delta.sum(0), atol=1e-10)


def test_pretrained_reads_mnist(mnist):
    """The syllabus' bar: about 1.6 % errors or better, two hidden layers, no augmentation."""
    from genlab.metrics import error_rate

    assert error_rate(MLP.from_pretrained("mlp-mnist"), mnist["image"], mnist["label"]) <= 0.016
