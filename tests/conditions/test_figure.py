"""Figures found in drawings and paintings, against masks that are known."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from celpaint.conditions.figure import drawn_figure, painted_figure
from celpaint.types import Array


def disc(size: tuple[int, int] = (120, 160), center: tuple[int, int] = (80, 60), radius: int = 40) -> Array:
    mask = np.zeros(size, np.float32)
    cv2.circle(mask, center, radius, 1.0, -1)
    return mask


def outline(mask: Array) -> Array:
    """The border of a mask, two pixels thick."""
    return np.asarray(cv2.morphologyEx(mask, cv2.MORPH_GRADIENT, np.ones((3, 3), np.uint8)), np.float32)


def overlap(found: npt.NDArray[np.float32], known: Array) -> float:
    """Intersection over union."""
    both, either = np.minimum(found, known).sum(), np.maximum(found, known).sum()
    return float(both / either)


def test_what_lines_enclose_is_the_figure() -> None:
    assert overlap(drawn_figure(outline(disc())), disc()) > 0.95


def test_parts_that_lines_divide_are_joined() -> None:
    line = outline(disc())
    line[60, 42:118] = 1
    line[22:98, 80] = 1
    assert overlap(drawn_figure(line), disc()) > 0.95


def test_figure_may_be_cut_by_the_bottom() -> None:
    known = disc(center=(80, 110), radius=45)
    assert overlap(drawn_figure(outline(known)), known) > 0.93


def test_small_parts_apart_are_left_out() -> None:
    speck = disc(center=(20, 20), radius=5)
    found = drawn_figure(np.maximum(outline(disc()), outline(speck)))
    assert float(found[15:26, 15:26].sum()) == 0
    assert overlap(found, disc()) > 0.95


@pytest.mark.parametrize("ink", [0.0, 1.0])
def test_drawing_that_encloses_nothing_has_no_figure(ink: float) -> None:
    assert float(drawn_figure(np.full((60, 80), ink, np.float32)).sum()) == 0


def test_open_line_has_no_figure() -> None:
    line = np.zeros((60, 80), np.float32)
    line[30, 10:70] = 1
    assert float(drawn_figure(line).sum()) == 0


def painting(figure: Array, background: Array) -> Array:
    rgb = np.where(figure[..., None] > 0, np.float32([0.9, 0.6, 0.3]), background)
    rgb[50:70, 70:90] = [0.2, 0.2, 0.6]
    return rgb.astype(np.float32)


def test_painted_figure_before_a_plain_background() -> None:
    found = painted_figure(painting(disc(), np.full((120, 160, 3), 0.8, np.float32)))
    assert overlap(found, disc()) > 0.93


def test_painted_figure_before_a_gradient() -> None:
    sky = np.linspace([0.3, 0.5, 0.9], [0.8, 0.9, 1.0], 120, dtype=np.float32)[:, None].repeat(160, 1)
    assert overlap(painted_figure(painting(disc(), sky)), disc()) > 0.9


def test_figure_has_the_size_of_a_large_painting() -> None:
    rgb = painting(disc(), np.full((120, 160, 3), 0.8, np.float32)).repeat(4, 0).repeat(4, 1)
    assert overlap(painted_figure(rgb), disc().repeat(4, 0).repeat(4, 1)) > 0.92


def test_plain_painting_has_no_figure() -> None:
    assert float(painted_figure(np.full((60, 80, 3), 0.4, np.float32)).sum()) == 0
