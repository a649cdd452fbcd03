"""Where frames go, whatever kind of result it is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path
from types import TracebackType
from typing import Self

from celpaint.types import Frame

__all__ = ["Sink", "check_size"]


class Sink(ABC):
    """Where frames go. Nothing bears the name ``out`` before :meth:`commit`."""

    out: Path

    @property
    @abstractmethod
    def files(self) -> frozenset[Path]:
        """Every file that will be written, behind links; a folder of unknown length stands for its files."""

    @abstractmethod
    def write(self, frame: Frame, index: int) -> None:
        """Take frame ``index``; videos take them in order, folders in any.

        Raises:
            OutputError, DiskFull: it can't be written.
        """

    @abstractmethod
    def commit(self) -> None:
        """Finish the result, bring it to the disk and give it its name."""

    @abstractmethod
    def abort(self) -> None:
        """Remove everything written; the result is as it was before."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        """Commit, or abort after an error."""
        if kind is not None:
            self.abort()
            return
        try:
            self.commit()
        except BaseException:
            self.abort()
            raise


def check_size(frame: Frame, size: tuple[int, int]) -> None:
    """Raise ``ValueError`` if a frame has not the size (height, width) that was announced."""
    if frame.size != size:
        raise ValueError(f"frame of {frame.size} for a result of {size} (height, width)")
