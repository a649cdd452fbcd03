"""Videos as clips: every frame exactly once, any of them exactly, a handful in memory."""

from __future__ import annotations

import logging
from bisect import bisect_right
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, cast

import av
import av.error
import numpy as np

from celpaint.errors import InputError
from celpaint.frames import color
from celpaint.frames.pictures import check_size, reading
from celpaint.types import Clip, Frame, PixelFormat

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.video.codeccontext import VideoCodecContext
    from av.video.stream import VideoStream

log = logging.getLogger("celpaint")

__all__ = ["VIDEO_SUFFIXES", "VideoClip", "explain_times"]

VIDEO_SUFFIXES = (".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi")
"""Suffixes of the videos that can be read."""

_HDR_TRANSFERS = {16: "PQ (HDR10)", 18: "HLG"}
_COMMON_RATES = (
    *map(Fraction, (24, 25, 30, 12, 48, 50, 60, 15, 10, 8)),
    *(Fraction(n * 1000, 1001) for n in (24, 30, 60)),
)
_SAME_RATE = Fraction(1, 10**6)
"""Matroska states 59.94 as 19001/317: rates nearer than this are the common one meant."""


class VideoClip(Clip):
    """The first video stream of a file.

    Opening it reads the whole file's packet headers (not their pictures), so that the number of frames, their times
    and the places to seek to are known. Going forward decodes once; going elsewhere seeks to the keyframe before and
    decodes up to the frame asked for, so that any order gives the same pixels.

    Raises:
        InputError: damaged, cut short, no video in it, or high dynamic range.
    """

    names = None

    def __init__(self, path: Path) -> None:
        self.path = path
        with reading(path, "a video"):
            self._rewind()
            self._pts, self._keys = self._index()
            self._rewind()
            self._position, self._frames = 0, self._decode()
            first = next(self._frames, None)
            if first is None:
                raise InputError(f"'{path}' has no picture that can be decoded", todo="Export it again.")
            if first.color_trc in _HDR_TRANSFERS:
                raise InputError(
                    f"'{path}' is high dynamic range, {_HDR_TRANSFERS[first.color_trc]}",
                    wanted="standard dynamic range, BT.709",
                    todo="Tone-map it in the program it comes from.",
                )
        components = first.format.components
        deep = max(c.bits for c in components) > 8
        self.format = PixelFormat(16 if deep else 8, any(c.is_alpha for c in components))
        self.size = (first.width, first.height) if first.rotation % 180 else (first.height, first.width)
        check_size(path, *self.size)
        self.lossy = bool(self._decoder.codec.lossy)
        shape = self._stream.sample_aspect_ratio
        if shape not in (None, 0, 1):
            log.warning("'%s' has pixels of %s; they are taken for square ones", path, f"{shape}".replace("/", " : "))
        self.rate, self.times = self._timing()
        self._cached = (0, self._shown(first))
        self._position = 1

    def __len__(self) -> int:
        return len(self._pts)

    def __getitem__(self, index: int) -> Frame:
        index = range(len(self._pts))[index]
        if self._cached[0] != index:
            with reading(self.path, "a video"):
                self._cached = index, self._shown(self._decoded(index))
            self._position = index + 1
        return self._cached[1]

    # ------------------------------------------------------------------------------------------------------- decoding

    def _decoded(self, index: int) -> av.VideoFrame:
        """Frame ``index``, going on from where the decoder stands if that is nearer than the keyframe before it."""
        target = self._pts[index]
        key = bisect_right(self._pts, self._keys[max(bisect_right(self._keys, target) - 1, 0)]) - 1
        ways = [self._go_on] if key <= self._position <= index else []
        for way in (*ways, lambda: self._seek(self._pts[key]), self._restart):
            try:
                frame = next((f for f in way() if f.pts is not None and f.pts >= target), None)
            except av.error.FFmpegError:
                if way == self._restart:
                    raise
                continue  # frames before a keyframe may need others that lie before it
            if frame is not None and frame.pts == target:
                return frame
        raise InputError(
            f"frame {index + 1} of '{self.path}' is missing or damaged",
            wanted=f"{len(self)} frames",
            todo="Export the video again.",
        )

    def _go_on(self) -> Iterator[av.VideoFrame]:
        return self._frames

    def _seek(self, pts: int) -> Iterator[av.VideoFrame]:
        self._container.seek(pts, stream=self._stream, backward=True)
        self._decoder.flush_buffers()
        self._frames = self._decode()
        return self._frames

    def _restart(self) -> Iterator[av.VideoFrame]:
        self._rewind()
        self._frames = self._decode()
        return self._frames

    def _decode(self) -> Iterator[av.VideoFrame]:
        """The frames from where the file stands."""
        for packet in self._container.demux(self._stream):
            yield from self._decoder.decode(packet if packet.size else None)
            if not packet.size:
                return

    def _rewind(self) -> None:
        """Open the file anew: not every container can be sent back to its very beginning."""
        self._container, self._stream = _open(self.path)
        self._decoder = _decoder(self._stream)

    def _shown(self, frame: av.VideoFrame) -> Frame:
        """As players show it: turned by the file's display matrix."""
        if frame.is_corrupt:
            raise InputError(f"'{self.path}' is damaged at {float(frame.time or 0):.2f} s", todo="Export it again.")
        shown = color.from_video(frame, bits=self.format.bits, alpha=self.format.alpha)
        turns = round(frame.rotation / 90) % 4
        if turns:
            rgb = np.ascontiguousarray(np.rot90(shown.rgb, turns))
            shown = Frame(rgb, None if shown.alpha is None else np.ascontiguousarray(np.rot90(shown.alpha, turns)))
        if shown.size != self.size:
            (h, w), (sh, sw) = self.size, shown.size
            raise InputError(
                f"'{self.path}' changes from {w} x {h} to {sw} x {sh} pixels at {float(frame.time or 0):.2f} s",
                wanted="one size",
                todo="Cut it there, or scale it to one size.",
            )
        return shown

    # ---------------------------------------------------------------------------------------------------- what is there

    def _index(self) -> tuple[list[int], list[int]]:
        """Presentation times of all frames and of the keyframes, in the stream's time base, ascending."""
        pts: set[int] = set()
        keys: set[int] = set()
        packets = 0
        for packet in self._container.demux(self._stream):
            if not packet.size:
                continue
            packets += 1
            if packet.is_corrupt:
                raise self._cut_short(packets)
            if packet.is_discard:
                continue
            if packet.pts is None:
                raise InputError(
                    f"'{self.path}' has frames without a time",
                    wanted="a video with time stamps",
                    todo=f"Add them: ffmpeg -fflags +genpts -i '{self.path.name}' -c copy timed.mkv",
                )
            pts.add(packet.pts)
            if packet.is_keyframe:
                keys.add(packet.pts)
        if packets < self._stream.frames or not pts:
            raise self._cut_short(packets)
        return sorted(pts), sorted(keys) or [min(pts)]

    def _cut_short(self, packets: int) -> InputError:
        return InputError(
            f"'{self.path}' is cut short: {packets} of its {self._stream.frames or 'announced'} frames are there",
            wanted="a whole video",
            todo="Copy or export it again.",
        )

    def _timing(self) -> tuple[Fraction | None, tuple[Fraction, ...] | None]:
        """The rate that explains all frame times to within the file's own rounding, or the mean rate and the times."""
        base = self._stream.time_base or Fraction(1, 1000)
        times = [(pts - self._pts[0]) * base for pts in self._pts]
        stated = [rate for rate in (self._stream.guessed_rate, self._stream.average_rate) if rate]
        return explain_times(times, base, stated)


