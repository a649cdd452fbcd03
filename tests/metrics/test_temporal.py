"""Optical flow, warping, TC and warp error on motions that are known."""

from __future__ import annotations

import math
import sys

import numpy as np
import pytest
from scipy.ndimage import map_coordinates, shift
from skimage import data

from celpaint.conditions.flow import warp
from celpaint.errors import MissingExtra, OptionError
from celpaint.metrics.base import FramePair
from celpaint.metrics.temporal import (
    DIS,
    TemporalConsistency,
    WarpError,
    best_flow,
    visible,
    visible_flicker,
    warp_error,
)


@pytest.fixture(scope="module")
def moved():
    """A photograph, and the same a little darker, moved 3 to the right and 2 down."""
    before = data.astronaut()[100:228, 150:310].astype(np.float32) / 255
    return before, np.asarray(0.97 * shift(before, (2, 3, 0), order=1, mode="nearest"), np.float32)


def pairs(result, ground_truth, flow=None):
    """Two frames, flows by the estimator, or as given."""
    estimator = flow or DIS()
    backward_flow = estimator.between(ground_truth[1], ground_truth[0])
    forward_flow = estimator.between(ground_truth[0], ground_truth[1])
    return [
        FramePair(0, result[0], ground_truth[0], scored=False),
        FramePair(1, result[1], ground_truth[1], backward_flow=backward_flow, forward_flow=forward_flow),
    ]


def test_warp_equals_scipys_bilinear_interpolation():
    rng = np.random.default_rng(0)
    picture, flow = rng.random((24, 30), np.float32), rng.uniform(-4, 4, (24, 30, 2)).astype(np.float32)
    y, x = np.mgrid[:24, :30].astype(np.float64)
    expected = map_coordinates(picture, [y + flow[..., 1], x + flow[..., 0]], order=1, mode="nearest")
    np.testing.assert_allclose(warp(picture, flow), expected, atol=0.02)  # OpenCV rounds to 1/32 of a pixel


def test_warp_by_whole_pixels_is_exact(moved):
    before, after = moved
    flow = np.broadcast_to(np.float32([-3, -2]), (128, 160, 2))
    np.testing.assert_allclose(0.97 * warp(before, flow)[2:, 3:], after[2:, 3:], atol=1e-6)


def test_dis_finds_the_motion(moved):
    backward_flow = DIS().between(moved[1], moved[0])
    np.testing.assert_allclose(np.median(backward_flow[20:-20, 20:-20], (0, 1)), [-3, -2], atol=0.15)


def test_the_ground_truth_is_as_consistent_as_itself(moved):
    for metric, expected in ((TemporalConsistency(DIS()), 1), (WarpError(DIS()), None)):
        outputs = metric.values(metric.measure(pairs(moved, moved)))
        assert outputs[0] == pytest.approx(expected or outputs[1])


def test_tc_equals_equation_9_written_out(moved):
    """Written out once more, without sharing a line with the metric."""
    before, after = moved
    flickering = [np.clip(before * 0.8, 0, 1), after]
    metric = TemporalConsistency(DIS())
    window = pairs(flickering, moved)
    backward_flow = window[1].backward_flow.astype(np.float64)
    y, x = np.mgrid[:128, :160]

    def error(a, b):
        moved_there = [y + backward_flow[..., 1], x + backward_flow[..., 0]]
        warped = np.stack([map_coordinates(a[..., c], moved_there, order=1, mode="nearest") for c in range(3)], 2)
        return np.linalg.norm(warped - b) / np.linalg.norm(b)

    value, ratio, counted, held = metric.values(metric.measure(window))
    assert value == pytest.approx(error(*flickering) / error(*moved), rel=0.02)
    assert value > 2
    assert ratio == pytest.approx(value)
    assert (counted, held) == (1, 0)


def test_held_drawings_are_left_out_and_counted(moved):
    metric = TemporalConsistency(DIS())
    still = [moved[0], moved[0]]
    flicker = metric.measure(pairs([moved[0], moved[0] * 0.5], still))
    assert math.isnan(metric.values(flicker)[0])
    assert metric.values(flicker)[2:] == (0, 1)
    moving = metric.measure(pairs(moved, moved))
    assert metric.values(flicker + moving) == pytest.approx((1, 1, 1, 1))


def test_warp_error_counts_flicker_on_held_drawings(moved):
    metric = WarpError(DIS())
    still = [moved[0], moved[0]]
    flicker = [moved[0], np.float32(0.1) + moved[0]]
    result, ground_truth = metric.values(metric.measure(pairs(flicker, still)))
    assert ground_truth == pytest.approx(0, abs=1e-6)
    assert result == pytest.approx(1e4 * 3 * 0.01, rel=1e-3)


def test_appearing_pixels_are_not_visible_before():
    """A box moves 8 px to the right over a plain ground: what it uncovers on its left was hidden."""
    backward_flow, forward_flow = (np.zeros((40, 60, 2), np.float32) for _ in range(2))
    backward_flow[10:30, 28:48, 0] = -8  # the box is there now
    forward_flow[10:30, 20:40, 0] = 8  # and was there before
    shown = visible(backward_flow, forward_flow)
    assert shown[15:25, 32:44].all()
    assert not shown[15:25, 20:27].any()
    assert shown[:5].all()


def test_pairs_of_frames_given_painted_do_not_count(moved):
    first, second = pairs(moved, moved)
    both = [
        first,
        FramePair(
            1,
            second.result,
            second.ground_truth,
            scored=False,
            backward_flow=second.backward_flow,
            forward_flow=second.forward_flow,
        ),
    ]
    assert TemporalConsistency(DIS()).measure(both) is None
    assert WarpError(DIS()).measure(both[:1]) is None


def test_a_flow_estimator_that_is_not_installed_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "torchvision.models.optical_flow", None)
    with pytest.raises(MissingExtra) as caught:
        best_flow("raft")
    assert "torchvision" in caught.value.seen
    with pytest.raises(OptionError) as caught:
        best_flow("farneback")
    assert "farneback" in caught.value.seen
    assert isinstance(best_flow(), DIS)


def test_warp_error_is_zero_along_the_motion_and_the_squared_difference_elsewhere():
    before = np.random.default_rng(0).random((20, 30, 3), np.float32)
    flow = np.full((20, 30, 2), -2, np.float32)
    where = np.zeros((20, 30), bool)
    where[4:-4, 4:-4] = True
    now = np.roll(before, 2, (0, 1))
    assert warp_error(before, now, flow, where) == pytest.approx(0, abs=1e-6)
    assert warp_error(before, now + 0.1, flow, where) == pytest.approx(1e4 * 3 * 0.01, rel=1e-4)


def test_flicker_counts_visible_changes_where_the_ground_truth_is_still():
    truth = [np.zeros((4, 5, 3), np.float32) for _ in range(3)]
    truth[1][0], truth[2][0] = 1, 1
    result = [frame.copy() for frame in truth]
    assert visible_flicker(result, truth) == 0
    result[1][1, 0] = 0.1  # comes and goes: twice of 15 + 20 pixels
    result[1][2, 0] = 7 / 255  # too little to be seen
    result[2][0] = 0.5  # once in five pixels: the ground truth is still between the last two frames
    assert visible_flicker(result, truth) == pytest.approx((2 + 5) / 35)


def test_flicker_is_zero_where_nothing_is_still():
    frames = [np.full((2, 2, 3), i / 4, np.float32) for i in range(3)]
    assert visible_flicker(frames, frames) == 0
