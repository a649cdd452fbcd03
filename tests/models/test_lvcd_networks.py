from __future__ import annotations

import json
from dataclasses import replace

import pytest
import torch
from diffusers import UNetSpatioTemporalConditionModel
from hypothesis import given
from hypothesis import strategies as st

from celpaint.models.attention import training_routing
from celpaint.models.blocks import TemporalConv
from celpaint.models.image_encoder import ClipEmbedding, LatentEmbedding
from celpaint.models.lvcd.controlnet import SMALL_CONTROL, ControlNet, ControlNetConfig
from celpaint.models.lvcd.unet import SMALL, SVD, UNet, UNetConfig
from celpaint.sampling.segments import plan_segments
from toy import WITH_ATTENTION, WITHOUT, toy_config

TOY = toy_config(
    down_block_types=(WITHOUT, WITH_ATTENTION, WITHOUT), block_out_channels=(32, 32, 64), num_attention_heads=(2, 2, 4)
)
ROUTING = training_routing(3)


def inputs(batch: int = 1, height: int = 8, width: int = 8, size: int = len(ROUTING)) -> tuple[torch.Tensor, ...]:
    torch.manual_seed(1)
    return (
        torch.randn(batch, size, TOY.in_channels, height, width),
        torch.randn(batch),
        torch.randn(batch, 1, TOY.cross_attention_dim),
        torch.rand(batch, 3),
    )


@pytest.fixture(scope="module")
def unet() -> UNet:
    torch.manual_seed(0)
    return UNet(TOY).eval()


def parameters(network: torch.nn.Module) -> float:
    return sum(p.numel() for p in network.parameters()) / 1e6


def test_full_size_has_the_names_and_shapes_of_stable_video_diffusion() -> None:
    with torch.device("meta"):
        ours, theirs = UNet(SVD), UNetSpatioTemporalConditionModel(num_attention_heads=(5, 10, 20, 20))
        control = ControlNet(ControlNetConfig())
    assert {k: v.shape for k, v in ours.state_dict().items()} == {k: v.shape for k, v in theirs.state_dict().items()}
    assert parameters(ours) == pytest.approx(1524.6, abs=0.05)
    assert parameters(control) == pytest.approx(682.0, abs=0.05)


def test_public_config_is_understood() -> None:
    with torch.device("meta"):
        public = dict(UNetSpatioTemporalConditionModel(num_attention_heads=(5, 10, 20, 20)).config)
    assert UNetConfig.from_dict(json.loads(json.dumps(public, default=list))) == SVD


def test_small_is_small() -> None:
    with torch.device("meta"):
        assert parameters(UNet(SMALL)) + parameters(ControlNet(SMALL_CONTROL)) < 30
    assert SMALL_CONTROL.unet == SMALL


@pytest.mark.parametrize("config", [SVD, SMALL, TOY])
def test_config_survives_json(config: UNetConfig) -> None:
    assert UNetConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config


