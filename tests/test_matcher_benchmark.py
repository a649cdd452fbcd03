"""The matcher's figures: what is counted, how it is written down, and the whole command at toy size."""

from __future__ import annotations

import importlib.util
import json
import math
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from celpaint.data.synthetic import toy_art
from celpaint.errors import InputError, WeightsError
from celpaint.weights.registry import find_weights
from shots import draw_line, paint_key

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
sys.path.append(str(BENCHMARKS))

from matcher_figures import demo, films, quality, report, sheets, steadiness, tables, work  # noqa: E402


@pytest.fixture(autouse=True)
def _without_lpips(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(work, "_lpips", lambda: None)


def needs_weights() -> None:
    try:
        find_weights("matcher", "small")
    except WeightsError:
        pytest.skip("the package has no weights yet")


# -- figures -------------------------------------------------------------------------------------------------------


def shifted(dx: float, dy: float, height: int = 24, width: int = 40) -> np.ndarray:
    """Points ``2 H W`` of a picture that moved by (dx, dy) pixels."""
    y, x = np.mgrid[:height, :width].astype(np.float32)
    return np.stack([x - dx, y - dy]) / height


@pytest.mark.parametrize("move", [(0, 0), (3, -2), (2.3, 1.6)])
def test_the_flow_is_where_points_come_from(move: tuple[float, float]) -> None:
    same = np.zeros((24, 40), np.int64)
    flow, seen = films.flow_of(same, shifted(*move), same, shifted(0, 0))
    assert seen[6:-6, 6:-6].all()
    np.testing.assert_allclose(flow[seen], np.broadcast_to([-move[0], -move[1]], (seen.sum(), 2)), atol=1e-3)


def test_other_drawings_and_unknown_points_are_not_seen() -> None:
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


def test_warp_error_is_what_moves_otherwise() -> None:
    rng = np.random.default_rng(0)
    before = rng.random((20, 30, 3), np.float32)
    flow = np.full((20, 30, 2), -2, np.float32)
    seen = np.zeros((20, 30), bool)
    seen[4:-4, 4:-4] = True
    now = np.roll(before, 2, (0, 1))
    assert steadiness.warp_error(before, now, flow, seen) == pytest.approx(0, abs=1e-6)
    assert steadiness.warp_error(before, now + 0.1, flow, seen) == pytest.approx(1e4 * 3 * 0.01, rel=1e-4)


def test_flicker_counts_only_where_the_original_stands() -> None:
    original = [np.zeros((4, 5, 3), np.float32) for _ in range(3)]
    original[1][0], original[2][0] = 1, 1
    result = [frame.copy() for frame in original]
    assert demo.flicker(result, original) == 0
    result[1][1, 0] = 0.1  # comes and goes: twice of 15 + 20 pixels
    result[1][2, 0] = 7 / 255
    result[2][0] = 0.5  # once in five pixels: the original stands between the last two
    assert demo.flicker(result, original) == pytest.approx((2 + 5) / 35)


def test_segments_of_the_right_color() -> None:
    lines = np.zeros((20, 41), np.float32)
    lines[:, 20] = 1
    truth = np.zeros((20, 41, 3), np.float32)
    truth[:, :20], truth[:, 21:] = (1, 0, 0), (0, 0, 1)
    result = truth.copy()
    result[:, 21:] = 0.1, 0, 0.9
    whole = np.ones((20, 41), np.int64)
    assert quality.right_segments(truth, truth, whole, lines) == (2, 2)
    assert quality.right_segments(result, truth, whole, lines) == (1, 2)
    assert quality.right_segments(result, truth, whole, lines, nearest=True) == (2, 2)
    left = whole.copy()
    left[:, 21:] = 0
    assert quality.right_segments(result, truth, left, lines) == (1, 1)


def test_flat_films_have_one_color_a_part_and_no_part_the_reference_lacks(tmp_path: Path) -> None:
    toy_art().save(tmp_path / "toy.safetensors")
    film = films.flattened(films.still(work.Settings(tmp_path / "toy.safetensors", size=(64, 96)), "clean", 15, 0))
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


# -- words ---------------------------------------------------------------------------------------------------------


def test_mean_and_standard_error() -> None:
    assert tables.mean_and_error([1, 2, 3, math.nan]) == pytest.approx((2, 1 / math.sqrt(3)))
    mean, error = tables.mean_and_error([0.5, 1.0], [30, 10])
    assert mean == pytest.approx(25 / 40)  # 15 + 10 right of 40
    assert error == pytest.approx(math.sqrt(2 * ((15 - 18.75) ** 2 + (10 - 6.25) ** 2)) / 40)
    assert tables.mean_and_error([4])[0] == 4
    assert math.isnan(tables.mean_and_error([4])[1])
    assert math.isnan(tables.mean_and_error([])[0])


def test_a_table_by_distance() -> None:
    records = [
        {"lines": "soft", "distance": 15, "psnr": 20.0},
        {"lines": "soft", "distance": 1, "psnr": 30.0},
        {"lines": "soft", "distance": 15, "psnr": 22.0},
        {"lines": "clean", "distance": 1, "psnr": math.nan},
    ]
    assert tables.by_distance(records, ("lines",), "psnr", 1).splitlines() == [
        "| lines | 1 frame | 15 frames |",
        "| --- | ---: | ---: |",
        "| soft | 30.0 | 21.0 ± 1.0 |",
        "| clean | - | - |",
    ]


def test_a_table_by_figure() -> None:
    records = [{"method": "copy", "psnr": 20.0, "s": 0.123}, {"method": "truth", "psnr": math.nan}]
    assert tables.by_figure(records, ("method",), {"psnr": ("PSNR", 1), "s": ("seconds", 2)}).splitlines() == [
        "| method | PSNR | seconds |",
        "| --- | ---: | ---: |",
        "| copy | 20.0 | 0.12 |",
        "| truth | - | - |",
    ]


def test_text_between_markers_is_renewed() -> None:
    document = "# M\n<!-- figures -->\nold\n<!-- /figures -->\nrest\n"
    once = tables.insert(document, "figures", "new\n")
    assert once == "# M\n<!-- figures -->\nnew\n<!-- /figures -->\nrest\n"
    assert tables.insert(once, "figures", "new") == once


@pytest.mark.parametrize("document", ["", "<!-- figures -->", "<!-- /figures --><!-- figures -->"])
def test_a_document_without_markers_is_refused(document: str) -> None:
    with pytest.raises(InputError, match="once, in this order"):
        tables.insert(document, "figures", "new")


def test_stored_figures_have_no_nan(tmp_path: Path) -> None:
    tables.store(tmp_path / "a.json", {"records": [{"lpips": math.nan, "psnr": 1.5}]})
    assert json.loads((tmp_path / "a.json").read_text()) == {"records": [{"lpips": None, "psnr": 1.5}]}


def case(film: int, distance: int, gain: float, lines: str = "clean") -> quality.Case:
    return quality.Case(lines, distance, film, 20 + gain, 20.0, (np.zeros((32, 48, 3), np.uint8),) * 5)


def test_the_worst_cases_gain_least_and_are_all_different() -> None:
    cases = [case(0, 15, 3), case(1, 15, -2), case(1, 15, -3, "soft"), case(1, 45, 1), case(2, 1, -60)]
    chosen = sheets.worst(cases, 2)
    assert [(c.film, c.distance, c.lines) for c in chosen] == [(1, 15, "soft"), (1, 45, "clean")]


def test_the_typical_film_is_the_median() -> None:
    cases = [case(0, 15, 9), case(0, 45, 1), case(0, 1, -60), case(1, 15, 2), case(2, 15, 7), case(3, 15, 8)]
    assert sheets.typical(cases) == 0
    assert sheets.typical(cases[3:]) == 2


def test_sheets_have_a_strip_a_row(tmp_path: Path) -> None:
    sheet = sheets.failures([case(0, 15, 3), case(1, 15, -2)])
    assert sheet.size == (5 * (288 + sheets.MARGIN), sheets.STRIP + 2 * (sheets.STRIP + 192))
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (300, 300, 3), np.uint8))
    sheets.save(noise, tmp_path / "a.webp", most=40_000)
    assert 0 < (tmp_path / "a.webp").stat().st_size <= 40_000


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
    assert "| over copying at 15 frames, clean lines | 8 dB | 9.0 dB |" in text
    assert "| clean | whole picture | 50.0 |" in text
    assert "0.85" not in text  # segments were not measured
    assert "nan" not in text


