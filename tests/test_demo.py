"""The example shot and the program that colors it."""

from __future__ import annotations

import runpy
from pathlib import Path

import numpy as np
import pytest

from celpaint.errors import WeightsError
from celpaint.frames.read import open_clip, read_picture
from celpaint.weights.registry import find_weights
from shots import draw_line, paint_key

EXAMPLES = Path(__file__).parents[1] / "examples"


def test_the_example_shot_is_whole() -> None:
    lines, original = (open_clip(EXAMPLES / "dancer" / name) for name in ("lines", "original"))
    reference = read_picture(EXAMPLES / "dancer" / "reference.png")[0]
    assert len(lines) == len(original) >= 24
    assert lines.names == original.names
    assert lines.size == original.size == reference.size
    np.testing.assert_array_equal(reference.rgb, original[0].rgb)


def test_the_demo_writes_video_sheet_and_figures(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    try:
        find_weights("matcher", "small")
    except WeightsError:
        pytest.skip("the package has no weights yet")
    for name in ("lines", "original"):
        (tmp_path / "ball" / name).mkdir(parents=True)
    for i in range(6):
        draw_line(i).save(tmp_path / "ball" / "lines" / f"{i}.png")
        paint_key(i).save(tmp_path / "ball" / "original" / f"{i}.png")
    demo = runpy.run_path(str(EXAMPLES / "demo.py"))
    demo["main"](tmp_path / "ball", tmp_path / "out", painted=(1, 4), shown=(1, 3, 6))
    said = capsys.readouterr().out
    assert len(open_clip(tmp_path / "out" / "ball-matcher.mp4")) == 6
    assert len(open_clip(tmp_path / "out" / "matcher")) == 6
    for place in (0, 3):
        frames = [
            read_picture(tmp_path / folder / f"{place}.png")[0].rgb for folder in ("out/matcher", "ball/original")
        ]
        np.testing.assert_array_equal(*frames)
    assert "given painted: frames 1 and 4 of 6" in said
    assert read_picture(tmp_path / "out" / "ball.png")[0].size[1] > 3 * 288
    for name in ("matcher", "ball-matcher.mp4", "ball.png"):
        assert str(tmp_path / "out" / name) in said


def test_the_demos_frames_are_in_the_example_shot() -> None:
    demo = runpy.run_path(str(EXAMPLES / "demo.py"))
    count = len(open_clip(EXAMPLES / "dancer" / "lines"))
    assert all(1 <= frame <= count for frame in (*demo["PAINTED"], *demo["SHOWN"]))


def test_the_demos_psnr_looks_at_the_moving_parts_of_some_frames_alone() -> None:
    psnr = runpy.run_path(str(EXAMPLES / "demo.py"))["psnr"]
    original = [np.zeros((4, 4, 3), np.float32) for _ in range(3)]
    pictures = [np.zeros((4, 4, 3), np.float32) for _ in range(3)]
    pictures[0] += 1
    pictures[1][0, 0] = 0.1
    pictures[2][0, 0] = 0.1
    where = np.zeros((4, 4), bool)
    where[0, 0] = True
    assert psnr(pictures, original, where, [1, 2]) == pytest.approx(20, abs=1e-3)
