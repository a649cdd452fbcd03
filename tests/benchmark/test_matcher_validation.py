"""The matcher's validation: what is counted, how it is written down, and the whole command at toy size."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from celpaint.benchmark import study
from celpaint.benchmark.matcher import films, flat_cels, quality, report, sheets
from celpaint.benchmark.matcher.example_shot import SHEET, example_shot, shot_sheet
from celpaint.benchmark.study import StudySettings, save_sheet
from celpaint.cli.app import run
from celpaint.data.synthetic import toy_art
from celpaint.errors import WeightsError
from celpaint.frames.contact_sheet import GAP, STRIP
from celpaint.methods.base import Method
from celpaint.types import Chunk, ColorizedFrame, Reference, Shot
from celpaint.weights.registry import find_weights
from shots import draw_line, paint_key


@pytest.fixture(autouse=True)
def _without_lpips(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(study, "_lpips", lambda: None)


def needs_weights() -> None:
    try:
        find_weights("matcher", "small")
    except WeightsError:
        pytest.skip("the package has no weights yet")


# -- what is counted -------------------------------------------------------------------------------------------------


def shifted(dx: float, dy: float, height: int = 24, width: int = 40) -> np.ndarray:
    """Points ``2 H W`` of a picture that moved by (dx, dy) pixels."""
    y, x = np.mgrid[:height, :width].astype(np.float32)
    return np.stack([x - dx, y - dy]) / height


@pytest.mark.parametrize("move", [(0, 0), (3, -2), (2.3, 1.6)])
def test_known_flow_points_to_where_points_come_from(move: tuple[float, float]) -> None:
    same = np.zeros((24, 40), np.int64)
    flow, seen = films.flow_of(same, shifted(*move), same, shifted(0, 0))
    assert seen[6:-6, 6:-6].all()
    np.testing.assert_allclose(flow[seen], np.broadcast_to([-move[0], -move[1]], (seen.sum(), 2)), atol=1e-3)


def test_known_flow_leaves_out_other_drawings_and_unknown_points() -> None:
    drawing, other = np.zeros((24, 40), np.int64), np.zeros((24, 40), np.int64)
    drawing[:, 20:] = 64
    points, other_points = shifted(0, 0), shifted(0, 0)
    points[:, :, :8] = np.nan
    other_points[:, 20:], other[20:] = np.nan, 128
    _, seen = films.flow_of(drawing, points, other, other_points)
    assert not seen[:, 20:].any()
    assert not seen[:, :8].any()
    assert not seen[20:].any()
    assert seen[4:18, 10:18].all()


def test_right_segments_counts_closed_regions_of_the_right_color() -> None:
    lines = np.zeros((20, 41), np.float32)
    lines[:, 20] = 1
    truth = np.zeros((20, 41, 3), np.float32)
    truth[:, :20], truth[:, 21:] = (1, 0, 0), (0, 0, 1)
    result = truth.copy()
    result[:, 21:] = 0.1, 0, 0.9
    whole = np.ones((20, 41), np.int64)
    assert flat_cels.right_segments(truth, truth, whole, lines) == (2, 2)
    assert flat_cels.right_segments(result, truth, whole, lines) == (1, 2)
    assert flat_cels.right_segments(result, truth, whole, lines, nearest=True) == (2, 2)
    left = whole.copy()
    left[:, 21:] = 0
    assert flat_cels.right_segments(result, truth, left, lines) == (1, 1)


def test_flat_films_have_one_color_a_part_and_only_parts_of_the_reference(tmp_path: Path) -> None:
    toy_art().save(tmp_path / "toy.safetensors")
    film = films.flat_film(films.still_film(StudySettings(tmp_path / "toy.safetensors", size=(64, 96)), "clean", 15, 0))
    assert film.clip.region is not None
    shown = set(np.unique(film.clip.region[0, 0].numpy()))
    regions, truth = film.regions[0], film.truth[0]
    assert set(np.unique(regions)) <= shown | {0}
    for part in set(np.unique(regions)) - {0}:
        inside = truth[regions == part]
        assert (inside == inside[0]).all()
        np.testing.assert_array_equal(inside[0], film.shot.references[0].rgb[film.clip.region[0, 0] == part][0])


def test_calibration_counts_every_pixel_once() -> None:
    truth = np.zeros((2, 2, 3), np.float32)
    result = truth.copy()
    result[0, 0] = 0.5
    sure = np.array([[0.05, 0.95], [0.97, 1.0]], np.float32)
    tenths = np.array(quality.calibration(result, sure, truth))
    np.testing.assert_allclose(tenths[0], [0, 0.05, 1], rtol=1e-5)
    np.testing.assert_allclose(tenths[9], [3, 2.92, 3], rtol=1e-5)
    assert tenths[1:9].sum() == 0


# -- sheets and report ----------------------------------------------------------------------------------------------


def case(film: int, distance: int, gain: float, lines: str = "clean") -> quality.Case:
    return quality.Case(lines, distance, film, 20 + gain, 20.0, (np.zeros((32, 48, 3), np.uint8),) * 5)


def test_the_worst_cases_gain_least_one_a_film_and_distance() -> None:
    cases = [case(0, 15, 3), case(1, 15, -2), case(1, 15, -3, "soft"), case(1, 45, 1), case(2, 1, -60)]
    chosen = sheets.worst(cases, 2)
    assert [(c.film, c.distance, c.lines) for c in chosen] == [(1, 15, "soft"), (1, 45, "clean")]


def test_the_typical_film_has_the_median_gain() -> None:
    cases = [case(0, 15, 9), case(0, 45, 1), case(0, 1, -60), case(1, 15, 2), case(2, 15, 7), case(3, 15, 8)]
    assert sheets.typical(cases) == 0
    assert sheets.typical(cases[3:]) == 2


def test_the_worst_sheet_has_a_captioned_row_a_case() -> None:
    sheet = sheets.worst_sheet([case(0, 15, 3), case(1, 15, -2)])
    assert sheet.shape == (STRIP + 2 * (STRIP + 192) + GAP, 5 * (288 + GAP) - GAP, 3)


def test_sheets_are_stored_as_large_as_allowed(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (300, 300, 3), np.uint8)
    save_sheet(noise, tmp_path / "new" / "a.webp", most=40_000)
    assert 20_000 < (tmp_path / "new" / "a.webp").stat().st_size <= 40_000


def test_pictures_that_are_not_finite_are_refused() -> None:
    class Broken(Method):
        def color(self, shot: Shot, **_: object) -> Iterator[Chunk]:  # type: ignore[override]
            yield Chunk((0,), (ColorizedFrame(np.full((4, 4, 3), np.nan, np.float32)),))

    line = np.zeros((4, 4), np.float32)
    with pytest.raises(WeightsError) as caught:
        study.color(Broken(), Shot([line], (Reference(np.zeros((4, 4, 3), np.float32), line),), (4, 4)))
    assert "NaN" in caught.value.seen


def test_the_report_says_what_was_aimed_at() -> None:
    at = {"part": "quality", "references": 1, "distance": 15, "lpips": math.nan}
    own = {"matched": 0.5, "matched_drawings": 0.25, "confidence": [[1.0, 2.0, 4.0]] * 10}
    records = [
        {**at, "lines": "any", "method": "copy", "psnr": 18.0},
        *(
            {**at, **own, "lines": lines, "method": "matcher", "psnr": p}
            for lines, p in (("clean", 27.0), ("soft", 25.0))
        ),
    ]
    text = report.report(records, "Settings.")
    assert text.startswith("Settings.\n\n### PSNR")
    assert "| gain over copying at 15 frames, clean lines | 8 dB | 9.0 dB |" in text
    assert "| clean | whole picture | 50.0 |" in text
    assert "0.85" not in text  # segments were not measured
    assert "nan" not in text


# -- the command ---------------------------------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore:divide by zero")  # the ball is so plain that a result may be exact
def test_the_example_shot_is_read_colored_and_finished_as_a_users(tmp_path: Path) -> None:
    needs_weights()
    for name in ("lines", "original"):
        (tmp_path / name).mkdir()
    for i in range(4):
        draw_line(i // 2).save(tmp_path / "lines" / f"{i}.png")
        paint_key(i // 2).save(tmp_path / "original" / f"{i}.png")
    paint_key(0).save(tmp_path / "reference.png")
    records, shown = example_shot(StudySettings(tmp_path, shot=tmp_path))
    by_name = {record["method"]: record for record in records}
    assert by_name["copy"]["flicker"] == by_name["ground truth"]["flicker"] == 0
    assert by_name["matcher"]["psnr"] > by_name["copy"]["psnr"]
    assert [one.name for one in shown][:3] == ["lines", "matcher", "confidence"]
    assert {len(one.frames) for one in shown} == {4}
    assert shot_sheet(shown).shape[0] == STRIP + len(SHEET) * (STRIP + 192 + GAP) - GAP


def test_the_command_at_toy_size(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    needs_weights()
    toy_art().save(tmp_path / "toy.safetensors")
    docs = tmp_path / "docs.md"
    docs.write_text("<!-- figures -->\n<!-- /figures -->\n")
    for module in (quality, flat_cels):
        monkeypatch.setattr(module, "DISTANCES", (15,))
    chosen = ["quality", "segments", "consistency", "--art", str(tmp_path / "toy.safetensors"), "--films", "1"]
    places = ["--size", "80x48", "--workers", "1", "--out", str(tmp_path / "out"), "--docs", str(docs)]
    assert run(["benchmark", "validate-matcher", *chosen, *places]) == 0
    for name in ("distance", "worst"):
        kept = tmp_path / "out" / f"{name}.webp"
        assert kept.read_bytes() == (tmp_path / "images" / f"matcher-{name}.webp").read_bytes()
    stored = json.loads((tmp_path / "out" / "figures.json").read_text())
    assert {record["part"] for record in stored["records"]} == {"quality", "segments", "consistency"}
    text = (tmp_path / "out" / "figures.md").read_text().strip()
    assert text in docs.read_text()
    assert text in capsys.readouterr().out
    truth = next(r for r in stored["records"] if r["method"] == "truth")
    copied = next(r for r in stored["records"] if r["part"] == "consistency" and r["method"] == "copy")
    assert truth["warp"] < copied["warp"]


def test_a_missing_file_of_drawings_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["benchmark", "validate-matcher", "quality", "--art", str(tmp_path / "no.safetensors")]) == 2
    assert "celpaint data art" in capsys.readouterr().err


def test_sides_that_are_no_multiples_of_16_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["benchmark", "validate-matcher", "--size", "100x64"]) == 2
    assert "--size is 100x64" in capsys.readouterr().err
