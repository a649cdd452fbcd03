"""The validation of LVCD small: tables, verdicts and choices from numbers, and the whole command at toy size."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from celpaint.benchmark import study
from celpaint.benchmark.lvcd import films, quality, sampler, speed, validation
from celpaint.benchmark.lvcd import report as tables
from celpaint.benchmark.lvcd.example_shot import shot_scores
from celpaint.cli.app import run
from celpaint.errors import WeightsError
from celpaint.methods.lvcd.weights import Card
from celpaint.weights.registry import find_weights
from shots import draw_line, paint_key

# -- verdicts ------------------------------------------------------------------------------------------------------


def quality_records(soft: float, binary: float, near: float, far: float, sharp: float) -> list[dict[str, Any]]:
    """15 frames away PSNR ``soft`` and ``binary``, 1 and 45 away ``near`` and ``far``; copying always 15 dB, 0.2."""
    own = {
        ("soft", 1): near,
        ("soft", 15): soft,
        ("soft", 45): far,
        ("binary", 1): near,
        ("binary", 15): binary,
        ("binary", 45): far,
    }
    rest = {"tc": 1.5, "warp": 20.0, "warp_truth": 10.0, "flicker": 0.5}
    return [
        {"method": method, "lines": lines, "distance": distance, "psnr": psnr + shift, "lpips": lpips, **rest}
        for (lines, distance), ours in own.items()
        for method, psnr, lpips in ((tables.OURS, ours, sharp), ("matcher", ours - 0.5, 0.12), ("copying", 15.0, 0.2))
        for shift in (-1, 1)
    ]


def shot_records(**changed: float) -> list[dict[str, Any]]:
    own = {"psnr": 25.0, "psnr_moving": 20.0, "right": 95.0, "flicker": 0.05, "seconds": 1.0}
    copied = {"psnr": 18.0, "psnr_moving": 12.0, "right": 40.0, "flicker": 0.0, "seconds": math.nan}
    return [{"method": tables.OURS, **own, **changed}, {"method": "copying", **copied}]


def test_verdicts_are_met_where_every_value_reaches_its_target() -> None:
    assert [v.met for v in tables.verdicts(quality_records(23, 22.5, 24, 23, 0.09), shot_records())] == [True] * 8


@pytest.mark.parametrize(
    ("numbers", "changed", "missed"),
    [
        ((20.9, 22, 24, 23, 0.09), {}, {0, 1}),  # one hand under 21 and under 22
        ((21.9, 22, 24, 23, 0.09), {}, {1}),
        ((24, 22.9, 24, 23, 0.09), {}, {2}),
        ((23, 25, 24, 23, 0.09), {}, set()),  # binary may be better
        ((23, 23, 24.6, 23, 0.09), {}, {3}),
        ((23, 23, 24, 23, 0.1), {}, {4}),
        ((23, 23, 24, 23, 0.09), {"flicker": 0.1}, {5}),
        ((23, 23, 24, 23, 0.09), {"psnr_moving": 17.9}, {6}),
        ((23, 23, 24, 23, 0.09), {"right": 89.0}, {7}),
    ],
)
def test_a_value_below_its_target_is_missed(
    numbers: tuple[float, ...], changed: dict[str, float], missed: set[int]
) -> None:
    measured, seen = quality_records(*numbers), shot_records(**changed)
    assert {i for i, v in enumerate(tables.verdicts(measured, seen)) if not v.met} == missed
    assert tables.aims(measured, seen).count("**missed**") == len(missed)


def test_what_was_not_measured_is_neither_met_nor_missed() -> None:
    assert {v.met for v in tables.verdicts([], [])} == {None}
    unfetched = tables.verdicts(quality_records(23, 23, 24, 23, math.nan), [])
    assert (unfetched[3].met, unfetched[4].met) == (True, None)
    one = [r for r in quality_records(23, 23, 24, 23, 0.09) if r["lines"] == "soft"]
    assert tables.verdicts(one, [])[2].met is None


# -- steps ---------------------------------------------------------------------------------------------------------


def trial(steps: int, psnr: float, lpips: float, seconds: float) -> tables.Trial:
    setting = {"name": "", "draft": "none", "start": "noise", "solver": "euler", "steps": steps}
    figures = {"psnr": psnr, "lpips": lpips, "seconds": seconds, "flicker": 0.0}
    (made,) = tables.trials([{**setting, **figures, "film": 0}, {**setting, **figures, "film": 1, "psnr": psnr + 2}])
    return made


def test_choose_takes_the_quickest_that_is_as_good_as_the_best() -> None:
    one, four, ten = trial(1, 20.0, 0.20, 0.2), trial(4, 21.9, 0.104, 0.5), trial(10, 22.0, 0.10, 1.0)
    assert tables.choose([one, four, ten]) is four
    assert tables.preview([one, four, ten]) is one
    assert tables.preview([four, ten]) is None
    far = trial(4, 21.7, 0.10, 0.5)  # 0.3 dB behind
    assert tables.choose([one, far, ten]) is ten
    blurred = trial(4, 22.0, 0.12, 0.5)  # LPIPS a fifth worse
    assert tables.choose([one, blurred, ten]) is ten


def test_choose_takes_the_lesser_fault_where_psnr_and_lpips_disagree() -> None:
    blurred, sharp = trial(1, 22.0, 0.2, 0.2), trial(10, 21.5, 0.1, 1.0)
    assert tables.choose([blurred, sharp]) is sharp  # 2.5 times too far behind; the other 20 times too unlike


def test_choose_takes_the_best_of_the_equally_quick() -> None:
    near, nearer, slow = trial(1, 21.9, 0.1, 0.50), trial(1, 22.0, 0.1, 0.52), trial(1, 22.1, 0.1, 0.60)
    assert tables.choose([near, nearer, slow]) is nearer


def test_choose_goes_by_psnr_where_lpips_is_missing() -> None:
    assert tables.choose([trial(1, 21.9, math.nan, 0.2), trial(4, 22.0, math.nan, 0.5)]).steps == 1


def test_the_report_has_every_table_and_names_the_choice() -> None:
    tried = [trial(1, 20.0, 0.2, 0.2), trial(4, 22.0, 0.1, 0.5), trial(0, 23.0, 0.1, 0.1)]  # 0: the draft itself
    records = [record for t in tried for record in t.records]
    raw = [
        r | {"method": "copy" if r["method"] == "copying" else r["method"]}
        for r in quality_records(23, 22.5, 24, 23, 0.09)
    ]
    text = tables.report({"quality": ("Q", raw), "steps": ("S", records), "demo": ("D", shot_records())})
    blocks = [block.splitlines() for block in text.split("\n\n") if block.startswith("|")]
    assert all(len({row.count("|") for row in block}) == 1 for block in blocks)
    assert [len(block) - 2 for block in blocks] == [8, 6, 6, 2, 2, 3 * 4, 3, 2]
    assert blocks[3][2] == "| soft | 0.50 ± 0.00 | 0.50 ± 0.00 | 0.50 ± 0.00 |"
    assert [row.split("|")[1:3] for row in blocks[5][-2:]] == [[" 45 ", " copying "], [" 45 ", " ground truth "]]
    one, four, draft = blocks[6][2:]
    assert "| -1.00 ± 0.00 |" in draft
    assert "20" in one
    assert "2.00 ± 0.00" in one
    assert "**preview**" in one
    assert "**default**" in four
    assert "Default: 4 steps of `euler` from noise, no draft. Preview: 1 step of" in text
    assert "The result is better than the draft in neither PSNR nor LPIPS." in text
    assert "| 15 frames away: 22 dB | soft 23.0, binary 22.5 | met |" in text
    sharper = [*tried[:2], trial(0, 21.0, 0.11, 0.1)]
    text = tables.report({"steps": ("S", [record for t in sharper for record in t.records])})
    assert "The result is better than the draft in PSNR and LPIPS." in text


# -- scores --------------------------------------------------------------------------------------------------------


def test_film_scores_of_a_film_that_stands_still(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(study, "_lpips", lambda: None)
    random = np.random.default_rng(0)
    truth = [random.random((48, 64, 3)).astype(np.float32)] * 3
    result = [truth[0] * 0.9, truth[0] * 0.9, truth[0] * 0.9 + 0.05]
    found = films.film_scores(result, truth)
    errors = [np.mean((a - b) ** 2) for a, b in zip(result, truth, strict=True)]
    assert found["psnr"] == pytest.approx(np.mean([-10 * np.log10(e) for e in errors]), abs=1e-3)
    assert math.isnan(found["lpips"])
    assert found["warp_truth"] == 0
    assert found["flicker"] == 50  # one of two changes of still frames is seen
    assert math.isnan(found["tc"])  # held drawings have none
    assert math.isnan(films.film_scores(result, [frame + i for i, frame in enumerate(truth)])["flicker"])


def test_shot_scores_leave_the_painted_frame_out() -> None:
    truth = [np.zeros((2, 2, 3), np.float32) for _ in range(3)]
    result = [truth[0] + 1, truth[1] + 0.1, truth[2].copy()]
    moving = np.array([[True, False], [False, False]])
    found = shot_scores(result, truth, moving)
    assert found["psnr_moving"] == pytest.approx(10 * math.log10(2 / 0.01), abs=1e-3)
    assert found["right"] == 50
    assert found["flicker"] == 100


# -- the command ---------------------------------------------------------------------------------------------------


def test_the_command_at_toy_size(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    try:
        find_weights("matcher", "small")
    except WeightsError:
        pytest.skip("the package has no weights yet")
    monkeypatch.setattr(study, "_lpips", lambda: None)
    weights, folder, out, page = (tmp_path / name for name in ("weights", "shot", "out", "page.md"))
    torch.manual_seed(0)
    card = Card(steps=2, area=64 * 32)
    networks = speed.build(speed.CONFIGS["tiny"], torch.device("cpu"), torch.float32, card)
    networks.save(weights)
    for name in ("lines", "original"):
        (folder / name).mkdir(parents=True)
    for i in range(3):
        draw_line(i).save(folder / "lines" / f"{i}.png")
        paint_key(i).save(folder / "original" / f"{i}.png")
    paint_key(0).save(folder / "reference.png")
    page.write_text("Before\n<!-- figures -->\n<!-- /figures -->\nAfter\n")
    monkeypatch.setattr(quality, "FRAMES", 2)
    monkeypatch.setattr(quality, "LINE_STYLES", ("soft",))
    monkeypatch.setattr(quality, "DISTANCES", (1, 15))
    monkeypatch.setattr(sampler, "WINDOW", 2)
    monkeypatch.setattr(sampler, "TRIED", (("soft", 15),))
    words = ["--films", "1", "--size", "64x48", "--device", "cpu", "--workers", "1", "--art", "toy"]
    places = ["--weights", str(weights), "--shot", str(folder), "--out", str(out)]
    assert run(["benchmark", "validate-lvcd", *words, *places, "--docs", str(page)]) == 0
    text = capsys.readouterr().out.strip()
    written = page.read_text()
    assert written.startswith(f"Before\n<!-- figures -->\n{text}\n")
    assert written.endswith("(images/lvcd-small-demo.webp)\n<!-- /figures -->\nAfter\n")
    assert text.count("**default**") == 1
    assert "recommended by the weights" in text
    assert "--preview" in text
    for name in ("soft.webp", "worst.webp", "demo.webp", "quality.json", "steps.json", "demo.json", "figures.md"):
        assert (out / name).stat().st_size > 0
    assert (tmp_path / "images" / "lvcd-small-worst.webp").exists()
    monkeypatch.setattr(validation, "_measure", lambda part, settings: ([], {}))
    assert run(["benchmark", "validate-lvcd", "demo", *words, *places]) == 0
    assert "### Steps" in capsys.readouterr().out  # kept from before
