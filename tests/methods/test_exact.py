"""Exact fills, given a matching."""

from __future__ import annotations

import numpy as np

from celpaint.methods.matcher.flat_fill import Drawing, ExactFill, Found, Known, flat_palette
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


def fill(exact: ExactFill, line: Array, x: Array, y: Array, known: list[Known] | None = None) -> tuple[Array, Known]:
    """Filled, where the network votes as pixels are found."""
    drawing, known = Drawing.of(line, exact.work), exact.known if known is None else known
    pad = [(0, -side % 16) for side in exact.work]
    sizes = [int(k.drawing.small.max()) + 1 for k in known]
    first = np.cumsum([0, *sizes])
    tall = np.concatenate([np.pad(k.drawing.small, pad, mode="edge") + n for k, n in zip(known, first, strict=False)])
    votes = np.zeros((int(drawing.small.max()) + 1, sum(sizes)), np.float32)
    np.add.at(votes, (np.pad(drawing.small, pad, mode="edge"), tall[y.astype(int), x.astype(int)]), 1)
    return exact.fill(drawing, known, [found(exact, x, y)], votes)


def found(exact: ExactFill, x: Array, y: Array, sure: Array | None = None) -> Found:
    """Pixels of the padded picture, as they are found, sure everywhere if not said otherwise."""
    height, width = exact.work
    return Found(x[:height, :width], y[:height, :width], np.ones(exact.work, np.float32) if sure is None else sure)


def test_regions_take_the_color_of_the_regions_they_are_found_in() -> None:
    rgb, line = picture(60, 80, 0)
    moved_rgb, moved = picture(60, 80, 6)
    exact = ExactFill([(rgb, line)], (60, 80))
    filled, known = fill(exact, moved, *identity(60, 80, 6))
    paper = moved == 0
    assert np.array_equal(filled[paper], moved_rgb[paper])
    assert {tuple(c) for c in filled.reshape(-1, 3).tolist()} <= {tuple(c) for c in COLORS.tolist()}
    assert np.array_equal(exact.palette[known.paint[known.drawing.grown]], filled)


def rows(*edges: int) -> tuple[Array, Array]:
    """A strip parted by lines at ``edges``, painted in one color after another."""
    line, rgb = np.zeros((32, 160), np.float32), np.zeros((32, 160, 3), np.float32)
    line[:, list(edges)] = 1
    for part, color in zip(np.split(np.arange(160), list(edges)), COLORS, strict=True):
        rgb[:, part] = color
    return rgb, line


def test_sure_pixels_decide() -> None:
    rgb, line = rows(40, 80, 120)
    exact = ExactFill([(rgb, line)], (32, 160))
    x, y = identity(32, 160)
    x[:, :20] = 100.5  # half of the first part is found in the third
    x[:, 80:120] = 20.5  # which is found in the first
    drawing = Drawing.of(line, (32, 160))
    votes = np.ones((5, 5), np.float32)
    sure = np.ones_like(line)
    sure[:, :20] = 0.01
    for doubted, color in ((sure, COLORS[0]), (1.01 - sure, COLORS[2])):
        filled, _ = exact.fill(drawing, exact.known, [found(exact, x, y, doubted)], votes)
        assert np.array_equal(filled[10, 10], color)


def test_all_ways_of_finding_pixels_are_counted() -> None:
    rgb, line = rows(40, 80, 120)
    exact = ExactFill([(rgb, line)], (32, 160))
    x, y = identity(32, 160)
    drawing, votes = Drawing.of(line, (32, 160)), np.ones((5, 5), np.float32)
    wrong = x.copy()
    wrong[:, :40] = 100.5
    for share, color in ((0.8, COLORS[0]), (0.05, COLORS[2])):
        right = found(exact, x, y, np.full_like(line, share))
        filled, _ = exact.fill(
            drawing, exact.known, [found(exact, wrong, y, np.full_like(line, 1 - share)), right], votes
        )
        assert np.array_equal(filled[10, 10], color)


def test_neighbors_decide_where_nothing_is_found() -> None:
    """The second part is found all over the strip, and only the neighbors of the reference's second are beside it."""
    rgb, line = rows(20, 60, 100)
    _, moved = rows(60, 100, 140)
    exact = ExactFill([(rgb, line)], (32, 160))
    x, y = identity(32, 160, 40)
    x[:, 60:100] = np.arange(40) * 4 + 0.5
    filled, _ = fill(exact, moved, x, y)
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
    filled, _ = fill(ExactFill([(rgb, line)], (40, 96)), drawn, x, y)
    assert np.array_equal(filled[20, 40], COLORS[0])


def test_drawings_filled_before_serve_as_references() -> None:
    rgb, line = picture(60, 80, 0)
    exact = ExactFill([(rgb, line)], (60, 80))
    x, y = identity(60, 80)
    filled, known = fill(exact, line, x, y)
    wrong = Known(known.drawing, known.paint * 0, 1.0)
    for other, colors in ((known, filled), (wrong, np.broadcast_to(exact.palette[0], filled.shape))):
        again, _ = fill(exact, line, x, y + 64, [*exact.known, other])
        assert np.array_equal(again, colors)


def test_a_smaller_working_size_and_pictures_of_nothing_but_ink() -> None:
    rgb, line = picture(120, 160, 0)
    exact = ExactFill([(rgb, line)], (60, 80))
    filled, _ = fill(exact, line, *identity(60, 80))
    assert np.array_equal(filled[line == 0], rgb[line == 0])
    full = np.ones((120, 160), np.float32)
    assert fill(exact, full, *identity(60, 80))[0].shape == (120, 160, 3)
    only_ink = ExactFill([(rgb, full)], (60, 80))
    assert len(np.unique(fill(only_ink, line, *identity(60, 80))[0].reshape(-1, 3), axis=0)) == 1


def test_the_palette_leaves_mixed_colors_out() -> None:
    rgb, line = picture(60, 80, 0)
    rgb[10, 10] = 0.123
    rgb[:, 40] = 0.5
    palette = flat_palette([(rgb, line)])
    assert {tuple(c) for c in palette.tolist()} == {tuple(c) for c in COLORS.tolist()}
    assert tuple(palette[0]) == tuple(COLORS[2])
    noise = np.random.default_rng(0).random((8, 8, 3)).astype(np.float32)
    assert len(flat_palette([(noise, np.ones((8, 8), np.float32))])) >= 1
