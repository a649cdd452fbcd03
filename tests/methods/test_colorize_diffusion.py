"""Pictures and modes -> conditions -> guided denoising."""

from __future__ import annotations

from dataclasses import replace
from itertools import permutations

import pytest
import torch
from torch import Tensor

from celpaint.methods.colorize_diffusion.conditioning import Controls, Mode, blank_hints, condition, sketch_hints
from celpaint.methods.colorize_diffusion.denoising import AttentionInjection, Denoiser, Guidance, guided
from celpaint.methods.colorize_diffusion.networks import Networks
from celpaint.methods.colorize_diffusion.pictures import (
    blank_sketch,
    dilate,
    fit_sketch,
    latent_mask,
    pad_sides,
    without_figure,
)
from celpaint.methods.colorize_diffusion.semantics import AttentionScales, Encoded, Intended, Official
from celpaint.models.colorize_diffusion.conditions import Conditions, ReferenceContext, SplitContext
from celpaint.models.colorize_diffusion.config import FULL
from celpaint.sampling.discrete import scaled_linear
from celpaint.sampling.parameterization import Parameterization, velocity
from celpaint.sampling.samplers import SAMPLERS
from celpaint.sampling.solvers import Denoise
from toy_colorize import TOY, toy_networks, toy_pictures, with_background

LEVELS = scaled_linear()
V = Parameterization(velocity, LEVELS)


@pytest.fixture(scope="module")
def networks() -> Networks:
    return toy_networks()


def made(networks: Networks, **changes: object) -> Conditions:
    """Conditions of mode full, or as changed."""
    arguments: dict[str, object] = {"pictures": toy_pictures(), "mode": Mode.FULL, **changes}
    with torch.inference_mode():
        return condition(networks, **arguments)  # type: ignore[arg-type]


def noise(*shape: int, seed: int = 9) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


@torch.inference_mode()
def sampled(networks: Networks, given: Conditions, guidance: Guidance = Guidance(3.0, 1.5)) -> Tensor:  # noqa: B008
    sampler = SAMPLERS["dpmpp_2m"]
    sigmas = sampler.sigmas(LEVELS, 2)
    denoise = guided(Denoiser(networks.unet, V, given), guidance, blank_hints(networks, (64, 48)))
    return sampler.solver(pytest.fail)(denoise, noise(1, 4, 8, 6) * (1 + sigmas[0] ** 2) ** 0.5, sigmas)


def test_any_order_of_modes_gives_the_same_results(networks: Networks) -> None:
    results = {mode: sampled(networks, made(networks, mode=mode)) for mode in Mode}
    for order in list(permutations(Mode))[::5]:
        for mode in order:
            assert torch.equal(sampled(networks, made(networks, mode=mode)), results[mode])
    assert not torch.allclose(results[Mode.VANILLA], results[Mode.BACKGROUND], atol=1e-3)


@pytest.mark.parametrize(
    ("mode", "split", "injected", "styled"),
    [
        (Mode.VANILLA, False, False, False),
        (Mode.STYLE, False, False, True),
        (Mode.BACKGROUND, True, True, False),
        (Mode.FULL, True, True, True),
    ],
)
def test_each_mode_uses_its_parts(networks: Networks, mode: Mode, split: bool, injected: bool, styled: bool) -> None:
    given = made(networks, mode=mode)
    assert isinstance(given.context, SplitContext if split else ReferenceContext)
    assert (given.injected is not None, given.style is not None) == (injected, styled)


class Sampled(Intended):
    """Latents are samples of the autoencoder's posterior, as in the official program."""

    def posterior_noise(self, picture: Encoded, shape: tuple[int, ...]) -> Tensor:  # type: ignore[override]
        return noise(*shape)


def test_results_are_the_same_every_time(networks: Networks) -> None:
    """The autoencoder's mean is taken; the official program draws a random sample."""
    first, second = made(networks), made(networks)
    assert first.style is not None
    assert second.style is not None
    for a, b in zip(first.style, second.style, strict=True):
        assert torch.equal(a, b)
    sampled_style = made(networks, semantics=Sampled()).style
    assert sampled_style is not None
    assert not torch.allclose(sampled_style[0], first.style[0], atol=1e-3)


