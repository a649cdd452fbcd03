"""The baselines: what any method must do, and what each is known to get right."""

from __future__ import annotations

import numpy as np
import pytest

from cel_film import draw_film
from celpaint.benchmark.baselines import BASELINES, ChainedFlow, DirectFlow, Regions, SegmentMatcher, match_regions
from celpaint.types import Event, Reference, Shot


@pytest.fixture(scope="module")
def film():
    """Colors and line maps of a disc and a box on the move."""
    colors, drawings = draw_film(12, 96, 144)
    return colors, [1 - drawing.min(axis=2) for drawing in drawings]


def shot_of(film, *painted):
    colors, lines = film
    return Shot(lines, tuple(Reference(colors[i], lines[i], i) for i in painted), lines[0].shape)


def paint(method, shot, **resume):
    return [picture.rgb for chunk in method.color(shot, **resume) for picture in chunk.painted]


@pytest.mark.parametrize("name", BASELINES)
def test_baselines_color_every_drawing_once_and_resume_after_any_chunk(film, name):
    shot = shot_of(film, 0, 8)
    events: list[Event] = []
    chunks = list(BASELINES[name]().color(shot, progress=events.append))
    assert [chunk.drawings[0] for chunk in chunks] == list(range(12))
    assert [event.index for event in events] == list(range(1, 13))
    for picture in (chunk.painted[0].rgb for chunk in chunks):
        assert picture.shape == (96, 144, 3)
        assert picture.dtype == np.float32
        assert 0 <= picture.min() <= picture.max() <= 1
    rest = paint(BASELINES[name](), shot, done=5, state=chunks[4].state)
    for picture, chunk in zip(rest, chunks[5:], strict=True):
        np.testing.assert_array_equal(picture, chunk.painted[0].rgb)


@pytest.mark.parametrize("name", BASELINES)
def test_baselines_take_a_reference_of_no_frame_and_a_blank_drawing(film, name):
    colors, lines = film
    shot = Shot([lines[3], np.zeros_like(lines[0])], (Reference(colors[0], lines[0], None),), lines[0].shape)
    assert len(paint(BASELINES[name](), shot)) == 2


def test_copy_takes_the_nearest_reference(film):
    pictures = paint(BASELINES["copy"](), shot_of(film, 0, 10))
    np.testing.assert_array_equal(pictures[4], film[0][0])
    np.testing.assert_array_equal(pictures[6], film[0][10])


@pytest.mark.parametrize("method", [DirectFlow, ChainedFlow])
def test_flow_moves_colors_with_the_lines(film, method):
    colors, lines = film
    pictures = paint(method(), shot_of(film, 0))
    fill = lines[6] < 0.1
    still = np.abs(colors[0] - colors[6])[fill].mean()
    carried = np.abs(pictures[6] - colors[6])[fill].mean()
    assert carried < 0.6 * still


def test_segments_of_a_moving_film_are_all_right(film):
    colors, lines = film
    for picture, color, line in zip(paint(SegmentMatcher(), shot_of(film, 0)), colors, lines, strict=True):
        fill = line < 0.05
        assert np.mean(np.abs(picture - color)[fill].max(axis=1) < 1 / 255) > 0.97


def test_region_matching_tells_equal_shapes_apart_by_their_neighbors():
    """Two equal boxes, one of them within a frame, both moved so far that place alone misleads."""
    import cv2

    def draw(offset):
        line = np.zeros((100, 200), np.float32)
        cv2.rectangle(line, (10 + offset, 10), (70 + offset, 80), 1.0, 2)
        cv2.rectangle(line, (30 + offset, 35), (50 + offset, 55), 1.0, 2)
        cv2.rectangle(line, (90 + offset, 35), (110 + offset, 55), 1.0, 2)
        return Regions.of(line)

    before, after = draw(0), draw(40)
    likely = match_regions(after, before)
    np.testing.assert_allclose(likely.sum(1), 1)

    def at(regions, x, y):
        return regions.labels[y, x] - 1

    assert likely[at(after, 80, 45)].argmax() == at(before, 40, 45)
    assert likely[at(after, 140, 45)].argmax() == at(before, 100, 45)


def test_area_center_and_extent_of_a_rectangle():
    line = np.ones((60, 80), np.float32)
    line[20:30, 10:50] = 0  # 10 high, 40 wide
    line[40:42, 10:12] = 0  # a speck
    regions = Regions.of(line)
    assert len(regions) == 1
    assert regions.area[0] == 400
    np.testing.assert_allclose(regions.center[0] * 100, [29.5, 24.5])
    np.testing.assert_allclose(regions.extent[0] * 100, [(1599 / 12) ** 0.5, (99 / 12) ** 0.5, 0], atol=1e-6)
