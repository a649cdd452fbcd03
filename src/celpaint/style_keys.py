"""Painted frames made from a picture of the wanted style, so that a shot can be colored without painting one first."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from celpaint.errors import OptionError
from celpaint.frames.write import open_sink
from celpaint.methods.registry import spec_of
from celpaint.options import ComputeOptions, PathOptions
from celpaint.session import Colorizer
from celpaint.shot import ShotContext, open_shot
from celpaint.types import Array, Progress, silent

__all__ = ["choose_drawing", "paint_keys"]

log = logging.getLogger("celpaint")

_LOOKED_AT = 24
"""Drawings of a scene that are compared, evenly spread."""


def paint_keys(
    source: str | Path,
    out: str | Path,
    style: str | Path,
    options: ComputeOptions,
    path: PathOptions | None = None,
    progress: Progress = silent,
) -> list[tuple[Path, str]]:
    """Color one drawing of every scene in the style of a picture and write them beside the result.

    A frame that an earlier run wrote is kept, so that it can be corrected by hand before the shot is colored again.

    Args:
        source: the shot's line art, as :func:`celpaint.render` takes it.
        out: where the shot's result will be; for ``cut05/`` and ``cut05.mp4`` the frames are ``cut05_key_1.png`` ...
        style: a picture of any size that shows anything.
        options: of a method that colors from such a picture.
        path: how the shot is read.
        progress: called with every event.

    Returns:
        The painted frames as references: (picture, frame's name or number).

    Raises:
        OptionError: the method colors from painted frames of the shot only.
        CelpaintError: as of :func:`celpaint.render`.
    """
    spec = spec_of(options)
    if not spec.any_reference:
        raise OptionError(f"the method {spec.name} colors from painted frames of the shot only")
    context = open_shot(source, [(style, None)], path, progress=progress)
    keys = {drawing: _key_path(context, out, drawing) for drawing in _chosen(context)}
    missing = {drawing: key for drawing, key in keys.items() if not key.exists()}
    for key in sorted({*keys.values()} - {*missing.values()}):
        log.info("'%s' already exists and is used; delete it to color that frame again", key)
    if missing:
        colorizer = Colorizer(options)
        for drawing, key in missing.items():
            _paint(context, colorizer, drawing, key, [source, style], progress)
            log.info("colored %s: '%s'; if it is not right, correct it and run again", context.label(drawing), key)
    return [(key, _frame_name(context, drawing)) for drawing, key in keys.items()]


def choose_drawing(lines: Sequence[Array], scene: range) -> int:
    """The drawing of a scene to paint: the one with the most ink, because it shows most; the first of several."""
    looked_at: list[int] = sorted(
        {scene[round(i)] for i in np.linspace(0, len(scene) - 1, min(_LOOKED_AT, len(scene)))}
    )
    ink = [float(lines[drawing].mean()) for drawing in looked_at]
    return looked_at[int(np.argmax(ink))]


def _chosen(context: ShotContext) -> list[int]:
    return [choose_drawing(context.shot.lines, scene) for scene in context.shot.scenes]


def _paint(
    context: ShotContext,
    colorizer: Colorizer,
    drawing: int,
    key: Path,
    inputs: Sequence[str | Path],
    progress: Progress,
) -> None:
    """Color one drawing and write it."""
    alone = replace(context.shot, cuts=()).part(range(drawing, drawing + 1))
    (chunk,) = colorizer.chunks(alone, progress=progress)
    sink = open_sink(key, size=context.clip.size, count=1, format=context.clip.format, inputs=inputs)
    try:
        sink.write(context.finish(drawing, chunk.painted[0]), 0)
        sink.commit()
    except BaseException:
        sink.abort()
        raise


def _key_path(context: ShotContext, out: str | Path, drawing: int) -> Path:
    number = context.clip.number(context.spans[drawing].start)
    return Path(out).with_name(f"{Path(out).stem}_key_{number}.png")


def _frame_name(context: ShotContext, drawing: int) -> str:
    index = context.spans[drawing].start
    return context.clip.names[index] if context.clip.names else str(context.clip.number(index))
