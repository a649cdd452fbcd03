"""Recolor a painted shot with another palette, such as for a night version."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path

from celpaint.conditions.palette.files import read_palette
from celpaint.conditions.palette.recoloring import Recoloring, fills
from celpaint.frames.read import open_clip
from celpaint.frames.write import open_sink
from celpaint.types import Frame, FrameWritten, Progress, silent

__all__ = ["Recolored", "recolor"]

log = logging.getLogger("celpaint")


@dataclass(frozen=True)
class Recolored:
    """What was done.

    Attributes:
        out: the result.
        frames: how many.
        pairs: each fill of the shot and what it became, as ``#rrggbb``.
    """

    out: Path
    frames: int
    pairs: tuple[tuple[str, str], ...]


def recolor(
    source: str | Path,
    out: str | Path,
    *,
    palette: str | Path,
    before: str | Path | None = None,
    overwrite: bool = False,
    progress: Progress = silent,
) -> Recolored:
    """Paint a painted shot again in other colors.

    Args:
        source: a folder, a pattern or a video; transparency is kept.
        out: see :func:`celpaint.frames.write.open_sink`.
        palette: the new colors; all that :func:`~celpaint.conditions.palette.files.read_palette` reads.
        before: the colors they replace, in the same order. None: the colors that the shot is filled with, as many as
            the palette has, each to the color that suits it best.
        overwrite: replace an existing result.
        progress: told of every frame.

    Raises:
        InputError: a file is missing or broken.
        OptionError: not as many colors before as after.
        OutputError, DiskFull: the result can't be written.
    """
    clip, after = open_clip(source), read_palette(palette)
    if before is None:
        recoloring = Recoloring.to(fills(clip, len(after)), after)
    else:
        recoloring = Recoloring(read_palette(before), after)
    with open_sink(
        out,
        size=clip.size,
        count=len(clip),
        names=clip.names,
        numbers=clip.numbers,
        rate=clip.rate,
        format=clip.format,
        overwrite=overwrite,
        inputs=[source],
        times=clip.times,
    ) as sink:
        for index, frame in enumerate(clip):
            sink.write(Frame(recoloring(frame.rgb), frame.alpha), index)
            progress(FrameWritten(index + 1, len(clip)))
    pairs = zip(str(recoloring.before).split(","), str(recoloring.after).split(","), strict=True)
    return Recolored(Path(out), len(clip), tuple(pairs))
