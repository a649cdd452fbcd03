"""Flat cels: whether every closed region has its color."""

from __future__ import annotations

from functools import partial

import numpy as np
import numpy.typing as npt

from celpaint.benchmark.baselines import BASELINES
from celpaint.benchmark.matcher.films import flat_film, still_film
from celpaint.benchmark.matcher.method import load_matcher
from celpaint.benchmark.matcher.quality import DISTANCES, LINE_STYLES
from celpaint.benchmark.study import StudySettings, color, spread
from celpaint.benchmark.tables import Record
from celpaint.conditions.regions import label_regions
from celpaint.metrics.segments import LARGE, color_codes, majority_colors, to_palette
from celpaint.types import Array

__all__ = ["flat_cels", "right_segments"]


def flat_cels(settings: StudySettings) -> list[Record]:
    """Closed regions of the right color on flat cels, beside the baselines."""
    jobs = [partial(_flat, settings, distance, film) for distance in DISTANCES for film in range(settings.films)]
    return [record for records in spread("flat cels", jobs, settings.workers) for record in records]


def _flat(settings: StudySettings, distance: int, number: int) -> list[Record]:
    records: list[Record] = []
    closed = still_film(settings, "clean", distance, number).shot.lines[0]
    for style in LINE_STYLES:
        film = flat_film(still_film(settings, style, distance, number))
        # Extracted lines are judged by the segments of the drawn ones: their own leak into one another.
        drawn = closed if style == "soft" else film.shot.lines[0]
        at: Record = {"part": "segments", "lines": style, "distance": distance, "film": number}
        for name, method in (
            ("matcher, `--flat`", load_matcher(settings, flat=True)),
            ("matcher, nearest paint", load_matcher(settings)),
            *((name, BASELINES[name]()) for name in ("copy", "flow", "segments")),
        ):
            (painted,) = color(method, film.shot)
            right, total = right_segments(
                painted.rgb, film.truth[0], film.regions[0], drawn, nearest=name.endswith("paint")
            )
            if total:
                records.append({**at, "method": name, "right": right / total, "total": total})
    return records


def right_segments(
    result: Array, truth: Array, regions: npt.NDArray[np.int64], drawn: Array, *, nearest: bool = False
) -> tuple[int, int]:
    """(right, all) closed regions of the lines ``drawn`` whose most frequent 8-bit color is that of the ground truth.

    Args:
        result, truth: ``H W 3``.
        regions: ``H W``, 0 = not to be judged; what is left of a closed region counts if it has more than 10 pixels.
        drawn: ``H W``.
        nearest: first take every pixel to the nearest color of the ground truth: the right paint, if not its exact
            value.
    """
    labels = label_regions(drawn, gap=0)
    labels[regions == 0] = 0
    sizes = np.bincount(labels.ravel())
    sizes[0] = 0
    kept = np.flatnonzero(sizes > LARGE)
    number = np.zeros(len(sizes), np.int32)
    number[kept] = np.arange(1, len(kept) + 1)
    labels = number[labels]
    wanted, codes = majority_colors(labels, color_codes(truth)), color_codes(result)
    if nearest and len(kept):
        codes = to_palette(codes, np.unique(wanted))
    return int((majority_colors(labels, codes) == wanted).sum()), len(kept)
