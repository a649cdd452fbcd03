"""Frames a second of making clips, of training on them, and of both together.

    python benchmarks/training.py line_vae_smoke
    python benchmarks/training.py lvcd_small --set task.autoencoder=runs/line_vae/export

Any recipe and its settings; the median of several rounds after a warm-up. On a GPU seconds are the clock's, and the
device is waited for before it stops; on the CPU they are core-seconds, so that a busy machine does not spoil them.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import torch

from celpaint.train.engine.loop import make_accelerator
from celpaint.train.engine.prefetch import Feed
from celpaint.train.engine.recipe import load_recipe
from celpaint.train.engine.task import build_task


def timed(what: Callable[[], int], rounds: int, device: torch.device) -> float:
    """Frames a second of ``what``, which says how many it dealt with."""
    speeds, clock = [], time.perf_counter if device.type == "cuda" else time.process_time
    for number in range(rounds + 1):
        begin = clock()
        frames = what()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        if number:
            speeds.append(frames / (clock() - begin))
    return statistics.median(speeds)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipe", type=Path)
    parser.add_argument("--set", action="append", default=[], metavar="TABLE.KEY=VALUE")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    recipe = load_recipe(options.recipe, options.set)
    accelerator = make_accelerator(recipe)
    device = accelerator.device
    task = build_task(recipe, device)
    if recipe.run.compile:
        task.network.compile()
    adamw = torch.optim.AdamW([p for p in task.network.parameters() if p.requires_grad], lr=1e-5)
    stream = task.batches(0, 0)
    kept = [next(stream) for _ in range(2)]

    def made() -> int:
        return task.frames(next(stream))

    def stepped(batch: object = None) -> int:
        batch = kept[0] if batch is None else batch
        with accelerator.autocast():
            loss, _ = task.loss(batch)
        loss.backward()
        adamw.step()
        adamw.zero_grad(set_to_none=True)
        return task.frames(batch)

    figures = {"clips": timed(made, options.rounds, device), "step": timed(stepped, options.rounds, device)}
    feed = Feed([task.batches(1, 0)], recipe.data.prefetch)
    figures["both"] = timed(lambda: stepped(next(feed)), options.rounds, device)
    feed.close()
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else platform.processor() or platform.machine()
    about = {
        "recipe": recipe.name,
        "size": list(recipe.data.size),
        "clips": recipe.data.clips,
        "frames": recipe.data.frames,
        "precision": accelerator.mixed_precision,
        "compile": recipe.run.compile,
        "device": name,
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "frames_a_second" if device.type == "cuda" else "frames_a_core_second": {
            key: round(value, 2) for key, value in figures.items()
        },
    }
    print(json.dumps(about, indent=2))


if __name__ == "__main__":
    main()
