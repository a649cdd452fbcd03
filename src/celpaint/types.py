"""The vocabulary: what moves along the path, with axis letters and ranges.

Axes: ``B`` batch, ``T`` time, ``C`` channels, ``H`` height, ``W`` width.
Color is RGB in [0, 1] outside the networks, never premultiplied. **Line maps are 1 where ink is, 0 on paper.**
Everything here is NumPy: importing it costs nothing, and torch stays where the networks are.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import ClassVar, Literal, Protocol, overload

import numpy as np
import numpy.typing as npt

__all__ = [
    "RGB",
    "Array",
    "Chunk",
    "Clip",
    "ColorHint",
    "ColorizedFrame",
    "Condition",
    "DrawingColored",
    "Event",
    "Frame",
    "FrameNumber",
    "FrameRead",
    "FrameWritten",
    "Judgement",
    "LineArt",
    "PixelFormat",
    "Progress",
    "Reference",
    "SegmentStarted",
    "Shot",
    "State",
    "StepDone",
    "silent",
]

Array = npt.NDArray[np.float32]
State = Mapping[str, np.ndarray]
"""All that a method needs to go on after a chunk; arrays only, so that it can be stored without pickles."""


@dataclass(frozen=True)
class Frame:
    """One picture.

    Attributes:
        rgb: ``H W 3`` float32 in [0, 1]; 8- and 16-bit values survive the round trip exactly.
        alpha: ``H W`` float32 in [0, 1], or None if the picture has no alpha channel.
    """

    rgb: Array
    alpha: Array | None = None

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) in pixels."""
        return self.rgb.shape[0], self.rgb.shape[1]


@dataclass(frozen=True, order=True)
class FrameNumber:
    """The number that a frame's name bears.

    Attributes:
        value: the number, negative before frame 0.
        letters: letters after it, which mark in-betweens: ``12a`` lies between 12 and 13. Empty elsewhere.
    """

    value: int
    letters: str = ""

    def __str__(self) -> str:
        return f"{self.value}{self.letters}"

    @classmethod
    def parse(cls, text: str) -> FrameNumber | None:
        """The number that ``12``, ``-3`` or ``12a`` writes; None for any other text."""
        parts = re.fullmatch(r"(-?\d+)([A-Za-z]*)", text, re.ASCII)
        return cls(int(parts[1]), parts[2]) if parts else None


@dataclass(frozen=True)
class PixelFormat:
    """How pixels are stored at the source, so that results can be stored alike.

    Attributes:
        bits: bits a channel.
        alpha: whether there is a transparency channel.
        resolution: pixels an inch, across and down, None where the source does not say.
    """

    bits: Literal[8, 16] = 8
    alpha: bool = False
    resolution: tuple[float, float] | None = None


class Clip(ABC):
    """A sequence of pictures of one size, read when asked for; never all in memory at once.

    Attributes:
        names: the file name of every frame (``A_0001.png``), with numbering gaps as they are; None for a video.
        numbers: the number of every frame, from its name; None where frames are counted from 1.
        files: every file that is read.
        size: (height, width) of every frame.
        rate: frames per second, None where the source does not say.
        format: how the source stores pixels.
        times: seconds from the first frame at which every frame shows, None where they are ``index / rate``.
        lossy: True where compression leaves frames that were equal only nearly so.
    """

    names: tuple[str, ...] | None
    numbers: tuple[FrameNumber, ...] | None = None
    files: tuple[Path, ...] = ()
    size: tuple[int, int]
    rate: Fraction | None
    format: PixelFormat
    times: tuple[Fraction, ...] | None = None
    lossy: bool = False

    @abstractmethod
    def __len__(self) -> int: ...

    @abstractmethod
    def __getitem__(self, index: int) -> Frame:
        """Frame ``index`` (0-based). Going forward is cheap; videos seek when asked to go back."""

    def __iter__(self) -> Iterator[Frame]:
        return (self[i] for i in range(len(self)))

    def number(self, index: int) -> FrameNumber:
        """The number of frame ``index``: from its name, or counted from 1."""
        return self.numbers[index] if self.numbers else FrameNumber(index + 1)


