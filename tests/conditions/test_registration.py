"""A painting off its drawing is measured on the ink and brought back, within limits."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from celpaint.conditions.registration import MOST_SHIFT, measure_offset, register
from celpaint.types import Array

SIZE = (144, 240)


def drawing(light_ink: bool = False) -> tuple[Array, Array]:
    """A face of circles and boxes: its painting ``H W 3`` and its lines ``H W``."""
    rng = np.random.default_rng(4)
    painting = np.full((*SIZE, 3), (0.8, 0.85, 0.9), np.float32)
    line = np.zeros(SIZE, np.float32)
    for _ in range(9):
        x, y, radius = int(rng.integers(40, 200)), int(rng.integers(30, 114)), int(rng.integers(9, 34))
        color = tuple(float(c) for c in rng.uniform(0.25, 0.75, 3))
        cv2.circle(painting, (x, y), radius, color, -1)
        cv2.circle(line, (x, y), radius, 0.0, -1)
        cv2.circle(line, (x, y), radius, 1.0, 1, cv2.LINE_AA)
    ink = 1.0 if light_ink else 0.0
    return painting * (1 - line[..., None]) + ink * line[..., None], line


def moved(painting: Array, x: float, y: float, scale: float = 1.0) -> Array:
    center = ((SIZE[1] - 1) / 2, (SIZE[0] - 1) / 2)
    matrix = cv2.getRotationMatrix2D(center, 0, scale) + np.array([[0, 0, x], [0, 0, y]])
    whole = scale == 1 and x == round(x) and y == round(y)
    flags = cv2.INTER_NEAREST if whole else cv2.INTER_LINEAR
    return cv2.warpAffine(painting, matrix, SIZE[::-1], flags=flags, borderMode=cv2.BORDER_REPLICATE)


@pytest.mark.parametrize("light_ink", [False, True])
def test_a_painting_in_place_comes_back_bit_for_bit(light_ink: bool) -> None:
    painting, line = drawing(light_ink)
    kept, offset = register(painting, line)
    assert not offset.found
    assert kept is painting


@pytest.mark.parametrize(("x", "y"), [(5, 3), (-4, 0), (1, 0), (0, -2)])
def test_a_shift_of_whole_pixels_is_undone_exactly(x: int, y: int) -> None:
    painting, line = drawing()
    back, offset = register(moved(painting, x, y), line)
    assert offset.found
    assert offset.shift == pytest.approx((x, y), abs=0.3)
    inside = (slice(8, -8), slice(8, -8))
    np.testing.assert_array_equal(back[inside], painting[inside])


@pytest.mark.parametrize("scale", [0.97, 1.03])
def test_another_scale_is_undone(scale: float) -> None:
    painting, line = drawing()
    off = moved(painting, 2.0, -1.0, scale)
    back, offset = register(off, line)
    assert offset.scale == pytest.approx(scale, abs=0.004)
    inside = (slice(12, -12), slice(12, -12))
    assert np.abs(back - painting)[inside].mean() < 0.5 * np.abs(off - painting)[inside].mean()


@pytest.mark.parametrize("beyond", [3, 25])
def test_an_offset_beyond_the_limits_is_reported_and_left(beyond: int) -> None:
    painting, line = drawing()
    far = round(MOST_SHIFT * 240) + beyond
    off = moved(painting, far, 0)
    kept, offset = register(off, line)
    assert offset.found
    assert not offset.within_limits(SIZE)
    assert offset.shift[0] == pytest.approx(far, abs=1)
    assert kept is off
    assert "to the right" in str(offset)


def test_a_painting_of_something_else_is_not_moved() -> None:
    _, line = drawing()
    other = np.random.default_rng(0).random((*SIZE, 3)).astype(np.float32)
    assert not measure_offset(cv2.GaussianBlur(other, (0, 0), 9), line).found


def test_a_blank_painting_is_not_judged() -> None:
    _, line = drawing()
    assert not measure_offset(np.full((*SIZE, 3), 0.5, np.float32), line).found