def test_control_config_survives_json() -> None:
    assert ControlNetConfig.from_dict(json.loads(json.dumps(SMALL_CONTROL.to_dict()))) == SMALL_CONTROL


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"block_out_channels": (32, 64)}, "levels"),
        ({"down_block_types": ("A", "B", "C")}, "wanted CrossAttn"),
        ({"block_out_channels": (32, 32, 40)}, "multiple of 32"),
        ({"num_attention_heads": (2, 2, 3)}, "3 heads"),
    ],
)
def test_contradicting_sizes_are_refused(change: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        replace(TOY, **change)  # type: ignore[arg-type]


def test_untrained_control_changes_nothing(unet: UNet) -> None:
    control = ControlNet.from_unet(unet, conditioning_channels=1, conditioning_embedding_out_channels=(4, 8))
    given = (*inputs(), ROUTING)
    sides = control(*given, control.hint(torch.rand(1, len(ROUTING), 1, 16, 16)))
    assert all(not side.any() for side in sides)
    torch.testing.assert_close(unet(*given, sides).sample, unet(*given).sample)
    torch.testing.assert_close(control.down_blocks.state_dict(), unet.down_blocks.state_dict())


@pytest.mark.parametrize(("height", "width"), [(8, 8), (5, 9), (7, 4)])
def test_any_size_of_latents(unet: UNet, height: int, width: int) -> None:
    out = unet(*inputs(height=height, width=width), ROUTING).sample
    assert out.shape == (1, len(ROUTING), TOY.out_channels, height, width)


def test_clips_of_a_batch_do_not_mix(unet: UNet) -> None:
    both = inputs(batch=2)
    out = unet(*both, ROUTING).sample
    for i in range(2):
        torch.testing.assert_close(out[i], unet(*(x[i : i + 1] for x in both), ROUTING).sample[0], atol=2e-5, rtol=1e-4)


def test_gain_reaches_all_but_the_last_block() -> None:
    torch.manual_seed(0)
    routing = plan_segments(40, overlap=4)[1].routing
    deep = UNet(replace(TOY, down_block_types=("DownBlockSpatioTemporal",) * 2 + (TOY.down_block_types[1],))).eval()
    shallow = UNet(replace(TOY, down_block_types=(TOY.down_block_types[1],) + ("DownBlockSpatioTemporal",) * 2)).eval()
    given = inputs(size=len(routing))
    for net in (deep, shallow):
        with_gain, without = (net(*given, r).sample for r in (routing, routing.even))
        assert (with_gain - without).abs().max() > 1e-6
    top = {
        name for name, m in shallow.named_modules() if name.startswith("up_blocks.2.attentions") and hasattr(m, "attn1")
    }
    assert top  # it has such layers, and they are given the routing without gain
    seen = []
    for block in (shallow.down_blocks[0], shallow.up_blocks[2]):
        block.attentions[0].register_forward_pre_hook(lambda module, args: seen.append(args[2].gain))
    shallow(*given, routing)
    assert seen == [routing.gain, routing.even.gain]


def test_matching_of_every_layer(unet: UNet) -> None:
    given = (*inputs(), ROUTING)
    plain = unet(*given)
    assert plain.matching is None
    for layer in range(unet.attention_layers):
        out = unet(*given, matching=layer)
        assert out.matching is not None
        batch, frames, _, asked, answered = out.matching.shape
        assert (batch, frames) == (1, 3)
        assert asked == answered
        torch.testing.assert_close(out.sample, plain.sample)
    with pytest.raises(ValueError, match="attention layer 9"):
        unet(*given, matching=9)


def test_matching_can_be_supervised(unet: UNet) -> None:
    net = UNet(TOY)
    out = net(*inputs(), ROUTING, matching=0)
    assert out.matching is not None
    out.matching.square().mean().backward()
    assert net.down_blocks[1].attentions[0].transformer_blocks[0].attn1.to_q.weight.grad.abs().sum() > 0


def test_checkpointing_gives_the_same_gradients() -> None:
    torch.manual_seed(0)
    net = UNet(TOY)
    grads = []
    for net.gradient_checkpointing in (False, True):
        net.zero_grad()
        net(*inputs(), ROUTING).sample.square().mean().backward()
        grads.append({name: p.grad.clone() for name, p in net.named_parameters() if p.grad is not None})
    torch.testing.assert_close(grads[0], grads[1])


def test_window_and_routing_must_agree(unet: UNet) -> None:
    with pytest.raises(ValueError, match="5 positions"):
        unet(*inputs(size=5), ROUTING)


@given(st.integers(0, 3), st.integers(1, 5))
def test_temporal_convolution_of_frames_is_that_of_torch(references: int, frames: int) -> None:
    torch.manual_seed(0)
    conv = TemporalConv(4, 6)
    x = torch.randn(1, 4, references + frames, 5)
    out = conv(x, references)
    plain = torch.nn.Conv3d.forward
    torch.testing.assert_close(out[:, :, references:], plain(conv, x[:, :, references:, :, None])[..., 0])
    for r in range(references):
        torch.testing.assert_close(out[:, :, r : r + 1], plain(conv, x[:, :, r : r + 1, :, None])[..., 0])


def test_latent_embedding_is_one_token_of_any_size() -> None:
    embed = LatentEmbedding(4, 16)
    assert embed(torch.randn(2, 4, 9, 5)).shape == (2, 1, 16)
    assert LatentEmbedding.from_dict(embed.to_dict()).state_dict().keys() == embed.state_dict().keys()


def test_clip_embedding_sees_the_whole_picture() -> None:
    from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

    torch.manual_seed(0)
    config = CLIPVisionConfig(
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=1,
        num_attention_heads=2,
        image_size=28,
        patch_size=14,
        projection_dim=16,
    )
    embed = ClipEmbedding(CLIPVisionModelWithProjection(config).eval())
    picture = torch.rand(1, 3, 60, 100) * 2 - 1
    token = embed(picture)
    assert token.shape == (1, 1, 16)
    flipped = embed(picture.flip(-1))
    assert (token - flipped).abs().max() > 1e-4
    gray = torch.zeros(1, 3, 60, 100)
    torch.testing.assert_close(embed(gray), embed(gray[..., :40]))  # a plain picture is plain at any size


@pytest.mark.slow
def test_compiles_as_one_graph_for_all_segments(unet: UNet) -> None:
    control = ControlNet.from_unet(unet, conditioning_channels=1, conditioning_embedding_out_channels=(4, 8)).eval()
    _, second, third = plan_segments(30)[:3]
    size = len(second.routing)
    with torch.no_grad():
        hint = control.hint(torch.rand(1, size, 1, 16, 16))
    torch._dynamo.reset()
    compiled = torch.compile(control, backend="eager", fullgraph=True)
    with torch.no_grad(), torch._dynamo.config.patch(error_on_recompile=True):
        for segment in (second, third):
            given = (*inputs(size=size), segment.routing, hint)
            torch.testing.assert_close(compiled(*given), control(*given))
    torch._dynamo.reset()
