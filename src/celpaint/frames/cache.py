"""Decoded frames and what was read from them, kept so that each is made once a run.

The latest are kept in memory; older ones are compressed into a folder on the disk. Both have a limit. What falls out is
made again.
"""

from __future__ import annotations

import shutil
import tempfile
import weakref
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from celpaint.types import Clip, Frame

__all__ = ["CachedClip", "Spill"]

MEMORY = 2**25
"""Bytes kept in memory."""

DISK = 2**32
"""Compressed bytes kept on the disk."""

RESERVE = 2**30
"""Bytes of the disk that stay free."""

Arrays = tuple[np.ndarray | None, ...]


@dataclass(frozen=True)
class _File:
    """Arrays on the disk, one compressed after the other: their numbers of bytes, types and shapes."""

    path: Path
    stored: tuple[tuple[int, str, tuple[int, ...]] | None, ...]

    @classmethod
    def write(cls, path: Path, arrays: Arrays) -> _File:
        from imagecodecs import lz4_encode

        stored: list[tuple[int, str, tuple[int, ...]] | None] = []
        with path.open("wb") as file:
            for array in arrays:
                if array is None:
                    stored.append(None)
                    continue
                packed = lz4_encode(np.ascontiguousarray(array).tobytes(), header=True)
                stored.append((file.write(packed), array.dtype.str, array.shape))
        return cls(path, tuple(stored))

    def read(self) -> Arrays:
        from imagecodecs import lz4_decode

        arrays: list[np.ndarray | None] = []
        with self.path.open("rb") as file:
            for each in self.stored:
                if each is None:
                    arrays.append(None)
                    continue
                count, kind, shape = each
                plain = np.frombuffer(lz4_decode(file.read(count), header=True), kind)
                arrays.append(plain.reshape(shape).copy())  # what lies in bytes can't be written to
        return tuple(arrays)

    @property
    def size(self) -> int:
        return sum(each[0] for each in self.stored if each is not None)


class Spill:
    """Tuples of arrays by number, in memory as far as they fit, else on the disk.

    Args:
        folder: where to spill, made if missing; None: a temporary folder, removed with this object.
        memory, disk: limits in bytes.
        reserve: bytes of the disk that stay free.
    """

    def __init__(
        self, folder: Path | None = None, *, memory: int = MEMORY, disk: int = DISK, reserve: int = RESERVE
    ) -> None:
        self._folder, self._memory, self._disk, self._reserve = folder, memory, disk, reserve
        self._kept: OrderedDict[int, Arrays] = OrderedDict()
        self._files: OrderedDict[int, _File] = OrderedDict()

    def put(self, number: int, arrays: Arrays) -> None:
        """Keep arrays; those not used for longest move to the disk."""
        self._kept[number] = arrays
        self._kept.move_to_end(number)
        while len(self._kept) > 1 and sum(map(_bytes, self._kept.values())) > self._memory:
            self._spill(*self._kept.popitem(last=False))

    def get(self, number: int) -> Arrays | None:
        """The arrays put under this number; None where there are none, or they fell out."""
        if number not in self._kept:
            if number not in self._files:
                return None
            try:
                self.put(number, self._files[number].read())
            except OSError:  # somebody removed the file
                self.drop(number)
                return None
        self._kept.move_to_end(number)
        return self._kept[number]

    def drop(self, number: int) -> None:
        """Forget arrays that are not wanted any more."""
        self._kept.pop(number, None)
        if file := self._files.pop(number, None):
            file.path.unlink(missing_ok=True)

    def _spill(self, number: int, arrays: Arrays) -> None:
        if number in self._files:
            return
        try:
            place = self._place()
            if shutil.disk_usage(place).free < self._reserve:
                return
            self._files[number] = _File.write(place / f"{number}.lz4", arrays)
        except OSError:  # no room: they are made again when they are wanted
            return
        while sum(file.size for file in self._files.values()) > self._disk:
            self.drop(next(iter(self._files)))

    def _place(self) -> Path:
        if self._folder is None:
            self._folder = Path(tempfile.mkdtemp(prefix="celpaint-"))
            weakref.finalize(self, shutil.rmtree, self._folder, ignore_errors=True)
        self._folder.mkdir(parents=True, exist_ok=True)
        return self._folder


def _bytes(arrays: Arrays) -> int:
    return sum(array.nbytes for array in arrays if array is not None)


class CachedClip(Clip):
    """A clip whose frames are decoded once.

    Args:
        clip: where frames come from.
        spill: where they are kept.
    """

    def __init__(self, clip: Clip, spill: Spill) -> None:
        self._clip, self._spill = clip, spill
        self.names, self.size, self.rate, self.format = clip.names, clip.size, clip.rate, clip.format
        self.times, self.lossy, self.numbers, self.files = clip.times, clip.lossy, clip.numbers, clip.files

    def __len__(self) -> int:
        return len(self._clip)

    def __getitem__(self, index: int) -> Frame:
        kept = self._spill.get(index)
        if kept is None:
            frame = self._clip[index]
            self._spill.put(index, (frame.rgb, frame.alpha))
            return frame
        rgb, alpha = kept
        assert rgb is not None
        return Frame(rgb, alpha)

    def drop(self, index: int) -> None:
        """Forget a frame that is not wanted any more."""
        self._spill.drop(index)
