"""The files that a run writes: staged drawing by drawing, and moved into place when all are finished."""

from __future__ import annotations

import logging
from collections.abc import Collection, Sequence
from dataclasses import replace
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np

from celpaint.errors import OptionError, OutputError
from celpaint.frames.stage import Stage
from celpaint.frames.write import FolderSink, Sink, missing_numbers, open_sink
from celpaint.types import Array, Clip, Frame, FrameWritten, Progress, silent

__all__ = ["Result"]

log = logging.getLogger("celpaint")


class Result:
    """The colored frames and, where they are wanted, the maps of confidence.

    Args:
        out: a folder or a file for the frames.
        clip: what is colored; names, rate and depth are taken from it.
        alpha: whether frames have an alpha channel; None: where the clip has one.
        maps: a folder for the maps, gray PNGs.
        inputs: files and folders that must not be written over.
        overwrite, rate, picture: as in :func:`celpaint.frames.write.open_sink`.

    Raises:
        OutputError: it can't be written there; found out now rather than when all is colored.
    """

    def __init__(
        self,
        out: str | Path,
        clip: Clip,
        *,
        alpha: bool | None = None,
        maps: str | Path | None = None,
        inputs: Sequence[str | Path] = (),
        overwrite: bool = False,
        rate: Fraction | int | None = None,
        picture: Literal["png", "tif", "tga"] | None = None,
    ) -> None:
        same = partial(
            open_sink,
            size=clip.size,
            count=len(clip),
            names=clip.names,
            numbers=clip.numbers,
            inputs=inputs,
            overwrite=overwrite,
        )
        times = clip.times if rate is None else None
        form = clip.format if alpha is None else replace(clip.format, alpha=alpha)
        self._sinks: dict[str, partial[Sink]] = {
            "frames": partial(same, out, format=form, rate=rate or clip.rate, times=times, picture=picture)
        }
        if maps is not None:
            self._sinks["maps"] = partial(same, maps, picture="png")
        self._check(out, clip)
        self.bits: Literal[8, 16] = 16 if clip.format.bits == 16 or Path(out).suffix.lower() == ".mov" else 8

    def _check(self, out: str | Path, clip: Clip) -> None:
        """Open every sink once and close it again: whatever speaks against it is known before any work."""
        files: dict[str, frozenset[Path]] = {}
        for name, open_it in self._sinks.items():
            sink = open_it()
            sink.abort()
            files[name] = sink.files
            if isinstance(sink, FolderSink):
                continue
            missing = missing_numbers(clip)
            if missing:
                log.warning("frames %s are missing; in '%s' the others follow one another without gaps", missing, out)
        shared = files["frames"] & files.get("maps", frozenset())
        if shared:
            raise OutputError(
                f"'{min(shared)}' would be both a frame and a map of its confidence",
                wanted="two folders",
                todo=f"Choose another folder for the maps, for instance '{min(shared).parent / 'confidence'}'.",
            )

    @property
    def kinds(self) -> str:
        """What is staged, in words; drawings staged for other kinds are of no use."""
        return f"{' and '.join(self._sinks)} of {self.bits} bits"

    def stage_in(self, folder: Path, earlier: Collection[int] = ()) -> set[int]:
        """Keep drawings in ``folder`` until :meth:`publish`.

        Args:
            earlier: drawings that an earlier run staged there.

        Returns:
            Those of them that are not as they were put.
        """
        self._stages = {name: Stage(folder / name, self.bits) for name in self._sinks}
        return {drawing for stage in self._stages.values() for drawing in stage.damaged(earlier)}

    def put(self, drawing: int, frame: Frame, confidence: Array | None) -> None:
        """Stage a drawing."""
        self._stages["frames"].put(drawing, frame)
        if "maps" in self._stages:
            if confidence is None:
                raise OptionError(
                    "confidence maps are not available from a method that reports no confidence",
                    todo="Leave out --confidence-maps, or use another method.",
                )
            self._stages["maps"].put(drawing, Frame(np.repeat(confidence[..., None], 3, axis=2)))

    def publish(self, spans: Sequence[range], progress: Progress = silent) -> None:
        """Write all frames, held drawings as often as they are held; the result appears whole or not at all.

        Args:
            spans: the frames that show each drawing.
            progress: told of every frame written.
        """
        sinks = {name: open_it() for name, open_it in self._sinks.items()}
        try:
            for drawing, span in enumerate(spans):
                for name, sink in sinks.items():
                    frame = self._stages[name].get(drawing)
                    for index in span:
                        sink.write(frame, index)
                progress(FrameWritten(span.stop, spans[-1].stop))
            for sink in sinks.values():
                sink.commit()
        except BaseException:
            for sink in sinks.values():
                sink.abort()
            raise
