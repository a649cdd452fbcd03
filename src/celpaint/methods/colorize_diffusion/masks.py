"""Where figures are: as the user says, as the alpha channel says, or as it is found."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np

from celpaint.conditions.figure import drawn_figure, painted_figure
from celpaint.conditions.lines import flatten
from celpaint.errors import InputError
from celpaint.frames.read import open_clip, read_picture
from celpaint.types import Array, Clip, Frame

__all__ = ["drawing_figure", "mask_for_drawing", "open_masks", "read_mask", "reference_figure"]

log = logging.getLogger("celpaint")

_OPAQUE = 0.5
"""Alpha below which a place is cut out."""


def read_mask(path: Path) -> Array:
    """A mask ``H W`` in [0, 1], 1 in the figure: the picture's alpha where it has transparent parts, else its tone.

    Raises:
        InputError: it is missing, no picture, or empty.
    """
    return _mask(read_picture(path)[0], f"'{path}'")


def open_masks(path: Path) -> Clip:
    """The masks of a shot's drawings: one picture, or a folder with one for each drawing.

    Raises:
        InputError: nothing there that can be read.
    """
    return open_clip(path)


def mask_for_drawing(masks: Clip, drawing: int, drawings: int, size: tuple[int, int]) -> Array:
    """The mask of one drawing.

    Args:
        masks: from :func:`open_masks`.
        drawing: its index.
        drawings: how many there are.
        size: (height, width) of the drawing.

    Raises:
        InputError: another number of masks than of drawings, one of another size, or an empty one.
    """
    if len(masks) != drawings:
        raise InputError(
            f"{_count(len(masks), 'mask')} for {_count(drawings, 'drawing')}",
            wanted="one for each drawing",
            todo="Give --mask a folder with one picture for each drawing; frames that are held share one.",
        )
    name = f"'{masks.files[drawing]}'" if len(masks.files) == drawings else f"mask {drawing + 1}"
    return sized(_mask(masks[drawing], name), size, name, "the drawing")


def sized(mask: Array, size: tuple[int, int], name: str, of: str) -> Array:
    """The mask itself.

    Raises:
        InputError: it has another size.
    """
    if mask.shape != size:
        raise InputError(
            f"the mask {name} is {mask.shape[1]}x{mask.shape[0]}, {of} {size[1]}x{size[0]}", wanted="one size"
        )
    return mask


def drawing_figure(line: Array, alpha: Array | None) -> Array | None:
    """The figure ``H W`` of a drawing: its alpha, else what its lines enclose; None where they enclose nothing.

    Args:
        line: ``H W``, 1 = ink, of any size.
        alpha: ``H W`` opacity, or None.
    """
    if alpha is not None and _is_cut_out(alpha):
        return alpha
    found = drawn_figure(line)
    if not found.any():
        log.warning(
            "the lines enclose no figure, so the whole drawing is colored as background; show where the figure is with "
            "--mask PICTURE"
        )
        return None
    return found


def reference_figure(picture: Frame) -> Array | None:
    """The figure ``H W`` of a reference: its alpha, else what its colors tell; None where they show no figure."""
    if picture.alpha is not None and _is_cut_out(picture.alpha):
        return picture.alpha
    found = painted_figure(flatten(picture))
    if not found.any():
        log.warning(
            "no figure is found in the reference, so all of it is used for the background; show where the figure "
            "is with --reference-mask PICTURE"
        )
        return None
    return found


def _mask(picture: Frame, name: str) -> Array:
    cut_out = picture.alpha is not None and _is_cut_out(picture.alpha)
    mask = picture.alpha if cut_out and picture.alpha is not None else picture.rgb.mean(axis=2)
    if float(mask.max()) < _OPAQUE:
        raise InputError(f"the mask {name} is empty", wanted="white, or opaque, where the figure is")
    return np.ascontiguousarray(mask, np.float32)


def _is_cut_out(alpha: Array) -> bool:
    return float(alpha.min()) < _OPAQUE


def _count(number: int, what: str) -> str:
    return f"{number} {what}" + ("" if number == 1 else "s")
