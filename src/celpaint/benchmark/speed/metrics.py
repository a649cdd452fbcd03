"""The LVCD protocol without flow, FID and FVD: time and peak memory.

A film of moving circles, 576x320, PNG files, against a slightly blurred copy; PSNR, SSIM, LPIPS (AlexNet), EDMD.
"""

from __future__ import annotations

import resource
import tempfile
import time
from pathlib import Path

import cv2
import numpy as np

from celpaint.benchmark.evaluation import evaluate
from celpaint.benchmark.tables import markdown_table

HEIGHT, WIDTH = 320, 576


def write(folder: Path, count: int) -> None:
    """Ground truth, results and line drawings, ``count`` frames each."""
    for name in ("ground_truth", "result", "lines"):
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
        for name, picture in (
            ("ground_truth", paint),
            ("result", cv2.GaussianBlur(paint, (0, 0), 0.7)),
            ("lines", lines),
        ):
            cv2.imwrite(str(folder / name / f"{t:05d}.png"), picture)


def metrics_speed(frames: int = 1000, workers: int | None = None) -> str:
    """Seconds and megabytes of measuring a film.

    Args:
        frames: of the film.
        workers: threads; default: one a processor core.
    """
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        write(folder, frames)
        began, spent = time.perf_counter(), time.process_time()
        report = evaluate(
            folder / "result",
            folder / "ground_truth",
            lines=folder / "lines",
            metrics=["psnr", "ssim", "lpips_alex", "edmd"],
            device="cpu",
            workers=workers,
        )
        seconds, cpu = time.perf_counter() - began, time.process_time() - spent
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    about = ", ".join(f"{name} {estimate.value:.4f}" for name, estimate in report.overall.items())
    row = [str(frames), f"{seconds:.1f}", f"{cpu:.1f}", f"{memory:.0f}"]
    return f"{about}\n\n{markdown_table(['frames', 's', 'CPU s', 'peak MB'], [row], left=0)}\n"
