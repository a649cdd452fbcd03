"""Lines -> the regions they enclose, even where a line has gaps.

Trapped-ball segmentation (Zhang, Chen, Zhao, Huang & Tan, "Vectorizing cartoon animations", IEEE TVCG 15(4), 2009,
section 4.1): a ball that is moved about inside a region can't leave it through gaps smaller than itself. Balls become
smaller until all paper belongs to a region.
"""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from celpaint.types import Array

__all__ = ["INK_THRESHOLD", "Labels", "enclosed", "grow_regions", "label_regions"]

Labels = npt.NDArray[np.int32]

INK_THRESHOLD = 0.25
"""Coverage from which a pixel is ink; a soft line one pixel wide has more somewhere across it."""


def label_regions(line: Array, *, gap: float | None = None) -> Labels:
    """Number the regions that lines enclose.

    Args:
        line: ``H W`` in [0, 1], 1 where ink.
        gap: widest gap in a line that still parts two regions, in pixels; default: 1/90 of the picture's smaller side.

    Returns:
        ``H W`` from 1 on, 0 where ink; every other pixel has a region.
    """
    paper = (line < INK_THRESHOLD).astype(np.uint8)
    if gap is None:
        gap = min(line.shape) / 90
    labels = np.zeros(line.shape, np.int32)
    count = 0
    radius = int(np.ceil(gap / 2))
    while radius >= 1:
        ball = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1))
        free = paper & (labels == 0).astype(np.uint8)
        # Beyond the picture's edge is paper too, as far as the ball knows.
        centers = cv2.erode(free, ball, borderType=cv2.BORDER_CONSTANT, borderValue=1)
        found, parts = cv2.connectedComponents(centers, connectivity=8)
        if found > 1:
            reach = _dilate(parts, ball)
            taken = (free > 0) & (reach > 0)
            labels[taken] = reach[taken] + count
            count += found - 1
        radius //= 2
    return _join_slivers(labels, paper, count, gap)


def grow_regions(labels: Labels) -> Labels:
    """Ink takes the number of the nearest region; nothing changes where all is ink."""
    ink = (labels == 0).astype(np.uint8)
    if not ink.any() or ink.all():
        return labels
    _, index = cv2.distanceTransformWithLabels(ink, cv2.DIST_L2, cv2.DIST_MASK_5, labelType=cv2.DIST_LABEL_PIXEL)
    number = np.zeros(int(index.max()) + 1, np.int32)
    paper = ink == 0
    number[index[paper]] = labels[paper]
    grown: Labels = number[index]
    return grown


def enclosed(line: Array) -> npt.NDArray[np.int64]:
    """The region of every pixel of a drawing ``H W``, ink included: what tokens are told of regions."""
    return grow_regions(label_regions(line)).astype(np.int64)


def _dilate(parts: Labels, ball: npt.NDArray[np.uint8]) -> Labels:
    """The largest number under the ball; exact in float32 up to 2**24 regions."""
    wide: Labels = cv2.dilate(parts.astype(np.float32), ball).astype(np.int32)
    return wide


def _join_slivers(labels: Labels, paper: npt.NDArray[np.uint8], count: int, gap: float) -> Labels:
    """Paper no ball fitted in joins the region it touches most, or becomes one if it touches none."""
    rest = paper & (labels == 0).astype(np.uint8)
    found, parts, stats, _ = cv2.connectedComponentsWithStats(rest, connectivity=4)
    if found == 1:
        return labels
    touched: list[npt.NDArray[np.int64]] = []
    for axis, step in ((0, 1), (0, -1), (1, 1), (1, -1)):
        near = np.roll(labels, step, axis)
        edge = [slice(None), slice(None)]
        edge[axis] = slice(0, 1) if step == 1 else slice(-1, None)
        near[tuple(edge)] = 0
        meets = (parts > 0) & (near > 0)
        touched.append(parts[meets].astype(np.int64) * (count + 1) + near[meets])
    pairs, contacts = np.unique(np.concatenate(touched), return_counts=True)
    number = np.zeros(found, np.int32)
    for pair in pairs[np.argsort(contacts, kind="stable")]:
        number[pair // (count + 1)] = pair % (count + 1)
    # What is long and thin between lines is a region by itself, even where a gap opens it to another.
    alone = (number == 0) | (stats[:, cv2.CC_STAT_AREA] > 4 * gap * gap + 16)
    alone[0] = False
    number[alone] = count + 1 + np.arange(int(alone.sum()), dtype=np.int32)
    labels[rest > 0] = number[parts[rest > 0]]
    return labels
