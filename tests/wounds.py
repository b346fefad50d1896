"""Files with small wounds, for fuzzing whatever reads them."""

import random
from collections.abc import Sequence


def mutate(data: bytes, rng: random.Random, awkward: Sequence[bytes]) -> bytes:
    """One to four wounds: a bit turned, bytes dropped, doubled or swapped, an awkward piece put in or over others."""
    out = bytearray(data)
    for _ in range(rng.randint(1, 4)):
        at = rng.randrange(len(out) + 1)
        match rng.randrange(6):
            case 0 if at < len(out):
                out[at] ^= 1 << rng.randrange(8)
            case 1:
                del out[at : at + rng.choice([1, 2, 8, 64])]
            case 2:
                out[at:at] = rng.choice(awkward)
            case 3:
                out[at:at] = out[at : at + rng.choice([1, 8, 64])]
            case 4:
                piece = rng.choice(awkward)
                out[at : at + len(piece)] = piece
            case 5:
                other = rng.randrange(len(out) + 1)
                out[at : at + 8], out[other : other + 8] = out[other : other + 8], out[at : at + 8]
    return bytes(out)
