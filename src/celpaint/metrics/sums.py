"""What is added up frame by frame: small sums that merge.

A long clip is measured in pieces, on several cores or machines; ``a + b`` of two pieces gives the same value as the
whole. Everything is kept in float64: a sum of a million squared float32 errors loses three digits otherwise.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

import numpy as np
import numpy.typing as npt

__all__ = ["Compared", "Mean", "Moments", "Ratio"]

S = TypeVar("S", bound=Any)


@dataclass(frozen=True)
class Mean:
    """A weighted arithmetic mean."""

    total: float = 0.0
    weight: float = 0.0

    def __add__(self, other: Mean) -> Mean:
        return Mean(self.total + other.total, self.weight + other.weight)

    @property
    def value(self) -> float:
        """NaN where nothing was added."""
        return self.total / self.weight if self.weight else float("nan")


@dataclass(frozen=True)
class Ratio:
    """A sum over another sum, each of its own terms."""

    numerator: float = 0.0
    denominator: float = 0.0

    def __add__(self, other: Ratio) -> Ratio:
        return Ratio(self.numerator + other.numerator, self.denominator + other.denominator)

    @property
    def value(self) -> float:
        """NaN where the denominator is 0."""
        return self.numerator / self.denominator if self.denominator else float("nan")


@dataclass(frozen=True)
class Compared(Generic[S]):
    """The same sums of the result and of the ground truth."""

    result: S
    ground_truth: S

    def __add__(self, other: Compared[S]) -> Compared[S]:
        return Compared(self.result + other.result, self.ground_truth + other.ground_truth)


@dataclass(frozen=True)
class Moments:
    """Count, sum and sum of outer products of feature vectors: enough for their mean and covariance.

    Attributes:
        count: how many vectors.
        sum: ``D``.
        outer: ``D D``, the sum of ``x x^T``.
    """

    count: int = 0
    sum: npt.NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))
    outer: npt.NDArray[np.float64] = field(default_factory=lambda: np.zeros((0, 0)))

    @classmethod
    def of(cls, features: npt.NDArray[np.floating]) -> Moments:
        """Of ``N D`` features."""
        rows = np.asarray(features, np.float64)
        return cls(len(rows), rows.sum(0), rows.T @ rows)

    def __add__(self, other: Moments) -> Moments:
        if not (self.count and other.count):
            return self if self.count else other
        return Moments(self.count + other.count, self.sum + other.sum, self.outer + other.outer)

    @property
    def mean(self) -> npt.NDArray[np.float64]:
        """``D``."""
        return self.sum / self.count

    @property
    def covariance(self) -> npt.NDArray[np.float64]:
        """``D D``, unbiased (divided by count - 1), as in every published FID."""
        centered = self.outer - np.outer(self.sum, self.sum) / self.count
        return centered / max(self.count - 1, 1)
