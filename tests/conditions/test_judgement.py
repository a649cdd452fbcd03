"""How sure a drawing is, judged where something is drawn."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, ImageDraw

from celpaint.conditions.judgement import drawn_area, judge, place_in_words
from celpaint.types import Array, Judgement


def two_circles(size: tuple[int, int] = (480, 270)) -> Array:
    """Line art, 480 x 270: a small circle at the upper left and a large one at the right."""
    width, height = size
    picture = Image.new("L", size, 0)
    draw = ImageDraw.Draw(picture)
    draw.ellipse([width * 0.08, height * 0.1, width * 0.2, height * 0.32], outline=255, width=2)
    draw.ellipse([width * 0.55, height * 0.2, width * 0.9, height * 0.85], outline=255, width=2)
    return np.asarray(picture, np.float32) / 255


def test_what_lines_enclose_is_drawn_and_the_paper_around_is_not() -> None:
    drawn = drawn_area(two_circles())
    assert drawn[int(0.2 * 270), int(0.14 * 480)]
    assert drawn[int(0.5 * 270), int(0.7 * 480)]
    assert not drawn[200, 100]
    assert not drawn[5, 300]


def test_blank_paper_does_not_hide_an_unsure_region() -> None:
    line = two_circles()
    confidence = np.ones_like(line)
    confidence[20:95, 30:105] = 0.1
    judged = judge(line, confidence)
    assert confidence.mean() > 0.95
    assert judged.least == pytest.approx(0.1, abs=0.02)
    assert judged.mean < 0.92
    assert 0.0 <= judged.left < judged.right <= 0.25
    assert 0.0 <= judged.top < judged.bottom <= 0.4
    assert place_in_words(judged, (270, 480)).startswith("upper left, x ")


def test_unsure_paper_does_not_count() -> None:
    line = two_circles()
    confidence = np.where(drawn_area(line), 1, 0).astype(np.float32)
    judged = judge(line, confidence)
    assert judged.mean > 0.95
    assert judged.least > 0.8


def test_an_empty_drawing_is_judged_as_a_whole() -> None:
    assert judge(np.zeros((40, 60), np.float32), np.full((40, 60), 0.25, np.float32)) == Judgement(0.25, 0.25)


@pytest.mark.parametrize("size", [(1, 1), (300, 1), (1, 300), (8, 8)])
def test_any_size_is_judged(size: tuple[int, int]) -> None:
    judged = judge(np.ones(size, np.float32), np.full(size, 0.5, np.float32))
    assert judged.least == pytest.approx(0.5)
    assert 0 <= judged.top < judged.bottom <= 1


@pytest.mark.parametrize(
    ("box", "words"),
    [
        ((0.0, 0.0, 0.2, 0.1), "upper left, x 0 to 20, y 0 to 20"),
        ((0.4, 0.4, 0.6, 0.6), "center, x 80 to 120, y 40 to 60"),
        ((0.4, 0.8, 0.6, 1.0), "right, x 160 to 200, y 40 to 60"),
        ((0.7, 0.3, 1.0, 0.7), "lower center, x 60 to 140, y 70 to 100"),
    ],
)
def test_a_place_in_words(box: tuple[float, float, float, float], words: str) -> None:
    assert place_in_words(Judgement(1.0, 0.0, *box), (100, 200)) == words
