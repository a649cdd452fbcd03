"""Time the animation synthesizer: frames a second, with everything it knows of them.

python benchmarks/synthesizer.py [--art art.safetensors] [--device cpu] [--threads 1] [--clips 8]

CPU seconds are those of this process, so other work on the machine hardly counts; on a GPU only the clock is right.
"""

from __future__ import annotations

import argparse
import statistics
import time
from dataclasses import replace
from pathlib import Path

import cv2
import torch

from celpaint.data.synthetic import HANDS, Art, ClipSpec, Synthesizer, toy_art

SIZES = ((96, 160), (192, 320), (320, 576))


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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--art", type=Path, help="made by celpaint data art; default: toy drawings")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--clips", type=int, default=8)
    parser.add_argument("--repeats", type=int, default=5)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    cv2.setNumThreads(arguments.threads)
    art = Art.load(arguments.art) if arguments.art else toy_art()
    print(f"{len(art)} drawings, clips of 15 frames, {arguments.device}, {arguments.threads} threads")
    print("frames a second                   by the clock   by the CPU")
    for height, width in SIZES:
        spec = ClipSpec(height=height, width=width)
        wall, cpu = measure(Synthesizer(art, spec, arguments.device), arguments.clips, arguments.repeats)
        print(f"{height} x {width}, all hands{'':12s} {wall:12.1f} {cpu:12.1f}")
    spec = ClipSpec()
    for hand in HANDS:
        one = Synthesizer(art, replace(spec, hands={hand: 1.0}), arguments.device)
        wall, cpu = measure(one, max(1, arguments.clips // 2), arguments.repeats)
        print(f"{spec.height} x {spec.width}, {hand:18s} {wall:12.1f} {cpu:12.1f}")


if __name__ == "__main__":
    main()
