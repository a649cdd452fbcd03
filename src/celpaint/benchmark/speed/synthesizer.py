"""The animation synthesizer: frames per second, including all maps."""

from __future__ import annotations

import statistics
import time
from dataclasses import replace
from pathlib import Path

import cv2
import torch

from celpaint.benchmark.tables import markdown_table
from celpaint.data.synthetic import HANDS, Art, ClipSpec, Synthesizer, toy_art

SIZES = ((96, 160), (192, 320), (320, 576))
REPEATS = 5


def measure(synthesizer: Synthesizer, clips: int, repeats: int) -> tuple[float, float]:
    """Frames a second by the clock and by the CPU: medians of ``repeats`` batches of other seeds."""
    synthesizer.batch(0, 1)
    walls, cpus = [], []
    for repeat in range(repeats):
        wall, cpu = time.perf_counter(), time.process_time()
        batch = synthesizer.batch(1 + repeat, clips)
        if batch.color.is_cuda:
            torch.cuda.synchronize()
        count = batch.color.shape[0] * batch.color.shape[1]
        walls.append(count / (time.perf_counter() - wall))
        cpus.append(count / (time.process_time() - cpu))
    return statistics.median(walls), statistics.median(cpus)


def synthesizer_speed(art: Path | None = None, device: str = "cpu", threads: int = 1, clips: int = 8) -> str:
    """Frames a second, by the clock and by this process's CPU time, which other work on the machine hardly changes.

    Args:
        art: drawings made by ``celpaint data art``; default: toy drawings.
        device: where films are made; on a GPU only the clock is right.
        threads: of torch and OpenCV.
        clips: of 15 frames in a batch.
    """
    torch.set_num_threads(threads)
    cv2.setNumThreads(threads)
    drawings = Art.load(art) if art else toy_art()
    specs = {f"{width}x{height}, all line styles": ClipSpec(height=height, width=width) for height, width in SIZES}
    plain = ClipSpec()
    specs |= {f"{plain.width}x{plain.height}, {hand}": replace(plain, hands={hand: 1.0}) for hand in HANDS}
    rows = []
    for name, spec in specs.items():
        count = clips if name.endswith("all line styles") else max(1, clips // 2)
        wall, cpu = measure(Synthesizer(drawings, spec, device), count, REPEATS)
        rows.append([name, f"{wall:.1f}", f"{cpu:.1f}"])
    about = f"{len(drawings)} drawings, clips of 15 frames, {device}, {threads} threads, frames per second."
    return f"{about}\n\n{markdown_table(['clips', 'by the clock', 'by the CPU'], rows)}\n"
