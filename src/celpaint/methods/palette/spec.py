"""The palette method's entry."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from celpaint.methods.spec import MethodSpec
from celpaint.options import ComputeOptions, option
from celpaint.weights.kinds import FolderKind

__all__ = ["PARTS", "SPEC", "PaletteOptions"]

PARTS = ("unet", "line_vae", "token")
"""Folders of the weights that hold a network each."""


@dataclass(frozen=True, kw_only=True)
class PaletteOptions(ComputeOptions):
    """Palette-guided colorization of gray footage (Wang et al. 2025)."""

    steps: int = option(1, "denoising steps; the small weights are trained for one", ge=1, le=1000, step=1)
    guidance: float = option(1.0, "guidance scale of the palette; 1 = none", ge=1, le=30)
    window: int = option(8, "frames denoised together; the small weights are trained with 8", ge=1, le=64, step=1)
    overlap: int = option(3, "frames shared by neighboring windows; fewer than --window", ge=0, le=63, step=1)
    fusion: Literal["step", "final"] = option(
        "step", "when windows are merged: after every step, or after the last (final)"
    )
    keep_luminance: bool = option(
        False, "keep the luminance exactly: colors too saturated for it become paler instead of being clipped"
    )


def _is_palette(folder: Path) -> bool:
    return all((folder / part).is_dir() for part in PARTS)


SPEC = MethodSpec(
    name="palette",
    title="Palette",
    paper="Wang et al., Consistent Video Colorization via Palette Guidance, 2025",
    options=PaletteOptions,
    run="celpaint.methods.palette.run:PaletteMethod",
    requires=frozenset({"gray"}),
    uses=frozenset({"palette", "references"}),
    weights=FolderKind(
        title="weights of the method palette",
        recognizes=_is_palette,
        use="celpaint colorize ... --method palette --weights '{path}'",
        build="celpaint.methods.palette.weights:build_part",
        parts=PARTS,
        needs=tuple((part,) for part in PARTS),
    ),
    tasks={"palette_small": "celpaint.train.tasks.palette:PaletteVideo"},
)
