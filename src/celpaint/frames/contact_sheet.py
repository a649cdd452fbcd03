"""Contact sheets: pictures in rows and columns, with captions and headings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

from celpaint.frames.color import quantize
from celpaint.frames.resize import resize

__all__ = ["SheetRow", "contact_sheet"]

Picture = npt.NDArray[np.float32] | npt.NDArray[np.uint8]

PAPER = (232, 232, 229)
"""Light gray, so that white pictures show their edges."""

GAP, STRIP, FONT = 4, 24, 15
"""Pixels between pictures, of a line of text, of its letters."""


@dataclass(frozen=True)
class SheetRow:
    """Pictures side by side, all of one size: ``H W 3``, uint8 or floats in [0, 1].

    Attributes:
        caption: a line above them; empty takes no room.
    """

    pictures: Sequence[Picture]
    caption: str = ""


def contact_sheet(
    rows: Sequence[SheetRow], columns: Sequence[str] = (), *, width: int | None = None
) -> npt.NDArray[np.uint8]:
    """Rows below one another on light gray.

    Args:
        rows: at least one picture; rows may be of different lengths and of different picture sizes.
        columns: headings over the columns, none by default.
        width: that every picture is brought to, in pixels, keeping its aspect; None keeps their sizes.

    Returns:
        ``H W 3``, uint8.
    """
    parts = [[_thumbnail(picture, width) for picture in row.pictures] for row in rows]
    cell = max(picture.shape[1] for row in parts for picture in row)
    heights = [max(picture.shape[0] for picture in row) for row in parts]
    strips = [STRIP if row.caption else 0 for row in rows]
    head = STRIP if columns else 0
    total = head + sum(heights) + sum(strips) + GAP * (len(rows) - 1)
    count = max(len(columns), *(len(row) for row in parts))
    sheet = Image.new("RGB", (count * (cell + GAP) - GAP, total), PAPER)
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default(FONT)
    for column, text in enumerate(columns):
        center = column * (cell + GAP) + cell // 2, STRIP // 2
        pen.text(center, text, fill="black", font=font, anchor="mm")
    top = head
    for row, pictures, height, strip in zip(rows, parts, heights, strips, strict=True):
        if strip:
            pen.text((2, top + strip // 2), row.caption, fill="black", font=font, anchor="lm")
        for column, picture in enumerate(pictures):
            sheet.paste(Image.fromarray(picture), (column * (cell + GAP), top + strip))
        top += strip + height + GAP
    return np.asarray(sheet)


def _thumbnail(picture: Picture, width: int | None) -> npt.NDArray[np.uint8]:
    pixels = picture if picture.dtype == np.uint8 else quantize(picture.astype(np.float32), 8)
    if width is not None:
        pixels = resize(pixels, (max(round(width * pixels.shape[0] / pixels.shape[1]), 1), width), "cubic")
    return np.ascontiguousarray(pixels, np.uint8)
