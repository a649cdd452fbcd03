"""ColorizeDiffusion v2 on disk: conversion of official checkpoints, loading, and what is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from celpaint.cli.app import run
from celpaint.errors import OutputError, WeightsError
from celpaint.methods.colorize_diffusion import keys
from celpaint.methods.colorize_diffusion.convert import clip_part, convert, official_parts
from celpaint.methods.colorize_diffusion.networks import Networks
from celpaint.models.colorize_diffusion.config import FULL, SMALL, ColorizeDiffusionConfig
from celpaint.models.colorize_diffusion.encoders import BackgroundEncoder, SketchEncoder, StyleEncoder
from celpaint.models.colorize_diffusion.image_encoder import ClipTokens
from celpaint.models.colorize_diffusion.unet import UNet
from celpaint.weights.registry import find_weights
from toy_colorize import TOY, toy_networks

Tensors = dict[str, Tensor]
CLIP_WIDTH = 32


def vae_tensors() -> Tensors:
    """A Stable Diffusion VAE with one residual block per level, under original names."""
    made: Tensors = {}

    def put(name: str, *shape: int) -> None:
        made[f"first_stage_model.{name}"] = 0.1 * torch.randn(shape)

    def norm(name: str, width: int) -> None:
        put(f"{name}.weight", width)
        put(f"{name}.bias", width)

    def conv(name: str, outputs: int, inputs: int, size: int = 3) -> None:
        put(f"{name}.weight", outputs, inputs, size, size)
        put(f"{name}.bias", outputs)

    def block(name: str) -> None:
        for i in (1, 2):
            norm(f"{name}.norm{i}", 32)
            conv(f"{name}.conv{i}", 32, 32)

    for half, blocks in (("encoder", 1), ("decoder", 2)):
        conv(f"{half}.conv_in", 32, 3 if half == "encoder" else 4)
        for i in (1, 2):
            block(f"{half}.mid.block_{i}")
        norm(f"{half}.mid.attn_1.norm", 32)
        for name in ("q", "k", "v", "proj_out"):
            conv(f"{half}.mid.attn_1.{name}", 32, 32, 1)
        for level in range(4):
            way = "down" if half == "encoder" else "up"
            for i in range(blocks):
                block(f"{half}.{way}.{level}.block.{i}")
            if level < 3 if half == "encoder" else level > 0:
                conv(f"{half}.{way}.{level}.{way}sample.conv", 32, 32)
        norm(f"{half}.norm_out", 32)
        conv(f"{half}.conv_out", 8 if half == "encoder" else 3, 32)
    conv("quant_conv", 8, 8, 1)
    conv("post_quant_conv", 4, 4, 1)
    return made


def clip_tensors(prefix: str = "visual.") -> Tensors:
    """OpenCLIP's image tower with one layer and 4 patches."""
    shapes: dict[str, tuple[int, ...]] = {
        "class_embedding": (CLIP_WIDTH,),
        "positional_embedding": (5, CLIP_WIDTH),
        "proj": (CLIP_WIDTH, TOY.context_width),
        "conv1.weight": (CLIP_WIDTH, 3, 7, 7),
        **{f"{ln}.{leaf}": (CLIP_WIDTH,) for ln in ("ln_pre", "ln_post") for leaf in ("weight", "bias")},
    }
    block = "transformer.resblocks.0"
    shapes |= {f"{block}.{ln}.{leaf}": (CLIP_WIDTH,) for ln in ("ln_1", "ln_2") for leaf in ("weight", "bias")}
    shapes |= {f"{block}.attn.in_proj_weight": (3 * CLIP_WIDTH, CLIP_WIDTH), f"{block}.attn.in_proj_bias": (96,)}
    for name, outputs, inputs in (("attn.out_proj", 32, 32), ("mlp.c_fc", 64, 32), ("mlp.c_proj", 32, 64)):
        shapes |= {f"{block}.{name}.weight": (outputs, inputs), f"{block}.{name}.bias": (outputs,)}
    return {f"{prefix}{name}": torch.randn(shape) for name, shape in shapes.items()}


