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


def test_sure_pixels_decide() -> None:
    rgb, line = rows(40, 80, 120)
    flat = FlatFill([(rgb, line)], (32, 160))
    x, y = identity(32, 160)
    x[:, :20] = 100.5  # half of the first part is found in the third
    x[:, 80:120] = 20.5  # which is found in the first
    drawing = flat.enclose(line)
    votes = np.ones((5, 5), np.float32)
    sure = np.ones_like(line)
    sure[:, :20] = 0.01
    for doubted, color in ((sure, COLORS[0]), (1.01 - sure, COLORS[2])):
        filled, _ = flat.fill(drawing, flat.known, [found(flat, x, y, doubted)], votes)
        assert np.array_equal(filled[10, 10], color)


def test_all_ways_of_finding_pixels_are_counted() -> None:
    rgb, line = rows(40, 80, 120)
    flat = FlatFill([(rgb, line)], (32, 160))
    x, y = identity(32, 160)
    drawing, votes = flat.enclose(line), np.ones((5, 5), np.float32)
    wrong = x.copy()
    wrong[:, :40] = 100.5
    for share, color in ((0.8, COLORS[0]), (0.05, COLORS[2])):
        right = found(flat, x, y, np.full_like(line, share))
        filled, _ = flat.fill(drawing, flat.known, [found(flat, wrong, y, np.full_like(line, 1 - share)), right], votes)
        assert np.array_equal(filled[10, 10], color)


def test_neighbors_decide_where_nothing_is_found() -> None:
    """The second part is found all over the strip, and only the neighbors of the reference's second are beside it."""
    rgb, line = rows(20, 60, 100)
    _, moved = rows(60, 100, 140)
    flat = FlatFill([(rgb, line)], (32, 160))
    x, y = identity(32, 160, 40)
    x[:, 60:100] = np.arange(40) * 4 + 0.5
    filled, _ = fill(flat, moved, x, y)
    assert np.array_equal(filled[10, 80], COLORS[1])


def test_where_votes_are_split_size_decides() -> None:
    """The middle is found in both ends of the reference, as far away and with the same neighbor, and is like one."""
    line, rgb = np.zeros((40, 96), np.float32), np.zeros((40, 96, 3), np.float32)
    line[:, [20, 46]] = 1
    rgb[:, :20], rgb[:, 20:46], rgb[:, 46:] = COLORS[0], COLORS[3], COLORS[1]
    drawn = np.zeros_like(line)
    drawn[:, [31, 50]] = 1
    x, y = identity(40, 96)
    x[:, :31], x[:, 31:41], x[:, 41:51], x[:, 51:] = 30.5, 5.5, 60.5, 30.5
    filled, _ = fill(FlatFill([(rgb, line)], (40, 96)), drawn, x, y)
    assert np.array_equal(filled[20, 40], COLORS[0])


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
    FlatFill([(rgb, line)], line.shape)
    assert "2 regions of the paintings show 2 colors" in caplog.text
    assert "gaps up to" in caplog.text
    assert "no exact color" not in caplog.text
    caplog.clear()
    rgb, line = picture(60, 80, 0)
    noise = np.random.default_rng(0).integers(-2, 3, rgb.shape) / 255
    FlatFill([((rgb + noise).clip(0, 1).astype(np.float32), line)], (60, 80))
    assert "5 of these regions have no exact color" in caplog.text
    assert "good to about 2 of 255" in caplog.text
