"""Noise levels, and how the network is conditioned on them."""

from __future__ import annotations

import math
from typing import NamedTuple

__all__ = ["Scaling", "edm_sigmas", "v_scaling"]


def edm_sigmas(
    steps: int, *, sigma_max: float = 700.0, sigma_min: float = 0.002, rho: float = 7.0
) -> tuple[float, ...]:
    """``steps`` falling noise levels, then 0 (Karras et al. 2022, eq. 5; the defaults are LVCD's).

    A single step goes from ``sigma_max`` straight to 0.
    """
    if steps < 1:
        raise ValueError(f"{steps} steps, wanted 1 or more")
    high, low = sigma_max ** (1 / rho), sigma_min ** (1 / rho)
    return (*((high + i / max(steps - 1, 1) * (low - high)) ** rho for i in range(steps)), 0.0)


class Scaling(NamedTuple):
    """``denoised = skip * x + out * network(inner * x, noise)``."""

    skip: float
    out: float
    inner: float
    noise: float


def v_scaling(sigma: float) -> Scaling:
    """Scaling of a network that predicts v (Salimans & Ho 2022), told ln(sigma) / 4 as in EDM."""
    root = math.sqrt(sigma**2 + 1)
    return Scaling(1 / root**2, -sigma / root, 1 / root, 0.25 * math.log(sigma))