@dataclass(frozen=True)
class LineArt:
    """The drawn lines of one frame.

    Attributes:
        line: ``H W`` float32 in [0, 1], 1 where ink; coverage, so soft edges stay soft.
        ink: ``H W 3`` the ink's own color where ``line`` > 0.
        trace: ``H W`` float32 in [0, 1], the part of ``line`` that is color-trace line (colored, to
            dissolve in the fill).
        drawn: True if the lines were drawn, False if they were extracted from a painting.
    """

    line: Array
    ink: Array
    trace: Array
    drawn: bool = True


@dataclass(frozen=True)
class Reference:
    """A painted picture, fitted to the shot's size.

    Attributes:
        rgb: ``H W 3`` float32 in [0, 1].
        line: ``H W`` float32 in [0, 1], its own lines.
        frame: the index in the shot it belongs to, None where it belongs to none.
        picture: the picture as it was given, at its own size; None where only the fitted one is known.
        alpha: ``H W`` float32 in [0, 1], what of it is figure and what paper; None where it says nothing of that. Where
            it is 0, ``rgb`` is white.
    """

    rgb: Array
    line: Array
    frame: int | None = 0
    picture: Frame | None = None
    alpha: Array | None = None


RGB = tuple[float, float, float]
"""A color: red, green, blue in [0, 1]."""


Condition = Literal["lines", "gray", "references", "palette", "text", "hints"]
"""What may be known of a shot: line art, gray frames, painted frames, a palette, text, colors at places."""


@dataclass(frozen=True)
class ColorHint:
    """A color for a point or region of a drawing, given by the user.

    Attributes:
        drawing: index of the drawing.
        rgb: the color.
        place: a point (y, x) in pixels of the shot, or a region: ``H W`` bool, True inside.
    """

    drawing: int
    rgb: RGB
    place: tuple[float, float] | npt.NDArray[np.bool_]


class Background(Protocol):
    """What stands behind the figures of a scene; see :class:`celpaint.conditions.backdrop.Backdrop`."""

    def at(self, size: tuple[int, int]) -> Background:
        """The same at another size."""

    def behind(self, fill: Array, confidence: Array | None, line: Array) -> tuple[Array, Array]:
        """Fills ``H W 3`` and confidence ``H W`` of a drawing with the background where it shows."""


@dataclass(frozen=True)
class Shot:
    """What is known of a shot, at the source's own size.

    A *drawing* is what one or more frames in a row show; a *scene* is what lies between two cuts.

    Attributes:
        lines: one ``H W`` line map a drawing, in order, read when asked for.
        references: painted frames, any number.
        size: (height, width).
        gray: one ``H W`` float32 luma in [0, 1] (BT.601) a drawing, read when asked for; None for line art.
        alpha: one ``H W`` float32 opacity in [0, 1] a drawing, read when asked for; None where the source has no alpha
            channel, or one that holds nothing but the lines.
        palette: colors that the result is to be painted with, empty where none were given.
        text: a description or tags, empty where none was given.
        hints: colors at points or regions.
        cuts: the first drawing of every scene but the first, ascending.
        backgrounds: what paintings show behind the figures, one a scene or none; None for a scene without.
    """

    lines: Sequence[Array]
    references: tuple[Reference, ...]
    size: tuple[int, int]
    gray: Sequence[Array] | None = None
    alpha: Sequence[Array] | None = None
    palette: tuple[RGB, ...] = ()
    text: str = ""
    hints: tuple[ColorHint, ...] = ()
    cuts: tuple[int, ...] = ()
    backgrounds: tuple[Background | None, ...] = ()

    def __len__(self) -> int:
        return len(self.lines)

    @property
    def background(self) -> Background | None:
        """What stands behind the figures of a shot of one scene."""
        return self.backgrounds[0] if len(self.backgrounds) == 1 else None

    @property
    def given(self) -> frozenset[Condition]:
        """What is known; lines always are, because they can be extracted."""
        known: dict[Condition, bool] = {
            "lines": True,
            "gray": self.gray is not None,
            "references": bool(self.references),
            "palette": bool(self.palette),
            "text": bool(self.text),
            "hints": bool(self.hints),
        }
        return frozenset(name for name, is_known in known.items() if is_known)

    @property
    def scenes(self) -> tuple[range, ...]:
        """The drawings of every scene, in order; together all drawings."""
        return tuple(range(a, b) for a, b in pairwise((0, *self.cuts, len(self))))

    def part(self, scene: range) -> Shot:
        """One scene as a shot of its own: its drawings counted from 0, and what belongs to them or to no drawing."""
        placed = [r for r in self.references if r.frame is None or r.frame in scene]
        shifted = tuple(replace(r, frame=None if r.frame is None else r.frame - scene.start) for r in placed)
        hints = tuple(replace(h, drawing=h.drawing - scene.start) for h in self.hints if h.drawing in scene)
        gray, alpha = (None if each is None else _Part(each, scene) for each in (self.gray, self.alpha))
        backgrounds = self.backgrounds and (self.backgrounds[self.scenes.index(scene)],)
        lines = _Part(self.lines, scene)
        known = replace(self, lines=lines, references=shifted, hints=hints, backgrounds=backgrounds)
        return replace(known, gray=gray, alpha=alpha, cuts=())


