"""Our VAE against pythae's of equal size, 784-512-16 and back: training steps and pictures encoded a second, and equal
losses from equal weights.

pythae is installed by hand for this alone: `pip install --no-deps pythae`.
"""

import importlib.util

import torch

from benchmarks.timing import paired, ratio, table
from genlab.data import mnist
from genlab.models.autoencoders import VAE, VAEConfig

LATENTS, HIDDEN = 16, 512  # pythae's own default net


def run(options) -> str:
    if importlib.util.find_spec("pythae") is None:
        print("vae: skipped, pythae is not installed (pip install --no-deps pythae)")
        return ""
    from pythae.data.datasets import BaseDataset
    from pythae.models import VAE as Peer
    from pythae.models import VAEConfig as PeerConfig

    torch.manual_seed(0)
    ours = VAE(VAEConfig(latents=LATENTS, widths=(HIDDEN,), activation="relu"))
    theirs = Peer(PeerConfig(input_dim=(1, 28, 28), latent_dim=LATENTS, reconstruction_loss="bce"))
    _same_weights(ours, theirs)
    image = mnist.load("train")["image"][:4_096].float() / 255

    def as_theirs(x):
        return BaseDataset(data=x, labels=torch.zeros(len(x)))[:]

    torch.manual_seed(1)
    loss, _ = ours.loss({"image": image[:256]})
    torch.manual_seed(1)
    difference = abs(loss.item() - theirs(as_theirs(image[:256])).loss.item()) / loss.item()
    rows = []
    for batch in (64, 512):
        x = image[:batch]
        steps = {"ours": _training(ours, lambda x=x: ours.loss({"image": x})[0])}
        steps["theirs"] = _training(theirs, lambda x=x: theirs(as_theirs(x)).loss)
        sides = [lambda step=step: _times(20, step) for step in steps.values()]
        mine, other = paired(*sides, options.repeats)
        rates = [f"{20 * batch / min(side):,.0f}" for side in (mine, other)]
        rows.append([f"training, batch {batch}", *rates, ratio(other, mine)])
    with torch.no_grad():
        mine, other = paired(
            lambda: _times(10, lambda: ours.encode(image).mean),
            lambda: _times(10, lambda: theirs.encoder(image).embedding),
            options.repeats,
        )
    n = 10 * len(image)
    rows.append([f"encoding {len(image):,}", f"{n / min(mine):,.0f}", f"{n / min(other):,.0f}", ratio(other, mine)])
    made = table(["VAE, 784-512-16", "ours, pictures/s (best)", "pythae", "times as fast"], rows)
    return f"{made}\n\nEqual weights and noise: losses differ by {difference:.0e} of their size."


def _same_weights(ours: VAE, theirs) -> None:
    state = theirs.state_dict()
    with torch.no_grad():
        layers = {"encoder.layers.0.0": ours.encoder[1], "decoder.layers.0.0": ours.decoder[0]}
        layers["decoder.layers.1.0"] = ours.decoder[2]
        for name, mine in layers.items():
            mine.weight.copy_(state[f"{name}.weight"])
            mine.bias.copy_(state[f"{name}.bias"])
        heads = ("encoder.embedding", "encoder.log_var")
        ours.encoder[3].weight.copy_(torch.cat([state[f"{name}.weight"] for name in heads]))
        ours.encoder[3].bias.copy_(torch.cat([state[f"{name}.bias"] for name in heads]))


def _training(model, loss):
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-4)

    def step():
        optimizer.zero_grad()
        loss().backward()
        optimizer.step()

    return step


def _times(n: int, act) -> None:
    for _ in range(n):
        act()
