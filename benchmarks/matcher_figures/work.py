"""What every part is given, what it finds, and how its films are spread over the processor's cores."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

from celpaint.benchmark.runner import in_processes
from celpaint.errors import CelpaintError
from celpaint.methods.base import Method
from celpaint.methods.matcher.run import Matcher
from celpaint.methods.matcher.spec import MatcherOptions
from celpaint.methods.registry import load_method
from celpaint.metrics.base import Pair
from celpaint.metrics.frame import psnr, squared_error
from celpaint.metrics.networks import fetch
from celpaint.metrics.perceptual import LPIPSDistance
from celpaint.types import Array, Painted, Shot

T = TypeVar("T")

Record = dict[str, Any]
"""One film under one method: what it was, and its figures."""


@dataclass(frozen=True)
class Settings:
    """How to measure.

    Attributes:
        art: the file of drawings.
        weights, device, dtype: of the matcher.
        size: (height, width) of the films.
        films: how many a cell.
        workers: processes.
    """

    art: Path
    weights: str = "small"
    device: str = "auto"
    dtype: str = "auto"
    size: tuple[int, int] = (320, 576)
    films: int = 8
    workers: int = 1


@cache
def matcher(settings: Settings, *, exact: bool = False, memory: int = 1) -> Matcher:
    """The method, loaded once a process."""
    method = load_method(
        MatcherOptions(
            weights=settings.weights,
            device=settings.device,
            dtype=settings.dtype,  # type: ignore[arg-type]
            flat=exact,
            memory_frames=memory,
        )
    )
    assert isinstance(method, Matcher)
    return method


def color(method: Method, shot: Shot) -> list[Painted]:
    """Every drawing of the shot."""
    return [painted for chunk in method.color(shot) for painted in chunk.painted]


@cache
def _lpips() -> LPIPSDistance | None:
    try:
        fetch("lpips")
        return LPIPSDistance("alex")
    except CelpaintError as error:
        print(f"LPIPS is left out: {error}", file=sys.stderr)
        return None


def scores(result: Array, truth: Array) -> Record:
    """PSNR in dB and LPIPS (AlexNet) of one picture ``H W 3``; LPIPS is NaN where its network can't be had."""
    metric = _lpips()
    distance = float("nan") if metric is None else metric.of(Pair(0, result, truth))
    return {"psnr": psnr(squared_error(result, truth)), "lpips": distance}


# -- processes -----------------------------------------------------------------------------------------------------


def spread(name: str, jobs: Sequence[Callable[[], T]], workers: int) -> list[T]:
    """What the jobs return, in their order; a line on stderr says how far they are."""
    found: dict[int, T] = {}
    if workers > 1:
        _lpips()  # fetched here, so that the workers find it
    for index, result in in_processes(jobs, workers):
        found[index] = result
        print(f"\r{name}: {len(found)} of {len(jobs)}", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    return [found[index] for index in range(len(jobs))]
