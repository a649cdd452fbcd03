"""Everything done to a frame outside the networks, on one core, at the size of the source."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np

from celpaint.benchmark.speed.clock import cpu_milliseconds
from celpaint.benchmark.tables import markdown_table
from celpaint.conditions.distance import distance_map
from celpaint.conditions.lines import Look, classify, extract_lines, read_lines, working_lines
from celpaint.finish.ink import cut_out, lay_ink
from celpaint.finish.size import to_size
from celpaint.frames.color import to_float
from celpaint.types import Array, Frame


def drawing(height: int) -> tuple[Array, Array]:
    """Sixty overlapping blobs at 16:9: line coverage and paint."""
    width = round(height * 16 / 9)
    rng = np.random.default_rng(0)
    line = np.zeros((height, width), np.uint8)
    paint = np.ones((height, width, 3), np.float32)
    pen = max(round(height / 400), 1)
    for _ in range(60):
        center = int(rng.integers(width)), int(rng.integers(height))
        axes = int(rng.integers(height // 40, height // 4)), int(rng.integers(height // 40, height // 4))
        turn = int(rng.integers(180))
        cv2.ellipse(line, center, axes, turn, 0, 360, 0, -1)
        cv2.ellipse(paint, center, axes, turn, 0, 360, rng.random(3).tolist(), -1)
        cv2.ellipse(line, center, axes, turn, 0, 360, 255, pen, cv2.LINE_AA)
    return to_float(line), paint


def finish_speed(height: int = 1080, repeats: int = 5) -> str:
    """Milliseconds of CPU time per frame, on one thread.

    Args:
        height: of a frame at 16:9, in pixels.
        repeats: the median of so many calls is taken.
    """
    cv2.setNumThreads(1)
    line, paint = drawing(height)
    size = height, line.shape[1]
    frame = Frame(np.repeat(1 - line[..., None], 3, axis=2))
    shade = np.linspace(0.95, 0.75, size[1], dtype=np.float32)[:, None]
    grain = np.random.default_rng(1).normal(0, 0.01, (*size, 1)).astype(np.float32)
    scan = Frame(np.clip(frame.rgb * shade + grain, 0, 1))
    art = read_lines(frame)
    painted = paint * (1 - line[..., None])
    small = cv2.resize(painted, (320 * 16 // 9, 320), interpolation=cv2.INTER_AREA)
    steps: dict[str, Callable[[], object]] = {
        "classify": lambda: classify(frame),
        "read_lines, clean": lambda: read_lines(frame, look=Look("black on white")),
        "read_lines, scan": lambda: read_lines(scan, look=Look("black on white")),
        "extract_lines": lambda: extract_lines(painted),
        "working_lines to 320": lambda: working_lines(line, (320, 569)),
        "distance_map": lambda: distance_map(line),
        "to_size from 320": lambda: to_size(small, size, line),
        "lay_ink": lambda: lay_ink(painted, art),
        "cut_out": lambda: cut_out(painted, art),
    }
    rows = [[name, f"{cpu_milliseconds(step, repeats):.0f}"] for name, step in steps.items()]
    about = f"{size[1]}x{size[0]}, {np.mean(line > 0):.1%} inked, median of {repeats}, CPU time, one thread."
    return f"{about}\n\n{markdown_table(['step', 'ms'], rows)}\n"
