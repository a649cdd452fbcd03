from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from celpaint.frames.oklab import linear_to_srgb, oklab_to_srgb, srgb_to_linear, srgb_to_oklab

COLORS = hnp.arrays(np.float32, (7, 3), elements=st.floats(0, 1, width=32))


@pytest.mark.parametrize(
    ("rgb", "lab"),  # as CSS Color 4 has them
    [
        ((1, 1, 1), (1.0, 0.0, 0.0)),
        ((0, 0, 0), (0.0, 0.0, 0.0)),
        ((1, 0, 0), (0.62796, 0.22486, 0.12585)),
        ((0, 1, 0), (0.86644, -0.23389, 0.17950)),
        ((0, 0, 1), (0.45201, -0.03246, -0.31153)),
        ((128 / 255, 128 / 255, 128 / 255), (0.59987, 0.0, 0.0)),
    ],
)
def test_known_colors(rgb: tuple[float, ...], lab: tuple[float, ...]) -> None:
    np.testing.assert_allclose(srgb_to_oklab(np.array(rgb, np.float32)), lab, atol=2e-5)


@given(COLORS)
def test_conversion_to_oklab_and_back_gives_the_same_color(rgb: np.ndarray) -> None:
    np.testing.assert_allclose(oklab_to_srgb(srgb_to_oklab(rgb)), rgb, atol=2e-4)


@given(COLORS)
def test_linear_light_round_trip(rgb: np.ndarray) -> None:
    np.testing.assert_allclose(linear_to_srgb(srgb_to_linear(rgb)), rgb, atol=1e-5)


def test_colors_outside_of_srgb_are_clipped() -> None:
    rgb = oklab_to_srgb(np.array([[0.7, 0.4, 0.0], [1.5, 0.0, 0.0], [0.2, 0.0, -0.4]], np.float32))
    assert rgb.dtype == np.float32
    assert rgb.min() >= 0
    assert rgb.max() <= 1
