"""Consistency from frame to frame, judged by the motion that the synthesizer knows."""

from __future__ import annotations

from functools import partial
from itertools import pairwise

import numpy as np

from celpaint.benchmark.baselines import BASELINES
from celpaint.benchmark.matcher.films import known_flow, moving_film
from celpaint.benchmark.matcher.method import load_matcher
from celpaint.benchmark.study import StudySettings, color, spread
from celpaint.benchmark.tables import Record
from celpaint.metrics.frame import psnr, squared_error
from celpaint.metrics.temporal import warp_error

__all__ = ["consistency"]


def consistency(settings: StudySettings) -> list[Record]:
    """PSNR, warp error and change of the error, with and without the frames just colored as references."""
    jobs = [partial(_film, settings, number) for number in range(settings.films)]
    return [record for records in spread("neighboring frames", jobs, settings.workers) for record in records]


def _film(settings: StudySettings, number: int) -> list[Record]:
    film = moving_film(settings, number)
    flows = [known_flow(film, frame) for frame in range(1, len(film.targets))]
    painters = {
        "matcher": load_matcher(settings),
        "matcher, `--memory-frames 0`": load_matcher(settings, memory_frames=0),
        **{name: BASELINES[name]() for name in ("copy", "flow", "flow-chained", "segments")},
    }
    results = {"truth": film.truth} | {
        name: [painted.rgb for painted in color(method, film.shot)] for name, method in painters.items()
    }
    records: list[Record] = []
    for name, result in results.items():
        error = [ours - truth for ours, truth in zip(result, film.truth, strict=True)]
        warped = [
            warp_error(before, now, *flow)
            for (before, now), flow in zip(pairwise(result), flows, strict=True)
            if flow[1].any()
        ]
        scores = [psnr(squared_error(a, b)) for a, b in zip(result, film.truth, strict=True)]
        records.append(
            {
                "part": "consistency",
                "method": name,
                "film": number,
                "psnr": float("nan") if name == "truth" else float(np.mean(scores)),
                "change": 255 * float(np.mean([np.abs(b - a).mean() for a, b in pairwise(error)])),
                "warp": float(np.mean(warped)) if warped else float("nan"),
                "seen": float(np.mean([seen.mean() for _, seen in flows])),
            }
        )
    return records
