"""Key table of LVCD's checkpoint: official name -> ours.

The checkpoint (a Lightning file, or a pruned safetensors of the same names) holds the whole ControlNet
(``control_model.*``) and those tensors of the UNet that were trained (``model.diffusion_model.*``: spatial and temporal
self-attention); all others are Stable Video Diffusion's, see :mod:`celpaint.weights.convert.svd`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

from celpaint.errors import WeightsError
from celpaint.models.lvcd.controlnet import ControlNetConfig
from celpaint.weights.convert.svd import UNET, encoder_sizes, under, unet_key, unet_tensors

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["CONTROL", "controlnet_config", "controlnet_key", "controlnet_tensors", "trained_unet_tensors"]

CONTROL = "control_model."


def controlnet_key(key: str, layers: int = 2, hint_convs: int = 8) -> str:
    """Our name of a ControlNet tensor.

    Args:
        key: official name without ``control_model.``.
        layers: residual blocks a level.
        hint_convs: convolutions of the hint encoder; officially every second module is an activation.

    Raises:
        WeightsError: no such name.
    """
    _, _, leaf = key.rpartition(".")
    if found := re.match(r"zero_convs\.(\d+)\.0\.\w+$", key):
        return f"controlnet_down_blocks.{found[1]}.{leaf}"
    if re.match(r"middle_block_out\.0\.\w+$", key):
        return f"controlnet_mid_block.{leaf}"
    if found := re.match(r"input_hint_block\.(\d+)\.\w+$", key):
        i = int(found[1]) // 2
        if i in (0, hint_convs - 1):
            return f"controlnet_cond_embedding.conv_{'out' if i else 'in'}.{leaf}"
        return f"controlnet_cond_embedding.blocks.{i - 1}.{leaf}"
    return unet_key(key, layers)


def _hints(tensors: Mapping[str, Tensor]) -> list[Tensor]:
    """The weights of the hint encoder, in order."""
    found = {int(m[1]): v for k, v in tensors.items() if (m := re.match(r"input_hint_block\.(\d+)\.weight$", k))}
    return [found[i] for i in sorted(found)]


def controlnet_config(tensors: Mapping[str, Tensor], *, head_width: int | None = None) -> ControlNetConfig:
    """Sizes of the ControlNet, from its tensors under their official names without prefix.

    Args:
        head_width: see :func:`celpaint.weights.convert.svd.unet_config`.
    """
    sizes, hints = encoder_sizes(tensors, head_width), _hints(tensors)
    if len(hints) < 2:
        raise WeightsError("the sizes of the ControlNet can't be read: no input_hint_block", wanted="LVCD's checkpoint")
    return ControlNetConfig(
        **sizes,
        out_channels=sizes["in_channels"] // 2,
        conditioning_channels=hints[0].shape[1],
        conditioning_embedding_out_channels=(hints[0].shape[0], *(w.shape[0] for w in hints[2:-1:2])),
    )


def controlnet_tensors(tensors: Mapping[str, Tensor], layers: int = 2) -> dict[str, Tensor]:
    """ControlNet tensors, official names without prefix -> ours."""
    convs = len(_hints(tensors))
    return {controlnet_key(key, layers, convs): value for key, value in tensors.items()}


def trained_unet_tensors(tensors: Mapping[str, Tensor], layers: int = 2) -> dict[str, Tensor]:
    """The UNet tensors in an LVCD checkpoint (full official names), under our names: to be laid over SVD's."""
    return unet_tensors(under(tensors, UNET), layers)
