from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from celpaint.conditions.luminance import BT601, BT709, gray, has_color, luminance, with_luminance

UNIT = st.floats(0, 1, width=32)
COLORS = hnp.arrays(np.float32, (5, 4, 3), elements=UNIT)
GRAYS = hnp.arrays(np.float32, (5, 4), elements=UNIT)
WEIGHTS = st.sampled_from([BT601, BT709])


def levels(bits: int) -> st.SearchStrategy[np.ndarray]:
    top = 2**bits - 1
    return hnp.arrays(np.int64, (5, 4), elements=st.integers(0, top)).map(lambda x: (x / top).astype(np.float32))


def test_weights_are_those_of_the_standards() -> None:
    colors = np.array([[1, 0, 0], [0, 1, 0], [0, 0, 1], [0.2, 0.4, 0.6]], np.float32)
    np.testing.assert_allclose(luminance(colors), [0.299, 0.587, 0.114, 0.363], atol=1e-6)
    np.testing.assert_allclose(luminance(colors, BT709), [0.2126, 0.7152, 0.0722, 0.37192], atol=1e-6)
    assert sum(BT601) == pytest.approx(1)
    assert sum(BT709) == pytest.approx(1)


def test_pillow_turns_colors_into_the_same_grays() -> None:
    from PIL import Image

    pixels = np.random.default_rng(0).integers(0, 256, (16, 16, 3)).astype(np.uint8)
    theirs = np.asarray(Image.fromarray(pixels).convert("L"), np.float32)
    ours = luminance(pixels.astype(np.float32) / 255) * 255
    assert np.abs(ours - theirs).max() <= 1


@given(GRAYS, WEIGHTS)
def test_gray_pixels_keep_their_exact_value(value: np.ndarray, weights: tuple[float, float, float]) -> None:
    rgb = np.repeat(value[..., None], 3, axis=-1)
    np.testing.assert_array_equal(luminance(rgb, weights), value)
    np.testing.assert_array_equal(gray(rgb, weights), rgb)


@given(COLORS, GRAYS, WEIGHTS)
def test_result_has_the_luminance_asked_for(
    rgb: np.ndarray, luma: np.ndarray, weights: tuple[float, float, float]
) -> None:
    result = with_luminance(rgb, luma, weights)
    assert result.min() >= 0
    assert result.max() <= 1
    np.testing.assert_allclose(luminance(result, weights), luma, atol=3e-7)


@given(COLORS, GRAYS, WEIGHTS)
def test_colors_are_desaturated_along_their_hue_and_no_more_than_needed(
    rgb: np.ndarray, luma: np.ndarray, weights: tuple[float, float, float]
) -> None:
    before = rgb - luminance(rgb, weights)[..., None]
    after = with_luminance(rgb, luma, weights) - luma[..., None]
    size = np.square(before).sum(-1)
    scale = (before * after).sum(-1) / np.maximum(size, 1e-12)
    strong = size > 1e-6
    np.testing.assert_allclose(after, scale[..., None] * before, atol=1e-5)
    assert scale[strong].min(initial=0) >= -1e-6
    assert scale[strong].max(initial=0) <= 1 + 1e-3
    reduced = strong & (scale < 0.999)
    result = luma[..., None] + after
    touches = np.minimum(result.min(-1), (1 - result).min(-1))
    assert np.abs(touches[reduced]).max(initial=0) < 1e-5  # it stops at the edge of the color space


def test_in_gamut_colors_keep_their_chroma() -> None:
    rgb = np.array([[0.6, 0.4, 0.5]], np.float32)
    luma = np.array([0.5], np.float32)
    expected = rgb + (luma - luminance(rgb))[..., None]
    np.testing.assert_allclose(with_luminance(rgb, luma), expected, atol=1e-6)


def test_black_and_white_stay_black_and_white() -> None:
    rgb = np.array([[1, 0, 0], [0, 0.5, 1]], np.float32)
    np.testing.assert_array_equal(with_luminance(rgb, np.array([0, 1], np.float32)), [[0, 0, 0], [1, 1, 1]])


@pytest.mark.parametrize("bits", [8, 16])
@given(st.data())
def test_stored_as_integers_the_luminance_is_found_again_by_rounding(bits: int, data: st.DataObject) -> None:
    rgb, luma, weights = data.draw(COLORS), data.draw(levels(bits)), data.draw(WEIGHTS)
    top = 2**bits - 1
    stored = np.rint(with_luminance(rgb, luma, weights).astype(np.float64) * top)
    assert np.abs(stored @ np.array(weights) - np.rint(luma.astype(np.float64) * top)).max() <= 0.5 + top * 1.2e-7


def test_color_is_detected() -> None:
    frame = np.full((50, 60, 3), 0.5, np.float32)
    assert not has_color(frame)
    frame += np.random.default_rng(0).uniform(-3 / 255, 3 / 255, frame.shape).astype(np.float32)
    assert not has_color(frame)  # what compression leaves
    frame[0, 0] = [1, 0, 0]
    assert not has_color(frame)  # one broken pixel
    frame[:2, :5] = [1, 0, 0]
    assert has_color(frame)


def test_sepia_is_a_color() -> None:
    assert has_color(np.full((8, 8, 3), [0.6, 0.5, 0.35], np.float32))
