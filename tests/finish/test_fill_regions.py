import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from celpaint.conditions.regions import label_regions
from celpaint.finish.flat import fill_regions
from celpaint.types import Array

PALETTE = np.float32([[0.8, 0.2, 0.1], [0.1, 0.3, 0.7], [1, 1, 1], [0.2, 0.2, 0.2]])


def grid() -> tuple[Array, Array]:
    """Twelve cells parted by lines, each in a colour of the palette."""
    line = np.zeros((90, 120), np.float32)
    line[::30], line[:, ::30] = 1, 1
    rows, columns = np.mgrid[:90, :120] // 30
    return line, PALETTE[(rows + 2 * columns) % 4]


def test_each_region_takes_exactly_one_colour_through_noise_and_bleeding():
    line, truth = grid()
    painted = cv2.GaussianBlur(truth * (1 - line[..., None]), (0, 0), 3)
    painted += np.random.default_rng(0).normal(0, 0.1, painted.shape).astype(np.float32)
    out = fill_regions(painted, line, PALETTE)
    clean = line == 0
    np.testing.assert_array_equal(out[clean], truth[clean])


def test_line_pixels_take_the_nearest_regions_colour():
    line, rgb = np.zeros((20, 31), np.float32), np.tile(PALETTE[0], (20, 31, 1))
    line[:, 13:18], rgb[:, 18:] = 1, PALETTE[1]
    out = fill_regions(rgb, line, PALETTE)
    np.testing.assert_array_equal(out[:, :15], np.broadcast_to(PALETTE[0], (20, 15, 3)))
    np.testing.assert_array_equal(out[:, 16:], np.broadcast_to(PALETTE[1], (20, 15, 3)))


def test_given_labels_are_the_regions():
    rgb = np.tile(PALETTE[0], (10, 10, 1))
    rgb[:, 6:] = PALETTE[1]
    whole = fill_regions(rgb, np.zeros((10, 10), np.float32), PALETTE, np.ones((10, 10), np.int32))
    np.testing.assert_array_equal(whole, np.broadcast_to(PALETTE[0], (10, 10, 3)))


def test_all_ink_takes_the_nearest_palette_colours():
    rgb = PALETTE[np.random.default_rng(0).integers(4, size=(8, 9))] + np.float32(0.01)
    out = fill_regions(rgb, np.ones((8, 9), np.float32), PALETTE)
    np.testing.assert_array_equal(out, rgb - np.float32(0.01))


def test_an_empty_palette_is_refused():
    with pytest.raises(ValueError, match="at least one palette colour"):
        fill_regions(np.zeros((4, 4, 3), np.float32), np.zeros((4, 4), np.float32), np.zeros((0, 3), np.float32))


@settings(max_examples=40, deadline=None)
@given(
    hnp.arrays(np.float32, st.tuples(st.integers(1, 24), st.integers(1, 24)), elements=st.sampled_from([0, 0, 0.3, 1])),
    st.integers(0, 2**32 - 1),
)
def test_every_region_is_flat_and_of_the_palette(line: Array, seed: int):
    rgb = np.random.default_rng(seed).random((*line.shape, 3), np.float32)
    out = fill_regions(rgb, line, PALETTE)
    assert (out[:, :, None] == PALETTE).all(axis=3).any(axis=2).all()
    labels = label_regions(line)
    for region in range(1, labels.max() + 1):
        assert len(np.unique(out[labels == region], axis=0)) <= 1
    np.testing.assert_array_equal(fill_regions(out, line, PALETTE), out)
