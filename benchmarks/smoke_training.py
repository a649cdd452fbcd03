"""Train every network for a minute on toy drawings and see that its validation improves. `make smoke-train`."""

from __future__ import annotations

import argparse
import shutil
import sys
from pathlib import Path

import torch

from celpaint.train import run
from celpaint.train.engine.loop import make_accelerator
from celpaint.train.engine.recipe import load_recipe
from celpaint.train.engine.task import build_task


def untrained(name: str, overrides: list[str], figure: str) -> float:
    """Validation of the network a run begins with."""
    recipe = load_recipe(Path(name), overrides)
    task = build_task(recipe, make_accelerator(recipe).device)
    with torch.no_grad():
        return task.validate(task.network.eval())[figure]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=1.0, help="for each network")
    parser.add_argument("--out", type=Path, default=Path("build/smoke"), help="emptied first")
    options = parser.parse_args()
    shutil.rmtree(options.out, ignore_errors=True)
    runs = (
        ("line_vae_smoke", "psnr", 1, []),
        ("lvcd_small_smoke", "loss", -1, [f"task.autoencoder={options.out / 'line_vae_smoke' / 'export'}"]),
        ("matcher_smoke", "psnr", 1, []),
    )
    failed = []
    for name, figure, sign, overrides in runs:
        first = untrained(name, overrides, figure)
        summary = run(Path(name), overrides, options.minutes, options.out / name)
        last = summary.figures[figure]
        speed = summary.frames / max(summary.seconds, 1e-9)
        print(f"{name}: {summary.step} steps, {speed:.0f} frames/s, {figure} {first:.3f} -> {last:.3f}")
        if not sign * (last - first) > 0:
            failed.append(name)
    if failed:
        print(f"no better than at the start: {', '.join(failed)}", file=sys.stderr)
    return bool(failed)


if __name__ == "__main__":
    raise SystemExit(main())
