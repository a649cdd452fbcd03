"""Some frames of a clip, by their numbers."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from frame_files import cel, make_video
from PIL import Image

from celpaint.errors import InputError, OptionError
from celpaint.frames.read import open_clip
from celpaint.frames.selection import parse_ranges, select


@pytest.fixture
def cels(tmp_path):
    for name in ("r.-0002.png", "r.0000.png", "r.0001.png", "r.0001a.png", "r.0005.png", "r.0012.png"):
        Image.new("L", (4, 4), 255).save(tmp_path / name)
    return open_clip(tmp_path)


@pytest.mark.parametrize(
    ("text", "ranges"),
    [
        ("12-24", [(12, 24)]),
        ("12..24", [(12, 24)]),
        ("12-", [(12, None)]),
        ("7", [(7, 7)]),
        ("-3-2", [(-3, 2)]),
        ("-3--1", [(-3, -1)]),
        ("1-8, 15", [(1, 8), (15, 15)]),
    ],
)
def test_ranges(text, ranges):
    assert parse_ranges(text) == ranges


@pytest.mark.parametrize("text", ["", "a", "12-x", "24-12", "1,,2", "1-2-3", "1.5"])
def test_what_is_no_range_is_refused(text):
    with pytest.raises(OptionError, match="such as 12-24"):
        parse_ranges(text)


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("0-5", "0 1 1a 5"),
        ("1", "1 1a"),
        ("-2-0", "-2 0"),
        ("5-", "5 12"),
        ("0,12", "0 12"),
        ("-9-99", "-2 0 1 1a 5 12"),
    ],
)
def test_frames_are_called_by_the_numbers_in_their_names(cels, text, numbers):
    clip = select(cels, text)
    assert [str(clip.number(i)) for i in range(len(clip))] == numbers.split()
    assert [name[2:-4].lstrip("0") or "0" for name in clip.names] == [
        n if not n.startswith("-") else f"-000{n[1:]}" for n in numbers.split()
    ]
    assert [file.name for file in clip.files] == list(clip.names)


def test_a_range_without_frames_is_refused(cels):
    with pytest.raises(InputError, match=r"no frames 6-11; wanted some of -2, 0-1, 5, 12"):
        select(cels, "6-11")
    assert select(cels, None) is cels


def test_frames_of_a_video_are_counted_from_1(tmp_path):
    make_video(tmp_path / "a.mkv", 9, codec="ffv1", pixels="bgr0")
    clip = select(open_clip(tmp_path / "a.mkv"), "3-5")
    assert (len(clip), clip.names, clip.rate, clip.times) == (3, None, 24, None)
    assert [clip.number(i).value for i in range(3)] == [3, 4, 5]
    assert clip.files == (tmp_path / "a.mkv",)
    for index in range(3):
        np.testing.assert_array_equal(clip[index].rgb, cel(2 + index).rgb)


def test_uneven_times_begin_at_the_first_frame_chosen(tmp_path):
    make_video(tmp_path / "a.mkv", 4, ticks=[0, 40, 500, 700])
    clip = select(open_clip(tmp_path / "a.mkv"), "2-")
    assert clip.times == (0, Fraction(46, 100), Fraction(66, 100))
