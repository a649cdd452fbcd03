import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from celpaint.finish.ink import cut_out, lay_ink
from celpaint.types import Array, LineArt

RED, BLUE = np.float32([0.8, 0.2, 0.1]), np.float32([0.1, 0.3, 0.7])


def black(line: Array) -> LineArt:
    return LineArt(line, np.zeros((*line.shape, 3), np.float32), np.zeros_like(line))


def slanted(soft: bool, height: int = 240, width: int = 320, pen: int = 3) -> Array:
    """A line from top to bottom that leans."""
    fine = 4 if soft else 1
    line = np.zeros((height * fine, width * fine), np.uint8)
    cv2.line(line, (round(0.4 * width * fine), -9), (round(0.6 * width * fine), height * fine + 9), 1, pen * fine)
    return np.asarray(cv2.resize(line.astype(np.float32), (width, height), interpolation=cv2.INTER_AREA), np.float32)


def halves(line: Array) -> Array:
    """Red left of the line, blue right of it; they meet in its middle."""
    _, labels = cv2.connectedComponents((line < 0.25).astype(np.uint8), connectivity=4)
    left = cv2.distanceTransform((labels != 1).astype(np.uint8), cv2.DIST_L2, 5)
    right = cv2.distanceTransform((labels != 2).astype(np.uint8), cv2.DIST_L2, 5)
    return np.where((left <= right)[..., None], RED, BLUE)


@pytest.mark.parametrize("soft", [True, False])
@pytest.mark.parametrize("pen", [1, 3, 6])
def test_neither_halo_nor_double_edge(soft: bool, pen: int):
    """What a network paints, lines blurred and all, comes out as if the artist had inked clean fills."""
    line = slanted(soft, pen=pen)
    fill = halves(line)
    inked = fill * (1 - line[..., None])
    painted = cv2.GaussianBlur(inked, (0, 0), 1.2)
    out = lay_ink(painted, black(line), margin=6)
    middle = np.abs(np.diff(fill, axis=1)).max(axis=(0, 2)).sum() == 0
    assert not middle
    same_side = (line < 0.25) | (line == 1)
    inside = np.s_[8:-8, 8:-8]
    assert np.abs(out - inked)[inside][same_side[inside]].max() < 0.02
    assert np.abs(out - inked)[inside].mean() < 0.002


@pytest.mark.parametrize("soft", [True, False])
def test_full_coverage_is_exactly_the_artists_ink(soft: bool):
    line = slanted(soft)
    ink = np.broadcast_to(np.float32([0.2, 0.1, 0.05]), (*line.shape, 3)).copy()
    noise = np.random.default_rng(0).random((*line.shape, 3), np.float32)
    out = lay_ink(noise, LineArt(line, ink, np.zeros_like(line)))
    np.testing.assert_array_equal(out[line == 1], ink[line == 1])


def test_far_from_lines_nothing_changes():
    line = slanted(soft=True)
    noise = np.random.default_rng(1).random((*line.shape, 3), np.float32)
    out = lay_ink(noise, black(line), margin=5)
    far = cv2.distanceTransform((line <= 0.25).astype(np.uint8), cv2.DIST_L2, 5) > 6
    np.testing.assert_array_equal(out[far], noise[far])


@pytest.mark.parametrize("soft", [True, False])
def test_color_does_not_cross_a_line_one_pixel_thin(soft: bool):
    line = slanted(soft, pen=1)
    fill = halves(line)
    near = cv2.distanceTransform((line <= 0.25).astype(np.uint8), cv2.DIST_L2, 5) < 5
    spoilt = np.where((near & (fill[..., 0] == RED[0]))[..., None], np.float32([0, 1, 0]), fill)
    out = lay_ink(spoilt, black(line), margin=6)
    clean = line == 0
    np.testing.assert_allclose(out[clean], fill[clean], atol=1e-6)


def test_a_narrow_region_keeps_its_own_color():
    line = np.zeros((60, 90), np.float32)
    line[:, [40, 46]] = 1
    rgb = np.broadcast_to(RED, (60, 90, 3)).copy()
    rgb[:, 41:46] = BLUE
    out = lay_ink(rgb, black(line), margin=12)
    np.testing.assert_allclose(out[:, 41:46], np.broadcast_to(BLUE, (60, 5, 3)), atol=1e-6)
    np.testing.assert_allclose(out[:, 47:], np.broadcast_to(RED, (60, 43, 3)), atol=1e-6)


def test_extracted_lines_are_not_laid():
    line = slanted(soft=True)
    rgb = halves(line)
    art = LineArt(line, rgb, np.zeros_like(line), drawn=False)
    assert lay_ink(rgb, art) is rgb


