"""Contact sheets: rows of pictures with captions."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from celpaint.frames.color import Pixels
from matcher_figures.demo import Shown
from matcher_figures.quality import Case

VIEWS = ("reference", "lines", "result", "truth", "confidence")
SHOT = {
    "lines": "lines; frame 1 is also given painted",
    "original": "original",
    "matcher": "matcher",
    "confidence": "its confidence",
    "matcher, `--flat`": "matcher, --flat",
    "flow-chained": "optical flow, chained",
    "segments": "segment matching",
}
"""Rows of the example shot's sheet: names and captions."""

MARGIN, STRIP = 5, 24


@dataclass(frozen=True)
class Row:
    """Pictures ``H W 3`` uint8 side by side under a caption."""

    caption: str
    pictures: Sequence[Pixels]


def sheet(heads: Sequence[str], rows: Sequence[Row], width: int = 288) -> Image.Image:
    """Rows under one another, a heading over every column; pictures are brought to ``width``."""
    tall, wide = rows[0].pictures[0].shape[:2]
    height = round(width * tall / wide)
    picture = Image.new("RGB", (len(heads) * (width + MARGIN), STRIP + len(rows) * (STRIP + height)), "white")
    pen, font = ImageDraw.Draw(picture), ImageFont.load_default(15)
    for column, head in enumerate(heads):
        pen.text((column * (width + MARGIN) + width // 2, STRIP // 2), head, fill="black", font=font, anchor="mm")
    for number, row in enumerate(rows):
        top = STRIP + number * (STRIP + height)
        pen.text((6, top + STRIP // 2), row.caption, fill="black", font=font, anchor="lm")
        for column, view in enumerate(row.pictures):
            small = Image.fromarray(view).resize((width, height), Image.Resampling.LANCZOS)
            picture.paste(small, (column * (width + MARGIN), top + STRIP))
    return picture


def distances(cases: Sequence[Case], lines: str = "clean") -> Image.Image:
    """The same film at every distance, the typical one."""
    some = [case for case in cases if case.lines == lines]
    film = typical(some)
    rows = [Row(_caption(case), case.views) for case in some if case.film == film]
    return sheet(VIEWS, rows)


def failures(cases: Sequence[Case], count: int = 8) -> Image.Image:
    """The worst cases, worst first."""
    return sheet(VIEWS, [Row(_caption(case), case.views) for case in worst(cases, count)])


def typical(cases: Sequence[Case]) -> int:
    """The number of the film whose gain, the mean over its telling cases, is the lower median."""
    gains: dict[int, list[float]] = defaultdict(list)
    for case in filter(telling, cases):
        gains[case.film].append(case.gain)
    ranked = sorted(gains, key=lambda film: float(np.mean(gains[film])))
    return ranked[(len(ranked) - 1) // 2]


def worst(cases: Sequence[Case], count: int) -> list[Case]:
    """The telling ones that gain least over copying, one a film and distance, worst first."""
    seen: set[tuple[int, int]] = set()
    chosen: list[Case] = []
    for case in sorted(filter(telling, cases), key=lambda case: case.gain):
        if (case.film, case.distance) not in seen:
            seen.add((case.film, case.distance))
            chosen.append(case)
    return chosen[:count]


def telling(case: Case) -> bool:
    """Whether its gain says anything: at one frame most drawings are held, and copying is nearly exact."""
    return case.distance > 1


def _caption(case: Case) -> str:
    frames = "1 frame" if case.distance == 1 else f"{case.distance} frames"
    return (
        f"film {case.film}, {case.lines} lines, {frames} from the reference: {case.psnr:.1f} dB, "
        f"copying {case.copied:.1f} ({case.gain:+.1f})"
    )


def shots(shown: Sequence[Shown], columns: int = 5) -> Image.Image:
    """Frames of the example shot, from first to last, a row each of :data:`SHOT`."""
    frames = {one.name: one.frames for one in shown}
    chosen = np.linspace(0, len(shown[0].frames) - 1, columns).round().astype(int)
    rows = [Row(caption, [frames[name][i] for i in chosen]) for name, caption in SHOT.items()]
    return sheet([f"frame {i + 1}" for i in chosen], rows)


def save(picture: Image.Image, path: Path, most: int = 400_000) -> None:
    """As WebP of at most ``most`` bytes, as good as that allows."""
    for quality in range(90, 0, -10):
        picture.save(path, quality=quality, method=6)
        if path.stat().st_size <= most:
            return
