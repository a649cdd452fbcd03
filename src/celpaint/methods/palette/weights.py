"""A folder of the palette method's weights -> its networks."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from celpaint.errors import WeightsError
from celpaint.methods.palette.spec import PARTS
from celpaint.models.line_vae import LineVAE, LineVAEConfig
from celpaint.models.palette.color_network import ColorNetwork
from celpaint.models.palette.small import SmallPaletteModel
from celpaint.models.palette.unet import PaletteConfig, PaletteUNet
from celpaint.weights.store import load_network, read_config, read_tensors

__all__ = ["build_part", "load"]

_BUILDERS: dict[str, Callable[[Mapping[str, Any]], nn.Module]] = {
    "unet": lambda config: PaletteUNet(PaletteConfig.from_dict(config)),
    "line_vae": lambda config: LineVAE(LineVAEConfig.from_dict(config)),
    "token": ColorNetwork.from_dict,
}


def build_part(part: str, config: Mapping[str, Any], source: object) -> nn.Module:
    """An empty network on ``meta``.

    Raises:
        WeightsError: the config does not describe such a network.
    """
    try:
        with torch.device("meta"):
            return _BUILDERS[part](config)
    except (KeyError, TypeError, ValueError) as error:
        raise WeightsError(
            f"'{source}' does not describe such a network ({error})",
            wanted="the config the weights were made with",
        ) from None


def load(folder: Path) -> SmallPaletteModel:
    """All networks in evaluation mode, on the CPU in float32.

    Raises:
        WeightsError: a part is missing, broken, or does not fit the others.
    """
    configs = {part: read_config(folder / part) for part in PARTS}
    for part, config in configs.items():
        build_part(part, config, folder / part)
    try:
        model = SmallPaletteModel(
            PaletteConfig.from_dict(configs["unet"]), LineVAEConfig.from_dict(configs["line_vae"])
        )
    except ValueError as error:
        raise WeightsError(f"the parts in '{folder}' do not fit together ({error})") from None
    for part in PARTS:
        load_network(model.get_submodule(part), read_tensors(folder / part), source=folder / part)
    return model.float().eval().requires_grad_(False)
