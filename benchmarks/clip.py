"""1,000 pictures against 1,000 texts: our protocol over an open_clip model against open_clip itself, in batches and
pair by pair, on the same net with random weights; and our own clip-scenes."""

import json
import tempfile
import time
from pathlib import Path

import torch

import genlab
from benchmarks.timing import paired, ratio, table
from genlab.data import scenes
from genlab.models.vision_language import OpenCLIP

N, BATCH, PAIRS = 1_000, 100, 20
NET = {  # small enough for a laptop, as open_clip describes its models
    "embed_dim": 64,
    "vision_cfg": {"image_size": 64, "layers": 3, "width": 128, "head_width": 32, "patch_size": 8},
    "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 128, "heads": 4, "layers": 3},
}


def run(options) -> str:
    import open_clip
    from safetensors.torch import save_file

    some = scenes.sample(N, seed=0)
    image, texts = scenes.draw(some).float() / 255, scenes.captions(some)
    with tempfile.TemporaryDirectory() as folder, torch.no_grad():
        torch.manual_seed(0)
        net = open_clip.CLIP(**NET)
        config = {"model_cfg": NET, "preprocess_cfg": {"size": [64, 64]}}
        (Path(folder) / "open_clip_config.json").write_text(json.dumps(config))
        save_file(net.state_dict(), Path(folder) / "open_clip_model.safetensors")
        theirs, _ = open_clip.create_model_from_pretrained(f"local-dir:{folder}")
        tokenizer = open_clip.get_tokenizer(f"local-dir:{folder}")
        ours = OpenCLIP.from_pretrained(folder)
        mean, std = (torch.tensor(x)[:, None, None] for x in (theirs.visual.image_mean, theirs.visual.image_std))

        def features(pictures, words):
            x = torch.cat(
                [theirs.encode_image(part, normalize=True) for part in ((pictures - mean) / std).split(BATCH)]
            )
            parts = [words[i : i + BATCH] for i in range(0, len(words), BATCH)]
            return x, torch.cat([theirs.encode_text(tokenizer(part), normalize=True) for part in parts])

        def batched():
            x, y = features(image, texts)
            return x @ y.T

        def mine():
            x = torch.cat([ours.encode_image(part) for part in image.split(BATCH)])
            return x @ torch.cat([ours.encode_text(texts[i : i + BATCH]) for i in range(0, N, BATCH)]).T

        difference = (batched() - mine()).abs().max().item()
        a, b = paired(mine, batched, options.repeats)
        start = time.perf_counter()
        for i in range(PAIRS):
            x, y = features(image[i : i + 1], texts[i : i + 1])
            (x @ y.T).item()
        pair = (time.perf_counter() - start) / PAIRS
        own = genlab.from_pretrained("clip-scenes")
        start = time.perf_counter()
        torch.cat([own.encode_image(part) for part in image.split(BATCH)]) @ own.encode_text(texts).T
        seconds = time.perf_counter() - start
    rows = [
        ["our protocol, batches", f"{min(a):.2f}", ratio(b, a)],
        ["open_clip, batches", f"{min(b):.2f}", "1"],
        [f"open_clip, pair by pair (from {PAIRS} pairs)", f"{pair * N * N:,.0f}", f"1/{pair * N * N / min(b):,.0f}"],
        ["clip-scenes, ours", f"{seconds:.2f}", ""],
    ]
    made = table([f"{N:,} pictures x {N:,} texts", "seconds (best)", "times open_clip's batches"], rows)
    return f"{made}\n\nCosines of the first two differ by {difference:.0e} at most."
