"""cnn-mnist: the judge of generated digits, and the eye of their FID."""

from genlab.data import mnist
from genlab.data.augment import random_affine
from genlab.evaluate import Job
from genlab.models.classic import CNN, CNNConfig
from genlab.recipes._digits import golden_logits, surest_and_least
from genlab.recipes._judge import classifier_error
from genlab.train import Recipe


def augment(batch):
    return batch | {"image": random_affine(batch["image"], degrees=10, scale=0.1, shift=0.08, shear=0.1)}


def evaluate(model, samples=None):
    yield Job("test error", lambda: classifier_error(model, mnist.load("test"), mnist.HUB_ID))


RECIPE = Recipe(
    name="cnn-mnist",
    summary="A small convolutional network that reads handwritten digits; it judges what the generators draw.",
    model=CNN,
    config=CNNConfig(),
    data=mnist.splits,
    augment=augment,
    steps=6_000,  # 14 passes over the data
    batch_size=128,
    lr=2e-3,
    weight_decay=1e-2,
    ema=0.998,  # averages the last 500 steps or so, about one pass
    precision="bf16",
    evaluate=evaluate,
    golden=golden_logits,
    samples=surest_and_least,
    dataset=mnist.HUB_ID,
    intended_use="Judging generated digits (agreement with the label asked for) and, through its last hidden layer, "
    "measuring FID, KID, precision and recall of generators of MNIST. Teaching.",
    limits="Knows nothing but digits centred as in MNIST: on anything else it names one of the ten with confidence. "
    "A generator tuned against it would learn to please it; use another judge then.",
    snippet="""import genlab

cnn = genlab.from_pretrained("cnn-mnist")
digits = genlab.from_pretrained("ddpm-mnist").sample(8, label=3, guidance=1.0)
cnn(digits).softmax(dim=1).argmax(dim=1)  # tensor([3, 3, 3, 3, 3, 3, 3, 3])""",
)
