"""Training: frames per second of making clips, of the training step, and of both together."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch

from celpaint.benchmark.provenance import machine
from celpaint.benchmark.tables import markdown_table
from celpaint.train.engine.loop import make_accelerator
from celpaint.train.engine.prefetch import Prefetcher
from celpaint.train.engine.recipe import load_recipe
from celpaint.train.engine.task import build_task


def timed(what: Callable[[], int], rounds: int, device: torch.device) -> float:
    """Frames a second of ``what``, which returns how many it handled."""
    speeds, clock = [], time.perf_counter if device.type == "cuda" else time.process_time
    for number in range(rounds + 1):
        begin = clock()
        frames = what()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        if number:
            speeds.append(frames / (clock() - begin))
    return statistics.median(speeds)


def training_speed(recipe: Path, overrides: Sequence[str] = (), rounds: int = 5) -> str:
    """Medians after a warm-up: frames per second on a GPU, else a core-second, which a busy machine hardly changes.

    Args:
        recipe: a recipe's file, or the name of one in the package.
        overrides: settings of it, ``TABLE.KEY=VALUE``.
        rounds: how many are measured.
    """
    loaded = load_recipe(recipe, list(overrides))
    accelerator = make_accelerator(loaded)
    device = accelerator.device
    task = build_task(loaded, device)
    if loaded.run.compile:
        task.network.compile()
    adamw = torch.optim.AdamW([p for p in task.network.parameters() if p.requires_grad], lr=1e-5)
    stream = task.batches(0, 0)
    kept = next(stream)

    def make() -> int:
        return task.frames(next(stream))

    def step(batch: Any) -> int:
        with accelerator.autocast():
            loss, _ = task.loss(batch)
        loss.backward()
        adamw.step()
        adamw.zero_grad(set_to_none=True)
        return task.frames(batch)

    speeds = [timed(make, rounds, device), timed(lambda: step(kept), rounds, device)]
    feed = Prefetcher([task.batches(1, 0)], loaded.data.prefetch, device)
    speeds.append(timed(lambda: step(next(feed)), rounds, device))
    feed.close()
    height, width = loaded.data.size
    about = (
        f"{loaded.name}: {loaded.data.clips} clips of {loaded.data.frames} frames, {width}x{height}, "
        f"{accelerator.mixed_precision}, {machine(str(device))['processor']}, {torch.get_num_threads()} threads; "
        f"frames a {'second' if device.type == 'cuda' else 'core-second'}."
    )
    table = markdown_table(["clips", "step", "both"], [[f"{speed:.2f}" for speed in speeds]], left=0)
    return f"{about}\n\n{table}\n"
