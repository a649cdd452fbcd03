from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from diffusers import AutoencoderKL
from torch import Tensor, nn

from celpaint.models.colorize_diffusion.conditions import (
    Conditions,
    Figure,
    Injected,
    Memory,
    ReferenceContext,
    SplitContext,
)
from celpaint.models.colorize_diffusion.config import FULL, SMALL, ColorizeDiffusionConfig
from celpaint.models.colorize_diffusion.encoders import BackgroundEncoder, SketchEncoder, StyleEncoder, size_label
from celpaint.models.colorize_diffusion.image_encoder import PatchTokens
from celpaint.models.colorize_diffusion.unet import UNet
from celpaint.models.colorize_diffusion.vae import SMALL_VAE
from toy_colorize import TOY, awake, toy_networks


def count(network: nn.Module, part: str = "") -> int:
    return sum(p.numel() for name, p in network.named_parameters() if part in name)


def test_full_size_has_the_official_number_of_parameters() -> None:
    with torch.device("meta"):
        unet, sketch = UNet(FULL), SketchEncoder(FULL)
        background, style = BackgroundEncoder(FULL), StyleEncoder(FULL)
    millions = {
        "LoRA": (count(unet, "lora"), 0.36),
        "injection": (count(unet, "warp_modules"), 118.1),
        "modulation": (count(unet, "style_modules"), 72.6),
        "sketch encoder": (count(sketch), 64.0),
        "background encoder": (count(background), 266.1),
        "style encoder": (count(style), 277.0),
    }
    millions["UNet"] = (count(unet) - sum(seen for seen, _ in list(millions.values())[:3]), 865.9)
    for name, (seen, wanted) in millions.items():
        assert seen / 1e6 == pytest.approx(wanted, abs=0.06), name


def test_small_size_fits_the_package() -> None:
    networks: list[nn.Module] = [kind(SMALL) for kind in (UNet, SketchEncoder, BackgroundEncoder, StyleEncoder)]
    networks += [AutoencoderKL(**SMALL_VAE), PatchTokens(SMALL.context_width)]
    assert 2 * sum(count(network) for network in networks) < 25e6


