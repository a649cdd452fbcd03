import itertools
from collections.abc import Sequence

import numpy as np
import pytest
from frame_files import cel
from hypothesis import given, settings
from hypothesis import strategies as st

from celpaint.frames.holds import find_holds
from celpaint.frames.read import open_clip
from celpaint.frames.write import open_sink
from celpaint.types import Clip, Frame, PixelFormat


class Drawn(Clip):
    """Frames in memory."""

    names, size, rate, format = None, (72, 96), None, PixelFormat()

    def __init__(self, frames: Sequence[Frame]) -> None:
        self.frames = frames

    def __len__(self) -> int:
        return len(self.frames)

    def __getitem__(self, index: int) -> Frame:
        return self.frames[index]


@given(st.lists(st.integers(0, 3), min_size=1, max_size=30))
@settings(max_examples=60, deadline=None)
def test_runs_of_equal_frames(drawings):
    spans = find_holds(Drawn([cel(d) for d in drawings]))
    assert [i for span in spans for i in span] == list(range(len(drawings)))
    for span in spans:
        assert {drawings[i] for i in span} == {drawings[span.start]}
    assert all(drawings[a.start] != drawings[b.start] for a, b in itertools.pairwise(spans))


def test_one_level_of_one_pixel_or_of_alpha_makes_a_new_drawing():
    opaque = np.ones((72, 96), np.float32)
    first = Frame(cel(0).rgb, opaque)
    nearly = cel(0).rgb.copy()
    nearly[3, 4, 1] += 1 / 65535
    thin = opaque.copy()
    thin[0, 0] = 254 / 255
    frames = [first, Frame(nearly, opaque), Frame(nearly, thin), Frame(nearly, thin), cel(0)]
    assert find_holds(Drawn(frames)) == [range(1), range(1, 2), range(2, 4), range(4, 5)]


def test_a_slow_change_adds_up():
    frames = [Frame(np.full((8, 8, 3), 0.03 * i, np.float32)) for i in range(9)]
    spans = find_holds(Drawn(frames), tolerance=0.08)
    assert [span.start for span in spans] == [0, 3, 6]


@pytest.mark.parametrize("suffix", [".mp4", ".webm", ".mov", ".mkv"])
def test_held_drawings_are_found_again_in_a_video(tmp_path, suffix):
    """On threes, and the ninth drawing differs from the eighth by a line of six pixels only."""
    pictures = [cel(i) for i in range(8)]
    pictures.append(Frame(pictures[-1].rgb.copy()))
    pictures[-1].rgb[5, 10:16] = 0
    sink = open_sink(tmp_path / f"o{suffix}", size=(72, 96))
    for index in range(27):
        sink.write(pictures[index // 3], index)
    sink.commit()
    clip = open_clip(tmp_path / f"o{suffix}")
    assert find_holds(clip) == [range(i, i + 3) for i in range(0, 27, 3)]


def test_progress_is_told_of_every_frame():
    events = []
    find_holds(Drawn([cel(0), cel(0), cel(1)]), events.append)
    assert [(e.stage, e.index, e.total) for e in events] == [("read", 1, 3), ("read", 2, 3), ("read", 3, 3)]
