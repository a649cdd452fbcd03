"""Frames -> files: a folder of pictures as the input's were, one picture, an animation or a video.

A sink is opened, given the frames, and committed; until then nothing bears the result's name:

>>> sink = open_sink("painted.mp4", rate=24, size=(320, 576))   # doctest: +SKIP
>>> for index, frame in enumerate(frames):                      # doctest: +SKIP
...     sink.write(frame, index)
>>> sink.commit()                                               # doctest: +SKIP

A folder that exists is filled and never replaced, whatever it is: a link, a mounted drive, a shared folder, the one
that somebody stands in. All is prepared on the disk that the result will lie on.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Literal

from celpaint import atomic_write as aside
from celpaint.errors import OutputError
from celpaint.frames import pictures
from celpaint.frames.names import Pattern, list_numbers
from celpaint.frames.sink import Sink, check_size
from celpaint.frames.video import exact_rate
from celpaint.frames.write_video import VIDEO_KINDS, Clock, GifSink, VideoSink
from celpaint.types import Clip, Frame, FrameNumber, PixelFormat

__all__ = ["DEFAULT_RATE", "FolderSink", "PictureSink", "Sink", "missing_numbers", "open_sink"]

DEFAULT_RATE = Fraction(24)
"""Frames a second of a video made from pictures, which say no rate."""

_PICTURES = (".png", ".tif", ".tiff", ".tga")
_SUFFIXES = (*VIDEO_KINDS, ".gif", *_PICTURES)

_OF_THE_SYSTEM = {"lost+found", "System Volume Information", "$RECYCLE.BIN", "@eaDir", "Thumbs.db", "desktop.ini"}
"""What systems lay into folders and drives by themselves; a folder with nothing else in it is empty."""


def open_sink(
    out: str | Path,
    *,
    size: tuple[int, int],
    count: int | None = None,
    names: Sequence[str] | None = None,
    numbers: Sequence[FrameNumber] | None = None,
    rate: Fraction | float | None = None,
    format: PixelFormat | None = None,
    overwrite: bool = False,
    inputs: Iterable[str | Path] = (),
    times: Sequence[Fraction] | None = None,
    picture: Literal["png", "tif", "tga"] | None = None,
) -> Sink:
    """Open the result.

    Args:
        out: a folder (no suffix, an existing folder, or a trailing slash); a pattern of pictures (``x/A_####.png``,
            ``x/A_%04d.png``); or a file: .mp4, .m4v (H.264), .mov (ProRes 4444 with alpha), .mkv (FFV1, lossless),
            .webm (VP9, with alpha), .gif, .webp (lossless), .apng (lossless), and for a single frame .png, .tif, .tga.
            Missing folders are made.
        size: (height, width) of every frame.
        count: how many frames will come, if known: one picture is refused more than one at once.
        names: the input's file names; a folder takes their numbers, padding and gaps. None: 0001, 0002, ...
        numbers: the frames' numbers, for a pattern and for frames without names; None: 1, 2, ...
        rate: frames per second, 23.976 and the like meaning 24000/1001; None: 24.
        format: bits, alpha and resolution to store, as far as the kind of file can. Default: 8 bits, no alpha.
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
    pattern = _pattern(path, count)
    is_folder = path.is_dir() or not suffix or str(out).endswith(("/", "\\"))
    if not is_folder and suffix not in _SUFFIXES:
        raise OutputError(
            f"'{path}' has the unknown suffix '{path.suffix}'",
            wanted=f"a folder, or a file of {', '.join(_SUFFIXES)}",
            todo=f"For a folder of that name write '{path}/'.",
        )
    _check_apart(path, is_folder, inputs)
    if is_folder:
        _check_is_folder(path)
        if not overwrite:
            _check_empty(path)
        naming = _numbered(f"####.{picture or 'png'}", numbers)
        named = naming if names is None else _renamed(names, picture).__getitem__
        return FolderSink(path, named, count, size, form)
    if pattern is not None:
        _check_is_folder(path.parent)
        sink = FolderSink(path.parent, _numbered(path.name, numbers), count, size, form)
        _check_files(sink, inputs, overwrite)
        return sink
    _check_file(path, overwrite)
    if suffix in _PICTURES:
        if (count or 1) > 1:
            raise _too_many(path, f"{count} frames")
        return PictureSink(path, size, form)
    clock = Clock(exact_rate(rate or DEFAULT_RATE), tuple(times) if times is not None else None)
    if suffix == ".gif":
        return GifSink(path, size, form, clock)
    return VideoSink(path, size, form, clock, VIDEO_KINDS[suffix])


