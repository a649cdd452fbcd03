"""Studies: one method measured in depth on films held in memory, unlike suites, which compare methods on files."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import TypeVar

import numpy as np
import numpy.typing as npt
from PIL import Image

from celpaint.atomic_write import write_file, write_text
from celpaint.benchmark.processes import in_processes
from celpaint.benchmark.provenance import commit, machine
from celpaint.benchmark.tables import Record, insert
from celpaint.errors import CelpaintError, InputError, WeightsError
from celpaint.methods.base import Method
from celpaint.metrics.base import FramePair
from celpaint.metrics.frame import psnr, squared_error
from celpaint.metrics.networks import fetch
from celpaint.metrics.perceptual import LPIPSDistance
from celpaint.session import Colorizer
from celpaint.types import Array, ColorizedFrame, Shot

__all__ = [
    "Sheets",
    "StudySettings",
    "color",
    "conditions",
    "picture_scores",
    "renew_document",
    "require_art",
    "save_sheet",
    "spread",
]

T = TypeVar("T")

Sheets = Mapping[str, npt.NDArray[np.uint8]]
"""Contact sheets ``H W 3`` by name."""


@dataclass(frozen=True)
class StudySettings:
    """How to measure.

    Attributes:
        art: the file of drawings, made by ``celpaint data art``.
        weights, device, dtype: of the method.
        size: (height, width) of the films.
        films: how many for each combination of conditions.
        workers: processes.
        shot: the example shot: a folder with ``lines``, ``original`` and ``reference.png``, the first frame painted.
    """

    art: Path
    weights: str = "small"
    device: str = "auto"
    dtype: str = "auto"
    size: tuple[int, int] = (320, 576)
    films: int = 8
    workers: int = 1
    shot: Path = Path("examples/dancer")


def require_art(art: Path) -> None:
    """Make sure that the drawings are there.

    Raises:
        InputError: they are not.
    """
    if not art.is_file():
        raise InputError(
            f"'{art}' does not exist",
            wanted="the file of drawings",
            todo=f"Make it: celpaint data art --out {art}",
        )


def color(method: Method, shot: Shot) -> list[ColorizedFrame]:
    """Every drawing of the shot.

    Raises:
        WeightsError: the pictures hold NaN or infinity.
    """
    colored = dict(Colorizer(method).drawings(shot))
    painted = [colored[drawing] for drawing in range(len(shot))]
    if not all(np.isfinite(one.rgb).all() for one in painted):
        raise WeightsError("the method's pictures contain NaN or infinity", wanted="valid weights")
    return painted


@cache
def _lpips() -> LPIPSDistance | None:
    try:
        fetch("lpips")
        return LPIPSDistance("alex")
    except CelpaintError as error:
        print(f"LPIPS is left out: {error}", file=sys.stderr)
        return None


def picture_scores(result: Array, truth: Array) -> Record:
    """PSNR in dB and LPIPS (AlexNet) of one picture ``H W 3``; LPIPS is NaN where its network can't be had."""
    metric = _lpips()
    distance = float("nan") if metric is None else metric.of(FramePair(0, result, truth))
    return {"psnr": psnr(squared_error(result, truth)), "lpips": distance}


def spread(name: str, jobs: Sequence[Callable[[], T]], workers: int) -> list[T]:
    """What the jobs return, in their order; a line on stderr shows progress."""
    found: dict[int, T] = {}
    if workers > 1:
        _lpips()  # fetched here, so that the workers find it
    for index, result in in_processes(jobs, workers):
        found[index] = result
        print(f"\r{name}: {len(found)} of {len(jobs)}", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    return [found[index] for index in range(len(jobs))]


def conditions(settings: StudySettings, what: str, weights: str, dtype: str, threads: str) -> str:
    """What was measured, when and on what, in one paragraph.

    Args:
        settings: of the study.
        what: a sentence about the films.
        weights: digest of the weights.
        dtype: number format of the networks.
        threads: processes and threads, for people.
    """
    host = machine(settings.device)
    return (
        f"{what} {datetime.now(UTC):%Y-%m-%d %H:%M} UTC, commit {commit() or 'unknown'}, weights '{settings.weights}' "
        f"({weights[:12]}), {dtype.removeprefix('torch.')}. {host['processor']}, GPU {host['GPU']}, torch "
        f"{host['torch']}, {threads}."
    )


def save_sheet(sheet: npt.NDArray[np.uint8], path: Path, most: int = 400_000) -> None:
    """As WebP of at most ``most`` bytes, as good as that allows."""
    path.parent.mkdir(parents=True, exist_ok=True)
    for quality in range(90, 0, -10):
        stream = BytesIO()
        Image.fromarray(sheet).save(stream, format="WEBP", quality=quality, method=6)
        if stream.tell() <= most:
            break
    write_file(path, stream.getvalue())


def renew_document(document: Path, text: str) -> None:
    """Put ``text`` between the markers ``<!-- figures -->`` and ``<!-- /figures -->`` of a document.

    Raises:
        InputError: the document or the markers are not there.
    """
    try:
        before = document.read_text(encoding="utf-8")
    except OSError as error:
        raise InputError(f"'{document}' can't be read ({error.strerror})", wanted="a Markdown document") from None
    write_text(document, insert(before, "figures", text))
