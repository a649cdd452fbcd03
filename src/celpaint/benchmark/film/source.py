"""The film-like shots and the turning heads as films of a benchmark."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from celpaint.benchmark.film.shots import FRAMES, SHOTS, film
from celpaint.benchmark.films import Film

if TYPE_CHECKING:
    from celpaint.benchmark.suite import FilmSpec

__all__ = ["film_like_films"]


def film_like_films(spec: FilmSpec, seed: int, root: Path) -> Iterator[Film]:
    """The scripted shots in order, with the lines as drawn in the style ``drawn``."""
    last = min(spec.first + spec.films, len(SHOTS))
    for number in range(spec.first, last):
        shots = list(film(number, seed=seed, frames=min(spec.frames, FRAMES), height=spec.height, width=spec.width))
        yield Film(
            name=SHOTS[number].name,
            frames=np.stack([frame.color for frame in shots]).astype(np.float32) / 255,
            lines={"drawn": np.stack([frame.line for frame in shots]).astype(np.float32) / 255},
            drawing=np.stack([frame.part for frame in shots]).astype(np.int64),
            point=np.stack([frame.point for frame in shots]).transpose(0, 3, 1, 2),
        )
