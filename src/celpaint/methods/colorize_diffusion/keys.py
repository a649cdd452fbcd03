"""Key table of ColorizeDiffusion v2's checkpoint: which tensors belong to which network, and what sizes they tell.

    model.diffusion_model.*    UNet, its LoRA (lora_*), background injection (warp_modules), style modulation
    control_encoder.*          sketch encoder           our names of these four networks are the official ones
    bg_encoder.*               background encoder
    style_encoder.*            style encoder
    first_stage_model.*        Stable Diffusion's VAE, which gets diffusers' names
    visual.*                   in a file of its own: OpenCLIP's image tower, which gets transformers' names

All functions are pure; sizes are read from the tensors' shapes.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any

from celpaint.errors import WeightsError
from celpaint.models.colorize_diffusion.config import ColorizeDiffusionConfig
from celpaint.weights.convert.svd import under

if TYPE_CHECKING:
    from torch import Tensor

__all__ = [
    "CLIP",
    "FIRST_STAGE",
    "GROUPS",
    "NETWORKS",
    "check_family",
    "config_from_tensors",
    "group_of",
    "left_out",
    "vae_config",
]

NETWORKS = {
    "unet": "model.diffusion_model.",
    "sketch_encoder": "control_encoder.",
    "background_encoder": "bg_encoder.",
    "style_encoder": "style_encoder.",
}
"""Our folders -> official prefixes."""

FIRST_STAGE = "first_stage_model."
CLIP = ("visual.", "cond_stage_model.visual.model.")
"""Prefixes of the image tower: in a file of OpenCLIP, and in a checkpoint that was saved with it."""

GROUPS = {
    "the foreground and background LoRA": r"model\.diffusion_model\..*\.lora_(up|down)_(fg|bg)\.",
    "the background injection": r"model\.diffusion_model\.warp_modules\.",
    "the style modulation": r"model\.diffusion_model\.style_modules\.",
    "the UNet": r"model\.diffusion_model\.",
    "the sketch encoder": r"control_encoder\.",
    "the background encoder": r"bg_encoder\.",
    "the style encoder": r"style_encoder\.",
    "the VAE": r"first_stage_model\.",
}
"""Parts of the checkpoint as users know them -> patterns of their names. A name belongs to the first that matches."""

_NEW_IN_V2 = ("the background injection", "the style modulation", "the background encoder", "the style encoder")

_SCHEDULE = re.compile(
    r"betas|(sqrt_|log_|sqrt_recip_|sqrt_recipm1_)?(one_minus_)?alphas_cumprod(_prev)?|logvar"
    r"|posterior_(variance|log_variance_clipped|mean_coef[12])|scale_factor"
)
_UNUSED = ("cond_stage_model.", "model_ema.", "loss.", "first_stage_model.loss.")


def group_of(name: str) -> str | None:
    """The part of the checkpoint a tensor belongs to, or None."""
    return next((group for group, pattern in GROUPS.items() if re.match(pattern, name)), None)


def left_out(name: str) -> bool:
    """Whether a name is known and not needed: schedule buffers, averaged weights, text tower, losses."""
    return name.startswith(_UNUSED) or _SCHEDULE.fullmatch(name) is not None


def check_family(names: Collection[str], *, source: object) -> None:
    """A checkpoint with these names is one of ColorizeDiffusion v2, with every part of it.

    Args:
        names: official names.
        source: what to call it in errors.

    Raises:
        WeightsError: names what it is instead, or the parts that it lacks.
    """
    found = {group_of(name) for name in names}
    unet = NETWORKS["unet"]
    if "the UNet" not in found:
        kind = f"has no {unet}*"
    elif any(name.startswith(f"{unet}label_emb.") or ".transformer_blocks.1." in name for name in names):
        kind = "is a checkpoint of ColorizeDiffusion XL"
    elif "the sketch encoder" not in found:
        kind = "is a checkpoint of Stable Diffusion, or of a colorizer without a sketch encoder"
    elif found.isdisjoint(_NEW_IN_V2):
        kind = "is a checkpoint of ColorizeDiffusion 1 or 1.5"
    elif missing := [group for group in GROUPS if group not in found]:
        kind = f"lacks {_listed(missing)}"
    else:
        return
    raise WeightsError(
        f"'{source}' {kind}",
        wanted="a checkpoint of ColorizeDiffusion v2",
        todo="Download a file whose name begins with 'v2' from https://huggingface.co/tellurion/ColorizeDiffusion.",
    )


def _listed(parts: list[str]) -> str:
    *first, last = parts
    return f"{', '.join(first)} and {last}" if first else last


def config_from_tensors(
    tensors: Mapping[str, Tensor], *, head_width: int | None = None, source: object = "the checkpoint"
) -> ColorizeDiffusionConfig:
    """Sizes of all networks but VAE and image encoder.

    Args:
        tensors: under their full official names.
        head_width: channels per attention head, which no shape tells. None: 64, or half of the narrowest level where
            that is less.
        source: what to call the tensors in errors.

    Raises:
        WeightsError: a tensor that the sizes are read from is missing, or the sizes contradict each other.
    """
    unet, sketch = under(tensors, NETWORKS["unet"]), under(tensors, NETWORKS["sketch_encoder"])
    try:
        halvings = sorted(int(m[1]) for key in unet if (m := re.fullmatch(r"input_blocks\.(\d+)\.0\.op\.weight", key)))
        layers = halvings[0] - 1
        first = [1 + level * (layers + 1) for level in range(len(halvings) + 1)]
        widths = tuple(unet[f"input_blocks.{n}.0.out_layers.3.weight"].shape[0] for n in first)
        adapter = next(value for key, value in unet.items() if key.endswith(".lora_down_fg.weight"))
        stem = sorted(int(m[1]) for key in sketch if (m := re.fullmatch(r"model\.(\d+)\.weight", key)))
        return ColorizeDiffusionConfig(
            latent_channels=unet["input_blocks.0.0.weight"].shape[1],
            widths=widths,
            layers=layers,
            attention=tuple(f"input_blocks.{n}.1.norm.weight" in unet for n in first),
            head_width=head_width or min(64, min(widths) // 2),
            context_width=unet["middle_block.1.transformer_blocks.0.attn2.to_k.weight"].shape[1],
            adapter_rank=adapter.shape[0],
            ratio_width=tensors[f"{NETWORKS['background_encoder']}label_emb.0.0.weight"].shape[1] // 2,
            sketch_channels=sketch["model.0.weight"].shape[1],
            sketch_stem=tuple(sketch[f"model.{n}.weight"].shape[0] for n in stem[:-1]),
        )
    except (IndexError, KeyError, StopIteration, ValueError) as error:
        raise WeightsError(
            f"the sizes of the networks cannot be read from '{source}' ({error})",
            wanted="a complete checkpoint of ColorizeDiffusion v2",
        ) from None


def vae_config(tensors: Mapping[str, Tensor], *, source: object = "the checkpoint") -> dict[str, Any]:
    """Arguments of diffusers' ``AutoencoderKL``.

    Args:
        tensors: ``first_stage_model.*`` without that prefix.
        source: what to call them in errors.

    Raises:
        WeightsError: a tensor that the sizes are read from is missing.
    """
    blocks = [re.match(r"encoder\.down\.(\d+)\.block\.(\d+)\.", key) for key in tensors]
    found = [(int(m[1]), int(m[2])) for m in blocks if m]
    try:
        levels, layers = 1 + max(level for level, _ in found), 1 + max(layer for _, layer in found)
        return {
            "_class_name": "AutoencoderKL",
            "in_channels": tensors["encoder.conv_in.weight"].shape[1],
            "out_channels": tensors["decoder.conv_out.weight"].shape[0],
            "down_block_types": ["DownEncoderBlock2D"] * levels,
            "up_block_types": ["UpDecoderBlock2D"] * levels,
            "block_out_channels": [tensors[f"encoder.down.{i}.block.0.conv2.weight"].shape[0] for i in range(levels)],
            "layers_per_block": layers,
            "latent_channels": tensors["decoder.conv_in.weight"].shape[1],
            "norm_num_groups": 32,
            "scaling_factor": 0.18215,
        }
    except (KeyError, ValueError) as error:
        raise WeightsError(
            f"the sizes of the VAE cannot be read from '{source}' ({error})",
            wanted="a complete checkpoint of ColorizeDiffusion v2",
        ) from None
