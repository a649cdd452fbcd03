"""Key table of Stable Video Diffusion's original checkpoint: official name -> diffusers' name, which is ours.

``svd.safetensors`` holds the UNet (``model.diffusion_model.*``), the VAE with the temporal decoder
(``first_stage_model.*``), and the conditioner: an OpenCLIP image encoder (``conditioner.embedders.0.*``) and a second
VAE encoder for the condition latents (``conditioner.embedders.3.encoder.*``). The two VAE encoders are not the same
tensors: the first stage's has no ``quant_conv``. Diffusers' ``vae`` folder holds the conditioner's encoder with its
``quant_conv`` and the temporal decoder; the first stage's encoder is kept apart as ``first_stage_encoder``, because
the official sampler draws its first latents from it.

All functions are pure; sizes are read from the tensors' shapes.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from celpaint.errors import WeightsError
from celpaint.models.lvcd.unet import UNetConfig

if TYPE_CHECKING:
    from torch import Tensor

__all__ = [
    "CLIP",
    "CONDITIONER",
    "FIRST_STAGE",
    "UNET",
    "clip_config",
    "clip_tensors",
    "first_stage_encoder_tensors",
    "unet_config",
    "unet_key",
    "unet_tensors",
    "vae_config",
    "vae_tensors",
]

UNET = "model.diffusion_model."
FIRST_STAGE = "first_stage_model."
CLIP = "conditioner.embedders.0.open_clip.model."
CONDITIONER = "conditioner.embedders.3.encoder."

_RES_STACK = {"in_layers.0": "norm1", "in_layers.2": "conv1", "out_layers.0": "norm2", "out_layers.3": "conv2"}
_RES = {**_RES_STACK, "emb_layers.1": "time_emb_proj", "skip_connection": "conv_shortcut"}
_OUTER = {
    "input_blocks.0.0": "conv_in",
    "time_embed.0": "time_embedding.linear_1",
    "time_embed.2": "time_embedding.linear_2",
    "label_emb.0.0": "add_embedding.linear_1",
    "label_emb.0.2": "add_embedding.linear_2",
    "out.0": "conv_norm_out",
    "out.2": "conv_out",
}


def _unknown(key: str, where: str) -> WeightsError:
    return WeightsError(
        f"'{key}' is not a name in {where}",
        wanted="an original SVD or LVCD checkpoint",
        todo="See `celpaint weights info` for what a file contains.",
    )


def _res(rest: str) -> str:
    """Inside a residual block: spatial part, ``time_stack``, mix factor."""
    if rest == "time_mixer.mix_factor":
        return rest
    part = "spatial_res_block"
    if rest.startswith("time_stack."):
        part, rest = "temporal_res_block", rest.removeprefix("time_stack.")
    stem, leaf = rest.rsplit(".", 1)
    return f"{part}.{_RES[stem]}.{leaf}"


def _transformer(rest: str) -> str:
    rest = re.sub(r"^time_stack\.", "temporal_transformer_blocks.", rest)
    return rest.replace("time_pos_embed.0", "time_pos_embed.linear_1").replace(
        "time_pos_embed.2", "time_pos_embed.linear_2"
    )


def unet_key(key: str, layers: int = 2) -> str:
    """Our name of a UNet tensor.

    Args:
        key: official name without ``model.diffusion_model.``.
        layers: residual blocks a level.

    Raises:
        WeightsError: no such name.
    """
    stem, _, leaf = key.rpartition(".")
    if stem in _OUTER:
        return f"{_OUTER[stem]}.{leaf}"
    try:
        if found := re.match(r"middle_block\.(\d)\.(.+)", key):
            part, rest = int(found[1]), found[2]
            if part == 1:
                return f"mid_block.attentions.0.{_transformer(rest)}"
            return f"mid_block.resnets.{part // 2}.{_res(rest)}"
        if found := re.match(r"input_blocks\.(\d+)\.(\d)\.(.+)", key):
            (level, i), part, rest = divmod(int(found[1]) - 1, layers + 1), int(found[2]), found[3]
            if rest.startswith("op."):
                return f"down_blocks.{level}.downsamplers.0.conv.{leaf}"
            kind = f"down_blocks.{level}"
        elif found := re.match(r"output_blocks\.(\d+)\.(\d)\.(.+)", key):
            (level, i), part, rest = divmod(int(found[1]), layers + 1), int(found[2]), found[3]
            if rest.startswith("conv."):
                return f"up_blocks.{level}.upsamplers.0.conv.{leaf}"
            kind = f"up_blocks.{level}"
        else:
            raise KeyError(key)
        return f"{kind}.attentions.{i}.{_transformer(rest)}" if part else f"{kind}.resnets.{i}.{_res(rest)}"
    except (KeyError, ValueError):
        raise _unknown(key, "the UNet") from None


def under(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """The tensors whose name begins with ``prefix``, which is taken off."""
    return {key.removeprefix(prefix): value for key, value in tensors.items() if key.startswith(prefix)}


def _count(keys: Mapping[str, object], pattern: str) -> int:
    """1 + the largest number that ``pattern``'s group takes."""
    return 1 + max((int(m[1]) for key in keys if (m := re.match(pattern, key))), default=-1)


