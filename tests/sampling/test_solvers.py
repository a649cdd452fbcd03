from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from celpaint.sampling.guidance import guided
from celpaint.sampling.sigmas import edm_sigmas, v_scaling
from celpaint.sampling.solvers import SOLVERS, Denoise, dpmpp_2m, euler


def gaussian(mean: float, spread: float) -> Denoise:
    """The exact denoiser of normally distributed latents, whose exact solution is known."""

    def denoise(x: Tensor, sigma: float, /) -> Tensor:
        keep = spread**2 / (spread**2 + sigma**2)
        return mean + keep * (x - mean)

    return denoise


def exact(x: Tensor, sigma: float, mean: float, spread: float) -> Tensor:
    return mean + (x - mean) * spread / math.sqrt(spread**2 + sigma**2)


def error(name: str, steps: int) -> float:
    sigmas = edm_sigmas(steps, sigma_max=80.0, sigma_min=1e-4)
    x = torch.randn(1000, dtype=torch.float64, generator=torch.Generator().manual_seed(0)) * sigmas[0]
    got = SOLVERS[name](gaussian(0.3, 0.5), x, sigmas)
    return float((got - exact(x, sigmas[0], 0.3, 0.5)).abs().mean())


@pytest.mark.parametrize(("name", "order"), [("euler", 1), ("dpmpp_2m", 2)])
def test_error_falls_with_the_order(name: str, order: int) -> None:
    assert error(name, 200) < error(name, 100) / (1.8 if order == 1 else 3.0)


def test_second_order_is_better_at_few_steps() -> None:
    assert error("dpmpp_2m", 24) < error("euler", 24) / 2


@pytest.mark.parametrize("solver", [euler, dpmpp_2m])
def test_one_step_is_the_denoiser(solver: object) -> None:
    x = torch.randn(5)
    torch.testing.assert_close(solver(gaussian(1.0, 0.5), x, (3.0, 0.0)), gaussian(1.0, 0.5)(x, 3.0))  # type: ignore[operator]


@pytest.mark.parametrize("solver", [euler, dpmpp_2m])
def test_steps_are_told(solver: object) -> None:
    told: list[int] = []
    solver(gaussian(0.0, 1.0), torch.zeros(1), edm_sigmas(5), told.append)  # type: ignore[operator]
    assert told == [1, 2, 3, 4, 5]


def test_schedule_ends_are_given() -> None:
    sigmas = edm_sigmas(25)
    assert sigmas[0] == pytest.approx(700)
    assert sigmas[-2] == pytest.approx(0.002)
    assert sigmas[-1] == 0
    assert list(sigmas) == sorted(sigmas, reverse=True)
    assert edm_sigmas(1) == (pytest.approx(700), 0.0)
    with pytest.raises(ValueError, match="0 steps"):
        edm_sigmas(0)


@pytest.mark.parametrize("sigma", [0.002, 1.0, 3.0, 700.0])
def test_v_scaling_recovers_the_latents_from_the_true_v(sigma: float) -> None:
    clean, noise = torch.randn(8, dtype=torch.float64), torch.randn(8, dtype=torch.float64)
    x = clean + sigma * noise
    v = (noise - sigma * clean) / math.sqrt(1 + sigma**2)
    scaling = v_scaling(sigma)
    torch.testing.assert_close(scaling.skip * x + scaling.out * v, clean)
    assert float((scaling.inner * x).square().mean().sqrt()) < 4
    assert scaling.noise == pytest.approx(math.log(sigma) / 4)


def test_guidance_moves_away_from_the_unconditional() -> None:
    x = torch.zeros(3)
    yes, no = gaussian(1.0, 0.0), gaussian(0.0, 0.0)
    torch.testing.assert_close(guided(yes, no, 2.0)(x, 1.0), torch.full((3,), 2.0))
    torch.testing.assert_close(guided(yes, no, torch.tensor([0.0, 1.0, 3.0]))(x, 1.0), torch.tensor([0.0, 1.0, 3.0]))
    assert guided(yes, no, 1.0) is yes
