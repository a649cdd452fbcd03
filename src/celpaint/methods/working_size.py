"""How large networks work on a shot whose cost grows with the square of its area."""

from __future__ import annotations

import math

__all__ = ["bounded_size"]


def bounded_size(size: tuple[int, int], *, most: int, stride: int, cell: int) -> tuple[int, int]:
    """A shot's own size if that has few enough positions, else smaller in the same aspect.

    Args:
        size: (height, width) wanted.
        most: positions, at most.
        stride: networks pad the sides to multiples of it; no side gets smaller.
        cell: pixels across a position.
    """
    height, width = size

    def count(h: int, w: int) -> int:
        return -(-h // stride) * -(-w // stride) * (stride // cell) ** 2

    scale = 1.0
    while count(math.ceil(height * scale), math.ceil(width * scale)) > most:
        scale *= 0.99
    return max(stride, math.ceil(height * scale)), max(stride, math.ceil(width * scale))