def encoder_sizes(tensors: Mapping[str, Tensor], head_width: int | None) -> dict[str, Any]:
    """Sizes of the encoder half, from official names without prefix: what UNet and ControlNet have in common."""
    try:
        halvings = sorted(int(m[1]) for key in tensors if (m := re.match(r"input_blocks\.(\d+)\.0\.op\.weight", key)))
        layers = halvings[0] - 1
        levels = len(halvings) + 1
        first = [1 + level * (layers + 1) for level in range(levels)]
        widths = tuple(tensors[f"input_blocks.{n}.0.out_layers.3.weight"].shape[0] for n in first)
        attended = [f"input_blocks.{n}.1.norm.weight" in tensors for n in first]
        head = head_width or min(64, min(widths) // 2)
        embedding = tensors["label_emb.0.0.weight"].shape[1]
        context = tensors["middle_block.1.transformer_blocks.0.attn2.to_k.weight"].shape[1]
        inputs = tensors["input_blocks.0.0.weight"].shape[1]
    except (IndexError, KeyError) as error:
        raise WeightsError(
            f"the sizes of the network can't be read: no tensor {error}", wanted="an original SVD checkpoint"
        ) from None
    return {
        "in_channels": inputs,
        "down_block_types": tuple(
            "CrossAttnDownBlockSpatioTemporal" if has else "DownBlockSpatioTemporal" for has in attended
        ),
        "block_out_channels": widths,
        "layers_per_block": layers,
        "num_attention_heads": tuple(width // head for width in widths),
        "cross_attention_dim": context,
        "addition_time_embed_dim": embedding // 3,
        "projection_class_embeddings_input_dim": embedding,
    }


def unet_config(tensors: Mapping[str, Tensor], *, head_width: int | None = None) -> UNetConfig:
    """Sizes of the UNet, from its tensors under their official names without prefix.

    Args:
        head_width: channels an attention head, which no shape tells: 64 in SVD. Default: 64, or half of the
            narrowest level where that is less.
    """
    return UNetConfig(**encoder_sizes(tensors, head_width), out_channels=tensors["out.2.weight"].shape[0])


def unet_tensors(tensors: Mapping[str, Tensor], layers: int = 2) -> dict[str, Tensor]:
    """UNet tensors, official names without prefix -> ours."""
    return {unet_key(key, layers): value for key, value in tensors.items()}


_VAE_ATTENTION = {
    "norm": "group_norm",
    "q": "to_q",
    "k": "to_k",
    "v": "to_v",
    "proj_out": "to_out.0",
}


def _vae_block(rest: str, temporal: bool) -> str:
    rest = rest.replace("nin_shortcut", "conv_shortcut")
    if not temporal:
        return rest
    if rest == "mix_factor":
        return "time_mixer.mix_factor"
    if rest.startswith("time_stack."):
        stem, leaf = rest.removeprefix("time_stack.").rsplit(".", 1)
        return f"temporal_res_block.{_RES_STACK[stem]}.{leaf}"
    return f"spatial_res_block.{rest}"


def vae_key(key: str, levels: int = 4) -> str:
    """Our name of a VAE tensor.

    Args:
        key: official name without prefix (``encoder.*``, ``decoder.*``, ``quant_conv.*``).
        levels: resolutions of the VAE; the decoder's are counted the other way round.

    Raises:
        WeightsError: no such name.
    """
    half, _, rest = key.partition(".")
    temporal = half == "decoder"
    _, _, leaf = key.rpartition(".")
    try:
        if half == "quant_conv":
            return key
        if half not in ("encoder", "decoder"):
            raise KeyError(key)
        if rest.startswith("conv_out.time_mix_conv."):
            return f"{half}.time_conv_out.{leaf}"
        if found := re.match(r"(conv_in|conv_out|norm_out)\.\w+$", rest):
            return f"{half}.{'conv_norm_out' if found[1] == 'norm_out' else found[1]}.{leaf}"
        if found := re.match(r"mid\.block_(\d)\.(.+)", rest):
            return f"{half}.mid_block.resnets.{int(found[1]) - 1}.{_vae_block(found[2], temporal)}"
        if found := re.match(r"mid\.attn_1\.(\w+)\.\w+$", rest):
            return f"{half}.mid_block.attentions.0.{_VAE_ATTENTION[found[1]]}.{leaf}"
        if found := re.match(r"down\.(\d)\.block\.(\d)\.(.+)", rest):
            return f"{half}.down_blocks.{found[1]}.resnets.{found[2]}.{_vae_block(found[3], temporal)}"
        if found := re.match(r"up\.(\d)\.block\.(\d)\.(.+)", rest):
            level = levels - 1 - int(found[1])
            return f"{half}.up_blocks.{level}.resnets.{found[2]}.{_vae_block(found[3], temporal)}"
        if found := re.match(r"down\.(\d)\.downsample\.conv\.\w+$", rest):
            return f"{half}.down_blocks.{found[1]}.downsamplers.0.conv.{leaf}"
        if found := re.match(r"up\.(\d)\.upsample\.conv\.\w+$", rest):
            return f"{half}.up_blocks.{levels - 1 - int(found[1])}.upsamplers.0.conv.{leaf}"
        raise KeyError(key)
    except KeyError:
        raise _unknown(key, "the VAE") from None


def _vae_half(tensors: Mapping[str, Tensor], levels: int) -> dict[str, Tensor]:
    """Rename; the attention's 1 x 1 convolutions become matrices."""
    out = {}
    for key, value in tensors.items():
        name = vae_key(key, levels)
        out[name] = value.flatten(1) if ".attentions." in name and value.ndim == 4 else value
    return out


def vae_config(first_stage: Mapping[str, Tensor]) -> dict[str, Any]:
    """Arguments of diffusers' ``AutoencoderKLTemporalDecoder``, from ``first_stage_model.*`` without prefix."""
    levels = _count(first_stage, r"encoder\.down\.(\d)\.")
    widths = [first_stage[f"encoder.down.{i}.block.0.conv2.weight"].shape[0] for i in range(levels)]
    return {
        "_class_name": "AutoencoderKLTemporalDecoder",
        "in_channels": first_stage["encoder.conv_in.weight"].shape[1],
        "out_channels": first_stage["decoder.conv_out.weight"].shape[0],
        "down_block_types": ["DownEncoderBlock2D"] * levels,
        "block_out_channels": widths,
        "layers_per_block": _count(first_stage, r"encoder\.down\.0\.block\.(\d)\."),
        "latent_channels": first_stage["decoder.conv_in.weight"].shape[1],
        "scaling_factor": 0.18215,
    }


def vae_tensors(first_stage: Mapping[str, Tensor], conditioner: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The ``vae`` folder: the conditioner's encoder with ``quant_conv``, the first stage's temporal decoder."""
    levels = _count(first_stage, r"encoder\.down\.(\d)\.")
    decoder = {key: value for key, value in first_stage.items() if key.startswith("decoder.")}
    return {**_vae_half(conditioner, levels), **_vae_half(decoder, levels)}


def first_stage_encoder_tensors(first_stage: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The ``first_stage_encoder`` folder: names as in ``vae`` without ``encoder.``."""
    levels = _count(first_stage, r"encoder\.down\.(\d)\.")
    encoder = {key: value for key, value in first_stage.items() if key.startswith("encoder.")}
    return {key.removeprefix("encoder."): value for key, value in _vae_half(encoder, levels).items()}


_CLIP_OUTER = {
    "class_embedding": "vision_model.embeddings.class_embedding",
    "conv1.weight": "vision_model.embeddings.patch_embedding.weight",
    "positional_embedding": "vision_model.embeddings.position_embedding.weight",
    "ln_pre.weight": "vision_model.pre_layrnorm.weight",
    "ln_pre.bias": "vision_model.pre_layrnorm.bias",
    "ln_post.weight": "vision_model.post_layernorm.weight",
    "ln_post.bias": "vision_model.post_layernorm.bias",
}
_CLIP_INNER = {
    "ln_1": "layer_norm1",
    "attn.out_proj": "self_attn.out_proj",
    "ln_2": "layer_norm2",
    "mlp.c_fc": "mlp.fc1",
    "mlp.c_proj": "mlp.fc2",
}


def clip_config(tensors: Mapping[str, Tensor]) -> dict[str, Any]:
    """Arguments of transformers' ``CLIPVisionConfig``, from OpenCLIP names beginning with ``visual.``.

    The head width is that of ViT-H/14, 80, or half the width where that is less; no shape tells it.
    """
    width, channels, patch, _ = tensors["visual.conv1.weight"].shape
    places = tensors["visual.positional_embedding"].shape[0] - 1
    return {
        "_class_name": "CLIPVisionModelWithProjection",
        "hidden_size": width,
        "intermediate_size": tensors["visual.transformer.resblocks.0.mlp.c_fc.weight"].shape[0],
        "num_hidden_layers": _count(tensors, r"visual\.transformer\.resblocks\.(\d+)\."),
        "num_attention_heads": width // min(80, width // 2),
        "num_channels": channels,
        "patch_size": patch,
        "image_size": patch * round(places**0.5),
        "projection_dim": tensors["visual.proj"].shape[1],
        "hidden_act": "gelu",
    }


def clip_tensors(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """OpenCLIP's image half -> transformers' ``CLIPVisionModelWithProjection``; the text half is left out.

    Raises:
        WeightsError: a name of the image half is unknown.
    """
    out: dict[str, Tensor] = {}
    for key, value in under(tensors, "visual.").items():
        if key == "proj":
            out["visual_projection.weight"] = value.T
        elif key in _CLIP_OUTER:
            out[_CLIP_OUTER[key]] = value
        elif found := re.match(r"transformer\.resblocks\.(\d+)\.(.+?)[._](weight|bias)$", key):
            layer, part, leaf = f"vision_model.encoder.layers.{found[1]}", found[2], found[3]
            if part == "attn.in_proj":
                for name, third in zip("qkv", value.chunk(3), strict=True):
                    out[f"{layer}.self_attn.{name}_proj.{leaf}"] = third
            elif part in _CLIP_INNER:
                out[f"{layer}.{_CLIP_INNER[part]}.{leaf}"] = value
            else:
                raise _unknown(key, "the image encoder")
        else:
            raise _unknown(key, "the image encoder")
    return out
