"""Noise levels spaced between two ends, whatever the network. See also ``edm_sigmas`` for those of Karras et al."""

from __future__ import annotations

import math
from collections.abc import Callable

__all__ = ["exponential", "polyexponential", "without_lowest"]


def exponential(steps: int, *, sigma_max: float, sigma_min: float) -> tuple[float, ...]:
    """``steps`` falling levels with a constant ratio, then 0."""
    return polyexponential(steps, sigma_max=sigma_max, sigma_min=sigma_min, rho=1.0)


def polyexponential(steps: int, *, sigma_max: float, sigma_min: float, rho: float = 1.0) -> tuple[float, ...]:
    """``steps`` falling levels, then 0; with ``rho`` above 1 more of them are low.

    A single step goes from ``sigma_max`` straight to 0.

    Raises:
        ValueError: no steps.
    """
    if steps < 1:
        raise ValueError(f"{steps} steps, wanted 1 or more")
    low, high = math.log(sigma_min), math.log(sigma_max)
    ramp = (1 - i / max(steps - 1, 1) for i in range(steps))
    return (*(math.exp(low + (high - low) * share**rho) for share in ramp), 0.0)


def without_lowest(schedule: Callable[[int], tuple[float, ...]], steps: int) -> tuple[float, ...]:
    """A schedule made for one step more, without its lowest level above 0: the last step is a long one.

    Samplers that evaluate between their levels do better so.
    """
    *levels, _, end = schedule(steps + 1)
    return (*levels, end)
