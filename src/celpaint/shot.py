"""A shot prepared for coloring: its drawings, lines and references, and the way back to frames.

clip, references -> ShotContext.shot -> (a method) -> ShotContext.finish -> frames
"""

from __future__ import annotations

import logging
from bisect import bisect
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, overload

import numpy as np

from celpaint.conditions.backdrop import Backdrop
from celpaint.conditions.lines import (
    Look,
    classify_clip,
    extract_lines,
    flatten,
    read_lines,
    without_empty_alpha,
)
from celpaint.conditions.luminance import has_color, luminance
from celpaint.conditions.palette.value import Palette
from celpaint.conditions.reference import fit_reference
from celpaint.conditions.reference_assignment import Place, frame_label, place_references
from celpaint.conditions.registration import register, undo
from celpaint.finish.ink import cut_out, lay_ink, lay_ink_on_cel
from celpaint.finish.painted_ink import PaintedInk, shows_lines
from celpaint.finish.size import to_size
from celpaint.frames.arrays import as_clip, as_frame
from celpaint.frames.cache import CachedClip, Spill
from celpaint.frames.cuts import find_scene_cuts
from celpaint.frames.holds import find_holds
from celpaint.frames.resize import resize
from celpaint.frames.selection import select
from celpaint.options import PathOptions
from celpaint.types import (
    RGB,
    Array,
    Clip,
    ColorHint,
    ColorizedFrame,
    Frame,
    LineArt,
    Progress,
    Reference,
    Shot,
    silent,
)

__all__ = ["ShotContext", "listed", "open_shot", "palette_colors"]

log = logging.getLogger("celpaint")

_JUDGED = 9
"""Frames that are looked at to tell line art from paintings."""

_SAME_PICTURE = 0.5 / 255
"""Mean difference of two pictures that show the same."""

_KEPT = 2**26
"""Bytes of line art kept in memory."""


def open_shot(
    source: Any,
    reference: Any = (),
    options: PathOptions | None = None,
    *,
    palette: Any = None,
    text: str = "",
    hints: Sequence[ColorHint] = (),
    cache: Path | None = None,
    progress: Progress = silent,
) -> ShotContext:
    """A shot of what a user gives.

    Args:
        source: frames: see :func:`~celpaint.frames.arrays.as_clip`.
        reference: painted frames, one or a list of any number:
            see :func:`~celpaint.conditions.reference_assignment.place_references`.
        palette: see :func:`palette_colors`.
        options, text, hints, cache, progress: of :class:`ShotContext`.

    Raises:
        InputError: a file is missing, broken or does not fit.
    """
    options = PathOptions() if options is None else options
    clip = select(as_clip(source), options.frames)
    places = place_references(listed(reference), clip)
    colors = palette_colors(palette)
    return ShotContext(clip, places, options, palette=colors, text=text, hints=hints, cache=cache, progress=progress)


def palette_colors(palette: Any) -> tuple[RGB, ...]:
    """The colors of a palette: a :class:`~celpaint.conditions.palette.value.Palette`, colors in [0, 1], text or a file
    that :func:`~celpaint.conditions.palette.files.read_palette` reads, or None for no palette.

    Raises:
        InputError: a palette that can't be read, or a value outside [0, 1].
    """
    if palette is None:
        return ()
    if isinstance(palette, str | Path):
        from celpaint.conditions.palette.files import read_palette

        return read_palette(palette).colors
    if isinstance(palette, Palette):
        return palette.colors
    return Palette(tuple((float(r), float(g), float(b)) for r, g, b in palette)).colors if len(palette) else ()


def listed(reference: Any) -> list[Any]:
    """One reference or several -> a list. A tuple is one reference where it is a pair ``(picture, frame)``."""
    if isinstance(reference, tuple) and not (len(reference) == 2 and isinstance(reference[1], int | None)):
        return list(reference)
    return reference if isinstance(reference, list) else [reference]


