"""The entry of ColorizeDiffusion v2."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from celpaint.errors import OptionError, WeightsError
from celpaint.methods.spec import Extra, MethodSpec
from celpaint.options import ComputeOptions, flag, option
from celpaint.weights.kinds import CheckpointKind, Converter, FolderKind, Published
from celpaint.weights.registry import stated_license
from celpaint.weights.store import read_config

__all__ = ["CLIP_LICENSE", "LICENSE", "SPEC", "ColorizeDiffusionOptions"]

LICENSE = (
    "the authors' own terms: not for commercial use; read them at https://huggingface.co/tellurion/ColorizeDiffusion"
)
CLIP_LICENSE = "MIT"

_PARTS = ("unet", "sketch_encoder", "background_encoder", "style_encoder", "vae", "image_encoder")
_CONVERT = (
    "celpaint weights convert --colorize-diffusion v2.safetensors --clip open_clip_model.safetensors --out colorizer/"
)
_GET_V2 = "Download a file whose name begins with 'v2' from https://huggingface.co/tellurion/ColorizeDiffusion."
_UNET = "model.diffusion_model."

SamplerName = Literal[
    "dpmpp_2m",
    "ddim",
    "euler",
    "heun",
    "lms",
    "dpm_2",
    "dpmpp_2m_karras",
    "euler_ancestral",
    "dpm_2_ancestral",
    "dpmpp_2s_ancestral",
    "dpmpp_sde",
    "dpmpp_2m_sde",
    "dpmpp_3m_sde",
]
ScheduleName = Literal["uniform", "leading", "ddim", "karras", "exponential", "polyexponential", "sgm_uniform"]


@dataclass(frozen=True, kw_only=True)
class ColorizeDiffusionOptions(ComputeOptions):
    """ColorizeDiffusion v2 (Yan et al., 2025): one drawing colored from any reference.

    Raises:
        OptionError: a value is out of range, or an option has no effect with the others.
    """

    mode: Literal["vanilla", "style", "background", "full"] = option(
        "full",
        "style: the reference's style in every layer; background: figure and background colored apart; full: both",
    )
    steps: int | None = option(
        None, "denoising steps per drawing; default: as recommended by the weights", ge=1, le=100, step=1
    )
    sampler: SamplerName | None = option(None, "sampler; default: as recommended by the weights")
    schedule: ScheduleName | None = option(None, "spacing of the noise levels; default: the one for the sampler")
    reference_guidance: float | None = option(
        None,
        "guidance scale of the reference; 1 = none; default: as recommended by the weights",
        ge=1,
        le=15,
        step=0.5,
    )
    sketch_guidance: float = option(1.0, "guidance scale of the drawing; 1 = none", ge=1, le=5, step=0.1)
    guidance_start: float = option(0.0, "fraction of the denoising after which guidance begins", ge=0, le=1, step=0.05)
    guidance_end: float = option(1.0, "fraction of the denoising after which guidance ends", ge=0, le=1, step=0.05)
    reference_strength: float = option(1.0, "strength of the reference", ge=0, le=1, step=0.05)
    encoder_scale: float = option(1.0, "factor of --reference-strength in the network's encoder", ge=0, le=1, step=0.05)
    semantics_scale: float = option(1.0, "factor of --reference-strength in the coarse layers", ge=0, le=1, step=0.05)
    color_scale: float = option(1.0, "factor of --reference-strength in the fine layers", ge=0, le=1, step=0.05)
    layer_scales: tuple[float, ...] = option(
        (), "reference strength of each cross-attention layer, instead of the four options above", ge=0, le=1, step=0.05
    )
    foreground_strength: float = option(
        1.0, "strength of the reference in the figure; modes background and full", ge=0, le=1, step=0.05
    )
    background_strength: float = option(
        1.0, "strength of the reference in the background; modes background and full", ge=0, le=1, step=0.05
    )
    background_factor: float = option(1.0, "factor of the background features", ge=0, le=2, step=0.05)
    merging_scale: float = option(0.0, "fraction of the background mixed into the figure", ge=0, le=1, step=0.05)
    sketch_strength: float = option(1.0, "strength of the drawing", ge=0, le=3, step=0.1)
    figure_threshold: float | None = option(
        None,
        "mask value above which a pixel of the drawing is figure; default: as recommended by the weights",
        ge=0,
        le=1,
        step=0.05,
    )
    reference_threshold: float = option(
        0.5, "mask value from which a pixel of the reference is figure", ge=0, le=1, step=0.05
    )
    reference_padding: float = option(
        1.0, "width of the reference with white added on both sides, relative to its own width", ge=1, le=2, step=0.1
    )
    mask: str = option(
        "",
        "mask of the figure in the drawing: white, or opaque; for several drawings a folder with one mask each; "
        "default: from the frame's alpha, otherwise the area that lines enclose",
    )
    reference_mask: str = option(
        "",
        "mask of the figure in the reference; default: from its alpha, otherwise from its colors",
    )
    background: str = option("", "another picture that gives the background its colors")
    background_mask: str = option("", "picture of a figure to remove from --background")
    attention_injection: bool = option(
        False, "let self-attention see the reference too, for more similar colors; doubles the time"
    )
    injection_sketch: float = option(
        0.0, "strength of the reference's own lines in attention injection", ge=0, le=2, step=0.1
    )
    injection_plain: float = option(
        0.5, "fraction of attention injection removed where the reference is dropped", ge=0, le=1, step=0.05
    )
    injection_start: float = option(
        0.0, "fraction of the denoising after which attention injection begins", ge=0, le=1, step=0.05
    )
    match_official: bool = option(False, "reproduce the official implementation exactly, including its faults")

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.guidance_start > self.guidance_end:
            raise OptionError(
                f"--guidance-start is {self.guidance_start} and --guidance-end {self.guidance_end}",
                wanted="a start before the end",
            )
        if self.background_mask and not self.background:
            raise OptionError("--background-mask is given without --background", wanted="both, or neither")
        if self.mode == "vanilla" and self.background:
            raise OptionError("--background has no effect with --mode vanilla", wanted="another mode")
        for name in ("mask", "reference_mask"):
            if getattr(self, name) and self.mode not in ("background", "full"):
                raise OptionError(
                    f"{flag(name)} has no effect with --mode {self.mode}", wanted="--mode background or full"
                )

    def files(self) -> tuple[Path, ...]:
        named = (self.mask, self.reference_mask, self.background, self.background_mask)
        return tuple(file for text in named if text for file in _files(Path(text).expanduser()))


def _files(path: Path) -> list[Path]:
    return sorted(path.iterdir()) if path.is_dir() else [path]


def _is_colorize_diffusion(folder: Path) -> bool:
    try:
        return read_config(folder / "unet").get("_class_name") == "ColorizeDiffusion"
    except WeightsError:
        return False


def _license(folder: Path) -> str:
    """What the conversion wrote into the card, else what the folder's README states."""
    try:
        card = json.loads((folder / "model_index.json").read_text(encoding="utf-8"))
        return str(card["license"])
    except (OSError, ValueError, KeyError, TypeError):
        return stated_license(folder)


