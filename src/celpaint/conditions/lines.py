"""Frames -> drawn lines.

A drawing is read as *coverage and ink*: ``line`` says how much of a pixel the ink covers, ``ink`` which color it
has, so that ``1 - line + line * ink`` is the drawing again, soft edges and all. Black on white, white on black and ink
on transparent paper all come out alike; a painting has no drawn lines, so they are extracted from it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Literal, NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from celpaint.types import Array, Frame, LineArt

__all__ = [
    "LineKind",
    "Look",
    "classify",
    "classify_clip",
    "dog_lines",
    "extract_lines",
    "flatten",
    "read_lines",
    "without_empty_alpha",
    "working_lines",
]

LineKind = Literal["black on white", "white on black", "on transparent", "painting"]
"""How a frame shows its lines; the last has none of its own."""


class Look(NamedTuple):
    """What reading a shot's lines takes to know of it.

    Attributes:
        kind: how they show.
        colored: that nothing is drawn but saturated lines. Then these are its ink; beside other ink they are trace.
        agreed: how many of the frames looked at are of this kind; ``judged``: how many were looked at.
    """

    kind: LineKind
    colored: bool = False
    agreed: int = 1
    judged: int = 1


Mask = npt.NDArray[np.bool_]

_SEEN_AT = 640
"""Longest side, in pixels, at which a frame is judged; reading is done at its own size."""


def without_empty_alpha(frame: Frame) -> Frame:
    """The frame without an alpha channel that says nothing: 0 wherever something is drawn, as some programs write."""
    if frame.alpha is None:
        return frame
    drawn = np.abs(frame.rgb - np.median(frame.rgb.reshape(-1, 3), axis=0)).max(axis=2) > 0.1
    return Frame(frame.rgb) if drawn.any() and not frame.alpha[drawn].any() else frame


def flatten(frame: Frame) -> Array:
    """``H W 3`` in [0, 1]: the frame on white paper."""
    if frame.alpha is None:
        return frame.rgb
    alpha = frame.alpha[..., None]
    return frame.rgb * alpha + (1 - alpha)


def read_lines(frame: Frame, mode: Literal["auto", "keep", "extract"] = "auto", look: Look | None = None) -> LineArt:
    """The lines of a frame.

    Args:
        frame: a drawing or a painting.
        mode: ``keep`` takes the lines as drawn even where the frame looks like a painting, ``extract`` finds lines in
            the colors even where it looks like a drawing, ``auto`` decides by ``look``.
        look: what :func:`classify_clip` said of the whole shot; None judges this frame alone.

    Returns:
        Line art of the frame's size. Where it was drawn, ``1 - line + line * ink`` is the drawing on white paper to
        within 1/255; scanned paper is made white first, and white on black turned to black on white, hues kept.
    """
    if mode == "extract":
        return _extracted(frame)
    kind, colored, *_ = look or classify(frame)
    if kind == "on transparent" and not _has_transparency(frame):
        kind = classify(frame).kind
    if kind == "painting" and mode == "auto":
        return _extracted(frame)
    if kind == "painting":
        kind = _judge(frame, drawn=True)[0].kind
    if kind == "on transparent" and frame.alpha is not None:
        return _line_art(frame.alpha.astype(np.float32), frame.rgb, colored)
    rgb = flatten(frame)
    if kind == "white on black":
        rgb = _negative(rgb)
    return _unmix(_white_paper(rgb), colored)


def classify(frame: Frame) -> Look:
    """How this frame shows its lines. An empty one is a drawing without ink, not a painting."""
    return _judge(frame)[0]


def classify_clip(samples: Iterable[Frame]) -> Look:
    """How a shot shows its lines, by the majority of some of its frames, so that one odd frame flips nothing.

    Frames without any drawing have no say unless all are empty.

    Raises:
        ValueError: no frame was given.
    """
    judged = [_judge(frame) for frame in samples]
    if not judged:
        raise ValueError("classify_clip wants at least one frame")
    looks = [look for look, inked in judged if inked] or [look for look, _ in judged]
    kind = Counter(look.kind for look in looks).most_common(1)[0][0]
    colored = [look.colored for look in looks if look.kind == kind]
    return Look(kind, 2 * sum(colored) > len(colored), len(colored), len(looks))


# -- drawings: coverage and ink ------------------------------------------------------------------------------------


def _unmix(rgb: Array, colored: bool) -> LineArt:
    """A drawing on white paper as coverage and ink.

    Any coverage c >= 1 - min(rgb) has an ink 1 - (1 - rgb) / c in [0, 1] that gives the drawing back. The least one
    lets most of the color below show; dividing it by the darkness of the ink's own cores makes gray ink opaque too.
    """
    low, high = _extremes(rgb)
    darkness = 1 - low
    cores = darkness > 0.3
    if not colored:
        cores &= high - low < 0.5 * darkness
    line = np.minimum(darkness / _ink_darkness(darkness[cores]), 1)
    inked = line > 0
    ink = np.zeros_like(rgb)
    ink[inked] = np.clip(1 - (1 - rgb[inked]) / line[inked, None], 0, 1)
    return _line_art(line, ink, colored)


def _ink_darkness(cores: Array) -> float:
    """How dark the ink is where it covers fully, from line cores' darkness: in [0.5, 1]; 1 where there is none."""
    return float(np.clip(np.percentile(cores, 90), 0.5, 1)) if cores.size else 1.0


