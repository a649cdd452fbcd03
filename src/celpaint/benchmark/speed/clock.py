"""Clocks for functions."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

__all__ = ["cpu_milliseconds"]


def cpu_milliseconds(run: Callable[[], object], repeats: int) -> float:
    """Median CPU time of a call after one that warms up, in milliseconds."""
    run()
    seconds = []
    for _ in range(repeats):
        start = time.process_time()
        run()
        seconds.append(time.process_time() - start)
    return 1000 * statistics.median(seconds)
