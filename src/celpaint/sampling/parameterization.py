"""What a network predicts and how it is told the noise level, turned into ``denoise(x, sigma) -> x0``.

Samplers know latents with noise of level sigma added, x = x0 + sigma * noise. A network sees ``inner * x``, which has
unit variance, and its answer gives ``x0 = skip * x + out * answer``. The two halves are independent: *what* is
predicted (:data:`PREDICTIONS`), and *how* the noise level is said (:class:`NoiseLevels`).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from torch import Tensor

from celpaint.sampling.sigmas import Scaling
from celpaint.sampling.solvers import Denoise

__all__ = [
    "PREDICTIONS",
    "Coefficients",
    "ContinuousLevels",
    "NoiseLevels",
    "Parameterization",
    "edm",
    "epsilon",
    "velocity",
]


class Coefficients(NamedTuple):
    """``x0 = skip * x + out * network(inner * x)``."""

    skip: float
    out: float
    inner: float


def epsilon(sigma: float) -> Coefficients:
    """For a network that predicts the noise (Ho et al. 2020)."""
    return Coefficients(1.0, -sigma, 1 / math.sqrt(sigma**2 + 1))


def velocity(sigma: float) -> Coefficients:
    """For a network that predicts v (Salimans & Ho 2022, section 4)."""
    root = math.sqrt(sigma**2 + 1)
    return Coefficients(1 / root**2, -sigma / root, 1 / root)


def edm(sigma: float, sigma_data: float = 0.5) -> Coefficients:
    """For a network with the preconditioning of Karras et al. 2022, table 1.

    Args:
        sigma: the noise level.
        sigma_data: standard deviation of the clean data.
    """
    root = math.sqrt(sigma**2 + sigma_data**2)
    return Coefficients((sigma_data / root) ** 2, sigma * sigma_data / root, 1 / root)


PREDICTIONS: dict[str, Callable[[float], Coefficients]] = {"epsilon": epsilon, "v": velocity, "edm": edm}
"""By the name that a weights card may ask for."""


class NoiseLevels(Protocol):
    """How a network is told the noise level."""

    def condition(self, sigma: float) -> float:
        """The number that stands for ``sigma``."""
        ...


class ContinuousLevels:
    """Noise levels of a network that is told ln(sigma) / 4 (Karras et al. 2022, table 1)."""

    def condition(self, sigma: float) -> float:
        """See :class:`NoiseLevels`."""
        return 0.25 * math.log(sigma)


@dataclass(frozen=True)
class Parameterization:
    """A prediction and its noise levels.

    Attributes:
        coefficients: one of :data:`PREDICTIONS`.
        levels: how the network is told sigma.
    """

    coefficients: Callable[[float], Coefficients]
    levels: NoiseLevels

    def scaling(self, sigma: float) -> Scaling:
        """All four numbers a pass needs."""
        return Scaling(*self.coefficients(sigma), self.levels.condition(sigma))

    def denoiser(self, network: Callable[[Tensor, float], Tensor]) -> Denoise:
        """Wrap ``network(scaled x, condition) -> prediction``."""

        def denoise(x: Tensor, sigma: float, /) -> Tensor:
            scaling = self.scaling(sigma)
            return scaling.skip * x + scaling.out * network(scaling.inner * x, scaling.noise).to(x)

        return denoise
