"""The matcher's entry."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from celpaint.errors import WeightsError
from celpaint.methods.spec import MethodSpec, Rank
from celpaint.options import ComputeOptions, option
from celpaint.weights.kinds import FolderKind
from celpaint.weights.store import read_config

__all__ = ["SPEC", "MatcherOptions"]


@dataclass(frozen=True, kw_only=True)
class MatcherOptions(ComputeOptions):
    """The matcher: one feed-forward pass per frame; colors are transferred by explicit matching."""

    flat: Literal["auto", "on", "off"] = option(
        "auto",
        "flat fills: each closed region gets exactly one color of the references, or the nearest of --palette; "
        "auto: where the references themselves are flat",
    )
    memory_frames: int = option(
        1, "number of colored frames used as further references, for temporal consistency", ge=0, le=16, step=1
    )
    max_tokens: int = option(
        4096,
        "maximum number of positions matched per frame; higher is finer and slower",
        ge=64,
        le=65536,
        step=64,
    )


def _is_matcher(folder: Path) -> bool:
    try:
        config = read_config(folder)
    except WeightsError:
        return False
    return "_class_name" not in config and "fine_key" in config


SPEC = MethodSpec(
    name="matcher",
    title="Matcher",
    options=MatcherOptions,
    run="celpaint.methods.matcher.run:Matcher",
    uses=frozenset({"palette"}),
    confidence=True,
    ranks=(Rank(psnr=24.9, source="docs/results/lvcd_small.md"),),
    save_memory="Lower --size (for example 576x320) or --max-tokens.",
    weights=FolderKind(
        title="weights of the method matcher",
        recognizes=_is_matcher,
        use="celpaint colorize ... --method matcher --weights '{path}'",
        build="celpaint.methods.matcher.weights:build",
    ),
    ablations={
        "smoothing of unsure regions": "celpaint.methods.matcher.ablations:WithoutSmoothing",
        "flow blend": "celpaint.methods.matcher.ablations:WithoutBlend",
        "region votes": "celpaint.methods.matcher.ablations:WithoutRegions",
        "memory prior": "celpaint.methods.matcher.ablations:WithoutMemoryPrior",
        "detail network": "celpaint.methods.matcher.ablations:WithoutDetail",
    },
    tasks={
        "matcher": "celpaint.train.tasks.matching:Matching",
        "matcher_blend": "celpaint.train.tasks.blending:Blending",
    },
)
