"""The palette method, with toy networks: gray shot in, color out."""

from __future__ import annotations

import dataclasses
from itertools import combinations, pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import celpaint
from celpaint.conditions.luminance import luminance
from celpaint.conditions.palette.files import read_palette
from celpaint.errors import InputError, OptionError, WeightsError
from celpaint.frames.color import quantize
from celpaint.methods.palette.run import DECODED, PaletteMethod, working_size
from celpaint.methods.palette.spec import PaletteOptions
from celpaint.methods.registry import load_method
from celpaint.types import Array, Chunk, DrawingColored, Event, Reference, Shot, StepDone
from toy_palette import write_toy_weights

DAY = read_palette("#102040,#804020,#60a040,#c0a0ff,#fff0c0")
NIGHT = read_palette("#000010,#101840,#402060,#8060a0,#c0c0ff")
SIZE = (32, 48)


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_toy_weights(tmp_path_factory.mktemp("palette"))


def method(weights: Path, **options: Any) -> PaletteMethod:
    options = {"size": SIZE, "device": "cpu", "dtype": "float32", "window": 4, "overlap": 2, **options}
    loaded = load_method(PaletteOptions(weights=str(weights), **options))
    assert isinstance(loaded, PaletteMethod)
    return loaded


def footage(frames: int, size: tuple[int, int] = SIZE) -> list[Array]:
    """A bright disk that wanders over a ramp."""
    y, x = np.mgrid[: size[0], : size[1]].astype(np.float32)
    ramp = 0.1 + 0.5 * x / size[1]
    return [
        np.where(np.hypot(y - size[0] / 2, x - 8 - i) < size[0] / 4, np.float32(0.8), ramp).astype(np.float32)
        for i in range(frames)
    ]


def shot(frames: int = 6, size: tuple[int, int] = SIZE, **known: Any) -> Shot:
    gray = footage(frames, size)
    return Shot(lines=gray, references=(), size=size, gray=gray, **{"palette": DAY.colors, **known})


def colors(chunks: Any) -> dict[int, Array]:
    """Drawing -> picture, of chunks; every drawing comes once."""
    found: dict[int, Array] = {}
    for chunk in chunks:
        for drawing, painted in zip(chunk.drawings, chunk.painted, strict=True):
            assert drawing not in found
            found[drawing] = painted.rgb
    return found


def difference(first: dict[int, Array], second: dict[int, Array]) -> float:
    assert first.keys() == second.keys()
    return float(np.mean([np.abs(first[i] - second[i]).mean() for i in first]))


# ------------------------------------------------------------------------------------------------------------- results


@pytest.mark.parametrize("frames", [1, 3, 4, 5, 17, 35])
@pytest.mark.parametrize("steps", [1, 2])
def test_every_frame_comes_once_in_order(weights: Path, frames: int, steps: int) -> None:
    found = colors(method(weights, steps=steps).color(shot(frames)))
    assert list(found) == list(range(frames))
    assert all(rgb.shape == (*SIZE, 3) and rgb.dtype == np.float32 for rgb in found.values())
    assert all(np.isfinite(rgb).all() and rgb.min() >= 0 and rgb.max() <= 1 for rgb in found.values())


@pytest.mark.parametrize("size", [(31, 47), (64, 40), (200, 90), (9, 9)])
def test_any_size(weights: Path, size: tuple[int, int]) -> None:
    found = colors(method(weights, size=None if max(size) < 64 else SIZE).color(shot(2, size)))
    assert [rgb.shape for rgb in found.values()] == [(*size, 3)] * 2


def test_the_luminance_is_kept(weights: Path) -> None:
    gray = footage(3, (70, 100))
    for keep, within in ((True, 1e-5), (False, 0.2)):
        found = colors(method(weights, keep_luminance=keep).color(shot(3, (70, 100))))
        for drawing, rgb in found.items():
            assert np.abs(luminance(rgb) - gray[drawing]).max() < within


