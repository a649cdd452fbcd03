"""LVCD's speed: it runs at toy size, and its arithmetic is counted right."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from celpaint.benchmark.lvcd.speed import CONFIGS, arithmetic
from celpaint.cli.app import run


def test_speed_of_a_tiny_network_is_printed_and_stored(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "new" / "speed.json"
    chosen = ["--config", "tiny", "--size", "64x32", "--steps", "2", "--segments", "2", "--device", "cpu", "--offload"]
    assert run(["benchmark", "speed", "lvcd", *chosen, "--out", str(out)]) == 0
    head, rule, row = capsys.readouterr().out.strip().splitlines()
    assert head.count("|") == rule.count("|") == row.count("|")
    assert "| 64x32 |" in row
    found = json.loads(out.read_text())
    assert found["positions"] == 19
    assert found["offload"] is True
    assert found["size"] == [32, 64]
    assert 0 < found["seconds_a_step"] < found["seconds_a_new_frame"] * 10
    assert found["tflops"] == pytest.approx(found["tflop_a_step"] / found["seconds_a_step"])


def test_fewer_than_two_steps_or_segments_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["benchmark", "speed", "lvcd", "--steps", "1"]) == 2
    assert "--steps is 1" in capsys.readouterr().err


@pytest.mark.slow
def test_the_full_size_is_that_of_stable_video_diffusion() -> None:
    """UNet 1524.6 M, ControlNet 682.0 M, autoencoder 97.7 M, ViT-H 632.1 M."""
    found = arithmetic(CONFIGS["full"], (320, 576), 4)
    assert found["million_parameters"] == pytest.approx(1524.6 + 682.0 + 97.7 + 632.1, abs=0.3)
    assert found["unet"] == pytest.approx(16.3, abs=0.3)
    assert found["decoder_call"] == pytest.approx(21.3, abs=0.5)
