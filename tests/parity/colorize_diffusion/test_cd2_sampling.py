"""Whole runs, against numbers of the official samplers."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
import torch
from cd2_modes import OfficialMode
from cd2_numbers import Numbers, as_rgb
from torch import Tensor

from celpaint.methods.colorize_diffusion.conditioning import sketch_hints
from celpaint.methods.colorize_diffusion.denoising import AttentionInjection, Denoiser, Guidance, guided
from celpaint.methods.colorize_diffusion.networks import Networks
from celpaint.sampling.discrete import DiscreteLevels, scaled_linear
from celpaint.sampling.parameterization import Parameterization, velocity
from celpaint.sampling.samplers import SAMPLERS
from celpaint.sampling.solvers import Denoise

LEVELS = scaled_linear()
V = Parameterization(velocity, LEVELS)


@dataclass(frozen=True)
class Run:
    """Settings of one recorded run."""

    mode: str
    guidance: Guidance
    sampler: str = "dpmpp_2m"
    batch: int = 1
    injection: dict[str, float] | None = None

    @property
    def variance_preserving(self) -> bool:
        """Whether the official sampler's latents are scaled to unit variance, and its predictions are v."""
        return self.sampler == "dpmpp_2m"


RUNS = {
    "vanilla": Run("vanilla", Guidance(4, 1)),
    "full": Run("full", Guidance(4, 1)),
    "nocfg": Run("full", Guidance(1, 1)),
    "sketchcfg": Run("vanilla", Guidance(1, 2.5)),
    "dual_bs2": Run("full_img", Guidance(4, 1.5), batch=2),
    "kd_dpmpp2m": Run("full", Guidance(4, 1), "dpmpp_2m_karras"),
    "kd_euler": Run("vanilla", Guidance(4, 1), "euler"),
    "inject": Run("vanilla", Guidance(4, 1), injection={"fidelity": 0.5, "control": 0.0, "start": 0.0}),
    "inject_full": Run("full", Guidance(4, 1), injection={"fidelity": 0.7, "control": 0.4, "start": 0.3}),
}


class RecordedTimesteps:
    """The timesteps that the official program computed in float32. A random UNet is steep in them."""

    def __init__(self, sigmas: tuple[float, ...], timesteps: Tensor) -> None:
        self.timesteps = dict(zip(sigmas, timesteps.tolist(), strict=False))

    def condition(self, sigma: float) -> float:
        return self.timesteps[sigma]


def injection(
    networks: Networks, inputs: dict[str, Tensor], name: str, sigmas: tuple[float, ...], run: Run
) -> AttentionInjection | None:
    if run.injection is None:
        return None
    rgb = as_rgb(inputs["inject_image_u8"])
    highest = LEVELS.sigma((1 - run.injection["start"]) * 999)
    active = [sigma for sigma in sigmas[:-1] if sigma <= highest]
    noise = dict(zip(active, inputs[f"{name}.noise"].split(1), strict=True))
    return AttentionInjection(
        latents=networks.vae.encode(rgb, inputs["eps_ref"]),
        hints=sketch_hints(networks, -rgb, run.injection["control"]),
        noise=noise.__getitem__,
        highest=highest,
        fidelity=run.injection["fidelity"],
    )


@dataclass
class Recorded:
    """A denoiser that keeps what it is given and what it answers."""

    denoise: Denoise
    x: list[Tensor]
    answers: list[Tensor]

    def __call__(self, x: Tensor, sigma: float, /) -> Tensor:
        self.x.append(x)
        self.answers.append(self.denoise(x, sigma))
        return self.answers[-1]


@torch.inference_mode()
def sample(
    networks: Networks, mode: OfficialMode, inputs: dict[str, Tensor], name: str, timesteps: Tensor | None = None
) -> tuple[Tensor, Recorded, tuple[float, ...]]:
    run = RUNS[name]
    sampler = SAMPLERS[run.sampler]
    sigmas = sampler.sigmas(LEVELS, 4)
    parameterization = V
    if timesteps is not None:
        parameterization = Parameterization(velocity, RecordedTimesteps(sigmas, timesteps))
    denoiser = Denoiser(
        networks.unet, parameterization, mode.conditions, injection(networks, inputs, name, sigmas, run)
    )
    recorded = Recorded(guided(denoiser, run.guidance, mode.blank), [], [])
    spread = (sigmas[0] ** 2 + run.variance_preserving) ** 0.5
    z0 = sampler.solver(pytest.fail)(recorded, inputs["x_T"][: run.batch] * spread, sigmas)
    return z0, recorded, sigmas


