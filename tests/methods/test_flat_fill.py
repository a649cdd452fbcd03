"""Flat fills, given a matching."""

from __future__ import annotations

import logging

import numpy as np
import pytest

from celpaint.methods.matcher.flat_fill import FlatFill, Found, Known
from celpaint.types import Array

COLORS = np.array([[0.9, 0.1, 0.2], [0.1, 0.3, 0.8], [1.0, 0.9, 0.5], [0.2, 0.6, 0.3]], np.float32)


def picture(height: int, width: int, shift: int) -> tuple[Array, Array]:
    """Four boxes in a frame, drawn and painted; they are moved right by ``shift``."""
    line = np.zeros((height, width), np.float32)
    rgb = np.ones((height, width, 3), np.float32) * COLORS[2]
    for k, color in enumerate(COLORS):
        y, x = 4 + (k // 2) * height // 2, 4 + (k % 2) * width // 2 + shift
        box = slice(y, y + height // 3), slice(x, x + width // 3)
        rgb[box] = color
        line[box] = 1
        line[y + 1 : y + height // 3 - 1, x + 1 : x + width // 3 - 1] = 0
    return rgb, line


def identity(height: int, width: int, shift: int = 0) -> tuple[Array, Array]:
    """Every pixel of the padded picture found ``shift`` pixels to its left."""
    rows, columns = -(-height // 16) * 16, -(-width // 16) * 16
    y, x = np.mgrid[:rows, :columns].astype(np.float32) + 0.5
    return (x - shift).clip(0.5), y


def fill(flat: FlatFill, line: Array, x: Array, y: Array, known: list[Known] | None = None) -> tuple[Array, Known]:
    """Filled, where the network votes as pixels are found."""
    drawing, known = flat.enclose(line), flat.known if known is None else known
    pad = [(0, -side % 16) for side in flat.work]
    sizes = [int(k.drawing.small.max()) + 1 for k in known]
    first = np.cumsum([0, *sizes])
    tall = np.concatenate([np.pad(k.drawing.small, pad, mode="edge") + n for k, n in zip(known, first, strict=False)])
    votes = np.zeros((int(drawing.small.max()) + 1, sum(sizes)), np.float32)
    np.add.at(votes, (np.pad(drawing.small, pad, mode="edge"), tall[y.astype(int), x.astype(int)]), 1)
    return flat.fill(drawing, known, [found(flat, x, y)], votes)


def found(flat: FlatFill, x: Array, y: Array, sure: Array | None = None) -> Found:
    """Pixels of the padded picture, as they are found, sure everywhere if not said otherwise."""
    height, width = flat.work
    return Found(x[:height, :width], y[:height, :width], np.ones(flat.work, np.float32) if sure is None else sure)


def test_regions_take_the_color_of_the_regions_they_are_found_in() -> None:
    rgb, line = picture(60, 80, 0)
    moved_rgb, moved = picture(60, 80, 6)
    flat = FlatFill([(rgb, line)], (60, 80))
    filled, known = fill(flat, moved, *identity(60, 80, 6))
    paper = moved == 0
    assert np.array_equal(filled[paper], moved_rgb[paper])
    assert {tuple(c) for c in filled.reshape(-1, 3).tolist()} <= {tuple(c) for c in COLORS.tolist()}
    assert np.array_equal(flat.palette[known.paint[known.drawing.grown]], filled)


def rows(*edges: int) -> tuple[Array, Array]:
    """A strip parted by lines at ``edges``, painted in one color after another."""
    line, rgb = np.zeros((32, 160), np.float32), np.zeros((32, 160, 3), np.float32)
    line[:, list(edges)] = 1
    for part, color in zip(np.split(np.arange(160), list(edges)), COLORS, strict=True):
        rgb[:, part] = color
    return rgb, line


def halves() -> Array:
    """A line in the middle: its left half lies evenly on the first two parts of ``rows(40, 80, 120)``."""
    line = np.zeros((32, 160), np.float32)
    line[:, 80] = 1
    return line


def test_sure_pixels_decide() -> None:
    rgb, line = rows(40, 80, 120)
    flat = FlatFill([(rgb, line)], (32, 160))
    x, y = identity(32, 160)
    drawing, votes = flat.enclose(halves()), np.ones((3, 5), np.float32)
    sure = np.ones_like(line)
    sure[:, :40] = 0.01
    for doubted, color in ((sure, COLORS[1]), (1.01 - sure, COLORS[0])):
        filled, _ = flat.fill(drawing, flat.known, [found(flat, x, y, doubted)], votes)
        assert np.array_equal(filled[10, 10], color)


def test_all_ways_of_finding_pixels_are_counted() -> None:
    rgb, line = rows(40, 80, 120)
    flat = FlatFill([(rgb, line)], (32, 160))
    x, y = identity(32, 160)
    drawing, votes = flat.enclose(halves()), np.ones((3, 5), np.float32)
    first, second = x.copy(), x.copy()
    first[:, :80], second[:, :80] = 20.5, 60.5
    for share, color in ((0.99, COLORS[0]), (0.01, COLORS[1])):
        ways = [found(flat, first, y, np.full_like(line, share)), found(flat, second, y, np.full_like(line, 1 - share))]
        filled, _ = flat.fill(drawing, flat.known, ways, votes)
        assert np.array_equal(filled[10, 10], color)


def boxes(*where: tuple[int, int, int]) -> tuple[Array, Array]:
    """Boxes on paper, ``(x, y, side)`` each, one color after another."""
    line, rgb = np.zeros((96, 160), np.float32), np.ones((96, 160, 3), np.float32) * COLORS[2]
    for color, (x, y, side) in zip(COLORS[[0, 1, 3]], where, strict=False):
        line[y : y + side, x : x + side] = 1
        line[y + 1 : y + side - 1, x + 1 : x + side - 1] = 0
        rgb[y : y + side, x : x + side] = color
    return rgb, line


@pytest.mark.parametrize(("side", "color"), [(12, COLORS[0]), (40, COLORS[1])])
def test_size_decides_between_regions_found_alike(side: int, color: Array) -> None:
    """A box midway between a small and a large one, of which the network finds as much in each."""
    rgb, line = boxes((24, 42, 12), (110, 28, 40))
    _, drawn = boxes((80 - side // 2, 48 - side // 2, side))
    x, y = identity(96, 160)
    x[::2, 50:110], x[1::2, 50:110], y[:, 50:110] = 30.5, 130.5, 48.5
    filled, _ = fill(FlatFill([(rgb, line)], line.shape), drawn, x, y)
    assert np.array_equal(filled[48, 80], color)


@pytest.mark.parametrize("ring", [True, False])
def test_surroundings_decide_between_regions_of_one_shape(ring: bool) -> None:
    """Two boxes are alike but for the larger box around the first."""
    rgb, line = boxes((16, 26, 44), (110, 42, 12))
    inner, inner_line = boxes((32, 42, 12))
    inside = np.s_[42:54, 32:44]
    rgb[inside], line[inside] = inner[inside], inner_line[inside]
    rgb[inside][line[inside] == 0] = COLORS[3]
    _, drawn = boxes((74, 42, 12), *([(58, 26, 44)] if ring else []))
    if ring:
        drawn[42:54, 74:86] = boxes((74, 42, 12))[1][42:54, 74:86]
    x, y = identity(96, 160)
    x[42:54:2, 74:86], x[43:54:2, 74:86] = 38.5, 116.5
    filled, _ = fill(FlatFill([(rgb, line)], line.shape), drawn, x, y)
    assert np.array_equal(filled[48, 80], COLORS[3] if ring else COLORS[1])


def test_drawings_filled_before_serve_as_references() -> None:
    rgb, line = picture(60, 80, 0)
    flat = FlatFill([(rgb, line)], (60, 80))
    x, y = identity(60, 80)
    filled, known = fill(flat, line, x, y)
    wrong = Known(known.drawing, known.paint * 0, 1.0)
    for other, colors in ((known, filled), (wrong, np.broadcast_to(flat.palette[0], filled.shape))):
        again, _ = fill(flat, line, x, y + 64, [*flat.known, other])
        assert np.array_equal(again, colors)


def test_a_smaller_working_size_and_pictures_of_nothing_but_ink() -> None:
    rgb, line = picture(120, 160, 0)
    flat = FlatFill([(rgb, line)], (60, 80))
    filled, _ = fill(flat, line, *identity(60, 80))
    assert np.array_equal(filled[line == 0], rgb[line == 0])
    full = np.ones((120, 160), np.float32)
    assert fill(flat, full, *identity(60, 80))[0].shape == (120, 160, 3)
    only_ink = FlatFill([(rgb, full)], (60, 80))
    assert len(np.unique(fill(only_ink, line, *identity(60, 80))[0].reshape(-1, 3), axis=0)) == 1


def test_the_palette_leaves_mixed_colors_out() -> None:
    rgb, line = picture(60, 80, 0)
    rgb[10, 10] = 0.123
    rgb[:, 40] = 0.5
    palette = FlatFill([(rgb, line)], (60, 80)).palette
    assert {tuple(c) for c in palette.tolist()} == {tuple(c) for c in COLORS.tolist()}
    assert tuple(palette[0]) == tuple(COLORS[2])


def hourglass(neck: int) -> tuple[Array, Array]:
    """Two rooms in a frame, joined by a passage that is ``neck`` pixels high, drawn and painted in one color."""
    line, rgb = np.zeros((90, 160), np.float32), np.ones((90, 160, 3), np.float32) * COLORS[2]
    line[20:70, 20:140] = 1
    for room in (slice(22, 76), slice(84, 138)):
        line[22:68, room] = 0
    line[44 : 44 + neck, 76:84] = 0
    rgb[20:70, 20:140] = COLORS[1]
    return rgb, line


def test_a_closed_region_is_one_color_whatever_is_found_in_its_parts() -> None:
    """The right room is found on paper, and trapped balls would part it from the left one."""
    rgb, line = hourglass(2)
    flat = FlatFill([(rgb, line)], line.shape)
    assert flat.gap == 0
    x, y = identity(90, 160)
    x[22:68, 84:138] = 5.5
    filled, _ = fill(flat, line, x, y)
    inside = filled[22:68, 22:138][line[22:68, 22:138] == 0]
    assert len(np.unique(inside, axis=0)) == 1


def open_box(gap: int, at: int) -> tuple[Array, Array]:
    """A painted box, its outline open by ``gap`` pixels at height ``at``."""
    line, rgb = np.zeros((90, 160), np.float32), np.ones((90, 160, 3), np.float32) * COLORS[2]
    line[20:70, 40:120] = 1
    line[22:68, 42:118] = 0
    line[at : at + gap, 40:42] = 0
    rgb[20:70, 40:120] = COLORS[0]
    return rgb, line


def test_gaps_are_closed_as_wide_as_the_painting_has_them() -> None:
    rgb, line = open_box(5, 30)
    _, moved = open_box(5, 55)
    flat = FlatFill([(rgb, line)], line.shape)
    assert 2 * np.ceil(flat.gap / 2) + 1 >= 5
    filled, _ = fill(flat, moved, *identity(90, 160))
    assert np.array_equal(filled[25:65, 45:115], rgb[25:65, 45:115])
    assert np.array_equal(filled[:18], rgb[:18])


def test_what_was_inferred_is_said(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "celpaint")
    rgb, line = open_box(5, 30)
    FlatFill([(rgb, line)], line.shape).report()
    assert "2 regions of the paintings show 2 colors" in caplog.text
    assert "gaps up to" in caplog.text
    assert "no exact color" not in caplog.text
    caplog.clear()
    rgb, line = picture(60, 80, 0)
    noise = np.random.default_rng(0).integers(-2, 3, rgb.shape) / 255
    FlatFill([((rgb + noise).clip(0, 1).astype(np.float32), line)], (60, 80)).report()
    assert "5 of these regions have no exact color" in caplog.text
    assert "good to about 2 of 255" in caplog.text


def test_a_figure_that_is_mirrored_keeps_the_colors_of_its_parts() -> None:
    """The network finds everything where it was, which is another part of the mirrored drawing."""
    rgb, line = boxes((60, 40, 30), (30, 30, 16), (94, 50, 24))
    flipped_rgb, flipped = rgb[:, ::-1], np.ascontiguousarray(line[:, ::-1])
    filled, _ = fill(FlatFill([(rgb, line)], line.shape), flipped, *identity(96, 160))
    assert np.array_equal(filled[flipped == 0], flipped_rgb[flipped == 0])


def test_small_parts_are_matched_where_the_working_size_has_lost_them() -> None:
    rgb, line = boxes((40, 30, 50), (55, 45, 6), (72, 45, 6))
    _, moved = boxes((60, 36, 50), (75, 51, 6), (92, 51, 6))
    moved_rgb, _ = boxes((60, 36, 50), (75, 51, 6), (92, 51, 6))
    flat = FlatFill([(rgb, line)], (16, 32))
    assert flat.enclose(moved).small.max() < flat.enclose(moved).labels.max()
    filled, _ = fill(flat, moved, *identity(16, 32, 4))
    assert np.array_equal(filled[moved == 0], moved_rgb[moved == 0])
