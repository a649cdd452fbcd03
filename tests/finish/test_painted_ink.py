"""Ink takes the color that the paintings show under the drawn lines."""

from __future__ import annotations

import cv2
import numpy as np

from celpaint.finish.painted_ink import PaintedInk
from celpaint.types import Array, LineArt

SIZE = (80, 120)
PAPER = (0.9, 0.9, 0.8)
RED, BLUE = (0.8, 0.3, 0.3), (0.3, 0.4, 0.8)


def drawn(x: int) -> tuple[Array, LineArt]:
    """Two discs beside each other: their fills, and their outlines in black."""
    fill = np.full((*SIZE, 3), PAPER, np.float32)
    line = np.zeros(SIZE, np.float32)
    for center, color in ((x, RED), (x + 46, BLUE)):
        cv2.circle(fill, (center, 40), 20, color, -1)
        cv2.circle(line, (center, 40), 20, 1.0, 2)
    ink = np.zeros((*SIZE, 3), np.float32)
    return fill, LineArt(line=line, ink=ink, trace=np.zeros_like(line))


def painted(fill: Array, art: LineArt, ink: Array) -> Array:
    return np.where(art.line[..., None] > 0, ink, fill).astype(np.float32)


def test_ink_that_stays_as_drawn_is_left_alone() -> None:
    fill, art = drawn(34)
    assert PaintedInk.read([(painted(fill, art, art.ink), art)], 2) is None


def test_white_lines_stay_white() -> None:
    fill, art = drawn(34)
    read = PaintedInk.read([(painted(fill, art, np.ones(3, np.float32)), art)], 2)
    assert read is not None
    other_fill, other = drawn(40)
    inked = read.under(other, other_fill)[other.line > 0]
    np.testing.assert_allclose(inked, 1.0, atol=1e-6)


def test_lines_in_the_dark_of_the_fill_beside_them_follow_it() -> None:
    """The red disc has a dark red outline, the blue one a dark blue one; so they have in other frames."""
    fill, art = drawn(34)
    inks = np.where(np.arange(SIZE[1])[None, :, None] < 57, np.float32(RED) * 0.4, np.float32(BLUE) * 0.4)
    read = PaintedInk.read([(painted(fill, art, np.broadcast_to(inks, fill.shape)), art)], 2)
    assert read is not None
    other_fill, other = drawn(40)
    left, right = other.line.copy(), other.line.copy()
    left[:, 63:] = 0
    right[:, :63] = 0
    inked = read.under(other, other_fill)
    inner = cv2.erode((other_fill == np.float32(RED)).all(2).astype(np.uint8), np.ones((3, 3))) > 0
    np.testing.assert_allclose(np.median(inked[(left > 0) & inner], 0), np.float32(RED) * 0.4, atol=0.02)
    inner = cv2.erode((other_fill == np.float32(BLUE)).all(2).astype(np.uint8), np.ones((3, 3))) > 0
    np.testing.assert_allclose(np.median(inked[(right > 0) & inner], 0), np.float32(BLUE) * 0.4, atol=0.02)


def test_lines_that_the_painting_fills_over_dissolve_and_others_stay() -> None:
    """The outline of the red disc is filled over, that of the blue one stays black."""
    fill, art = drawn(34)
    kept = np.where(np.arange(SIZE[1])[None, :, None] < 57, fill, painted(fill, art, art.ink))
    read = PaintedInk.read([(kept, art)], 2)
    assert read is not None
    other_fill, other = drawn(40)
    inked = read.under(other, other_fill)
    inside_red = (other.line > 0) & (other_fill == np.float32(RED)).all(2)
    inside_blue = (other.line > 0) & (other_fill == np.float32(BLUE)).all(2)
    np.testing.assert_array_equal(inked[inside_red], other_fill[inside_red])
    assert not inked[inside_blue].any()


def test_a_painting_of_fills_without_lines_leaves_the_ink_as_drawn() -> None:
    fill, art = drawn(34)
    assert PaintedInk.read([(fill, art)], 2) is None


def test_too_little_ink_says_nothing() -> None:
    fill, art = drawn(34)
    faint = LineArt(line=art.line * 0.5, ink=art.ink, trace=art.trace)
    assert PaintedInk.read([(fill, faint)], 2) is None


def test_extracted_lines_say_nothing() -> None:
    fill, art = drawn(34)
    found = LineArt(line=art.line, ink=art.ink, trace=art.trace, drawn=False)
    assert PaintedInk.read([(fill, found)], 2) is None
