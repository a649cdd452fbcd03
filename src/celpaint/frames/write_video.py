"""Frames -> videos and animations, encoded as they come."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field
from fractions import Fraction
from math import lcm
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

import av
import av.error
import av.filter
import numpy as np

from celpaint import atomic_write as aside
from celpaint.errors import OutputError
from celpaint.frames import color
from celpaint.frames.sink import Sink, check_size
from celpaint.frames.video import VideoClip
from celpaint.types import Frame, PixelFormat

if TYPE_CHECKING:
    from av.video.stream import VideoStream

__all__ = ["VIDEO_KINDS", "Clock", "GifSink", "VideoSink"]


@dataclass(frozen=True)
class Clock:
    """When frames show: ``index / rate``, or at given times."""

    rate: Fraction
    times: tuple[Fraction, ...] | None = None

    def base(self) -> Fraction:
        """A time base in which every time is a whole number, or 1/90,000 where that would be too fine."""
        if self.times is None:
            return 1 / self.rate
        ticks = lcm(*(time.denominator for time in self.times))
        return Fraction(1, ticks if ticks <= _FINEST else 90_000)

    def ticks(self, index: int, base: Fraction) -> int:
        """The time of frame ``index`` in units of ``base``."""
        return round((index / self.rate if self.times is None else self.times[index]) / base)


_FINEST = 1_000_000


@dataclass(frozen=True)
class _Kind:
    """How a kind of video is made.

    Attributes:
        opaque, alpha: pixel formats for 8 and for 16 bits; alpha empty where there is none.
        even: must sides be even? Then the last row or column is doubled.
    """

    container: str
    codec: str
    opaque: tuple[str, str]
    alpha: tuple[str, ...] = ()
    options: dict[str, str] = field(default_factory=dict)
    container_options: dict[str, str] = field(default_factory=dict)
    even: bool = False

    def pixels(self, format: PixelFormat) -> str:
        formats = self.alpha if format.alpha and self.alpha else self.opaque
        return formats[format.bits == 16]


_H264 = _Kind(
    "mp4",
    "libx264",
    ("yuv420p", "yuv420p"),
    options={"crf": "10", "preset": "medium", "tune": "animation"},
    container_options={"movflags": "+faststart"},
    even=True,
)
VIDEO_KINDS = {
    ".mp4": _H264,
    ".m4v": _H264,
    ".mov": _Kind(
        "mov",
        "prores_ks",
        ("yuv444p10le", "yuv444p10le"),
        ("yuva444p10le", "yuva444p10le"),
        options={"profile": "4444", "alpha_bits": "16", "bits_per_mb": "8000", "vendor": "apl0"},
        container_options={"movflags": "+faststart"},
    ),
    ".mkv": _Kind(
        "matroska",
        "ffv1",
        ("bgr0", "gbrp16le"),
        ("bgra", "gbrap16le"),
        options={"level": "3", "slicecrc": "1", "g": "1"},
    ),
    ".webm": _Kind(
        "webm",
        "libvpx-vp9",
        ("yuv420p", "yuv420p"),
        ("yuva420p", "yuva420p"),
        options={"crf": "10", "b": "0", "deadline": "good", "cpu-used": "3", "row-mt": "1", "auto-alt-ref": "0"},
    ),
    ".webp": _Kind(
        "webp",
        "libwebp_anim",
        ("bgra", "bgra"),
        ("bgra", "bgra"),
        options={"lossless": "1", "compression_level": "4"},
        container_options={"loop": "0"},
    ),
    ".apng": _Kind(
        "apng",
        "apng",
        ("rgb24", "rgb48be"),
        ("rgba", "rgba64be"),
        options={"pred": "mixed"},
        container_options={"plays": "0"},
    ),
}


class _Encoder:
    """A video file in the making."""

    def __init__(self, file: Path, kind: _Kind, pixels: str, size: tuple[int, int], rate: Fraction, base: Fraction):
        self._container = av.open(str(file.absolute()), "w", format=kind.container, options=kind.container_options)
        stream = cast("VideoStream", self._container.add_stream(kind.codec, rate=rate, options=kind.options))
        stream.height, stream.width = size
        stream.pix_fmt = pixels
        stream.time_base = stream.codec_context.time_base = base
        if not av.VideoFormat(pixels).is_rgb and pixels != "pal8":
            context = stream.codec_context
            context.colorspace = context.color_primaries = context.color_trc = _BT709
            context.color_range = _LIMITED
        stream.codec_context.open()  # now, so that a size the codec refuses is known before work starts
        self._stream, self._base = stream, base

    def add(self, frame: av.VideoFrame, ticks: int) -> None:
        frame.pts, frame.time_base = ticks, self._base
        self._container.mux(self._stream.encode(frame))

    def finish(self) -> None:
        self._container.mux(self._stream.encode(None))
        self._container.close()

    def drop(self) -> None:
        """Close without finishing; what the encoder still says is of no matter."""
        with suppress(Exception):
            self._container.close()


_BT709, _LIMITED = 1, 1


class VideoSink(Sink):
    """A video or animation file, encoded as frames come."""

    def __init__(self, out: Path, size: tuple[int, int], format: PixelFormat, clock: Clock, kind: _Kind) -> None:
        self.out, self._size, self._clock = out, size, clock
        self._pixels = kind.pixels(format)
        self._bits: Literal[8, 16] = 16 if _depth(self._pixels) > 8 else 8
        self._part = aside.aside(out)
        self._next = 0
        self._pad = tuple(side % 2 if kind.even else 0 for side in size)
        coded = (size[0] + self._pad[0], size[1] + self._pad[1])
        self._base = clock.base()
        aside.claim(out)
        try:
            with aside.disk_errors(out):
                self._encoder = _Encoder(self._part, kind, self._pixels, coded, clock.rate, self._base)
        except OutputError:
            aside.remove(self._part)
            raise

    @property
    def files(self) -> frozenset[Path]:
        return frozenset([aside.place(self.out)])

    def write(self, frame: Frame, index: int) -> None:
        check_size(frame, self._size)
        if index != self._next:
            raise ValueError(f"frame {index} came where {self._next} was due; a video takes its frames in order")
        with aside.disk_errors(self.out):
            video = color.to_video(_padded(frame, self._pad), self._pixels, self._bits)
            self._encoder.add(video, self._clock.ticks(index, self._base))
        self._next += 1

    def commit(self) -> None:
        if not self._next:
            raise ValueError("no frame was written")
        with aside.disk_errors(self.out):
            self._encoder.finish()
            aside.rename(self._part, self.out)

    def abort(self) -> None:
        self._encoder.drop()
        aside.remove(self._part)


def _depth(pixels: str) -> int:
    return max(component.bits for component in av.VideoFormat(pixels).components)


def _padded(frame: Frame, pad: tuple[int, ...]) -> Frame:
    """The last row and column doubled where a codec wants even sides."""
    if not any(pad):
        return frame
    edges = [(0, pad[0]), (0, pad[1])]
    alpha = None if frame.alpha is None else np.pad(frame.alpha, edges, mode="edge")
    return Frame(np.pad(frame.rgb, [*edges, (0, 0)], mode="edge"), alpha)


class GifSink(Sink):
    """A GIF with one palette for the whole clip, so that flat colors stay still.

    The palette needs all frames first, so they wait on the disk until :meth:`commit`.
    """

    def __init__(self, out: Path, size: tuple[int, int], format: PixelFormat, clock: Clock) -> None:
        self.out, self._size, self._alpha, self._clock = out, size, format.alpha, clock
        waiting = aside.hidden_neighbor(out, "frames")
        self._waiting = VideoSink(waiting, size, PixelFormat(8, format.alpha), clock, VIDEO_KINDS[".mkv"])
        self._palette = _PaletteMaker(size, format.alpha)

    @property
    def files(self) -> frozenset[Path]:
        return frozenset([aside.place(self.out)])

    def write(self, frame: Frame, index: int) -> None:
        self._waiting.write(frame, index)
        self._palette.add(color.to_video(frame if self._alpha else color.over_paper(frame), "rgba", 8))

    def commit(self) -> None:
        self._waiting.commit()
        part, base = aside.aside(self.out), Fraction(1, 100)
        with aside.disk_errors(self.out):
            painter = _PaletteUser(self._size, self._palette.finish())
            encoder = _Encoder(part, _GIF, "pal8", self._size, self._clock.rate, base)
            try:
                for index, frame in enumerate(VideoClip(self._waiting.out)):
                    mapped = painter.map(color.to_video(frame, "rgba", 8))
                    encoder.add(mapped, self._clock.ticks(index, base))
                encoder.finish()
            except BaseException:
                encoder.drop()
                raise
            aside.rename(part, self.out)
            aside.remove(self._waiting.out)

    def abort(self) -> None:
        self._waiting.abort()
        aside.remove(self._waiting.out)
        aside.remove(aside.aside(self.out))


_GIF = _Kind("gif", "gif", ("pal8", "pal8"), container_options={"loop": "0"})


class _PaletteMaker:
    """FFmpeg's palettegen over a whole clip: median cut over the colors of all frames."""

    def __init__(self, size: tuple[int, int], alpha: bool) -> None:
        self._graph, (self._in,), self._out = _graph(
            [size], "palettegen", f"max_colors=256:reserve_transparent={int(alpha)}:stats_mode=full"
        )
        self._count = 0

    def add(self, frame: av.VideoFrame) -> None:
        frame.pts, frame.time_base = self._count, Fraction(1, 100)
        self._in.push(frame)
        with suppress(av.error.BlockingIOError):  # nothing comes yet, but asking makes the filter take its frame
            self._out.pull()
        self._count += 1

    def finish(self) -> av.VideoFrame:
        self._in.push(None)
        palette: av.VideoFrame = self._out.pull()
        return palette


