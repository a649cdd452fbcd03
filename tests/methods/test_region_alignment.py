"""Regions moved onto each other."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from celpaint.conditions.regions import Labels
from celpaint.methods.matcher.region_alignment import Moments, Similarities, fit_regions, overlap

SIZE = (240, 320)
PARTS = (
    (0, -34, 22, 18),
    (0, 10, 16, 26),
    (-26, 6, 6, 20),
    (30, -2, 18, 6),
    (-9, 56, 6, 22),
    (10, 58, 6, 20),
    (6, -38, 4, 5),
)
"""x, y and half axes of the ellipses of a figure that has no symmetry."""


def figure(x: float, y: float, *, turn: float = 0.0, scale: float = 1.0, mirrored: bool = False) -> Labels:
    """Paper, 1, and the parts, from 2 on, of a figure that is turned by degrees (clockwise), scaled and mirrored."""
    labels = np.ones(SIZE, np.int32)
    c, s = np.cos(np.radians(turn)), np.sin(np.radians(turn))
    for number, (px, py, rx, ry) in enumerate(PARTS, 2):
        px = -px if mirrored else px
        center = (x + scale * (c * px - s * py), y + scale * (s * px + c * py))
        cv2.ellipse(labels, (center, (2 * scale * rx, 2 * scale * ry), turn), number, -1)
    return labels


def moments(labels: Labels) -> Moments:
    """Of the regions from 1 on."""
    count = int(labels.max()) + 1
    return Moments.of(labels, count)[np.arange(1, count)]


def test_moments_of_a_box_are_those_of_its_sides() -> None:
    labels = np.zeros((30, 40), np.int32)
    labels[10:16, 5:25] = 1
    box = moments(labels)
    assert box.area[0] == pytest.approx(120 / 1200)
    assert box.center[0] * 50 == pytest.approx(14.5 + 12.5j)
    assert box.spread[0] * 2500 == pytest.approx((20**2 + 6**2) / 12)
    assert box.stretch[0] * 2500 == pytest.approx((20**2 - 6**2) / 12, abs=0.2)


def test_overlap_is_one_where_a_similarity_explains_everything() -> None:
    known, drawn = moments(figure(160, 120)), moments(figure(160, 120))
    diagonal = np.hypot(*SIZE)
    assert np.allclose(np.diagonal(overlap(Similarities.identity(), known, drawn)[0]), 1)
    about = (160 + 120j) / diagonal
    turn = np.exp(1j * np.radians(70)) * 1.2
    turned = moments(figure(160, 120, turn=70, scale=1.2))
    similar = Similarities(np.array([turn]), np.array([about - turn * about]), np.zeros(1, bool))
    assert np.diagonal(overlap(similar, known, turned)[0])[1:].min() > 0.97
    assert np.diagonal(overlap(Similarities.identity(), known, turned)[0])[1:].min() < 0.5


@pytest.mark.parametrize(
    ("moved", "foreign"),
    [
        ({"x": 190, "y": 110}, False),
        ({"x": 180, "y": 120, "turn": 120}, True),
        ({"x": 150, "y": 130, "scale": 1.5}, True),
        ({"x": 150, "y": 110, "mirrored": True, "scale": 1.3}, True),
        ({"x": 200, "y": 90, "mirrored": True, "turn": -15, "scale": 0.7}, True),
    ],
    ids=["shifted", "turned", "scaled", "mirrored and scaled", "mirrored, turned and scaled"],
)
def test_every_part_fits_itself_best_however_the_figure_is_moved(moved: dict[str, float], foreign: bool) -> None:
    fit = fit_regions(moments(figure(**moved)), moments(figure(140, 115)))  # type: ignore[arg-type]
    assert fit.likeness.argmax(1).tolist() == list(range(len(PARTS) + 1))
    assert (fit.foreign[1:] == foreign).all()


def test_figures_that_move_each_in_its_own_way_are_told_apart() -> None:
    def both(first: Labels, second: Labels) -> Moments:
        labels = first.copy()
        labels[second > 1] = second[second > 1] + len(PARTS)
        return moments(labels)

    known = both(figure(80, 120, scale=0.8), figure(230, 110, scale=0.9, turn=40))
    drawn = both(figure(95, 125, scale=0.8), figure(225, 120, scale=0.9, turn=75))
    assert fit_regions(drawn, known).likeness.argmax(1).tolist() == list(range(2 * len(PARTS) + 1))


def test_one_region_fits_one_region() -> None:
    alone = moments(np.ones((20, 30), np.int32))
    fit = fit_regions(alone, alone)
    assert fit.likeness.shape == (1, 1)
    assert fit.likeness[0, 0] > -0.5
    assert not fit.foreign[0]
