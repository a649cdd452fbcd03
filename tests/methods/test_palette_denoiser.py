from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from celpaint.conditions.palette.value import Palette
from celpaint.methods.palette.denoiser import MICRO, PaletteDenoiser, token_picture
from celpaint.models.palette.training import LOG_SIGMA
from celpaint.models.palette.unet import PaletteConfig, PaletteUNet, plain_routing
from celpaint.sampling.fusion import FusionWindow, frame_noise, fused, plan_windows
from celpaint.sampling.guidance import guided
from celpaint.sampling.sigmas import edm_sigmas
from celpaint.sampling.solvers import euler
from celpaint.train.tasks.objective import draw_sigma, noised, v_loss
from toy import toy_config

NIGHT = Palette(((0.05, 0.08, 0.2), (0.2, 0.3, 0.5), (0.9, 0.85, 0.6)))
SHAPE = (4, 6, 6)


@pytest.fixture(scope="module")
def network() -> PaletteUNet:
    """Not trained, but with nothing in it zero."""
    torch.manual_seed(0)
    model = PaletteUNet(PaletteConfig(unet=toy_config())).eval().requires_grad_(False)
    for parameter in model.color_network.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return model


def denoiser(network: PaletteUNet, frames: range, palette: Palette | None = NIGHT) -> PaletteDenoiser:
    return PaletteDenoiser(
        network,
        gray=frame_noise(frames, SHAPE, seed=11),
        token=torch.ones(1, 1, 16),
        palette=None if palette is None else torch.from_numpy(palette.vector(5)),
    )


# ------------------------------------------------------------------------------------------------------- equations 1, 5


def latents() -> tuple[Tensor, Tensor, Tensor]:
    random = torch.Generator().manual_seed(0)
    z, eps = (torch.randn(2, 3, 4, 5, 5, generator=random) for _ in range(2))
    return z, eps, torch.tensor([0.3, 12.0])


def test_noise_is_added_as_in_equation_1() -> None:
    z, eps, sigma = latents()
    alpha = (1 / (1 + sigma**2))[:, None, None, None, None]
    torch.testing.assert_close(noised(z, sigma, eps).x, alpha.sqrt() * z + (1 - alpha).sqrt() * eps)


def test_loss_is_that_of_equation_5_weighted_by_the_signal() -> None:
    """Predicting v with an error e is predicting the noise with the error sqrt(alpha) e."""
    z, eps, sigma = latents()
    alpha = (1 / (1 + sigma**2))[:, None, None, None, None]
    given = noised(z, sigma, eps)
    answer = given.v + 0.1 * torch.randn_like(given.v)
    predicted = alpha.sqrt() * answer + (1 - alpha).sqrt() * given.x
    by_clip = (eps - predicted).square().mean((1, 2, 3, 4)) / alpha.flatten()
    torch.testing.assert_close(by_clip.mean(), v_loss(answer, given.v), rtol=1e-4, atol=0)


def test_noise_levels_of_training() -> None:
    torch.manual_seed(0)
    logs = draw_sigma(20_000, torch.device("cpu"), *LOG_SIGMA).log()
    assert float(logs.mean()) == pytest.approx(0.7, abs=0.05)
    assert float(logs.std()) == pytest.approx(1.6, abs=0.05)


# ------------------------------------------------------------------------------------------------------------ denoising


def test_prediction_is_turned_into_clean_latents(network: PaletteUNet) -> None:
    """By hand, at sigma 2: the network sees x / sqrt(5) and ln(2) / 4; D = x / 5 - 2 / sqrt(5) v."""
    frames = range(4)
    given = denoiser(network, frames)
    x = 2.0 * frame_noise(frames, SHAPE)
    v = network.unet(
        torch.cat([x / 5**0.5, given.gray], 1)[None],
        torch.tensor([np.log(2.0) / 4], dtype=torch.float32),
        given.token,
        torch.tensor([[6.0, 127.0, 0.0]]),
        plain_routing(4),
        extra_features=network.color_network(torch.from_numpy(NIGHT.vector())[None])[:, :, None, None],
    ).sample[0]
    torch.testing.assert_close(given(x, 2.0), x / 5 - 2 / 5**0.5 * v, atol=1e-5, rtol=1e-5)
    assert MICRO == (6.0, 127.0, 0.0)


def test_guidance_leads_away_from_no_palette(network: PaletteUNet) -> None:
    given, x = denoiser(network, range(4)), 3.0 * frame_noise(range(4), SHAPE)
    with_palette, without = given(x, 3.0), given.without_palette()(x, 3.0)
    assert (with_palette - without).abs().max() > 1e-3
    torch.testing.assert_close(without, denoiser(network, range(4), None)(x, 3.0))
    for scale in (0.0, 1.0, 3.0):
        result = guided(given, given.without_palette(), scale)(x, 3.0)
        torch.testing.assert_close(result, without + scale * (with_palette - without), atol=1e-4, rtol=1e-4)


def test_other_palettes_and_gray_frames_give_other_colors(network: PaletteUNet) -> None:
    x = 3.0 * frame_noise(range(4), SHAPE)
    day = Palette(((0.9, 0.8, 0.3), (0.3, 0.6, 0.9)))
    night = denoiser(network, range(4))(x, 3.0)
    assert (denoiser(network, range(4), day)(x, 3.0) - night).abs().max() > 1e-3
    assert (denoiser(network, range(1, 5))(x, 3.0) - night).abs().max() > 1e-3


def test_a_video_of_one_window_is_colored_as_without_fusion(network: PaletteUNet) -> None:
    sigmas = edm_sigmas(3, sigma_max=20.0)
    noise = sigmas[0] * frame_noise(range(6), SHAPE)
    whole = euler(denoiser(network, range(6)), noise, sigmas)

    def window(w: FusionWindow) -> PaletteDenoiser:
        return denoiser(network, range(w.frames[0], w.frames[-1] + 1))

    assert torch.equal(euler(fused(window, plan_windows(6, window=6, overlap=2)), noise, sigmas), whole)
    longer = euler(fused(window, plan_windows(6, window=4, overlap=2)), noise, sigmas)
    assert longer.shape == whole.shape
    assert not torch.equal(longer, whole)


def test_token_is_of_the_reference_or_else_of_the_first_gray_frame() -> None:
    gray, reference = np.zeros((4, 4, 3), np.float32), np.ones((9, 7, 3), np.float32)
    assert token_picture(gray) is gray
    assert token_picture(gray, reference) is reference
