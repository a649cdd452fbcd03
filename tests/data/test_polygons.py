"""Polygons filled in integers, against OpenCV and by hand."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from celpaint.data.scripted.polygons import UNIT, coverage, covered, disc, grown


def corners(*points: tuple[float, float]) -> np.ndarray:
    return np.array([(round(x * UNIT), round(y * UNIT)) for x, y in points], np.int64)


def test_a_square_covers_the_pixels_whose_centers_it_holds() -> None:
    mask = covered(corners((0.5, 0.5), (3.5, 0.5), (3.5, 2.5), (0.5, 2.5)), 4, 5)
    assert mask.tolist() == [[0, 0, 0, 0, 0], [0, 1, 1, 1, 0], [0, 1, 1, 1, 0], [0, 0, 0, 0, 0]]


def test_neighbors_share_no_pixel_and_leave_none_out() -> None:
    left, right = ((0, 0), (2, 0), (3, 4), (0, 4)), ((2, 0), (6, 0), (6, 4), (3, 4))
    total = covered(corners(*left), 4, 6) + covered(corners(*right), 4, 6)
    assert total.tolist() == np.ones((4, 6)).tolist()


def test_what_is_off_the_mask_is_cut_off() -> None:
    mask = covered(corners((-9, -9), (2.5, -9), (2.5, 99), (-9, 99)), 3, 4)
    assert mask.tolist() == [[1, 1, 1, 0]] * 3


@pytest.mark.parametrize("seed", range(5))
def test_polygons_are_filled_as_opencv_fills_them_but_for_their_edges(seed: int) -> None:
    points = np.random.default_rng(seed).integers(0, 200 * UNIT, (7, 2))
    theirs = np.zeros((200, 200), np.uint8)
    cv2.fillPoly(theirs, [points.astype(np.int32)], 1, shift=4)
    edges = np.zeros_like(theirs)
    cv2.polylines(edges, [points.astype(np.int32)], True, 1, 3, shift=4)
    ours = covered(points, 200, 200)
    assert ours.mean() > 0.05
    assert ((ours != theirs) & (edges == 0)).sum() == 0


def test_coverage_is_the_share_of_a_pixel() -> None:
    cover = coverage(corners((0.5, 0.5), (2.0, 0.5), (2.0, 1.5), (0.5, 1.5)), 3, 3)
    assert cover.tolist() == [[0, 0, 0], [0, 255, 127], [0, 0, 0]]


def test_a_dot_grows_to_a_disc() -> None:
    dot = np.zeros((5, 5), np.uint8)
    dot[2, 2] = 1
    plus = [[0, 0, 0, 0, 0], [0, 1, 1, 1, 0], [0, 1, 1, 1, 0], [0, 1, 1, 1, 0], [0, 0, 0, 0, 0]]
    assert grown(dot, disc(3)).tolist() == plus
    assert disc(5)[0].tolist() == [0, 1, 1, 1, 0]
