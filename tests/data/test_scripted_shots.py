"""The film-like benchmark's generator: the same everywhere, held-out drawings only, truth that can be used."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

import numpy as np
import pytest

from celpaint.data.art import sources
from celpaint.data.scripted.drawings import CAST, credits, drawing
from celpaint.data.scripted.shots import SHOTS, film
from celpaint.data.synthetic.art import Art

SMALL = {"frames": 3, "height": 48, "width": 80}


def test_there_are_24_shots_of_different_names() -> None:
    assert len({script.name for script in SHOTS}) == 24


@pytest.mark.parametrize("number", [0, 9, 13, 19])
def test_a_shot_is_the_same_every_time(number: int) -> None:
    first, second = list(film(number, **SMALL)), list(film(number, **SMALL))
    for one, other in zip(first, second, strict=True):
        assert np.array_equal(one.color, other.color)
        assert np.array_equal(one.line, other.line)
        assert np.array_equal(one.part, other.part)


def test_another_seed_casts_other_figures() -> None:
    one, other = next(film(1, **SMALL)), next(film(1, seed=1, **SMALL))
    assert np.abs(one.color.astype(int) - other.color).mean() > 5


@pytest.mark.parametrize("number", range(len(SHOTS)))
def test_every_shot_moves_and_has_lines(number: int) -> None:
    frames = list(film(number, **SMALL))
    assert frames[0].color.shape == (48, 80, 3)
    assert np.abs(frames[0].color.astype(int) - frames[1].color).max() > 40
    for frame in frames:
        assert 0.005 < (frame.line > 127).mean() < 0.5
        assert frame.color.std() > 5


def test_all_drawings_are_of_styles_held_out_of_training() -> None:
    held = {style for source in sources() for style in source.held}
    assert {style for style, _ in CAST.values()} <= held
    assert set(credits()) == {style for style, _ in CAST.values()}


def test_the_packaged_drawings_are_those_of_the_cast() -> None:
    packed = Art.load(Path(str(resources.files("celpaint.data.scripted") / "drawings.safetensors")))
    assert [packed.styles[style] for style in packed.style] == [style for style, _ in CAST.values()]
    assert [packed.moving(number) for number in range(len(packed))] == [
        name.endswith(("dance", "turn")) for name in CAST
    ]
    assert all(packed.held)


def test_drawings_keep_their_regions_when_enlarged() -> None:
    numbers, lines = drawing("clock").cel(0)
    assert numbers.shape == lines.shape == (1152, 1152)
    assert set(np.unique(lines)) == {0, 1}
    assert 0.01 < lines.mean() < 0.1


def test_points_of_a_painted_set_say_where_it_is_seen_in_other_frames() -> None:
    """The camera of a pan moves the set: pixels of equal sheet and point show the same paint."""
    first, *_, last = film(6, frames=6, height=120, width=216)
    wall = 1
    known = (first.part == wall), (last.part == wall)
    assert known[0].mean() > 0.2
    assert known[1].mean() > 0.2
    shift = np.median(last.point[known[1]][:, 0]) - np.median(first.point[known[0]][:, 0])
    assert shift > 0.2  # the camera went right
    rows, columns = np.nonzero(known[0])
    where = {
        tuple(p): c for p, c in zip(np.round(last.point[known[1]] * 60).astype(int), last.color[known[1]], strict=True)
    }
    pairs = [
        (first.color[y, x].astype(int), where[key].astype(int))
        for y, x in zip(rows[::7], columns[::7], strict=True)
        if (key := tuple(np.round(first.point[y, x] * 60).astype(int))) in where
    ]
    assert len(pairs) > 100
    away = np.abs(np.array([a - b for a, b in pairs])).max(1)
    assert np.median(away) < 12


def test_parts_of_figures_have_one_paint_through_the_shot() -> None:
    """What is lit alike has the same color in every frame: the most frequent color of each large part stays."""
    frames = list(film(18, frames=4, height=96, width=160))
    sheets = 4
    parts = [n for n in np.unique(frames[0].part) if n > sheets and all((f.part == n).sum() > 60 for f in frames)]
    assert len(parts) >= 3
    for number in parts:
        colors = [np.median(frame.color[frame.part == number], axis=0) for frame in frames]
        assert np.ptp(np.stack(colors), axis=0).max() < 70
        assert all(np.isnan(frame.point[frame.part == number]).all() for frame in frames)


def test_the_page_names_every_shot_drawing_and_license() -> None:
    page = (Path(__file__).parents[2] / "docs" / "results" / "film_benchmark.md").read_text(encoding="utf-8")
    for script in SHOTS:
        assert f"| `{script.name}` | {' '.join(script.about.split())} |" in page
    for name, (style, _) in CAST.items():
        author, license = credits()[style]
        assert f"| `{name}` | {style} | {author} | {license} |" in page
