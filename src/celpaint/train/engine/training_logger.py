"""What a run reports while it trains: a bar or lines, TensorBoard, a JSON line a figure, sheets as PNG."""

from __future__ import annotations

import json
import sys
import time
from collections import deque
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

__all__ = ["TrainingLogger"]

_EVERY = 30.0
"""Seconds between lines where there is no terminal."""


class TrainingLogger:
    """Where figures and pictures of a run go.

    Args:
        run_dir: ``tensorboard/``, ``figures.jsonl`` and ``sheets/`` are written there.
        silent: write and show nothing (every process but the first).
    """

    def __init__(self, run_dir: Path, *, silent: bool = False) -> None:
        self.run_dir, self.silent = run_dir, silent
        self._recent: deque[tuple[float, int, int]] = deque(maxlen=50)
        self._last_line = 0.0
        self._bar: Progress | None = None
        if silent:
            return
        from torch.utils.tensorboard import SummaryWriter

        run_dir.mkdir(parents=True, exist_ok=True)
        self._board = SummaryWriter(str(run_dir / "tensorboard"))
        self._console = Console(stderr=True)
        if sys.stderr.isatty():
            columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[text]}"))
            self._bar = Progress(*columns, console=self._console)
            self._row = self._bar.add_task("train", total=1.0, text="")
            self._bar.start()

    @property
    def frames_per_second(self) -> float:
        """Frames per second over the last steps."""
        if len(self._recent) < 2:
            return 0.0
        frames = sum(f for _, _, f in list(self._recent)[1:])
        return frames / max(1e-9, self._recent[-1][0] - self._recent[0][0])

    @property
    def seconds_per_step(self) -> float | None:
        """Time a step took lately, validation and checkpoints included; None before the second."""
        if len(self._recent) < 2:
            return None
        (begin, first, _), (end, last, _) = self._recent[0], self._recent[-1]
        return (end - begin) / (last - first)

    def step(self, step: int, loss: float, frames: int, progress: float, left: float | None) -> None:
        """Step ``step`` is done.

        Args:
            frames: trained on since the last call.
            progress: of the schedule, in [0, 1].
            left: seconds to the end, None where unknown.
        """
        now = time.monotonic()
        self._recent.append((now, step, frames))
        if self.silent:
            return
        text = f"step {step}  loss {loss:.4f}  {self.frames_per_second:.1f} frames/s"
        if left is not None:
            text += f"  {int(left) // 60}:{int(left) % 60:02d} left"
        if self._bar is not None:
            self._bar.update(self._row, completed=progress, text=text)
        elif now - self._last_line >= _EVERY:
            self._last_line = now
            self.say(f"{100 * progress:5.1f} %  {text}")

    def say(self, text: str) -> None:
        """Print a line."""
        if not self.silent:
            self._console.print(text, highlight=False, markup=False, soft_wrap=True)

    def figures(self, group: str, step: int, values: Mapping[str, float]) -> None:
        """Log figures under ``group``."""
        if self.silent:
            return
        for key, value in values.items():
            self._board.add_scalar(f"{group}/{key}", value, step)
        line: dict[str, Any] = {"step": step, "group": group, **values}
        with (self.run_dir / "figures.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")

    def sheet(self, step: int, picture: npt.NDArray[np.uint8]) -> None:
        """Keep a sample sheet, ``H W 3``."""
        if self.silent:
            return
        from PIL import Image

        self._board.add_image("sheet", picture, step, dataformats="HWC")
        folder = self.run_dir / "sheets"
        folder.mkdir(exist_ok=True)
        Image.fromarray(picture).save(folder / f"step-{step:08d}.png")

    def close(self) -> None:
        """Flush and end."""
        if self.silent:
            return
        if self._bar is not None:
            self._bar.stop()
        self._board.close()
