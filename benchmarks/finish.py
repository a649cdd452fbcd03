"""Time what is done to every frame outside the networks, on one core, at the source's own size.

python benchmarks/finish.py [--height 1080] [--repeats 5]
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import cv2
import numpy as np

from celpaint.conditions.distance import distance_map
from celpaint.conditions.lines import Look, classify, extract_lines, read_lines, working_lines
from celpaint.finish.ink import cut_out, lay_ink
from celpaint.finish.size import to_size
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
    return line.astype(np.float32) / 255, paint


def measure(name: str, run: Callable[[], object], repeats: int) -> None:
    run()
    seconds = []
    for _ in range(repeats):
        start = time.process_time()
        run()
        seconds.append(time.process_time() - start)
    print(f"{name:24s} {statistics.median(seconds) * 1000:7.0f} ms")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--height", type=int, default=1080)
    parser.add_argument("--repeats", type=int, default=5)
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    height, repeats = arguments.height, arguments.repeats
    line, paint = drawing(height)
    size = height, line.shape[1]
    frame = Frame(np.repeat(1 - line[..., None], 3, axis=2))
    shade = np.linspace(0.95, 0.75, size[1], dtype=np.float32)[:, None]
    grain = np.random.default_rng(1).normal(0, 0.01, (*size, 1)).astype(np.float32)
    scan = Frame(np.clip(frame.rgb * shade + grain, 0, 1))
    art = read_lines(frame)
    painted = paint * (1 - line[..., None])
    small = cv2.resize(painted, (320 * 16 // 9, 320), interpolation=cv2.INTER_AREA)
    print(f"{size[1]} x {size[0]}, {np.mean(line > 0):.1%} inked, median of {repeats}, CPU time, one thread")
    measure("classify", lambda: classify(frame), repeats)
    measure("read_lines, clean", lambda: read_lines(frame, look=Look("black on white")), repeats)
    measure("read_lines, scan", lambda: read_lines(scan, look=Look("black on white")), repeats)
    measure("extract_lines", lambda: extract_lines(painted), repeats)
    measure("working_lines to 320", lambda: working_lines(line, (320, 569)), repeats)
    measure("distance_map", lambda: distance_map(line), repeats)
    measure("to_size from 320", lambda: to_size(small, size, line), repeats)
    measure("lay_ink", lambda: lay_ink(painted, art), repeats)
    measure("cut_out", lambda: cut_out(painted, art), repeats)


if __name__ == "__main__":
    main()
