"""Frames are decoded once; what does not fit in memory goes to the disk and comes back the same."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from celpaint.frames.arrays import ArrayClip
from celpaint.frames.cache import CachedClip, Spill
from celpaint.types import Frame


def pictures(count: int) -> list[np.ndarray]:
    return list(np.random.default_rng(0).integers(0, 255, (count, 20, 30, 4), np.uint8))


class Counting(ArrayClip):
    """A clip that counts what is decoded."""

    def __init__(self, count: int) -> None:
        super().__init__(pictures(count))
        self.decoded: list[int] = []

    def __getitem__(self, index: int) -> Frame:
        self.decoded.append(index)
        return super().__getitem__(index)


@pytest.mark.parametrize("memory", [0, 30_000, 2**20])
def test_every_frame_is_decoded_once_and_comes_back_the_same(tmp_path: Path, memory: int) -> None:
    clip = Counting(6)
    cached = CachedClip(clip, Spill(tmp_path, memory=memory, reserve=0))
    for _ in range(3):
        for index in range(6):
            frame, expected = cached[index], ArrayClip.__getitem__(clip, index)
            np.testing.assert_array_equal(frame.rgb, expected.rgb)
            np.testing.assert_array_equal(frame.alpha, expected.alpha)
            assert frame.rgb.flags.writeable
    assert sorted(clip.decoded) == list(range(6))


def test_the_disk_has_a_limit_and_what_falls_out_is_decoded_again(tmp_path: Path) -> None:
    clip = Counting(8)
    cached = CachedClip(clip, Spill(tmp_path, memory=0, disk=20_000, reserve=0))
    for _ in range(2):
        for index in range(8):
            cached[index]
            assert sum(file.stat().st_size for file in tmp_path.iterdir()) <= 20_000
    assert len(clip.decoded) > 8


def test_what_is_dropped_leaves_no_file(tmp_path: Path) -> None:
    spill = Spill(tmp_path, memory=0, reserve=0)
    for number in range(3):
        spill.put(number, (np.zeros(10), None))
    for number in range(3):
        spill.drop(number)
        assert spill.get(number) is None
    assert list(tmp_path.iterdir()) == []


def test_a_temporary_folder_goes_with_the_cache() -> None:
    spill = Spill(memory=0, reserve=0)
    for number in range(3):
        spill.put(number, (np.arange(number), None))
    folder = spill._folder
    assert folder is not None
    assert folder.is_dir()
    del spill
    assert not folder.exists()