@pytest.fixture(scope="module")
def checkpoint() -> Tensors:
    """A toy checkpoint under official names, with the buffers and leftovers that official files may hold."""
    torch.manual_seed(0)
    made: Tensors = {}
    kinds = {"unet": UNet, "sketch_encoder": SketchEncoder, "background_encoder": BackgroundEncoder}
    for part, kind in {**kinds, "style_encoder": StyleEncoder}.items():
        for name, value in kind(TOY).state_dict().items():
            made[f"{keys.NETWORKS[part]}{name}"] = value
    made |= vae_tensors()
    schedule = ("betas", "alphas_cumprod", "alphas_cumprod_prev", "sqrt_one_minus_alphas_cumprod", "posterior_variance")
    made |= {name: torch.zeros(1000) for name in schedule}
    return made


def saved(path: Path, tensors: Tensors) -> Path:
    save_file({name: value.contiguous().clone() for name, value in tensors.items()}, path)
    return path


def test_conversion_round_trip(checkpoint: Tensors, tmp_path: Path) -> None:
    said: list[str] = []
    out = convert(
        saved(tmp_path / "v2-toy.safetensors", checkpoint),
        saved(tmp_path / "clip.safetensors", clip_tensors()),
        tmp_path / "out",
        dtype="fp32",
        say=said.append,
    )
    assert said[0].startswith("license of ColorizeDiffusion v2")
    assert not any("left out" in line for line in said)
    networks = Networks.load(out)
    assert networks.config == TOY
    assert networks.card.prediction == "v"
    for name, value in networks.unet.state_dict().items():
        assert torch.equal(value, checkpoint[f"model.diffusion_model.{name}"])
    assert isinstance(networks.image_encoder, ClipTokens)
    with torch.inference_mode():
        assert networks.image_encoder(torch.zeros(1, 3, 20, 30)).shape == (1, 4, TOY.context_width)
        assert networks.image_encoder(torch.zeros(1, 3, 20, 30), 28).shape == (1, 16, TOY.context_width)
        assert networks.vae.decode(networks.vae.encode(torch.zeros(1, 3, 16, 24))).shape == (1, 3, 16, 24)
    index = json.loads((out / "model_index.json").read_text())
    assert set(index["made_from"]) == {"v2-toy.safetensors", "clip.safetensors"}


def test_checkpoints_named_eps_predict_the_noise(checkpoint: Tensors, tmp_path: Path) -> None:
    out = convert(
        saved(tmp_path / "v2-eps.safetensors", checkpoint | clip_tensors(keys.CLIP[1])), None, tmp_path / "out"
    )
    assert Networks.load(out).card.prediction == "epsilon"


def test_missing_image_tower_says_what_to_fetch(checkpoint: Tensors, tmp_path: Path) -> None:
    said: list[str] = []
    out = convert(saved(tmp_path / "v2.safetensors", checkpoint), None, tmp_path / "out", say=said.append)
    assert any("no CLIP image tower" in line for line in said)
    with pytest.raises(WeightsError, match=r"laion/CLIP-ViT-H-14.*--clip"):
        Networks.load(out)


def test_tensors_of_no_known_part_are_reported(checkpoint: Tensors) -> None:
    said: list[str] = []
    official_parts({**checkpoint, "extra.weight": torch.zeros(1)}, source="file", say=said.append)
    assert said == ["'file': 1 tensors of no known part are left out, such as extra.weight"]


def lacking(*prefixes: str) -> Callable[[Tensors], Tensors]:
    return lambda tensors: {k: v for k, v in tensors.items() if not any(part in k for part in prefixes)}


