"""The official files at their real size, without their numbers: every name finds its place, every size is right."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from celpaint.methods.lvcd.convert import keys as lvcd
from celpaint.methods.lvcd.convert.official import lvcd_parts, original_parts
from celpaint.methods.lvcd.weights import build_part
from celpaint.models.lvcd.controlnet import ControlNetConfig
from celpaint.models.lvcd.unet import SVD
from celpaint.weights.convert import svd
from celpaint.weights.store import check_fit
from official_files import clip_shapes
from parity.rule import HERE

VAE = {
    "in_channels": 3,
    "out_channels": 3,
    "down_block_types": ["DownEncoderBlock2D"] * 4,
    "block_out_channels": [128, 256, 512, 512],
    "layers_per_block": 2,
    "latent_channels": 4,
}
SHORTCUTS = ("encoder.down.1", "encoder.down.2", "decoder.up.1", "decoder.up.0")


def names(prefix: str) -> list[str]:
    """Official names of a part without the prefix. The autoencoder widens at other levels than the toy's."""
    found = [line.split()[0] for line in (HERE / "names.txt").read_text().splitlines() if line.startswith(prefix)]
    found = [name.removeprefix(prefix) for name in found if "nin_shortcut" not in name]
    halves = {name.partition(".")[0] for name in found}
    leaves = ("weight", "bias")
    return found + [
        f"{at}.block.0.nin_shortcut.{leaf}" for at in SHORTCUTS if at.partition(".")[0] in halves for leaf in leaves
    ]


def empty(*shape: int) -> Tensor:
    return torch.empty(shape, device="meta", dtype=torch.float16)


def svd_file() -> dict[str, Tensor]:
    unet = build_part("unet", SVD.to_dict(), source="test").state_dict()
    vae = build_part("vae", VAE, source="test").state_dict()
    tensors = {svd.UNET + name: empty(*unet[svd.unet_key(name)].shape) for name in names(svd.UNET)}
    for prefix in (svd.FIRST_STAGE, svd.CONDITIONER):
        for name in names(prefix):
            shape = vae[svd.vae_key(name)].shape
            one_by_one = ".attn_1." in name and len(shape) == 2
            tensors[prefix + name] = empty(*shape, *(1, 1) * one_by_one)
    tensors |= {svd.CONDITIONER + name: empty(1) for name in ("post_quant_conv.bias", "decoder.conv_in.bias")}
    clip = clip_shapes(1280, 32, 14, 257, 1024)
    return tensors | {svd.CLIP + name: empty(*shape) for name, shape in clip.items()}


def lvcd_file() -> dict[str, Tensor]:
    control = build_part("controlnet", ControlNetConfig().to_dict(), source="test").state_dict()
    unet = build_part("unet", SVD.to_dict(), source="test").state_dict()
    tensors = {lvcd.CONTROL + name: empty(*control[lvcd.controlnet_key(name)].shape) for name in names(lvcd.CONTROL)}
    trained = [name for name in names(svd.UNET) if ".attn1." in name]
    return tensors | {svd.UNET + name: empty(*unet[svd.unet_key(name)].shape) for name in trained}


def millions(tensors: dict[str, Tensor]) -> float:
    return sum(tensor.numel() for tensor in tensors.values()) / 1e6


@pytest.mark.slow
def test_every_name_of_the_real_files_finds_its_place() -> None:
    said: list[str] = []
    parts = original_parts(svd_file(), Path("svd.safetensors"), said.append)
    trained, control = lvcd_parts(lvcd_file(), Path("lvcd.ckpt"), parts["unet"], said.append)
    assert said == []
    assert parts["unet"].config == SVD.to_dict()
    assert control.config == ControlNetConfig().to_dict()
    assert {k: parts["vae"].config[k] for k in VAE} == VAE
    clip = parts["image_encoder"].config
    wanted = {"hidden_size": 1280, "num_attention_heads": 16, "intermediate_size": 5120, "num_hidden_layers": 32}
    wanted |= {"image_size": 224, "patch_size": 14, "projection_dim": 1024}
    assert {k: clip[k] for k in wanted} == wanted
    counted = {"unet": 1524.6, "vae": 97.7, "first_stage_encoder": 34.2, "image_encoder": 632.1}
    for name, part in parts.items():
        check_fit(build_part(name, part.config, source=name), part.tensors, source=name)
        assert millions(part.tensors) == pytest.approx(counted[name], abs=0.1), name
    check_fit(build_part("controlnet", control.config, source="test"), control.tensors, source="controlnet")
    assert millions(control.tensors) == pytest.approx(682.0, abs=0.1)
    assert millions(trained) == pytest.approx(99.2, abs=0.1)