class ShotContext:
    """A shot and what is known of it, checked and ready.

    Frames are decoded once and their lines read once; they are kept in memory and on the disk within limits.

    Args:
        clip: the frames as they are.
        places: painted pictures, and where they belong; any number.
        options: how frames are read and finished.
        palette, text, hints: of :class:`~celpaint.types.Shot`.
        cache: a folder for what is kept on the disk; None: a temporary one.
        progress: told of every frame read while looking for holds.

    Attributes:
        spans: the frames of every drawing; together all frames, in order.
        shot: what a method is given; its lines are read when asked for.
        transparent: whether a painting says what is paper, so that frames have alpha.
        unpainted: scenes without a painted frame, as ranges of drawings; empty where no frame is painted at all.

    Raises:
        InputError: a file is missing, broken or does not fit.
    """

    def __init__(
        self,
        clip: Clip,
        places: Sequence[Place] = (),
        options: PathOptions | None = None,
        *,
        palette: Sequence[RGB] = (),
        text: str = "",
        hints: Sequence[ColorHint] = (),
        cache: Path | None = None,
        progress: Progress = silent,
    ) -> None:
        options = PathOptions() if options is None else options
        self.clip = clip
        self.places = tuple(places)
        frames = CachedClip(clip, Spill(cache and cache / "frames", memory=_KEPT // 2))
        alone = [range(i, i + 1) for i in range(len(clip))]
        self.spans = find_holds(frames, progress) if options.holds == "auto" else alone
        for span in self.spans:
            for held in span[1:]:
                frames.drop(held)
        self._keep_ink = options.ink == "keep"
        starts = [span.start for span in self.spans]
        self._drawings = _Drawings(frames, starts, options.lines, Spill(cache and cache / "lines", memory=_KEPT))
        self._paintings: dict[int, Frame] = {}
        self._in_register: dict[int, Frame] = {}
        self._inks: dict[int, PaintedInk | None] = {}
        self.transparent = False
        drawn = self._drawings.look.kind != "painting"
        cuts = find_scene_cuts((frames[start] for start in starts), drawn=drawn) if options.cuts == "auto" else []
        self.shot = Shot(
            lines=self._drawings,
            references=tuple(map(self._reference, self.places)),
            size=clip.size,
            gray=None if drawn else _Mapped(self._drawings, _Grays(self._drawings.frame)),
            alpha=_Mapped(self._drawings, self._opacity) if self._is_masked() else None,
            palette=tuple(palette),
            text=text,
            hints=tuple(hints),
            cuts=tuple(cuts),
        )
        if self._in_register and not self.transparent:
            found = tuple(Backdrop.read(self._painted_in(number)) for number in range(len(self.shot.scenes)))
            self.shot = replace(self.shot, backgrounds=found)
        self.unpainted = self._unpainted()

    @property
    def files(self) -> list[Path]:
        """Every file that is read."""
        return [*self.clip.files, *(place.path for place in self.places if place.path is not None)]

    @property
    def looked_at(self) -> frozenset[int]:
        """The drawings whose lines or pictures were asked for so far."""
        return frozenset(self._drawings.looked_at)

    @property
    def look(self) -> Look:
        """What reading the lines takes to know of the frames."""
        return self._drawings.look

    def places_of(self, scene: range) -> list[Place]:
        """The paintings that a scene, a range of drawings, is colored from."""
        frames = range(self.spans[scene.start].start, self.spans[scene.stop - 1].stop)
        return [place for place in self.places if place.frame is None or place.frame in frames]

    def frames_of(self, drawings: Sequence[int]) -> int:
        """How many frames show these drawings."""
        return sum(len(self.spans[drawing]) for drawing in drawings)

    def label(self, drawing: int) -> str:
        """A drawing by the name of its first frame: its file's, or ``frame 12`` of a video."""
        return frame_label(self.clip, self.spans[drawing].start).strip("'")

    def finish(self, drawing: int, painted: ColorizedFrame) -> Frame:
        """A colored drawing as the source would show it: with its own lines and its own transparency.

        A drawing that was given painted, lines and all, comes out as it was painted. Ink has the color that paintings
        show it in, and what they leave transparent is transparent; only where no painting says it, paper is guessed.
        """
        art, alpha = self._drawings.art(drawing)
        painting = self._paintings.get(drawing)
        if self._keep_ink and painting is not None and shows_lines(painting.rgb, art, _margin(art)):
            if painting.alpha is not None:
                return painting
            rgb = painting.rgb
        elif self.transparent and painted.alpha is not None:
            rgb = to_size(painted.rgb, self.clip.size, art.line)
            fill_alpha = resize(painted.alpha, self.clip.size)
            ink = self._ink(drawing)
            return lay_ink_on_cel(rgb, fill_alpha, art, painted=ink) if self._keep_ink else Frame(rgb, fill_alpha)
        else:
            rgb = to_size(painted.rgb, self.clip.size, art.line)
            rgb = self._inked(drawing, rgb, painted.confidence, art) if self._keep_ink else rgb
        if self._drawings.look.kind == "on transparent" or self.transparent:
            return cut_out(rgb, art) if self._keep_ink else Frame(rgb)
        return Frame(rgb, alpha)

    def _is_masked(self) -> bool:
        """Whether frames have an alpha channel that says more than their lines do."""
        return self.clip.format.alpha and self._drawings.look.kind != "on transparent"

    def _opacity(self, drawing: int) -> Array:
        _, alpha = self._drawings.art(drawing)
        return np.ones(self.clip.size, np.float32) if alpha is None else alpha

    def _inked(self, drawing: int, rgb: Array, confidence: Array | None, art: LineArt) -> Array:
        """A drawing's fills with its ink over them and the painted background behind them."""
        scene = bisect(self.shot.cuts, drawing)
        background = self.shot.backgrounds[scene] if self.shot.backgrounds else None

        def behind(fill: Array) -> Array:
            return fill if background is None else background.behind(fill, confidence, art.line)[0]

        return lay_ink(rgb, art, painted=self._ink(drawing), behind=behind)

    def _ink(self, drawing: int) -> PaintedInk | None:
        """The color of a drawing's ink as the paintings of its scene show it."""
        number = bisect(self.shot.cuts, drawing)
        if number not in self._inks:
            seen = self._painted_in(number)
            self._inks[number] = PaintedInk.read(seen, _margin(seen[0][1])) if seen else None
        return self._inks[number]

    def _painted_in(self, number: int) -> list[tuple[Array, LineArt]]:
        """The paintings of a scene that lie on their drawings, and those drawings' lines."""
        scene = self.shot.scenes[number]
        return [
            (frame.rgb, self._drawings.art(i)[0])
            for i, frame in sorted(self._in_register.items(), key=lambda kept: kept[0])
            if i in scene
        ]

    def _reference(self, place: Place) -> Reference:
        frame = place.read()
        if frame.alpha is None and as_frame(place.picture).alpha is not None:
            log.warning("%s: its alpha channel is 0 wherever something is painted, so it is ignored", place.name)
        rgb, fit = fit_reference(frame, self.clip.size)
        if fit.sentence:
            log.info("%s: %s", place.name, fit.sentence)
        self.transparent |= fit.alpha is not None
        if place.frame is None:
            return Reference(rgb, extract_lines(rgb), None, frame, fit.alpha)
        drawing = bisect([span.start for span in self.spans], place.frame) - 1
        art = self._drawings.art(drawing)[0]
        alpha = fit.alpha
        if art.drawn and float(np.abs(rgb - flatten(self._drawings.frame(drawing))).mean()) < _SAME_PICTURE:
            log.warning(
                "%s: this is the drawing %s itself, without colors, so the result has none; is it the right file?",
                *(place.name, frame_label(self.clip, place.frame)),
            )
        if fit.box == (0, 0, *self.clip.size):
            kept = frame if frame.size == self.clip.size else Frame(rgb, alpha)
            if art.drawn:
                rgb, offset = register(rgb, art.line)
                if offset.found and offset.within_limits(self.clip.size):
                    log.info("%s: it was %s of its drawing and has been moved into place", place.name, offset)
                    alpha = None if alpha is None else undo(alpha, offset)
                    kept = Frame(rgb, alpha)
                elif offset.found:
                    log.warning(
                        "%s: its lines lie %s of those of its drawing, too far to be moved back; is it a painting of "
                        "another frame? Then say which: PICTURE@FRAME",
                        place.name,
                        offset,
                    )
                if offset.shows and (not offset.found or offset.within_limits(self.clip.size)):
                    self._in_register[drawing] = kept
            self._paintings[drawing] = kept
        return Reference(rgb, self._drawings[drawing], drawing, frame, alpha)

    def _unpainted(self) -> tuple[range, ...]:
        if not self.places or any(place.frame is None for place in self.places):
            return ()
        bare = tuple(scene for scene in self.shot.scenes if not self.shot.part(scene).references)
        for scene in bare:
            log.warning(
                "%s to %s are another scene without a painted frame and stay uncolored; give one with --reference "
                "PICTURE@FRAME, or color all scenes from the same paintings with --cuts off",
                self.label(scene.start),
                self.label(scene.stop - 1),
            )
        return bare


def _margin(art: LineArt) -> int:
    """How far beyond a line the fill beside it is looked for, in pixels."""
    return max(round(len(art.line) / 160), 2)


class _Grays:
    """Drawing -> its luma ``H W`` in [0, 1], on white paper; of gray pixels exactly their value."""

    def __init__(self, frame: Callable[[int], Frame]) -> None:
        self._frame, self._told = frame, False

    def __call__(self, drawing: int) -> Array:
        rgb = flatten(self._frame(drawing))
        if not self._told and has_color(rgb):
            self._told = True
            log.info("the frames have color; they are converted to gray first")
        return luminance(rgb)


class _Mapped(Sequence[Array]):
    """What a function makes of a drawing's index, made when asked for."""

    def __init__(self, like: Sequence[Any], make: Callable[[int], Array]) -> None:
        self._length, self._make = len(like), make

    def __len__(self) -> int:
        return self._length

    @overload
    def __getitem__(self, index: int) -> Array: ...
    @overload
    def __getitem__(self, index: slice) -> list[Array]: ...
    def __getitem__(self, index: int | slice) -> Array | list[Array]:
        places = range(self._length)[index]
        return [self._make(i) for i in places] if isinstance(places, range) else self._make(places)


class _Drawings(_Mapped):
    """The line maps of a shot's drawings, read when asked for, once."""

    look: Look

    def __init__(
        self, clip: Clip, frames: Sequence[int], mode: Literal["auto", "keep", "extract"], spill: Spill
    ) -> None:
        super().__init__(frames, lambda drawing: self.art(drawing)[0].line)
        self._clip, self._frames, self._mode, self._spill = clip, frames, mode, spill
        looked_at = sorted({round(i * (len(frames) - 1) / (_JUDGED - 1)) for i in range(_JUDGED)})
        self.look = (
            Look("painting")
            if mode == "extract"
            else classify_clip(without_empty_alpha(clip[frames[i]]) for i in looked_at)
        )
        if self.look.kind == "painting" and mode == "auto":
            log.info("these are colored pictures, so their lines are extracted; --lines keep uses them as line art")
        self._drawn: dict[int, bool] = {}
        self.looked_at: set[int] = set()

    def frame(self, drawing: int) -> Frame:
        """The drawing as it was given."""
        self.looked_at.add(drawing)
        return self._clip[self._frames[drawing]]

    def art(self, drawing: int) -> tuple[LineArt, Array | None]:
        """The drawing's line art, and the alpha of its frame."""
        self.looked_at.add(drawing)
        kept = self._spill.get(drawing)
        if kept is None:
            frame = without_empty_alpha(self._clip[self._frames[drawing]])
            art = read_lines(frame, self._mode, self.look)
            self._drawn[drawing] = art.drawn
            self._spill.put(drawing, (art.line, art.ink, art.trace, frame.alpha))
            return art, frame.alpha
        line, ink, trace, alpha = kept
        assert line is not None
        assert ink is not None
        assert trace is not None
        return LineArt(line, ink, trace, self._drawn[drawing]), alpha
