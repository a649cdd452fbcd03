"""Exact fills, given a matching."""

from __future__ import annotations

import numpy as np

from celpaint.conditions.regions import label_regions
from celpaint.methods.exact import ExactFill, flat_palette
from celpaint.types import Array

COLOURS = np.array([[0.9, 0.1, 0.2], [0.1, 0.3, 0.8], [1.0, 0.9, 0.5], [0.2, 0.6, 0.3]], np.float32)


def picture(height: int, width: int, shift: int) -> tuple[Array, Array]:
    """Four boxes in a frame, drawn and painted; they are moved right by ``shift``."""
    line = np.zeros((height, width), np.float32)
    rgb = np.ones((height, width, 3), np.float32) * COLOURS[2]
    for k, colour in enumerate(COLOURS):
        y, x = 4 + (k // 2) * height // 2, 4 + (k % 2) * width // 2 + shift
        box = slice(y, y + height // 3), slice(x, x + width // 3)
        rgb[box] = colour
        line[box] = 1
        line[y + 1 : y + height // 3 - 1, x + 1 : x + width // 3 - 1] = 0
    return rgb, line


def identity(height: int, width: int, shift: int = 0) -> tuple[Array, Array]:
    """Every pixel of the padded picture found ``shift`` pixels to its left."""
    rows, columns = -(-height // 16) * 16, -(-width // 16) * 16
    y, x = np.mgrid[:rows, :columns].astype(np.float32) + 0.5
    return (x - shift).clip(0.5), y


def test_regions_take_the_colour_of_the_regions_they_are_found_in() -> None:
    rgb, line = picture(60, 80, 0)
    moved_rgb, moved = picture(60, 80, 6)
    exact = ExactFill([(rgb, line)], (60, 80))
    filled, regions = exact.fill(moved, np.ones_like(line), exact.maps, *identity(60, 80, 6))
    paper = moved == 0
    assert np.array_equal(filled[paper], moved_rgb[paper])
    assert {tuple(c) for c in filled.reshape(-1, 3).tolist()} <= {tuple(c) for c in COLOURS.tolist()}
    labels = label_regions(moved)
    for number in range(1, labels.max() + 1):
        assert len(np.unique(regions[labels == number])) == 1


def test_sure_pixels_decide() -> None:
    rgb, line = picture(60, 80, 0)
    exact = ExactFill([(rgb, line)], (60, 80))
    x, y = identity(60, 80)
    box = np.zeros(x.shape, bool)
    box[4:24, 4:17] = True
    x[box] += 40  # half of the first box is found in the second
    sure = np.ones_like(line)
    sure[box[:60, :80]] = 0.01
    assert np.array_equal(exact.fill(line, sure, exact.maps, x, y)[0][10, 10], COLOURS[0])
    assert np.array_equal(exact.fill(line, 1.01 - sure, exact.maps, x, y)[0][10, 10], COLOURS[1])


def test_where_votes_are_split_size_decides() -> None:
    line = np.zeros((40, 96), np.float32)
    line[:, 20] = line[:, 70] = 1
    rgb = np.ones((40, 96, 3), np.float32) * COLOURS[0]
    rgb[:, 20:] = COLOURS[1]
    rgb[:, 70:] = COLOURS[3]
    drawn = np.zeros_like(line)
    drawn[:, 46] = 1
    exact = ExactFill([(rgb, line)], (40, 96))
    x, y = identity(40, 96)
    x[:, :23], x[:, 23:46] = 5.5, 45.5
    filled, _ = exact.fill(drawn, np.ones_like(line), exact.maps, x, y)
    assert np.array_equal(filled[20, 10], COLOURS[1])


def test_drawings_filled_before_serve_as_references() -> None:
    rgb, line = picture(60, 80, 0)
    exact = ExactFill([(rgb, line)], (60, 80))
    filled, regions = exact.fill(line, np.ones_like(line), exact.maps, *identity(60, 80))
    x, y = identity(60, 80)
    again, _ = exact.fill(line, np.ones_like(line), [*exact.maps, exact.shrink(regions)], x, y + 64)
    assert np.array_equal(filled, again)


def test_a_smaller_working_size_and_pictures_of_nothing_but_ink() -> None:
    rgb, line = picture(120, 160, 0)
    exact = ExactFill([(rgb, line)], (60, 80))
    filled, _ = exact.fill(line, np.ones_like(line), exact.maps, *identity(60, 80))
    assert np.array_equal(filled[line == 0], rgb[line == 0])
    full = np.ones((120, 160), np.float32)
    assert exact.fill(full, full, exact.maps, *identity(60, 80))[0].shape == (120, 160, 3)
    only_ink = ExactFill([(rgb, full)], (60, 80))
    assert len(np.unique(only_ink.fill(line, full, only_ink.maps, *identity(60, 80))[0].reshape(-1, 3), axis=0)) == 1


def test_the_palette_leaves_mixed_colours_out() -> None:
    rgb, line = picture(60, 80, 0)
    rgb[10, 10] = 0.123
    rgb[:, 40] = 0.5
    palette = flat_palette([(rgb, line)])
    assert {tuple(c) for c in palette.tolist()} == {tuple(c) for c in COLOURS.tolist()}
    assert tuple(palette[0]) == tuple(COLOURS[2])
    noise = np.random.default_rng(0).random((8, 8, 3)).astype(np.float32)
    assert len(flat_palette([(noise, np.ones((8, 8), np.float32))])) >= 1
