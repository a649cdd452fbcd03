"""Files -> clips: a folder, a pattern, one picture, an animation or a video, read when asked for.

>>> clip = open_clip("cut05/A_####.png")        # doctest: +SKIP
>>> for frame in clip: ...                      # doctest: +SKIP
"""

from __future__ import annotations

import logging
import weakref
from collections import Counter
from collections.abc import Iterable, Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np

from celpaint.errors import InputError
from celpaint.frames import color, pictures
from celpaint.frames.find import Found, find_in_folder, find_matching, nearby, siblings, wanted, wrong_kind
from celpaint.frames.names import is_pattern
from celpaint.frames.video import VIDEO_SUFFIXES, VideoClip, explain_times
from celpaint.types import Array, Clip, Frame, FrameNumber, PixelFormat

__all__ = ["AnimationClip", "PagesClip", "PictureClip", "VideoClip", "open_clip", "read_picture"]

log = logging.getLogger("celpaint")


def open_clip(source: str | Path) -> Clip:
    """Open what a user names as frames.

    Args:
        source: a folder that holds one numbered sequence; a pattern (``A_####.png``, ``A_%04d.png``: one sequence;
            ``A_*.png``: a glob; ``A_*_####.png``: a glob that says which number counts); a picture; a TIFF of several
            pages; an animated GIF, APNG or WebP; a video. Hidden files and files that are no pictures are passed over.

    Returns:
        The clip, with every header read and checked, and no pixels read beyond the first frame of a video.

    Raises:
        InputError: nothing there, several sequences mixed, numbers that can be read in several ways, a frame that is
            meant to be there and is not, frames of several sizes, or a file that can't be read.
    """
    path = Path(source)
    if path.is_dir():
        return _open_sequence(path, find_in_folder(path))
    if path.exists() or path.is_symlink():
        return _open_alone(path)
    if is_pattern(path.name):
        return _open_sequence(path.parent, find_matching(path))
    raise InputError(f"'{path}' does not exist", wanted=wanted(), todo=nearby(path))


def _open_alone(path: Path) -> Clip:
    """A file by its own name; a picture that is one of a sequence is said to be."""
    sequence = siblings(path)
    numbers = dict(zip(sequence.names, sequence.numbers, strict=False)) if sequence else {}
    clip = _open_file(path, [numbers[path.name]] if path.name in numbers else [])
    if sequence and len(sequence.names) > 1 and isinstance(clip, PictureClip):
        log.info(
            "'%s' is one of %d frames and is used alone; for all of them use '%s'",
            *(path, len(sequence.names), path.parent / sequence.pattern),
        )
    return clip


def read_picture(path: str | Path) -> tuple[Frame, PixelFormat]:
    """One picture, sRGB, and how it was stored; the first picture of an animation and the first page of a TIFF.

    A Photoshop document of 8 bits is read too: the merged picture that it was saved with.

    Raises:
        InputError: no such file, or it can't be read.
    """
    path = Path(path)
    if path.is_dir():
        raise InputError(f"'{path}' is a folder", wanted="one picture", todo="Give a file in it.")
    if path.suffix.lower() in VIDEO_SUFFIXES and path.exists():
        raise InputError(f"'{path}' is a video", wanted="one picture", todo="Export the frame you mean as PNG.")
    if not path.exists() and not path.is_symlink():
        raise InputError(f"'{path}' does not exist", wanted="a picture", todo=nearby(path))
    head = pictures.header(path)
    _note_pages([path], [head])
    return pictures.decode(path, head), head.format


class PictureClip(Clip):
    """One file a frame.

    Args:
        files: in order, at least one.
        numbers: the number of every frame, None to count from 1.

    Raises:
        InputError: a header can't be read, or sizes differ.
    """

    def __init__(self, files: Iterable[Path], numbers: Iterable[FrameNumber] | None = None) -> None:
        self.files = tuple(files)
        self.numbers = None if numbers is None else tuple(numbers)
        self._headers = tuple(pictures.header(file) for file in self.files)
        for file, head in zip(self.files, self._headers, strict=True):
            if head.size != self._headers[0].size:
                raise _mixed_sizes(self.files, [h.size for h in self._headers])
            if head.frames > 1:
                raise InputError(
                    f"'{file}' is an animation of {head.frames} pictures among single pictures",
                    wanted="one picture per file, or one animation",
                    todo="Give the animation itself, or export its pictures.",
                )
        _note_pages(self.files, self._headers)
        self.names = tuple(file.name for file in self.files)
        self.size = self._headers[0].size
        self.rate = None
        self.format = _common_format(self._headers)

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> Frame:
        return pictures.decode(self.files[index], self._headers[index])


def _common_format(headers: Sequence[pictures.Header]) -> PixelFormat:
    """The deepest of all, with alpha where any has it, at the first one's resolution."""
    formats = [head.format for head in headers]
    return PixelFormat(max(f.bits for f in formats), any(f.alpha for f in formats), formats[0].resolution)


def _note_pages(files: Sequence[Path], headers: Sequence[pictures.Header]) -> None:
    several = [(file, head.pages) for file, head in zip(files, headers, strict=True) if head.pages > 1]
    if several:
        file, pages = several[0]
        more = f" (and {len(several) - 1} more files hold several)" if len(several) > 1 else ""
        log.warning("'%s' holds %d pages%s; only the first is read", file, pages, more)


class PagesClip(Clip):
    """The pages of one TIFF, as a scanner with a feeder makes it; previews and masks are no pages.

    Args:
        path: the file.
        headers: of all its pages, of one size.
    """

    names = None
    rate = None

    def __init__(self, path: Path, headers: Sequence[pictures.Header]) -> None:
        self.files = (path,)
        self._headers = tuple(headers)
        self.size = headers[0].size
        self.format = _common_format(headers)

    def __len__(self) -> int:
        return len(self._headers)

    def __getitem__(self, index: int) -> Frame:
        return pictures.decode(self.files[0], self._headers[index])


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
        self.path, self.files = path, (path,)
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


def _open_sequence(folder: Path, found: Found) -> Clip:
    if len(found.files) == 1:
        return _open_file(found.files[0], found.numbers)
    if not found.numbers:
        log.info(
            "the names in '%s' have no number that distinguishes the frames, so they are counted: '%s' is frame 1",
            *(folder, found.files[0].name),
        )
    return PictureClip(found.files, found.numbers or None)


def _open_file(path: Path, numbers: Sequence[FrameNumber] = ()) -> Clip:
    suffix = path.suffix.lower()
    if suffix in VIDEO_SUFFIXES:
        return VideoClip(path)
    if suffix not in pictures.SUFFIXES:
        raise wrong_kind(path)
    head = pictures.header(path)
    if head.frames > 1:
        return AnimationClip(path)
    if head.pages > 1:
        headers = [pictures.header(path, page) for page in range(head.pages)]
        if len({h.size for h in headers}) == 1:
            return PagesClip(path, headers)
    return PictureClip([path], numbers or None)