SPEC = MethodSpec(
    name="colorize-diffusion",
    title="ColorizeDiffusion v2",
    paper="Yan et al., ColorizeDiffusion v2: Enhancing Reference-based Sketch Colorization Through Separating "
    "Utilities, 2025",
    options=ColorizeDiffusionOptions,
    run="celpaint.methods.colorize_diffusion.run:ColorizeDiffusion",
    any_reference=True,
    extra=Extra("diffusion", "diffusers"),
    save_memory="Lower --size (for example 512x512), or add --offload.",
    weights=FolderKind(
        title="weights of the method colorize-diffusion",
        recognizes=_is_colorize_diffusion,
        use="celpaint colorize ... --method colorize-diffusion --weights '{path}'",
        build="celpaint.methods.colorize_diffusion.networks:build_part",
        parts=_PARTS,
        needs=tuple((part,) for part in _PARTS),
        license=_license,
        card="celpaint.methods.colorize_diffusion.networks:read_card",
        obtain="Train some with `celpaint train colorize_diffusion_small`, or convert the official checkpoint with "
        f"`{_CONVERT}`, and give their folder with --weights.",
    ),
    checkpoints=(
        CheckpointKind(
            title="ColorizeDiffusion v2's checkpoint",
            marks=(_UNET, "control_encoder.", "bg_encoder.", "style_encoder."),
            use=f"convert it: {_CONVERT}",
            license=LICENSE,
            prefixes={
                "UNet": _UNET,
                "sketch encoder": "control_encoder.",
                "background encoder": "bg_encoder.",
                "style encoder": "style_encoder.",
                "VAE": "first_stage_model.",
            },
            check="celpaint.methods.colorize_diffusion.convert:check_checkpoint",
        ),
        CheckpointKind(
            title="a checkpoint of ColorizeDiffusion XL",
            marks=(_UNET, "control_encoder.", f"{_UNET}label_emb."),
            use=f"none in celpaint. {_GET_V2}",
            license=LICENSE,
            prefixes={"UNet": _UNET, "sketch encoder": "control_encoder."},
            check="celpaint.methods.colorize_diffusion.convert:check_checkpoint",
        ),
        CheckpointKind(
            title="a checkpoint of ColorizeDiffusion 1 or 1.5",
            marks=(_UNET, "control_encoder."),
            use=f"none in celpaint. {_GET_V2}",
            license=LICENSE,
            prefixes={"UNet": _UNET, "sketch encoder": "control_encoder."},
            check="celpaint.methods.colorize_diffusion.convert:check_checkpoint",
        ),
        CheckpointKind(
            title="a CLIP model of OpenCLIP",
            marks=("visual.conv1.", "visual.transformer."),
            use=f"a part of ColorizeDiffusion v2: {_CONVERT}",
            license=CLIP_LICENSE,
            prefixes={"image tower": "visual.", "text tower": ""},
            check="celpaint.methods.colorize_diffusion.convert:check_clip",
        ),
    ),
    published=(
        Published(
            "colorize-diffusion",
            "ColorizeDiffusion v2 by its authors: all networks but the CLIP image tower",
            "tellurion/ColorizeDiffusion",
            "v2*.safetensors",
            LICENSE,
        ),
        Published(
            "clip",
            "OpenCLIP ViT-H-14: the image tower that ColorizeDiffusion v2 sees references with",
            "laion/CLIP-ViT-H-14-laion2B-s32B-b79K",
            "open_clip_model.safetensors",
            CLIP_LICENSE,
        ),
    ),
    converters=(
        Converter(
            title="ColorizeDiffusion v2, from the official checkpoint",
            sources={
                "colorize_diffusion": "the official checkpoint, v2*.safetensors",
                "clip": "open_clip_model.safetensors of CLIP ViT-H-14, whose image tower the checkpoint lacks",
            },
            optional=frozenset({"clip"}),
            run="celpaint.methods.colorize_diffusion.convert:convert",
            example=_CONVERT,
        ),
    ),
    tasks={"colorize_diffusion": "celpaint.train.tasks.colorize_diffusion:ColorizeDiffusionTraining"},
)
