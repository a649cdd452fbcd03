"""Checkpoints: a folder a step, written aside and renamed, read without running anything that is in it.

RUN/recipe.json
RUN/checkpoints/step-00000500/model.safetensors      trained tensors and buffers
                              average.safetensors    their moving average
                              optimizer.pt           optimizer state (tensors and numbers only)
                              state.json             where the run stands
RUN/best/                     average.safetensors, state.json of the best validation
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from celpaint.atomic_write import disk_errors, replacing, write_text
from celpaint.errors import DiskFull, InputError

__all__ = ["State", "find", "load_average", "load_state", "load_training", "newest", "prune", "save"]


_SPARE = 1 << 24
"""Bytes; a disk with less is full."""


@dataclass(frozen=True)
class State:
    """Where a run stands.

    Attributes:
        step: optimizer steps done.
        seconds: time trained in all; ``period_seconds``: since ``period_start``, the step at which the schedule began.
        frames: frames trained on.
        finished: its steps or minutes were used up.
        best: the best validation so far; ``figures`` the last one.
        parts: every network of an export: prefix, config, file stem by folder.
        complete: the tensors are the whole network; False where parts of it stay frozen and are not stored, so that
            exporting needs the task.
    """

    step: int
    seconds: float
    frames: int
    ema_updates: int
    period_start: int
    period_seconds: float
    finished: bool
    best: float | None
    figures: dict[str, float]
    parts: dict[str, dict[str, Any]]
    complete: bool


def save(
    folder: Path,
    state: State,
    tensors: Mapping[str, Tensor] | None,
    average: Mapping[str, Tensor],
    optimizer: Mapping[str, Any] | None,
) -> None:
    """Write a checkpoint to ``folder``; it appears whole or not at all.

    Args:
        tensors, optimizer: None where the checkpoint is for export alone.

    Raises:
        OutputError, DiskFull: it can't be written.
    """
    with disk_errors(folder), replacing(folder) as part:
        try:
            _save(part, state, tensors, average, optimizer)
        except (RuntimeError, SafetensorError) as error:  # what torch and safetensors make of a full disk
            if shutil.disk_usage(folder.parent).free < _SPARE:
                raise DiskFull(f"the disk has no room for '{folder}'", todo="Make room; the run goes on.") from error
            raise


def _save(
    folder: Path,
    state: State,
    tensors: Mapping[str, Tensor] | None,
    average: Mapping[str, Tensor],
    optimizer: Mapping[str, Any] | None,
) -> None:
    folder.mkdir(parents=True)
    for name, group in (("model", tensors), ("average", average)):
        if group is not None:
            save_file(
                {k: v.detach().cpu().contiguous().clone() for k, v in group.items()}, folder / f"{name}.safetensors"
            )
    if optimizer is not None:
        torch.save(optimizer, folder / "optimizer.pt")
    write_text(folder / "state.json", json.dumps(asdict(state), indent=2) + "\n")


def _all(run_dir: Path) -> list[Path]:
    return sorted((run_dir / "checkpoints").glob("step-*"))


def newest(run_dir: Path) -> Path | None:
    """The last checkpoint of a run, None where it has none."""
    return next(reversed(_all(run_dir)), None)


def prune(run_dir: Path, keep: int) -> None:
    """Delete all checkpoints but the last ``keep``."""
    for old in _all(run_dir)[:-keep]:
        shutil.rmtree(old)


def find(source: Path, best: bool) -> Path:
    """The checkpoint ``source`` is, or the best or newest of the run it is.

    Raises:
        InputError: neither.
    """
    if (source / "state.json").is_file():
        return source
    candidates = [source / "best", newest(source)] if best else [newest(source), source / "best"]
    for candidate in candidates:
        if candidate is not None and (candidate / "state.json").is_file():
            return candidate
    raise InputError(f"no checkpoint in '{source}'", wanted="a run's folder or one of its checkpoints")


def load_state(folder: Path) -> State:
    """Where the run stood.

    Raises:
        InputError: no state, or a broken one.
    """
    try:
        return State(**json.loads((folder / "state.json").read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError) as error:
        raise InputError(
            f"'{folder}' is not a whole checkpoint ({error})", todo="Delete it; the run goes on from the one before."
        ) from None


def load_average(folder: Path) -> dict[str, Tensor]:
    """The averaged tensors.

    Raises:
        InputError: missing or broken.
    """
    return _tensors(folder / "average.safetensors")


def load_training(folder: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The trained tensors and the optimizer's state.

    Raises:
        InputError: missing or broken.
    """
    path = folder / "optimizer.pt"
    try:
        optimizer = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        raise InputError(
            f"'{path}' can't be read ({type(error).__name__})",
            todo="Delete the checkpoint; the run goes on from the one before.",
        ) from None
    return _tensors(folder / "model.safetensors"), optimizer


def _tensors(path: Path) -> dict[str, Tensor]:
    try:
        return load_file(path)
    except (OSError, SafetensorError) as error:
        raise InputError(
            f"'{path}' can't be read ({error})", todo="Delete the checkpoint; the run goes on from the one before."
        ) from None
