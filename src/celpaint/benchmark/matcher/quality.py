"""How near single drawings come to the ground truth, by distance, line style and number of references."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import torch

from celpaint.benchmark.baselines import BASELINES
from celpaint.benchmark.matcher.films import KnownFilm, still_film
from celpaint.benchmark.matcher.method import load_matcher
from celpaint.benchmark.study import StudySettings, color, picture_scores, spread
from celpaint.benchmark.tables import Record
from celpaint.frames.color import Pixels, quantize
from celpaint.metrics.frame import COLOR_TOLERANCE
from celpaint.train.tasks.matching import matching_loss, regions_of

if TYPE_CHECKING:
    from celpaint.methods.matcher.run import Matcher
    from celpaint.types import Array

__all__ = ["DISTANCES", "LINE_STYLES", "Case", "quality"]


DISTANCES = (1, 15, 45, 60)
LINE_STYLES = ("soft", "clean", "binary")


@dataclass(frozen=True)
class Case:
    """One film colored by the matcher, to be shown.

    Attributes:
        lines: the line style; distance: frames from the reference; film: its number.
        psnr: dB; copied: the same of the reference as it is.
        views: reference, lines, result, truth, confidence, ``H W 3`` uint8 each.
    """

    lines: str
    distance: int
    film: int
    psnr: float
    copied: float
    views: tuple[Pixels, ...]

    @property
    def gain(self) -> float:
        """Over copying, dB."""
        return self.psnr - self.copied


def quality(settings: StudySettings) -> tuple[list[Record], list[Case]]:
    """PSNR, LPIPS, confidence and share of right matches, beside the baselines."""
    films = range(settings.films)
    jobs = [partial(_one_reference, settings, distance, film) for distance in DISTANCES for film in films]
    found = spread("one painting", jobs, settings.workers)
    jobs_more = [
        partial(_more_references, settings, count, distance, film)
        for count in (2, 3, 4)
        for distance in DISTANCES
        for film in films
    ]
    more = spread("more paintings", jobs_more, settings.workers)
    return [r for records, _ in found for r in records] + more, [case for _, cases in found for case in cases]


def _one_reference(settings: StudySettings, distance: int, number: int) -> tuple[list[Record], list[Case]]:
    records: list[Record] = []
    cases: list[Case] = []
    for style in LINE_STYLES:
        film = still_film(settings, style, distance, number)
        at: Record = {"part": "quality", "lines": style, "references": 1, "distance": distance, "film": number}
        reference, truth = film.shot.references[0].rgb, film.truth[0]
        if not records:
            records.append({**at, "lines": "any", "method": "copy", **picture_scores(reference, truth)})
        method = load_matcher(settings)
        (painted,) = color(method, film.shot)
        assert painted.confidence is not None
        own = picture_scores(painted.rgb, truth)
        whole, drawings = matched(method, film)
        records.append(
            {
                **at,
                "method": "matcher",
                **own,
                "matched": whole,
                "matched_drawings": drawings,
                "confidence": calibration(painted.rgb, painted.confidence, truth),
            }
        )
        for name in ("flow", "segments"):
            (other,) = color(BASELINES[name](), film.shot)
            records.append({**at, "method": name, **picture_scores(other.rgb, truth)})
        drawn, sure = (np.repeat(x[..., None], 3, -1) for x in (1 - film.shot.lines[0], painted.confidence))
        views = tuple(quantize(view, 8) for view in (reference, drawn, painted.rgb, truth, sure))
        cases.append(Case(style, distance, number, own["psnr"], records[0]["psnr"], views))
    return records, cases


def _more_references(settings: StudySettings, count: int, distance: int, number: int) -> Record:
    film = still_film(settings, "clean", distance, number, count)
    (painted,) = color(load_matcher(settings), film.shot)
    at = {"part": "quality", "lines": "clean", "references": count, "distance": distance, "film": number}
    return {**at, "method": "matcher", **picture_scores(painted.rgb, film.truth[0])}


@torch.inference_mode()
def matched(method: Matcher, film: KnownFilm) -> tuple[float, float]:
    """Share of the target's tokens at 1/8 whose best reference token shows the same, among those that any shows.

    Returns:
        of the whole picture; of the drawings alone, without the background; NaN where the references show none of it.
    """
    clip, count = film.clip, len(film.targets)
    assert clip.drawing is not None
    assert clip.point is not None
    order = [*film.targets, *film.references]
    lines, rgb = (x[:, order].to(method.device, method.dtype) for x in (clip.lines, clip.color))
    regions = regions_of(clip.lines[:, order]).to(method.device)
    _, matching = method.network(lines[:, :count], lines[:, count:], rgb[:, count:], regions)
    drawing, point = (x[:, order].to(method.device) for x in (clip.drawing, clip.point))
    shares = []
    for background in (0, -1):  # a drawing that no reference shows is not counted
        drawing[:, :count][drawing[:, :count] == 0] = background
        shown = torch.isin(drawing[:, :count], drawing[:, count:]).any()
        shares.append(float(matching_loss(drawing, point, count, matching)[1]) if shown else math.nan)
    return shares[0], shares[1]


def calibration(result: Array, confidence: Array, truth: Array) -> list[list[float]]:
    """For each tenth of confidence: pixels of right color, sum of what was said, pixels."""
    right = np.abs(result - truth).max(-1) < COLOR_TOLERANCE
    place = np.minimum((confidence * 10).astype(int), 9).ravel()
    sums = [np.bincount(place, weight, 10) for weight in (right.ravel(), confidence.ravel(), None)]
    return [[float(value) for value in tenth] for tenth in zip(*sums, strict=True)]
