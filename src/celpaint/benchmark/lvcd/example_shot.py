"""The example shot colored from end to end, beside the matcher and copying."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

import celpaint
from celpaint.benchmark.lvcd.films import lvcd_options
from celpaint.benchmark.lvcd.report import OURS
from celpaint.benchmark.study import StudySettings
from celpaint.benchmark.tables import Record
from celpaint.conditions.lines import flatten
from celpaint.frames.color import quantize, to_float
from celpaint.frames.contact_sheet import SheetRow, contact_sheet
from celpaint.frames.read import open_clip, read_picture
from celpaint.methods.matcher.spec import MatcherOptions
from celpaint.metrics.frame import COLOR_TOLERANCE, moving_parts, pooled_psnr, psnr, squared_error
from celpaint.metrics.temporal import visible_flicker
from celpaint.options import ComputeOptions
from celpaint.types import Array

__all__ = ["example_shot", "shot_scores"]


def example_shot(settings: StudySettings) -> tuple[list[Record], npt.NDArray[np.uint8]]:
    """Scores of the whole shot, and a sheet with five frames and LVCD's worst."""
    shot = settings.shot
    truth, drawn = ([flatten(frame) for frame in open_clip(shot / name)] for name in ("original", "lines"))
    moving = moving_parts(truth)
    options: dict[str, ComputeOptions] = {
        OURS: lvcd_options(settings),
        "matcher": MatcherOptions(device=settings.device, flat="off"),
    }
    results: dict[str, list[Array]] = {}
    records: list[Record] = []
    for name, method in options.items():
        began = time.perf_counter()
        frames = celpaint.colorize(shot / "lines", reference=shot / "reference.png", method=method)
        results[name] = [to_float(quantize(flatten(frame), 8)) for frame in frames]
        seconds = (time.perf_counter() - began) / len(truth)
        records.append({"method": name, "seconds": seconds, **shot_scores(results[name], truth, moving)})
    copied = [flatten(read_picture(shot / "reference.png")[0])] * len(truth)
    records.append({"method": "copy", "seconds": math.nan, **shot_scores(copied, truth, moving)})
    errors = [squared_error(a[moving], b[moving]) for a, b in zip(results[OURS], truth, strict=True)]
    worst = int(np.argmax(errors))
    chosen = sorted({*np.linspace(0, len(truth) - 1, 5).round().astype(int).tolist(), worst})
    rows = [
        SheetRow(
            [clip[i] for clip in (drawn, results["matcher"], results[OURS], truth)],
            f"frame {i + 1}, moving parts {psnr(errors[i]):.1f} dB" + ", the worst" * (i == worst),
        )
        for i in chosen
    ]
    return records, contact_sheet(rows, ("lines", "matcher", OURS, "ground truth"), width=288)


def shot_scores(result: Sequence[Array], truth: Sequence[Array], moving: npt.NDArray[np.bool_]) -> Record:
    """Scores pooled over all frames but the first, which was given painted; flicker over all.

    Args:
        result, truth: as many frames ``H W 3``.
        moving: ``H W``, the pixels that ever change.
    """
    right = [np.abs(a - b).max(-1)[moving] < COLOR_TOLERANCE for a, b in zip(result[1:], truth[1:], strict=True)]
    return {
        "psnr": pooled_psnr(result[1:], truth[1:]),
        "psnr_moving": pooled_psnr(result[1:], truth[1:], moving),
        "right": 100 * float(np.mean(right)),
        "flicker": 100 * visible_flicker(result, truth),
    }
