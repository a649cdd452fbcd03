"""The benchmark of LVCD runs, tiny, and counts right."""

from __future__ import annotations

import importlib.util
import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[1] / "benchmarks" / "lvcd.py"


@pytest.fixture(scope="module")
def main() -> Callable[[], None]:
    spec = importlib.util.spec_from_file_location("lvcd_benchmark", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules["lvcd_benchmark"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.main  # type: ignore[no-any-return]


def test_it_runs_tiny(
    main: Callable[[], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "figures.json"
    chosen = ["--config", "tiny", "--size", "64x32", "--steps", "2", "--segments", "2", "--device", "cpu", "--offload"]
    monkeypatch.setattr(sys, "argv", ["lvcd.py", *chosen, "--out", str(out)])
    main()
    head, rule, row = capsys.readouterr().out.splitlines()
    assert head.count("|") == rule.count("|") == row.count("|")
    found = json.loads(out.read_text())
    assert found["positions"] == 19
    assert found["offload"] is True
    assert 0 < found["seconds_a_step"] < found["seconds_a_new_frame"] * 10
    assert found["tflops"] == pytest.approx(found["tflop_a_step"] / found["seconds_a_step"])


@pytest.mark.slow
def test_the_full_size_is_stable_video_diffusions(
    main: Callable[[], None], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """UNet 1524.6 M, ControlNet 682.0 M, autoencoder 97.7 M, ViT-H 632.1 M."""
    monkeypatch.setattr(sys, "argv", ["lvcd.py", "--config", "full", "--count"])
    main()
    found = json.loads(capsys.readouterr().out)
    assert found["million_parameters"] == pytest.approx(1524.6 + 682.0 + 97.7 + 632.1, abs=0.3)
    assert found["unet"] == pytest.approx(16.3, abs=0.3)
    assert found["decoder_call"] == pytest.approx(21.3, abs=0.5)
