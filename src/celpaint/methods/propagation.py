"""In which order drawings are colored where colors are carried from drawing to drawing: a pure function."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from itertools import chain, pairwise, zip_longest

__all__ = ["Step", "needed_later", "plan_propagation"]


@dataclass(frozen=True)
class Step:
    """One drawing to color.

    Attributes:
        drawing: its index.
        memory: drawings colored before that serve as further references, the nearest last; painted ones, which are
            references anyway, are not among them.
    """

    drawing: int
    memory: tuple[int, ...] = ()


def plan_propagation(length: int, painted: Collection[int], memory: int) -> tuple[Step, ...]:
    """Every drawing once: the painted ones, then outward from them.

    Between two painted drawings it goes from both towards the middle, in turns, and remembers on both sides. Before
    the first painted drawing it goes backwards, after the last forwards. Without any it goes from the first drawing on.

    Args:
        length: drawings of the scene.
        painted: indices of the painted ones.
        memory: how many colored drawings are remembered on each side.
    """
    known = sorted(set(painted))
    edges = [-1, *known, length]
    steps = [Step(drawing) for drawing in known]
    for left, right in pairwise(edges):
        if left == -1 and known:
            order = list(range(right - 1, left, -1))
        elif right == length:
            order = list(range(left + 1, right))
        else:
            order = _inwards(left, right)
        for i, drawing in enumerate(order):
            steps.append(Step(drawing, _nearest(drawing, order[:i], memory)))
    return tuple(steps)


def needed_later(steps: tuple[Step, ...], done: int) -> frozenset[int]:
    """The drawings among the first ``done`` that a later step remembers."""
    colored = {step.drawing for step in steps[:done]}
    return frozenset(chain.from_iterable(step.memory for step in steps[done:])) & colored


def _inwards(left: int, right: int) -> list[int]:
    """left + 1, right - 1, left + 2, ... until they meet."""
    inner = range(left + 1, right)
    middle = (len(inner) + 1) // 2
    pairs = zip_longest(inner[:middle], reversed(inner[middle:]))
    return [drawing for pair in pairs for drawing in pair if drawing is not None]


def _nearest(drawing: int, colored: Collection[int], memory: int) -> tuple[int, ...]:
    """Of those colored the ``memory`` nearest on each side, the nearest of all last."""
    before = sorted(i for i in colored if i < drawing)[::-1][:memory]
    after = sorted(i for i in colored if i > drawing)[:memory]
    return tuple(sorted([*before, *after], key=lambda i: (-abs(i - drawing), i)))
