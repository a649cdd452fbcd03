"""Which drawings are colored together, and between which painted ones: a pure function."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from itertools import pairwise

__all__ = ["Window", "plan_windows"]


@dataclass(frozen=True)
class Window:
    """Drawings in a row: one that is painted, or some that are not.

    Attributes:
        drawings: their indices.
        ends: the painted drawings nearest before and after them; only one of them before the first painted drawing and
            after the last; none where no drawing is painted. Of a painted drawing: itself.
    """

    drawings: tuple[int, ...]
    ends: tuple[int, ...]


def plan_windows(length: int, painted: Collection[int], most: int) -> tuple[Window, ...]:
    """Every drawing once, in order; the shot is split at the painted ones, as in section 4.5 of the paper.

    A segment with more than ``most`` drawings is cut into as few windows as can be, of nearly equal length.

    Args:
        length: drawings of the scene.
        painted: indices of the painted ones.
        most: drawings a window.
    """
    windows: list[Window] = []
    known = sorted(set(painted))
    for left, right in pairwise([-1, *known, length]):
        ends = tuple(i for i in (left, right) if 0 <= i < length)
        count = right - left - 1
        parts = -(-count // most)
        cuts = [left + 1 + part * count // max(parts, 1) for part in range(parts + 1)]
        windows += [Window(tuple(range(start, stop)), ends) for start, stop in pairwise(cuts)]
        if right < length:
            windows.append(Window((right,), (right,)))
    return tuple(windows)
