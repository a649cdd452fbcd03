"""Frames -> files: a folder of pictures as the input's were, one picture, an animation or a video.

A sink is opened, given the frames, and committed; until then nothing bears the result's name:

>>> sink = open_sink("painted.mp4", rate=24, size=(320, 576))   # doctest: +SKIP
>>> for index, frame in enumerate(frames):                      # doctest: +SKIP
...     sink.write(frame, index)
>>> sink.commit()                                               # doctest: +SKIP
"""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
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
from celpaint.frames import color, pictures
from celpaint.frames.video import VideoClip
from celpaint.types import Frame, PixelFormat

if TYPE_CHECKING:
    from av.video.stream import VideoStream

__all__ = ["DEFAULT_RATE", "FolderSink", "GifSink", "PictureSink", "Sink", "VideoSink", "open_sink"]

DEFAULT_RATE = Fraction(24)
"""Frames a second of a video made from pictures, which say no rate."""

_PICTURES = (".png", ".tif", ".tiff", ".tga")


class Sink(ABC):
    """Where frames go. Nothing bears the name ``out`` before :meth:`commit`."""

    out: Path

    @abstractmethod
    def write(self, frame: Frame, index: int) -> None:
        """Take frame ``index``; videos take them in order, folders in any.

        Raises:
            OutputError, DiskFull: it can't be written.
        """

    @abstractmethod
    def commit(self) -> None:
        """Finish the result, bring it to the disk and give it its name."""

    @abstractmethod
    def abort(self) -> None:
        """Remove everything written; the result is as it was before."""


def open_sink(
    out: str | Path,
    *,
    size: tuple[int, int],
    count: int | None = None,
    names: Sequence[str] | None = None,
    rate: Fraction | int | None = None,
    format: PixelFormat | None = None,
    overwrite: bool = False,
    inputs: Iterable[str | Path] = (),
    times: Sequence[Fraction] | None = None,
    picture: Literal["png", "tif", "tga"] | None = None,
) -> Sink:
    """Open the result.

    Args:
        out: a folder (no suffix, an existing folder, or a trailing slash), or a file: .mp4, .m4v (H.264), .mov (ProRes
            4444 with alpha), .mkv (FFV1, lossless), .webm (VP9, with alpha), .gif, .webp (lossless), .apng (lossless),
            and for a single frame .png, .tif, .tga. Missing folders are made.
        size: (height, width) of every frame.
        count: how many frames will come, if known: one picture is refused more than one at once.
        names: the input's file names; a folder takes their numbers, padding and gaps. None: 0001, 0002, ...
        rate: frames a second; None: 24.
        format: bits and alpha to store, as far as the kind of file can. Default: 8 bits, no alpha.
        overwrite: may a result of that name be replaced? In a folder, files of other names stay.
        inputs: files, folders and patterns read by this run, never to be written over.
        times: seconds at which the frames show, where they are not even.
        picture: kind of pictures in a folder; default: the names' own if it can be written, else PNG.

    Raises:
        OutputError: unknown suffix, result exists, result would touch an input, or the place can't be written to.
    """
    path = Path(out)
    form = format or PixelFormat()
    count = len(names) if names is not None else count
    suffix = path.suffix.lower()
    is_folder = path.is_dir() or not suffix or str(out).endswith(("/", "\\"))
    if not is_folder and suffix not in (*_PICTURES, *_VIDEOS, ".gif"):
        known = ", ".join([*_VIDEOS, ".gif", *_PICTURES])
        raise OutputError(
            f"'{path}' has the unknown suffix '{path.suffix}'",
            wanted=f"a folder, or a file of {known}",
            todo=f"For a folder of that name write '{path}/'.",
        )
    _check_apart(path, is_folder, inputs)
    if is_folder:
        name = _numbered(picture or "png") if names is None else _folder_names(names, picture).__getitem__
        _check_free_folder(path, overwrite)
        return FolderSink(path, name, count, size, form)
    if path.exists() and not overwrite:
        raise OutputError(f"'{path}' exists", wanted="a new name", todo="Add --overwrite to replace it.")
    if path.exists() and not os.access(path, os.W_OK):
        raise OutputError(f"'{path}' is read-only", wanted="a file that may be replaced", todo="Choose another --out.")
    clock = _Clock(Fraction(rate or DEFAULT_RATE), tuple(times) if times is not None else None)
    if suffix in _PICTURES:
        if (count or 1) > 1:
            raise _too_many(path, f"{count} frames")
        return PictureSink(path, size, form)
    if suffix == ".gif":
        return GifSink(path, size, form, clock)
    return VideoSink(path, size, form, clock, _VIDEOS[suffix])


# ------------------------------------------------------------------------------------------------ what may be written


def _check_apart(out: Path, is_folder: bool, inputs: Iterable[str | Path]) -> None:
    """Refuse a result that is an input, lies in an input folder, or is a folder that holds an input."""
    target = out.resolve()
    for given in map(Path, inputs):
        source = given if given.exists() else given.parent  # a pattern stands for its folder
        source = source.resolve()
        inside = source.is_dir() and source in target.parents
        holds = is_folder and target in source.parents
        if target == source or inside or holds:
            how = "is the input" if target == source else "lies in the input" if inside else "holds the input"
            raise OutputError(
                f"the result '{out}' {how} '{given}'",
                wanted="a place apart from everything that is read",
                todo=f"Choose another --out, for instance '{_apart_from(source)}'.",
            )


