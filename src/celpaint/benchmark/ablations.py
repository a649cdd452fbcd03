"""Methods with a part taken away, to measure what it is worth."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from celpaint.finish.size import to_size
from celpaint.methods.base import Method
from celpaint.types import Chunk, Event, Progress, Reference, Shot, State, silent

__all__ = ["Renewed"]


class Renewed(Method):
    """A method given a new reference every few drawings: the last it painted, and no other (LVCD, table 2, "Prev
    Sample"). What that costs is what keeping the first painting is worth.

    Args:
        method: the method.
        every: drawings colored from one reference.
    """

    def __init__(self, method: Method, every: int) -> None:
        self.method, self.every = method, every

    def color(
        self, shot: Shot, *, start: int = 0, state: State | None = None, progress: Progress = silent
    ) -> Iterator[Chunk]:
        last = state["rgb"].astype(np.float32) if start and state else None
        for begin in range(start, len(shot), self.every):
            lines = shot.lines[begin : begin + self.every]
            if last is None:
                part, given = Shot(lines, shot.references, shot.size), 0
            else:
                before = shot.lines[begin - 1]
                part, given = Shot([before, *lines], (Reference(last, before, 0),), shot.size), 1
            painted = [picture for chunk in self.method.color(part) for picture in chunk.painted][given:]
            last = to_size(painted[-1].rgb, shot.size, lines[-1])
            progress(Event("frame", begin + len(lines), len(shot)))
            yield Chunk(begin, tuple(painted), {"rgb": last})