@pytest.mark.parametrize("name", RUNS)
def test_runs_agree(
    networks: Networks, modes: dict[str, OfficialMode], inputs: dict[str, Tensor], sampling: Numbers, name: str
) -> None:
    timesteps = sampling[f"{name}.t"] if name == "kd_dpmpp2m" else None
    z0, recorded, sigmas = sample(networks, modes[RUNS[name].mode], inputs, name, timesteps)
    torch.testing.assert_close(torch.tensor(sigmas), sampling[f"{name}.sigmas"], atol=1e-6, rtol=1e-5)
    assert len(recorded.x) == 4
    for i, (x, answer, sigma) in enumerate(zip(recorded.x, recorded.answers, sigmas, strict=False)):
        if RUNS[name].variance_preserving:
            scaling = V.scaling(sigma)
            assert round(scaling.noise, 6) == sampling[f"{name}.timesteps"][i]
            x, answer = scaling.inner * x, (answer - scaling.skip * x) / scaling.out
        else:
            assert V.levels.condition(sigma) == pytest.approx(float(sampling[f"{name}.t"][i]), abs=2e-2)
        # Latents of k-diffusion grow with the noise level.
        sampling.check(f"{name}.x.{i}", x, atol=5e-4 * (1.0 if RUNS[name].variance_preserving else max(1.0, sigma)))
        sampling.check(f"{name}.pred.{i}", answer, atol=5e-4)
    sampling.check(f"{name}.z0", z0, atol=5e-4)


def test_run_with_our_own_fractional_timesteps_agrees(
    networks: Networks, modes: dict[str, OfficialMode], inputs: dict[str, Tensor], sampling: Numbers
) -> None:
    z0, _, _ = sample(networks, modes["full"], inputs, "kd_dpmpp2m")
    sampling.check("kd_dpmpp2m.z0", z0, atol=5e-3)


def test_every_recorded_run_is_compared(sampling: Numbers) -> None:
    assert {name.removesuffix(".z0") for name in sampling.names() if name.endswith(".z0")} == RUNS.keys()


@pytest.mark.parametrize(
    ("name", "sampler", "steps", "times"),
    [
        ("dpm4", "dpmpp_2m", 4, "timesteps"),
        ("dpm20", "dpmpp_2m", 20, "timesteps"),
        ("dpm4_karras", "dpmpp_2m_karras", 4, "timesteps"),
        ("dpm20_karras", "dpmpp_2m_karras", 20, "timesteps"),
        ("kd_karras20", "dpmpp_2m_karras", 20, "t"),
    ],
)
def test_schedules_agree(sampling: Numbers, name: str, sampler: str, steps: int, times: str) -> None:
    sigmas = SAMPLERS[sampler].sigmas(LEVELS, steps)
    torch.testing.assert_close(torch.tensor(sigmas), sampling[f"{name}.sigmas"], atol=1e-6, rtol=1e-5)
    seen = torch.tensor([LEVELS.condition(sigma) for sigma in sigmas[:-1]])
    # diffusers rounds the timesteps of Karras levels, k-diffusion does not.
    torch.testing.assert_close(
        seen.round() if times == "timesteps" else seen, sampling[f"{name}.{times}"].float(), atol=2e-2, rtol=0
    )


def test_ends_of_the_levels_agree(sampling: Numbers) -> None:
    seen = torch.tensor([LEVELS.sigma_min, LEVELS.sigma_max])
    torch.testing.assert_close(seen, sampling["kd.sigma_min_max"], atol=1e-6, rtol=1e-5)


@torch.inference_mode()
def test_decoded_picture_agrees(networks: Networks, sampling: Numbers) -> None:
    image = networks.vae.decode(sampling["full.z0"])
    sampling.check("full.image", image, atol=5e-4)
    levels = ((image.clamp(-1, 1) + 1) * 127.5).to(torch.uint8).permute(0, 2, 3, 1)
    wanted = sampling["full.image_u8"]
    apart = (levels.int() - wanted.int()).abs()
    assert int(apart.max()) <= 1
    assert int(apart.sum()) < 100  # of 73,728 values, whose rounding may go either way


def test_timesteps_of_whole_levels_are_whole() -> None:
    levels: DiscreteLevels = LEVELS
    for t in (0, 1, 48, 500, 999):
        assert levels.condition(levels.sigma(t)) == t
