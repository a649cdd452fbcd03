"""The artist's own lines, laid over the colors."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np

from celpaint.conditions.regions import INK_THRESHOLD
from celpaint.finish._fill import carry_outwards, take_nearest
from celpaint.finish.painted_ink import PaintedInk
from celpaint.types import Array, Frame, LineArt

__all__ = ["cut_out", "lay_ink", "lay_ink_on_cel"]


def lay_ink(
    rgb: Array,
    art: LineArt,
    margin: int | None = None,
    painted: PaintedInk | None = None,
    behind: Callable[[Array], Array] | None = None,
) -> Array:
    """The colored frame with the lines as they were drawn.

    What the method painted under and beside the lines (its own, softer lines) is replaced by the fill colors next to
    them; then the ink is laid over by its coverage. Color-trace lines are not laid: the fills on their two sides meet
    under them, softly unless the drawing is without soft edges.

    Args:
        rgb: ``H W 3`` in [0, 1] at the source's size.
        art: the lines; if they were not drawn (extracted from a painting), ``rgb`` is returned as it is.
        margin: how far, in pixels, the method's lines reach beyond the drawn ones; default 1/160 of the height, two
            pixels at a working height of 320.
        painted: the ink's colors as paintings show them; None: as drawn, saturated lines being color trace.
        behind: changes the fills under the lines, ``H W 3`` -> ``H W 3``; see :class:`~celpaint.finish.backdrop`.

    Returns:
        ``H W 3``; where coverage is 1 exactly the ink, far from lines exactly ``rgb``.
    """
    if not art.drawn:
        return rgb
    fill, ink, coverage = _layers(rgb, art, margin, painted)
    if behind is not None:
        fill = behind(fill)
    inked: Array = fill * (1 - coverage) + ink * coverage
    return inked


def lay_ink_on_cel(
    rgb: Array, alpha: Array, art: LineArt, margin: int | None = None, painted: PaintedInk | None = None
) -> Frame:
    """The same where the fills are partly transparent: a frame with alpha, straight.

    Args:
        rgb, art, margin, painted: see :func:`lay_ink`.
        alpha: ``H W`` in [0, 1], of the fills.
    """
    if not art.drawn:
        return Frame(rgb, alpha)
    fill, ink, coverage = _layers(rgb, art, margin, painted)
    below = carry_outwards(alpha[..., None], art.line > INK_THRESHOLD, _margin(rgb, margin)) * (1 - coverage)
    whole = below + coverage
    mixed = (fill * below + ink * coverage) / np.maximum(whole, 1e-6)
    return Frame(np.where(whole > 0, mixed, fill).astype(np.float32), whole[..., 0])


def _layers(rgb: Array, art: LineArt, margin: int | None, painted: PaintedInk | None) -> tuple[Array, Array, Array]:
    """Fills carried under the lines ``H W 3``, ink ``H W 3`` and its coverage ``H W 1``."""
    fill = carry_outwards(rgb, art.line > INK_THRESHOLD, _margin(rgb, margin))
    if painted is not None:
        return fill, painted.under(art, fill), art.line[..., None]
    if art.trace.any() and np.any((art.line > 0) & (art.line < 1)):
        smooth = cv2.blur(fill, (3, 3), borderType=cv2.BORDER_REPLICATE)
        fill = fill + (smooth - fill) * art.trace[..., None]
    coverage, ink = _black_part(art)
    return fill, ink, coverage


def _margin(rgb: Array, margin: int | None) -> int:
    return max(round(rgb.shape[0] / 160), 2) if margin is None else margin


def _black_part(art: LineArt) -> tuple[Array, Array]:
    """Coverage ``H W 1`` and ink ``H W 3`` of what is not color trace; where they mix, the trace has all the hue."""
    coverage = art.line - art.trace
    mixed = art.trace > 0
    ink = art.ink.copy()
    gray = ink[mixed].min(axis=1) * art.line[mixed] / np.maximum(coverage[mixed], 1e-6)
    ink[mixed] = np.minimum(gray, 1)[:, None]
    return coverage[..., None], ink


def cut_out(rgb: Array, art: LineArt, tolerance: float = 0.1) -> Frame:
    """An inked frame with the unpainted outside made transparent.

    Outside is what is white and reaches the frame's border without meeting a line or a color; white inside the drawing
    stays. Soft edges of outer lines keep their coverage as alpha and their ink as color, so that the cel goes over any
    background without a pale fringe.

    Args:
        rgb: ``H W 3``, the result of :func:`lay_ink`.
        art: its lines.
        tolerance: how far from white, in any channel, still counts as unpainted.
    """
    barrier = art.line > INK_THRESHOLD
    coverage, ink = _black_part(art) if art.drawn else (art.line[..., None], rgb)
    fill = rgb - ink * coverage
    empty = ~barrier & (fill >= (1 - tolerance) * (1 - coverage)).all(axis=2)
    _, labels = cv2.connectedComponents(empty.astype(np.uint8), connectivity=4)
    border = np.concatenate([labels[0], labels[-1], labels[:, 0], labels[:, -1]])
    outside = np.isin(labels, np.unique(border[border > 0]))
    if not outside.any():
        return Frame(rgb, np.ones(art.line.shape, np.float32))
    outer = take_nearest(outside[..., None].astype(np.float32), barrier)
    alpha = 1 - outer * (1 - coverage)
    return Frame(np.where(outer > 0, ink, rgb), alpha[..., 0])
