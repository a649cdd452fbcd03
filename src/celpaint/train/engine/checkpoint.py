"""Checkpoints: one folder per step, complete or absent, in safetensors and JSON only, so that reading one runs no code.

RUN/recipe.json
RUN/checkpoints/step-00000500/networks/     trained tensors and buffers
                              average/      their moving average
                              optimizers/   the optimizers' state
                              state.json    where the run stands
RUN/best/                     average/, state.json of the best validation

Random numbers and batches follow from the recipe's seed and the step, so that the step is all that resuming them needs.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import msgspec
from safetensors import SafetensorError
from torch import Tensor

from celpaint.atomic_write import disk_errors, replacing
from celpaint.errors import DiskFull, InputError, WeightsError
from celpaint.train.engine.task import Part
from celpaint.weights.store import read_tensors, write_tensors

__all__ = ["State", "find", "load", "load_state", "newest", "prune", "save"]

_SPARE = 1 << 24
"""Bytes; a disk with less is full."""

_DELETE = "Delete it; the run resumes from the one before."


@dataclass(frozen=True)
class State:
    """Where a run stands.

    Attributes:
        step: optimizer steps done in total; ``stage_step``: in the current stage.
        stage: index of the current stage.
        seconds: time trained in total; ``period_seconds``: since ``period_start``, the step of the stage at which the
            schedule began.
        frames: frames trained on.
        ema_updates: updates of the moving averages, by optimizer.
        finished: the stage's steps or minutes are used up.
        best: the best validation of the stage so far; ``figures`` the last one.
        parts: every network of an export, by folder.
        complete: the tensors are the whole network; False where parts of it stay frozen and are not stored, so that
            exporting needs the task.
    """

    step: int
    stage: int
    stage_step: int
    seconds: float
    frames: int
    ema_updates: dict[str, int]
    period_start: int
    period_seconds: float
    finished: bool
    best: float | None
    figures: dict[str, float]
    parts: dict[str, Part]
    complete: bool


def save(folder: Path, state: State, groups: Mapping[str, Mapping[str, Tensor]]) -> None:
    """Write a checkpoint to ``folder``; it appears complete or not at all.

    Args:
        groups: tensors by group: ``networks``, ``average``, ``optimizers``; ``average`` alone is enough to export.

    Raises:
        OutputError, DiskFull: it can't be written.
    """
    with disk_errors(folder):
        try:
            folder.parent.mkdir(parents=True, exist_ok=True)
            with replacing(folder) as part:
                for name, tensors in groups.items():
                    write_tensors(part / name, tensors)
                (part / "state.json").write_text(json.dumps(asdict(state), indent=2) + "\n", encoding="utf-8")
        except (RuntimeError, SafetensorError) as error:  # how torch and safetensors report a full disk
            if shutil.disk_usage(folder.parent).free < _SPARE:
                raise DiskFull(f"the disk has no room for '{folder}'", todo="Make room and run it again.") from error
            raise


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
        return msgspec.json.decode((folder / "state.json").read_bytes(), type=State)
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise InputError(f"'{folder}' is not a complete checkpoint ({error})", todo=_DELETE) from None


def load(folder: Path, group: str) -> dict[str, Tensor]:
    """The tensors of one group, mapped from the files.

    Raises:
        InputError: missing or broken.
    """
    try:
        return read_tensors(folder / group)
    except WeightsError as error:
        raise InputError(f"'{folder}' can't be read ({error.seen})", todo=_DELETE) from None
