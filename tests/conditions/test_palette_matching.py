from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from celpaint.conditions.palette import matching
from celpaint.conditions.palette.matching import assigned, nearest, palette_distance, snapped
from celpaint.conditions.palette.value import Palette
from celpaint.frames.oklab import srgb_to_oklab

BLACK, WHITE = (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)


def colors(least: int, most: int) -> st.SearchStrategy[np.ndarray]:
    shape = st.tuples(st.integers(least, most), st.just(3))
    return hnp.arrays(np.float32, shape, elements=st.floats(0, 1, width=32))


def test_distances_both_ways_by_hand() -> None:
    """Black to white is 1 in OKLab; half of the pixels are foreign, and half of the palette is not used."""
    picture = np.array([[BLACK, BLACK], [WHITE, WHITE]], np.float32)
    assert palette_distance(picture, Palette((BLACK,))) == pytest.approx((0.5, 0), abs=1e-6)
    assert palette_distance(picture[:1], Palette((BLACK, WHITE))) == pytest.approx((0, 0.5), abs=1e-6)
    assert palette_distance(picture, Palette((BLACK, WHITE))) == pytest.approx((0, 0), abs=1e-6)


@given(colors(1, 40), colors(1, 8))
def test_distances_are_those_of_a_search_tree(rgb: np.ndarray, wanted: np.ndarray) -> None:
    from scipy.spatial import cKDTree

    pixels, lab = srgb_to_oklab(rgb), srgb_to_oklab(wanted)
    distance = palette_distance(rgb, Palette.from_array(wanted))
    assert distance.to_palette == pytest.approx(cKDTree(lab).query(pixels)[0].mean(), abs=1e-5)
    assert distance.to_picture == pytest.approx(cKDTree(pixels).query(lab)[0].mean(), abs=1e-5)


def test_pictures_larger_than_a_chunk(monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(0)
    picture, palette = random.random((7, 9, 3)).astype(np.float32), Palette.from_array(random.random((4, 3)))
    whole = palette_distance(picture, palette), nearest(picture, palette)
    monkeypatch.setattr(matching, "CHUNK", 10)
    assert palette_distance(picture, palette) == pytest.approx(whole[0])
    np.testing.assert_array_equal(nearest(picture, palette), whole[1])


def test_no_pixel_has_no_distance() -> None:
    with pytest.raises(ValueError, match="no pixels"):
        palette_distance(np.empty((0, 3), np.float32), Palette((BLACK,)))


def test_nearest_is_judged_by_eye_and_not_by_rgb() -> None:
    """Nearer to the black in RGB; the eye sees a dark blue."""
    dark_blue = np.array([[0.0, 0.0, 0.45]], np.float32)
    assert nearest(dark_blue, Palette((BLACK, (0.0, 0.0, 1.0)))).tolist() == [1]


def test_snapping_keeps_the_shape_and_uses_exact_colors() -> None:
    palette = Palette(((0.2, 0.4, 0.6), (0.9, 0.1, 0.1)))
    picture = np.random.default_rng(0).random((5, 6, 3)).astype(np.float32)
    result = snapped(picture, palette)
    assert result.shape == picture.shape
    assert {tuple(c) for c in result.reshape(-1, 3).tolist()} <= {tuple(c) for c in palette.rgb.tolist()}
    np.testing.assert_array_equal(snapped(result, palette), result)
    assert nearest(np.empty((0, 3), np.float32), palette).shape == (0,)


@settings(max_examples=60)
@given(colors(1, 4), colors(4, 5))
def test_assignment_is_the_best_of_all(fills: np.ndarray, wanted: np.ndarray) -> None:
    lab, aims = srgb_to_oklab(fills), srgb_to_oklab(wanted)

    def cost(choice: tuple[int, ...]) -> float:
        return float(np.square(lab - aims[list(choice)]).sum())

    chosen = assigned(fills, Palette.from_array(wanted)).tolist()
    assert len(set(chosen)) == len(fills)
    assert cost(tuple(chosen)) == pytest.approx(min(map(cost, permutations(range(len(wanted)), len(fills)))), abs=1e-5)


def test_different_fills_stay_different_where_nearest_would_merge_them() -> None:
    fills = np.array([[0.9, 0.8, 0.7], [0.85, 0.75, 0.65], [0.8, 0.7, 0.6]], np.float32)
    night = Palette(((0.1, 0.1, 0.2), (0.2, 0.2, 0.3), (0.3, 0.3, 0.4)))
    assert len(set(nearest(fills, night).tolist())) == 1
    assert assigned(fills, night).tolist() == [2, 1, 0]  # the lightest fill gets the lightest color


def test_more_fills_than_colors_share_them_by_likeness() -> None:
    fills = np.array([[1, 0, 0], [0.95, 0.05, 0.02], [0, 0, 1], [0.02, 0.05, 0.95], [0, 0, 0.9]], np.float32)
    chosen = assigned(fills, Palette(((0.1, 0.1, 0.8), (0.8, 0.2, 0.1))))
    assert chosen.tolist() == [1, 1, 0, 0, 0]


@given(colors(1, 12), colors(1, 6))
def test_every_color_is_used_where_there_are_enough_fills(fills: np.ndarray, wanted: np.ndarray) -> None:
    chosen = assigned(fills, Palette.from_array(wanted))
    assert len(set(chosen.tolist())) == min(len(fills), len(wanted))


def test_no_fills_need_no_colors() -> None:
    assert assigned(np.empty((0, 3), np.float32), Palette((BLACK,))).shape == (0,)
