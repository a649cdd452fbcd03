"""What a metric is: frames in, sums out, figures in the end.

A metric keeps nothing between frames. :meth:`Metric.measure` looks at the newest few frames and returns sums;
``sums + sums`` merges what other frames, processes or machines have measured; :meth:`Metric.figures_of` turns them
into figures. So a film can be cut into pieces anywhere.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Generic, Literal, Protocol, Self, TypeVar

from celpaint.metrics.sums import Mean
from celpaint.types import Array

__all__ = ["Better", "Figure", "FrameMetric", "Metric", "Pair", "Sums"]

Better = Literal["higher", "lower", "one", "original"]
"""Which value is better; ``one``: the nearer to 1, ``original``: the nearer to the original's own."""


@dataclass(frozen=True)
class Figure:
    """A column of the report.

    Attributes:
        name: as it is printed and stored.
        better: which value is better.
        about: what it is, with unit, settings and source.
        digits: decimals printed.
        main: True for figures that belong into every table; the others are details.
    """

    name: str
    better: Better
    about: str
    digits: int = 3
    main: bool = False


@dataclass(frozen=True)
class Pair:
    """A frame of the result beside the original's.

    Attributes:
        index: of the frame in its clip.
        result, original: ``H W 3`` float32 in [0, 1].
        line: ``H W`` float32 in [0, 1], the lines that were colored, 1 = ink; None where they are not known.
        scored: False for frames that were given painted.
        back: ``H W 2`` float32, optical flow of the originals: where in the frame before each pixel was, as (dx, dy)
            in pixels. None for the first frame, or where no metric needs it.
        forth: the flow the other way, from the frame before to this one.
    """

    index: int
    result: Array
    original: Array
    line: Array | None = None
    scored: bool = True
    back: Array | None = None
    forth: Array | None = None


class Sums(Protocol):
    """Anything that adds: :mod:`celpaint.metrics.sums` and small tuples of them."""

    def __add__(self, other: Self, /) -> Self: ...


S = TypeVar("S", bound=Any)


class Metric(ABC, Generic[S]):
    """A way to measure.

    Attributes:
        figures: what comes out, the main figure first.
        history: how many frames :meth:`measure` looks at, the newest included.
        needs: ``lines``, and of the flows ``back`` and ``forth``, what it can't do without.
        native: True if it looks at the frames' own size whatever the protocol's.
        pooled: True if there is one figure of all clips together, and none of a frame (the Frechet distances).
    """

    figures: tuple[Figure, ...]
    history: ClassVar[int] = 1
    needs: ClassVar[frozenset[str]] = frozenset()
    native: ClassVar[bool] = False
    pooled: ClassVar[bool] = False

    @abstractmethod
    def measure(self, window: Sequence[Pair]) -> S | None:
        """Sums of the newest frame ``window[-1]``; None where it does not count.

        Args:
            window: up to ``history`` frames in order, fewer at the start of a clip.
        """

    @abstractmethod
    def figures_of(self, sums: S) -> tuple[float, ...]:
        """The values of :attr:`figures`, NaN where nothing was measured."""


class FrameMetric(Metric[Mean]):
    """A metric that is a mean over the scored frames of a function of one frame."""

    def measure(self, window: Sequence[Pair]) -> Mean | None:
        pair = window[-1]
        return Mean(self.of(pair), 1) if pair.scored else None

    def figures_of(self, sums: Mean) -> tuple[float, ...]:
        return (sums.value,)

    @abstractmethod
    def of(self, pair: Pair) -> float:
        """The figure of one frame."""