def test_background_tokens_are_those_of_the_masked_reference(networks: Networks) -> None:
    pictures = toy_pictures()
    assert pictures.reference is not None
    assert pictures.reference_mask is not None
    given = made(networks, mode=Mode.BACKGROUND)
    assert isinstance(given.context, SplitContext)
    with torch.inference_mode():
        masked = networks.image_encoder(without_figure(pictures.reference, pictures.reference_mask, 0.5))
        torch.testing.assert_close(given.context.background, masked)
        torch.testing.assert_close(given.context.foreground, networks.image_encoder(pictures.reference))


def test_background_picture_takes_the_place_of_the_masked_reference(networks: Networks) -> None:
    pictures = with_background(toy_pictures())
    given = made(networks, pictures=pictures, mode=Mode.BACKGROUND)
    assert isinstance(given.context, SplitContext)
    with torch.inference_mode():
        torch.testing.assert_close(given.context.background, networks.image_encoder(pictures.background))
    mask = torch.zeros(1, 1, 80, 60)
    mask[..., 20:40, 20:40] = 1
    removed = made(networks, pictures=replace(pictures, background_mask=mask), mode=Mode.BACKGROUND)
    assert isinstance(removed.context, SplitContext)
    assert not torch.equal(removed.context.background, given.context.background)


