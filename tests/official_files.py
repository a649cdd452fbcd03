"""The published checkpoints at toy size: every tensor drawn from its official name, as the parity numbers want it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

WIDTH, LAYERS, PATCH, PLACES, TOKEN = 32, 2, 7, 17, 64


@dataclass(frozen=True)
class Official:
    """The files, and what was made of them."""

    svd: Path
    lvcd: Path
    folder: Path


def make_official(root: Path) -> Official:
    """Write both files and convert them."""
    import torch
    from safetensors.torch import save_file

    from celpaint.methods.lvcd.convert.official import convert

    svd, lvcd = root / "svd.safetensors", root / "lvcd.ckpt"
    save_file(svd_tensors(), svd)
    lightning = {
        "epoch": 3,
        "global_step": 18000,
        "pytorch-lightning_version": "2.0.1",
        "state_dict": lvcd_tensors(),
        "loops": {"fit_loop": {"state_dict": {}}},
        "callbacks": {"ModelCheckpoint{'monitor': None}": {"best_model_score": None, "dirpath": "logs"}},
        "optimizer_states": [],
        "lr_schedulers": [],
    }
    torch.save(lightning, lvcd)
    return Official(svd, lvcd, convert(svd, lvcd, root / "converted"))


def svd_tensors() -> dict[str, Tensor]:
    """What svd.safetensors holds; its self-attention is zero, so that LVCD's is missed where it is not put in."""
    from celpaint.weights.convert import svd
    from parity.rule import weights

    unet = {k: v * 0 if ".attn1." in k else v for k, v in weights(svd.UNET).items()}
    parts = {
        svd.UNET: unet,
        svd.FIRST_STAGE: weights(svd.FIRST_STAGE),
        svd.CONDITIONER: weights(svd.CONDITIONER),
        svd.CLIP: open_clip(),
    }
    return {prefix + name: value.half() for prefix, part in parts.items() for name, value in part.items()}


def lvcd_tensors() -> dict[str, Tensor]:
    """What LVCD's checkpoint holds."""
    from celpaint.methods.lvcd.convert import keys as lvcd
    from celpaint.weights.convert import svd
    from parity.rule import weights

    trained = {svd.UNET + k: v.half() for k, v in weights(svd.UNET).items() if ".attn1." in k}
    return trained | {lvcd.CONTROL + k: v.half() for k, v in weights(lvcd.CONTROL).items()}


def open_clip() -> dict[str, Tensor]:
    """The image half of a toy OpenCLIP model under its own names, with leftovers of the text half."""
    from parity.rule import weight

    return {name: weight(name, shape) for name, shape in clip_shapes(WIDTH, LAYERS, PATCH, PLACES, TOKEN).items()}


def clip_shapes(width: int, layers: int, patch: int, places: int, token: int) -> dict[str, tuple[int, ...]]:
    """Names and shapes of an OpenCLIP model."""
    hidden = 2 * width if width < 1280 else 4 * width
    shapes: dict[str, tuple[int, ...]] = {
        "logit_scale": (),
        "text_projection": (4, 4),
        "visual.class_embedding": (width,),
        "visual.positional_embedding": (places, width),
        "visual.proj": (width, token),
        "visual.conv1.weight": (width, 3, patch, patch),
        **{f"visual.{ln}.{leaf}": (width,) for ln in ("ln_pre", "ln_post") for leaf in ("weight", "bias")},
    }
    for i in range(layers):
        block = f"visual.transformer.resblocks.{i}"
        shapes |= {f"{block}.{ln}.{leaf}": (width,) for ln in ("ln_1", "ln_2") for leaf in ("weight", "bias")}
        shapes |= {f"{block}.attn.in_proj_weight": (3 * width, width), f"{block}.attn.in_proj_bias": (3 * width,)}
        shapes |= {f"{block}.attn.out_proj.weight": (width, width), f"{block}.attn.out_proj.bias": (width,)}
        shapes |= {f"{block}.mlp.c_fc.weight": (hidden, width), f"{block}.mlp.c_fc.bias": (hidden,)}
        shapes |= {f"{block}.mlp.c_proj.weight": (width, hidden), f"{block}.mlp.c_proj.bias": (width,)}
    return shapes
