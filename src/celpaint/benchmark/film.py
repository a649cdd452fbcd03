"""The film-like shots, and a head and a figure that turn, as films of a benchmark."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
import numpy.typing as npt

from celpaint.benchmark.films import Film
from celpaint.data.scripted.shots import FRAMES, SHOTS, film
from celpaint.errors import OptionError
from celpaint.frames.color import to_float
from celpaint.frames.contact_sheet import SheetRow, contact_sheet
from celpaint.types import Array

if TYPE_CHECKING:
    from celpaint.benchmark.suite import FilmSpec

__all__ = ["film_like_films", "shots_sheet", "turning_films"]

_TURNS = {
    "head_left": ("head_front", "head_left_45", "head_left_90"),
    "head_right": ("head_front", "head_right_45", "head_right_90"),
    "figure": ("figure_front", "figure_side"),
}
"""Film => its pictures: the first is painted, the others show the same from other sides."""


def film_like_films(spec: FilmSpec, seed: int, root: Path) -> Iterator[Film]:
    """The scripted shots in order, their own lines in the style ``drawn``.

    Raises:
        OptionError: more shots or frames than there are, or a number of frames that does not divide theirs.
    """
    if spec.first + spec.films > len(SHOTS):
        raise OptionError(f"film {spec.first + spec.films} of the source film", wanted=f"at most {len(SHOTS)}")
    if FRAMES % spec.frames:
        raise OptionError(f"{spec.frames} frames of a shot of {FRAMES}", wanted=f"a divisor of {FRAMES}")
    for number in range(spec.first, spec.first + spec.films):
        shots = list(film(number, seed=seed, frames=spec.frames, height=spec.height, width=spec.width))
        yield Film(
            name=SHOTS[number].name,
            frames=to_float(np.stack([frame.color for frame in shots])),
            lines={"drawn": to_float(np.stack([frame.line for frame in shots]))},
            drawing=np.stack([frame.part for frame in shots]).astype(np.int64),
            point=np.stack([frame.point for frame in shots]).transpose(0, 3, 1, 2),
        )


def turning_films(spec: FilmSpec, seed: int, root: Path) -> Iterator[Film]:
    """A head and a figure by other artists (CC0 1.0) from the front and from the side, on white paper, 320x320.

    Their own outlines, which are black, are the lines of the style ``drawn``.
    """
    for name, pictures in list(_TURNS.items())[spec.first : spec.first + spec.films]:
        frames = np.stack([_picture(picture) for picture in pictures])
        yield Film(name, frames, {"drawn": ((0.2 - frames.max(3)) / 0.15).clip(0, 1)})


def shots_sheet(columns: int = 4, *, height: int = 160, width: int = 288) -> npt.NDArray[np.uint8]:
    """A contact sheet of all shots, ``columns`` frames of each, two shots a row: ``H W 3``, uint8."""
    rows = []
    for first in range(0, len(SHOTS), 2):
        pair = [number for number in (first, first + 1) if number < len(SHOTS)]
        pictures = [
            frame.color for number in pair for frame in film(number, frames=columns, height=height, width=width)
        ]
        rows.append(SheetRow(pictures, ", ".join(f"{number + 1} {SHOTS[number].name}" for number in pair)))
    return contact_sheet(rows)


def _picture(name: str) -> Array:
    file = resources.files("celpaint.data.scripted") / "turning" / f"{name}.png"
    pixels = cv2.imdecode(np.frombuffer(file.read_bytes(), np.uint8), cv2.IMREAD_COLOR)
    if pixels is None:
        raise RuntimeError(f"the packaged picture '{file}' is broken")
    return to_float(np.ascontiguousarray(pixels[..., ::-1], np.uint8))
