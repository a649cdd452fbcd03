"""The pictures of a video stream: how many there are, when they show, and any of them exactly.

Most files say when each picture shows, so that any can be sought. AVI says it of none and knows only the order of
storage; where a codec may store pictures in another order than it shows them, they are counted as the decoder gives
them.
"""

from __future__ import annotations

import struct
from abc import ABC, abstractmethod
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, cast

import av
import av.error

from celpaint.errors import InputError
from celpaint.frames.pictures import check_size

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.packet import Packet
    from av.video.codeccontext import VideoCodecContext
    from av.video.stream import VideoStream

__all__ = ["Pictures", "open_pictures"]


def open_pictures(path: Path) -> Pictures:
    """The pictures of a file's first video stream.

    Raises:
        InputError: no video, cut short, no times, or nothing that can be decoded.
        av.error.FFmpegError: the file is no video, or damaged.
    """
    packets = _Packets.of(path)
    return _Counted(path, packets) if packets.reordered else _Timed(path, packets)


class Pictures(ABC):
    """The pictures of a stream, in the order they show.

    Attributes:
        path: the file.
        stream: the stream as it was opened last.
        shows: for every frame, which picture it shows: AVI holds a picture by empty frames.
        times: seconds from the first frame at which every frame shows.
        lost: pictures at the start that can't be decoded, because they lean on ones that were cut away.
    """

    stream: VideoStream
    shows: Sequence[int]
    times: Sequence[Fraction]
    lost: int = 0

    def __init__(self, path: Path) -> None:
        self.path = path
        self._rewind()

    @abstractmethod
    def __getitem__(self, index: int) -> av.VideoFrame:
        """Picture ``index``. Going forward is cheap."""

    @property
    def lossy(self) -> bool:
        """Whether the codec changes pixels."""
        return bool(self._decoder.codec.lossy)

    @property
    def rates(self) -> list[Fraction]:
        """Frames a second, as the file states them."""
        return [rate for rate in (self.stream.guessed_rate, self.stream.average_rate) if rate]

    def _rewind(self) -> None:
        """Open the file anew: not every container can be sent back to its very beginning."""
        self._container, self.stream = _open(self.path)
        self._decoder = _decoder(self.stream)
        self._frames = self._decode()

    def _decode(self) -> Iterator[av.VideoFrame]:
        """The frames from where the file stands."""
        for packet in self._container.demux(self.stream):
            if packet.size or _is_end(packet):
                yield from self._decoder.decode(packet if packet.size else None)
            if _is_end(packet):
                return

    def _missing(self, index: int) -> InputError:
        return InputError(
            f"frame {index + 1} of '{self.path}' is missing or damaged",
            wanted=f"{len(self.shows)} frames",
            todo="Export the video again.",
        )


class _Timed(Pictures):
    """Pictures told apart by the times at which they show.

    Elsewhere than forward, decoding begins at the keyframe before, so that any order gives the same pixels.
    """

    def __init__(self, path: Path, packets: _Packets) -> None:
        super().__init__(path)
        self._doubtful = packets.doubtful
        if self._doubtful:
            self._rewind()
        first = next(self._frames, None)
        if first is None or first.pts is None:
            raise InputError(f"'{path}' has no picture that can be decoded", todo="Export it again.")
        shown = sorted(pts for pts in packets.pts if pts >= first.pts)
        self.lost = len(packets.pts) - len(shown)
        self._pts = shown
        self._keys = sorted(pts for pts in packets.keys if pts >= first.pts) or [first.pts]
        self.shows, self.times = packets.frames(shown)
        self._latest, self._position = (0, first), 1

    def _rewind(self) -> None:
        super()._rewind()
        if getattr(self, "_doubtful", None):
            self._decoder.thread_type = "SLICE"  # so that an error comes with the packet that it is about
            self._frames = self._decode_past_doubtful()

    def _decode_past_doubtful(self) -> Iterator[av.VideoFrame]:
        """All frames but those that lean on pictures which are not there."""
        for packet in self._container.demux(self.stream):
            try:
                frames = self._decoder.decode(packet if packet.size else None)
            except av.error.FFmpegError:
                if packet.pts not in self._doubtful:
                    raise
                continue
            yield from (f for f in frames if not (f.is_corrupt and f.pts in self._doubtful))
            if _is_end(packet):
                return

    def __getitem__(self, index: int) -> av.VideoFrame:
        if self._latest[0] != index:
            self._latest = index, self._find(index)
            self._position = index + 1
        return self._latest[1]

    def _find(self, index: int) -> av.VideoFrame:
        """Going on from where the decoder stands if that is nearer than the keyframe before."""
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
        raise self._missing(index)

    def _go_on(self) -> Iterator[av.VideoFrame]:
        return self._frames

    def _seek(self, pts: int) -> Iterator[av.VideoFrame]:
        self._container.seek(pts, stream=self.stream, backward=True)
        self._decoder.flush_buffers()
        self._frames = self._decode()
        return self._frames

    def _restart(self) -> Iterator[av.VideoFrame]:
        self._rewind()
        return self._frames


