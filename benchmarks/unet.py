"""Our U-Net against diffusers.UNet2DModel of equal size: images a second, and what each has learned after equal time.

Both stand in the same DDPM (same data, noise, labels, v-prediction, optimiser, average, bfloat16), and train in turns
of a few seconds, so that only the network differs and a busy machine slows both.
"""

from statistics import median

import torch

import genlab
from benchmarks.sides import Side, in_turns
from benchmarks.timing import paired, ratio, table
from genlab.data import mnist
from genlab.metrics import agreement, frechet_distance
from genlab.models.diffusion import DDPM
from genlab.recipes.ddpm_mnist import RECIPE
from genlab.train import validate

# The layout of diffusers' own examples, thinned to our number of parameters.
PEER = {
    "sample_size": 28,
    "in_channels": 1,
    "out_channels": 1,
    "layers_per_block": 1,
    "block_out_channels": (32, 64, 64),
    "down_block_types": ("DownBlock2D", "DownBlock2D", "AttnDownBlock2D"),
    "up_block_types": ("AttnUpBlock2D", "UpBlock2D", "UpBlock2D"),
    "norm_num_groups": 8,
}


class Peer(DDPM):
    """A DDPM whose network is diffusers' own, which has its own embeddings of time and class."""

    def __init__(self, config):
        from diffusers import UNet2DModel

        super().__init__(config)
        del self.unet, self.time, self.label
        self.net = UNet2DModel(**PEER, num_class_embeds=config.classes + 1)

    def output(self, x_t, t, label=None):
        label = torch.full_like(t, self.null_label) if label is None else label
        return self.net(x_t.to(self.dtype), t, label).sample.float()


def side(cls: type[DDPM], data: dict) -> Side:
    torch.manual_seed(0)
    return Side(cls(RECIPE.config), RECIPE, data)


def run(options) -> str:
    splits, test = mnist.splits(), mnist.load("test")
    judge = genlab.from_pretrained("cnn-mnist")
    sides = {"ours": side(DDPM, splits["train"]), "UNet2DModel": side(Peer, splits["train"])}

    x, t, y = torch.randn(128, 1, 28, 28), torch.randint(1, 1000, (128,)), torch.arange(128) % 10
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        forward = paired(*(lambda m=one.model: m.output(x, t, y) for one in sides.values()), options.repeats)
    update = paired(*(one.update for one in sides.values()), options.repeats)

    in_turns(list(sides.values()), options.seconds)

    label = torch.arange(2_000) % 10
    real = test["image"].float() / 255
    rows = []
    for name, one in sides.items():
        model = one.average
        generator = torch.Generator().manual_seed(0)
        with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
            knobs = {"guidance": 1.0, "steps": 20, "sampler": "dpm++", "generator": generator}
            image = torch.cat([model.sample(len(part), label=part, **knobs) for part in label.split(250)])
        with torch.no_grad():
            see = [torch.cat([judge.features(p) for p in pictures.split(500)]) for pictures in (real, image)]
            right = agreement(judge.head(see[1]), label)
        mse = validate(RECIPE, model, splits["valid"])["noise_mse"]
        rows.append(
            [
                name,
                f"{sum(p.numel() for p in model.parameters()):,}",
                f"{128 / median(forward[0] if name == 'ours' else forward[1]):.0f}",
                f"{128 / median(update[0] if name == 'ours' else update[1]):.0f}",
                f"{one.step:,}",
                f"{mse:.4f}",
                f"{frechet_distance(*see):.2f}",
                f"{100 * right:.1f} %",
            ]
        )
    head = ["network", "parameters", "forward/s", "training/s", f"steps in {options.seconds:.0f} s"]
    head += ["validation noise MSE", "FID (judge, 2,000 pictures, rho = 1)", "judge agrees"]
    note = f"ours is faster by {ratio(forward[1], forward[0])} forward and {ratio(update[1], update[0])} in training."
    return table(head, rows) + f"\n\nPer picture {note}"
