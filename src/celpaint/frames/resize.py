"""The one way in which pictures change size."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, TypeVar

import cv2
import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["Enlarge", "resize", "resize_tensor"]

Enlarge = Literal["linear", "cubic"]
"""Interpolation where a picture grows: ``linear`` stays within the range of its neighbors, ``cubic`` is sharper."""

Picture = TypeVar("Picture", bound=npt.NDArray[Any])


def resize(picture: Picture, size: tuple[int, int], enlarge: Enlarge = "linear") -> Picture:
    """A picture at another size: averaged by area where it shrinks, so that no pixel is skipped, else interpolated.

    Args:
        picture: ``H W`` or ``H W C``, floats in [0, 1] or integers.
        size: (height, width) wanted.
        enlarge: interpolation where either side grows; what ``cubic`` overshoots is clipped to [0, 1].

    Returns:
        The same type; ``picture`` itself if it has that size already.
    """
    if picture.shape[:2] == size:
        return picture
    height, width = size
    if height <= picture.shape[0] and width <= picture.shape[1]:
        kind = cv2.INTER_AREA
    else:
        kind = cv2.INTER_CUBIC if enlarge == "cubic" else cv2.INTER_LINEAR
    resized: Picture = cv2.resize(picture, (width, height), interpolation=kind)
    if kind == cv2.INTER_CUBIC and np.issubdtype(picture.dtype, np.floating):
        np.clip(resized, 0, 1, out=resized)
    return resized


def resize_tensor(pictures: Tensor, size: tuple[int, int], enlarge: Enlarge = "linear") -> Tensor:
    """:func:`resize` of a batch ``B C H W`` on any device, computed in float32.

    Where a side does not shrink by a whole factor the numbers differ slightly: torch averages whole pixels, OpenCV
    weights those at the edges.
    """
    if tuple(pictures.shape[-2:]) == size:
        return pictures
    from torch.nn import functional as F

    x = pictures.float()
    if size[0] <= x.shape[-2] and size[1] <= x.shape[-1]:
        x = F.interpolate(x, size, mode="area")
    elif enlarge == "cubic":
        x = F.interpolate(x, size, mode="bicubic", antialias=True).clamp(0, 1)
    else:
        x = F.interpolate(x, size, mode="bilinear", antialias=True)
    return x.to(pictures.dtype)
