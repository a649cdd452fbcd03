"""TIFF files: which of their pages are pictures, and pixels that Pillow cannot read.

TIFF 6.0 (Adobe, 1992) and its Technical Notes.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from celpaint.frames import color
from celpaint.frames.color import Pixels
from celpaint.types import Array

__all__ = ["Page", "pages", "read_page"]

logging.getLogger("tifffile").addHandler(logging.NullHandler())  # else it prints what it thinks of broken tags

_ORIENTATION, _ICC, _SUBFILE, _OLD_SUBFILE = 0x0112, 34675, 254, 255
_RESOLUTION_UNIT, _ACROSS, _DOWN = 296, 282, 283
_REDUCED, _MASK, _OLD_REDUCED = 1, 4, 2
_INCHES = {2: 1.0, 3: 2.54}
_COLORS = {0: 1, 1: 1, 2: 3, 5: 4}
"""Color channels of the photometric interpretations white-is-zero, black-is-zero, RGB and separated (CMYK)."""
_WHITE_IS_ZERO = 0
_PREMULTIPLIED, _STRAIGHT = 1, 2


@dataclass(frozen=True)
class Page:
    """One picture in a TIFF.

    Attributes:
        index: its place among all pages of the file.
        size: (height, width) as stored.
        bits: bits a channel.
        integer: whether channels are unsigned integers.
        colors: channels of color, 0 where only Pillow knows the color model.
        alpha: whether one of the further channels is transparency.
        extras: further channels.
        orientation: as in EXIF, 1 to 8.
        resolution: pixels an inch, across and down, None where not said.
    """

    index: int
    size: tuple[int, int]
    bits: int
    integer: bool
    colors: int
    alpha: bool
    extras: int
    orientation: int
    resolution: tuple[float, float] | None


def pages(path: Path) -> list[Page]:
    """The pictures in a TIFF, without previews and masks.

    A page says that it is a smaller version of another, or a mask, by its subfile type (section 8,
    NewSubfileType, and the older SubfileType). Where every page says so, the largest is the picture.
    """
    import tifffile

    with tifffile.TiffFile(path) as file:
        all_pages = [file.pages[i] for i in range(len(file.pages))]
        whole = [i for i, page in enumerate(all_pages) if not _is_aside(page)]
        if not whole:
            whole = [max(range(len(all_pages)), key=lambda i: all_pages[i].imagelength * all_pages[i].imagewidth)]
        return [_page(i, all_pages[i]) for i in whole]


def _tag(page: Any, code: int, default: Any) -> Any:
    tag = page.tags.get(code)
    return default if tag is None else tag.value


def _is_aside(page: Any) -> bool:
    kind = _tag(page, _SUBFILE, 0)
    reduced = isinstance(kind, int) and int(kind) & (_REDUCED | _MASK)
    return bool(reduced) or _tag(page, _OLD_SUBFILE, 0) == _OLD_REDUCED


def _page(index: int, page: Any) -> Page:
    bits = page.bitspersample
    orientation = _tag(page, _ORIENTATION, 1)
    return Page(
        index,
        (int(page.imagelength), int(page.imagewidth)),
        int(max(bits) if isinstance(bits, tuple) else bits),
        page.sampleformat in (1, None),
        _COLORS.get(int(page.photometric), 0),
        any(extra in (_PREMULTIPLIED, _STRAIGHT) for extra in page.extrasamples),
        len(page.extrasamples),
        int(orientation) if orientation in range(1, 9) else 1,
        _resolution(page),
    )


def _resolution(page: Any) -> tuple[float, float] | None:
    inches = _INCHES.get(int(_tag(page, _RESOLUTION_UNIT, 2)))
    across, down = _tag(page, _ACROSS, None), _tag(page, _DOWN, None)
    if inches is None or across is None or down is None or not (across[1] and down[1]):
        return None
    return across[0] / across[1] * inches, down[0] / down[1] * inches


def read_page(path: Path, page: Page) -> tuple[Pixels, Array | None, bytes | None]:
    """Pixels of gray, RGB and CMYK of 8 or 16 bits, with any further channels.

    Returns:
        ``H W C`` as stored, orientation not applied, colors straight and 0 = black (CMYK: 0 = no ink); alpha in
        [0, 1] or None; the embedded profile or None.
    """
    import tifffile

    with tifffile.TiffFile(path) as file:
        stored_page: Any = file.pages[page.index]
        stored = stored_page.asarray()
        profile = _tag(stored_page, _ICC, None)
        extras = [int(extra) for extra in stored_page.extrasamples]
        planar = int(stored_page.planarconfig) == 2
        inverted = int(stored_page.photometric) == _WHITE_IS_ZERO
    stored = np.atleast_3d(np.moveaxis(stored, 0, -1) if planar and stored.ndim == 3 else stored)
    pixels: Pixels = ~stored[..., : page.colors] if inverted else stored[..., : page.colors]
    at = next((i for i, kind in enumerate(extras) if kind in (_PREMULTIPLIED, _STRAIGHT)), None)
    if at is None:
        return pixels, None, profile
    alpha = color.to_float(stored[..., page.colors + at])
    if extras[at] == _PREMULTIPLIED:
        pixels = _straight(pixels, alpha)
    return pixels, alpha, profile


def _straight(pixels: Pixels, alpha: Array) -> Pixels:
    """Undo a multiplication by alpha."""
    top = np.iinfo(pixels.dtype).max
    straight = np.divide(color.to_float(pixels), np.maximum(alpha, 1 / top)[..., None], dtype=np.float32)
    return color.quantize(straight, 16 if pixels.dtype == np.uint16 else 8)
