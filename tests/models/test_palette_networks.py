from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from diffusers import UNetSpatioTemporalConditionModel
from torch import Tensor

from celpaint.models.attention import training_routing
from celpaint.models.image_encoder import LatentEmbedding
from celpaint.models.line_vae import LineVAE
from celpaint.models.lvcd.controlnet import ControlNet
from celpaint.models.lvcd.unet import SVD, UNet
from celpaint.models.palette.color_network import ColorNetwork, replicated
from celpaint.models.palette.training import TokenSource, draw_dropped, draw_token_sources, select_tokens
from celpaint.models.palette.unet import FULL, SMALL, SMALL_AUTOENCODER, PaletteConfig, PaletteUNet, plain_routing
from celpaint.sampling.segments import plan_segments
from toy import WITH_ATTENTION, WITHOUT, toy_config, toy_controlnet

TOY = PaletteConfig(unet=toy_config())
T = 4


def inputs(batch: int = 1, height: int = 8, width: int = 8, frames: int = T) -> tuple[Tensor, ...]:
    torch.manual_seed(1)
    latents = (batch, frames, TOY.unet.out_channels, height, width)
    return (
        torch.randn(latents),
        torch.randn(latents),
        torch.randn(batch),
        torch.randn(batch, 1, TOY.unet.cross_attention_dim),
        torch.rand(batch, 3),
    )


def palettes(batch: int = 1) -> Tensor:
    return torch.rand(batch, 15, generator=torch.Generator().manual_seed(5)) * 2 - 1


def trained(network: ColorNetwork) -> ColorNetwork:
    """As if it had been trained: nothing in it is zero."""
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return network


@pytest.fixture
def model() -> PaletteUNet:
    torch.manual_seed(0)
    return PaletteUNet(TOY).eval()


def megabytes(*networks: torch.nn.Module) -> float:
    """In half precision."""
    return sum(2 * t.numel() for network in networks for t in network.state_dict().values()) / 1e6


# -------------------------------------------------------------------------------------------- sizes and foreign weights


def test_full_size_takes_the_tensors_of_stable_video_diffusion_and_adds_a_small_color_network() -> None:
    with torch.device("meta"):
        ours, theirs = PaletteUNet(FULL), UNetSpatioTemporalConditionModel(num_attention_heads=(5, 10, 20, 20))
    assert {k: v.shape for k, v in ours.unet.state_dict().items()} == {
        k: v.shape for k, v in theirs.state_dict().items()
    }
    assert {k: tuple(v.shape) for k, v in ours.color_network.state_dict().items()} == {
        "null": (320,),
        "layers.0.weight": (320, 15),
        "layers.0.bias": (320,),
        "layers.2.weight": (320, 320),
        "layers.2.bias": (320,),
    }


def test_small_fits_into_15_megabytes_with_everything_it_needs() -> None:
    with torch.device("meta"):
        parts = PaletteUNet(SMALL), LineVAE(SMALL_AUTOENCODER), LatentEmbedding(8, SMALL.unet.cross_attention_dim)
    assert megabytes(*parts) < 15
    assert SMALL_AUTOENCODER.latent_channels == SMALL.unet.out_channels


def test_latents_in_and_out_must_agree() -> None:
    with pytest.raises(ValueError, match="8 channels in and 8 out, wanted twice as many in"):
        PaletteConfig(unet=replace(SVD, out_channels=8))


def test_weights_are_taken_strictly(model: PaletteUNet) -> None:
    tensors = UNet(TOY.unet).state_dict()
    model.load_svd(tensors)
    for key, value in model.unet.state_dict().items():
        assert torch.equal(value, tensors[key])
    missing = dict(tensors)
    del missing["conv_in.weight"]
    for wrong in (missing, {**tensors, "other": torch.zeros(1)}, {**tensors, "conv_in.bias": torch.zeros(1)}):
        with pytest.raises(RuntimeError):
            model.load_svd(wrong)


