"""Some of a clip's frames, called by their numbers: ``12-24``."""

from __future__ import annotations

import re
from collections.abc import Sequence
from fractions import Fraction

from celpaint.errors import InputError, OptionError
from celpaint.frames.names import list_numbers
from celpaint.types import Clip, Frame

__all__ = ["Selection", "parse_ranges", "select"]

_RANGE = re.compile(r"\s*(-?\d+)?\s*(?:(-|\.\.)\s*(-?\d+)?)?\s*", re.ASCII)


def parse_ranges(text: str) -> list[tuple[int, int | None]]:
    """``12-24``, ``12-``, ``-3-2``, ``7``, or several with commas between -> (first, last) of each, None = open.

    Raises:
        OptionError: anything else, or a range that runs backwards.
    """
    ranges = []
    for part in text.split(","):
        match = _RANGE.fullmatch(part)
        first, dash, last = match.groups() if match else (None, None, None)
        if first is None:
            raise _no_range(text)
        end = first if dash is None else last
        ranges.append((int(first), None if end is None else int(end)))
        if end is not None and int(end) < int(first):
            raise _no_range(text)
    return ranges


def _no_range(text: str) -> OptionError:
    return OptionError(f"the frames are {text!r}", wanted="numbers and ranges, such as 12-24, 12- or 1-8,15")


def select(clip: Clip, frames: str | None) -> Clip:
    """The frames of a clip whose numbers lie in some ranges; the whole clip for None.

    Numbers are those in the frames' names; frames of a video are counted from 1. In-betweens (``12a``) belong to the
    number that they follow.

    Raises:
        OptionError: no ranges.
        InputError: a range that holds no frame.
    """
    if frames is None:
        return clip
    values = [clip.number(index).value for index in range(len(clip))]
    chosen: set[int] = set()
    for first, last in parse_ranges(frames):
        within = [i for i, v in enumerate(values) if v >= first and (last is None or v <= last)]
        if not within:
            span = f"{first}" if first == last else f"{first}-{'' if last is None else last}"
            raise InputError(f"the shot has no frames {span}", wanted=f"some of {list_numbers(values)}")
        chosen.update(within)
    return clip if len(chosen) == len(clip) else Selection(clip, sorted(chosen))


class Selection(Clip):
    """Some frames of a clip, with the names, numbers and times that they have there.

    Args:
        clip: where they are.
        indices: which, in order.
    """

    def __init__(self, clip: Clip, indices: Sequence[int]) -> None:
        self._clip, self._indices = clip, tuple(indices)
        self.names = None if clip.names is None else tuple(clip.names[i] for i in indices)
        self.numbers = tuple(clip.number(i) for i in indices)
        self.files = tuple(clip.files[i] for i in indices) if len(clip.files) == len(clip) > 1 else clip.files
        self.size, self.rate, self.format, self.lossy = clip.size, clip.rate, clip.format, clip.lossy
        self.times = self._times(clip.times)

    def _times(self, times: tuple[Fraction, ...] | None) -> tuple[Fraction, ...] | None:
        return None if times is None else tuple(times[i] - times[self._indices[0]] for i in self._indices)

    def __len__(self) -> int:
        return len(self._indices)

    def __getitem__(self, index: int) -> Frame:
        return self._clip[self._indices[index]]
