"""Solvers that add fresh noise at every step: ancestral ones, and those of the reverse diffusion equation.

Each is a function whose arguments begin as those of ``euler``; bind ``noise`` with :func:`functools.partial` to have a
solver. With ``eta`` 0 no noise is added, and each is one of the deterministic solvers.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import pairwise

import torch
from torch import Tensor

from celpaint.sampling.solvers import Denoise

__all__ = [
    "Noise",
    "dpm_2_ancestral",
    "dpmpp_2m_sde",
    "dpmpp_2s_ancestral",
    "dpmpp_3m_sde",
    "dpmpp_sde",
    "euler_ancestral",
    "seeded_noise",
]

Noise = Callable[[Tensor], Tensor]
"""Latents -> unit noise of the same shape."""


def seeded_noise(seed: int) -> Noise:
    """Noise drawn on the CPU in float32, so that all devices get the same."""
    random = torch.Generator().manual_seed(seed)

    def noise(like: Tensor) -> Tensor:
        return torch.randn(like.shape, generator=random).to(like)

    return noise


def _ignore(step: int) -> None:
    """Do nothing."""


def _ancestral(sigma: float, lower: float, eta: float) -> tuple[float, float]:
    """The level to go down to, and the level of the noise to add, for a step from ``sigma`` to ``lower``."""
    up = min(lower, eta * math.sqrt(lower**2 * (sigma**2 - lower**2) / sigma**2))
    return math.sqrt(lower**2 - up**2), up


def euler_ancestral(
    denoise: Denoise,
    x: Tensor,
    sigmas: Sequence[float],
    callback: Callable[[int], None] = _ignore,
    *,
    noise: Noise,
    eta: float = 1.0,
) -> Tensor:
    """First order. With ``eta`` 1 this is the sampler of Ho et al. 2020; in between, DDIM's (Song et al. 2021)."""
    for i, (sigma, lower) in enumerate(pairwise(sigmas)):
        down, up = _ancestral(sigma, lower, eta)
        denoised = denoise(x, sigma)
        x = denoised + (down / sigma) * (x - denoised)
        if up:
            x = x + up * noise(x)
        callback(i + 1)
    return x


def dpm_2_ancestral(
    denoise: Denoise,
    x: Tensor,
    sigmas: Sequence[float],
    callback: Callable[[int], None] = _ignore,
    *,
    noise: Noise,
    eta: float = 1.0,
) -> Tensor:
    """Second order, midpoint in ln(sigma). Two calls per step, one in a step to 0."""
    for i, (sigma, lower) in enumerate(pairwise(sigmas)):
        down, up = _ancestral(sigma, lower, eta)
        slope = (x - denoise(x, sigma)) / sigma
        if down > 0:
            middle = math.sqrt(sigma * down)
            between = x + (middle - sigma) * slope
            slope = (between - denoise(between, middle)) / middle
        x = x + (down - sigma) * slope
        if up:
            x = x + up * noise(x)
        callback(i + 1)
    return x


def dpmpp_2s_ancestral(
    denoise: Denoise,
    x: Tensor,
    sigmas: Sequence[float],
    callback: Callable[[int], None] = _ignore,
    *,
    noise: Noise,
    eta: float = 1.0,
) -> Tensor:
    """Second order, single step (Lu et al. 2022, DPM-Solver++, 2S). Two calls per step, one in a step to 0."""
    for i, (sigma, lower) in enumerate(pairwise(sigmas)):
        down, up = _ancestral(sigma, lower, eta)
        denoised = denoise(x, sigma)
        if down > 0:
            middle = math.sqrt(sigma * down)
            denoised = denoise(denoised + (middle / sigma) * (x - denoised), middle)
        x = denoised + (down / sigma) * (x - denoised)
        if up:
            x = x + up * noise(x)
        callback(i + 1)
    return x


