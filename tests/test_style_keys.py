"""A shot colored from a picture of the wanted style: one drawing is painted from it, then the shot from that."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import copycat
from celpaint.cli.app import run
from celpaint.errors import OptionError
from celpaint.methods.colorize_diffusion.networks import Card
from celpaint.methods.colorize_diffusion.spec import ColorizeDiffusionOptions
from celpaint.style_keys import choose_drawing, paint_keys
from shots import draw_line, make_shot, paint_key
from toy_colorize import toy_networks


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("colorize_diffusion")
    replace(toy_networks(), card=Card(sampler="euler", steps=1, guidance=1.0, area=48 * 64)).save(folder)
    return str(folder)


@pytest.fixture
def style(tmp_path: Path) -> Path:
    path = tmp_path / "style.png"
    paint_key(3, (70, 90)).save(path)
    return path


def ink(share: float) -> np.ndarray:
    line = np.zeros((10, 10), np.float32)
    line[: round(10 * share)] = 1
    return line


def test_drawing_with_the_most_ink_is_chosen() -> None:
    assert choose_drawing([ink(0.1), ink(0.2), ink(0.5), ink(0.5)], range(4)) == 2
    assert choose_drawing([ink(0.9), ink(0.2), ink(0.3)], range(1, 3)) == 2


def test_long_scenes_are_looked_at_in_part() -> None:
    class Lines(list[np.ndarray]):
        read = 0

        def __getitem__(self, index):  # type: ignore[no-untyped-def,override]
            Lines.read += 1
            return super().__getitem__(index)

    assert choose_drawing(Lines([ink(i / 200) for i in range(200)]), range(200)) >= 190
    assert Lines.read == 24


def test_key_is_written_beside_the_result_and_the_shot_colored_from_it(
    weights: str, style: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    copycat.register()
    lines, _ = make_shot(tmp_path, 3)
    draw_line(1).save(lines / "A_0002.png")
    command = ["colorize", str(lines), "--style-reference", str(style), "--style-weights", weights, "--device", "cpu"]
    command += ["--method", "copycat", "--out", str(tmp_path / "out"), "--ink", "model"]
    assert run(command) == 0
    (key,) = tmp_path.glob("out_key_*.png")
    said = capsys.readouterr().err
    assert f"'{key}'; if it is not right, correct it and run again" in said
    with Image.open(key) as picture:
        assert picture.size == (96, 64)
    assert len(list((tmp_path / "out").iterdir())) == 3


def test_corrected_key_is_kept(weights: str, style: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    lines, _ = make_shot(tmp_path, 2)
    options = ColorizeDiffusionOptions(weights=weights, device="cpu")
    ((key, frame),) = paint_keys(lines, tmp_path / "cut.mp4", style, options)
    assert (key.name, frame) == ("cut_key_1.png", "A_0001.png")
    paint_key().save(key)
    corrected = key.read_bytes()
    with caplog.at_level(logging.INFO, "celpaint"):
        assert paint_keys(lines, tmp_path / "cut.mp4", style, options) == [(key, frame)]
    assert key.read_bytes() == corrected
    assert "already exists and is used; delete it to color that frame again" in caplog.text


def test_method_must_take_any_picture(style: Path, tmp_path: Path) -> None:
    copycat.register()
    lines, _ = make_shot(tmp_path, 2)
    with pytest.raises(OptionError, match="the method copycat colors from painted frames of the shot only"):
        paint_keys(lines, tmp_path / "out", style, copycat.CopycatOptions())


def test_shot_without_any_reference_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines, _ = make_shot(tmp_path, 2)
    assert run(["colorize", str(lines), "--out", str(tmp_path / "out"), "--method", "matcher"]) == 2
    assert "needs a painted frame (--reference" in capsys.readouterr().err
