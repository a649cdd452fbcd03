from __future__ import annotations

import math

import pytest
import torch
from diffusers import DDIMScheduler, DPMSolverMultistepScheduler
from torch import Tensor

from celpaint.sampling.combined_guidance import guided_by, limited
from celpaint.sampling.discrete import DiscreteLevels, scaled_linear
from celpaint.sampling.parameterization import (
    PREDICTIONS,
    ContinuousLevels,
    Parameterization,
    edm,
    epsilon,
    velocity,
)
from celpaint.sampling.schedules import exponential, polyexponential, without_lowest
from celpaint.sampling.sigmas import v_scaling
from celpaint.sampling.solvers import Denoise

DIFFUSERS = {
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "steps_offset": 1,
    "timestep_spacing": "leading",
}


@pytest.mark.parametrize("sigma", [0.03, 1.0, 14.6])
def test_true_predictions_give_back_the_clean_latents(sigma: float) -> None:
    clean, noise = torch.randn(8, dtype=torch.float64), torch.randn(8, dtype=torch.float64)
    x = clean + sigma * noise
    root = math.sqrt(1 + sigma**2)
    answers = {"epsilon": noise, "v": (noise - sigma * clean) / root}
    for name, answer in answers.items():
        c = PREDICTIONS[name](sigma)
        torch.testing.assert_close(c.skip * x + c.out * answer, clean)
        assert c.inner == pytest.approx(1 / root)


def test_edm_has_unit_variance_inputs_and_targets() -> None:
    """Karras et al. 2022, appendix B.6: the network's inputs and targets both have variance 1."""
    for sigma in (0.002, 0.5, 80.0):
        c = edm(sigma, 0.7)
        assert c.inner**2 * (0.7**2 + sigma**2) == pytest.approx(1)
        target_variance = ((1 - c.skip) ** 2 * 0.7**2 + c.skip**2 * sigma**2) / c.out**2
        assert target_variance == pytest.approx(1)


def test_continuous_v_is_the_scaling_of_lvcd() -> None:
    for sigma in (0.002, 3.0, 700.0):
        assert Parameterization(velocity, ContinuousLevels()).scaling(sigma) == v_scaling(sigma)


def test_networks_see_scaled_latents_and_their_timestep() -> None:
    levels = scaled_linear()
    seen: list[tuple[Tensor, float]] = []

    def network(x: Tensor, condition: float) -> Tensor:
        seen.append((x, condition))
        return torch.ones_like(x)

    sigma = levels.sigma(601)
    x = torch.full((2,), 5.0)
    out = Parameterization(epsilon, levels).denoiser(network)(x, sigma)
    torch.testing.assert_close(out, x - sigma)
    torch.testing.assert_close(seen[0][0], x / math.sqrt(1 + sigma**2))
    assert seen[0][1] == 601


def test_levels_are_those_of_diffusers() -> None:
    kept = DDIMScheduler(**DIFFUSERS).alphas_cumprod.double()
    wanted = ((1 - kept) / kept).sqrt()
    levels = scaled_linear()
    assert len(levels) == 1000
    seen = torch.tensor([levels.sigma(t) for t in range(1000)], dtype=torch.float64)
    torch.testing.assert_close(seen, wanted, atol=0, rtol=2e-4)


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
@pytest.mark.parametrize("steps", [1, 4, 20, 33])
def test_leading_timesteps_are_those_of_diffusers(steps: int) -> None:
    levels = scaled_linear()
    for skipped, scheduler in ((0, DDIMScheduler(**DIFFUSERS)), (1, DPMSolverMultistepScheduler(**DIFFUSERS))):
        scheduler.set_timesteps(steps)
        seen = [levels.condition(sigma) for sigma in levels.leading(steps, skipped=skipped)[:-1]]
        assert seen == scheduler.timesteps.tolist()


