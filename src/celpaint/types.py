"""The vocabulary: what moves along the path, with axis letters and ranges.

Axes: ``B`` batch, ``T`` time, ``C`` channels, ``H`` height, ``W`` width.
Color is RGB in [0, 1] outside the networks, never premultiplied. **Line maps are 1 where ink is, 0 on paper.**
Everything here is NumPy: importing it costs nothing, and torch stays where the networks are.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Literal, Protocol

import numpy as np
import numpy.typing as npt

__all__ = [
    "Array",
    "Chunk",
    "Clip",
    "Event",
    "Frame",
    "LineArt",
    "Painted",
    "PixelFormat",
    "Progress",
    "Reference",
    "Shot",
    "State",
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
        alpha: ``H W`` float32 in [0, 1], or None where the picture is opaque by nature.
    """

    rgb: Array
    alpha: Array | None = None

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) in pixels."""
        return self.rgb.shape[0], self.rgb.shape[1]


@dataclass(frozen=True)
class PixelFormat:
    """How pixels are stored at the source, so that results can be stored alike."""

    bits: Literal[8, 16] = 8
    alpha: bool = False


class Clip(ABC):
    """A sequence of pictures of one size, read when asked for; never all in memory at once.

    Attributes:
        names: the file name of every frame (``A_0001.png``), with numbering gaps as they are; None for a video.
        size: (height, width) of every frame.
        rate: frames a second, None where the source does not say.
        format: how the source stores pixels.
        times: seconds from the first frame at which every frame shows, None where they are ``index / rate``.
        lossy: True where compression leaves frames that were equal only nearly so.
    """

    names: tuple[str, ...] | None
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
    """

    rgb: Array
    line: Array
    frame: int | None = 0


@dataclass(frozen=True)
class Shot:
    """What a method is given: every drawing's lines and the painted references, at the source's own size.

    Attributes:
        lines: one ``H W`` line map a drawing, in order, read when asked for.
        references: at least one.
        size: (height, width).
    """

    lines: Sequence[Array]
    references: tuple[Reference, ...]
    size: tuple[int, int]

    def __len__(self) -> int:
        return len(self.lines)


@dataclass(frozen=True)
class Painted:
    """One colored drawing.

    Attributes:
        rgb: ``H W 3`` float32 in [0, 1] at the shot's size, or as a whole at another (the networks'): then it is
            brought to the shot's along the drawn lines.
        confidence: ``H W`` float32 in [0, 1], how sure the method is of the color; None where it can't tell.
    """

    rgb: Array
    confidence: Array | None = None


@dataclass(frozen=True)
class Chunk:
    """Drawings colored together, and all that is needed to go on after them.

    Attributes:
        start: index of the first of them in the shot.
        painted: the drawings, in order.
        state: what ``Method.color`` takes as ``state`` to go on with drawing ``start + len(painted)``.
    """

    start: int
    painted: tuple[Painted, ...]
    state: State = field(default_factory=dict)


@dataclass(frozen=True)
class Event:
    """One thing that happened: ``index`` of ``total`` (1-based) of a stage."""

    stage: Literal["read", "segment", "step", "frame", "write"]
    index: int
    total: int


class Progress(Protocol):
    """Told of every event; a bar, a log line, a web socket."""

    def __call__(self, event: Event, /) -> None: ...


def silent(event: Event, /) -> None:
    """A progress that says nothing."""
