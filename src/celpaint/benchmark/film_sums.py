"""Sums of the film-like benchmark's frames: whether a copy is the same, and if it is not, by how much it differs.

Sums are of pixels, not of files, so a copy may be stored in any way that loses nothing.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from celpaint.benchmark.processes import in_processes
from celpaint.data.scripted.shots import SHOTS, film
from celpaint.errors import InputError

if TYPE_CHECKING:
    import numpy.typing as npt
    from numpy import uint8

__all__ = ["Comparison", "check_shots", "known_sums", "sums_of", "write_sums"]

Sums = Mapping[str, Mapping[str, Sequence[str]]]
"""Shot => kind (``color``, ``line``) => the sum of every frame."""

Pictures = Mapping[str, Sequence[Any]]
"""Kind => the frames of a shot, uint8."""


@dataclass(frozen=True)
class Comparison:
    """How the frames of one shot compare with the benchmark's.

    Attributes:
        shot: its name.
        frames: how many were compared.
        different: how many of them have another sum, in color or in line.
        share: of the values of a copy's differing frames that are not those rendered here; NaN without a copy.
        most: by how much at most, in 1/255; 0 without a copy.
    """

    shot: str
    frames: int
    different: int
    share: float = float("nan")
    most: int = 0

    def __str__(self) -> str:
        if not self.different:
            return f"{self.shot}: all {self.frames} frames are the benchmark's"
        text = f"{self.shot}: {self.different} of {self.frames} frames differ from the benchmark's"
        if self.most:
            text += (
                f"; {100 * self.share:.4f} % of their values are not those rendered here, by {self.most}/255 or less"
            )
        return text


def known_sums() -> Sums:
    """The sums in the package."""
    text = (resources.files("celpaint.data.scripted") / "sums.json").read_text(encoding="utf-8")
    found: Sums = json.loads(text)
    return found


def sums_of(pictures: Pictures) -> dict[str, list[str]]:
    """The first 16 digits of the sha256 sum of every frame's pixels."""
    return {kind: [hashlib.sha256(x.tobytes()).hexdigest()[:16] for x in frames] for kind, frames in pictures.items()}


def write_sums(out: Path, workers: int) -> None:
    """Render all shots and write their sums: how the file in the package was made."""
    jobs = [partial(_rendered_sums, number) for number in range(len(SHOTS))]
    made = dict(in_processes(jobs, workers))
    sums = {script.name: made[number] for number, script in enumerate(SHOTS)}
    out.write_text(json.dumps(sums, indent=0) + "\n", encoding="utf-8")


def check_shots(copy: Path | None, numbers: Sequence[int], workers: int) -> Iterator[Comparison]:
    """Compare shots with the benchmark's sums.

    Args:
        copy: what ``celpaint benchmark export film`` wrote, or the folder in it that holds the folders of the shots:
            its frames are compared, and where they differ also with those rendered here; None: the shots are rendered
            here.
        numbers: of the shots.
        workers: processes.

    Raises:
        InputError: a shot or frame is not there.
    """
    found = sorted(copy.glob("film-0-*")) if copy else []
    copy = found[-1] if found else copy
    for _, done in in_processes([partial(_compare, copy, number) for number in numbers], workers):
        yield done


def _compare(copy: Path | None, number: int) -> Comparison:
    name = SHOTS[number].name
    known = known_sums()[name]
    found = _rendered(number) if copy is None else _stored(copy / name, len(known["color"]))
    sums = sums_of(found)
    count = len(known["color"])
    odd = [i for i in range(count) if any(sums[kind][i] != known[kind][i] for kind in known)]
    if copy is None or not odd:
        return Comparison(name, count, len(odd))
    here = _rendered(number)
    away = [np.abs(found[kind][i].astype(int) - here[kind][i].astype(int)) for kind in known for i in odd]
    different = sum(int(np.count_nonzero(a)) for a in away)
    return Comparison(name, count, len(odd), different / sum(a.size for a in away), max(int(a.max()) for a in away))


def _rendered_sums(number: int) -> dict[str, list[str]]:
    return sums_of(_rendered(number))


def _rendered(number: int) -> dict[str, list[npt.NDArray[uint8]]]:
    frames = list(film(number))
    return {"color": [frame.color for frame in frames], "line": [frame.line for frame in frames]}


def _stored(folder: Path, count: int) -> dict[str, list[npt.NDArray[uint8]]]:
    """The frames of a shot from ``shot/color`` and ``shot/lines-drawn``."""
    color = [_read(folder / "shot" / "color" / f"{i:04d}.png") for i in range(count)]
    line = [255 - _read(folder / "shot" / "lines-drawn" / f"{i:04d}.png")[..., 0] for i in range(count)]
    return {"color": color, "line": [np.ascontiguousarray(x) for x in line]}


def _read(path: Path) -> npt.NDArray[uint8]:
    pixels = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if pixels is None:
        raise InputError(
            f"'{path}' is missing or not a picture",
            wanted="every frame of every shot, in color and as drawn lines",
            todo="Give the folder that holds the folders of the shots.",
        )
    return np.ascontiguousarray(pixels[..., ::-1])