def test_fractional_timesteps_interpolate_ln_sigma() -> None:
    levels = DiscreteLevels((0.0, 1.0, 3.0))
    assert levels.sigma(1.25) == pytest.approx(math.exp(1.5))
    assert levels.condition(math.exp(1.5)) == pytest.approx(1.25)
    assert [levels.condition(sigma) for sigma in (0.1, 1.0, math.e, 100.0)] == [0, 0, 1, 2]
    assert (levels.sigma_min, levels.sigma_max) == (1.0, pytest.approx(math.exp(3)))


@pytest.mark.parametrize("timestep", [0.0, 0.4, 312.4, 998.7, 999.0])
def test_timestep_and_level_are_inverses(timestep: float) -> None:
    levels = scaled_linear()
    assert levels.condition(levels.sigma(timestep)) == pytest.approx(timestep, abs=1e-8)


def test_uniform_schedules_visit_evenly_spaced_timesteps() -> None:
    levels = scaled_linear()
    assert [levels.condition(s) for s in levels.uniform(4)[:-1]] == pytest.approx([999, 666, 333, 0], abs=1e-6)
    assert [levels.condition(s) for s in levels.sgm_uniform(4)[:-1]] == pytest.approx([999, 749.25, 499.5, 249.75])
    assert levels.uniform(1) == (levels.sigma_max, 0.0)


def test_exponential_levels_have_a_constant_ratio() -> None:
    assert exponential(4, sigma_max=8.0, sigma_min=1.0) == pytest.approx((8, 4, 2, 1, 0))
    assert polyexponential(3, sigma_max=math.e**4, sigma_min=1.0, rho=2.0) == pytest.approx((math.e**4, math.e, 1, 0))
    assert without_lowest(lambda n: exponential(n, sigma_max=8.0, sigma_min=1.0), 3) == pytest.approx((8, 4, 2, 0))


@pytest.mark.parametrize("make", [scaled_linear().leading, scaled_linear().uniform, scaled_linear().sgm_uniform])
def test_no_steps_are_refused(make: object) -> None:
    with pytest.raises(ValueError, match="0 steps"):
        make(0)  # type: ignore[operator]


def test_levels_that_do_not_rise_are_refused() -> None:
    with pytest.raises(ValueError, match="rise"):
        DiscreteLevels((0.0, 0.0))
    with pytest.raises(ValueError, match="two"):
        DiscreteLevels((0.0,))


def constant(value: float, calls: list[float] | None = None) -> Denoise:
    def denoise(x: Tensor, sigma: float, /) -> Tensor:
        if calls is not None:
            calls.append(sigma)
        return torch.full_like(x, value)

    return denoise


def test_guidance_by_two_conditions_is_their_mean() -> None:
    """0.5 * (2 + 4 * (5 - 2) + 1 + 3 * (5 - 1)) = 13.5; the conditional denoiser is called once."""
    calls: list[float] = []
    denoise = guided_by(constant(5.0, calls), [(constant(2.0), 4.0), (constant(1.0), 3.0)])
    torch.testing.assert_close(denoise(torch.zeros(3), 1.0), torch.full((3,), 13.5))
    assert calls == [1.0]


def test_scales_of_one_cost_nothing() -> None:
    calls: list[float] = []
    known = constant(5.0)
    denoise = guided_by(known, [(constant(2.0), 4.0), (constant(1.0, calls), 1.0)])
    torch.testing.assert_close(denoise(torch.zeros(3), 1.0), torch.full((3,), 14.0))
    assert not calls
    assert guided_by(known, [(constant(2.0), 1.0)]) is known


def test_limited_guidance_acts_inside_its_interval_only() -> None:
    denoise = limited(constant(1.0), constant(0.0), highest=3.0, lowest=1.0)
    assert [float(denoise(torch.zeros(1), sigma)) for sigma in (4.0, 3.0, 2.0, 1.0, 0.5)] == [0, 1, 1, 1, 0]
