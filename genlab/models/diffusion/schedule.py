"""How noise grows with time.

    q(x_t | x_{t-1}) = N(sqrt(1 - beta_t) x_{t-1}, beta_t I),   t = 1 .. T
    q(x_t | x_0)     = N(alpha_t x_0, sigma_t^2 I),   alpha_t^2 = prod_{i<=t} (1 - beta_i),   sigma_t^2 = 1 - alpha_t^2

The source writes alpha-bar_t for our alpha_t^2. Index 0 of every table is clean data: alpha_0 = 1, sigma_0 = 0.
"""

import math

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn


class NoiseSchedule(nn.Module):
    """Tables of beta, alpha and sigma at t = 0 .. T, in float32 whatever the network's dtype."""

    def __init__(self, name: str, timesteps: int):
        super().__init__()
        self.timesteps = timesteps
        beta = torch.cat([torch.zeros(1, dtype=torch.float64), BETAS[name](timesteps)])
        alpha_squared = torch.cumprod(1 - beta, dim=0)
        self._tables = {
            "beta": beta.float(),
            "alpha": alpha_squared.sqrt().float(),
            "sigma": (1 - alpha_squared).sqrt().float(),
        }

    # Plain attributes and not buffers: they follow the data's device, never its dtype, and are not saved.
    @property
    def beta(self) -> Float[Tensor, " T1"]:
        return self._tables["beta"]

    @property
    def alpha(self) -> Float[Tensor, " T1"]:
        return self._tables["alpha"]

    @property
    def sigma(self) -> Float[Tensor, " T1"]:
        return self._tables["sigma"]

    def _apply(self, move, recurse=True):
        device = move(torch.empty(0)).device
        self._tables = {key: table.to(device) for key, table in self._tables.items()}
        return super()._apply(move, recurse)

    def at(self, t: Int[Tensor, " B"]) -> tuple[Float[Tensor, "B 1 1 1"], Float[Tensor, "B 1 1 1"]]:
        """alpha_t and sigma_t, shaped to multiply pictures."""
        return self.alpha[t][:, None, None, None], self.sigma[t][:, None, None, None]

    def random_times(self, n: int) -> Int[Tensor, " B"]:
        """t for training, uniform over 1..T, on the device of the tables; one lies in each of n equal slices, in random
        order: the same distribution as n independent draws, less variance of their mean."""
        device = self.alpha.device
        u = (torch.randperm(n, device=device) + torch.rand(n, device=device)) / n
        return 1 + (u * self.timesteps).long().clamp(max=self.timesteps - 1)


def linear_betas(timesteps: int) -> Float[Tensor, " T"]:
    """beta from 1e-4 to 0.02 in equal steps (Ho et al., 2020), as laid out for T = 1000."""
    return torch.linspace(1e-4, 0.02, timesteps, dtype=torch.float64)


def cosine_betas(timesteps: int) -> Float[Tensor, " T"]:
    """alpha_t^2 ~ cos^2((t/T + 0.008) / 1.008 pi / 2), beta at most 0.999 (Nichol & Dhariwal, 2021)."""
    t = torch.linspace(0, 1, timesteps + 1, dtype=torch.float64)
    f = torch.cos((t + 0.008) / 1.008 * math.pi / 2) ** 2
    return (1 - f[1:] / f[:-1]).clamp(max=0.999)


BETAS = {"linear": linear_betas, "cosine": cosine_betas}


def check_schedule(name: str, timesteps: int) -> None:
    """Raise ValueError for a schedule that does not exist."""
    if name not in BETAS:
        raise ValueError(f"schedule is one of {', '.join(BETAS)}, not {name!r}")
    if not 2 <= timesteps <= 100_000:
        raise ValueError(f"timesteps lies in 2..100000, not {timesteps}")
