"""A painted background stays as it is painted wherever nobody stands."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

import celpaint
from celpaint.conditions.backdrop import CONTINUED, Backdrop
from celpaint.types import Array, Frame, LineArt

SIZE = (96, 160)


def set_() -> Array:
    """A painted set: sky over a textured meadow."""
    rng = np.random.default_rng(3)
    y = np.linspace(0, 1, SIZE[0], dtype=np.float32)[:, None, None]
    grass = cv2.GaussianBlur(rng.normal(0, 1, (*SIZE, 3)).astype(np.float32), (0, 0), 2)
    painted = np.where(y < 0.6, (0.5, 0.7, 0.95) - 0.2 * y, np.array((0.3, 0.55, 0.25)) + 0.25 * grass)
    return np.round(painted.clip(0, 1) * 255).astype(np.float32) / 255


def frame(x: int, background: Array) -> tuple[Array, LineArt]:
    """A round figure at ``x`` before the set, and its outline."""
    painted, line = background.copy(), np.zeros(SIZE, np.float32)
    cv2.circle(painted, (x, 60), 22, (0.85, 0.25, 0.3), -1)
    cv2.circle(line, (x, 60), 22, 1.0, 2)
    painted[line > 0] = 0
    return painted, LineArt(line, np.zeros((*SIZE, 3), np.float32), np.zeros_like(line))


def test_plate_is_the_painting_where_it_shows_the_set() -> None:
    background = set_()
    painted, art = frame(50, background)
    read = Backdrop.read([(painted, art)])
    assert read is not None
    assert 0.75 < float(read.seen.mean()) < 0.95
    np.testing.assert_array_equal(read.plate[read.seen], background[read.seen])


def test_hidden_part_continues_what_lies_around() -> None:
    background = set_()
    read = Backdrop.read([frame(50, background)])
    assert read is not None
    error = np.abs(read.plate - background)[~read.seen]
    far = np.abs(np.float32((0.85, 0.25, 0.3)) - background[~read.seen])
    assert float(error.mean()) < 0.4 * float(far.mean())


def test_second_painting_shows_what_the_first_hides() -> None:
    background = set_()
    read = Backdrop.read([frame(50, background), frame(110, background)])
    assert read is not None
    assert read.seen.all()
    np.testing.assert_array_equal(read.plate, background)


def test_flat_backgrounds_and_extracted_lines_need_no_plate() -> None:
    flat = np.full((*SIZE, 3), 0.7, np.float32)
    assert Backdrop.read([frame(50, flat)]) is None
    painted, art = frame(50, set_())
    assert Backdrop.read([(painted, LineArt(art.line, art.ink, art.trace, drawn=False))]) is None


def test_regions_that_disagree_keep_their_colors() -> None:
    background = set_()
    read = Backdrop.read([frame(50, background)])
    assert read is not None
    colored, art = frame(80, background)
    fill, confidence = read.behind(colored, np.full(SIZE, 0.6, np.float32), art.line)
    inside = np.hypot(*(np.indices(SIZE) - np.array([60, 80])[:, None, None])) < 19
    np.testing.assert_array_equal(fill[inside], colored[inside])
    assert (confidence[inside] == np.float32(0.6)).all()
    outside = np.hypot(*(np.indices(SIZE) - np.array([60, 80])[:, None, None])) > 26
    np.testing.assert_array_equal(fill[outside & read.seen], background[outside & read.seen])
    assert (confidence[outside & read.seen] == 1).all()
    assert float(confidence[outside & ~read.seen].max()) <= np.float32(CONTINUED)


@pytest.mark.parametrize("method", ["matcher"])
def test_background_of_a_whole_shot_is_exact_and_still(method: str) -> None:
    background = set_()
    shots = [frame(x, background) for x in (40, 52, 64, 76, 88, 100)]
    lines = np.stack([np.repeat(1 - art.line[..., None], 3, 2) for _, art in shots])
    results = [f.rgb for f in celpaint.colorize(lines, reference=Frame(shots[0][0]), method=method)]
    shown = np.ones(SIZE, bool)
    columns = np.indices(SIZE)[1]
    for _, art in shots[:1]:
        near = cv2.dilate((art.line > 0).astype(np.uint8), np.ones((9, 9))) > 0
        shown &= ~near & ((columns < 12) | (columns > 68))
    for (truth, art), result in zip(shots[1:], results[1:], strict=True):
        clear = shown & (cv2.dilate((art.line > 0).astype(np.uint8), np.ones((3, 3))) == 0)
        clear &= np.abs(truth - background).max(2) == 0
        np.testing.assert_array_equal(result[clear], background[clear])
    uncovered = np.hypot(*(np.indices(SIZE) - np.array([60, 40])[:, None, None])) < 10
    np.testing.assert_array_equal(results[-1][uncovered], results[-2][uncovered])
