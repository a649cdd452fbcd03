"""What a metric is: frames in, sums out, values at the end.

A metric keeps nothing between frames. :meth:`Metric.measure` looks at the newest few frames and returns sums;
``sums + sums`` merges what other frames, processes or machines have measured; :meth:`Metric.values` turns them into
numbers. So a clip can be cut into pieces anywhere.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Generic, Literal, TypeVar

from celpaint.metrics.sums import Mean
from celpaint.types import Array

__all__ = ["Better", "FrameMetric", "FramePair", "Metric", "MetricInfo"]

Better = Literal["higher", "lower", "one", "ground_truth"]
"""Which value is better; ``one``: the nearer to 1, ``ground_truth``: the nearer to that of the ground truth."""


@dataclass(frozen=True)
class MetricInfo:
    """One value of a metric: a column of a table.

    Attributes:
        name: as it is printed and stored.
        better: which value is better.
        about: what it is, with unit, settings and source.
        digits: decimals printed.
        main: True for values that belong in every table; the others are details.
    """

    name: str
    better: Better
    about: str
    digits: int = 3
    main: bool = False


@dataclass(frozen=True)
class FramePair:
    """A frame of the result and the same frame of the ground truth.

    Attributes:
        index: of the frame in its clip.
        result, ground_truth: ``H W 3`` float32 in [0, 1].
        line: ``H W`` float32 in [0, 1], the lines that were colored, 1 = ink; None where they are not known.
        scored: False for frames that were given painted.
        backward_flow: ``H W 2`` float32, optical flow of the ground truth: where in the frame before each pixel was, as
            (dx, dy) in pixels. None for the first frame, or where no metric needs it.
        forward_flow: the flow from the frame before to this one.
    """

    index: int
    result: Array
    ground_truth: Array
    line: Array | None = None
    scored: bool = True
    backward_flow: Array | None = None
    forward_flow: Array | None = None


S = TypeVar("S", bound=Any)
"""Anything that adds: the classes of :mod:`celpaint.metrics.sums`, or a small dataclass of them."""


class Metric(ABC, Generic[S]):
    """A way to measure.

    Attributes:
        outputs: the values that come out, the main one first.
        history: how many frames :meth:`measure` looks at, the newest included.
        requires: fields of :class:`FramePair` it can't do without: ``line``, ``backward_flow``, ``forward_flow``.
        native: True if it looks at frames of their own size whatever the protocol's.
        pooled: True if there is one value of all clips together, and none of a frame (the Frechet distances).
    """

    outputs: tuple[MetricInfo, ...]
    history: ClassVar[int] = 1
    requires: ClassVar[frozenset[str]] = frozenset()
    native: ClassVar[bool] = False
    pooled: ClassVar[bool] = False

    @abstractmethod
    def measure(self, window: Sequence[FramePair]) -> S | None:
        """Sums of the newest frame ``window[-1]``; None where it does not count.

        Args:
            window: up to ``history`` frames in order, fewer at the start of a clip.
        """

    @abstractmethod
    def values(self, sums: S) -> tuple[float, ...]:
        """The values of :attr:`outputs`, NaN where nothing was measured."""


class FrameMetric(Metric[Mean]):
    """A metric that is the mean over the scored frames of a function of one frame."""

    def measure(self, window: Sequence[FramePair]) -> Mean | None:
        pair = window[-1]
        return Mean(self.of(pair), 1) if pair.scored else None

    def values(self, sums: Mean) -> tuple[float, ...]:
        return (sums.value,)

    @abstractmethod
    def of(self, pair: FramePair) -> float:
        """The value of one frame."""
