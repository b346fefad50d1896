"""mlp-mnist: what a plain network makes of digits, without convolutions or augmentation."""

from genlab.data import mnist
from genlab.evaluate import Job
from genlab.models.classic import MLP, MLPConfig
from genlab.recipes._digits import golden_logits, surest_and_least
from genlab.recipes._judge import classifier_error
from genlab.train import Recipe


def evaluate(model, samples=None):
    yield Job("test error", lambda: classifier_error(model, mnist.load("test"), mnist.HUB_ID))


RECIPE = Recipe(
    name="mlp-mnist",
    summary="Two hidden layers that read handwritten digits: the CNN's plain sibling.",
    model=MLP,
    config=MLPConfig(widths=(512, 512)),
    data=mnist.splits,
    steps=10_000,  # 23 passes
    batch_size=128,
    lr=1e-3,
    weight_decay=1e-2,
    ema=0.999,
    validate_every=2_000,
    evaluate=evaluate,
    golden=golden_logits,
    samples=surest_and_least,
    dataset=mnist.HUB_ID,
    intended_use="A baseline beside cnn-mnist: same data, no convolutions, no augmentation. Teaching.",
    limits="Has no idea of neighbouring pixels: shift a digit by three of them and it errs often.",
    snippet="""import genlab
import torch

mlp = genlab.from_pretrained("mlp-mnist")
mlp(torch.rand(1, 1, 28, 28)).softmax(dim=1)""",
)