# -- the whole -----------------------------------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore:divide by zero")  # the ball is so plain that a result may be exact
def test_the_example_shot_is_measured_through_the_whole_path(tmp_path: Path) -> None:
    needs_weights()
    for name in ("lines", "original"):
        (tmp_path / name).mkdir()
    for i in range(4):
        draw_line(i // 2).save(tmp_path / "lines" / f"{i}.png")
        paint_key(i // 2).save(tmp_path / "original" / f"{i}.png")
    paint_key(0).save(tmp_path / "reference.png")
    records, shown = demo.demo(work.Settings(tmp_path), tmp_path)
    by_name = {record["method"]: record for record in records}
    assert by_name["copy"]["flicker"] == by_name["original"]["flicker"] == 0
    assert by_name["matcher"]["psnr"] > by_name["copy"]["psnr"]
    assert [one.name for one in shown][:3] == ["lines", "matcher", "confidence"]
    assert {len(one.frames) for one in shown} == {4}
    assert sheets.shots(shown).size[1] == sheets.STRIP + len(sheets.SHOT) * (sheets.STRIP + 192)


def test_the_command_at_toy_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    needs_weights()
    toy_art().save(tmp_path / "toy.safetensors")
    docs = tmp_path / "docs.md"
    docs.write_text("<!-- figures -->\n<!-- /figures -->\n")
    spec = importlib.util.spec_from_file_location("matcher_benchmark", BENCHMARKS / "matcher.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setattr(quality, "DISTANCES", (15,))
    chosen = ["quality", "segments", "steadiness", "--art", str(tmp_path / "toy.safetensors"), "--films", "1"]
    places = ["--size", "48", "80", "--workers", "1", "--out", str(tmp_path / "out"), "--docs", str(docs)]
    monkeypatch.setattr(sys, "argv", ["matcher.py", *chosen, *places])
    module.main()
    for name in ("distance", "worst"):
        kept = tmp_path / "out" / f"{name}.webp"
        assert kept.read_bytes() == (tmp_path / "images" / f"matcher-{name}.webp").read_bytes()
    told = json.loads((tmp_path / "out" / "figures.json").read_text())
    assert {record["part"] for record in told["records"]} == {"quality", "segments", "steadiness"}
    assert (tmp_path / "out" / "figures.md").read_text().strip() in docs.read_text()
    truth = next(r for r in told["records"] if r["method"] == "truth")
    copied = next(r for r in told["records"] if r["part"] == "steadiness" and r["method"] == "copy")
    assert truth["warp"] < copied["warp"]
