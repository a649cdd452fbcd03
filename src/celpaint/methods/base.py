"""What every method is: a scene in, colored chunks out.

A method knows tensors, networks and samplers; it does not know files, formats or the command line. It is given a
:class:`~celpaint.types.Shot` without cuts and yields :class:`~celpaint.types.Chunk` after chunk; a chunk names the
drawings it holds and carries the state to go on from, so that a stopped run resumes.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence

from celpaint.types import Chunk, Judgement, Progress, Shot, State, silent

__all__ = ["UNSURE", "Method"]

UNSURE = 0.5
"""Confidence below which a region is worth painting."""


class Method(ABC):
    """A way to color a shot. Construction loads the networks; :meth:`color` may then be called for many shots."""

    @abstractmethod
    def color(
        self, shot: Shot, *, done: int = 0, state: State | None = None, progress: Progress = silent
    ) -> Iterator[Chunk]:
        """Color the drawings of one scene, each exactly once, in the order that suits the method.

        Args:
            shot: what is known, at the source's size; without cuts.
            done: how many drawings the chunks of an earlier run held; the order is always the same, so they are known.
            state: None at the start, else the state of the last of those chunks.
            progress: told of segments, steps and drawings; between any two network calls at which it is told, it may
                raise to stop.

        Yields:
            Chunks, each with the state to go on after it. The same shot and options give the same bytes on the same
            machine, however often the run was stopped and resumed between chunks.
        """

    def advise(self, shot: Shot, judged: Sequence[Judgement]) -> list[int]:
        """The drawings worth painting next, best first: by default those with the least sure regions.

        Args:
            shot: one scene.
            judged: how sure the method was of every drawing of it.
        """
        order = sorted(range(len(judged)), key=lambda i: judged[i].least)
        return [i for i in order if judged[i].least < UNSURE][:3]
