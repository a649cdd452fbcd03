"""New colors for old drawings."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from numpy import float32

__all__ = ["Colors", "grade", "random_color", "repaint", "turn_hue"]

Colors = npt.NDArray[np.float32]

_LUMA = np.array([0.299, 0.587, 0.114], np.float32)
_YIQ = np.array([[0.299, 0.587, 0.114], [0.596, -0.274, -0.322], [0.211, -0.523, 0.312]], np.float32)
_RGB = np.linalg.inv(_YIQ).astype(np.float32)


def turn_hue(colors: Colors, angle: float, saturation: float = 1.0) -> Colors:
    """Turn hues by ``angle`` radians in the YIQ plane and scale saturation; ``... 3`` in [0, 1] => the same."""
    cos, sin = saturation * np.cos(angle), saturation * np.sin(angle)
    turn = np.array([[1, 0, 0], [0, cos, -sin], [0, sin, cos]], np.float32)
    matrix = (_RGB @ turn @ _YIQ).astype(np.float32)
    turned: Colors = (colors @ matrix.T).clip(0, 1)
    return turned


def random_color(rng: np.random.Generator, count: int, *, near: float | None = None) -> Colors:
    """``count 3`` colors as films use them: mostly muted, some dark, some pale, a few loud.

    Args:
        near: a hue in turns that most of them keep near to, as the colors of one place do.
    """
    value = rng.beta(2.2, 1.4, (count, 1))
    saturation = rng.beta(1.4, 1.8, (count, 1))
    hue = rng.uniform(0, 1, (count, 1))
    if near is not None:
        hue = np.where(rng.random((count, 1)) < 0.8, near + 0.06 * rng.standard_normal((count, 1)), hue)
        saturation *= 0.85
    wheel = np.abs((hue * 6 + np.array([[0, 4, 2]])) % 6 - 3).clip(1, 2) - 1
    colors: Colors = (value * (1 - saturation * (1 - wheel))).astype(np.float32)
    return colors


def repaint(colors: Colors, rng: np.random.Generator) -> Colors:
    """Another palette for one drawing, ``64 3``: sometimes near to its own, mostly far from it.

    Equal colors may become different ones, so a color is known from the reference only.
    """
    kind = rng.choice(["turn", "mix", "parts", "fresh"], p=[0.3, 0.2, 0.3, 0.2])
    if kind == "fresh":
        painted = random_color(rng, len(colors))
    else:
        painted = turn_hue(colors, rng.uniform(-np.pi, np.pi), rng.uniform(0.35, 1.2))
        if kind == "mix":
            matrix = np.eye(3) + rng.normal(0, 0.35, (3, 3))
            painted = (painted @ (matrix / matrix.sum(1, keepdims=True).clip(0.3)).T.astype(np.float32)).clip(0, 1)
        if kind == "parts":
            some = rng.random(len(colors)) < rng.uniform(0.2, 0.8)
            painted = np.where(some[:, None], random_color(rng, len(colors)), painted)
    if rng.random() < 0.25:
        painted = 1 - painted
    painted = painted ** np.float32(np.exp(rng.normal(0, 0.35)))
    low = rng.uniform(0, 0.12)
    return (low + painted * (rng.uniform(0.88, 1.0) - low)).astype(np.float32)


def grade(rng: np.random.Generator) -> tuple[npt.NDArray[float32], npt.NDArray[float32]]:
    """The light of a whole scene, a matrix ``3 3`` and an offset ``3``: day mostly; night, dusk or haze sometimes."""
    kind = rng.choice(["day", "night", "dusk", "haze", "pale"], p=[0.62, 0.12, 0.1, 0.08, 0.08])
    gain, saturation, offset = np.ones(3), 1.0, np.zeros(3)
    if kind == "night":
        gain, saturation = rng.uniform(0.25, 0.6) * np.array([0.75, 0.9, 1.25]), rng.uniform(0.5, 0.9)
        offset = rng.uniform(0, 0.06) * np.array([0.4, 0.7, 1.0])
    elif kind == "dusk":
        gain, saturation = np.array([1.05, 0.85, 0.65]) * rng.uniform(0.75, 1.0), rng.uniform(0.7, 1.1)
    elif kind == "haze":
        gain, offset = np.full(3, rng.uniform(0.6, 0.85)), rng.uniform(0.1, 0.25) * random_color(rng, 1)[0]
    elif kind == "pale":
        saturation = rng.uniform(0.15, 0.6)
    desaturate = saturation * np.eye(3) + (1 - saturation) * np.tile(_LUMA, (3, 1))
    return (gain[:, None] * desaturate).astype(np.float32), offset.astype(np.float32)