def test_kept_luminance_survives_8_bits(weights: Path) -> None:
    gray = [np.asarray(quantize(g, 8) / np.float32(255), np.float32) for g in footage(2)]
    known = Shot(lines=gray, references=(), size=SIZE, gray=gray, palette=DAY.colors)
    for drawing, rgb in colors(method(weights, keep_luminance=True).color(known)).items():
        stored = np.asarray(quantize(rgb, 8) / np.float32(255), np.float32)
        np.testing.assert_array_equal(quantize(luminance(stored), 8), quantize(gray[drawing], 8))


def test_palettes_references_and_none_give_other_colors(weights: Path) -> None:
    model = method(weights)
    painted = np.broadcast_to(NIGHT.rgb.repeat(8, 0), (20, 40, 3)).astype(np.float32)
    known = [
        shot(),
        shot(palette=NIGHT.colors),
        shot(palette=()),
        dataclasses.replace(shot(palette=()), references=(Reference(painted, np.zeros((20, 40), np.float32), None),)),
    ]
    made = [colors(model.color(each)) for each in known]
    assert all(difference(a, b) > 1e-3 for a, b in combinations(made[:3], 2))
    assert difference(made[1], made[3]) < 1e-5  # the reference has the same five colors


def test_guidance_goes_away_from_no_palette(weights: Path) -> None:
    told = colors(method(weights).color(shot()))
    untold = colors(method(weights).color(shot(palette=())))
    guided = colors(method(weights, guidance=2.0).color(shot()))
    assert difference(guided, untold) > difference(told, untold)
    assert difference(colors(method(weights, guidance=1.0).color(shot())), told) == 0


def test_the_same_shot_gives_the_same_bytes_and_another_seed_others(weights: Path) -> None:
    first, again = (colors(method(weights).color(shot())) for _ in range(2))
    assert difference(first, again) == 0
    assert difference(first, colors(method(weights, seed=1).color(shot()))) > 0


def test_one_window_is_fused_with_nothing(weights: Path) -> None:
    whole = colors(method(weights, window=6, overlap=0).color(shot(6)))
    for fusion in ("step", "final"):
        made = colors(method(weights, window=6, overlap=3, steps=1, fusion=fusion).color(shot(6)))
        assert difference(whole, made) == 0


def test_readings_of_fusion_differ_with_several_steps_only(weights: Path) -> None:
    one = [colors(method(weights, fusion=fusion).color(shot(8))) for fusion in ("step", "final")]
    assert difference(*one) < 1e-6
    three = [colors(method(weights, steps=3, fusion=fusion).color(shot(8))) for fusion in ("step", "final")]
    assert difference(*three) > 1e-6


def test_a_preview_takes_one_step(weights: Path) -> None:
    preview = colors(method(weights, steps=5, preview=True).color(shot(3)))
    assert difference(preview, colors(method(weights, steps=1).color(shot(3)))) == 0


# --------------------------------------------------------------------------------------------------------- resumption


@pytest.mark.parametrize("steps", [1, 3])
def test_a_run_stopped_after_any_chunk_goes_on_with_the_same_bytes(weights: Path, steps: int) -> None:
    model, known = method(weights, steps=steps), shot(2 * DECODED + 5)
    chunks = list(model.color(known))
    whole = colors(chunks)
    assert sum(not chunk.drawings for chunk in chunks) == (steps if steps > 1 else 0)
    done: list[Chunk] = []
    for chunk in chunks[:-1]:
        done.append(chunk)
        count = sum(len(each.drawings) for each in done)
        state = {name: np.array(value) for name, value in chunk.state.items()}
        rest = list(method(weights, steps=steps).color(known, done=count, state=state or None))
        made = colors([*done, *rest])
        assert difference(made, whole) == 0
    assert sum(not chunk.drawings for chunk in rest) == 0


def test_progress_tells_of_steps_and_frames(weights: Path) -> None:
    told: list[Event] = []
    list(method(weights, steps=2).color(shot(5), progress=told.append))
    assert [(e.index, e.total) for e in told if isinstance(e, StepDone)] == [(1, 2), (2, 2)]
    assert [(e.index, e.total) for e in told if isinstance(e, DrawingColored)] == [(i + 1, 5) for i in range(5)]


