"""Training: from art or films to weights. See ``docs/guide/training.md``.

The two commands of the command line are here; what they need is imported when they are called.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from celpaint.errors import MissingExtra

if TYPE_CHECKING:
    from celpaint.train.engine.loop import Summary

__all__ = ["export", "run"]


def run(
    recipe_path: Path,
    overrides: Sequence[str] = (),
    minutes: float | None = None,
    run_dir: Path | None = None,
) -> Summary:
    """Train by a recipe, or resume an interrupted run.

    Args:
        recipe_path: a TOML file, or the name of a packaged recipe such as ``matcher``.
        overrides: ``table.key=value`` strings, applied to the recipe.
        minutes: end by then, with a checkpoint and an export; the learning rate reaches its end with it.
        run_dir: where checkpoints, logs and the export go; default ``runs/<name of the recipe>``. If it holds
            checkpoints of the same recipe, the run resumes from the newest.

    Raises:
        OptionError: an unknown table, key or value, naming the nearest known one.
        InputError, WeightsError: data or weights the recipe names are missing or broken.
        TrainingError: the loss stays NaN.
    """
    try:
        from celpaint.train.engine.command import run
    except ModuleNotFoundError as error:
        raise MissingExtra(error.name or "accelerate", "train") from None

    return run(recipe_path, overrides, minutes, run_dir)


def export(source: Path, out: Path, *, best: bool = True, half: bool = True) -> Path:
    """Write the weights of a run for use: config, safetensors shards of at most 16 MB and a card.

    Args:
        source: a run's folder, or one checkpoint of it.
        out: the folder to write.
        best: of a run's folder take the checkpoint with the best validation, else the newest.
        half: store float16, else the trained format.

    Returns:
        ``out``.

    Raises:
        InputError: no checkpoint there.
    """
    try:
        from celpaint.train.engine.command import export
    except ModuleNotFoundError as error:
        raise MissingExtra(error.name or "accelerate", "train") from None

    return export(source, out, best=best, half=half)
