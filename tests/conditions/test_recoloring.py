"""Fills become exactly their new colors, and everything between them goes along."""

from __future__ import annotations

import numpy as np
import pytest

from celpaint.conditions.palette.files import read_palette
from celpaint.conditions.palette.recoloring import Recoloring, fills
from celpaint.errors import OptionError
from celpaint.frames.color import quantize
from celpaint.types import Array, Frame

DAY = read_palette("#101010,#c03020,#f0d0b0,#60a0f0")  # ink, coat, skin, sky
NIGHT = read_palette("#000008,#501030,#8070a0,#102050")
INK, COAT, SKIN, SKY = range(4)


def drawing(height: int = 60, width: int = 90, ink: int = 2) -> np.ndarray:
    """Which fill is where: sky, a coat with a head, ink around them."""
    y, x = np.mgrid[:height, :width]
    label = np.full((height, width), SKY)
    for row, column, radius, fill in ((42, 45, 20, COAT), (16, 45, 11, SKIN)):
        away = np.hypot(y - row, x - column)
        label[away < radius + ink] = INK
        label[away < radius] = fill
    return label


def smoothed(label: np.ndarray, colors: Array, scale: int = 4) -> Array:
    """The drawing at a quarter of its size, every pixel the mean of what it covers."""
    height, width = label.shape
    picture = colors[label].reshape(height // scale, scale, width // scale, scale, 3)
    return picture.mean((1, 3)).astype(np.float32)


def at_8_bits(rgb: Array) -> Array:
    return np.asarray(quantize(rgb, 8) / np.float32(255), np.float32)


def test_flat_fills_become_exactly_the_new_colors() -> None:
    label = drawing()
    made = Recoloring(DAY, NIGHT)(DAY.rgb[label])
    np.testing.assert_array_equal(quantize(made, 8), quantize(NIGHT.rgb[label], 8))


def test_a_single_pixel_of_a_fill_is_exact_too() -> None:
    picture = np.broadcast_to(DAY.rgb[SKY], (9, 9, 3)).copy()
    picture[4, 4] = DAY.rgb[INK]
    made = Recoloring(DAY, NIGHT)(picture)
    np.testing.assert_array_equal(quantize(made[4, 4], 8), quantize(NIGHT.rgb[INK], 8))


def test_smoothed_edges_become_the_same_mixtures() -> None:
    label = drawing(240, 360)
    made = Recoloring(DAY, NIGHT)(at_8_bits(smoothed(label, DAY.rgb)))
    off = np.abs(made - smoothed(label, NIGHT.rgb)).max(-1)
    assert off.mean() < 0.003
    assert np.quantile(off, 0.995) < 0.06  # corners where three colors meet


def test_an_edge_that_passes_the_color_of_a_third_fill_gets_no_halo() -> None:
    before, after = read_palette("#000000,#808080,#ffffff"), read_palette("#200000,#00ff00,#ffffff")
    picture = np.zeros((12, 24, 3), np.float32)
    picture[:, 12:] = 1
    picture[:, 12] = 130 / 255  # half covered; nearly the gray fill
    picture[0:3, 0:3] = 128 / 255
    made = Recoloring(before, after)(picture)
    share = 130 / 255
    wanted = after.rgb[0] * (1 - share) + after.rgb[2] * share
    np.testing.assert_allclose(made[6, 12], wanted, atol=0.01)
    np.testing.assert_allclose(made[0, 0], after.rgb[1], atol=1e-6)


def test_gradients_stay_smooth_and_keep_their_direction() -> None:
    before, after = read_palette("#203040,#a0b0c0"), read_palette("#402010,#e0c0a0")
    share = np.linspace(0, 1, 200, dtype=np.float32)[None, :, None]
    ramp = np.broadcast_to(before.rgb[0] * (1 - share) + before.rgb[1] * share, (8, 200, 3)).astype(np.float32)
    made = Recoloring(before, after)(np.ascontiguousarray(ramp))
    step = np.diff(made[4], axis=0)
    assert step.min() > -1e-4
    assert step.max() < 4 * float((after.rgb[1] - after.rgb[0]).max()) / 200
    np.testing.assert_allclose(made[4, [0, -1]], after.rgb, atol=1e-5)


def test_the_same_color_becomes_the_same_in_every_frame() -> None:
    recoloring = Recoloring(DAY, NIGHT)
    shade = np.array([0.6, 0.15, 0.1], np.float32)
    frames = [np.broadcast_to(DAY.rgb[fill], (20, 20, 3)).copy() for fill in (SKY, SKIN)]
    for frame in frames:
        frame[5:15, 5:15] = shade
    first, second = (recoloring(frame)[10, 10] for frame in frames)
    np.testing.assert_array_equal(first, second)


def test_the_same_palette_changes_nothing() -> None:
    rgb = np.random.default_rng(0).random((24, 24, 3), dtype=np.float32)
    np.testing.assert_allclose(Recoloring(DAY, DAY)(rgb), rgb, atol=2e-3)


def test_16_bit_values_are_told_apart() -> None:
    rgb = np.full((6, 6, 3), 30000 / 65535, np.float32)
    rgb[:, 3:] = 30040 / 65535
    made = Recoloring(DAY, NIGHT)(rgb)
    assert not np.array_equal(made[0, 0], made[0, 5])


def test_one_fill_moves_everything_along_with_it() -> None:
    made = Recoloring(read_palette("#808080"), read_palette("#906060"))(np.full((5, 5, 3), 128 / 255, np.float32))
    np.testing.assert_array_equal(quantize(made[2, 2], 8), [0x90, 0x60, 0x60])


def test_fills_are_found_exactly_beside_smoothed_edges() -> None:
    label = drawing(240, 360, ink=10)
    frame = Frame(at_8_bits(smoothed(label, DAY.rgb)))
    assert set(str(fills([frame], 4)).split(",")) == set(str(DAY).split(","))


def test_transparent_pixels_are_no_fill() -> None:
    rgb = np.broadcast_to(DAY.rgb[SKIN], (16, 16, 3)).copy()
    rgb[:, 8:] = (1, 0, 1)
    alpha = np.ones((16, 16), np.float32)
    alpha[:, 8:] = 0
    assert str(fills([Frame(rgb, alpha)], 3)) == "#f0d0b0"


def test_each_fill_finds_the_color_that_suits_it() -> None:
    shifted = read_palette("#305070,#080808,#604010,#706050")
    recoloring = Recoloring.to(DAY, shifted)
    assert str(recoloring.after) == "#080808,#604010,#706050,#305070"


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ("#000000,#ffffff", "#000000", "2 colors can't be replaced by 1"),
        ("#000000,#000000", "#000000,#ffffff", "two of the colors"),
    ],
)
def test_palettes_that_do_not_fit(before: str, after: str, said: str) -> None:
    from celpaint.conditions.palette.value import Palette

    colors = [Palette(tuple((float(v), float(v), float(v)) for v in values)) for values in ((0, 1), (0,), (0, 0))]
    pairs = {"#000000": colors[1], "#000000,#ffffff": colors[0], "#000000,#000000": colors[2]}
    with pytest.raises(OptionError, match=said):
        Recoloring(pairs[before], pairs[after])
