"""``celpaint palette`` and ``celpaint recolor`` on files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from celpaint.cli.app import run

DAY = ["#202020", "#4060a0", "#c04020"]
NIGHT = ["#000010", "#101848", "#501030"]


def rgb(color: str) -> tuple[int, ...]:
    return tuple(bytes.fromhex(color[1:]))


@pytest.fixture
def shot(tmp_path: Path) -> Path:
    """Three frames of a red disk that wanders over blue, with an outline."""
    folder = tmp_path / "day"
    folder.mkdir()
    y, x = np.mgrid[:48, :64]
    for number in range(3):
        away = np.hypot(y - 24, x - 20 - 8 * number)
        picture = np.empty((48, 64, 3), np.uint8)
        picture[:] = rgb(DAY[1])
        picture[away < 15] = rgb(DAY[0])
        picture[away < 12] = rgb(DAY[2])
        Image.fromarray(picture).save(folder / f"A_{number + 1:04d}.png")
    return folder


def colors_of(path: Path) -> set[tuple[int, ...]]:
    return set(map(tuple, np.asarray(Image.open(path).convert("RGB")).reshape(-1, 3).tolist()))


def test_extract_and_show(shot: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "day.gpl"
    assert run(["palette", "extract", str(shot), "--method", "fills", "--colors", "3", "--out", str(file)]) == 0
    assert capsys.readouterr().out.split() == DAY
    swatches = tmp_path / "day.png"
    assert run(["palette", "show", str(file), "--out", str(swatches)]) == 0
    assert capsys.readouterr().out.split() == DAY
    assert colors_of(swatches) == {rgb(color) for color in DAY}


def test_an_existing_palette_is_not_replaced_unasked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "x.gpl"
    file.write_text("mine")
    assert run(["palette", "show", "#ff0000", "--out", str(file)]) != 0
    assert "exists" in capsys.readouterr().err
    assert file.read_text() == "mine"
    assert run(["palette", "show", "#ff0000", "--out", str(file), "--overwrite"]) == 0


def test_recolor_by_order(shot: Path, tmp_path: Path) -> None:
    out = tmp_path / "night"
    given = ["--palette", ",".join(NIGHT), "--from", ",".join(DAY), "--out", str(out), "--quiet"]
    assert run(["recolor", str(shot), *given]) == 0
    assert sorted(path.name for path in out.iterdir()) == ["A_0001.png", "A_0002.png", "A_0003.png"]
    for path in out.iterdir():
        assert colors_of(path) == {rgb(color) for color in NIGHT}


def test_recolor_finds_what_suits(shot: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "night"
    shuffled = ",".join([NIGHT[2], NIGHT[0], NIGHT[1]])
    assert run(["recolor", str(shot), "--palette", shuffled, "--out", str(out)]) == 0
    said = capsys.readouterr().out
    assert all(f"{old} -> {new}" in said for old, new in zip(DAY, NIGHT, strict=True))
    for path in out.iterdir():
        assert colors_of(path) == {rgb(color) for color in NIGHT}


def test_recolor_leaves_nothing_behind_after_an_error(shot: Path, tmp_path: Path) -> None:
    (shot / "A_0002.png").write_bytes((shot / "A_0002.png").read_bytes()[:120])
    out = tmp_path / "night"
    assert run(["recolor", str(shot), "--palette", ",".join(NIGHT), "--from", ",".join(DAY), "--out", str(out)]) != 0
    assert not out.exists()


@pytest.mark.parametrize(
    "palette", ["#ff", "nothing.gpl", "#ff0000,#zzzzzz", ",".join(f"#{n:02x}2030" for n in range(40))]
)
def test_bad_palettes_end_in_one_sentence(shot: Path, tmp_path: Path, palette: str) -> None:
    assert run(["recolor", str(shot), "--palette", palette, "--out", str(tmp_path / "out")]) in (2, 3, 4, 5, 6)
    assert not (tmp_path / "out").exists()
