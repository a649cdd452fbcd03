"""Every method on films in four line styles, at three distances from the painting."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np

from celpaint.benchmark.lvcd.films import film_scores, films, methods
from celpaint.benchmark.lvcd.report import OURS
from celpaint.benchmark.study import Sheets, StudySettings, color, spread
from celpaint.benchmark.tables import Record
from celpaint.frames.contact_sheet import SheetRow, contact_sheet
from celpaint.metrics.frame import psnr, squared_error

__all__ = ["FRAMES", "quality"]

LINE_STYLES = ("soft", "clean", "binary", "thick")
DISTANCES = (1, 15, 45)
FRAMES = 8
"""Of a film."""
VIEWS = ("painting", "lines", "matcher", OURS, "ground truth")


@dataclass(frozen=True)
class _Case:
    """The last frame of a film, to be looked at; ``psnr`` is LVCD's of the whole film."""

    lines: str
    film: int
    psnr: float
    row: SheetRow


def quality(settings: StudySettings) -> tuple[list[Record], Sheets]:
    """Every method on every line style and distance; sheets by line style, and the worst cases."""
    jobs = [partial(_measure, settings, lines, distance) for lines in LINE_STYLES for distance in DISTANCES]
    found = spread("quality", jobs, settings.workers)
    cases = [case for _, some in found for case in some]
    rows = {lines: [c.row for c in cases if c.lines == lines and c.film < 2] for lines in LINE_STYLES}
    worst = {case.film: case for case in sorted(cases, key=lambda c: -c.psnr)}  # of every film its worst
    rows["worst"] = [case.row for case in sorted(worst.values(), key=lambda c: c.psnr)[:6]]
    records = [record for some, _ in found for record in some]
    return records, {name: contact_sheet(some, VIEWS, width=288) for name, some in rows.items()}


def _measure(settings: StudySettings, lines: str, distance: int) -> tuple[list[Record], list[_Case]]:
    records: list[Record] = []
    cases = []
    for number, film in enumerate(films(settings, lines, distance, settings.films, FRAMES)):
        results = {
            name: [painted.rgb for painted in color(method, film.shot)] for name, method in methods(settings).items()
        }
        place = {"lines": lines, "distance": distance, "film": number}
        some = [{"method": name, **place, **film_scores(result, film.truth)} for name, result in results.items()]
        records += some
        last = {name: psnr(squared_error(frames[-1], film.truth[-1])) for name, frames in results.items()}
        values = ", ".join(f"{name} {value:.1f}" for name, value in last.items())
        caption = f"film {number}, {lines} lines, {distance + FRAMES - 1} frames away: {values} dB"
        drawn = np.repeat(1 - film.shot.lines[-1][..., None], 3, -1)
        painting = film.shot.references[0].rgb
        row = SheetRow([painting, drawn, results["matcher"][-1], results[OURS][-1], film.truth[-1]], caption)
        cases.append(_Case(lines, number, some[0]["psnr"], row))
    return records, cases