def test_config_survives_json() -> None:
    assert ColorizeDiffusionConfig.from_dict(SMALL.to_dict()) == SMALL


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"widths": (32, 40)}, "a width is 40"),
        ({"attention": (True,)}, "attention has 1 levels, wanted 2"),
        ({"sketch_stem": (8, 8)}, "sketch_stem has 2"),
    ],
)
def test_impossible_sizes_are_refused(changes: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        replace(TOY, **changes)  # type: ignore[arg-type]


def tokens(count: int, seed: int, batch: int = 1) -> Tensor:
    return torch.randn(batch, count, TOY.context_width, generator=torch.Generator().manual_seed(seed))


def conditions(latents: tuple[int, int], *, foreground: int = 5, background: int = 3) -> dict[str, Conditions]:
    """Conditions of all four modes for latents of a size."""
    nets = toy_networks()
    height, width = latents
    random = torch.Generator().manual_seed(3)
    sketch = torch.randn(1, 3, 8 * height, 8 * width, generator=random)
    mask = torch.rand(1, 1, height, width, generator=random)
    picture = torch.randn(1, 4, height, width, generator=random)
    label = size_label((100, 80), (8 * height, 8 * width), TOY.ratio_width)
    figure = Figure.from_mask(mask, 0.5, len(TOY.widths))
    with torch.no_grad():
        whole, behind = tokens(foreground, 4), tokens(background, 5)
        vanilla = Conditions(nets.sketch_encoder(sketch), ReferenceContext(whole))
        injected = Injected(nets.background_encoder(picture, label, behind), figure)
        vectors = nets.style_encoder(picture, label, whole)
    apart = replace(vanilla, context=SplitContext(whole, behind, figure), injected=injected)
    return {
        "vanilla": vanilla,
        "style": replace(vanilla, style=vectors),
        "background": apart,
        "full": replace(apart, style=vectors),
    }


@torch.inference_mode()
def run(unet: UNet, given: Conditions, latents: tuple[int, int], batch: int = 1, t: float = 312.4) -> Tensor:
    x = torch.randn(batch, 4, *latents, generator=torch.Generator().manual_seed(6))
    return unet(x, torch.tensor([t]), given).sample


SIZE = (6, 4)


def test_modes_leave_no_trace() -> None:
    """Any order of modes gives every mode the same bits, and no tensor of the network changes."""
    unet, given = awake(UNet(TOY)), conditions(SIZE)
    before = {name: run(unet, mode, SIZE) for name, mode in given.items()}
    state = {name: value.clone() for name, value in unet.state_dict().items()}
    for order in (["full", "vanilla"], ["background", "style", "vanilla"], ["style", "full", "background"]):
        for name in order:
            assert torch.equal(run(unet, given[name], SIZE), before[name])
    assert all(torch.equal(state[name], value) for name, value in unet.state_dict().items())


def test_all_four_modes_differ() -> None:
    unet = awake(UNet(TOY))
    seen = [run(unet, mode, SIZE) for mode in conditions(SIZE).values()]
    for i, first in enumerate(seen):
        for second in seen[i + 1 :]:
            assert float((first - second).abs().max()) > 1e-3


@pytest.mark.parametrize("mode", ["vanilla", "style", "background", "full"])
@pytest.mark.parametrize("latents", [(5, 7), (2, 3), (3, 8)])
def test_odd_sizes(mode: str, latents: tuple[int, int]) -> None:
    out = run(awake(UNet(TOY)), conditions(latents)[mode], latents)
    assert out.shape == (1, 4, *latents)
    assert out.isfinite().all()


@pytest.mark.parametrize("mode", ["vanilla", "full"])
def test_repeated_tokens_change_nothing(mode: str) -> None:
    """Softmax over every token twice is the same mean: the number of tokens is free, and may differ between regions."""
    unet, given = awake(UNet(TOY)), conditions(SIZE)[mode]
    context = given.context
    if isinstance(context, SplitContext):
        doubled = replace(context, background=context.background.repeat(1, 2, 1))
    else:
        assert isinstance(context, ReferenceContext)
        doubled = replace(context, tokens=context.tokens.repeat(1, 2, 1))
    torch.testing.assert_close(
        run(unet, replace(given, context=doubled), SIZE), run(unet, given, SIZE), atol=1e-5, rtol=1e-4
    )


def test_conditions_of_one_serve_a_batch() -> None:
    unet, given = awake(UNet(TOY)), conditions(SIZE)["full"]
    both = run(unet, given, SIZE, batch=2)
    x = torch.randn(2, 4, *SIZE, generator=torch.Generator().manual_seed(6))
    with torch.inference_mode():
        alone = torch.cat([unet(row, torch.tensor([312.4]), given).sample for row in x.split(1)])
    torch.testing.assert_close(both, alone, atol=1e-5, rtol=1e-4)


def test_dropped_reference_leaves_background_and_style() -> None:
    unet, full = awake(UNet(TOY)), conditions(SIZE)["full"]
    dropped = full.without_reference()
    assert dropped.injected is full.injected
    assert dropped.style is full.style
    assert isinstance(dropped.context, SplitContext)
    assert not dropped.context.foreground.any()
    assert not dropped.context.background.any()
    assert not torch.equal(run(unet, dropped, SIZE), run(unet, full, SIZE))


def test_background_features_stay_out_of_the_figure() -> None:
    """Where all is figure, injection changes nothing."""
    unet, given = awake(UNet(TOY)), conditions(SIZE)["background"]
    assert given.injected is not None
    everywhere = Figure(tuple(torch.ones_like(level) for level in given.injected.figure.levels))
    inside = replace(given, injected=replace(given.injected, figure=everywhere))
    assert torch.equal(run(unet, inside, SIZE), run(unet, replace(given, injected=None), SIZE))
    assert not torch.equal(run(unet, given, SIZE), run(unet, inside, SIZE))


def test_figure_follows_the_mask_at_every_level() -> None:
    mask = torch.zeros(1, 1, 5, 6)
    mask[..., :3] = 1
    figure = Figure.from_mask(mask, 0.5, 3)
    assert [tuple(level.shape[-2:]) for level in figure.levels] == [(5, 6), (3, 3), (2, 2)]
    assert figure.levels[0].float().equal(mask)
    assert figure.levels[1][0, 0, :, 0].all()
    assert not figure.levels[1][0, 0, :, 2].any()
    assert figure.tokens(0).shape == (1, 30, 1)


def test_value_at_the_threshold_is_background() -> None:
    assert not Figure.from_mask(torch.full((1, 1, 2, 2), 0.5), 0.5, 1).levels[0].any()


def test_strengths_reach_every_cross_attention_layer() -> None:
    unet, given = awake(UNet(TOY)), conditions(SIZE)["vanilla"]
    assert TOY.transformers == 4
    full = run(unet, given, SIZE)
    assert isinstance(given.context, ReferenceContext)
    for layer in range(4):
        strengths = tuple(0.0 if place == layer else 1.0 for place in range(4))
        assert not torch.equal(
            run(unet, replace(given, context=replace(given.context, strengths=strengths)), SIZE), full
        )
    ones = replace(given, context=replace(given.context, strengths=(1.0,) * 4))
    assert torch.equal(run(unet, ones, SIZE), full)


@torch.inference_mode()
def test_memory_of_another_picture_acts_and_fades() -> None:
    unet, given = awake(UNet(TOY)), conditions(SIZE)["vanilla"]
    x, other = (torch.randn(1, 4, *SIZE, generator=torch.Generator().manual_seed(seed)) for seed in (6, 7))
    t = torch.tensor([100.0])
    remembered = unet(other, t, given).tokens
    assert len(remembered) == TOY.transformers
    plain = unet(x, t, given).sample
    assert not torch.allclose(unet(x, t, given, Memory(remembered)).sample, plain, atol=1e-4)
    torch.testing.assert_close(unet(x, t, given, Memory(remembered, plain=1.0)).sample, plain, atol=1e-5, rtol=1e-4)


def test_recomputed_activations_give_the_same_gradients() -> None:
    given, unet = conditions(SIZE)["full"], awake(UNet(TOY)).requires_grad_(True)
    x = torch.randn(1, 4, *SIZE, generator=torch.Generator().manual_seed(6))
    gradients = []
    for recompute in (False, True):
        unet.gradient_checkpointing = recompute
        unet.zero_grad()
        unet(x, torch.tensor([10.0]), given).sample.square().sum().backward()
        gradients.append({name: p.grad for name, p in unet.named_parameters()})
    assert all(gradient is not None for gradient in gradients[0].values())
    torch.testing.assert_close(gradients[1], gradients[0])


@pytest.mark.parametrize(
    ("picture", "ratios"),
    [
        ((150, 110), (342 / 128, 250.8 / 192)),  # too small both ways: 192 rows more, aspect kept
        ((128, 192), (1.0, 1.0)),
        ((100, 400), (292 / 128, 1168 / 192)),  # too small in height only
        ((256, 96), (448 / 128, 168 / 192)),  # too small in width only
        ((300, 200), (300 / 128, 200 / 192)),
    ],
)
def test_size_label_is_the_sinusoids_of_the_ratios(picture: tuple[int, int], ratios: tuple[float, float]) -> None:
    label = size_label(picture, (128, 192), 8)
    frequencies = 10000 ** (-torch.arange(4) / 4)
    wanted = [torch.cat([(ratio * frequencies).cos(), (ratio * frequencies).sin()]) for ratio in ratios]
    torch.testing.assert_close(label, torch.cat(wanted)[None])


@pytest.mark.parametrize("latents", [(6, 4), (5, 9)])
def test_style_has_one_vector_per_decoder_block_at_any_size(latents: tuple[int, int]) -> None:
    label = size_label((9, 9), (48, 32), TOY.ratio_width)
    with torch.inference_mode():
        vectors = toy_networks().style_encoder(torch.randn(2, 4, *latents), label, tokens(5, 1))
    assert [tuple(vector.shape) for vector in vectors] == [(2, 2 * width) for width in TOY.outputs]


@pytest.mark.parametrize("shape", [(64, 64), (33, 100)])
def test_patch_tokens_follow_the_size_asked_for(shape: tuple[int, int]) -> None:
    encoder = PatchTokens(16, (8, 8, 16, 16), heads=2, size=64)
    rgb = torch.rand(2, 3, *shape)
    assert encoder(rgb).shape == (2, 16, 16)
    assert encoder(rgb, 96).shape == (2, 36, 16)