def dpmpp_sde(
    denoise: Denoise,
    x: Tensor,
    sigmas: Sequence[float],
    callback: Callable[[int], None] = _ignore,
    *,
    noise: Noise,
    eta: float = 1.0,
) -> Tensor:
    """Second order, single step, of the diffusion equation (Lu et al. 2022). Two calls per step, one in a step to 0.

    The noise of the half step is part of the whole step's: both follow one Brownian path in sigma.
    """
    for i, (sigma, lower) in enumerate(pairwise(sigmas)):
        denoised = denoise(x, sigma)
        if lower == 0:
            x = denoised
        else:
            middle = math.sqrt(sigma * lower)
            first, second = noise(x), noise(x)
            down, up = _ancestral(sigma, middle, eta)
            between = denoised + (down / sigma) * (x - denoised) + up * first
            denoised = denoise(between, middle)
            down, up = _ancestral(sigma, lower, eta)
            share = (sigma - middle) / (sigma - lower)
            path = math.sqrt(share) * first + math.sqrt(1 - share) * second
            x = denoised + (down / sigma) * (x - denoised) + up * path
        callback(i + 1)
    return x


def _toward(x: Tensor, target: Tensor, sigma: float, lower: float, eta: float, noise: Noise) -> Tensor:
    """One step of the diffusion equation toward a constant ``target`` (Lu et al. 2022, SDE-DPM-Solver++)."""
    step = math.log(sigma / lower)
    x = (lower / sigma) * math.exp(-eta * step) * x - math.expm1(-(1 + eta) * step) * target
    if eta:
        x = x + lower * math.sqrt(-math.expm1(-2 * eta * step)) * noise(x)
    return x


def dpmpp_2m_sde(
    denoise: Denoise,
    x: Tensor,
    sigmas: Sequence[float],
    callback: Callable[[int], None] = _ignore,
    *,
    noise: Noise,
    eta: float = 1.0,
) -> Tensor:
    """Second order, multistep, of the diffusion equation (Lu et al. 2022). One call per step."""
    before: Tensor | None = None
    width = 0.0
    for i, (sigma, lower) in enumerate(pairwise(sigmas)):
        denoised = denoise(x, sigma)
        if lower == 0:
            x = denoised
        else:
            step = math.log(sigma / lower)
            target = denoised
            if before is not None:
                target = denoised + step / (2 * width) * (denoised - before)
            x = _toward(x, target, sigma, lower, eta, noise)
            width = step
        before = denoised
        callback(i + 1)
    return x


def dpmpp_3m_sde(
    denoise: Denoise,
    x: Tensor,
    sigmas: Sequence[float],
    callback: Callable[[int], None] = _ignore,
    *,
    noise: Noise,
    eta: float = 1.0,
) -> Tensor:
    """Third order, multistep, of the diffusion equation: the last three answers are taken for a parabola in ln(sigma),
    which is integrated exactly. One call per step."""
    answers: list[Tensor] = []
    widths: list[float] = []
    for i, (sigma, lower) in enumerate(pairwise(sigmas)):
        answers = [denoise(x, sigma), *answers][:3]
        if lower == 0:
            x = answers[0]
        else:
            step = math.log(sigma / lower)
            x = _toward(x, _mean_of_parabola(answers, widths, step, 1 + eta), sigma, lower, eta, noise)
            widths = [step, *widths][:2]
        callback(i + 1)
    return x


def _mean_of_parabola(answers: Sequence[Tensor], widths: Sequence[float], step: float, rate: float) -> Tensor:
    """The mean over a step of the polynomial through the answers, later parts of the step weighing exponentially more.

    Args:
        answers: 1 to 3 of them, the newest first.
        widths: distances between them in ln(sigma).
        step: length of the step.
        rate: of the exponential.
    """
    total = -math.expm1(-rate * step)
    linear = step - total / rate
    square = step**2 - 2 * linear / rate
    mean = answers[0]
    if len(answers) > 1:
        slope = (answers[0] - answers[1]) / widths[0]
        if len(answers) > 2:
            bend = (slope - (answers[1] - answers[2]) / widths[1]) / (widths[0] + widths[1])
            slope = slope + widths[0] * bend
            mean = mean + bend * (square / total)
        mean = mean + slope * (linear / total)
    return mean