def _line_art(line: Array, ink: Array, colored: bool) -> LineArt:
    """Line art whose saturated inks count as color trace, unless it is ``colored``, that is, has no other ink.

    Ink is trace from a :func:`_purity` of 0.7 on; its soft edge and its mixture with black ink beside it are trace by
    their share. What is faint and alone is grain.
    """
    if colored:
        return LineArt(line=line, ink=ink, trace=np.zeros_like(line))
    purity = np.where(line > 0, _purity(ink), 0)
    solid = line > 0.3
    beside = cv2.dilate((solid & (purity > 0.7)).astype(np.uint8), np.ones((5, 5), np.uint8))
    share = np.maximum((solid | (beside > 0)) * np.clip((purity - 0.55) / 0.15, 0, 1), beside * purity)
    trace: Array = line * share.astype(np.float32)
    return LineArt(line=line, ink=ink, trace=trace)


def _purity(ink: Array) -> Array:
    """``H W 3`` -> ``H W``, the share of pure hue in an ink, the rest being black, however thinly it covers the paper.

    (max - min) / (1 - min): 1 for red, green or blue, about 0.3 for a brown outline, 0 for gray.
    """
    low, high = _extremes(ink)
    return np.asarray((high - low) / np.maximum(1 - low, 1e-3), np.float32)


def _extremes(rgb: Array) -> tuple[Array, Array]:
    """The least and the greatest channel of every pixel, ``H W`` each."""
    r, g, b = cv2.split(rgb)
    return cv2.min(cv2.min(r, g), b), cv2.max(cv2.max(r, g), b)


def _negative(rgb: Array) -> Array:
    """Lightness turned over, hue kept: white becomes black, red stays red. Its own inverse."""
    low, high = _extremes(rgb)
    turned: Array = rgb + (1 - high - low)[..., None]
    return turned


