"""Methods without one of their parts, to measure what the part contributes.

Parts that a method can leave out are listed in its spec (:attr:`celpaint.methods.spec.MethodSpec.ablations`).
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from celpaint.finish.size import to_size
from celpaint.methods.base import Method
from celpaint.types import Chunk, DrawingColored, Progress, Reference, Shot, State, silent

__all__ = ["RollingReference"]


class RollingReference(Method):
    """A method given a new reference every few drawings: the last it painted, and no other (LVCD, table 2, "Prev
    Sample"). The loss against the plain method is what keeping the first painting is worth.

    Args:
        method: the method.
        interval: drawings colored from one reference.
    """

    def __init__(self, method: Method, interval: int) -> None:
        self.method, self.interval = method, interval

    def color(
        self, shot: Shot, *, done: int = 0, state: State | None = None, progress: Progress = silent
    ) -> Iterator[Chunk]:
        last = state["rgb"].astype(np.float32) if done and state else None
        for begin in range(done, len(shot), self.interval):
            lines = shot.lines[begin : begin + self.interval]
            if last is None:
                part, given = Shot(lines, shot.references, shot.size), 0
            else:
                before = shot.lines[begin - 1]
                part, given = Shot([before, *lines], (Reference(last, before, 0),), shot.size), 1
            colored = {
                drawing: frame
                for chunk in self.method.color(part)
                for drawing, frame in zip(chunk.drawings, chunk.painted, strict=True)
            }
            painted = [colored[drawing] for drawing in range(given, len(part))]
            last = to_size(painted[-1].rgb, shot.size, lines[-1])
            progress(DrawingColored(begin + len(lines), len(shot)))
            yield Chunk(tuple(range(begin, begin + len(lines))), tuple(painted), {"rgb": last})
