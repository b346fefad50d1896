"""The U-Net: shapes at every depth, attention against a plain softmax, and that conditions reach every pixel."""

import pytest
import torch

from genlab.nn.embeddings import sinusoidal
from genlab.nn.unet import SelfAttention, UNet


@pytest.mark.parametrize("size,widths,patch,blocks", [(28, (8, 16), 2, 1), (32, (8, 16, 24), 1, 2), (8, (8,), 4, 1)])
def test_keeps_the_shape(size, widths, patch, blocks):
    net = UNet(3, widths, 16, blocks, patch, attention=(len(widths) - 1,))
    assert net(torch.randn(2, 3, size, size), torch.randn(2, 16)).shape == (2, 3, size, size)


def test_starts_at_zero_and_every_pixel_sees_every_other():
    torch.manual_seed(0)
    net = UNet(1, (8, 16), 16, patch=2)
    x, e = torch.randn(1, 1, 16, 16, requires_grad=True), torch.randn(1, 16, requires_grad=True)
    assert net(x, e).abs().max() == 0
    torch.nn.init.normal_(net.head.weight)
    seen = torch.autograd.grad(net(x, e)[0, 0, 0, 0], [x, e])
    assert (seen[0] != 0).all() and (seen[1] != 0).all()


def test_attention_is_softmax_attention():
    layer, x = SelfAttention(16, heads=2).double(), torch.randn(2, 16, 3, 3, dtype=torch.float64)
    q, k, v = layer.qkv(layer.norm(x)).reshape(2, 3, 2, 8, 9).unbind(1)
    weights = torch.einsum("bhdi,bhdj->bhij", q, k).div(8**0.5).softmax(-1)
    by_hand = x + layer.out(torch.einsum("bhij,bhdj->bhdi", weights, v).reshape(2, 16, 3, 3))
    assert torch.allclose(layer(x), by_hand, atol=1e-10)


def test_sinusoidal_tells_times_apart():
    e = sinusoidal(torch.arange(1001), 64)
    distance = torch.cdist(e, e) + torch.eye(1001) * 10
    assert distance.min() > 0.1
    assert torch.allclose(e[3, :1], torch.sin(torch.tensor([3.0])), atol=1e-6)
