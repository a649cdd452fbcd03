"""A painted picture, fitted to the size of its shot."""

from __future__ import annotations

from dataclasses import dataclass

import cv2

from celpaint.conditions.lines import flatten
from celpaint.frames.resize import resize
from celpaint.types import Array, Frame

__all__ = ["Fit", "fit_reference"]

SAME_ASPECT = 0.01
"""Aspects that differ by less than this share count as one: the whole picture is scaled."""


@dataclass(frozen=True)
class Fit:
    """What was done to a reference.

    Attributes:
        box: (top, left, height, width) of the picture inside the shot's frame, in pixels.
        sentence: for people, empty where nothing was done.
        alpha: ``H W`` in [0, 1] at the shot's size; None where the picture is opaque.
    """

    box: tuple[int, int, int, int]
    sentence: str
    alpha: Array | None = None


def fit_reference(frame: Frame, size: tuple[int, int]) -> tuple[Array, Fit]:
    """The reference at the shot's size, on white paper where it is transparent.

    A reference of the shot's aspect (within 1 %) is scaled as a whole, so that it stays in register with the line frame
    it belongs to. Any other is scaled to fit inside, centerd, and its edges continued outwards: nothing of the painting
    is lost and nothing is distorted.

    Args:
        frame: the painting.
        size: (height, width) of the shot.

    Returns:
        ``H W 3`` in [0, 1] and what was done.
    """
    h, w = frame.size
    height, width = size
    done: list[str] = []
    rgb = flatten(frame)
    alpha = frame.alpha if frame.alpha is not None and float(frame.alpha.min()) < 1 else None
    box = (0, 0, height, width)
    if (h, w) != size:
        if abs((w / h) / (width / height) - 1) > SAME_ASPECT:
            scale = min(height / h, width / w)
            inner = min(max(round(h * scale), 1), height), min(max(round(w * scale), 1), width)
            box = ((height - inner[0]) // 2, (width - inner[1]) // 2, *inner)
            done.insert(0, "its aspect ratio differs, so it was scaled to fit inside and its edges were extended")
        else:
            done.insert(0, "it was scaled")
        rgb = _place(rgb, box, size)
        alpha = None if alpha is None else _place(alpha, box, size)
    sentence = ""
    if done:
        sentence = f"The reference is {w}x{h}, the shot {width}x{height}: {'; '.join(done)}."
    return rgb, Fit(box, sentence, alpha)


def _place(picture: Array, box: tuple[int, int, int, int], size: tuple[int, int]) -> Array:
    """``H W`` or ``H W 3`` scaled into ``box`` of a frame of ``size``, its edges continued to the frame's."""
    top, left, h, w = box
    scaled = resize(picture, (h, w), "cubic")
    placed: Array = cv2.copyMakeBorder(scaled, top, size[0] - top - h, left, size[1] - left - w, cv2.BORDER_REPLICATE)
    return placed