class _Part(Sequence[Array]):
    """Some items in a row of a sequence, read when asked for."""

    def __init__(self, whole: Sequence[Array], part: range) -> None:
        self._whole, self._part = whole, part

    def __len__(self) -> int:
        return len(self._part)

    @overload
    def __getitem__(self, index: int) -> Array: ...
    @overload
    def __getitem__(self, index: slice) -> list[Array]: ...
    def __getitem__(self, index: int | slice) -> Array | list[Array]:
        places = self._part[index]
        return [self._whole[i] for i in places] if isinstance(places, range) else self._whole[places]


@dataclass(frozen=True)
class ColorizedFrame:
    """One colored drawing.

    Attributes:
        rgb: ``H W 3`` float32 in [0, 1] at the shot's size, or as a whole at another (the networks'): then it is
            brought to the shot's along the drawn lines.
        confidence: ``H W`` float32 in [0, 1], confidence of the method in the color; None if it has none.
        alpha: ``H W`` float32 in [0, 1], of the fills, lines aside; None where no reference says what is paper or the
            method does not carry it over.
    """

    rgb: Array
    confidence: Array | None = None
    alpha: Array | None = None


@dataclass(frozen=True)
class Judgement:
    """How sure a method was of one drawing, judged where something is drawn; blank paper does not count.

    Attributes:
        mean: mean confidence there, in [0, 1].
        least: mean confidence of the least sure region, in [0, 1].
        top, left, bottom, right: the box of that region, as shares of the picture's height and width.
    """

    mean: float
    least: float
    top: float = 0.0
    left: float = 0.0
    bottom: float = 1.0
    right: float = 1.0


@dataclass(frozen=True)
class Chunk:
    """Drawings colored together, and all that is needed to go on after them.

    Attributes:
        drawings: their indices in the shot, in any order.
        painted: the drawings, in the order of ``drawings``.
        state: what ``Method.color`` takes as ``state`` to go on after this chunk.
    """

    drawings: tuple[int, ...]
    painted: tuple[ColorizedFrame, ...]
    state: State = field(default_factory=dict)


@dataclass(frozen=True)
class Event:
    """A progress event: ``index`` of ``total`` (from 1)."""

    stage: ClassVar[str] = ""
    index: int
    total: int


@dataclass(frozen=True)
class FrameRead(Event):
    """A frame of the source was read."""

    stage: ClassVar[str] = "read"


@dataclass(frozen=True)
class SegmentStarted(Event):
    """A method has begun to color a segment of the shot."""

    stage: ClassVar[str] = "segment"


@dataclass(frozen=True)
class StepDone(Event):
    """A sampling step is finished; steps are counted over all segments."""

    stage: ClassVar[str] = "step"


@dataclass(frozen=True)
class DrawingColored(Event):
    """``index`` drawings of the shot are colored."""

    stage: ClassVar[str] = "frame"


@dataclass(frozen=True)
class FrameWritten(Event):
    """A frame of the result was written."""

    stage: ClassVar[str] = "write"


class Progress(Protocol):
    """A function that is called with every event; for a progress bar, a log or a web socket."""

    def __call__(self, event: Event, /) -> None: ...


def silent(event: Event, /) -> None:
    """A progress function that does nothing."""
