"""The two commands: train with a recipe, export the weights of a run."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch

from celpaint import __version__
from celpaint.atomic_write import write_text
from celpaint.errors import InputError
from celpaint.train.engine import checkpoint
from celpaint.train.engine.loop import Summary, make_accelerator, train
from celpaint.train.engine.recipe import Recipe, load_recipe
from celpaint.train.engine.task import build_task
from celpaint.weights.store import write_network

__all__ = ["export", "run"]


def run(
    recipe_path: Path, overrides: Sequence[str] = (), minutes: float | None = None, run_dir: Path | None = None
) -> Summary:
    """See :func:`celpaint.train.run`."""
    recipe = load_recipe(Path(recipe_path), overrides)
    folder = Path("runs") / recipe.name if run_dir is None else Path(run_dir)
    accelerator = make_accelerator(recipe)
    task = build_task(recipe, accelerator.device)
    summary = train(task, recipe, folder, accelerator=accelerator, minutes=minutes)
    if summary.finished and accelerator.is_main_process:
        export(folder, folder / "export")
    accelerator.wait_for_everyone()
    return summary


def export(source: Path, out: Path, *, best: bool = True, half: bool = True) -> Path:
    """See :func:`celpaint.train.export`."""
    folder = checkpoint.find(source, best)
    state = checkpoint.load_state(folder)
    tensors = checkpoint.load(folder, "average")
    recipe = _recipe_of(folder)
    task = None
    if not state.complete:
        task = build_task(recipe, torch.device("cpu"))
        tensors = task.plain({**task.network.state_dict(), **tensors})
    dtype = torch.float16 if half else None
    for name, part in state.parts.items():
        write_network(out / name, part.config, part.tensors(tensors), dtype=dtype, name=part.name)
    if task is not None:
        task.complete_export(out)
    write_text(out / "README.md", _card(recipe, state))
    return out


def _recipe_of(folder: Path) -> Recipe:
    for parent in (folder, *folder.parents[:2]):
        path = parent / "recipe.json"
        if path.is_file():
            return Recipe.from_json(path.read_text(encoding="utf-8"))
    raise InputError(f"no recipe.json beside the checkpoint '{folder}'", wanted="a checkpoint inside its run's folder")


def _card(recipe: Recipe, state: checkpoint.State) -> str:
    rows = "\n".join(f"| {key} | {value:.4g} |" for key, value in state.figures.items())
    recipe = replace(recipe, data=replace(recipe.data, path=Path(recipe.data.path).name))
    data = {
        "toy": "drawings made on the spot",
        "synthetic": "animated drawings",
        "film": "film-like clips of animated drawings",
        "prepared": "prepared films",
    }
    return f"""# {recipe.name}

Weights trained with celpaint {__version__}: task `{recipe.kind}`, {state.step} steps, {state.frames} frames,
{state.seconds / 60:.1f} minutes. Moving average of the weights, decay {recipe.optimizer.ema_decay}.

Data: {data[recipe.data.source]} (`{recipe.data.path or "toy"}`), {recipe.data.size[0]}x{recipe.data.size[1]},
{recipe.data.frames} frames a clip. State here under which licenses the data may be used.

| validation | |
|---|---|
{rows}

## Recipe

```json
{json.dumps(json.loads(recipe.as_json()), indent=2)}
```
"""