def _white_paper(rgb: Array) -> Array:
    """The drawing with its paper made white: tone, uneven light and grain go, ink stays. Clean paper is untouched."""
    low, _ = _extremes(rgb)
    light = np.count_nonzero(low > 0.3)
    if not light or np.count_nonzero(low > 0.992) >= 0.5 * light:
        return rgb
    small = _seen(rgb)
    surface = np.stack([_paper_surface(small[..., c]) for c in range(3)], axis=2)
    paper = np.abs(small - surface).max(axis=2) < 0.12
    if paper.mean() < 0.3 or surface.min() < 0.2:
        return rgb
    even: Array = rgb / cv2.resize(surface, (rgb.shape[1], rgb.shape[0]), interpolation=cv2.INTER_LINEAR)
    sample = even.reshape(-1, 3)[:: max(even.size // 300_000, 1)]
    near = sample[np.abs(sample - 1).max(axis=1) < 0.2]
    grain = 1.4826 * float(np.median(np.abs(near - np.median(near)))) if near.size else 0.0
    white = 1 - max(3 * grain, 2 / 255)
    whitened: Array = np.minimum(even / np.float32(white), 1)
    return whitened


def _paper_surface(tone: Array) -> Array:
    """The smooth brightness of the paper under a drawing, ``H W``.

    A cubic surface through the bright quartile of every 16-pixel block, refitted with what lies far off it (ink, fills)
    weighted down.
    """
    h, w = tone.shape
    rows, columns = max(h // 16, 1), max(w // 16, 1)
    bh, bw = h // rows, w // columns
    blocks = tone[: rows * bh, : columns * bw].reshape(rows, bh, columns, bw).transpose(0, 2, 1, 3)
    bright = np.percentile(blocks.reshape(rows * columns, -1), 75, axis=1).astype(np.float64)
    y = ((np.arange(rows) + 0.5) * bh - 0.5) / max(h - 1, 1)
    x = ((np.arange(columns) + 0.5) * bw - 0.5) / max(w - 1, 1)
    terms = np.stack([np.outer(y**i, x**j).ravel() for i, j in _CUBIC], axis=1)
    ridge = 1e-4 * np.diag([0.0] + [1.0] * (len(_CUBIC) - 1))
    weights = np.where(bright < np.median(bright) - 0.25, 0.05, 1.0)
    coefficients = np.zeros(len(_CUBIC))
    for _ in range(6):
        weighted = terms * weights[:, None]
        coefficients = np.linalg.solve(weighted.T @ terms + ridge, weighted.T @ bright)
        weights = 1 / (1 + ((terms @ coefficients - bright) / 0.02) ** 2)
    powers = np.zeros((4, 4))
    powers[tuple(np.transpose(_CUBIC))] = coefficients
    down, across = (np.vander(np.linspace(0, 1, side), 4, increasing=True) for side in (h, w))
    return np.clip(down @ powers @ across.T, 0, 1).astype(np.float32)


_CUBIC = [(i, j) for i in range(4) for j in range(4 - i)]
"""Powers of y and x in a cubic surface."""


# -- what is it? ---------------------------------------------------------------------------------------------------


def _judge(frame: Frame, *, drawn: bool = False) -> tuple[Look, bool]:
    """The look of a frame, and whether anything is drawn on it; ``drawn`` rules a painting out."""
    rgb = _seen(flatten(frame))
    if _has_transparency(frame) and frame.alpha is not None:
        alpha = _seen(frame.alpha)
        opaque = alpha > 0.5
        light = _thick(opaque & (rgb.min(axis=2) > 0.85))
        if light.sum() <= 0.1 * opaque.sum() and (drawn or not _is_painting(rgb)):
            return Look("on transparent", _is_colored(rgb)), bool(frame.alpha.max() > 0.1)
    dark_ink = _ink_is_dark(rgb)
    upright = rgb if dark_ink else _negative(rgb)
    inked = bool(np.ptp(rgb.reshape(-1, 3), axis=0).max() > 0.1)
    colored = _is_colored(_white_paper(upright))
    if not drawn and _is_painting(upright):
        return Look("painting", colored), inked
    return Look("black on white" if dark_ink else "white on black", colored), inked


def _has_transparency(frame: Frame) -> bool:
    return frame.alpha is not None and float(np.mean(frame.alpha < 0.5)) > 0.02


def _ink_is_dark(rgb: Array) -> bool:
    """Whether ink is darker than paper: where light areas are wide, else by area and by which of the two is thin."""
    tone = rgb.mean(axis=2)
    low, high = np.percentile(tone, [0.5, 99.5])
    if high - low < 0.1:
        return bool(np.median(tone) > 0.4)
    bright = float(np.mean(tone > (low + high) / 2))
    if bright > 0.85:
        return True
    if bright < 0.5 and float(np.mean(_thick(tone > (low + high) / 2))) > 0.05:
        return True  # light lines on black leave nothing light that is wide
    disc = _disc(tone, 1 / 60)
    thin_dark = float(np.sum(cv2.morphologyEx(tone, cv2.MORPH_BLACKHAT, disc)))
    thin_light = float(np.sum(cv2.morphologyEx(tone, cv2.MORPH_TOPHAT, disc)))
    thinness = (thin_dark - thin_light) / max(thin_dark + thin_light, 1e-6)
    return 2 * bright - 1 + thinness > 0


def _is_colored(rgb: Array) -> bool:
    """Whether nine tenths of the ink of a drawing on white paper, or more, are saturated colors.

    Compression takes hue from thin lines, but not down to the purity of gray, brown and dark blue ink.
    """
    low, _ = _extremes(rgb)
    purity = _purity(rgb)[low < 0.7]
    return bool(purity.size) and float(np.mean(purity < 0.4)) < 0.1


def _is_painting(rgb: Array) -> bool:
    """Whether a picture (dark ink on light paper, or colors) has areas filled with something but paper and black.

    Gray areas may be pencil tone: they count only from a tenth of the picture on.
    """
    if _is_two_tone(rgb):
        return False
    surface = np.stack([_paper_surface(rgb[..., c]) for c in range(3)], axis=2)
    below = surface - rgb
    paper = np.abs(below).max(axis=2) < 0.1
    tone = surface.mean(axis=2)
    tint = float(np.median(surface.max(axis=2) - surface.min(axis=2)))
    if float(tone.mean()) < 0.4 or tint > 0.35 or paper.mean() < 0.2:
        return True
    black = rgb.max(axis=2) < 0.25
    drawn = ~paper
    filled = _thick(drawn & ~black)
    colored = float(np.mean(filled & (np.ptp(below, axis=2) > 0.06)))
    share = float(np.mean(filled))
    return (colored > 0.003 or share > 0.1) and share > 0.3 * float(np.mean(drawn))


def _is_two_tone(rgb: Array) -> bool:
    """Whether a picture is black and white however much of it is black: spotted blacks, a night inked solid, tone.

    Nothing has color, there is paper, and what lies between black and white is too thin to be a fill.
    """
    low, high = _extremes(rgb)
    tone = rgb.mean(axis=2)
    black, white = (float(v) for v in np.percentile(tone, [1, 99]))
    reach = white - black
    if reach < 0.5 or black > 0.3 or float(np.mean(high - low > 0.08)) > 0.01:
        return False
    between = (tone > black + 0.2 * reach) & (tone < white - 0.2 * reach)
    paper = float(np.mean(tone >= white - 0.2 * reach))
    return paper > 0.03 and float(np.mean(_thick(between))) < 0.003


def _seen(picture: Array) -> Array:
    """The picture reduced so that its longest side is at most ``_SEEN_AT``."""
    h, w = picture.shape[:2]
    scale = _SEEN_AT / max(h, w)
    if scale >= 1:
        return picture
    reduced: Array = cv2.resize(
        picture, (max(round(w * scale), 1), max(round(h * scale), 1)), interpolation=cv2.INTER_AREA
    )
    return reduced


def _thick(mask: Mask) -> Mask:
    """What is left of a mask when all that is thinner than 1/36 of the picture's short side is gone."""
    opened = cv2.morphologyEx(mask.astype(np.uint8), cv2.MORPH_OPEN, _disc(mask, 1 / 36))
    return np.asarray(opened, bool)


def _disc(picture: Array | Mask, share: float) -> npt.NDArray[np.uint8]:
    side = max(round(min(picture.shape[:2]) * share), 3) | 1
    disc: npt.NDArray[np.uint8] = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side))
    return disc


# -- paintings: lines from colors ---------------------------------------------------------------------------------


def _extracted(frame: Frame) -> LineArt:
    rgb = flatten(frame)
    line = extract_lines(rgb)
    return LineArt(line=line, ink=rgb, trace=np.zeros_like(line), drawn=False)


def dog_lines(rgb: Array, sigma: float, ratio: float = 3.0) -> Array:
    """Difference of Gaussians, channel by channel: by what share a place is darker than its surroundings.

    Channel by channel, so that an edge between two colors of one brightness is found as well; as a share of the
    surroundings' own brightness, so that a line on a dark coat counts like one on a pale face.

    Args:
        rgb: ``H W 3`` in [0, 1].
        sigma: of the narrow Gaussian, in pixels.
        ratio: wide sigma over narrow sigma.

    Returns:
        ``H W`` in [0, 1), the greatest of the channels, 0 where none is darker.
    """
    narrow = cv2.GaussianBlur(rgb, (0, 0), sigma, borderType=cv2.BORDER_REPLICATE)
    wide = cv2.GaussianBlur(rgb, (0, 0), sigma * ratio, borderType=cv2.BORDER_REPLICATE)
    _, darker = _extremes((wide - narrow) / (wide + 0.15))
    return np.maximum(darker, 0)


def extract_lines(rgb: Array) -> Array:
    """The lines of a painting, ``H W`` in [0, 1], 1 where ink.

    Difference of Gaussians at the scale of cel lines (0.11 % of the height, at least 0.6 pixels), with grain and soft
    shading cut off.
    """
    found = dog_lines(rgb, sigma=max(rgb.shape[0] * 0.0011, 0.6))
    x = np.clip((found - 0.04) / 0.14, 0, 1)
    line: Array = x * x * (3 - 2 * x)
    return line


# -- for the networks ----------------------------------------------------------------------------------------------


def working_lines(line: Array, size: tuple[int, int]) -> Array:
    """A line map at a network's working size; a line one pixel thin stays above one half however much it shrinks.

    When shrinking by two or more, the mean over each target pixel's footprint is mixed half and half with the maximum
    there; the maximum is of the ink in 2 x 2 pixels, so that a soft line lying between two pixels counts as whole.

    Args:
        line: ``H W`` in [0, 1], 1 = ink.
        size: (height, width) wanted.
    """
    h, w = size
    if line.shape == size:
        return line
    down, across = line.shape[0] / h, line.shape[1] / w
    resized: Array = cv2.resize(
        line, (w, h), interpolation=cv2.INTER_AREA if min(down, across) > 1 else cv2.INTER_LINEAR
    )
    share = 0.5 * min(max(min(down, across) - 1, 0), 1)
    if not share:
        return resized
    whole = np.minimum(2 * cv2.blur(line, (2, 2), borderType=cv2.BORDER_REPLICATE), 1)
    rows, columns = (np.arange(n) * length // n for n, length in zip(size, line.shape, strict=True))
    highest = np.maximum.reduceat(np.maximum.reduceat(whole, rows, axis=0), columns, axis=1)
    mixed: Array = (1 - share) * resized + share * highest
    return mixed