def test_binary_trace_dissolves_into_the_two_fills():
    line = slanted(soft=False)
    fill = halves(line)
    painted = fill * (1 - 0.9 * cv2.GaussianBlur(line, (0, 0), 1))[..., None]
    art = LineArt(line, np.broadcast_to(np.float32([1, 0, 0]), fill.shape), line)
    out = lay_ink(painted.astype(np.float32), art, margin=6)[8:-8]
    wrong = np.minimum(np.abs(out - RED).max(axis=2), np.abs(out - BLUE).max(axis=2))
    assert wrong.max() < 0.02


def test_soft_trace_dissolves_without_a_trace():
    line = slanted(soft=True)
    fill = halves(line)
    art = LineArt(line, np.where(line[..., None] > 0, np.float32([0, 1, 0]), 0).astype(np.float32), line)
    out = lay_ink(fill, art)
    assert out[..., 1].max() <= BLUE[1] + 1e-6
    assert out[..., 1].min() >= RED[1] - 1e-6


def test_where_trace_and_ink_mix_only_black_stays():
    line, trace = np.ones((9, 9), np.float32), np.full((9, 9), 0.5, np.float32)
    line[:, :3] = trace[:, :3] = 0
    ink = np.broadcast_to(np.float32([0.5, 0, 0]), (9, 9, 3)).copy()
    out = lay_ink(np.ones((9, 9, 3), np.float32), LineArt(line, ink, trace))
    np.testing.assert_allclose(out[:, 4:], 0.5, atol=1e-6)


LINES = hnp.arrays(np.float32, st.tuples(st.integers(1, 20), st.integers(1, 20)), elements=st.floats(0, 1, width=32))


@settings(max_examples=60, deadline=None)
@given(LINES, st.integers(1, 9))
def test_one_color_under_any_lines_stays_one_color(line: Array, margin: int):
    rgb = np.broadcast_to(RED, (*line.shape, 3)).copy()
    out = lay_ink(rgb, black(line), margin)
    np.testing.assert_allclose(out, rgb * (1 - line[..., None]), atol=1e-5)
    assert out.dtype == np.float32
    np.testing.assert_array_equal(rgb, np.broadcast_to(RED, rgb.shape))


@settings(max_examples=40, deadline=None)
@given(LINES, st.integers(0, 2**32 - 1))
def test_no_color_is_invented(line: Array, seed: int):
    rgb = np.random.default_rng(seed).random((*line.shape, 3), np.float32)
    out = lay_ink(rgb, black(np.round(line)))
    paper = np.round(line) == 0
    if paper.any():
        assert out[paper].min() >= rgb.min() - 1e-5
        assert out[paper].max() <= rgb.max() + 1e-5


def ring(soft: bool = True) -> Array:
    fine = 4 if soft else 1
    line = np.zeros((120 * fine, 120 * fine), np.uint8)
    cv2.circle(line, (60 * fine, 60 * fine), 40 * fine, 1, 3 * fine)
    return np.asarray(cv2.resize(line.astype(np.float32), (120, 120), interpolation=cv2.INTER_AREA), np.float32)


@pytest.mark.parametrize("blur", [0.0, 1.5])
@pytest.mark.parametrize("inside", [RED, np.float32([1, 1, 1])], ids=["painted", "white"])
def test_a_cut_out_cel_composites_without_fringe(blur: float, inside: Array):
    line = ring() if not blur else cv2.GaussianBlur(ring(), (0, 0), blur)
    y, x = np.mgrid[:120, :120]
    within = ((x - 59.5) ** 2 + (y - 59.5) ** 2 < 40**2)[..., None]
    fill = np.where(within, inside, np.float32([1, 1, 1]))
    cel = cut_out(lay_ink(fill, black(line)), black(line))
    assert cel.alpha is not None
    background = np.float32([0.1, 0.5, 0.2])
    alpha = cel.alpha[..., None]
    wanted = np.where(within, inside, background) * (1 - line[..., None])
    difference = np.abs(cel.rgb * alpha + background * (1 - alpha) - wanted).max(axis=2)
    assert np.percentile(difference, 99) < 0.02
    assert cel.alpha[0, 0] == 0
    assert cel.alpha[60, 60] == 1


def test_a_painted_background_leaves_nothing_to_cut_out():
    rgb = np.broadcast_to(RED, (120, 120, 3)).copy()
    cel = cut_out(rgb, black(ring()))
    assert cel.alpha is not None
    assert cel.alpha.min() == 1
    np.testing.assert_array_equal(cel.rgb, rgb)