def test_gray_frames_are_read_a_bounded_number_of_times(weights: Path) -> None:
    reads: list[int] = []

    class Counting(list[Array]):
        def __getitem__(self, index: Any) -> Any:
            reads.append(index)
            return super().__getitem__(index)

    known = dataclasses.replace(shot(40), gray=Counting(footage(40)))
    list(method(weights).color(known))
    assert max(reads.count(i) for i in range(40)) <= 2


# ------------------------------------------------------------------------------------------------- the path, bad input


def test_through_the_whole_path_with_a_cut(weights: Path, tmp_path: Path) -> None:
    frames = [np.repeat(g[..., None], 3, -1) for g in footage(5)]
    frames += [np.repeat(1 - g[..., None], 3, -1) for g in footage(4)]
    source = np.stack(frames)
    options: dict[str, Any] = {"weights": str(weights), "size": SIZE, "lines": "extract", "device": "cpu"}
    made = [f.rgb for f in celpaint.colorize(source, method="palette", palette=DAY.colors, **options)]
    assert len(made) == 9
    for frame, rgb in zip(frames, made, strict=True):
        assert np.abs(luminance(rgb) - frame[..., 0]).max() < 0.2
    assert all(np.abs(a - b).max() > 0 for a, b in pairwise(made))


def test_color_footage_is_turned_to_gray_and_that_is_said_once(weights: Path, caplog: pytest.LogCaptureFixture) -> None:
    ramp = np.linspace(0.1, 0.8, 48, dtype=np.float32)[None, None, :, None] * np.ones((3, 32, 1, 1), np.float32)
    gray = np.broadcast_to(ramp, (3, 32, 48, 3)) + np.arange(3, dtype=np.float32)[:, None, None, None] / 50
    sepia = gray * np.array([1.0, 0.8, 0.6], np.float32)
    options: dict[str, Any] = {"weights": str(weights), "size": SIZE, "lines": "extract", "device": "cpu"}
    caplog.set_level("INFO", "celpaint")
    list(celpaint.colorize(gray, method="palette", palette=DAY.colors, **options))
    assert "converted to gray" not in caplog.text
    made = list(celpaint.colorize(sepia, method="palette", palette=DAY.colors, keep_luminance=True, **options))
    assert caplog.text.count("converted to gray") == 1
    for frame, given in zip(made, sepia, strict=True):
        assert np.abs(luminance(frame.rgb) - luminance(given)).max() < 0.01


def test_line_art_is_told_from_footage(weights: Path) -> None:
    known = dataclasses.replace(shot(), gray=None)
    with pytest.raises(InputError, match="line art"):
        next(method(weights).color(known))


def test_windows_must_not_overlap_wholly(weights: Path) -> None:
    with pytest.raises(OptionError, match="--overlap is 4 with --window 4"):
        method(weights, window=4, overlap=4)


def test_a_missing_part_is_named(weights: Path, tmp_path: Path) -> None:
    for part in ("unet", "line_vae", "token"):
        (tmp_path / part).mkdir()
    with pytest.raises(WeightsError):
        load_method(PaletteOptions(weights=str(tmp_path), device="cpu"))


def test_working_size_keeps_the_aspect_near_the_training_s_area() -> None:
    assert working_size((1080, 1920), PaletteOptions(), 8) == (184, 328)
    assert working_size((1080, 1920), PaletteOptions(size=(96, 160)), 8) == (96, 160)
    assert working_size((10, 4000), PaletteOptions(), 8)[0] == 32


def test_half_precision_changes_little(weights: Path) -> None:
    plain = colors(method(weights).color(shot(3)))
    model = method(weights)
    half = colors(PaletteMethod(model.network, model.options, model.device, torch.bfloat16).color(shot(3)))
    assert 0 < difference(plain, half) < 0.05
    assert torch.is_autocast_enabled("cpu") is False