V2_PARTS = ("warp_modules", "style_modules", "bg_encoder", "style_encoder")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lacking("lora_"), r"lacks the foreground and background LoRA; wanted"),
        (lacking("style_modules", "style_encoder"), "lacks the style modulation and the style encoder"),
        (lacking("first_stage_model"), "lacks the VAE"),
        (lacking("control_encoder"), "Stable Diffusion"),
        (lacking("lora_", *V2_PARTS), r"ColorizeDiffusion 1 or 1\.5"),
        (lacking(*V2_PARTS), r"ColorizeDiffusion 1 or 1\.5"),
        (lacking("model.diffusion_model"), r"has no model\.diffusion_model\.\*"),
        (
            lambda tensors: {**tensors, "model.diffusion_model.label_emb.0.0.weight": torch.zeros(1)},
            "ColorizeDiffusion XL",
        ),
        (
            lacking("output_blocks.2.1.transformer_blocks.0.attn2.to_q.lora_up_bg"),
            r"1 of \d+ tensors of the foreground",
        ),
        (
            lacking("to_k.lora_down_fg", "style_encoder.time_embed"),
            r"2 of 24 tensors of the foreground.*; 4 of \d+ .*style",
        ),
        (lacking("decoder.conv_out"), "sizes of the VAE cannot be read"),
        (lacking("decoder.norm_out"), r"does not fit AutoencoderKL: 2 missing"),
        (lacking("input_blocks.2.0.op"), "sizes of the networks cannot be read"),
        (lambda t: {**t, "control_encoder.other": torch.zeros(1)}, "unexpected"),
        (lambda t: {**t, "first_stage_model.other": torch.zeros(1)}, "not those of Stable Diffusion's VAE"),
        (lambda t: {**t, "bg_encoder.time_embed.0.bias": torch.zeros(1)}, "of another shape"),
    ],
)
def test_incomplete_and_foreign_checkpoints_are_refused(
    checkpoint: Tensors, change: Callable[[Tensors], Tensors], message: str
) -> None:
    with pytest.raises(WeightsError, match=message):
        official_parts(change(checkpoint), source="file")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: {**t, "visual.attnpool.weight": torch.zeros(1)}, "image encoder"),
        (lacking("conv1"), "no vision transformer"),
        (lacking("ln_post.bias"), "1 missing"),
    ],
)
def test_foreign_image_towers_are_refused(change: Callable[[Tensors], Tensors], message: str) -> None:
    with pytest.raises(WeightsError, match=message):
        clip_part(change(clip_tensors()), source="file")


def test_no_image_tower_is_none(checkpoint: Tensors) -> None:
    assert clip_part(checkpoint, source="file") is None


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (torch.full((32,), torch.nan), "NaN"),
        (torch.full((32,), 1e6), "too large for fp16"),
        (torch.zeros(32, dtype=torch.int8), "stored as int8"),
    ],
)
def test_unusable_numbers_are_refused(checkpoint: Tensors, tmp_path: Path, value: Tensor, message: str) -> None:
    path = saved(tmp_path / "v2.safetensors", {**checkpoint, "model.diffusion_model.input_blocks.0.0.bias": value})
    with pytest.raises(WeightsError, match=message):
        convert(path, None, tmp_path / "out")
    assert list(tmp_path.iterdir()) == [path]


