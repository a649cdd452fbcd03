"""Frames kept on the disk between runs, so that a stopped one goes on where it was.

A frame's file bears a sum of its content and its index in its name (``000012.9f86d081884c7d65.png``), so that a frame
that was damaged, cut short or exchanged for another since is known.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import Literal

from celpaint.atomic_write import disk_errors, remove, write_file
from celpaint.errors import InputError
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
            self._files = {int(file.name[:6]): file for file in self.folder.glob("[0-9]*.png") if _is_ours(file.name)}

    def put(self, index: int, frame: Frame) -> None:
        """Keep a frame, in place of an earlier one; alpha is kept if it has any."""
        form = PixelFormat(self._bits, frame.alpha is not None)
        data = pictures.encode(frame, ".png", form, fast=True)
        file = self.folder / f"{index:06d}.{_sum(index, data)}.png"
        with disk_errors(file):
            write_file(file, data)
            earlier = self._files.get(index)
            if earlier not in (None, file):
                remove(earlier)
        self._files[index] = file

    def get(self, index: int) -> Frame:
        """The frame put under ``index``.

        Raises:
            InputError: it is not there, or not as it was put.
        """
        file = self._files.get(index, self.folder / f"{index:06d}.png")
        if index in self._files and not self._is_whole(index):
            raise InputError(
                f"the staged frame '{file}' has changed since it was written",
                todo="Run the same command again: the frame is made again.",
            )
        return pictures.decode(file)

    def done(self) -> set[int]:
        """Indices of the frames that are there, damaged or not."""
        return set(self._files)

    def damaged(self, indices: Iterable[int]) -> list[int]:
        """Those of these frames that are missing, damaged, or not the ones that were put under their indices."""
        return [index for index in indices if not self._is_whole(index)]

    def _is_whole(self, index: int) -> bool:
        file = self._files.get(index)
        try:
            return file is not None and _sum(index, file.read_bytes()) == file.name.split(".")[1]
        except OSError:
            return False


def _is_ours(name: str) -> bool:
    return name[:6].isdecimal() and name[6:7] == "." and name.count(".") == 2


def _sum(index: int, data: bytes) -> str:
    return hashlib.sha256(index.to_bytes(8, "big") + data).hexdigest()[:16]
