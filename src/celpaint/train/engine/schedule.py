"""The learning rate over a run, as a share of its highest: pure functions of where the run stands."""

from __future__ import annotations

import math

from celpaint.train.engine.recipe import ScheduleOptions

__all__ = ["rate"]


def rate(options: ScheduleOptions, progress: float, step: int) -> float:
    """The learning rate's factor in [0, 1].

    Args:
        progress: how much of the run is done, in [0, 1], by steps or by time.
        step: steps since the warm-up began.
    """
    p = min(max(progress, 0.0), 1.0)
    match options.shape:
        case "constant":
            fall = 1.0
        case "cosine":
            fall = 0.5 * (1 + math.cos(math.pi * p))
        case "trapezoid":
            fall = min(1.0, (1 - p) / options.decay_fraction)
    warm = min(1.0, (step + 1) / (options.warmup_steps + 1))
    return warm * (options.final_lr_ratio + (1 - options.final_lr_ratio) * fall)
