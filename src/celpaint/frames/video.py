"""Videos as clips: every frame exactly once, any of them exactly, a handful in memory."""

from __future__ import annotations

import logging
import struct
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Literal, cast

import numpy as np

from celpaint.errors import InputError
from celpaint.frames import color
from celpaint.frames.decoding import open_pictures
from celpaint.frames.pictures import check_size, reading
from celpaint.types import Array, Clip, Frame, PixelFormat

if TYPE_CHECKING:
    import av
    from av.sidedata.sidedata import SideData

log = logging.getLogger("celpaint")

__all__ = ["VIDEO_SUFFIXES", "VideoClip", "exact_rate", "explain_times"]

VIDEO_SUFFIXES = (".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi")
"""Suffixes of the videos that can be read."""

_HDR_TRANSFERS = {16: "PQ (HDR10)", 18: "HLG"}
_COMMON_RATES = (
    *map(Fraction, (24, 25, 30, 12, 48, 50, 60, 15, 10, 8)),
    *(Fraction(n * 1000, 1001) for n in (24, 30, 60)),
)
_SAME_RATE = Fraction(1, 10**6)
"""Matroska states 59.94 as 19001/317: rates nearer than this are the common one meant."""


_NTSC = tuple(Fraction(n * 1000, 1001) for n in (24, 30, 48, 60, 120))
_ROUNDED = Fraction(5, 1000)
"""How far the usual short forms of NTSC rates (23.98, 29.97) are from them, at most."""


def exact_rate(rate: Fraction | float) -> Fraction:
    """A rate as a person writes it -> the rate that is meant: 23.976, 23.98 -> 24000/1001, 29.97 -> 30000/1001."""
    stated = Fraction(rate).limit_denominator(10**6)
    return next((ntsc for ntsc in _NTSC if abs(ntsc - stated) < _ROUNDED), stated)


class VideoClip(Clip):
    """The first video stream of a file.

    Opening it reads the whole file's packet headers (not their pictures), so that the number of frames, their times
    and the places to seek to are known; only AVI with pictures out of order is decoded once. Any order of reading gives
    the same pixels.

    Raises:
        InputError: damaged, cut short, no video in it, or high dynamic range.
    """

    names = None

    def __init__(self, path: Path) -> None:
        self.path, self.files = path, (path,)
        with reading(path, "a video"):
            self._pictures = open_pictures(path)
            first = self._pictures[0]
            if first.color_trc in _HDR_TRANSFERS:
                raise InputError(
                    f"'{path}' is high dynamic range, {_HDR_TRANSFERS[first.color_trc]}",
                    wanted="standard dynamic range, BT.709",
                    todo="Tone-map it in the program it comes from.",
                )
        components = first.format.components
        deep = max(c.bits for c in components) > 8
        self.format = PixelFormat(16 if deep else 8, any(c.is_alpha for c in components))
        self.size = (first.width, first.height) if _Turn.of(first).sideways else (first.height, first.width)
        check_size(path, *self.size)
        self.lossy = self._pictures.lossy
        base = self._pictures.stream.time_base or Fraction(1, 1000)
        self.rate, self.times = explain_times(list(self._pictures.times), base, self._pictures.rates)
        self._cached: tuple[int, Frame] | None = None
        self._note(first)

    def _note(self, first: av.VideoFrame) -> None:
        """Say what a user should know of the file."""
        shape = self._pictures.stream.sample_aspect_ratio
        if shape not in (None, 0, 1):
            log.warning("'%s' has pixels of %s; they are treated as square", self.path, f"{shape}".replace("/", " : "))
        if self._pictures.lost:
            log.warning(
                "pictures at the start of '%s' that depend on others before the cut are left out: %d",
                *(self.path, self._pictures.lost),
            )
        if first.interlaced_frame:
            log.warning(
                "'%s' is marked as interlaced: if edges in motion look like combs, remove the interlacing first: "
                "ffmpeg -i '%s' -vf bwdif=mode=send_frame -c:v ffv1 progressive.mkv",
                *(self.path, self.path.name),
            )

    def __len__(self) -> int:
        return len(self._pictures.shows)

    def __getitem__(self, index: int) -> Frame:
        picture = self._pictures.shows[range(len(self))[index]]
        if self._cached is None or self._cached[0] != picture:
            with reading(self.path, "a video"):
                self._cached = picture, self._shown(self._pictures[picture])
        return self._cached[1]

    def _shown(self, frame: av.VideoFrame) -> Frame:
        """As players show it: turned and mirrored by the file's display matrix."""
        if frame.is_corrupt:
            raise InputError(f"'{self.path}' is damaged at {float(frame.time or 0):.2f} s", todo="Export it again.")
        turn = _Turn.of(frame)
        shown = color.from_video(frame, bits=self.format.bits, alpha=self.format.alpha)
        shown = Frame(turn.apply(shown.rgb), None if shown.alpha is None else turn.apply(shown.alpha))
        if shown.size != self.size:
            (h, w), (sh, sw) = self.size, shown.size
            raise InputError(
                f"'{self.path}' changes from {w} x {h} to {sw} x {sh} pixels at {float(frame.time or 0):.2f} s",
                wanted="one size",
                todo="Cut it there, or scale it to one size.",
            )
        return shown


