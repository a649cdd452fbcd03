"""Optical flow between drawings."""

from __future__ import annotations

import numpy as np
import pytest

from celpaint.conditions.flow import line_flow, slopes, warp
from celpaint.types import Array


def disc(x: float, y: float) -> Array:
    """A circle drawn at a place of an empty sheet."""
    rows, columns = np.mgrid[:120, :160].astype(np.float32)
    away = np.abs(np.hypot(columns - x, rows - y) - 30)
    line: Array = np.clip(1.5 - away, 0, 1).astype(np.float32)
    return line


@pytest.mark.parametrize(("dx", "dy"), [(0, 0), (3, 0), (-4, 2)])
def test_what_moved_is_followed(dx: int, dy: int) -> None:
    here, there = disc(80, 60), disc(80 + dx, 60 + dy)
    flow = line_flow(here, there)
    assert flow.shape == (120, 160, 2)
    inside = slice(40, 80), slice(60, 100)
    np.testing.assert_allclose(flow[inside].mean((0, 1)), (dx, dy), atol=0.7)
    moved = warp(there, flow)
    assert np.abs(moved - here).mean() < 0.4 * np.abs(there - here).mean() + 1e-6


def test_a_drawing_held_still_does_not_move() -> None:
    np.testing.assert_array_equal(line_flow(disc(80, 60), disc(80, 60)), 0)


def test_an_empty_sheet_has_no_slope() -> None:
    assert np.ptp(slopes(np.zeros((40, 50), np.float32))) == 0
