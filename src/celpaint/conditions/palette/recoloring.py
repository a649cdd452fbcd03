"""A painted shot in other colors: fills exactly, everything between them along with them.

The fills of the shot are moved to the colors of another palette. All other colors follow by an interpolation of these
moves in OKLab that is linear between two fills, so that gradients and shading stay smooth; the same color becomes the
same color in every frame. A pixel on the edge of two regions is a mixture of their colors, and becomes the same mixture
of their new ones, whatever fill it may happen to look like.
"""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from celpaint.conditions.palette.extraction import Frames
from celpaint.conditions.palette.matching import assigned, nearest
from celpaint.conditions.palette.value import MAX_COLORS, Palette
from celpaint.errors import InputError, OptionError
from celpaint.frames.oklab import oklab_to_srgb, srgb_to_oklab
from celpaint.types import Array, Frame

__all__ = ["Recoloring", "fills"]

LOOKED_AT = 10
"""Frames in which fills are searched."""

ALIKE = 0.08
"""In OKLab: colors that are nearer to each other are one fill."""

EXACT = 1.5 / 255
"""A color that is no farther from a fill in any channel is that fill, on edges too."""

FAR = 0.05
"""Of two explanations of an edge pixel by mixtures, one with a fill that isn't near has to be better by this much."""


def fills(frames: Frames, colors: int) -> Palette:
    """The colors that a shot is filled with, from dark to light.

    The most frequent color is taken, all that look like it are set aside, and so on. Pixels on smoothed edges have many
    different colors, so that even thin ink is more frequent than any of them.

    Args:
        frames: at least one; of more than 10, 10 spread evenly are looked at.
        colors: most of them, 1 to 32.

    Raises:
        InputError: all is transparent.
        OptionError: ``colors`` is out of range.
    """
    if not 1 <= colors <= MAX_COLORS:
        raise OptionError(f"--colors is {colors}", wanted=f"1 to {MAX_COLORS}")
    places = sorted({round(i * (len(frames) - 1) / (LOOKED_AT - 1)) for i in range(LOOKED_AT)})
    levels = np.concatenate([_opaque_levels(frames[place]) for place in places])
    if not len(levels):
        raise InputError("all pixels are transparent", wanted="painted frames")
    values, counts = np.unique(levels, axis=0, return_counts=True)
    rgb = (values / np.float32(255)).astype(np.float32)
    lab, left = srgb_to_oklab(rgb), counts.astype(np.float64)
    chosen: list[int] = []
    while len(chosen) < colors and left.any():
        chosen.append(int(left.argmax()))
        left[np.linalg.norm(lab - lab[chosen[-1]], axis=1) < ALIKE] = 0
    return Palette.from_array(rgb[chosen]).by_luma()


def _opaque_levels(frame: Frame) -> npt.NDArray[np.uint8]:
    levels = np.rint(frame.rgb * 255).astype(np.uint8)
    return levels.reshape(-1, 3) if frame.alpha is None else levels[frame.alpha > 0.5]


