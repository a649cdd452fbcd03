"""How well a matcher colors the film-like shots: the figures a training run ends with.

The shots are those of ``celpaint benchmark film``, which measures more and compares with other methods.
"""

from __future__ import annotations

from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import numpy.typing as npt

from celpaint.conditions.lines import extract_lines
from celpaint.data.scripted.shots import SHOTS, film
from celpaint.frames.color import to_float
from celpaint.session import Colorizer
from celpaint.types import Frame

__all__ = ["ShotFigures", "film_figures"]


@dataclass(frozen=True)
class ShotFigures:
    """One shot colored from its first frame with extracted lines, dB on all other frames.

    Attributes:
        name: of the shot.
        psnr: mean PSNR of the colored frames; ``copy``: of the painted frame repeated.
    """

    name: str
    psnr: float
    copy: float


def film_figures(
    weights: Path, *, shots: int = 8, frames: int = 12, height: int = 320, width: int = 576, workers: int = 1
) -> list[ShotFigures]:
    """Color some of the film-like shots.

    Args:
        weights: folder of a matcher.
        shots: how many, evenly chosen; ``frames`` of each, which must divide 48.
        workers: processes that draw the shots.

    Raises:
        WeightsError: the folder holds no matcher.
    """
    colorizer = Colorizer("matcher", weights=str(weights))
    chosen = sorted({round(i) for i in np.linspace(0, len(SHOTS) - 1, shots)})
    wanted = [(number, frames, height, width) for number in chosen]
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        drawn = pool.map(_draw, wanted)
        return [_measure(colorizer, SHOTS[number].name, truth) for number, truth in zip(chosen, drawn, strict=True)]


def _draw(wanted: tuple[int, int, int, int]) -> npt.NDArray[np.uint8]:
    number, frames, height, width = wanted
    return np.stack([frame.color for frame in film(number, frames=frames, height=height, width=width)])


def _measure(colorizer: Colorizer, name: str, pixels: npt.NDArray[np.uint8]) -> ShotFigures:
    truth = to_float(pixels)
    lines = np.stack([np.repeat(1 - extract_lines(frame)[..., None], 3, axis=2) for frame in truth])
    colored = colorizer.colorize(lines, reference=Frame(truth[0]), ink="model", lines="keep", cuts="off", holds="off")
    results = np.stack([frame.rgb for frame in colored])[1:]
    errors = ((results - truth[1:]) ** 2).mean((1, 2, 3)), ((truth[:1] - truth[1:]) ** 2).mean((1, 2, 3))
    psnr, copy = (float(np.mean(-10 * np.log10(np.maximum(error, 1e-10)))) for error in errors)
    return ShotFigures(name, psnr, copy)