@dataclass(frozen=True)
class _Turn:
    """How a picture is shown: its rows and columns exchanged, then reversed.

    Attributes:
        sideways: exchanged.
        rows, columns: -1 where the order is reversed, else 1.
    """

    sideways: bool = False
    rows: Literal[-1, 1] = 1
    columns: Literal[-1, 1] = 1

    @classmethod
    def of(cls, frame: av.VideoFrame) -> _Turn:
        """By the display matrix (ISO/IEC 14496-12, 6.2.2): the nearest quarter turn, mirrored where it mirrors."""
        matrix = cast("SideData | None", frame.side_data.get("DISPLAYMATRIX"))
        if matrix is None:
            return cls()
        a, b, _, c, d = struct.unpack_from("=5i", bytes(matrix))  # a column goes along (a, b), a row along (c, d)
        if abs(b) + abs(c) > abs(a) + abs(d):
            return cls(True, -1 if b < 0 else 1, -1 if c < 0 else 1)
        return cls(False, -1 if d < 0 else 1, -1 if a < 0 else 1)

    def apply(self, pixels: Array) -> Array:
        """``H W`` or ``H W C`` as stored -> as shown."""
        turned = pixels.swapaxes(0, 1) if self.sideways else pixels
        return np.ascontiguousarray(turned[:: self.rows, :: self.columns])


def explain_times(
    times: list[Fraction], rounding: Fraction, stated: list[Fraction]
) -> tuple[Fraction | None, tuple[Fraction, ...] | None]:
    """Times of frames -> (rate, None) where one rate explains them all, else (mean rate, times).

    Args:
        times: seconds, the first 0.
        rounding: how far the file rounds times: 1/1000 s in Matroska.
        stated: rates that the file itself states; they go before common and mean ones.
    """
    if times[-1] <= 0:
        return (stated[0] if stated else None), None

    def explains(rate: Fraction, to_within: Fraction) -> bool:
        return all(abs(time - i / rate) <= to_within for i, time in enumerate(times))

    mean = (len(times) - 1) / times[-1]
    exact = [rate for rate in (*_COMMON_RATES, mean) if len(times) > 2 and explains(rate, Fraction(0))]
    near = (rate for rate in (*_COMMON_RATES, mean.limit_denominator(1001), mean) if explains(rate, rounding))
    meant = [next((c for c in _COMMON_RATES if abs(c / rate - 1) < _SAME_RATE), rate) for rate in stated]
    rate = next((rate for rate in meant if explains(rate, rounding)), None) or next(iter([*exact, *near]), None)
    return (mean.limit_denominator(1001), tuple(times)) if rate is None else (rate, None)
