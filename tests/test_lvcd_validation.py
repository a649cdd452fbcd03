"""The validation of LVCD small: tables, verdicts and choices from numbers, and a run at toy size."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch

from celpaint.weights.lvcd import Card
from shots import draw_line, paint_key

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


@pytest.fixture(scope="module")
def tables() -> Iterator[ModuleType]:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(BENCHMARKS))
        import lvcd_tables

        yield lvcd_tables


@pytest.fixture(scope="module")
def validation(tables: ModuleType) -> ModuleType:
    import validate_lvcd

    return validate_lvcd  # type: ignore[no-any-return]


def scores(tables: ModuleType, cells: dict[tuple[str, str, int], list[float]], lpips: dict[str, float]) -> list[object]:
    """PSNR clip by clip of ``(method, hand, distance)``; LPIPS of a method."""
    return [
        tables.Score(method, hand, distance, clip, {"psnr": psnr, "lpips": lpips[method]})
        for (method, hand, distance), values in cells.items()
        for clip, psnr in enumerate(values)
    ]


def found(tables: ModuleType, soft: float, binary: float, near: float, far: float, sharp: float) -> list[object]:
    """15 frames away PSNR ``soft`` and ``binary``, 1 and 45 away ``near`` and ``far``; copying always 15 dB."""
    ours = tables.OURS
    cells = {
        (ours, "soft", 1): [near, near],
        (ours, "soft", 15): [soft, soft],
        (ours, "soft", 45): [far, far],
        (ours, "binary", 1): [near, near],
        (ours, "binary", 15): [binary, binary],
        (ours, "binary", 45): [far, far],
    }
    cells |= {("copy", hand, distance): [15.0, 15.0] for _, hand, distance in list(cells)}
    return scores(tables, cells, {ours: sharp, "copy": 0.2})


SHOT = {"psnr": 25.0, "psnr_moving": 20.0, "right_moving": 95.0, "flicker": 0.05}
COPIED = {"psnr": 18.0, "psnr_moving": 12.0, "right_moving": 40.0, "flicker": 0.0}


def test_all_targets_are_met(tables: ModuleType) -> None:
    good = found(tables, 23, 22.5, 24, 23, 0.09)
    assert [v.met for v in tables.verdicts(good, {tables.OURS: SHOT, "copy": COPIED})] == [True] * 8


@pytest.mark.parametrize(
    ("numbers", "shot", "missed"),
    [
        ((20.9, 22, 24, 23, 0.09), {}, {0, 1}),  # one hand under 21 and under 22
        ((21.9, 22, 24, 23, 0.09), {}, {1}),
        ((24, 22.9, 24, 23, 0.09), {}, {2}),
        ((23, 25, 24, 23, 0.09), {}, set()),  # binary may be better
        ((23, 23, 24.6, 23, 0.09), {}, {3}),
        ((23, 23, 24, 23, 0.1), {}, {4}),
        ((23, 23, 24, 23, 0.09), {"flicker": 0.1}, {5}),
        ((23, 23, 24, 23, 0.09), {"psnr_moving": 17.9}, {6}),
        ((23, 23, 24, 23, 0.09), {"right_moving": 89.0}, {7}),
    ],
)
def test_a_target_is_missed(
    tables: ModuleType, numbers: tuple[float, ...], shot: dict[str, float], missed: set[int]
) -> None:
    verdicts = tables.verdicts(found(tables, *numbers), {tables.OURS: SHOT | shot, "copy": COPIED})
    assert {i for i, v in enumerate(verdicts) if not v.met} == missed
    assert tables.verdict_table(verdicts).count("**missed**") == len(missed)


def test_what_was_not_measured_is_neither_met_nor_missed(tables: ModuleType) -> None:
    assert {v.met for v in tables.verdicts([], {})} == {None}
    unfetched = tables.verdicts(found(tables, 23, 23, 24, 23, math.nan), {})
    assert (unfetched[3].met, unfetched[4].met) == (True, None)
    one = [s for s in found(tables, 23, 23, 24, 23, 0.09) if s.hand == "soft"]
    assert tables.verdicts(one, {})[2].met is None


def test_means_have_the_error_of_clips_and_gains_that_of_differences(tables: ModuleType) -> None:
    cells = {(tables.OURS, "soft", 15): [20.0, 24.0, 28.0], ("copy", "soft", 15): [14.0, 18.0, 22.0]}
    measured = scores(tables, cells, {tables.OURS: 0.1, "copy": 0.2})
    own = tables.mean(measured, tables.OURS, "soft", 15, "psnr")
    assert (own.value, own.error) == pytest.approx((24.0, 4 / math.sqrt(3)))
    over = tables.gain(measured, "copy", "soft", 15, "psnr")
    assert (over.value, over.error) == pytest.approx((6.0, 0.0))
    assert tables.estimate([3.0, math.nan]).text() == "3.0"
    assert tables.estimate([]).text() == "-"


def trial(tables: ModuleType, steps: int, psnr: float, lpips: float, seconds: float) -> object:
    setting = tables.Setting("", steps, "euler", "none", None)
    figures = {"psnr": psnr, "lpips": lpips, "seconds": seconds, "flicker": 0.0}
    return tables.Trial(setting, [figures, figures | {"psnr": psnr + 2}])


def test_the_quickest_of_the_good_is_chosen(tables: ModuleType) -> None:
    one, four, ten = (
        trial(tables, 1, 20.0, 0.20, 0.2),
        trial(tables, 4, 21.9, 0.104, 0.5),
        trial(tables, 10, 22.0, 0.10, 1.0),
    )
    assert tables.choose([one, four, ten]) is four
    assert tables.preview([one, four, ten]) is one
    assert tables.preview([four, ten]) is None
    far = trial(tables, 4, 21.7, 0.10, 0.5)  # 0.3 dB behind
    assert tables.choose([one, far, ten]) is ten
    blurred = trial(tables, 4, 22.0, 0.12, 0.5)  # LPIPS a fifth worse
    assert tables.choose([one, blurred, ten]) is ten


def test_where_psnr_and_lpips_disagree_the_least_evil_is_chosen(tables: ModuleType) -> None:
    blurred, sharp = trial(tables, 1, 22.0, 0.2, 0.2), trial(tables, 10, 21.5, 0.1, 1.0)
    assert tables.choose([blurred, sharp]) is sharp  # 2.5 times too far behind; the other 20 times too unlike


def test_tables_are_whole_and_say_what_was_chosen(tables: ModuleType) -> None:
    trials = [trial(tables, 1, 20.0, 0.2, 0.2), trial(tables, 4, 22.0, 0.1, 0.5)]
    text = tables.steps_table(trials)
    rows = text.splitlines()
    assert len({row.count("|") for row in rows}) == 1
    assert "2.00 ± 0.00" in rows[2]
    assert "**preview**" in rows[2]
    assert "**chosen**" in rows[3]
    measured = found(tables, 23, 22.5, 24, 23, 0.09)
    for table in (tables.quality_table(measured), tables.demo_table({tables.OURS: SHOT | {"seconds": 1.0}})):
        assert len({row.count("|") for row in table.splitlines()}) == 1
    assert tables.quality_table(measured).count("\n") == 2 + 2 * 3


def test_numbers_come_back_from_their_file(tables: ModuleType, tmp_path: Path) -> None:
    kept = trial(tables, 4, 22.0, math.nan, 0.5)
    tables.store(tmp_path / "kept.json", {"about": "here", "found": [kept]})
    back = tables.load(tmp_path / "kept.json")["found"][0]
    assert back["setting"]["sigma"] is None
    assert math.isnan(back["figures"][0]["lpips"])
    assert back["figures"][1]["psnr"] == 24.0


def test_flicker_is_counted_where_the_truth_stands_still(validation: ModuleType) -> None:
    truth = [np.zeros((2, 4, 3), np.float32) for _ in range(3)]
    truth[1][0] = truth[2][0] = 1  # the upper half moves once
    result = [frame.copy() for frame in truth]
    result[1][1, 0, 2] = 0.5  # seen going up and down
    result[1][1, 1] = 0.02  # not seen
    result[1][0, 0] = 0.5  # where it moves, and seen where it then stands still
    assert validation.flicker(result, truth) == pytest.approx(100 * 3 / (4 + 8))
    assert math.isnan(validation.flicker(truth[:2], [truth[0], truth[0] + 1]))


def test_a_shots_figures_leave_the_painted_frame_out(validation: ModuleType) -> None:
    original = [np.zeros((2, 2, 3), np.float32) for _ in range(3)]
    result = [frame + 1 for frame in original]
    result[1], result[2] = original[1] + 0.1, original[2].copy()
    moving = np.array([[True, False], [False, False]])
    figures = validation.shot_figures(result, original, moving)
    assert figures["psnr_moving"] == pytest.approx(10 * math.log10(2 / 0.01), abs=1e-3)
    assert figures["right_moving"] == 50


def test_it_runs_at_toy_size(validation: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import lvcd as speed

    torch.manual_seed(0)
    sizes = speed.CONFIGS["tiny"]
    card = Card(steps=2, area=64 * 32)
    weights, shot, out = tmp_path / "weights", tmp_path / "shot", tmp_path / "out"
    speed.build(sizes, torch.device("cpu"), torch.float32, card).save(weights)
    for name in ("lines", "original"):
        (shot / name).mkdir(parents=True)
    for i in range(3):
        draw_line(i).save(shot / "lines" / f"{i}.png")
        paint_key(i).save(shot / "original" / f"{i}.png")
    paint_key(0).save(shot / "reference.png")
    monkeypatch.setattr(validation, "WINDOW", 2)
    monkeypatch.setattr(validation, "TRIED", (("soft", 15),))
    words = ["--clips", "1", "--frames", "2", "--hands", "soft", "--size", "64x48", "--device", "cpu"]
    places = ["--weights", str(weights), "--art", "toy", "--shot", str(shot), "--out", str(out)]
    monkeypatch.setattr("sys.argv", ["validate_lvcd.py", *words, *places])
    validation.main()
    text = (out / "tables.md").read_text()
    assert text.count("**chosen**") == 1
    assert "the default" in text
    assert "--preview" in text
    for name in ("soft.png", "worst.png", "demo.png", "quality.json", "steps.json", "demo.json"):
        assert (out / name).stat().st_size > 0
