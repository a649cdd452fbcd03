"""Colors carried from the middle of regions to their lines, never across one."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from celpaint.types import Array

__all__ = ["carry_outwards", "take_nearest"]

Mask = npt.NDArray[np.bool_]


def carry_outwards(rgb: Array, barrier: Mask, margin: int) -> Array:
    """Replace the colors near lines by those a little farther off in the same region; lines take the nearest color.

    Farther off is ``margin`` pixels from the nearest line, or the middle where a region is narrower than that. From
    there colors move towards the line a pixel at a time, to the four neighbors only, so that a line one pixel thin
    stops them even where it runs diagonally; a pixel reached from several takes their mean.

    Args:
        rgb: ``H W C`` in [0, 1].
        barrier: ``H W``, true on lines.
        margin: in pixels.

    Returns:
        ``H W C``; pixels farther than ``margin`` from every line are those given.
    """
    if not barrier.any() or barrier.all():
        return rgb
    distance = cv2.distanceTransform((~barrier).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_5)
    middle = distance >= cv2.dilate(distance, np.ones((3, 3), np.uint8)) - 0.3
    sound = ~barrier & (middle | (distance > margin))
    stride = rgb.shape[1] + 2
    known = np.pad(sound, 1).ravel()
    band = np.flatnonzero(np.pad(~barrier & ~sound, 1).ravel())
    flat = cv2.copyMakeBorder(rgb, 1, 1, 1, 1, cv2.BORDER_CONSTANT).reshape(-1, rgb.shape[2])
    steps = np.array([-stride, -1, 1, stride])
    for _ in range(2 * margin):
        if not band.size:
            break
        around = band[:, None] + steps
        sources = known[around]
        count = sources.sum(axis=1)
        reached = count > 0
        if not reached.any():
            break
        front, around, weights = band[reached], around[reached], sources[reached] / count[reached, None]
        flat[front] = np.einsum("nk,nkc->nc", weights.astype(np.float32), flat[around])
        known[front] = True
        band = band[~reached]
    filled = flat.reshape(rgb.shape[0] + 2, stride, rgb.shape[2])[1:-1, 1:-1]
    return take_nearest(np.ascontiguousarray(filled), barrier)


def take_nearest(picture: Array, barrier: Mask) -> Array:
    """Every pixel of the barrier takes the value (``H W C``) of the nearest pixel that is not of it."""
    _, labels = cv2.distanceTransformWithLabels(
        barrier.astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_5, labelType=cv2.DIST_LABEL_PIXEL
    )
    free = np.flatnonzero(~barrier.ravel())
    where = np.zeros(int(labels.max()) + 1, np.intp)
    where[labels.ravel()[free]] = free
    filled = picture.reshape(-1, picture.shape[2]).copy()
    covered = np.flatnonzero(barrier.ravel())
    filled[covered] = filled[where[labels.ravel()[covered]]]
    return filled.reshape(picture.shape)
