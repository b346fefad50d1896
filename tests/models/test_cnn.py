"""CNN: the contract, and a convolution worked by hand."""

import torch
from contract import keeps_contract

from genlab.models.classic import CNN, CNNConfig

TINY = CNNConfig(image_size=8, widths=(8, 16), features=16, dropout=0.1)


def test_contract(tmp_path):
    batch = {"image": torch.rand(32, 1, 8, 8), "label": torch.arange(32) % 10}
    keeps_contract(CNN(TINY), batch, tmp_path)


def test_law_is_what_the_first_layer_computes():
    """h_o(i, j) = sum_{u, v} w_o(u, v) x(i + u, j + v), zeros outside: correlation, by four loops."""
    cnn, x = CNN(TINY).eval(), torch.rand(1, 8, 8)
    w = cnn.convolutions[0].weight[3, 0]
    by_hand = torch.zeros(8, 8)
    for i in range(8):
        for j in range(8):
            for u in (-1, 0, 1):
                for v in (-1, 0, 1):
                    if 0 <= i + u < 8 and 0 <= j + v < 8:
                        by_hand[i, j] += w[u + 1, v + 1] * x[0, i + u, j + v]
    assert torch.allclose(cnn.convolutions[0](x[None])[0, 3], by_hand, atol=1e-6)


def test_logits_are_the_head_of_the_features():
    cnn, x = CNN(TINY).eval(), torch.rand(3, 1, 8, 8)
    assert torch.equal(cnn(x), cnn.head(cnn.features(x)))


def test_pretrained_reads_mnist(mnist):
    """The card's promise: at most 0.5 % errors on the test set."""
    from genlab.metrics import error_rate

    cnn = CNN.from_pretrained("cnn-mnist")
    assert error_rate(cnn, mnist["image"], mnist["label"]) <= 0.005