@torch.no_grad()
def test_with_an_untrained_color_network_it_is_stable_video_diffusion_bit_for_bit(model: PaletteUNet) -> None:
    unet = UNet(TOY.unet).eval()
    model.load_svd(unet.state_dict())
    noisy, gray, *more = inputs(batch=2)
    wanted = unet(torch.cat([noisy, gray], 2), *more, plain_routing(T)).sample
    for palette in (palettes(2), None):
        assert torch.equal(model(noisy, gray, *more, palette), wanted)


@torch.no_grad()
def test_it_answers_as_diffusers_does() -> None:
    """Stable Video Diffusion in diffusers, at toy size, given latents of its own for every frame."""
    torch.manual_seed(0)
    config = replace(
        TOY.unet, down_block_types=(WITH_ATTENTION, WITHOUT), block_out_channels=(32, 64), num_attention_heads=(2, 4)
    )
    theirs = UNetSpatioTemporalConditionModel(
        in_channels=config.in_channels,
        out_channels=config.out_channels,
        down_block_types=config.down_block_types,
        up_block_types=("UpBlockSpatioTemporal", "CrossAttnUpBlockSpatioTemporal"),
        block_out_channels=config.block_out_channels,
        layers_per_block=config.layers_per_block,
        num_attention_heads=config.num_attention_heads,
        cross_attention_dim=config.cross_attention_dim,
        addition_time_embed_dim=config.addition_time_embed_dim,
        projection_class_embeddings_input_dim=config.projection_class_embeddings_input_dim,
    ).eval()
    model = PaletteUNet(PaletteConfig(unet=config)).eval()
    model.load_svd(theirs.state_dict())
    noisy, gray, noise, token, micro = inputs()
    wanted = theirs(torch.cat([noisy, gray], 2), noise[0], token, micro).sample
    torch.testing.assert_close(model(noisy, gray, noise, token, micro, palettes()), wanted, atol=1e-4, rtol=1e-4)


# ------------------------------------------------------------------------------------------------- equations 2, 3 and 4


