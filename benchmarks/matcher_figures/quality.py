"""How near single drawings come to the truth, by distance, hand and number of references."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import torch

from celpaint.benchmark.baselines import BASELINES
from celpaint.conditions.regions import label_regions
from celpaint.frames.color import Pixels, quantize
from celpaint.metrics.segments import LARGE, color_codes, majority_colors, to_palette
from celpaint.train.tasks.matching import matching_loss, regions_of
from matcher_figures.films import Film, flattened, still
from matcher_figures.work import Record, Settings, color, matcher, scores, spread

if TYPE_CHECKING:
    from celpaint.methods.matcher.run import Matcher
    from celpaint.types import Array

DISTANCES = (1, 15, 45, 60)
HANDS = ("soft", "clean", "binary")
RIGHT = 0.08
"""Error of a channel up to which a color is right: what the confidence is trained to foretell."""


@dataclass(frozen=True)
class Case:
    """One film colored by the matcher, to be shown.

    Attributes:
        lines: the hand; distance: frames from the reference; film: its number.
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


def quality(settings: Settings) -> tuple[list[Record], list[Case]]:
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


def _one_reference(settings: Settings, distance: int, number: int) -> tuple[list[Record], list[Case]]:
    records: list[Record] = []
    cases: list[Case] = []
    for hand in HANDS:
        film = still(settings, hand, distance, number)
        at: Record = {"part": "quality", "lines": hand, "references": 1, "distance": distance, "film": number}
        reference, truth = film.shot.references[0].rgb, film.truth[0]
        if not records:
            records.append({**at, "lines": "any", "method": "copy", **scores(reference, truth)})
        method = matcher(settings)
        (painted,) = color(method, film.shot)
        assert painted.confidence is not None
        own = scores(painted.rgb, truth)
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
            records.append({**at, "method": name, **scores(other.rgb, truth)})
        drawn, sure = (np.repeat(x[..., None], 3, -1) for x in (1 - film.shot.lines[0], painted.confidence))
        views = tuple(quantize(view, 8) for view in (reference, drawn, painted.rgb, truth, sure))
        cases.append(Case(hand, distance, number, own["psnr"], records[0]["psnr"], views))
    return records, cases


def _more_references(settings: Settings, count: int, distance: int, number: int) -> Record:
    film = still(settings, "clean", distance, number, count)
    (painted,) = color(matcher(settings), film.shot)
    at = {"part": "quality", "lines": "clean", "references": count, "distance": distance, "film": number}
    return {**at, "method": "matcher", **scores(painted.rgb, film.truth[0])}


@torch.inference_mode()
def matched(method: Matcher, film: Film) -> tuple[float, float]:
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
    right = np.abs(result - truth).max(-1) < RIGHT
    place = np.minimum((confidence * 10).astype(int), 9).ravel()
    sums = [np.bincount(place, weight, 10) for weight in (right.ravel(), confidence.ravel(), None)]
    tenths: list[list[float]] = np.stack(sums, 1).astype(float).tolist()
    return tenths


# -- segments ------------------------------------------------------------------------------------------------------


def segments(settings: Settings) -> list[Record]:
    """Closed regions of the right color on flat cels, beside the baselines."""
    jobs = [partial(_flat, settings, distance, film) for distance in DISTANCES for film in range(settings.films)]
    return [record for records in spread("flat cels", jobs, settings.workers) for record in records]


def _flat(settings: Settings, distance: int, number: int) -> list[Record]:
    records: list[Record] = []
    closed = still(settings, "clean", distance, number).shot.lines[0]
    for hand in HANDS:
        film = flattened(still(settings, hand, distance, number))
        # Extracted lines are judged by the segments of the drawn ones: their own leak into one another.
        drawn = closed if hand == "soft" else film.shot.lines[0]
        at: Record = {"part": "segments", "lines": hand, "distance": distance, "film": number}
        for name, method in (
            ("matcher, `--flat`", matcher(settings, exact=True)),
            ("matcher, nearest paint", matcher(settings)),
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
    result: Array, truth: Array, regions: np.ndarray, drawn: Array, *, nearest: bool = False
) -> tuple[int, int]:
    """(right, all) closed regions of the lines ``drawn`` whose commonest 8-bit color is the truth's.

    Args:
        result, truth: ``H W 3``.
        regions: ``H W``, 0 = not to be judged; what is left of a closed region counts if it has more than 10 pixels.
        drawn: ``H W``.
        nearest: take every pixel to the nearest of the truth's own colors first: right paint, not exact value.
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
