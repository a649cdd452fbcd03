"""All solvers, against exact solutions and against the schedulers of diffusers."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from itertools import pairwise
from typing import Any

import pytest
import torch
from diffusers import (
    DDIMScheduler,
    DPMSolverMultistepScheduler,
    EulerAncestralDiscreteScheduler,
    HeunDiscreteScheduler,
    KDPM2DiscreteScheduler,
    LMSDiscreteScheduler,
)
from torch import Tensor

from celpaint.sampling.deterministic import dpm_2, heun, lms
from celpaint.sampling.discrete import scaled_linear
from celpaint.sampling.samplers import SAMPLERS, SCHEDULES
from celpaint.sampling.sigmas import edm_sigmas
from celpaint.sampling.solvers import Solver, dpmpp_2m, euler
from celpaint.sampling.stochastic import (
    dpm_2_ancestral,
    dpmpp_2m_sde,
    dpmpp_2s_ancestral,
    dpmpp_3m_sde,
    dpmpp_sde,
    euler_ancestral,
    seeded_noise,
)

LEVELS = scaled_linear()
MEAN, SPREAD = 0.3, 0.5


def gaussian(x: Tensor, sigma: float, /) -> Tensor:
    """The exact denoiser of normally distributed latents, whose exact solution is known."""
    keep = SPREAD**2 / (SPREAD**2 + sigma**2)
    return MEAN + keep * (x - MEAN)


def two_heaps(x: Tensor, sigma: float, /) -> Tensor:
    """The exact denoiser of latents normally distributed around -1 and 1: not linear in x."""
    total = SPREAD**2 + sigma**2
    center = torch.tanh(x / total)
    return center + SPREAD**2 / total * (x - center)


def error(solver: Solver, steps: int) -> float:
    sigmas = edm_sigmas(steps, sigma_max=80.0, sigma_min=1e-3)
    x = torch.randn(1000, dtype=torch.float64, generator=torch.Generator().manual_seed(0)) * sigmas[0]
    exact = MEAN + (x - MEAN) * SPREAD / math.sqrt(SPREAD**2 + sigmas[0] ** 2)
    return float((solver(gaussian, x, sigmas) - exact).abs().mean())


STILL: Callable[[Any], Solver] = lambda solver: partial(solver, noise=pytest.fail, eta=0.0)  # noqa: E731
ORDERS: dict[str, tuple[Solver, float]] = {
    "heun": (heun, 2),
    "dpm_2": (dpm_2, 2),
    "lms": (lms, 4),
    "dpmpp_2s_ancestral": (STILL(dpmpp_2s_ancestral), 2),
    "dpmpp_sde": (partial(dpmpp_sde, noise=torch.zeros_like, eta=0.0), 2),
    "dpmpp_3m_sde": (STILL(dpmpp_3m_sde), 3),
}


@pytest.mark.parametrize("name", ORDERS)
def test_error_falls_with_the_order(name: str) -> None:
    solver, order = ORDERS[name]
    assert error(solver, 160) < error(solver, 80) / 2 ** (order - 0.35)


X = torch.randn(64, dtype=torch.float64, generator=torch.Generator().manual_seed(4)) * LEVELS.sigma_max


@pytest.mark.parametrize(
    ("stochastic", "deterministic"),
    [(euler_ancestral, euler), (dpm_2_ancestral, dpm_2), (dpmpp_2m_sde, dpmpp_2m)],
)
def test_without_noise_they_are_the_deterministic_ones(stochastic: Any, deterministic: Solver) -> None:
    sigmas = LEVELS.uniform(10)
    seen = stochastic(two_heaps, X, sigmas, noise=pytest.fail, eta=0.0)
    torch.testing.assert_close(seen, deterministic(two_heaps, X, sigmas))


@pytest.mark.parametrize(
    "solver", [euler_ancestral, dpm_2_ancestral, dpmpp_2s_ancestral, dpmpp_sde, dpmpp_2m_sde, dpmpp_3m_sde]
)
def test_noise_keeps_the_distribution(solver: Any) -> None:
    sigmas = edm_sigmas(120, sigma_max=80.0, sigma_min=1e-3)
    x = torch.randn(40_000, dtype=torch.float64, generator=torch.Generator().manual_seed(0)) * sigmas[0]
    out = solver(gaussian, x, sigmas, noise=seeded_noise(1))
    assert float(out.mean()) == pytest.approx(MEAN, abs=0.01)
    assert float(out.std()) == pytest.approx(SPREAD, rel=0.06 if solver is euler_ancestral else 0.015)
    assert abs(float(torch.corrcoef(torch.stack([x, out]))[0, 1])) < 0.02  # what it began with is forgotten


DISCRETE = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}
UNIFORM = {**DISCRETE, "timestep_spacing": "linspace"}
LEADING = {**DISCRETE, "timestep_spacing": "leading", "steps_offset": 1, "prediction_type": "v_prediction"}
old_numpy_calls = pytest.mark.filterwarnings("ignore:__array_:DeprecationWarning")
"""Some schedulers of diffusers call numpy in a way that it means to give up."""


def by_diffusers(scheduler: Any, x: Tensor, steps: int, **step: Any) -> Tensor:
    """Sample with a scheduler whose latents are those of our solvers."""
    scheduler.set_timesteps(steps)
    for t in scheduler.timesteps:
        scheduler.scale_model_input(x, t)
        between = not getattr(scheduler, "state_in_first_order", True) and hasattr(scheduler, "sigmas_interpol")
        sigma = float((scheduler.sigmas_interpol if between else scheduler.sigmas)[scheduler.step_index])
        x = scheduler.step((x - two_heaps(x, sigma)) / sigma, t, x, **step).prev_sample
    return x


@old_numpy_calls
@pytest.mark.parametrize("steps", [4, 10])
@pytest.mark.parametrize(
    ("solver", "scheduler"),
    [(heun, HeunDiscreteScheduler), (lms, LMSDiscreteScheduler), (dpm_2, KDPM2DiscreteScheduler)],
)
def test_deterministic_solvers_agree_with_diffusers(solver: Solver, scheduler: Any, steps: int) -> None:
    """In 4 and in 10 steps the evenly spaced timesteps are whole, so that both have the same levels."""
    wanted = by_diffusers(scheduler(**UNIFORM), X, steps)
    torch.testing.assert_close(solver(two_heaps, X, LEVELS.uniform(steps)), wanted, atol=2e-5, rtol=2e-5)


@old_numpy_calls
def test_euler_ancestral_agrees_with_diffusers() -> None:
    x = X.float()
    random = torch.Generator().manual_seed(5)
    wanted = by_diffusers(EulerAncestralDiscreteScheduler(**UNIFORM), x, 10, generator=random)
    seen = euler_ancestral(two_heaps, x, LEVELS.uniform(10), noise=seeded_noise(5))
    torch.testing.assert_close(seen, wanted, atol=2e-4, rtol=2e-4)


def by_scaled_diffusers(scheduler: Any, x: Tensor, steps: int, **step: Any) -> Tensor:
    """Sample with a scheduler whose latents are scaled to unit variance, from predictions of v."""
    scheduler.set_timesteps(steps)
    for t in scheduler.timesteps:
        sigma = LEVELS.sigma(int(t))
        root = math.sqrt(1 + sigma**2)
        clean = two_heaps(x * root, sigma)
        noise = (x * root - clean) / sigma
        x = scheduler.step((noise - sigma * clean) / root, t, x, **step).prev_sample
    return x


def noise_at(first: float) -> Tensor:
    """Latents at the first level of a leading schedule, whose scaled form has unit variance."""
    return X / LEVELS.sigma_max * math.sqrt(1 + first**2)


@pytest.mark.parametrize("steps", [4, 20])
def test_ddim_agrees_with_diffusers(steps: int) -> None:
    sigmas = SAMPLERS["ddim"].sigmas(LEVELS, steps)
    wanted = by_scaled_diffusers(DDIMScheduler(**LEADING, clip_sample=False), X / LEVELS.sigma_max, steps)
    torch.testing.assert_close(euler(two_heaps, noise_at(sigmas[0]), sigmas), wanted, atol=1e-4, rtol=1e-4)


@old_numpy_calls
@pytest.mark.parametrize("steps", [4, 20])
def test_multistep_of_the_diffusion_equation_agrees_with_diffusers(steps: int) -> None:
    sigmas = LEVELS.leading(steps, skipped=1)
    drawn = [torch.randn(64, generator=torch.Generator().manual_seed(seed)) for seed in range(steps)]
    scheduler = DPMSolverMultistepScheduler(**LEADING, algorithm_type="sde-dpmsolver++")
    left = iter(drawn)
    step, scheduler.step = scheduler.step, lambda *args: step(*args, variance_noise=next(left))
    wanted = by_scaled_diffusers(scheduler, (X / LEVELS.sigma_max).float(), steps)
    ours = iter(drawn)
    seen = dpmpp_2m_sde(two_heaps, noise_at(sigmas[0]).float(), sigmas, noise=lambda x: next(ours))
    torch.testing.assert_close(seen, wanted, atol=2e-4, rtol=2e-4)


@pytest.mark.parametrize("name", SAMPLERS)
def test_every_sampler_ends_at_clean_latents_and_reports_its_steps(name: str) -> None:
    sampler, reported = SAMPLERS[name], []
    sigmas = sampler.sigmas(LEVELS, 12)
    assert len(sigmas) == 13
    assert list(sigmas) == sorted(sigmas, reverse=True)
    assert sigmas[-1] == 0
    x = X / LEVELS.sigma_max * math.sqrt(1 + sigmas[0] ** 2)
    out = sampler.solver(seeded_noise(0))(two_heaps, x, sigmas, reported.append)
    assert reported == list(range(1, 13))
    assert 0.5 < float(out.abs().mean()) < 1.5
    assert float(out.abs().max()) < 3.5


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_every_schedule_serves_every_sampler(schedule: str) -> None:
    for sampler in SAMPLERS.values():
        sigmas = sampler.sigmas(LEVELS, 5, schedule)
        assert len(sigmas) == 6
        assert all(high > low for high, low in pairwise(sigmas))
