"""Files -> clips: a folder, a pattern, one picture, an animation or a video, read when asked for.

>>> clip = open_clip("cut05/A_####.png")        # doctest: +SKIP
>>> for frame in clip: ...                      # doctest: +SKIP
"""

from __future__ import annotations

import fnmatch
import weakref
from collections import Counter
from collections.abc import Iterable, Iterator
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import numpy as np

from celpaint.errors import InputError
from celpaint.frames import color, pictures
from celpaint.frames.names import Pattern, find_sequences, is_pattern, natural_key
from celpaint.frames.video import VIDEO_SUFFIXES, VideoClip, explain_times
from celpaint.types import Array, Clip, Frame, PixelFormat

__all__ = ["AnimationClip", "PictureClip", "VideoClip", "open_clip", "read_picture"]

_KNOWN = "a folder or pattern of pictures ({}), or a video ({})".format(
    ", ".join(s[1:] for s in pictures.SUFFIXES), ", ".join(s[1:] for s in VIDEO_SUFFIXES)
)


def open_clip(source: str | Path) -> Clip:
    """Open what a user names as frames.

    Args:
        source: a folder that holds one numbered sequence; a pattern (``A_####.png``, ``A_%04d.png``: one sequence;
            ``A_*.png``: a glob taken at its word, in natural order); a picture; an animated GIF, APNG or WebP; a video.
            Hidden files and files that are no pictures are passed over.

    Returns:
        The clip, with every header read and checked, and no pixels read beyond the first frame of a video.

    Raises:
        InputError: nothing there, several sequences mixed, frames of several sizes, or a file that can't be read.
    """
    path = Path(source)
    if path.is_dir():
        return _open_sequence(_one_sequence(path))
    if path.exists():
        return _open_file(path)
    if is_pattern(path.name):
        return _open_sequence(_matching(path))
    raise InputError(f"'{path}' does not exist", wanted=_KNOWN, todo=_nearby(path))


def read_picture(path: str | Path) -> tuple[Frame, PixelFormat]:
    """One picture, sRGB, and how it was stored; the first picture of an animation.

    Raises:
        InputError: no such file, or it can't be read.
    """
    path = Path(path)
    if path.is_dir():
        raise InputError(f"'{path}' is a folder", wanted="one picture", todo="Name a file in it.")
    if path.suffix.lower() in VIDEO_SUFFIXES and path.exists():
        raise InputError(f"'{path}' is a video", wanted="one picture", todo="Export the frame you mean as PNG.")
    head = pictures.header(path)
    return pictures.decode(path, head), head.format


class PictureClip(Clip):
    """One file a frame.

    Args:
        files: in order, at least one.

    Raises:
        InputError: a header can't be read, or sizes differ.
    """

    def __init__(self, files: Iterable[Path]) -> None:
        self.files = tuple(files)
        self._headers = tuple(pictures.header(file) for file in self.files)
        first = self._headers[0]
        for file, head in zip(self.files, self._headers, strict=True):
            if head.size != first.size:
                raise _mixed_sizes(self.files, [h.size for h in self._headers])
            if head.frames > 1:
                raise InputError(
                    f"'{file}' is an animation of {head.frames} pictures among single pictures",
                    wanted="one picture a file, or one animation",
                    todo="Give the animation itself, or export its pictures.",
                )
        self.names = tuple(file.name for file in self.files)
        self.size = first.size
        self.rate = None
        formats = [head.format for head in self._headers]
        self.format = PixelFormat(max(f.bits for f in formats), any(f.alpha for f in formats))

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> Frame:
        return pictures.decode(self.files[index], self._headers[index])


def _mixed_sizes(files: tuple[Path, ...], sizes: list[tuple[int, int]]) -> InputError:
    usual = Counter(sizes).most_common(1)[0][0]
    a = sizes.index(usual)
    b = next(i for i, size in enumerate(sizes) if size != usual)
    (ha, wa), (hb, wb) = sizes[a], sizes[b]
    return InputError(
        f"'{files[a]}' is {wa} x {ha} pixels and '{files[b]}' is {wb} x {hb}",
        wanted="frames of one size",
        todo=f"Export '{files[b].name}' again at {wa} x {ha}, or take it out.",
    )


class AnimationClip(Clip):
    """An animated GIF, APNG or WebP: every picture as shown, laid over those before it as the file says."""

    names = None

    def __init__(self, path: Path) -> None:
        self.path = path
        with pictures.reading(path, "an animation"):
            self._file = path.open("rb")
            weakref.finalize(self, self._file.close)
            self._rewind()
            # An APNG may hold a still picture for programs that know no animation; it is no frame.
            self._skip = int(bool(getattr(self._image, "default_image", False)))
            self._length = int(getattr(self._image, "n_frames", 1)) - self._skip
            times, alpha = self._scan()
        self.size = (self._image.height, self._image.width)
        self.format = PixelFormat(8, alpha)
        self.rate, self.times = explain_times(times, _ROUNDING.get(self._image.format or "", Fraction(1, 1000)), [])
        self._cached: tuple[int, Frame] | None = None

    def _rewind(self) -> None:
        """Open the file anew: Pillow loses its place in an APNG that is sent back."""
        from PIL import Image

        self._file.seek(0)
        self._image = Image.open(self._file)

    def _scan(self) -> tuple[list[Fraction], bool]:
        """When every picture shows, and whether any is see-through."""
        times, alpha = [Fraction(0)], False
        for index in range(self._length):
            _, opacity = self._pixels(index)
            alpha = alpha or (opacity is not None and bool(opacity.min() < 1))
            milliseconds = self._image.info.get("duration") or _DEFAULT_MILLISECONDS
            times.append(times[-1] + Fraction(milliseconds).limit_denominator(10**6) / 1000)
        return times[:-1], alpha

    def _pixels(self, index: int) -> tuple[color.Pixels, Array | None]:
        if index + self._skip < self._image.tell():
            self._rewind()
        self._image.seek(index + self._skip)
        return pictures.from_pillow(self._image)

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, index: int) -> Frame:
        index = range(self._length)[index]
        if self._cached is None or self._cached[0] != index:
            with pictures.reading(self.path, "an animation"):
                pixels, alpha = self._pixels(index)
            rgb = color.to_float(np.repeat(pixels, 3, axis=-1) if pixels.shape[-1] == 1 else pixels)
            if not self.format.alpha:
                alpha = None
            elif alpha is None:
                alpha = np.ones(self.size, np.float32)
            self._cached = index, Frame(rgb, alpha)
        return self._cached[1]


