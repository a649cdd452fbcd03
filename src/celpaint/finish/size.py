"""From the networks' working size to the source's."""

from __future__ import annotations

import math

from celpaint.conditions.regions import INK_THRESHOLD
from celpaint.finish._fill import carry_outwards
from celpaint.frames.resize import resize
from celpaint.types import Array

__all__ = ["to_size"]


def to_size(rgb: Array, size: tuple[int, int], line: Array | None = None) -> Array:
    """A picture at another size, its colors kept on their own side of the lines.

    Interpolation mixes the colors on both sides of an edge over one working pixel. Beside the drawn lines the mixture
    is replaced by the color a little farther off; on the lines it stays, weighted by their coverage, so that what the
    network painted as a line becomes as sharp as the drawn one.

    Args:
        rgb: ``h w 3`` in [0, 1].
        size: (height, width) wanted.
        line: ``H W`` at that size, 1 = ink; None interpolates only.
    """
    h, w = size
    if rgb.shape[:2] == size:
        return rgb
    scale = max(h / rgb.shape[0], w / rgb.shape[1])
    if scale <= 1:
        return resize(rgb, size)
    larger = resize(rgb, size, "cubic")
    if line is None:
        return larger
    fill = carry_outwards(larger, line > INK_THRESHOLD, math.ceil(1.5 * scale))
    coverage = line[..., None]
    sharpened: Array = fill + (larger - fill) * coverage
    return sharpened