def test_existing_folder_is_not_overwritten(checkpoint: Tensors, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine").write_text("mine")
    with pytest.raises(OutputError, match="exists"):
        convert(saved(tmp_path / "v2.safetensors", checkpoint), None, tmp_path / "out")


@pytest.mark.parametrize("config", [FULL, SMALL])
def test_sizes_are_read_from_shapes(config: ColorizeDiffusionConfig) -> None:
    with torch.device("meta"):
        parts = {
            "unet": UNet(config),
            "sketch_encoder": SketchEncoder(config),
            "background_encoder": BackgroundEncoder(config),
        }
    tensors = {
        f"{keys.NETWORKS[part]}{name}": value
        for part, network in parts.items()
        for name, value in network.state_dict().items()
    }
    assert keys.config_from_tensors(tensors) == config
    assert keys.config_from_tensors(tensors, head_width=32) == replace(config, head_width=32)


@pytest.mark.parametrize("dtype", [None, torch.float16])
def test_own_weights_survive_saving(tmp_path: Path, dtype: torch.dtype | None) -> None:
    networks = toy_networks()
    networks.save(tmp_path / "saved", dtype)
    loaded = Networks.load(tmp_path / "saved")
    assert loaded.config == networks.config
    assert loaded.card == networks.card
    for name in ("unet", "style_encoder", "image_encoder", "vae"):
        ours, theirs = getattr(networks, name).state_dict(), getattr(loaded, name).state_dict()
        assert all(torch.equal(value.to(dtype or value.dtype), theirs[key]) for key, value in ours.items())


def edited(folder: Path, **changes: Any) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


@pytest.mark.parametrize(
    ("part", "changes", "message"),
    [
        ("style_encoder", {"head_width": 32}, "differ in size"),
        ("unet", {"widths": [33, 64]}, "does not describe such a network"),
        ("unet", {"layers": 2}, "does not fit UNet"),
    ],
)
def test_parts_that_do_not_fit_are_refused(tmp_path: Path, part: str, changes: dict[str, Any], message: str) -> None:
    toy_networks().save(tmp_path)
    edited(tmp_path / part, **changes)
    with pytest.raises(WeightsError, match=message):
        Networks.load(tmp_path)


@pytest.mark.parametrize(
    ("text", "message"), [("[", "cannot be read"), ('{"prediction": "x"}', "names the prediction 'x'")]
)
def test_broken_cards_are_refused(tmp_path: Path, text: str, message: str) -> None:
    toy_networks().save(tmp_path)
    (tmp_path / "model_index.json").write_text(text)
    with pytest.raises(WeightsError, match=message):
        Networks.load(tmp_path)


# -- the command line ---------------------------------------------------------------------------------------------


def test_command_converts_with_and_without_the_image_tower(
    checkpoint: Tensors, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    v2 = str(saved(tmp_path / "v2.safetensors", checkpoint))
    clip = str(saved(tmp_path / "clip.safetensors", clip_tensors()))
    convert_v2 = ["weights", "convert", "--colorize-diffusion", v2]
    assert run([*convert_v2, "--out", str(tmp_path / "without")]) == 0
    said = capsys.readouterr().err.splitlines()
    assert said[0].startswith("license of ColorizeDiffusion v2: the authors' own terms: not for commercial use")
    assert any("convert again with --clip open_clip_model.safetensors" in line for line in said)
    assert run([*convert_v2, "--clip", clip, "--out", str(tmp_path / "with"), "--quiet"]) == 0
    assert capsys.readouterr().err == ""
    assert Networks.load(tmp_path / "with").config == TOY
    assert run(["weights", "convert", "--clip", clip, "--out", str(tmp_path / "x")]) == 2
    assert "no conversion takes --clip; wanted" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        (lambda t: t, "ColorizeDiffusion v2's checkpoint"),
        (lacking(*V2_PARTS), "ColorizeDiffusion 1 or 1.5"),
        (
            lambda t: lacking(*V2_PARTS)(t) | {"model.diffusion_model.label_emb.0.0.weight": torch.zeros(1)},
            "ColorizeDiffusion XL",
        ),
        (lambda t: clip_tensors() | {"token_embedding.weight": torch.zeros(2, 2)}, "a CLIP model of OpenCLIP"),
    ],
)
def test_command_knows_what_a_file_is(
    checkpoint: Tensors,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    change: Callable[[Tensors], Tensors],
    kind: str,
) -> None:
    path = str(saved(tmp_path / "file.safetensors", change(checkpoint)))
    assert run(["weights", "info", path]) == 0
    assert kind in capsys.readouterr().out.splitlines()[0]
    whole = kind in ("ColorizeDiffusion v2's checkpoint", "a CLIP model of OpenCLIP")
    assert run(["weights", "verify", path]) == (0 if whole else 2)


def test_command_knows_a_converted_folder(
    checkpoint: Tensors, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    clip = saved(tmp_path / "clip.safetensors", clip_tensors())
    out = str(convert(saved(tmp_path / "v2.safetensors", checkpoint), clip, tmp_path / "out"))
    assert run(["weights", "info", out]) == 0
    said = capsys.readouterr().out
    assert "weights of the method colorize-diffusion" in said
    assert "not for commercial use" in said
    assert "sampler             dpmpp_2m" in said
    assert run(["weights", "verify", out]) == 0


def test_checkpoint_file_as_weights_is_told_what_to_do(checkpoint: Tensors, tmp_path: Path) -> None:
    path = saved(tmp_path / "v2.safetensors", checkpoint)
    with pytest.raises(WeightsError, match=r"is a file; wanted a folder .*celpaint weights info"):
        find_weights("colorize-diffusion", str(path))
