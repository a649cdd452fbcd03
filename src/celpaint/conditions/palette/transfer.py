"""Coloring gray pictures by their luma alone, without any network: what a model has to beat.

Both give every pixel a color by its gray value, the same wherever it is, and keep the luma.
"""

from __future__ import annotations

import numpy as np

from celpaint.conditions.luminance import luminance, with_luminance
from celpaint.conditions.palette.value import Palette
from celpaint.types import Array

__all__ = ["histogram_transfer", "luma_mapped"]

BINS = 64
"""Gray levels told apart in :func:`histogram_transfer`."""


def luma_mapped(gray: Array, palette: Palette) -> Array:
    """``... `` luma in [0, 1] -> ``... 3``: the chroma of the palette's colors at their lumas, linear in between.

    Darker and lighter than all colors, the chroma is that of the darkest and lightest.
    """
    rgb = palette.by_luma().rgb
    levels = luminance(rgb)
    chroma = rgb - levels[:, None]
    mapped = np.stack([np.interp(gray, levels, chroma[:, channel]) for channel in range(3)], axis=-1)
    return with_luminance((mapped + gray[..., None]).astype(np.float32), gray)


def histogram_transfer(gray: Array, reference: Array) -> Array:
    """The chroma of a color picture, carried over by the rank of the luma.

    A pixel lighter than a share q of the gray picture, equal ones counted half, gets the mean chroma of the reference's
    pixels of that rank (compare Reinhard et al., Color Transfer between Images, 2001, and Welsh et al.,
    Transferring Color to Greyscale Images, 2002).

    Args:
        gray: ``...`` luma in [0, 1].
        reference: ``... 3`` in [0, 1], of any size, at least one pixel.
    """
    pixels = reference.reshape(-1, 3)
    levels = luminance(pixels)
    ordered = (pixels - levels[:, None])[np.argsort(levels, kind="stable")]
    means = np.stack([part.mean(0) for part in np.array_split(ordered, min(BINS, len(ordered)))])
    rising = np.sort(gray.reshape(-1))
    ranks = (np.searchsorted(rising, gray, "left") + np.searchsorted(rising, gray, "right")) / (2 * gray.size)
    places = (np.arange(len(means)) + 0.5) / len(means)
    chroma = np.stack([np.interp(ranks, places, means[:, channel]) for channel in range(3)], axis=-1)
    return with_luminance((chroma + gray[..., None]).astype(np.float32), gray)
