"""Films for LVCD, the methods that color them, and what is measured of a film."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from celpaint.benchmark.baselines import ChainedFlow, CopyReference
from celpaint.benchmark.lvcd.report import OURS
from celpaint.benchmark.matcher.films import KnownFilm
from celpaint.benchmark.matcher.method import load_matcher
from celpaint.benchmark.study import StudySettings, picture_scores
from celpaint.benchmark.tables import Record
from celpaint.data.synthetic import Art, toy_art, validation_clips
from celpaint.methods.base import Method
from celpaint.methods.lvcd.run import LVCD
from celpaint.methods.lvcd.spec import LVCDOptions
from celpaint.metrics.base import FramePair, Metric
from celpaint.metrics.temporal import DIS, TemporalConsistency, WarpError, visible_flicker
from celpaint.types import Array

__all__ = ["film_scores", "films", "lvcd_options", "methods"]


@cache
def _drawings(file: Path) -> Art:
    """The whole collection; ``toy`` is one made on the spot."""
    return toy_art() if file.name == "toy" else Art.load(file)


def films(settings: StudySettings, lines: str, distance: int, count: int, frames: int) -> list[KnownFilm]:
    """Held-out drawings: ``frames`` in a row, the first of them ``distance`` frames from the painting."""
    height, width = settings.size
    clips = validation_clips(
        _drawings(settings.art), distance, lines, clips=count, frames=frames + 1, height=height, width=width
    )
    return [KnownFilm(clip, (0,), tuple(range(1, frames + 1))) for clip in clips]


def lvcd_options(settings: StudySettings, **options: Any) -> LVCDOptions:
    """The method's options under the settings of a study."""
    given = {"weights": settings.weights, "device": settings.device, "dtype": settings.dtype}
    return LVCDOptions.of({**given, **options})


@cache
def methods(settings: StudySettings) -> dict[str, Method]:
    """Everything that colors films, loaded once a process."""
    return {
        OURS: LVCD.load(lvcd_options(settings, size=settings.size)),
        "matcher": load_matcher(replace(settings, weights="small")),
        "flow-chained": ChainedFlow(),
        "copy": CopyReference(),
    }


def film_scores(result: Sequence[Array], truth: Sequence[Array]) -> Record:
    """PSNR, LPIPS, TC, warp error and flicker of a film; NaN where there is nothing to measure.

    Args:
        result, truth: as many frames ``H W 3``, at least two.
    """
    flow = DIS()
    pairs: list[FramePair] = []
    for index, (ours, true) in enumerate(zip(result, truth, strict=True)):
        pair = FramePair(index, ours, true)
        if pairs:
            before = pairs[-1].ground_truth
            pair = replace(pair, backward_flow=flow.between(true, before), forward_flow=flow.between(before, true))
        pairs.append(pair)

    def over(metric: Metric[Any]) -> tuple[float, ...]:
        sums = [s for i in range(1, len(pairs)) if (s := metric.measure(pairs[i - 1 : i + 1])) is not None]
        return metric.values(sum(sums[1:], sums[0])) if sums else (math.nan, math.nan)

    each = [picture_scores(pair.result, pair.ground_truth) for pair in pairs]
    warped, of_truth = over(WarpError(flow))
    still = any((a.ground_truth == b.ground_truth).all(-1).any() for a, b in pairwise(pairs))
    return {
        **{name: float(np.mean([one[name] for one in each])) for name in ("psnr", "lpips")},
        "tc": over(TemporalConsistency(flow))[0],
        "warp": warped,
        "warp_truth": of_truth,
        "flicker": 100 * visible_flicker(result, truth) if still else math.nan,
    }
