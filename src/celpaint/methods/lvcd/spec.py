"""LVCD's entry."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from celpaint.errors import WeightsError
from celpaint.methods.matcher.spec import MatcherOptions
from celpaint.methods.spec import Extra, MethodSpec, Rank
from celpaint.options import ComputeOptions, option
from celpaint.weights.kinds import CheckpointKind, Converter, FolderKind, Published
from celpaint.weights.registry import stated_license
from celpaint.weights.store import read_config

__all__ = ["LVCD_LICENSE", "PARTS", "SPEC", "SVD_LICENSE", "LVCDOptions"]

SVD_LICENSE = (
    "Stability AI's own license (at first for non-commercial research, later its Community License); "
    "not open source, read it on the model's page"
)
LVCD_LICENSE = "none stated by its authors: ask them before any use beyond your own study"

PARTS = ("unet", "controlnet", "vae", "line_vae", "first_stage_encoder", "image_encoder")
"""Folders of LVCD's weights that hold a network each."""

_CONVERT = "celpaint weights convert --svd svd.safetensors --lvcd lvcd.ckpt --out DIR"
_UNET, _FIRST_STAGE = "model.diffusion_model.", "first_stage_model."


@dataclass(frozen=True, kw_only=True)
class LVCDOptions(ComputeOptions):
    """LVCD (Huang et al., SIGGRAPH Asia 2024): video diffusion with line art and a reference."""

    steps: int | None = option(
        None, "denoising steps per segment; default: as recommended by the weights", ge=1, le=1000, step=1
    )
    overlap: int = option(
        4, "frames shared by neighboring segments of 14 frames (paper section 4.2)", ge=0, le=12, step=1
    )
    guidance: float = option(1.0, "classifier-free guidance scale; 1 = none", ge=1, le=30, step=0.5)
    prev_reference_ratio: float = option(
        1.0, "fraction of the steps with Prev-Reference Attention", ge=0, le=1, step=0.05
    )
    prev_reference_scale: float = option(
        10.0, "weight of previous references on overlapping frames (alpha in equation 7)", gt=0, step=1
    )
    draft: Literal["auto", "none", "matcher"] = option(
        "auto", "matcher: start from the matcher's result; none: start from noise; auto: as the weights were trained"
    )
    draft_sigma: float | None = option(
        None,
        "noise level added to the draft; default: as recommended by the weights",
        gt=0.002,
    )
    match_official: bool = option(False, "reproduce the official implementation exactly, including its faults")

    def inner(self) -> tuple[ComputeOptions, ...]:
        if self.draft == "none":
            return ()
        return (MatcherOptions(flat="off", seed=self.seed, device=self.device, dtype=self.dtype),)


def _is_lvcd(folder: Path) -> bool:
    return (folder / "controlnet").is_dir()


def _is_svd(folder: Path) -> bool:
    return (folder / "unet").is_dir() and not _is_lvcd(folder)


def _is_line_vae(folder: Path) -> bool:
    try:
        return read_config(folder).get("_class_name") == "LineVAE"
    except WeightsError:
        return False


def _license(folder: Path) -> str:
    if (folder / "line_vae").is_dir():
        return stated_license(folder)
    return f"SVD: {SVD_LICENSE}; LVCD: {LVCD_LICENSE}"


SPEC = MethodSpec(
    name="lvcd",
    title="LVCD",
    paper="Huang et al., LVCD: Reference-based Lineart Video Colorization with Diffusion Models, SIGGRAPH Asia 2024",
    options=LVCDOptions,
    run="celpaint.methods.lvcd.run:LVCD",
    ranks=(Rank(psnr=24.8, source="docs/results/lvcd_small.md"),),
    extra=Extra("diffusion", "diffusers"),
    save_memory="Lower --size (for example 576x320), or add --offload.",
    weights=FolderKind(
        title="weights of the method lvcd",
        recognizes=_is_lvcd,
        use="celpaint colorize ... --method lvcd --weights '{path}'",
        build="celpaint.methods.lvcd.weights:build_part",
        parts=PARTS,
        needs=(("unet",), ("controlnet",), ("image_encoder",), ("vae", "line_vae")),
        license=_license,
        card="celpaint.methods.lvcd.weights:read_card",
    ),
    related=(
        FolderKind(
            title="Stable Video Diffusion, diffusers' format",
            recognizes=_is_svd,
            use="convert it: celpaint weights convert --svd '{path}' --lvcd lvcd.ckpt --out DIR",
            build="celpaint.methods.lvcd.weights:build_part",
            parts=PARTS,
            license=lambda _: SVD_LICENSE,
        ),
        FolderKind(
            title="a line-aware autoencoder",
            recognizes=_is_line_vae,
            use="part of other weights",
            build="celpaint.methods.lvcd.weights:build_line_vae",
        ),
    ),
    checkpoints=(
        CheckpointKind(
            title="LVCD's checkpoint",
            marks=("control_model.", _UNET),
            use=f"convert it: {_CONVERT}",
            license=LVCD_LICENSE,
            prefixes={"UNet": _UNET, "ControlNet": "control_model."},
            check="celpaint.methods.lvcd.convert.official:check_lvcd",
        ),
        CheckpointKind(
            title="Stable Video Diffusion, original format",
            marks=(f"{_UNET}input_blocks.1.0.time_stack.", _FIRST_STAGE),
            use=f"convert it: {_CONVERT}",
            license=SVD_LICENSE,
            prefixes={
                "UNet": _UNET,
                "VAE": _FIRST_STAGE,
                "image encoder": "conditioner.embedders.0.",
                "condition encoder": "conditioner.embedders.3.encoder.",
            },
            check="celpaint.methods.lvcd.convert.official:check_svd",
        ),
    ),
    published=(
        Published(
            "svd",
            "Stable Video Diffusion, 14 frames: UNet, VAE, image encoder",
            "stabilityai/stable-video-diffusion-img2vid",
            "svd.safetensors",
            SVD_LICENSE,
        ),
        Published(
            "lvcd",
            "LVCD by its authors: ControlNet, trained part of the UNet",
            "luckyhzt/lvcd_pretrained_models",
            "lvcd.ckpt",
            LVCD_LICENSE,
        ),
        Published(
            "lvcd-fp16",
            "the same, pruned to half precision by Kijai",
            "Kijai/LVCD-pruned",
            "lvcd-fp16.safetensors",
            LVCD_LICENSE,
        ),
    ),
    converters=(
        Converter(
            title="LVCD, from the official checkpoints",
            sources={
                "svd": "svd.safetensors, or the public SVD folder in diffusers' format",
                "lvcd": "lvcd.ckpt, or its pruned safetensors",
            },
            run="celpaint.methods.lvcd.convert.official:convert",
            example=_CONVERT,
        ),
    ),
    ablations={"reference attention": "celpaint.methods.lvcd.ablations:UnattendedReference"},
    tasks={
        "line_vae": "celpaint.train.tasks.autoencoding:Autoencoding",
        "lvcd_small": "celpaint.train.tasks.diffusion:DiffusionSmall",
        "lvcd_finetune": "celpaint.train.tasks.diffusion:DiffusionFineTune",
    },
)
