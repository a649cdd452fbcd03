"""The example shot, read, colored and finished as a user's, beside the baselines."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt

from celpaint.benchmark.baselines import BASELINES
from celpaint.benchmark.matcher.method import load_matcher
from celpaint.benchmark.study import StudySettings, picture_scores, spread
from celpaint.benchmark.tables import Record
from celpaint.conditions.lines import flatten
from celpaint.conditions.reference_assignment import Place
from celpaint.frames.color import Pixels, quantize, to_float
from celpaint.frames.contact_sheet import SheetRow, contact_sheet
from celpaint.frames.read import open_clip
from celpaint.metrics.frame import moving_parts, pooled_psnr
from celpaint.metrics.temporal import visible_flicker
from celpaint.options import PathOptions
from celpaint.session import Colorizer
from celpaint.shot import ShotContext
from celpaint.types import Array

__all__ = ["SheetFrames", "example_shot", "shot_sheet"]

NAMES = ("matcher", "matcher, `--flat`", "copy", "flow", "flow-chained", "segments")

SHEET = {
    "lines": "lines; frame 1 is also given painted",
    "ground truth": "ground truth",
    "matcher": "matcher",
    "confidence": "the matcher's confidence",
    "matcher, `--flat`": "matcher, --flat",
    "flow-chained": "optical flow, chained",
    "segments": "segment matching",
}
"""Rows of the sheet: names and captions."""


@dataclass(frozen=True)
class SheetFrames:
    """Frames to be shown, ``H W 3`` uint8 each."""

    name: str
    frames: list[Pixels]

    @classmethod
    def of(cls, name: str, frames: Sequence[Array]) -> SheetFrames:
        """From frames in [0, 1]."""
        return cls(name, [quantize(frame, 8) for frame in frames])


def example_shot(settings: StudySettings) -> tuple[list[Record], list[SheetFrames]]:
    """PSNR of the moving parts, LPIPS, flicker and seconds; and the frames by name."""
    shot = settings.shot
    found = spread("example shot", [partial(_paint, settings, name) for name in NAMES], settings.workers)
    truth, lines = _frames(shot / "original"), _frames(shot / "lines")
    shown = [
        SheetFrames.of("lines", lines),
        *(one for _, views in found for one in views),
        SheetFrames.of("ground truth", truth),
    ]
    own = {"part": "demo", "method": "ground truth", "flicker": visible_flicker(truth, truth)}
    return [*(record for record, _ in found), own], shown


def _frames(folder: Path) -> list[Array]:
    return [flatten(frame) for frame in open_clip(folder)]


def _paint(settings: StudySettings, name: str) -> tuple[Record, list[SheetFrames]]:
    shot = settings.shot
    method = load_matcher(settings, flat="flat" in name) if name.startswith("matcher") else BASELINES[name]()
    truth = _frames(shot / "original")
    context = ShotContext(open_clip(shot / "lines"), [Place(shot / "reference.png", 0)], PathOptions())
    frames: list[Array] = []
    confidence: list[Array] = []
    began = time.perf_counter()
    for drawing, painted in Colorizer(method).drawings(context.shot):
        finished = to_float(quantize(flatten(context.finish(drawing, painted)), 8))
        count = len(context.spans[drawing])
        frames += [finished] * count
        if painted.confidence is not None:
            confidence += [np.repeat(painted.confidence[..., None], 3, -1)] * count
    seconds = time.perf_counter() - began
    record = {
        "part": "demo",
        "method": name,
        "psnr": pooled_psnr(frames[1:], truth[1:], moving_parts(truth)),
        "lpips": float(np.mean([picture_scores(a, b)["lpips"] for a, b in zip(frames[1:], truth[1:], strict=True)])),
        "flicker": visible_flicker(frames, truth),
        "seconds": seconds / len(context.shot),
    }
    views = [SheetFrames.of(name, frames)]
    if name == "matcher":
        views.append(SheetFrames.of("confidence", confidence))
    return record, views


def shot_sheet(shown: Sequence[SheetFrames], columns: int = 5) -> npt.NDArray[np.uint8]:
    """Frames of the example shot, from first to last, a row each of :data:`SHEET`."""
    frames = {one.name: one.frames for one in shown}
    chosen = np.linspace(0, len(shown[0].frames) - 1, columns).round().astype(int)
    rows = [SheetRow([frames[name][i] for i in chosen], caption) for name, caption in SHEET.items()]
    return contact_sheet(rows, [f"frame {i + 1}" for i in chosen], width=288)
