"""The film-like benchmark from end to end, small; its sums; the heads that turn."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from celpaint.benchmark import benchmark, evaluate
from celpaint.benchmark.film import film_like_films, turning_films
from celpaint.benchmark.film_sums import check_shots, known_sums, sums_of
from celpaint.benchmark.films import benchmark_clips
from celpaint.benchmark.suite import FilmSpec, find_suite, read_suite
from celpaint.data.scripted import shots
from celpaint.data.scripted.shots import SHOTS, film
from celpaint.errors import InputError, OptionError

SPEC = FilmSpec(source="film", films=1, frames=3, height=48, width=80, lines=("drawn", "extracted"))


def test_a_quick_run_measures_every_kind_of_clip(tmp_path: Path) -> None:
    done = benchmark("film_quick", tmp_path, only=["copy of the reference"], max_films=1, workers=1)
    assert not [outcome.error for outcome in done.outcomes if outcome.error]
    assert {(c.axes["lines"], c.group) for c in done.clips} == {
        ("extracted", "extracted, whole shot, 1 painting"),
        ("extracted", "extracted, 1 frame away, 1 painting"),
        ("drawn", "drawn, whole shot, 1 painting"),
        ("drawn", "drawn, 1 frame away, 1 painting"),
        ("drawn", "turning"),
    }
    report = (tmp_path / "report.md").read_text()
    assert "copy of the reference" in report


def test_an_exported_set_is_scored_from_its_manifest(tmp_path: Path) -> None:
    suite = read_suite(find_suite("film_quick"))
    clips = list(benchmark_clips(replace(suite.at_most(1), films=suite.at_most(1).films[:1]), tmp_path, Path()))
    for clip in clips:
        target = tmp_path / "results" / clip.name
        target.mkdir(parents=True)
        for frame in clip.ground_truth.iterdir():
            (target / frame.name).write_bytes(frame.read_bytes())
    report = evaluate(tmp_path / "manifest.toml", protocol="full", metrics=["ssim"])
    assert len(report.clips) == len(clips)
    assert report.overall["ssim"].value == pytest.approx(1.0)


def test_the_full_suite_has_shots_windows_and_paintings_as_its_page_says() -> None:
    first, turning = read_suite(find_suite("film")).films
    assert (first.films, first.frames, first.height, first.width) == (24, 48, 320, 576)
    assert first.references == (1, 2, 3)
    assert first.windows == ("shot", 1, 15, 45)
    assert first.lines == ("extracted", "drawn")
    assert turning.source == "turning"


def test_the_ablations_take_every_part_away_with_two_casts() -> None:
    suite = read_suite(find_suite("film_ablations"))
    assert suite.films[0].seeds == (0, 1)
    assert suite.films[0].references == (1, 3)
    taken = {run.ablate for run in suite.runs}
    assert taken == {"", "smoothing of unsure regions", "flow blend", "region votes", "memory prior", "detail network"}


@pytest.mark.parametrize(("change", "seen"), [({"films": 25}, "film 25"), ({"frames": 5}, "5 frames")])
def test_more_than_there_is_of_the_shots_is_refused(change: dict[str, int], seen: str) -> None:
    with pytest.raises(OptionError, match=seen):
        next(iter(film_like_films(replace(SPEC, **change), 0, Path())))


def test_a_head_that_turns_keeps_its_paint() -> None:
    """Hair, skin and outline are there from every side, in the same flat colors."""
    head = next(f for f in turning_films(replace(SPEC, films=3), 0, Path()) if f.name == "head_left")
    assert head.frames.shape == (3, 320, 320, 3)
    hair, skin = np.array([226, 204, 122]) / 255, np.array([242, 185, 157]) / 255
    for frame, line in zip(head.frames, head.lines["drawn"], strict=True):
        for paint in (hair, skin):
            assert (np.abs(frame - paint).max(2) < 0.05).mean() > 0.03
        assert 0.005 < (line > 0.5).mean() < 0.1


def test_the_package_has_a_sum_for_every_frame() -> None:
    sums = known_sums()
    assert list(sums) == [script.name for script in SHOTS]
    for kinds in sums.values():
        assert {kind: len(values) for kind, values in kinds.items()} == {"color": 48, "line": 48}
        assert all(len(value) == 16 for value in kinds["color"])


def test_the_first_frame_of_a_shot_has_the_sum_in_the_package() -> None:
    number = [script.name for script in SHOTS].index("twirl")
    frame = next(film(number))
    assert sums_of({"color": [frame.color], "line": [frame.line]}) == {
        kind: values[:1] for kind, values in known_sums()["twirl"].items()
    }


@pytest.fixture
def small_benchmark(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A benchmark of one small shot, its sums, and a copy of it on disk."""
    frames = list(film(0, frames=2, height=48, width=80))
    sums = {SHOTS[0].name: sums_of({"color": [f.color for f in frames], "line": [f.line for f in frames]})}
    monkeypatch.setattr("celpaint.benchmark.film_sums.known_sums", lambda: sums)
    monkeypatch.setattr(
        "celpaint.benchmark.film_sums.film", lambda number: shots.film(number, frames=2, height=48, width=80)
    )
    folder = tmp_path / "copy" / "film-0-abc" / SHOTS[0].name / "shot"
    for kind, pictures in (("color", [f.color for f in frames]), ("lines-drawn", [255 - f.line for f in frames])):
        (folder / kind).mkdir(parents=True)
        for i, picture in enumerate(pictures):
            cv2.imwrite(str(folder / kind / f"{i:04d}.png"), picture[..., ::-1] if picture.ndim == 3 else picture)
    return tmp_path / "copy"


def test_an_exact_copy_passes_the_check(small_benchmark: Path) -> None:
    (rendered,) = check_shots(None, [0], 1)
    (copied,) = check_shots(small_benchmark, [0], 1)
    assert rendered.different == copied.different == 0
    assert str(copied) == f"{SHOTS[0].name}: all 2 frames are the benchmark's"


def test_a_copy_that_differs_is_told_by_how_much(small_benchmark: Path) -> None:
    file = small_benchmark / "film-0-abc" / SHOTS[0].name / "shot" / "color" / "0001.png"
    pixels = cv2.imread(str(file))
    pixels[10, 20, 1] ^= 4
    cv2.imwrite(str(file), pixels)
    (found,) = check_shots(small_benchmark, [0], 1)
    assert (found.different, found.most) == (1, 4)
    assert found.share == pytest.approx(1 / (48 * 80 * 4))
    assert "1 of 2 frames differ" in str(found)


def test_a_copy_without_a_frame_is_refused(small_benchmark: Path) -> None:
    next(small_benchmark.rglob("0001.png")).unlink()
    with pytest.raises(InputError, match=r"0001\.png"):
        list(check_shots(small_benchmark, [0], 1))
