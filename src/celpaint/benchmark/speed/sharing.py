"""A run beside other work: two at once, and beside a busy core, against the fair share of the machine."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from celpaint.benchmark.tables import markdown_table
from celpaint.threads import available_cores

__all__ = ["Cost", "fair_beside_a_busy_core", "fair_two_at_once", "sharing_speed"]


@dataclass(frozen=True)
class Cost:
    """What a run took.

    Attributes:
        wall: seconds by the clock.
        processor: seconds of processor time, over all threads.
    """

    wall: float
    processor: float


def fair_two_at_once(alone: Cost, cores: int) -> float:
    """Seconds two equal runs take at once where nothing is lost: as long as one, or as long as their work fills the
    cores."""
    return max(alone.wall, 2 * alone.processor / cores)


def fair_beside_a_busy_core(alone: Cost, cores: int) -> float:
    """Seconds a run takes beside a process that keeps one core busy, where nothing is lost. On a single core both get
    half of it."""
    return max(alone.wall, alone.processor / (cores - 1) if cores > 1 else 2 * alone.processor)


def sharing_speed(drawings: int = 24, size: tuple[int, int] = (192, 320), threads: int | None = None) -> str:
    """Time `celpaint colorize` alone, twice at once and beside a busy core, as processes of their own.

    The fair share comes from the run alone, so the clock tells something on an idle machine only. Processor time tells
    on any: threads that spin while they wait spend it.

    Args:
        drawings: of the shot, circles that move.
        size: (height, width).
        threads: of every run; None: the default.
    """
    cores = available_cores()
    with tempfile.TemporaryDirectory() as folder:
        shot = Path(folder)
        _draw(shot, drawings, size)
        _measure(shot, 1, threads)  # so that all files are in memory
        alone = _measure(shot, 1, threads)
        both = _measure(shot, 2, threads)
        with _busy_core():
            beside = _measure(shot, 1, threads)
    rows = [
        ["alone", f"{alone.wall:.1f}", "", "", f"{alone.processor:.1f}", ""],
        _row("two at once", both, fair_two_at_once(alone, cores), 2 * alone.processor),
        _row("beside a busy core", beside, fair_beside_a_busy_core(alone, cores), alone.processor),
    ]
    return markdown_table(["run", "seconds", "fair share", "ratio", "processor seconds", "ratio"], rows) + "\n"


def _row(name: str, cost: Cost, fair: float, work: float) -> list[str]:
    """A run against its fair share by the clock, and against the processor time that its work takes alone."""
    clock = [f"{cost.wall:.1f}", f"{fair:.1f}", f"{cost.wall / fair:.2f}"]
    return [name, *clock, f"{cost.processor:.1f}", f"{cost.processor / work:.2f}"]


def _measure(shot: Path, copies: int, threads: int | None) -> Cost:
    """The time until all of some equal runs are done."""
    asked = [] if threads is None else ["--threads", str(threads)]
    before, used = time.monotonic(), _children()
    runs = [_start(shot, [*asked, "--out", str(shot / f"out{copy}"), "--overwrite"]) for copy in range(copies)]
    for run in runs:
        _, said = run.communicate()
        if run.returncode:
            raise RuntimeError(said.decode(errors="replace"))
    return Cost(time.monotonic() - before, _children() - used)


def _start(shot: Path, more: Sequence[str]) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "celpaint", "colorize", str(shot / "lines"), "--reference", str(shot / "key.png")]
    return subprocess.Popen(
        [*command, "--method", "matcher", "--quiet", *more], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )


def _children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


@contextmanager
def _busy_core() -> Iterator[None]:
    spinning = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        yield
    finally:
        spinning.kill()
        spinning.wait()


def _draw(folder: Path, drawings: int, size: tuple[int, int]) -> None:
    """Circles that move, as line art in ``lines``, the first also painted in ``key.png``."""
    (folder / "lines").mkdir()
    height, width = size
    rng = np.random.default_rng(0)
    circles = [(*rng.integers((width, height)), *rng.integers(3, size=2)) for _ in range(8)]
    for index in range(drawings):
        lines, painted = np.full((height, width), 255, np.uint8), np.full((height, width, 3), 230, np.uint8)
        for number, (x, y, across, down) in enumerate(circles):
            center = int(x + index * across), int(y + index * down)
            cv2.circle(painted, center, height // 8, (40 * number % 256, 90, 200 - 20 * number), -1)
            for picture in (lines, painted):
                cv2.circle(picture, center, height // 8, (0, 0, 0), 2)
        cv2.imwrite(os.fspath(folder / "lines" / f"{index:04d}.png"), lines)
        if index == 0:
            cv2.imwrite(os.fspath(folder / "key.png"), painted)