def missing_numbers(clip: Clip) -> str:
    """The numbers that a clip's frames leave out, for people: ``2, 4, 6-8``; empty if they leave out none."""
    values = {number.value for number in clip.numbers or ()}
    return list_numbers(set(range(min(values), max(values))) - values) if values else ""


# ------------------------------------------------------------------------------------------------ what may be written


def _pattern(out: Path, count: int | None) -> Pattern | None:
    """The sequence that ``x/A_####.png`` names. A lone ``#`` in the name of a single picture is part of the name."""
    pattern = Pattern.parse(out.name) if out.suffix.lower() in _PICTURES and not out.is_dir() else None
    return None if pattern is not None and count == 1 and pattern.width == 1 else pattern


def _check_apart(out: Path, is_folder: bool, inputs: Iterable[str | Path]) -> None:
    """Refuse a result that is an input, lies in an input folder, or is a folder that holds an input."""
    target = aside.place(out)
    for given in map(Path, inputs):
        source = aside.place(given if given.exists() else given.parent)  # a pattern stands for its folder
        inside = source.is_dir() and source in target.parents
        holds = is_folder and target in source.parents
        if target == source or inside or holds:
            how = "is the input" if target == source else "lies in the input" if inside else "holds the input"
            raise OutputError(
                f"the result '{out}' {how} '{given}'",
                wanted="a place outside all inputs",
                todo=f"Choose another --out, for instance '{_apart_from(source)}'.",
            )


def _apart_from(source: Path) -> Path:
    return source.with_name(f"{source.stem}-painted")


def _check_file(path: Path, overwrite: bool) -> None:
    if not path.exists():
        return
    if not path.is_file():
        raise OutputError(f"'{path}' is not a file", wanted="a file", todo="Choose another --out.")
    if not overwrite:
        raise OutputError(f"'{path}' exists", wanted="a new name", todo="Add --overwrite to replace it.")
    if not os.access(path, os.W_OK):
        raise _read_only(path)


def _read_only(path: Path) -> OutputError:
    return OutputError(f"'{path}' is read-only", wanted="a file that can be replaced", todo="Choose another --out.")


def _check_is_folder(folder: Path) -> None:
    if folder.exists() and not folder.is_dir():
        raise OutputError(f"'{folder}' is a file", wanted="a folder", todo="Choose another --out.")


def _check_empty(folder: Path) -> None:
    with aside.disk_errors(folder):
        there = [file.name for file in folder.iterdir()] if folder.is_dir() else []
    if any(not name.startswith(".") and name not in _OF_THE_SYSTEM for name in there):
        raise OutputError(
            f"the folder '{folder}' is not empty",
            wanted="a new or empty folder",
            todo="Choose another --out, or add --overwrite to replace the frames of the same names in it.",
        )


def _check_files(sink: FolderSink, inputs: Iterable[str | Path], overwrite: bool) -> None:
    """Refuse a pattern whose files are there already, or are inputs."""
    read = {aside.place(file) for file in inputs}
    for file in sorted(sink.files):
        if file in read or (file.exists() and not overwrite):
            sink.abort()
            todo = (
                "Choose another --out." if file in read else "Choose another --out, or add --overwrite to replace it."
            )
            raise OutputError(f"'{file}' {'is an input' if file in read else 'exists'}", wanted="a new name", todo=todo)


def _renamed(names: Sequence[str], picture: str | None) -> tuple[str, ...]:
    """The input's names with the suffix of the result."""
    renamed = []
    for name in names:
        path = Path(name)
        own = path.suffix if path.suffix.lower() in _PICTURES else ".png"
        renamed.append(path.stem + (f".{picture}" if picture else own))
    twice = {name for name in renamed if renamed.count(name) > 1} if len(set(renamed)) < len(renamed) else set()
    if twice:
        raise OutputError(
            f"two frames would be called '{min(twice)}'", wanted="one name per frame", todo="Rename one of the inputs."
        )
    return tuple(renamed)