class _PaletteUser:
    """FFmpeg's paletteuse; ordered dither, which does not crawl from frame to frame."""

    def __init__(self, size: tuple[int, int], palette: av.VideoFrame) -> None:
        self._graph, (self._in, colors), self._out = _graph(
            [size, (palette.height, palette.width)], "paletteuse", "dither=bayer:bayer_scale=5:alpha_threshold=128"
        )
        palette.pts, palette.time_base = 0, Fraction(1, 100)
        colors.push(palette)
        colors.push(None)
        self._count = 0

    def map(self, frame: av.VideoFrame) -> av.VideoFrame:
        frame.pts, frame.time_base = self._count, Fraction(1, 100)
        self._in.push(frame)
        self._count += 1
        mapped: av.VideoFrame = self._out.pull()
        return mapped


def _graph(sizes: list[tuple[int, int]], name: str, arguments: str) -> tuple[Any, list[Any], Any]:
    """A filter graph of one filter, its inputs (RGBA, of these sizes) and its output."""
    graph = av.filter.Graph()
    node = graph.add(name, arguments)
    sources = []
    for slot, (height, width) in enumerate(sizes):
        source = graph.add_buffer(width=width, height=height, format=av.VideoFormat("rgba"), time_base=Fraction(1, 100))
        source.link_to(node, 0, slot)
        sources.append(source)
    sink = graph.add("buffersink")
    node.link_to(sink)
    graph.configure()
    return graph, sources, sink
