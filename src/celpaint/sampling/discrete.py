"""The noise levels of a network trained on numbered timesteps, and the schedules that visit them.

Timestep t of a variance-preserving process has ``alpha_bar[t]``, the product of ``1 - beta``; divided by
sqrt(alpha_bar), its latents are clean ones with noise of level ``sigma = sqrt((1 - alpha_bar) / alpha_bar)``. Between
timesteps ln(sigma) is interpolated linearly, so that fractional timesteps have levels too.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from itertools import accumulate, pairwise

__all__ = ["DiscreteLevels", "scaled_linear"]


@dataclass(frozen=True)
class DiscreteLevels:
    """Noise levels of timesteps 0, 1, 2 ...

    Attributes:
        log_sigmas: natural logarithms, rising.

    Raises:
        ValueError: fewer than two levels, or they do not rise.
    """

    log_sigmas: tuple[float, ...]

    def __post_init__(self) -> None:
        if len(self.log_sigmas) < 2 or any(higher <= lower for lower, higher in pairwise(self.log_sigmas)):
            raise ValueError("noise levels must rise, and there must be two at least")

    @classmethod
    def from_betas(cls, betas: Iterable[float]) -> DiscreteLevels:
        """From the variances of the noise that every timestep adds."""
        kept = accumulate((1 - beta for beta in betas), lambda a, b: a * b)
        return cls(tuple(0.5 * math.log((1 - k) / k) for k in kept))

    def __len__(self) -> int:
        return len(self.log_sigmas)

    @property
    def sigma_min(self) -> float:
        """Level of timestep 0."""
        return math.exp(self.log_sigmas[0])

    @property
    def sigma_max(self) -> float:
        """Level of the last timestep."""
        return math.exp(self.log_sigmas[-1])

    def sigma(self, timestep: float) -> float:
        """Level of a timestep, which may be fractional, from 0 to the last."""
        low = min(max(int(timestep), 0), len(self) - 2)
        share = min(max(timestep - low, 0.0), 1.0)
        return math.exp((1 - share) * self.log_sigmas[low] + share * self.log_sigmas[low + 1])

    def condition(self, sigma: float) -> float:
        """The timestep of a level, fractional between timesteps; levels outside get the first or the last."""
        log = math.log(sigma)
        low = min(max(bisect_right(self.log_sigmas, log) - 1, 0), len(self) - 2)
        share = (log - self.log_sigmas[low]) / (self.log_sigmas[low + 1] - self.log_sigmas[low])
        timestep = low + min(max(share, 0.0), 1.0)
        return float(round(timestep)) if abs(timestep - round(timestep)) < 1e-9 else timestep

    def leading(self, steps: int, *, skipped: int = 0, offset: int = 1) -> tuple[float, ...]:
        """Levels of evenly spaced whole timesteps, then 0: diffusers' "leading" spacing.

        Args:
            steps: 1 or more.
            skipped: how many of the lowest timesteps are left out: 0 in diffusers' DDIM scheduler, 1 in its DPM-Solver.
            offset: added to all timesteps.
        """
        ratio = len(self) // (self._checked(steps) + skipped)
        times = [i * ratio + offset for i in range(skipped, steps + skipped)]
        return (*(self.sigma(min(t, len(self) - 1)) for t in reversed(times)), 0.0)

    def uniform(self, steps: int) -> tuple[float, ...]:
        """Levels of evenly spaced timesteps from the last to the first, fractional ones included, then 0."""
        return self._evenly(steps, max(self._checked(steps) - 1, 1))

    def sgm_uniform(self, steps: int) -> tuple[float, ...]:
        """As :meth:`uniform`, but spaced for one step more, whose level, the lowest, is left out."""
        return self._evenly(steps, self._checked(steps))

    def _evenly(self, steps: int, intervals: int) -> tuple[float, ...]:
        last = len(self) - 1
        return (*(self.sigma(last * (1 - i / intervals)) for i in range(steps)), 0.0)

    @staticmethod
    def _checked(steps: int) -> int:
        if steps < 1:
            raise ValueError(f"{steps} steps, wanted 1 or more")
        return steps


@cache
def scaled_linear(steps: int = 1000, first: float = 0.00085, last: float = 0.012) -> DiscreteLevels:
    """Stable Diffusion's levels: the square roots of the betas rise linearly (Rombach et al. 2022).

    Args:
        steps: number of timesteps.
        first, last: betas of the first and the last timestep.
    """
    low, high = math.sqrt(first), math.sqrt(last)
    return DiscreteLevels.from_betas((low + (high - low) * i / (steps - 1)) ** 2 for i in range(steps))
