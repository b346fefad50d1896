"""How recipes measure: a generator of labelled pictures by the judge's reading of them and by the judge's features, a
classifier by its errors, a diffusion model by its bound as well."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from statistics import stdev

import torch
from torch import Tensor

from genlab import metrics
from genlab.core import Model, from_pretrained
from genlab.figures import Metric
from genlab.names import GenlabError

SEEDS = 3


@dataclass
class Judge:
    """A classifier, and what it sees in the real test set that generated pictures are held against."""

    name: str
    real: dict[str, Tensor]
    dataset: str
    model: Model = field(init=False)
    features: Tensor = field(init=False)

    def __post_init__(self):
        self.prepare()
        image = self.real["image"].float() / 255
        self.features = self.see(image)[0]

    def prepare(self) -> None:
        """Get ready to see."""
        self.model = from_pretrained(self.name, dtype=torch.float32)

    @torch.no_grad()
    def see(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Features and logits of pictures in [0, 1]."""
        features = torch.cat([self.model.features(part) for part in image.split(500)])
        return features, self.model.head(features)

    def figures(
        self, sample: Callable[[Tensor, torch.Generator], Tensor], samples: int, settings: dict, headline: bool = False
    ) -> list[Metric]:
        """Everything the judge says of `samples` pictures, every class equally often, drawn under SEEDS seeds. A value
        is that of all pictures together, its spread the standard deviation over the seeds."""
        if samples < 10 * SEEDS:
            raise GenlabError(f"at least {10 * SEEDS} samples: each class once under each of {SEEDS} seeds")
        images, labels = [], []
        for seed in range(SEEDS):
            label = torch.arange(seed * samples // SEEDS, (seed + 1) * samples // SEEDS) % 10
            images.append(torch.cat(_draw(sample, label.split(64), seed)))
            labels.append(label)
        parts = [self._compare(*pair) for pair in zip(images, labels, strict=True)]
        whole = self._compare(torch.cat(images), torch.cat(labels))
        better = {"fid": "lower", "kid": "lower", "diversity": ""}
        return [
            Metric(
                name=name,
                value=value,
                spread=stdev(part[name] for part in parts),
                better=better.get(name, "higher"),
                samples=samples,
                seeds=SEEDS,
                dataset=self.dataset,
                split="test",
                settings=settings,
                headline=headline and name in ("agreement", "fid", "diversity"),
                note=NOTES.get(name, "").format(judge=self.name),
            )
            for name, value in whole.items()
        ]

    def _compare(self, image: Tensor, label: Tensor) -> dict[str, float]:
        features, logits = self.see(image)
        near = metrics.precision_recall(self.features, features)
        return {
            "agreement": metrics.agreement(logits, label),
            "fid": metrics.frechet_distance(self.features, features),
            "kid": metrics.kernel_distance(self.features, features)[0],
            "precision": near["precision"],
            "recall": near["recall"],
            "diversity": metrics.diversity(image, label),
        }


def _draw(sample: Callable[[Tensor, torch.Generator], Tensor], labels: tuple[Tensor, ...], seed: int) -> list[Tensor]:
    """A batch of pictures for each part of the labels, on every core: one thread a batch wastes less than two threads
    on each, and each batch has its own seed, so that the pictures do not depend on the number of cores."""

    def batch(i: int) -> Tensor:
        return sample(labels[i], torch.Generator().manual_seed(1_000_003 * seed + i))

    cores = torch.get_num_threads()
    with ThreadPoolExecutor(cores, initializer=torch.set_num_threads, initargs=(1,)) as pool:
        images = list(pool.map(batch, range(len(labels))))
    torch.set_num_threads(cores)  # the setting is the process's where torch was built without OpenMP
    return images


NOTES = {
    "agreement": "share of pictures in which the judge, {judge}, reads the class that was asked for",
    "fid": "on features of {judge}, against the test set; not comparable with Inception's FID",
    "kid": "on features of {judge}",
    "precision": "share of pictures that lie among real ones (k = 5, features of {judge})",
    "recall": "share of real pictures that lie among generated ones (k = 5, features of {judge})",
    "diversity": "variance of a pixel among pictures of one class, averaged over pixels and classes",
}


def classifier_error(
    predict: Callable[[Tensor], Tensor],
    data: dict[str, Tensor],
    dataset: str,
    settings: dict | None = None,
    headline: bool = True,
) -> list[Metric]:
    """Test error of pictures' logits in percent, with the standard error of a share of that many examples."""
    n = len(data["label"])
    error = metrics.error_rate(predict, data["image"], data["label"])
    test_error = Metric(
        name="test_error",
        value=100 * error,
        spread=100 * (error * (1 - error) / n) ** 0.5,
        unit="%",
        better="lower",
        samples=n,
        dataset=dataset,
        split="test",
        settings=settings or {},
        headline=headline,
        note="spread: the standard error of a share; one training run",
    )
    return [test_error]


def bits_per_dim(model: Model, test: dict[str, Tensor], dataset: str, samples: int | None) -> Metric:
    """The variational bound on the test set, 20 stratified terms of its sum for each picture."""
    n = min(samples or len(test["label"]), len(test["label"]))
    generator = torch.Generator().manual_seed(0)
    image, label = test["image"][:n].float() / 255, test["label"][:n]
    bits = torch.cat(
        [
            metrics.bits_per_dim(model.variational_bound(x, y, draws=20, generator=generator)["total"], x[0].numel())
            for x, y in zip(image.split(250), label.split(250), strict=True)
        ]
    )
    return Metric(
        name="bits_per_dim",
        value=bits.mean().item(),
        spread=(bits.std() / n**0.5).item(),
        better="lower",
        samples=n,
        dataset=dataset,
        split="test",
        headline=True,
        note="upper bound on -log2 p(x | y) of 8-bit pictures; spread: standard error of the mean",
    )
