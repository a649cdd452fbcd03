"""How far a mean over clips can be trusted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

__all__ = ["Estimate", "bootstrap", "paired_bootstrap"]

_DRAWS = 10_000


@dataclass(frozen=True)
class Estimate:
    """A figure with its 95 % confidence interval; ``low`` and ``high`` are NaN where it has none.

    Attributes:
        count: how many clips it is made of.
    """

    value: float
    low: float
    high: float
    count: int


def bootstrap(values: Sequence[float]) -> Estimate:
    """Mean over clips with the percentile bootstrap's 95 % interval (Efron 1979; 10,000 draws, fixed seed).

    NaN values are left out; under three clips there is no interval.
    """
    kept = np.asarray(values, np.float64)
    kept = kept[np.isfinite(kept)]
    if len(kept) == 0:
        return Estimate(float("nan"), float("nan"), float("nan"), 0)
    if len(kept) < 3:
        return Estimate(float(kept.mean()), float("nan"), float("nan"), len(kept))
    picks = np.random.default_rng(0).integers(0, len(kept), (_DRAWS, len(kept)))
    low, high = np.quantile(kept[picks].mean(axis=1), [0.025, 0.975])
    return Estimate(float(kept.mean()), float(low), float(high), len(kept))


def paired_bootstrap(first: Sequence[float], second: Sequence[float]) -> Estimate:
    """Mean difference ``first - second`` over the same clips: narrower than two intervals side by side."""
    return bootstrap([a - b for a, b in zip(first, second, strict=True)])
