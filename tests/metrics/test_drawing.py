"""EDMD, line fidelity and segment accuracy on drawings whose outputs are known by hand."""

from __future__ import annotations

import math

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.ndimage import distance_transform_edt

from cel_film import draw_film
from celpaint.metrics.base import FramePair
from celpaint.metrics.drawing import EDMD, LineFidelity, edmd
from celpaint.metrics.segments import SegmentAccuracy, majority_colors


def test_edmd_equals_scipys_distance_transform():
    rng = np.random.default_rng(0)
    one, two = (rng.random((2, 40, 50)) > 0.98).astype(np.float32)
    difference = distance_transform_edt(one == 0) - distance_transform_edt(two == 0)
    assert edmd(one, two) == pytest.approx(math.sqrt((difference**2).mean()), abs=1e-4)


def test_edmd_of_a_moved_line_and_of_a_blank_frame():
    one, two = np.zeros((2, 20, 30), np.float32)
    one[:, 10], two[:, 12] = 1, 1
    columns = np.arange(30)
    expected = math.sqrt(((abs(columns - 10) - abs(columns - 12)) ** 2).mean())
    assert edmd(one, two) == pytest.approx(expected)
    assert edmd(one, one) == 0
    far = math.hypot(20, 30) - abs(columns - 10)
    assert edmd(np.zeros((20, 30), np.float32), one) == pytest.approx(math.sqrt((far**2).mean()), rel=1e-6)


def painted(height=96, width=144):
    colors, drawings = draw_film(1, height, width)
    return colors[0], 1 - drawings[0].min(axis=2)


def test_line_fidelity_counts_kept_and_invented_lines():
    color, line = painted()
    metric = LineFidelity()
    whole, kept, own = metric.values(metric.measure([FramePair(1, color, color, line)]))
    assert min(whole, kept, own) > 0.95
    blank = np.full_like(color, 0.7)
    gone = metric.values(metric.measure([FramePair(1, blank, color, line)]))
    assert gone[1] == 0
    invented = color.copy()
    cv2.line(invented, (5, 90), (140, 90), (0, 0, 0), 1)
    _, kept_still, own_less = metric.values(metric.measure([FramePair(1, invented, color, line)]))
    assert kept_still == pytest.approx(kept, abs=0.01)
    assert own_less < own - 0.1


def test_edmd_also_gives_the_value_of_the_ground_truth():
    color, line = painted()
    metric = EDMD()
    result, ground_truth = metric.values(metric.measure([FramePair(1, np.full_like(color, 0.7), color, line)]))
    assert result > 10 > 2 > ground_truth


def test_all_segments_of_the_ground_truth_are_right():
    color, line = painted()
    metric = SegmentAccuracy()
    assert metric.values(metric.measure([FramePair(1, color, color, line)])) == (1, 1, 1, 1)


def test_one_segment_of_another_color_is_counted_as_wrong():
    color, line = painted()
    wrong = color.copy()
    wrong[np.all(np.isclose(color, (0.8, 0.2, 0.2)), axis=2)] = (0.2, 0.4, 0.8)  # the box in the disc's color
    outputs = SegmentAccuracy().values(SegmentAccuracy().measure([FramePair(1, wrong, color, line)]))
    assert outputs[:3] == pytest.approx((2 / 3, 2 / 3, 2 / 3))
    assert 0.9 < outputs[3] < 1


def test_nearly_right_colors_count_only_for_segments_nearest():
    color, line = painted()
    outputs = SegmentAccuracy().values(SegmentAccuracy().measure([FramePair(1, color * 0.98, color, line)]))
    assert outputs == (0, 1, 0, 0)


def test_specks_count_only_among_all_segments():
    color, line = painted()
    color, line = color.copy(), line.copy()
    cv2.rectangle(line, (100, 60), (104, 64), 1.0, 1)  # encloses 3x3 pixels
    wrong = color.copy()
    wrong[61:64, 101:104] = 0
    outputs = SegmentAccuracy().values(SegmentAccuracy().measure([FramePair(1, wrong, color, line)]))
    assert outputs[:2] == (1, 1)
    assert outputs[2] == pytest.approx(3 / 4)


@given(st.integers(0, 2**32 - 1), st.integers(1, 5))
def test_majority_color_equals_a_plain_count(seed, count):
    rng = np.random.default_rng(seed)
    labels = np.concatenate([np.arange(count + 1), rng.integers(0, count + 1, 60 - count - 1)]).reshape(6, 10)
    labels = labels.astype(np.int32)
    codes = rng.integers(0, 4, (6, 10))
    for number in range(1, count + 1):
        values, counts = np.unique(codes[labels == number], return_counts=True)
        assert majority_colors(labels, codes)[number - 1] == values[counts.argmax()]


def test_segments_skip_unknown_lines_and_frames_given_painted():
    color, line = painted()
    for metric in (EDMD(), LineFidelity(), SegmentAccuracy()):
        assert metric.measure([FramePair(1, color, color, None)]) is None
        assert metric.measure([FramePair(0, color, color, line, scored=False)]) is None
    assert SegmentAccuracy().measure([FramePair(1, color, color, np.ones_like(line))]) is None
