"""Contact sheets of the films colored by the matcher."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from celpaint.benchmark.matcher.quality import Case
from celpaint.frames.contact_sheet import SheetRow, contact_sheet

__all__ = ["distance_sheet", "worst_sheet"]

VIEWS = ("reference", "lines", "result", "ground truth", "confidence")


def distance_sheet(cases: Sequence[Case], lines: str = "clean") -> npt.NDArray[np.uint8]:
    """The same film at every distance, the typical one."""
    some = [case for case in cases if case.lines == lines]
    film = typical(some)
    rows = [SheetRow(case.views, _caption(case)) for case in some if case.film == film]
    return contact_sheet(rows, VIEWS, width=288)


def worst_sheet(cases: Sequence[Case], count: int = 8) -> npt.NDArray[np.uint8]:
    """The worst cases, worst first."""
    return contact_sheet([SheetRow(case.views, _caption(case)) for case in worst(cases, count)], VIEWS, width=288)


def typical(cases: Sequence[Case]) -> int:
    """The number of the film whose mean gain over its distant cases is the lower median."""
    gains: dict[int, list[float]] = defaultdict(list)
    for case in filter(is_distant, cases):
        gains[case.film].append(case.gain)
    ranked = sorted(gains, key=lambda film: float(np.mean(gains[film])))
    return ranked[(len(ranked) - 1) // 2]


def worst(cases: Sequence[Case], count: int) -> list[Case]:
    """The distant cases that gain least over copying, one a film and distance, worst first."""
    seen: set[tuple[int, int]] = set()
    chosen: list[Case] = []
    for case in sorted(filter(is_distant, cases), key=lambda case: case.gain):
        if (case.film, case.distance) not in seen:
            seen.add((case.film, case.distance))
            chosen.append(case)
    return chosen[:count]


def is_distant(case: Case) -> bool:
    """Farther than one frame, where most drawings are held and copying is nearly exact."""
    return case.distance > 1


def _caption(case: Case) -> str:
    frames = "1 frame" if case.distance == 1 else f"{case.distance} frames"
    return (
        f"film {case.film}, {case.lines} lines, {frames} from the reference: {case.psnr:.1f} dB, "
        f"copying {case.copied:.1f} ({case.gain:+.1f})"
    )