def seen_by_first_layers(model: PaletteUNet, *arguments: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
    """Input and output of the first convolution, and what the first block is given."""
    seen: list[Tensor] = []
    hooks = [
        model.unet.conv_in.register_forward_hook(lambda _, given, out: seen.extend([given[0], out])),
        model.unet.down_blocks[0].resnets[0].register_forward_pre_hook(lambda _, given: seen.append(given[0])),
    ]
    with torch.no_grad():
        model(*arguments)
    for hook in hooks:
        hook.remove()
    return seen[0], seen[1], seen[2]


def test_noisy_latents_stand_before_gray_ones(model: PaletteUNet) -> None:
    noisy, gray, *more = inputs(batch=2)
    joined, _, _ = seen_by_first_layers(model, noisy, gray, *more, palettes(2))
    channels = TOY.unet.out_channels
    assert torch.equal(joined[:, :channels], noisy.flatten(0, 1))
    assert torch.equal(joined[:, channels:], gray.flatten(0, 1))


def test_the_color_embedding_is_added_to_every_place_of_every_frame(model: PaletteUNet) -> None:
    trained(model.color_network)
    palette = palettes(2)
    _, before, after = seen_by_first_layers(model, *inputs(batch=2), palette)
    first, _, last = model.color_network.layers
    hidden = palette @ first.weight.T + first.bias
    embedding = (hidden * hidden.sigmoid()) @ last.weight.T + last.bias
    wanted = before.unflatten(0, (2, T)) + embedding[:, None, :, None, None]
    torch.testing.assert_close(after.unflatten(0, (2, T)), wanted)


def test_without_a_palette_the_null_embedding_is_added(model: PaletteUNet) -> None:
    trained(model.color_network)
    _, before, after = seen_by_first_layers(model, *inputs(), None)
    torch.testing.assert_close(
        after - before, model.color_network.null[:, None, None].expand_as(before), atol=1e-5, rtol=0
    )


def test_the_embedding_is_the_same_whatever_the_window(model: PaletteUNet) -> None:
    trained(model.color_network)
    found = []
    for frames, size in ((2, 8), (5, 6)):
        _, before, after = seen_by_first_layers(model, *inputs(frames=frames, height=size), palettes())
        found.append((after - before).mean((0, 2, 3)))
    torch.testing.assert_close(found[0], found[1], atol=1e-6, rtol=1e-5)


@torch.no_grad()
def test_a_trained_palette_changes_the_answer(model: PaletteUNet) -> None:
    given = inputs()
    before = model(*given, palettes())
    trained(model.color_network)
    assert (model(*given, palettes()) - before).abs().max() > 1e-3
    assert (model(*given, palettes()) - model(*given, -palettes())).abs().max() > 1e-3


@pytest.mark.parametrize(("height", "width"), [(8, 8), (5, 9), (7, 4)])
@torch.no_grad()
def test_any_size_of_latents(model: PaletteUNet, height: int, width: int) -> None:
    assert model(*inputs(height=height, width=width), palettes()).shape == (1, T, 4, height, width)


# ---------------------------------------------------------------------------------------------------- dropout, training


def test_dropped_palettes_are_the_null_embedding() -> None:
    network = trained(ColorNetwork(5, 16))
    palette = palettes(3)
    mixed = network(palette, torch.tensor([False, True, False]))
    assert torch.equal(mixed[1], network.null)
    assert torch.equal(mixed[[0, 2]], network(palette)[[0, 2]])
    assert torch.equal(network.without_palette(3)[2], network.null)


def test_palettes_of_another_size_are_refused() -> None:
    with pytest.raises(ValueError, match="palettes of 9 numbers, wanted 5 colors of 3"):
        ColorNetwork(5, 16)(torch.zeros(1, 9))


def test_color_network_survives_json() -> None:
    network = ColorNetwork(7, 16)
    copy = ColorNetwork.from_dict(network.to_dict())
    copy.load_state_dict(network.state_dict(), strict=True)
    assert (copy.colors, copy.width) == (7, 16)


def test_training_reaches_the_zero_layer_and_the_null_embedding(model: PaletteUNet) -> None:
    model.train()
    model(*inputs(batch=2), palettes(2), torch.tensor([False, True])).square().mean().backward()
    last = model.color_network.layers[-1]
    for parameter in (last.weight, last.bias, model.color_network.null):
        assert parameter.grad is not None
        assert parameter.grad.abs().sum() > 0


def test_shares_of_training() -> None:
    random = torch.Generator().manual_seed(0)
    sources = draw_token_sources(20_000, random)
    found = [(sources == source).float().mean() for source in TokenSource]
    torch.testing.assert_close(torch.stack(found), torch.tensor([0.5, 0.4, 0.1]), atol=0.015, rtol=0)
    assert float(draw_dropped(20_000, random).float().mean()) == pytest.approx(0.1, abs=0.01)


def test_tokens_are_selected_by_source() -> None:
    color, gray = torch.full((3, 1, 4), 1.0), torch.full((3, 1, 4), 2.0)
    sources = torch.tensor([TokenSource.GRAY, TokenSource.NOTHING, TokenSource.COLOR])
    assert select_tokens(sources, color, gray)[:, 0, 0].tolist() == [2, 0, 1]


# ------------------------------------------------------------------------------------------------- the branch for LVCD


@torch.no_grad()
@pytest.mark.parametrize("routing", [training_routing(3), plan_segments(40, overlap=4)[1].routing])
def test_an_untrained_branch_does_not_move_the_numbers_of_lvcd(routing: object) -> None:
    torch.manual_seed(0)
    unet = UNet(TOY.unet).eval()
    control = toy_controlnet(unet)
    trained(control)  # type: ignore[arg-type]
    size = len(routing)  # type: ignore[arg-type]
    noisy, gray, *more = inputs(frames=size)
    given = (torch.cat([noisy, gray], 2), *more, routing)
    sides = ControlNet.forward(control, *given, control.hint(torch.rand(1, size, 1, 64, 64)))
    branch = ColorNetwork(5, TOY.unet.block_out_channels[0])
    wanted = unet(*given, sides).sample
    for embedding in (branch(palettes()), branch.without_palette(1)):
        assert torch.equal(unet(*given, sides, extra_features=replicated(embedding, size)).sample, wanted)
    moved = unet(*given, sides, extra_features=replicated(trained(branch)(palettes()), size)).sample
    assert (moved - wanted).abs().max() > 1e-3