def test_merge_mixes_the_styles_of_both_pictures(networks: Networks) -> None:
    pictures = with_background(toy_pictures())
    vectors = [
        made(networks, pictures=pictures, mode=Mode.STYLE, controls=Controls(merge=merge)).style
        for merge in (0.0, 0.25, 1.0)
    ]
    only = made(networks, pictures=replace(pictures, reference=pictures.background, background=None), mode=Mode.STYLE)
    for none, some, all_of_it, alone in zip(*vectors, only.style, strict=True):  # type: ignore[arg-type]
        torch.testing.assert_close(some, 0.75 * none + 0.25 * all_of_it, atol=1e-5, rtol=1e-4)
        torch.testing.assert_close(all_of_it, alone, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("mode", Mode)
@pytest.mark.parametrize("lacking", ["sketch", "figure", "reference", "reference_mask"])
@pytest.mark.parametrize("background", [False, True])
def test_pictures_may_be_missing(networks: Networks, mode: Mode, lacking: str, background: bool) -> None:
    pictures = replace(toy_pictures(), **{lacking: None})
    given = made(networks, pictures=with_background(pictures) if background else pictures, mode=mode)
    assert sampled(networks, given).isfinite().all()


@torch.inference_mode()
def test_networks_run_in_half_precision() -> None:
    networks = toy_networks()
    for name in ("unet", "sketch_encoder", "background_encoder", "style_encoder", "vae"):
        getattr(networks, name).to(torch.bfloat16)
    given = condition(networks, with_background(toy_pictures()), Mode.FULL, Controls(merge=0.3))
    out = sampled(networks, given)
    assert out.dtype == torch.float32
    wanted = sampled(
        toy_networks(), condition(toy_networks(), with_background(toy_pictures()), Mode.FULL, Controls(merge=0.3))
    )
    assert float((out - wanted).abs().mean()) < 0.05 * float(wanted.std())


def test_missing_sketch_is_empty_paper(networks: Networks) -> None:
    given = made(networks, pictures=replace(toy_pictures(), sketch=None))
    for hint, blank in zip(given.hints, blank_hints(networks, (64, 48)), strict=True):
        torch.testing.assert_close(hint, blank)


def test_missing_reference_has_no_influence(networks: Networks) -> None:
    """Tokens of zeros make zero values, as in the passes without reference."""
    given = made(networks, pictures=replace(toy_pictures(), reference=None), mode=Mode.VANILLA)
    dropped = made(networks, mode=Mode.VANILLA).without_reference()
    torch.testing.assert_close(sampled(networks, given), sampled(networks, dropped))


def test_factor_scales_the_background_features(networks: Networks) -> None:
    once, twice = made(networks), made(networks, controls=Controls(background_features=2.0))
    assert once.injected is not None
    assert twice.injected is not None
    for a, b in zip(once.injected.features, twice.injected.features, strict=True):
        torch.testing.assert_close(2 * a, b)


class TestScales:
    """How strongly the reference acts."""

    def test_every_layer_of_the_full_network_is_reached(self) -> None:
        scales = AttentionScales(reference=0.5, encoder=0.2, semantics=0.4, color=0.8)
        assert Intended().strengths(scales, FULL) == pytest.approx((0.1,) * 6 + (0.2,) * 4 + (0.4,) * 6)

    def test_official_program_overwrites_and_skips(self) -> None:
        official = Official(lambda picture, shape: noise(*shape))
        scales = AttentionScales(reference=0.5, encoder=0.2, semantics=0.4, color=0.8)
        wanted = (0.1, 0.1, 0.4, 0.4, 0.2, 0.2, 1, 0.2, 0.2, 0.2, 0.4, 0.4, 0.4, 1, 1, 1)
        assert official.strengths(scales, FULL) == pytest.approx(wanted)

    def test_single_layers(self) -> None:
        layers = tuple(i / 16 for i in range(16))
        official = Official(lambda picture, shape: noise(*shape))
        assert Intended().strengths(AttentionScales(layers=layers), FULL) == layers
        assert official.strengths(AttentionScales(layers=layers), FULL) == (*layers[1:], 1.0)

    def test_wrong_number_of_layers_is_refused(self) -> None:
        with pytest.raises(ValueError, match="3 layer scales, wanted 16"):
            Intended().strengths(AttentionScales(layers=(1.0,) * 3), FULL)
        with pytest.raises(ValueError, match="4 cross-attention layers, wanted 16"):
            Official(lambda picture, shape: noise(*shape)).strengths(AttentionScales(), TOY)


class TestBackgroundEncoder:
    """Which tokens it attends to."""

    REFERENCE, BACKGROUND = torch.zeros(1, 2, 3), torch.ones(1, 2, 3)

    @pytest.mark.parametrize("styled", [False, True])
    def test_own_tokens_with_and_without_style(self, styled: bool) -> None:
        assert Intended().encoder_tokens(self.REFERENCE, self.BACKGROUND, styled) is self.BACKGROUND
        assert Intended().encoder_tokens(self.REFERENCE, None, styled) is self.REFERENCE

    def test_official_program_takes_the_reference_when_styled(self) -> None:
        official = Official(lambda picture, shape: noise(*shape))
        assert official.encoder_tokens(self.REFERENCE, self.BACKGROUND, True) is self.REFERENCE
        assert official.encoder_tokens(self.REFERENCE, self.BACKGROUND, False) is self.BACKGROUND


class TestGuidance:
    """Guidance by reference and sketch, and its limits."""

    SIGMA = LEVELS.sigma(500)

    def answers(self, networks: Networks, guidance: Guidance, given: Conditions) -> Tensor:
        with torch.inference_mode():
            denoise = guided(Denoiser(networks.unet, V, given), guidance, blank_hints(networks, (64, 48)))
            return denoise(noise(1, 4, 8, 6), self.SIGMA)

    def branch(self, networks: Networks, given: Conditions) -> Tensor:
        with torch.inference_mode():
            return Denoiser(networks.unet, V, given)(noise(1, 4, 8, 6), self.SIGMA)

    def test_formula(self, networks: Networks) -> None:
        given = made(networks)
        c = self.branch(networks, given)
        without_reference = self.branch(networks, given.without_reference())
        with torch.inference_mode():
            blank = blank_hints(networks, (64, 48))
        without_sketch = self.branch(networks, given.with_hints(blank))
        torch.testing.assert_close(self.answers(networks, Guidance(1, 1), given), c)
        by_reference = without_reference + 4 * (c - without_reference)
        by_sketch = without_sketch + 1.5 * (c - without_sketch)
        torch.testing.assert_close(self.answers(networks, Guidance(4, 1), given), by_reference)
        torch.testing.assert_close(self.answers(networks, Guidance(1, 1.5), given), by_sketch)
        torch.testing.assert_close(self.answers(networks, Guidance(4, 1.5), given), (by_reference + by_sketch) / 2)

    def test_limits_are_shares_of_the_timesteps(self) -> None:
        def constant(value: float) -> Denoise:
            return lambda x, sigma, /: torch.full_like(x, value)

        denoise = Intended().limit(constant(1.0), constant(0.0), LEVELS, 0.2, 0.6)
        times = [999, 810, 799, 500, 400, 390, 0]
        assert [float(denoise(torch.zeros(1), LEVELS.sigma(t))) for t in times] == [0, 0, 1, 1, 1, 0, 0]
        inside = constant(1.0)
        assert Intended().limit(inside, constant(0.0), LEVELS, 0.0, 1.0) is inside
        official = Official(lambda picture, shape: noise(*shape))
        assert official.limit(inside, constant(0.0), LEVELS, 0.2, 0.6) is inside


@torch.inference_mode()
def test_injected_picture_acts_below_its_highest_level_only(networks: Networks) -> None:
    given = made(networks, mode=Mode.VANILLA)
    drawn: list[float] = []

    def fresh(sigma: float) -> Tensor:
        drawn.append(sigma)
        return noise(1, 4, 8, 6, seed=3)

    picture = AttentionInjection(
        latents=noise(1, 4, 8, 6, seed=2),
        hints=sketch_hints(networks, noise(1, 3, 64, 48, seed=1), 0.4),
        noise=fresh,
        highest=2.0,
    )
    plain = Denoiser(networks.unet, V, given)
    seeing = replace(plain, injection=picture)
    x = noise(1, 4, 8, 6)
    assert torch.equal(seeing(x, 2.1), plain(x, 2.1))
    assert not torch.allclose(seeing(x, 2.0), plain(x, 2.0), atol=1e-4)
    assert drawn == [2.0]


class TestPictures:
    """Pictures as the networks want them."""

    def test_sketch_is_enlarged_and_centered_on_paper(self) -> None:
        canvas = fit_sketch(torch.ones(1, 1, 10, 20), (64, 64))
        assert canvas.shape == (1, 3, 64, 64)
        assert (canvas[..., 16:48, :] > 0.99).all()
        assert (canvas[..., :16, :] == -1).all()
        assert (canvas[..., 48:, :] == -1).all()

    def test_large_sketch_is_reduced_with_sides_rounded_down(self) -> None:
        """64 / 100 of 127 is 81.28: 81 columns, 23 of 128 left over, 23 of them on either side rounded down."""
        canvas = fit_sketch(torch.ones(1, 1, 100, 127), (64, 128))
        inked = (canvas[0, 0, 32] > 0).nonzero().flatten()
        assert (int(inked[0]), int(inked[-1])) == (23, 103)

    def test_thin_lines_survive_reduction(self) -> None:
        """Without antialiasing a line one pixel wide would vanish between samples."""
        lines = torch.zeros(1, 1, 256, 256)
        lines[..., 101] = 1
        canvas = fit_sketch(lines, (64, 64))
        assert float((canvas[0, 0] + 1).sum(1).mean()) == pytest.approx(0.5, abs=0.01)  # a quarter of a pixel, from -1

    def test_figure_becomes_white(self) -> None:
        mask = torch.tensor([[[[0.0, 0.49, 0.5, 1.0]]]])
        out = without_figure(torch.zeros(1, 3, 1, 4), mask, 0.5)
        assert out[0, 0, 0].tolist() == [0, 0, 1, 1]

    def test_white_is_added_at_both_sides(self) -> None:
        out = pad_sides(torch.zeros(1, 3, 2, 10), 1.5)
        assert out.shape == (1, 3, 2, 15)
        assert out[0, 0, 0].tolist() == [1] * 2 + [0] * 10 + [1] * 3

    def test_masks_grow_by_half_the_window(self) -> None:
        mask = torch.zeros(1, 1, 21, 21)
        mask[..., 10, 10] = 1
        assert float(dilate(mask).sum()) == 11 * 11

    def test_latent_mask_has_the_size_of_the_latents(self) -> None:
        assert latent_mask(torch.ones(1, 1, 40, 56), 8).shape == (1, 1, 5, 7)
        torch.testing.assert_close(latent_mask(torch.ones(1, 1, 40, 56), 8), torch.ones(1, 1, 5, 7))

    def test_blank_sketch_is_paper(self) -> None:
        assert torch.equal(blank_sketch((8, 16)), fit_sketch(torch.zeros(1, 1, 8, 16), (8, 16)))