def _numbered(text: str, numbers: Sequence[FrameNumber] | None) -> Callable[[int], str]:
    """Names by a pattern, for frames of these numbers or of 1, 2, 3, ..."""
    pattern = Pattern.parse(text)
    if pattern is None:
        raise ValueError(f"{text} is no pattern")
    return lambda index: pattern.format(numbers[index] if numbers else index + 1)


def _too_many(out: Path, seen: str) -> OutputError:
    return OutputError(
        f"'{out}' can hold only one picture, but there are {seen}",
        wanted="a folder or a video",
        todo=f"Use --out '{out.with_suffix('')}' or '{out.with_stem(out.stem + '_####')}' for pictures, or a suffix of "
        f"{', '.join(VIDEO_KINDS)}.",
    )


# ----------------------------------------------------------------------------------------------------------- pictures


class FolderSink(Sink):
    """Pictures in a folder.

    They are prepared in a hidden folder: inside ``out`` where it exists, and then moved into it one by one; else beside
    it, and then given its name.

    Args:
        out: the folder.
        name: index -> file name.
        count: how many frames there will be, if known.
        size: (height, width).
        format: bits, alpha and resolution.

    Raises:
        OutputError, DiskFull: the folder can't be written to, or can't hold these names.
    """

    def __init__(
        self, out: Path, name: Callable[[int], str], count: int | None, size: tuple[int, int], format: PixelFormat
    ) -> None:
        self.out, self._name, self._count, self._size, self._format = out, name, count, size, format
        self._target = aside.place(out)
        names = [name(index) for index in range(1 if count is None else count)]
        in_it = self._target.is_dir()
        self._folder = aside.aside(self._target / names[0]) if in_it else aside.aside(self._target)
        self._written: set[int] = set()
        with aside.disk_errors(out):
            aside.remove(self._folder)
            self._folder.mkdir(parents=True)
        try:
            self._check_names(names)
        except BaseException:
            self.abort()
            raise

    def _check_names(self, names: Sequence[str]) -> None:
        """Find out now whether the disk takes such names, and whether they are free to be files."""
        longest = max(names, key=lambda name: len(os.fsencode(name)))
        for name in {names[0], longest}:
            with aside.disk_errors(self.out / name):
                (self._folder / name).write_bytes(b"")
                (self._folder / name).unlink()
        for name in names:
            file = self._target / name
            if file.is_dir():
                raise OutputError(f"'{self.out / name}' is a folder", wanted="a file", todo="Choose another --out.")
            if file.is_file() and not os.access(file, os.W_OK):
                raise _read_only(self.out / name)

    @property
    def files(self) -> frozenset[Path]:
        if self._count is None:
            return frozenset([self._target])
        return frozenset(self._target / self._name(index) for index in range(self._count))

    def write(self, frame: Frame, index: int) -> None:
        check_size(frame, self._size)
        file = self._folder / self._name(index)
        data = pictures.encode(frame, file.suffix.lower(), self._format)
        with aside.disk_errors(self.out / file.name):
            file.write_bytes(data)
        self._written.add(index)

    def commit(self) -> None:
        count = max(self._written, default=0) + 1 if self._count is None else self._count
        missing = sorted(set(range(count)) - self._written)
        if missing:
            raise ValueError(f"frames {missing} were never written")
        with aside.disk_errors(self.out):
            if not self._target.is_dir():
                aside.rename(self._folder, self._target)
                return
            aside.flush(self._folder)
            for file in self._folder.iterdir():
                file.replace(self._target / file.name)
            aside.flush(self._target, inside=False)
            aside.remove(self._folder)

    def abort(self) -> None:
        aside.remove(self._folder)


class PictureSink(Sink):
    """One picture."""

    def __init__(self, out: Path, size: tuple[int, int], format: PixelFormat) -> None:
        self.out, self._size, self._format = out, size, format
        self._data: bytes | None = None
        aside.claim(out)

    @property
    def files(self) -> frozenset[Path]:
        return frozenset([aside.place(self.out)])

    def write(self, frame: Frame, index: int) -> None:
        check_size(frame, self._size)
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
