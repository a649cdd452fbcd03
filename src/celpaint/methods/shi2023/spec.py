"""The entry of Shi et al. 2023."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from celpaint.methods.spec import MethodSpec
from celpaint.options import ComputeOptions, option
from celpaint.weights.kinds import FolderKind

__all__ = ["PARTS", "SPEC", "Shi2023Options"]

PARTS = ("transform", "refinement")
"""Folders of the weights that hold a network each."""


@dataclass(frozen=True, kw_only=True)
class Shi2023Options(ComputeOptions):
    """Shi et al. 2023: one feed-forward pass a frame, then refinement in time."""

    refine: Literal["on", "off"] = option(
        "on", "on: a second network makes neighboring frames agree; off: every frame by itself, as with --preview"
    )
    refine_window: int = option(
        8, "frames refined together, the painted ones at both ends among them", ge=3, le=64, step=1, unit="frames"
    )
    attend: Literal["bracket", "all"] = option(
        "bracket",
        "references that a drawing is colored from. bracket: the nearest painted frame before it and after it, and "
        "those that belong to no frame; all: every one, in more memory and time",
    )
    max_positions: int = option(
        12288,
        "maximum number of positions matched per frame; higher is finer and slower",
        ge=256,
        le=262144,
        step=256,
    )


def _is_shi2023(folder: Path) -> bool:
    return all((folder / part).is_dir() for part in PARTS)


SPEC = MethodSpec(
    name="shi2023",
    title="Shi et al. 2023",
    paper="Shi et al., Reference-Based Deep Line Art Video Colorization, IEEE TVCG 29(6), 2023",
    options=Shi2023Options,
    run="celpaint.methods.shi2023.run:Shi2023",
    confidence=True,
    save_memory="Lower --max-positions, --refine-window or --size (for example 576x320), or take --attend bracket.",
    weights=FolderKind(
        title="weights of the method shi2023",
        recognizes=_is_shi2023,
        use="celpaint colorize ... --method shi2023 --weights '{path}'",
        build="celpaint.methods.shi2023.weights:build_part",
        parts=PARTS,
        needs=tuple((part,) for part in PARTS),
        obtain="Train some with `celpaint train shi2023`, and give their folder with --weights.",
    ),
    ablations={
        "distance attention": "celpaint.methods.shi2023.ablations:WithoutAttention",
        "embedder": "celpaint.methods.shi2023.ablations:WithoutEmbedder",
        "line art": "celpaint.methods.shi2023.ablations:WithoutLines",
        "distance field": "celpaint.methods.shi2023.ablations:WithoutDistance",
        "temporal refinement": "celpaint.methods.shi2023.ablations:WithoutRefinement",
    },
    tasks={"shi2023": "celpaint.train.tasks.shi2023:Shi2023Training"},
)
