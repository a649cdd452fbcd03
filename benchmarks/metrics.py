"""Time the LVCD protocol without flow, FID and FVD: frames a second, CPU time and peak memory.

python benchmarks/metrics.py [--frames 1000] [--workers 2]

A film of circles on the move, 576x320, PNG files, against a slightly blurred copy; PSNR, SSIM, LPIPS (AlexNet), EDMD.
"""

from __future__ import annotations

import argparse
import resource
import tempfile
import time
from pathlib import Path

import cv2
import numpy as np

from celpaint.benchmark import evaluate

HEIGHT, WIDTH = 320, 576


def write(folder: Path, count: int) -> None:
    """Originals, results and line drawings, ``count`` frames each."""
    for name in ("original", "result", "lines"):
        (folder / name).mkdir()
    rng = np.random.default_rng(0)
    places, speeds = rng.uniform(0, 1, (14, 2)), rng.normal(0, 0.004, (14, 2))
    radii, colors = rng.integers(15, 60, 14), rng.integers(30, 255, (14, 3))
    for t in range(count):
        paint = np.full((HEIGHT, WIDTH, 3), (200, 220, 230), np.uint8)
        lines = np.full((HEIGHT, WIDTH, 3), 255, np.uint8)
        for place, speed, radius, color in zip(places, speeds, radii, colors, strict=True):
            x, y = (place + speed * (t // 2)) % 1
            center = int(x * WIDTH), int(y * HEIGHT)
            for picture, fill in ((paint, color.tolist()), (lines, (255, 255, 255))):
                cv2.circle(picture, center, int(radius), fill, -1)
                cv2.circle(picture, center, int(radius), (0, 0, 0), 2, cv2.LINE_AA)
        for name, picture in (("original", paint), ("result", cv2.GaussianBlur(paint, (0, 0), 0.7)), ("lines", lines)):
            cv2.imwrite(str(folder / name / f"{t:05d}.png"), picture)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--frames", type=int, default=1000)
    parser.add_argument("--workers", type=int, default=2)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        write(folder, asked.frames)
        began, spent = time.perf_counter(), time.process_time()
        report = evaluate(
            folder / "result",
            folder / "original",
            lines=folder / "lines",
            metrics=["psnr", "ssim", "lpips_alex", "edmd"],
            device="cpu",
            workers=asked.workers,
        )
        seconds, cpu = time.perf_counter() - began, time.process_time() - spent
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(", ".join(f"{name} {estimate.value:.4f}" for name, estimate in report.overall.items()))
    print(f"{asked.frames} frames, {asked.workers} workers: {seconds:.1f} s, {cpu:.1f} CPU s, peak {memory:.0f} MB")


if __name__ == "__main__":
    main()
