"""Seconds per drawing and peak memory, every size in a process of its own."""

from __future__ import annotations

import multiprocessing
import resource
import time

import cv2
import numpy as np

from celpaint.benchmark.matcher.method import load_matcher
from celpaint.benchmark.study import StudySettings
from celpaint.benchmark.tables import Record
from celpaint.types import Reference, Shot

__all__ = ["speed"]


SIZES = ((256, 256), (576, 320), (1920, 1080))


def speed(settings: StudySettings) -> list[Record]:
    """One painting and 0 or 2 frames remembered, on as many threads as there are cores, nothing else running."""
    records: list[Record] = []
    for width, height in SIZES:
        for memory in (0, 1):
            with multiprocessing.get_context("spawn").Pool(1) as pool:
                loading, drawing, peak = pool.apply(measure, (settings, width, height, memory))
            records.append(
                {
                    "part": "speed",
                    "size": f"{width}x{height}",
                    "memory": f"1 + {memory}",
                    "loading": loading,
                    "drawing": drawing,
                    "peak": peak / 2**30,
                }
            )
    return records


def measure(settings: StudySettings, width: int, height: int, memory: int) -> tuple[float, float, int]:
    """Seconds before the first drawing that later ones don't take, median seconds a drawing, peak bytes."""
    method = load_matcher(settings, memory_frames=memory)
    rng = np.random.default_rng(0)
    line = (cv2.GaussianBlur(rng.standard_normal((height, width), np.float32), None, height / 40) > 0).astype(
        np.float32
    )
    line = np.abs(cv2.Laplacian(line, cv2.CV_32F)).clip(0, 1)
    rgb = cv2.GaussianBlur(rng.random((height, width, 3), np.float32), None, height / 40)
    shot = Shot([line] * 9, (Reference(rgb, line, None),), (height, width))
    stamps = [time.perf_counter()]
    list(method.color(shot, progress=lambda event: stamps.append(time.perf_counter())))
    each = np.diff(stamps)
    drawing = float(np.median(each[3:]))
    return float(each[0]) - drawing, drawing, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
