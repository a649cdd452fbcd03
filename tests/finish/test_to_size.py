import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from celpaint.finish.size import to_size
from celpaint.types import Array

RED, BLUE = np.float32([0.8, 0.2, 0.1]), np.float32([0.1, 0.3, 0.7])


def two_sides(height: int, width: int, pen: float) -> tuple[Array, Array]:
    """A slanted line between red and blue: coverage ``H W`` and paint ``H W 3``."""
    y, x = np.mgrid[:height, :width].astype(np.float32)
    away = (x - 0.5 * width - 0.2 * (y - 0.5 * height)) / np.hypot(1, 0.2)
    line = np.clip(pen / 2 + 0.5 - np.abs(away), 0, 1)
    return line, np.where((away < 0)[..., None], RED, BLUE)


@pytest.mark.parametrize("scale", [2, 3, 4])
@pytest.mark.parametrize("pen", [1, 2.5])
def test_colors_stay_on_their_side_of_a_line(scale: int, pen: float):
    line, paint = two_sides(240, 320, pen)
    small = cv2.resize(paint, (320 // scale, 240 // scale), interpolation=cv2.INTER_AREA)
    guided, plain = to_size(small, (240, 320), line), to_size(small, (240, 320))
    clean = line == 0
    assert np.abs(guided - paint)[clean].max() < 0.03
    assert np.abs(plain - paint)[clean].max() > 0.05


def test_what_was_painted_on_the_line_stays_there():
    line, paint = two_sides(240, 320, 6)
    inked = paint * (1 - line[..., None])
    small = cv2.resize(inked, (80, 60), interpolation=cv2.INTER_AREA)
    out = to_size(small, (240, 320), line)
    assert out[line == 1].mean() < 0.1
    assert np.abs(out - paint)[line == 0][:, 0].mean() < 0.02


def test_the_same_size_is_the_same_picture():
    picture = np.random.default_rng(0).random((20, 30, 3), np.float32)
    assert to_size(picture, (20, 30), np.ones((20, 30), np.float32)) is picture


def test_smaller_is_the_mean():
    picture = np.random.default_rng(0).random((40, 60, 3), np.float32)
    small = to_size(picture, (20, 30), np.zeros((20, 30), np.float32))
    np.testing.assert_allclose(small, picture.reshape(20, 2, 30, 2, 3).mean(axis=(1, 3)), atol=1e-6)


@settings(max_examples=40, deadline=None)
@given(
    hnp.arrays(np.float32, st.tuples(st.integers(1, 40), st.integers(1, 40)), elements=st.floats(0, 1, width=32)),
    st.integers(1, 20),
    st.integers(1, 20),
)
def test_one_color_stays_one_color_at_any_size(line: Array, h: int, w: int):
    out = to_size(np.broadcast_to(RED, (h, w, 3)).copy(), line.shape, line)
    assert out.shape == (*line.shape, 3)
    assert out.dtype == np.float32
    np.testing.assert_allclose(out, np.broadcast_to(RED, out.shape), atol=1e-5)
