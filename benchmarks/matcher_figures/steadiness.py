"""What flickers: neighboring frames against the motion that the synthesizer knows."""

from __future__ import annotations

from functools import partial
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from celpaint.benchmark.baselines import BASELINES
from celpaint.conditions.flow import warp
from celpaint.metrics.frame import psnr, squared_error
from celpaint.types import Array
from matcher_figures.films import known_flow, moving
from matcher_figures.work import Record, Settings, color, matcher, spread


def steadiness(settings: Settings) -> list[Record]:
    """PSNR, warp error and change of the error, with and without the frames just colored as references."""
    jobs = [partial(_film, settings, number) for number in range(settings.films)]
    return [record for records in spread("neighboring frames", jobs, settings.workers) for record in records]


def _film(settings: Settings, number: int) -> list[Record]:
    film = moving(settings, number)
    flows = [known_flow(film, frame) for frame in range(1, len(film.targets))]
    painters = {
        "matcher": matcher(settings),
        "matcher, `--memory-frames 0`": matcher(settings, memory=0),
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
                "part": "steadiness",
                "method": name,
                "film": number,
                "psnr": float("nan") if name == "truth" else float(np.mean(scores)),
                "change": 255 * float(np.mean([np.abs(b - a).mean() for a, b in pairwise(error)])),
                "warp": float(np.mean(warped)) if warped else float("nan"),
                "seen": float(np.mean([seen.mean() for _, seen in flows])),
            }
        )
    return records


def warp_error(before: Array, now: Array, flow: Array, seen: npt.NDArray[np.bool_]) -> float:
    """Squared difference of a frame and the warped one before, summed over RGB, mean over ``seen``, in units of 1e-4.

    Args:
        before, now: ``H W 3``; flow: ``H W 2``, where in ``before`` each pixel was; seen: ``H W``, at least one True.
    """
    return 1e4 * float(np.square(warp(before, flow) - now).sum(2)[seen].mean(dtype=np.float64))