def explain_times(
    times: list[Fraction], rounding: Fraction, stated: list[Fraction]
) -> tuple[Fraction | None, tuple[Fraction, ...] | None]:
    """Times of frames -> (rate, None) where one rate explains them all, else (mean rate, times).

    Args:
        times: seconds, the first 0.
        rounding: how far the file rounds times: 1/1000 s in Matroska.
        stated: rates that the file itself states; they go before common and mean ones.
    """
    if len(times) == 1:
        return (stated[0] if stated else None), None

    def explains(rate: Fraction, to_within: Fraction) -> bool:
        return all(abs(time - i / rate) <= to_within for i, time in enumerate(times))

    mean = (len(times) - 1) / times[-1]
    exact = [rate for rate in (*_COMMON_RATES, mean) if len(times) > 2 and explains(rate, Fraction(0))]
    near = (rate for rate in (*_COMMON_RATES, mean.limit_denominator(1001), mean) if explains(rate, rounding))
    meant = [next((c for c in _COMMON_RATES if abs(c / rate - 1) < _SAME_RATE), rate) for rate in stated]
    rate = next((rate for rate in meant if explains(rate, rounding)), None) or next(iter([*exact, *near]), None)
    return (mean.limit_denominator(1001), tuple(times)) if rate is None else (rate, None)


def _open(path: Path) -> tuple[InputContainer, VideoStream]:
    container = av.open(str(path.absolute()))  # absolute, or FFmpeg takes "cut:05.mp4" for a protocol
    stream = cast("VideoStream | None", container.streams.best("video"))  # not the cover picture that some files carry
    if stream is None:
        raise InputError(f"'{path}' has no video in it", wanted="a video", todo="Check the file.")
    stream.thread_type = "AUTO"
    check_size(path, stream.codec_context.height, stream.codec_context.width)
    return container, stream


def _decoder(stream: VideoStream) -> VideoCodecContext:
    """The stream's own decoder; for VP8 and VP9 with alpha the library that can decode it."""
    decoder = stream.codec_context
    library = {"vp8": "libvpx", "vp9": "libvpx-vp9"}.get(decoder.name)
    if library is not None and stream.metadata.get("alpha_mode", "0") == "1":
        extradata = decoder.extradata
        decoder = cast("VideoCodecContext", av.CodecContext.create(library, "r"))
        decoder.extradata = extradata
    decoder.options = {"err_detect": "explode"}  # say what is damaged instead of painting over it
    return decoder
