"""A small real method for tests of the path: it copies the nearest reference, and remembers what it has done.

Run as a program it is the celpaint command with that method: ``python copycat.py colorize ... --method copycat``.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from celpaint.methods.base import Method
from celpaint.methods.registry import register as register_method
from celpaint.methods.spec import MethodSpec
from celpaint.options import ComputeOptions, option
from celpaint.types import (
    Chunk,
    ColorizedFrame,
    DrawingColored,
    Judgement,
    Progress,
    SegmentStarted,
    Shot,
    State,
    silent,
)


@dataclass(frozen=True, kw_only=True)
class CopycatOptions(ComputeOptions):
    """Options of the copycat."""

    chunk: int = option(4, "drawings a chunk", ge=1)
    pause: float = option(0.0, "seconds a drawing takes")
    unsure: bool = option(False, "can't tell how sure it is")
    eager: bool = option(False, "advises to paint every drawing")
    fail_at: int = option(-1, "the drawing at which it runs out of memory")


class Copycat(Method):
    """Paints every drawing like the nearest reference, tinted by a number that it carries from chunk to chunk."""

    def __init__(self, options: CopycatOptions) -> None:
        self.options = options

    @classmethod
    def load(cls, options: CopycatOptions) -> Copycat:
        return cls(options)

    def color(
        self, shot: Shot, *, done: int = 0, state: State | None = None, progress: Progress = silent
    ) -> Iterator[Chunk]:
        tint = np.float64(self.options.seed) if state is None else state["tint"]
        chunk = self.options.chunk
        for begin in range(done, len(shot), chunk):
            progress(SegmentStarted(begin // chunk + 1, -(-len(shot) // chunk)))
            painted = []
            for drawing in range(begin, min(begin + chunk, len(shot))):
                if drawing == self.options.fail_at:
                    raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 1 TB")
                if self.options.pause:
                    time.sleep(self.options.pause)
                tint = np.float64((tint * 0.7 + shot.lines[drawing].mean()) % 1)
                nearest = min(shot.references, key=lambda r: abs((r.frame or 0) - drawing))
                rgb = nearest.rgb * np.float32(0.5 + 0.5 * tint)
                sure = np.full(shot.size, 1 / (1 + abs((nearest.frame or 0) - drawing)), np.float32)
                painted.append(ColorizedFrame(rgb, None if self.options.unsure else sure))
                progress(DrawingColored(drawing + 1, len(shot)))
            yield Chunk(tuple(range(begin, begin + len(painted))), tuple(painted), {"tint": np.asarray(tint)})

    def advise(self, shot: Shot, judged: Sequence[Judgement]) -> list[int]:
        return list(range(len(shot))) if self.options.eager else super().advise(shot, judged)


SPEC = MethodSpec(name="copycat", title="Copycat", options=CopycatOptions, run=f"{__name__}:Copycat", confidence=True)


def register() -> None:
    """Make ``--method copycat`` known, to this process."""
    register_method("copycat", f"{__name__}:SPEC")


if __name__ == "__main__":
    register()
    from celpaint.cli import main

    main()
