"""What recipes on digits keep beside their figures: golden outputs, and pictures."""

import torch
from torch import Tensor

from genlab.core import Model
from genlab.data import mnist


def golden_noise(model: Model) -> dict[str, Tensor]:
    """The noise that a denoiser sees: early and late, told a class and (10) told none."""
    size, generator = model.config.image_size, torch.Generator().manual_seed(0)
    x_t, t = torch.randn(4, 1, size, size, generator=generator), torch.tensor([1, 250, 500, 1000])
    return {"x_t": x_t, "t": t, "eps": model.noise(x_t, t, torch.tensor([0, 3, 9, 10]))}


def golden_logits(model: Model) -> dict[str, Tensor]:
    """What a classifier says of four pictures of noise."""
    image = torch.rand(4, 1, 28, 28, generator=torch.Generator().manual_seed(0))
    return {"image": image, "logits": model(image)}


def classes_by_rho(model: Model) -> Tensor:
    """Ten columns of classes; rows of rho 0, 1, 4 from the same noise."""
    rows = []
    for rho in (0.0, 1.0, 4.0):
        generator = torch.Generator().manual_seed(4)
        rows.append(model.sample(10, label=list(range(10)), guidance=rho, steps=50, generator=generator))
    return torch.stack(rows)


def four_of_each(model: Model) -> Tensor:
    """Four of each class, in ten columns."""
    images = model.sample(40, label=[i % 10 for i in range(40)], steps=20, generator=torch.Generator().manual_seed(0))
    return images.unflatten(0, (4, 10))


@torch.no_grad()
def surest_and_least(model: Model) -> Tensor:
    """Test pictures of MNIST: of each class the one that this classifier is surest of (first row), and the one to whose
    class it gives the least probability, misread if it misreads any (second row)."""
    test = mnist.load("test")
    image, label = test["image"].float() / 255, test["label"]
    logits = torch.cat([model(part) for part in image.split(500)]).double()  # in float32 hundreds are equally sure
    log_p = logits.log_softmax(dim=1).gather(1, label[:, None])[:, 0]
    members = [torch.nonzero(label == y)[:, 0] for y in range(10)]
    surest, least = [i[log_p[i].argmax()] for i in members], [i[log_p[i].argmin()] for i in members]
    return torch.stack([image[torch.stack(surest)], image[torch.stack(least)]])
