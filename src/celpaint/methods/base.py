"""What every method is: shot in, colored chunks out.

A method knows tensors, networks and samplers; it does not know files, formats or the command line. It is given a
:class:`~celpaint.types.Shot` and yields :class:`~celpaint.types.Chunk` after chunk; a chunk carries the state to go on
from, so that a stopped run resumes.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator

from celpaint.types import Chunk, Progress, Shot, State, silent

__all__ = ["Method"]


class Method(ABC):
    """A way to color a shot. Construction loads the networks; :meth:`color` may then be called for many shots."""

    @abstractmethod
    def color(
        self, shot: Shot, *, start: int = 0, state: State | None = None, progress: Progress = silent
    ) -> Iterator[Chunk]:
        """Color drawings ``start`` .. end of the shot, in order, every one exactly once.

        Args:
            shot: line maps and references at the source's size.
            start: the first drawing to color; 0, or the end of a chunk of an earlier run.
            state: None at the start, else the state of that chunk.
            progress: told of segments, steps and frames.

        Yields:
            Chunks, each with the state to go on after it. The same shot and options give the same bytes on the same
            machine, however often the run was stopped and resumed between chunks.
        """

    def advise(self, shot: Shot, confidence: list[float]) -> list[int]:
        """The drawings worth painting next, best first: by default those the method was least sure of.

        Args:
            confidence: mean confidence of every drawing of the shot, in [0, 1].
        """
        order = sorted(range(len(confidence)), key=confidence.__getitem__)
        return [i for i in order if confidence[i] < 0.5][:3]
