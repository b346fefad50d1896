"""What a denoiser is, and what its guidances share: each takes any denoiser and is one.

A denoiser has `noise(x_t, t, label) -> eps`, a `schedule` and a `null_label`; nothing else is asked of it.
"""

import math
import numbers
from typing import Protocol, runtime_checkable

from jaxtyping import Float, Int
from torch import Tensor

from genlab.models.diffusion.schedule import NoiseSchedule


@runtime_checkable
class Denoiser(Protocol):
    schedule: NoiseSchedule
    null_label: int

    def noise(
        self, x_t: Float[Tensor, "B C H W"], t: Int[Tensor, " B"], label: Int[Tensor, " B"] | None = None
    ) -> Float[Tensor, "B C H W"]: ...


def finite(value: float, name: str) -> float:
    """The value of the knob `name`. Raises ValueError."""
    if not isinstance(value, numbers.Real) or not (math.isfinite(value) and abs(value) <= 1e4):
        raise ValueError(f"{name} is a finite number of at most 10000, not {value!r}")
    return value


def checked(interval: tuple[float, float]) -> tuple[float, float]:
    """The interval as it is. Raises ValueError."""
    try:
        low, high = interval
    except (TypeError, ValueError) as error:
        raise ValueError(f"the guidance interval is a pair (low, high), not {interval!r}") from error
    if not 0 <= finite(low, "an end of interval") <= finite(high, "an end of interval") <= 1:
        raise ValueError(f"the guidance interval must satisfy 0 <= low <= high <= 1, not {interval}")
    return low, high


def acts(t: Int[Tensor, " B"], interval: tuple[float, float], schedule: NoiseSchedule) -> bool:
    """Whether guidance acts at this step; all examples of a sampling batch share t."""
    return interval[0] <= t[0].item() / schedule.timesteps <= interval[1]
