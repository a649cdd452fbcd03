"""The palette model at toy size, as if it had been trained."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch

from celpaint.models.line_vae import LineVAEConfig
from celpaint.models.palette.small import SmallPaletteModel
from celpaint.models.palette.unet import SMALL, PaletteConfig
from celpaint.weights.store import write_network

TOY = PaletteConfig(
    unet=replace(SMALL.unet, block_out_channels=(32, 32, 32), num_attention_heads=(1, 1, 1)), lookup_heads=1
)


def toy_model() -> SmallPaletteModel:
    """Nothing in it is zero, and a palette makes a difference."""
    torch.manual_seed(0)
    model = SmallPaletteModel(TOY, LineVAEConfig(latent_channels=8, widths=(8, 8, 16, 16), blocks=1))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.02 * torch.randn_like(parameter)
    return model.eval()


def write_toy_weights(folder: Path) -> Path:
    """A folder of weights that the method reads."""
    model = toy_model()
    for name, config in model.configs.items():
        write_network(folder / name, config, model.get_submodule(name).state_dict())
    return folder
