"""A shot laid out for coloring: which frames show which drawing, its lines, its references, and the way back.

clip, references -> Scene.shot -> (a method) -> Scene.finish -> frames
"""

from __future__ import annotations

import logging
from bisect import bisect
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, overload

import numpy as np

from celpaint.conditions.lines import Look, classify_clip, extract_lines, read_lines
from celpaint.conditions.reference import fit_reference
from celpaint.conditions.reference_assignment import Place, frame_label
from celpaint.finish.ink import cut_out, lay_ink
from celpaint.finish.size import to_size
from celpaint.frames.holds import find_holds
from celpaint.frames.read import AnimationClip, PictureClip, VideoClip, read_picture
from celpaint.options import PathOptions
from celpaint.types import Array, Clip, Frame, LineArt, Progress, Reference, Shot, silent

__all__ = ["Scene"]

log = logging.getLogger("celpaint")

_JUDGED = 9
"""Frames that are looked at to tell line art from paintings."""

_SAME_INK = 0.15
"""How far, in any channel, ink in a painting may be from the ink that was drawn."""

_KEPT = 2**26
"""Bytes of line art kept for the second look, when its colors are finished."""


class Scene:
    """A shot and its references, checked and ready.

    Args:
        clip: the frames as they are.
        places: the references' files, and where they belong; at least one.
        progress: told of every frame read while looking for holds.

    Attributes:
        spans: the frames of every drawing; together all frames, in order.
        shot: what a method is given; its lines are read when asked for.

    Raises:
        InputError: a file is missing, broken or does not fit.
    """

    def __init__(self, clip: Clip, places: Sequence[Place], options: PathOptions, progress: Progress = silent) -> None:
        self.clip = clip
        self.places = tuple(places)
        alone = [range(i, i + 1) for i in range(len(clip))]
        self.spans = find_holds(clip, progress) if options.holds == "auto" else alone
        self._keep_ink = options.ink == "keep"
        self._drawings = _Drawings(clip, [span.start for span in self.spans], options.lines)
        self._paintings: dict[int, Array] = {}
        self.shot = Shot(self._drawings, tuple(map(self._reference, self.places)), clip.size)

    @property
    def files(self) -> list[Path]:
        """Every file that is read."""
        clip = self.clip
        shot = clip.files if isinstance(clip, PictureClip) else ()
        film = [clip.path] if isinstance(clip, AnimationClip | VideoClip) else []
        return [*shot, *film, *(place.path for place in self.places)]

    def frames_until(self, drawing: int) -> int:
        """How many frames show the drawings before this one."""
        return self.spans[drawing - 1].stop if drawing else 0

    def label(self, drawing: int) -> str:
        """A drawing by the name of its first frame: its file's, or ``frame 12`` of a video."""
        return frame_label(self.clip, self.spans[drawing].start).strip("'")

    def finish(self, drawing: int, rgb: Array) -> Frame:
        """A colored drawing as the source would show it: with its own lines and its own transparency.

        A drawing that was given painted, lines and all, comes out as it was painted.

        Args:
            rgb: as the method painted it, ``H W 3`` or smaller.
        """
        art, alpha = self._drawings.art(drawing)
        painting = self._paintings.get(drawing)
        if self._keep_ink and painting is not None and _shows(painting, art):
            rgb = painting
        else:
            rgb = to_size(rgb, self.clip.size, art.line)
            rgb = lay_ink(rgb, art) if self._keep_ink else rgb
        if self._drawings.look.kind == "on transparent":
            return cut_out(rgb, art) if self._keep_ink else Frame(rgb)
        return Frame(rgb, alpha)

    def _reference(self, place: Place) -> Reference:
        rgb, fit = fit_reference(read_picture(place.path)[0], self.clip.size)
        if fit.sentence:
            log.info("'%s': %s", place.path, fit.sentence)
        if place.frame is None:
            return Reference(rgb, extract_lines(rgb), None)
        drawing = bisect([span.start for span in self.spans], place.frame) - 1
        if fit.box == (0, 0, *self.clip.size):
            self._paintings[drawing] = rgb
        return Reference(rgb, self._drawings[drawing], drawing)


def _shows(painting: Array, art: LineArt) -> bool:
    """Whether a painting has a drawing's ink where the drawing has it, so that it is a painting of it."""
    cores = art.line - art.trace > 0.9
    off = np.abs(painting[cores] - art.ink[cores]).max(axis=-1, initial=0)
    return bool(cores.any()) and float(np.mean(off < _SAME_INK)) > 0.9


class _Drawings(Sequence[Array]):
    """The line maps of a shot's drawings, read when asked for; the latest stay at hand to be finished."""

    look: Look

    def __init__(self, clip: Clip, frames: Sequence[int], mode: Literal["auto", "keep", "extract"]) -> None:
        self._clip, self._frames, self._mode = clip, frames, mode
        looked_at = sorted({round(i * (len(frames) - 1) / (_JUDGED - 1)) for i in range(_JUDGED)})
        self.look = Look("painting") if mode == "extract" else classify_clip(clip[frames[i]] for i in looked_at)
        if self.look.kind == "painting" and mode == "auto":
            log.info("these are colored pictures, so their lines are extracted; --lines keep takes them as they are")
        self._at_hand: OrderedDict[int, tuple[LineArt, Array | None]] = OrderedDict()
        height, width = clip.size
        self._room = max(_KEPT // (height * width * 24), 1)

    def art(self, drawing: int) -> tuple[LineArt, Array | None]:
        """The drawing's line art, and the alpha of its frame."""
        if drawing not in self._at_hand:
            frame = self._clip[self._frames[drawing]]
            self._at_hand[drawing] = read_lines(frame, self._mode, self.look), frame.alpha
            while len(self._at_hand) > self._room:
                self._at_hand.popitem(last=False)
        return self._at_hand[drawing]

    def __len__(self) -> int:
        return len(self._frames)

    @overload
    def __getitem__(self, index: int) -> Array: ...
    @overload
    def __getitem__(self, index: slice) -> list[Array]: ...
    def __getitem__(self, index: int | slice) -> Array | list[Array]:
        drawings = range(len(self))[index]
        if isinstance(drawings, range):
            return [self.art(drawing)[0].line for drawing in drawings]
        return self.art(drawings)[0].line
