"""Official names -> ours: nothing lost, nothing invented, sizes read from shapes."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from rule import weight, weights
from torch import Tensor
from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

from celpaint.errors import WeightsError
from celpaint.methods.lvcd.convert import keys as lvcd
from celpaint.methods.lvcd.weights import Networks
from celpaint.models.lvcd.controlnet import ControlNetConfig
from celpaint.models.lvcd.unet import SVD, UNetConfig
from celpaint.weights.convert import svd
from celpaint.weights.store import load_network

TOY = {"block_out_channels": (32, 64, 128, 128), "num_attention_heads": (2, 4, 8, 8), "cross_attention_dim": 64}


def test_sizes_are_read_from_shapes() -> None:
    assert svd.unet_config(weights(svd.UNET)) == UNetConfig(**TOY)
    assert lvcd.controlnet_config(weights(lvcd.CONTROL)) == ControlNetConfig(**TOY)
    assert svd.unet_config(weights(svd.UNET), head_width=8).num_attention_heads == (4, 8, 16, 16)


def test_sizes_of_stable_video_diffusion_itself() -> None:
    """Its tensors are those of the toy, each channel count as much larger."""
    wide = {32: 320, 64: 640, 128: 1280}
    full = {
        name: torch.empty([wide.get(s, s) for s in t.shape], device="meta") for name, t in weights(svd.UNET).items()
    }
    name = "middle_block.1.transformer_blocks.0.attn2.to_k.weight"
    full[name] = torch.empty(1280, 1024, device="meta")
    assert svd.unet_config(full) == SVD


def test_every_tensor_has_its_own_place() -> None:
    for official, table in ((svd.UNET, svd.unet_tensors), (lvcd.CONTROL, lvcd.controlnet_tensors)):
        tensors = weights(official)
        assert len(table(tensors)) == len(tensors)


def test_an_lvcd_checkpoint_brings_the_trained_part_of_the_unet(networks: Networks) -> None:
    official = {f"{svd.UNET}{k}": v for k, v in weights(svd.UNET).items() if ".attn1." in k}
    trained = lvcd.trained_unet_tensors({**official, "control_model.time_embed.0.bias": torch.zeros(1)})
    assert len(trained) == 2 * 16 * 5
    own = networks.unet.state_dict()
    assert all(torch.equal(own[name], value) for name, value in trained.items())


@pytest.mark.parametrize(
    ("table", "key"),
    [
        (svd.unet_key, "input_blocks.1.0.in_layers.7.weight"),
        (svd.unet_key, "something.else"),
        (svd.unet_key, "input_blocks.x"),
        (svd.vae_key, "decoder.up.0.attn.0.q.weight"),
        (svd.vae_key, "loss.logvar"),
        (lvcd.controlnet_key, "zero_convs.0.weight"),
    ],
)
def test_unknown_names_are_refused(table: object, key: str) -> None:
    with pytest.raises(WeightsError, match="is not a name in"):
        table(key)  # type: ignore[operator]


def test_a_file_of_something_else_is_refused() -> None:
    with pytest.raises(WeightsError, match="sizes of the network can't be read"):
        svd.unet_config({"input_blocks.0.0.weight": torch.zeros(8, 8)})


WIDTH, HEADS, LAYERS, PATCH, PLACES, OUT = 32, 2, 2, 7, 17, 16


def open_clip() -> dict[str, Tensor]:
    """The image half of a toy OpenCLIP model under its own names, with leftovers of the text half."""
    shapes: dict[str, tuple[int, ...]] = {
        "logit_scale": (),
        "text_projection": (4, 4),
        "visual.class_embedding": (WIDTH,),
        "visual.positional_embedding": (PLACES, WIDTH),
        "visual.proj": (WIDTH, OUT),
        "visual.conv1.weight": (WIDTH, 3, PATCH, PATCH),
        **{f"visual.{ln}.{leaf}": (WIDTH,) for ln in ("ln_pre", "ln_post") for leaf in ("weight", "bias")},
    }
    for i in range(LAYERS):
        block = f"visual.transformer.resblocks.{i}"
        shapes |= {f"{block}.{ln}.{leaf}": (WIDTH,) for ln in ("ln_1", "ln_2") for leaf in ("weight", "bias")}
        shapes |= {f"{block}.attn.in_proj_weight": (3 * WIDTH, WIDTH), f"{block}.attn.in_proj_bias": (3 * WIDTH,)}
        shapes |= {f"{block}.attn.out_proj.weight": (WIDTH, WIDTH), f"{block}.attn.out_proj.bias": (WIDTH,)}
        shapes |= {f"{block}.mlp.c_fc.weight": (2 * WIDTH, WIDTH), f"{block}.mlp.c_fc.bias": (2 * WIDTH,)}
        shapes |= {f"{block}.mlp.c_proj.weight": (WIDTH, 2 * WIDTH), f"{block}.mlp.c_proj.bias": (WIDTH,)}
    return {name: weight(name, shape) for name, shape in shapes.items()}


def vision_transformer(w: dict[str, Tensor], pixels: Tensor) -> Tensor:
    """OpenCLIP's image half, from its definition."""

    def norm(x: Tensor, name: str) -> Tensor:
        return F.layer_norm(x, (WIDTH,), w[f"visual.{name}.weight"], w[f"visual.{name}.bias"])

    x = F.conv2d(pixels, w["visual.conv1.weight"], stride=PATCH).flatten(2).transpose(1, 2)
    x = torch.cat([w["visual.class_embedding"].expand(len(x), 1, -1), x], 1) + w["visual.positional_embedding"]
    x = norm(x, "ln_pre")
    for i in range(LAYERS):
        block = f"transformer.resblocks.{i}"
        part = {k.removeprefix(f"visual.{block}."): v for k, v in w.items() if k.startswith(f"visual.{block}.")}
        qkv = F.linear(norm(x, f"{block}.ln_1"), part["attn.in_proj_weight"], part["attn.in_proj_bias"])
        q, k, v = (y.unflatten(-1, (HEADS, -1)).transpose(1, 2) for y in qkv.chunk(3, -1))
        y = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)
        x = x + F.linear(y, part["attn.out_proj.weight"], part["attn.out_proj.bias"])
        y = F.gelu(F.linear(norm(x, f"{block}.ln_2"), part["mlp.c_fc.weight"], part["mlp.c_fc.bias"]))
        x = x + F.linear(y, part["mlp.c_proj.weight"], part["mlp.c_proj.bias"])
    return norm(x[:, 0], "ln_post") @ w["visual.proj"]


def test_open_clip_becomes_transformers_clip() -> None:
    official = open_clip()
    config = svd.clip_config(official)
    model = CLIPVisionModelWithProjection(CLIPVisionConfig.from_dict(config))
    load_network(model, svd.clip_tensors(official), source="rule")
    pixels = torch.randn(2, 3, 28, 28, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(model(pixels).image_embeds, vision_transformer(official, pixels), atol=1e-5, rtol=1e-4)


def test_unknown_names_of_the_image_encoder_are_refused() -> None:
    with pytest.raises(WeightsError, match="image encoder"):
        svd.clip_tensors({"visual.attnpool.weight": torch.zeros(1)})
    with pytest.raises(WeightsError, match="image encoder"):
        svd.clip_tensors({"visual.transformer.resblocks.0.other.weight": torch.zeros(1)})