def _apart_from(source: Path) -> Path:
    return source.with_name(f"{source.stem}-painted")


def _check_free_folder(folder: Path, overwrite: bool) -> None:
    if folder.exists() and not folder.is_dir():
        raise OutputError(f"'{folder}' is a file", wanted="a folder", todo="Choose another --out.")
    if folder.is_dir() and not overwrite and any(not f.name.startswith(".") for f in folder.iterdir()):
        raise OutputError(
            f"the folder '{folder}' is not empty",
            wanted="a new or empty folder",
            todo="Choose another --out, or add --overwrite to replace the frames of the same names in it.",
        )


def _folder_names(names: Sequence[str], picture: str | None) -> tuple[str, ...]:
    """The input's names with the suffix of the result."""
    renamed = []
    for name in names:
        path = Path(name)
        own = path.suffix if path.suffix.lower() in _PICTURES else ".png"
        renamed.append(path.stem + (f".{picture}" if picture else own))
    twice = {name for name in renamed if renamed.count(name) > 1} if len(set(renamed)) < len(renamed) else set()
    if twice:
        raise OutputError(
            f"two frames would be called '{min(twice)}'", wanted="one name a frame", todo="Rename one of the inputs."
        )
    return tuple(renamed)


def _numbered(picture: str) -> Callable[[int], str]:
    """Names for frames that have none: 0001.png, 0002.png, ..."""
    return lambda index: f"{index + 1:04d}.{picture}"


def _too_many(out: Path, seen: str) -> OutputError:
    return OutputError(
        f"'{out}' holds one picture and there are {seen}",
        wanted="a folder or a video",
        todo=f"Use --out '{out.with_suffix('')}' for pictures, or a suffix of {', '.join(_VIDEOS)}.",
    )


def _check_size(frame: Frame, size: tuple[int, int]) -> None:
    if frame.size != size:
        raise ValueError(f"frame of {frame.size} for a result of {size} (height, width)")


# ----------------------------------------------------------------------------------------------------------- pictures


class FolderSink(Sink):
    """Pictures in a folder, prepared in a hidden neighbor.

    Args:
        out: the folder.
        name: index -> file name.
        count: how many frames there will be, if known.
        size: (height, width).
        format: bits and alpha.
    """

    def __init__(
        self, out: Path, name: Callable[[int], str], count: int | None, size: tuple[int, int], format: PixelFormat
    ) -> None:
        self.out, self._name, self._count, self._size, self._format = out, name, count, size, format
        self._folder = aside.aside(out)
        self._written: set[int] = set()
        with aside.disk_errors(out):
            aside.remove(self._folder)
            self._folder.mkdir(parents=True)

    def write(self, frame: Frame, index: int) -> None:
        _check_size(frame, self._size)
        file = self._folder / self._name(index)
        data = pictures.encode(frame, file.suffix.lower(), self._format)
        with aside.disk_errors(file):
            aside.write_file(file, data)
        self._written.add(index)

    def commit(self) -> None:
        count = max(self._written, default=0) + 1 if self._count is None else self._count
        missing = sorted(set(range(count)) - self._written)
        if missing:
            raise ValueError(f"frames {missing} were never written")
        with aside.disk_errors(self.out):
            if self.out.is_dir() and any(self.out.iterdir()):
                for file in self._folder.iterdir():
                    file.replace(self.out / file.name)
                aside.remove(self._folder)
                return
            if self.out.is_dir():
                self.out.rmdir()
            aside.rename(self._folder, self.out)

    def abort(self) -> None:
        aside.remove(self._folder)


class PictureSink(Sink):
    """One picture."""

    def __init__(self, out: Path, size: tuple[int, int], format: PixelFormat) -> None:
        self.out, self._size, self._format = out, size, format
        self._data: bytes | None = None
        aside.claim(out)

    def write(self, frame: Frame, index: int) -> None:
        _check_size(frame, self._size)
        if index:
            raise _too_many(self.out, "several frames")
        self._data = pictures.encode(frame, self.out.suffix.lower(), self._format)

    def commit(self) -> None:
        if self._data is None:
            raise ValueError("no frame was written")
        with aside.disk_errors(self.out):
            aside.write_file(self.out, self._data)

    def abort(self) -> None:
        aside.remove(aside.aside(self.out))


# ------------------------------------------------------------------------------------------------------------- videos


@dataclass(frozen=True)
class _Clock:
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
_VIDEOS = {
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

    def __init__(self, out: Path, size: tuple[int, int], format: PixelFormat, clock: _Clock, kind: _Kind) -> None:
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

    def write(self, frame: Frame, index: int) -> None:
        _check_size(frame, self._size)
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

    def __init__(self, out: Path, size: tuple[int, int], format: PixelFormat, clock: _Clock) -> None:
        self.out, self._size, self._alpha, self._clock = out, size, format.alpha, clock
        waiting = out.with_name(f".{out.name}.frames")
        self._waiting = VideoSink(waiting, size, PixelFormat(8, format.alpha), clock, _VIDEOS[".mkv"])
        self._palette = _PaletteMaker(size, format.alpha)

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
