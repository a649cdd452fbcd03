"""Cuts between scenes of line art and of colored pictures."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, ImageDraw

from celpaint.frames.cuts import AGREES, find_scene_cuts, ink_agreement
from celpaint.types import Frame

SIZE = (320, 180)


def ball(x: float, y: float = 90, radius: float = 40) -> Image.Image:
    picture = Image.new("L", SIZE, 255)
    pen = ImageDraw.Draw(picture)
    for r in (radius, 0.75 * radius, radius / 2, radius / 4):
        pen.ellipse([x - r, y - r, x + r, y + r], outline=0, width=3)
    return picture


def fence(x: float) -> Image.Image:
    picture = Image.new("L", SIZE, 255)
    pen = ImageDraw.Draw(picture)
    for post in range(5):
        pen.rectangle([x + 44 * post, 10, x + 44 * post + 14, 172], outline=0, width=3)
    return picture


def frames(*pictures: Image.Image, tint: tuple[float, float, float] = (1, 1, 1)) -> list[Frame]:
    return [Frame(np.asarray(p.convert("RGB"), np.float32) / 255 * np.float32(tint)) for p in pictures]


BALLS = [ball(60 + 12 * i) for i in range(5)]
FENCES = [fence(20 + 6 * i) for i in range(5)]


def test_one_scene_has_no_cut() -> None:
    assert find_scene_cuts(frames(*BALLS), drawn=True) == []
    assert find_scene_cuts(frames(*FENCES), drawn=True) == []


def test_another_drawing_is_another_scene() -> None:
    assert find_scene_cuts(frames(*BALLS, *FENCES, *BALLS), drawn=True) == [5, 10]


def test_one_odd_drawing_is_no_scene() -> None:
    assert find_scene_cuts(frames(*BALLS, FENCES[0], *BALLS), drawn=True) == []
    assert find_scene_cuts(frames(*BALLS, FENCES[0]), drawn=True) == []


def test_empty_drawings_and_a_fast_pan_are_no_cuts() -> None:
    blank = Image.new("L", SIZE, 255)
    assert find_scene_cuts(frames(*BALLS, blank, blank, *BALLS), drawn=True) == []
    assert find_scene_cuts(frames(*(ball(60 + 90 * i) for i in range(3))), drawn=True) == []


@pytest.mark.parametrize("paper", [255, 0])
def test_the_paper_may_be_black(paper: int) -> None:
    pictures = [Image.eval(p, lambda v: v if paper else 255 - v) for p in (*BALLS, *FENCES)]
    assert find_scene_cuts(frames(*pictures), drawn=True) == [5]


def test_colored_scenes_differ_by_their_colors() -> None:
    day, night = frames(*BALLS, tint=(0.9, 0.8, 0.5)), frames(*BALLS, tint=(0.1, 0.1, 0.4))
    assert find_scene_cuts([*day, *night], drawn=False) == [5]
    assert find_scene_cuts(day, drawn=False) == []


def test_agreement_is_1_for_a_shifted_drawing_and_about_0_for_another() -> None:
    a, b, c = (1 - np.asarray(p.resize((160, 90)), np.float32) / 255 for p in (ball(60), ball(110), fence(20)))
    assert ink_agreement(a, b) > 0.95
    assert ink_agreement(a, c) < AGREES
