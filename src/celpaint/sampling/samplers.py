"""Solvers by name, each with the schedule it is meant for, for networks trained on numbered timesteps."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from celpaint.sampling.deterministic import dpm_2, heun, lms
from celpaint.sampling.discrete import DiscreteLevels
from celpaint.sampling.schedules import exponential, polyexponential, without_lowest
from celpaint.sampling.sigmas import edm_sigmas
from celpaint.sampling.solvers import Solver, dpmpp_2m, euler
from celpaint.sampling.stochastic import (
    Noise,
    dpm_2_ancestral,
    dpmpp_2m_sde,
    dpmpp_2s_ancestral,
    dpmpp_3m_sde,
    dpmpp_sde,
    euler_ancestral,
)

__all__ = ["SAMPLERS", "SCHEDULES", "Sampler"]

Schedule = Callable[[DiscreteLevels, int], tuple[float, ...]]
"""Noise levels of a network and a number of steps -> falling levels, the last 0."""


def _between(schedule: Callable[..., tuple[float, ...]]) -> Schedule:
    return lambda levels, steps: schedule(steps, sigma_max=levels.sigma_max, sigma_min=levels.sigma_min)


SCHEDULES: dict[str, Schedule] = {
    "uniform": DiscreteLevels.uniform,
    "leading": partial(DiscreteLevels.leading, skipped=1),
    "ddim": DiscreteLevels.leading,
    "karras": _between(edm_sigmas),
    "exponential": _between(exponential),
    "polyexponential": _between(polyexponential),
    "sgm_uniform": DiscreteLevels.sgm_uniform,
}
"""By name."""


@dataclass(frozen=True)
class Sampler:
    """A solver and how to use it.

    Attributes:
        solve: the solver; one that adds noise also takes ``noise``.
        schedule: the name of the schedule it is meant for.
        stochastic: whether it adds noise.
        between: whether it evaluates between its levels, and so does better without the lowest one.
    """

    solve: Callable[..., Any]
    schedule: str
    stochastic: bool = False
    between: bool = False

    def sigmas(self, levels: DiscreteLevels, steps: int, schedule: str | None = None) -> tuple[float, ...]:
        """Noise levels of ``steps`` steps.

        Args:
            levels: those of the network.
            steps: 1 or more.
            schedule: one of :data:`SCHEDULES`; None: the one this sampler is meant for.
        """
        make = partial(SCHEDULES[schedule or self.schedule], levels)
        return without_lowest(make, steps) if self.between else make(steps)

    def solver(self, noise: Noise) -> Solver:
        """The solver, with its source of noise where it needs one."""
        solver: Solver = partial(self.solve, noise=noise) if self.stochastic else self.solve
        return solver


SAMPLERS: dict[str, Sampler] = {
    "dpmpp_2m": Sampler(dpmpp_2m, "leading"),
    "ddim": Sampler(euler, "ddim"),
    "euler": Sampler(euler, "uniform"),
    "heun": Sampler(heun, "uniform"),
    "lms": Sampler(lms, "uniform"),
    "dpm_2": Sampler(dpm_2, "karras", between=True),
    "dpmpp_2m_karras": Sampler(dpmpp_2m, "karras"),
    "euler_ancestral": Sampler(euler_ancestral, "uniform", stochastic=True),
    "dpm_2_ancestral": Sampler(dpm_2_ancestral, "karras", stochastic=True, between=True),
    "dpmpp_2s_ancestral": Sampler(dpmpp_2s_ancestral, "karras", stochastic=True),
    "dpmpp_sde": Sampler(dpmpp_sde, "karras", stochastic=True),
    "dpmpp_2m_sde": Sampler(dpmpp_2m_sde, "exponential", stochastic=True),
    "dpmpp_3m_sde": Sampler(dpmpp_3m_sde, "exponential", stochastic=True, between=True),
}
"""By name. The first is what ColorizeDiffusion v2 is sampled with by default."""
