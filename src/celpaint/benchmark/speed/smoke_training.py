"""Train each network for a minute on toy drawings, and check that its validation improves."""

from __future__ import annotations

import shutil
from pathlib import Path

import torch

from celpaint.train import run
from celpaint.train.engine.loop import make_accelerator
from celpaint.train.engine.recipe import load_recipe
from celpaint.train.engine.task import build_task


def untrained(name: str, overrides: list[str], figure: str) -> float:
    """Validation of the network that a run begins with."""
    recipe = load_recipe(Path(name), overrides)
    task = build_task(recipe, make_accelerator(recipe).device)
    with torch.no_grad():
        return task.validate(task.network.eval())[figure]


def smoke_training(minutes: float, out: Path) -> list[str]:
    """Train every network and print what it came to.

    Args:
        minutes: for each network.
        out: a folder for the runs, emptied first.

    Returns:
        The recipes whose validation did not improve.
    """
    shutil.rmtree(out, ignore_errors=True)
    runs: tuple[tuple[str, str, int, list[str]], ...] = (
        ("line_vae_smoke", "psnr", 1, []),
        ("lvcd_small_smoke", "loss", -1, [f"task.autoencoder={out / 'line_vae_smoke' / 'export'}"]),
        ("matcher_smoke", "psnr", 1, []),
        ("palette_small_smoke", "psnr", 1, []),
        ("shi2023_smoke", "psnr", 1, []),
    )
    failed = []
    for name, figure, sign, overrides in runs:
        first = untrained(name, overrides, figure)
        summary = run(Path(name), overrides, minutes, out / name)
        last = summary.figures[figure]
        speed = summary.frames / max(summary.seconds, 1e-9)
        print(f"{name}: {summary.step} steps, {speed:.0f} frames/s, {figure} {first:.3f} -> {last:.3f}")
        if not sign * (last - first) > 0:
            failed.append(name)
    return failed