_ROUNDING = {"GIF": Fraction(1, 100), "PNG": Fraction(1, 10**6)}
"""How finely a format states times, in seconds; milliseconds elsewhere."""

_DEFAULT_MILLISECONDS = 100
"""How long browsers show a picture that says it lasts no time."""


# ------------------------------------------------------------------------------------------------- finding the files


def _open_file(path: Path) -> Clip:
    suffix = path.suffix.lower()
    if suffix in VIDEO_SUFFIXES:
        return VideoClip(path)
    if suffix not in pictures.SUFFIXES:
        raise InputError(f"'{path}' has the suffix '{path.suffix}'", wanted=_KNOWN, todo="Export it as one of these.")
    return AnimationClip(path) if pictures.header(path).frames > 1 else PictureClip([path])


def _open_sequence(files: list[Path]) -> Clip:
    return _open_file(files[0]) if len(files) == 1 else PictureClip(files)


def _pictures_in(folder: Path) -> Iterator[Path]:
    for file in folder.iterdir():
        if file.suffix.lower() in pictures.SUFFIXES and not file.name.startswith(".") and file.is_file():
            yield file


def _one_sequence(folder: Path) -> list[Path]:
    with pictures.reading(folder, "a folder of pictures"):
        files = {file.name: file for file in _pictures_in(folder)}
    if not files:
        raise _no_pictures(folder)
    sequences = find_sequences(files)
    if len(sequences) > 1:
        listed = [f"{s.pattern} ({len(s.names)} pictures)" if len(s.names) > 1 else s.pattern for s in sequences[:5]]
        more = f" and {len(sequences) - 5} more" if len(sequences) > 5 else ""
        longest = max(sequences, key=lambda s: len(s.names))
        raise InputError(
            f"'{folder}' holds {len(sequences)} sequences: {', '.join(listed)}{more}",
            wanted="one",
            todo=f"Name the one you mean, for instance '{folder / longest.pattern}'.",
        )
    return _unambiguous([files[name] for name in sequences[0].names])


def _matching(source: Path) -> list[Path]:
    folder = source.parent
    if not folder.is_dir():
        raise InputError(f"the folder '{folder}' does not exist", wanted=_KNOWN, todo=_nearby(folder))
    pattern = Pattern.parse(source.name)
    if pattern is None or any(mark in source.name for mark in "*?["):
        files = [file for file in _pictures_in(folder) if fnmatch.fnmatch(file.name, source.name)]
        files.sort(key=lambda file: natural_key(file.name))
    else:
        numbered = [(pattern.number(file.name), file) for file in _pictures_in(folder)]
        files = [file for number, file in sorted((n, f) for n, f in numbered if n is not None)]
        files = _unambiguous(files, pattern)
    if not files:
        there = [s.pattern for s in find_sequences(file.name for file in _pictures_in(folder))][:5]
        todo = f"There is: {', '.join(there)}." if there else "There are no pictures in that folder."
        raise InputError(f"no picture fits '{source}'", wanted="at least one", todo=todo)
    return files


def _unambiguous(files: list[Path], pattern: Pattern | None = None) -> list[Path]:
    """The files, once no two of them bear the same number (``A_1.png`` and ``A_01.png``)."""
    for a, b in pairwise(files):
        same = natural_key(a.name)[:-1] == natural_key(b.name)[:-1]
        if same or (pattern is not None and pattern.number(a.name) == pattern.number(b.name)):
            raise InputError(f"'{a}' and '{b.name}' bear the same number", wanted="one of them", todo="Move one away.")
    return files


def _no_pictures(folder: Path) -> InputError:
    visible = sorted((f for f in folder.iterdir() if not f.name.startswith(".")), key=lambda f: natural_key(f.name))
    videos = [f for f in visible if f.suffix.lower() in VIDEO_SUFFIXES]
    folders = [f for f in visible if f.is_dir() and any(_pictures_in(f))]
    kinds = Counter(f.suffix.lower() for f in visible if f.is_file())
    if not visible:
        seen, todo = f"the folder '{folder}' is empty", "Check the path."
    else:
        seen = f"the folder '{folder}' holds no pictures"
        if kinds:
            seen += ", only " + ", ".join(f"{n} {kind or 'without suffix'}" for kind, n in kinds.most_common(3))
        todo = "Check the path."
    if videos:
        todo = f"Give the video itself: '{videos[0]}'."
    elif folders:
        todo = f"Give a folder in it: {', '.join(repr(str(f)) for f in folders[:5])}."
    return InputError(seen, wanted=_KNOWN, todo=todo)


def _nearby(path: Path) -> str:
    """What a user may have meant by a path that is not there."""
    import difflib

    folder = path.parent
    if not folder.is_dir():
        return "Check the path."
    names = [file.name for file in folder.iterdir() if not file.name.startswith(".")]
    close = difflib.get_close_matches(path.name, names, n=1)
    return f"Did you mean '{folder / close[0]}'?" if close else "Check the path."
