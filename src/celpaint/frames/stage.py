"""Frames kept on the disk between runs, so that a stopped one goes on where it was."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from celpaint.atomic_write import disk_errors, write_file
from celpaint.frames import pictures
from celpaint.types import Frame, PixelFormat

__all__ = ["Stage"]


class Stage:
    """A folder of frames, kept as PNG of 8 or 16 bits, each written whole or not at all.

    Args:
        folder: made if missing. Frames already in it are there again.
        bits: 16, or 8 where the result has 8 bits and frames need not be kept finer. Integers of that many bits come
            back exactly.

    Raises:
        OutputError, DiskFull: the folder or a frame can't be written.
    """

    def __init__(self, folder: str | Path, bits: Literal[8, 16] = 16) -> None:
        self.folder = Path(folder)
        self._bits: Literal[8, 16] = bits
        with disk_errors(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)

    def _file(self, index: int) -> Path:
        return self.folder / f"{index:06d}.png"

    def put(self, index: int, frame: Frame) -> None:
        """Keep a frame; alpha is kept if it has any."""
        form = PixelFormat(self._bits, frame.alpha is not None)
        data = pictures.encode(frame, ".png", form, fast=True)
        with disk_errors(self._file(index)):
            write_file(self._file(index), data)

    def get(self, index: int) -> Frame:
        """The frame put under ``index``.

        Raises:
            InputError: it is not there, or damaged.
        """
        return pictures.decode(self._file(index))

    def done(self) -> set[int]:
        """Indices of the frames that are there."""
        return {int(file.stem) for file in self.folder.glob("*.png") if file.stem.isdigit()}