class Recoloring:
    """Moves the fills of a shot to other colors.

    Args:
        before: the fills, no two equal.
        after: what each becomes, as many.

    Raises:
        OptionError: two fills are equal, or not as many are given.
    """

    def __init__(self, before: Palette, after: Palette) -> None:
        if len(before) != len(after):
            raise OptionError(
                f"{len(before)} colors can't be replaced by {len(after)}",
                wanted="the same number of colors on both sides, in the same order",
            )
        if len(before.distinct()) != len(before):
            raise OptionError("two of the colors to be replaced are equal", wanted="every color once")
        self.before, self.after = before, after
        centers = srgb_to_oklab(before.rgb).astype(np.float64)
        moves = srgb_to_oklab(after.rgb) - centers
        count = len(centers)
        system = np.ones((count + 1, count + 1))  # weights of the fills, and a constant; the weights' sum is 0
        system[:count, :count] = np.linalg.norm(centers[:, None] - centers, axis=-1)
        system[count, count] = 0
        self._centers = centers
        self._weights = np.linalg.solve(system, np.concatenate([moves, np.zeros((1, 3))]))

    @classmethod
    def to(cls, before: Palette, palette: Palette) -> Recoloring:
        """Each fill to one of a palette's colors, chosen by :func:`~celpaint.conditions.palette.matching.assigned`."""
        chosen = assigned(before.rgb, palette)
        return cls(before, Palette.from_array(palette.rgb[chosen]))

    def __call__(self, rgb: Array) -> Array:
        """``H W 3`` in [0, 1] -> ``H W 3``. What is a fill at 8 bits becomes exactly its new color."""
        levels = np.rint(rgb * 65535).astype(np.int64)
        packed = (levels[..., 0] << 32) | (levels[..., 1] << 16) | levels[..., 2]
        _, first, index = np.unique(packed, return_index=True, return_inverse=True)
        colors = rgb.reshape(-1, 3)[first]
        index = index.reshape(rgb.shape[:2])
        moved = self.moved(colors)[index]
        label, is_fill = self._labels(colors)
        self._mix_edges(rgb, moved, label[index], is_fill[index])
        return moved

    def moved(self, colors: Array) -> Array:
        """``N 3`` sRGB colors -> ``N 3``, each by itself."""
        found = np.empty_like(colors)
        for start in range(0, len(colors), 1 << 16):
            part = slice(start, start + (1 << 16))
            lab = srgb_to_oklab(colors[part]).astype(np.float64)
            reach = np.linalg.norm(lab[:, None] - self._centers, axis=-1)
            found[part] = oklab_to_srgb((lab + reach @ self._weights[:-1] + self._weights[-1]).astype(np.float32))
        label, is_fill = self._labels(colors)
        found[is_fill] = self.after.rgb[label[is_fill]]
        return found

    def _labels(self, colors: Array) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.bool_]]:
        """``N 3`` -> the nearest fill of each, and whether it is that fill."""
        label = nearest(colors, self.before)
        return label.astype(np.uint8), np.abs(colors - self.before.rgb[label]).max(-1, initial=0) <= EXACT

    def _mix_edges(
        self, rgb: Array, moved: Array, label: npt.NDArray[np.uint8], is_fill: npt.NDArray[np.bool_]
    ) -> None:
        """Give edge pixels of ``moved`` the mixture, of what is on both sides, that they are in ``rgb``."""
        kernel = np.ones((3, 3), np.uint8)
        inside = (cv2.erode(label, kernel) == cv2.dilate(label, kernel)) | is_fill
        edge = np.flatnonzero(~inside)
        if not len(edge) or not inside.any():
            return
        beside = _nearest_inside(inside)[edge]
        near = np.stack([_near(inside & (label == number))[edge] for number in range(len(self.before))], axis=1)
        flat, new = rgb.reshape(-1, 3), moved.reshape(-1, 3)
        for start in range(0, len(edge), 1 << 15):
            part = slice(start, start + (1 << 15))
            color, one = flat[edge[part]], flat[beside[part]]
            way = self.before.rgb - one[:, None]
            length = np.square(way).sum(-1)
            share = ((color - one)[:, None] * way).sum(-1) / np.maximum(length, 1e-6)
            share = np.clip(share, 0, 1) * (length > 1e-4)
            mixture = one[:, None] + share[..., None] * way
            error = np.linalg.norm(color[:, None] - mixture, axis=-1) + FAR * ~near[part]
            row, other = np.arange(len(color)), error.argmin(1)
            share, mixture = share[row, other, None], mixture[row, other]
            made = new[beside[part]] * (1 - share) + self.after.rgb[other] * share
            rest = self.moved(color) - self.moved(mixture.astype(np.float32))
            new[edge[part]] = np.clip(made + rest, 0, 1)


def _nearest_inside(inside: npt.NDArray[np.bool_]) -> npt.NDArray[np.int64]:
    """For every pixel the flat index of the nearest one inside."""
    away = (~inside).astype(np.uint8)
    _, number = cv2.distanceTransformWithLabels(away, cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL)
    place = np.zeros(int(number.max()) + 1, np.int64)
    own = np.flatnonzero(inside)
    place[number.reshape(-1)[own]] = own
    found: npt.NDArray[np.int64] = place[number.reshape(-1)]
    return found


def _near(mask: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """Flat: within two pixels of the mask."""
    found: npt.NDArray[np.bool_] = cv2.dilate(mask.astype(np.uint8), np.ones((5, 5), np.uint8)).reshape(-1) > 0
    return found
