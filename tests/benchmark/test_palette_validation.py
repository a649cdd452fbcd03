"""Figures of the palette method, worked by hand and run at toy size."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from celpaint.benchmark.palette.validation import Film, drift, figures, validate_palette
from celpaint.benchmark.study import StudySettings
from celpaint.data.synthetic.art import toy_art
from celpaint.errors import InputError
from celpaint.frames.oklab import oklab_to_srgb
from toy_palette import write_toy_weights


def flat(a: list[float], size: int = 64) -> np.ndarray:
    """Frames of one color each: lightness 0.6 and these values of OKLab's a."""
    lab = np.array([[0.6, value, 0.02] for value in a], np.float32)
    return np.broadcast_to(oklab_to_srgb(lab)[:, None, None], (len(a), size, size, 3)).copy()


def test_a_constant_error_neither_flickers_nor_drifts() -> None:
    truth, made = flat([0.02, 0.02, 0.02, 0.02]), flat([0.06, 0.06, 0.06, 0.06])
    found = figures(made, Film(truth))
    assert found["chroma"] == pytest.approx(0.04, abs=1e-4)
    assert found["flicker"] == pytest.approx(0, abs=1e-6)
    assert drift(made, truth, 2) == pytest.approx(0, abs=1e-6)


def test_an_error_that_grows_drifts() -> None:
    truth, made = flat([0.0] * 4), flat([0.0, 0.02, 0.04, 0.06])
    assert figures(made, Film(truth))["flicker"] == pytest.approx(0.02, abs=1e-4)
    assert drift(made, truth, 2) == pytest.approx(0.04, abs=1e-4)  # 0.05 - 0.01


def test_the_truth_is_perfect() -> None:
    truth = np.random.default_rng(0).random((2, 64, 64, 3), dtype=np.float32)
    found = figures(truth, Film(truth))
    assert found["psnr"] == 100
    assert found["ssim"] == pytest.approx(1)
    assert found["chroma"] == found["flicker"] == 0


@pytest.mark.slow
def test_the_study_has_every_row(tmp_path: Path) -> None:
    toy_art(drawings=16, size=64).save(tmp_path / "art.safetensors")
    weights = write_toy_weights(tmp_path / "weights")
    settings = StudySettings(tmp_path / "art.safetensors", str(weights), "cpu", "float32", (64, 96), 1)
    text, sheet = validate_palette(settings, frames=9)
    for row in ("luma mapped", "every frame by itself", "no palette", "GMM", "windows without overlap", "truth"):
        assert row in text
    assert sheet.dtype == np.uint8
    assert sheet.std() > 0


def test_missing_drawings_are_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not exist"):
        validate_palette(StudySettings(tmp_path / "art.safetensors"))
