"""The other commands reach what they are skins of."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from celpaint.cli.app import run
from celpaint.frames.write import open_sink
from celpaint.types import Frame
from shots import make_shot


def test_doctor_names_versions_devices_and_weights(capsys: pytest.CaptureFixture[str]) -> None:
    import torch

    import celpaint

    assert run(["doctor"]) == 0
    said = capsys.readouterr().out
    assert f"{celpaint.__version__} in " in said
    assert torch.__version__ in said
    assert "weights of lvcd" in said
    assert "weights of matcher" in said


def test_evaluate_prints_and_writes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines, _ = make_shot(tmp_path, 3)
    measured = ["evaluate", str(lines), str(lines), "--metric", "psnr", "--metric", "ssim", "--quiet"]
    assert run([*measured, "--out", str(tmp_path / "report.json")]) == 0
    assert "| psnr |" in capsys.readouterr().out
    report = json.loads((tmp_path / "report.json").read_text())
    assert [column["name"] for column in report["columns"]] == ["psnr", "psnr_pooled", "ssim"]
    assert report["clips"][0]["scored"] == 2


def test_evaluate_names_what_differs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    a, _ = make_shot(tmp_path / "a", 3)
    b, _ = make_shot(tmp_path / "b", 4)
    assert run(["evaluate", str(a), str(b), "--metric", "psnr"]) == 2
    assert str(a) in (said := capsys.readouterr().err)
    assert str(b) in said


def film(path: Path, frames: int) -> Path:
    rng = np.random.default_rng(0)
    picture = rng.random((48, 64, 3), np.float32)
    sink = open_sink(path, size=(48, 64), rate=Fraction(24))
    for i in range(frames):
        sink.write(Frame(np.roll(picture, i, axis=1)), i)
    sink.commit()
    return path


def test_prepare_makes_shards(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    video = film(tmp_path / "film.mp4", 16)
    (tmp_path / "broken.mp4").write_bytes(b"no film")
    prepared = ["data", "prepare", str(video), str(tmp_path / "broken.mp4"), "--out", str(tmp_path / "clips")]
    assert run([*prepared, "--size", "64x32", "--processes", "1", "--quiet"]) == 0
    said = capsys.readouterr().out
    assert "skipped broken.mp4" in said
    assert f"1 shots, 16 frames: {tmp_path / 'clips'}" in said
    assert (tmp_path / "clips" / "manifest.json").is_file()


def test_prepare_wants_videos(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["data", "prepare", "--out", str(tmp_path / "clips")]) == 2
    assert "no video was given" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_train_and_export(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    settings = ["schedule.steps=2", "data.size=[32, 32]", "data.frames=2", "data.clips=1", "run.device=cpu"]
    told = [word for setting in settings for word in ("--set", setting)]
    assert run(["train", "line_vae_smoke", *told, "--run-dir", str(tmp_path / "run")]) == 0
    assert "finished after 2 steps" in capsys.readouterr().out
    assert run(["train", "export", str(tmp_path / "run"), "--out", str(tmp_path / "weights")]) == 0
    assert (tmp_path / "weights" / "config.json").is_file()


def test_train_names_the_recipes(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["train", "nothing"]) == 2
    assert "no recipe 'nothing'" in capsys.readouterr().err


def test_completion_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("SHELL", "/bin/bash")
    assert run(["--install-completion", "--shell", "bash"]) == 0
    assert [file for file in tmp_path.rglob("*celpaint*") if file.is_file()]


def test_benchmark_names_the_suites(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["benchmark", "nothing", "--out", str(tmp_path / "out")]) == 2
    assert "nothing" in (said := capsys.readouterr().err)
    assert "report" in said
    assert list(tmp_path.iterdir()) == []