class _Counted(Pictures):
    """Pictures in the order in which the decoder gives them, counted once from beginning to end."""

    def __init__(self, path: Path, packets: _Packets) -> None:
        super().__init__(path)
        count = sum(1 for _ in self._frames)
        if not count:
            raise InputError(f"'{path}' has no picture that can be decoded", todo="Export it again.")
        self.shows, self.times = packets.counted_frames(count)
        self._rewind()
        self._next = 0
        self._latest: tuple[int, av.VideoFrame] | None = None

    def __getitem__(self, index: int) -> av.VideoFrame:
        if self._latest is None or self._latest[0] != index:
            if index < self._next:
                self._rewind()
                self._next = 0
            frame = None
            while self._next <= index:
                frame = next(self._frames, None)
                self._next += 1
            if frame is None:
                raise self._missing(index)
            self._latest = index, frame
        return self._latest[1]


# ------------------------------------------------------------------------------------------------------ what is there


@dataclass(frozen=True)
class _Packets:
    """What the headers of a stream's packets say.

    Attributes:
        pts: when each picture shows, in units of ``base``, in the order of storage; empty where not said.
        slots: in AVI, the place of every stored picture among all frames, empty ones included.
        length: frames in an AVI, empty ones included; 0 for other files.
        keys: when each keyframe shows.
        doubtful: pictures stored before the first keyframe, or showing before it.
        base: seconds.
        reordered: whether only decoding tells the order of the pictures.
    """

    pts: tuple[int, ...]
    slots: tuple[int, ...]
    length: int
    keys: tuple[int, ...]
    doubtful: frozenset[int]
    base: Fraction
    reordered: bool

    @classmethod
    def of(cls, path: Path) -> _Packets:
        container, stream = _open(path)
        is_avi = container.format.name == "avi"
        if is_avi and not _is_whole_avi(path):
            raise _cut_short(path, None, stream.frames)
        times: list[tuple[int | None, int | None]] = []
        keys: list[bool] = []
        stored = 0
        for packet in container.demux(stream):
            stored += not _is_end(packet)
            if packet.is_corrupt:
                raise _cut_short(path, stored, stream.frames)
            if packet.size and not packet.is_discard:
                times.append((packet.pts, packet.dts))
                keys.append(packet.is_keyframe)
        if not times or (stored < stream.frames and not is_avi):
            raise _cut_short(path, stored, stream.frames)
        codec = stream.codec_context.codec
        pts = [shown for shown, _ in times if shown is not None]
        slots = [slot for _, slot in times if slot is not None]
        timed = len(set(pts)) == len(times)
        if not timed and len(set(slots)) != len(times):
            raise InputError(
                f"'{path}' has frames without a time",
                wanted="a video with time stamps",
                todo=f"Add them: ffmpeg -fflags +genpts -i '{path.name}' -c copy timed.mkv",
            )
        first_key = keys.index(True) if True in keys else 0
        return cls(
            tuple(pts) if timed else (),
            tuple(slots) if is_avi or not timed else (),
            max(stream.frames, max(slots, default=0) + 1) if is_avi else 0,
            tuple(p for p, is_key in zip(pts, keys, strict=False) if is_key),
            frozenset(p for i, p in enumerate(pts) if i < first_key or p < pts[first_key]) if timed else frozenset(),
            stream.time_base or Fraction(1, 1000),
            not timed or (is_avi and codec.reorder and not all(keys)),
        )

    def frames(self, pts: Sequence[int]) -> tuple[list[int], list[Fraction]]:
        """Which picture every frame shows, and when, for pictures at these times."""
        if self.length:
            return self._held(sorted(self.slots))
        return list(range(len(pts))), [(p - pts[0]) * self.base for p in pts]

    def counted_frames(self, count: int) -> tuple[list[int], list[Fraction]]:
        """The same for ``count`` pictures of which only the order is known."""
        slots = sorted(self.slots)
        if len(slots) != count:  # some packets hold two pictures or none
            slots = list(range(count))
        if self.length > count:
            return self._held(slots)
        return list(range(count)), [(slot - slots[0]) * self.base for slot in slots]

    def _held(self, slots: Sequence[int]) -> tuple[list[int], list[Fraction]]:
        """Pictures at these places of an AVI, each held until the next."""
        frames = range(slots[0], self.length)
        return [bisect_right(slots, frame) - 1 for frame in frames], [(f - slots[0]) * self.base for f in frames]


def _is_end(packet: Packet[VideoStream]) -> bool:
    """The packet without content that PyAV ends a stream with; other empty ones are pictures that are held."""
    return not packet.size and packet.pts is None and packet.dts is None


def _is_whole_avi(path: Path) -> bool:
    """Whether every part that an AVI announces lies within the file."""
    size, at = path.stat().st_size, 0
    with path.open("rb") as file:
        while at + 8 <= size:
            file.seek(at)
            kind, length = struct.unpack("<4sI", file.read(8))
            if kind != b"RIFF":
                return True  # what lies behind is no part of it
            if length in (0, 0xFFFFFFFF):
                return True  # written to a pipe: the length was not known
            at += 8 + length + length % 2
    return at <= size + 1


def _cut_short(path: Path, there: int | None, announced: int) -> InputError:
    seen = f"{there} of its {announced or 'announced'} frames are there" if there is not None else "its end is missing"
    return InputError(f"'{path}' is cut short: {seen}", wanted="a complete video", todo="Copy or export it again.")


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
