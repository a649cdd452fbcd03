"""Sums of the film-like benchmark's frames, to tell whether a copy is the same, and by how much it differs.

Sums are of pixels, not of files, so any way of storing them without loss will do.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np

from celpaint.benchmark.film.shots import FRAMES, SHOTS, film
from celpaint.benchmark.processes import in_processes
from celpaint.errors import InputError

if TYPE_CHECKING:
    import numpy.typing as npt

    from celpaint.benchmark.film.stage import Frame

__all__ = ["Comparison", "check_shots", "known_sums", "sums_of"]

Sums = Mapping[str, Mapping[str, list[str]]]
"""Shot => ``color`` and ``line`` => a sum a frame."""


@dataclass(frozen=True)
class Comparison:
    """How one shot compares with the benchmark.

    Attributes:
        shot: its name.
        frames: how many were compared; ``different``: how many have another sum, in color or line.
        pixels: share of their color values that differ from those rendered here, and ``most`` by how much at most, in
            1/255; both 0 where nothing differs.
    """

    shot: str
    frames: int
    different: int
    pixels: float
    most: int


def known_sums() -> Sums:
    """The sums in the package."""
    text = (resources.files("celpaint.benchmark.film") / "sums.json").read_text(encoding="utf-8")
    found: Sums = json.loads(text)
    return found


def sums_of(number: int, *, frames: int = FRAMES, height: int = 320, width: int = 576) -> dict[str, list[str]]:
    """The sums of a shot as this machine renders it."""
    rendered = list(film(number, frames=frames, height=height, width=width))
    return {
        "color": [_sum(frame.color) for frame in rendered],
        "line": [_sum(frame.line) for frame in rendered],
    }
