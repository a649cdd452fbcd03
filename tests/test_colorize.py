"""The path in Python: every frame comes back, held drawings are colored once, what was stopped goes on."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageColor, ImageOps

import celpaint
from celpaint.cli.app import run
from celpaint.errors import (
    DiskFull,
    InputError,
    MissingExtra,
    OptionError,
    OutOfMemory,
    OutputError,
    ReferenceFrameError,
)
from celpaint.methods import registry
from celpaint.methods.lvcd.spec import SPEC
from celpaint.methods.spec import Extra
from celpaint.options import ComputeOptions
from celpaint.types import Event, silent
from copycat import SPEC as COPYCAT
from copycat import Copycat, CopycatOptions
from shots import SIZE, draw_line, make_shot, paint_key


def pictures(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in sorted(folder.iterdir())}


def test_the_public_names() -> None:
    assert sorted(celpaint.__all__) == [
        "CelpaintError",
        "Colorizer",
        "Event",
        "Frame",
        "PathOptions",
        "Progress",
        "Summary",
        "__version__",
        "colorize",
        "method_names",
        "method_spec",
        "open_clip",
        "render",
    ]
    assert all(hasattr(celpaint, name) for name in celpaint.__all__)


@pytest.mark.parametrize("count", [1, 2, 13])
def test_every_frame_comes_back(tmp_path: Path, count: int) -> None:
    lines, key = make_shot(tmp_path, count)
    frames = list(celpaint.colorize(lines, reference=key, method="copycat"))
    assert len(frames) == count
    assert all(frame.rgb.shape == (SIZE[1], SIZE[0], 3) and frame.rgb.dtype == np.float32 for frame in frames)


def test_the_artists_lines_stay_where_they_were(shot: tuple[Path, Path]) -> None:
    lines, key = shot
    for file, frame in zip(
        sorted(lines.iterdir()), celpaint.colorize(lines, reference=key, method="copycat"), strict=True
    ):
        ink = np.asarray(Image.open(file)) == 0
        np.testing.assert_array_equal(frame.rgb[ink], 0)


@pytest.mark.parametrize("color", ["blue", "red"])
def test_lines_drawn_in_one_color_only_stay_as_drawn(shot: tuple[Path, Path], color: str) -> None:
    lines, key = shot
    painted = np.asarray(Image.open(key)).copy()
    painted[(painted == 0).all(axis=2)] = ImageColor.getrgb(color)
    Image.fromarray(painted).save(key)
    for file in lines.iterdir():
        ImageOps.colorize(Image.open(file), color, "white").save(file)
    for file, frame in zip(
        sorted(lines.iterdir()), celpaint.colorize(lines, reference=key, method="copycat"), strict=True
    ):
        drawn = np.asarray(Image.open(file))
        ink = drawn.min(axis=2) == 0
        np.testing.assert_array_equal(frame.rgb[ink], np.float32(drawn[ink]) / 255)


def test_a_painted_frame_comes_out_as_it_was_painted(shot: tuple[Path, Path]) -> None:
    lines, key = shot
    painted = np.asarray(Image.open(key)).copy()
    fill = (painted != 0).any(axis=-1)
    painted[fill] += np.random.default_rng(0).integers(0, 5, (fill.sum(), 3), np.uint8)
    Image.fromarray(painted).save(key)
    first, second, *_ = celpaint.colorize(lines, reference=key, method="copycat")
    np.testing.assert_array_equal(first.rgb, painted.astype(np.float32) / 255)
    assert not np.array_equal(second.rgb, first.rgb)


@pytest.mark.parametrize("kind", ["of another drawing", "without lines"])
def test_a_painting_that_lacks_the_drawings_lines_gets_them(shot: tuple[Path, Path], kind: str) -> None:
    lines, key = shot
    (paint_key(6) if kind == "of another drawing" else Image.new("RGB", SIZE, (200, 90, 40))).save(key)
    first = next(celpaint.colorize(lines, reference=key, method="copycat"))
    ink = np.asarray(Image.open(lines / "A_0001.png")) == 0
    np.testing.assert_array_equal(first.rgb[ink], 0)


def test_frames_are_colored_as_they_are_taken(shot: tuple[Path, Path]) -> None:
    seen: list[Event] = []
    frames = celpaint.colorize(shot[0], reference=shot[1], method="copycat", progress=seen.append, chunk=4)
    assert [event for event in seen if event.stage == "frame"] == []
    next(frames)
    assert [event.index for event in seen if event.stage == "frame"] == [1, 2, 3, 4]


def test_a_held_drawing_is_colored_once(tmp_path: Path) -> None:
    lines, key = make_shot(tmp_path, 9, hold=3)
    seen: list[Event] = []
    summary = celpaint.render(lines, tmp_path / "out", reference=key, method="copycat", progress=seen.append)
    assert (summary.frames, summary.drawings) == (9, 3)
    assert [event.total for event in seen if event.stage == "frame"] == [3, 3, 3]
    written = list(pictures(tmp_path / "out").values())
    assert written[0] == written[1] == written[2] != written[3]
    alone = celpaint.render(lines, tmp_path / "alone", reference=key, method="copycat", holds="off")
    assert alone.drawings == 9


def test_a_reference_belongs_to_the_drawing_of_its_frame(tmp_path: Path) -> None:
    lines, key = make_shot(tmp_path, 8, hold=2)
    paint_key(3).save(tmp_path / "last.png")
    references = [key, f"{tmp_path / 'last.png'}@8"]
    frames = list(celpaint.colorize(lines, reference=references, method="copycat", ink="model"))
    paints = np.asarray(paint_key(3), np.float32) / 255
    ratio = frames[7].rgb[paints > 0] / paints[paints > 0]
    np.testing.assert_allclose(ratio, ratio[0], rtol=1e-4)


def test_options_as_an_object(shot: tuple[Path, Path]) -> None:
    lines, key = shot
    a = next(celpaint.colorize(lines, reference=key, method=CopycatOptions(seed=1), ink="model"))
    b = next(celpaint.colorize(lines, reference=key, method="copycat", seed=1, ink="model"))
    c = next(celpaint.colorize(lines, reference=key, method=CopycatOptions(), ink="model"))
    np.testing.assert_array_equal(a.rgb, b.rgb)
    assert not np.array_equal(a.rgb, c.rgb)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"method": "magic"}, "--method is 'magic'; wanted auto, lvcd, matcher"),
        ({"stps": 3}, "there is no option 'stps'; wanted 'steps'"),
        ({"ink": "none"}, "--ink is 'none'; wanted keep or model"),
        ({"steps": 3}, "--steps is an option of the methods lvcd, palette and colorize-diffusion"),
        ({"dtype": "int8"}, "--dtype is 'int8'; wanted auto, float32, bfloat16 or float16"),
    ],
)
def test_wrong_options_are_told_at_once(shot: tuple[Path, Path], options: dict[str, object], said: str) -> None:
    with pytest.raises(OptionError, match=said.replace("(", r"\(")):
        celpaint.colorize(shot[0], reference=shot[1], **{"method": "copycat", **options})  # type: ignore[arg-type]


def test_the_result_has_the_names_and_the_summary_the_figures(shot: tuple[Path, Path], tmp_path: Path) -> None:
    summary = celpaint.render(shot[0], tmp_path / "out", reference=shot[1], method="copycat")
    assert list(pictures(tmp_path / "out")) == [f"A_{i:04d}.png" for i in range(1, 11)]
    assert (summary.out, summary.frames, summary.method, summary.resumed) == (tmp_path / "out", 10, "copycat", 0)
    assert summary.confidence == pytest.approx(np.mean([1 / (1 + i) for i in range(10)]))
    assert summary.paint_next == ("A_0010.png", "A_0009.png", "A_0008.png")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["out", "shot"]


def test_maps_of_confidence(shot: tuple[Path, Path], tmp_path: Path) -> None:
    celpaint.render(
        shot[0], tmp_path / "out.mp4", reference=shot[1], method="copycat", confidence_maps=tmp_path / "maps"
    )
    maps = sorted((tmp_path / "maps").iterdir())
    assert [file.name for file in maps] == [f"A_{i:04d}.png" for i in range(1, 11)]
    assert [int(np.asarray(Image.open(file)).mean()) for file in maps[:3]] == [255, 128, 85]


def test_a_method_that_cannot_tell_gives_no_advice(shot: tuple[Path, Path], tmp_path: Path) -> None:
    summary = celpaint.render(shot[0], tmp_path / "out", reference=shot[1], method="copycat", unsure=True)
    assert (summary.confidence, summary.paint_next) == (None, ())


def test_maps_of_a_method_that_has_no_confidence_are_refused_before_anything_is_loaded(
    shot: tuple[Path, Path], tmp_path: Path
) -> None:
    options = {"method": "lvcd", "weights": str(tmp_path / "nowhere")}
    with pytest.raises(OptionError) as error:
        celpaint.render(shot[0], tmp_path / "out", reference=shot[1], confidence_maps=tmp_path / "maps", **options)
    assert "lvcd" in error.value.seen
    assert sorted(each.name for each in tmp_path.iterdir()) == ["shot"]


def test_colored_frames_are_recognized_and_their_lines_extracted(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "film").mkdir()
    for i in range(3):
        paint_key(i, (192, 128)).save(tmp_path / "film" / f"{i}.png")
    with caplog.at_level(logging.INFO):
        frames = list(celpaint.colorize(tmp_path / "film", reference=tmp_path / "film" / "0.png", method="copycat"))
    assert "colored pictures, so their lines are extracted" in caplog.text
    assert len(frames) == 3


def test_what_is_painted_is_not_advised_to_be_painted(shot: tuple[Path, Path], tmp_path: Path) -> None:
    paint_key(1).save(tmp_path / "other.png")
    references = [shot[1], f"{tmp_path / 'other.png'}@4"]
    summary = celpaint.render(shot[0], tmp_path / "out", reference=references, method="copycat", eager=True)
    assert summary.paint_next == tuple(f"A_{i:04d}.png" for i in (2, 3, 5, 6, 7, 8, 9, 10))


class Stop(Exception):
    """Ends a run from within its progress."""


def stop_at(frame: int) -> celpaint.Progress:
    def tell(event: Event, /) -> None:
        if event.stage == "frame" and event.index == frame:
            raise Stop

    return tell


@pytest.mark.parametrize("frame", [1, 4, 5, 9, 10])
def test_a_stopped_run_goes_on_and_gives_the_same_bytes(shot: tuple[Path, Path], tmp_path: Path, frame: int) -> None:
    lines, key = shot
    celpaint.render(lines, tmp_path / "whole", reference=key, method="copycat")
    with pytest.raises(Stop):
        celpaint.render(lines, tmp_path / "out", reference=key, method="copycat", progress=stop_at(frame))
    assert not (tmp_path / "out").exists()
    summary = celpaint.render(lines, tmp_path / "out", reference=key, method="copycat")
    assert summary.resumed == (frame - 1) // 4 * 4
    assert summary.confidence == pytest.approx(np.mean([1 / (1 + i) for i in range(10)]))
    assert pictures(tmp_path / "out") == pictures(tmp_path / "whole")


def cut_in_half(file: Path) -> None:
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


def flip_a_bit(file: Path) -> None:
    data = bytearray(file.read_bytes())
    data[-20] ^= 1
    file.write_bytes(data)


@pytest.mark.parametrize("harm", [cut_in_half, flip_a_bit, Path.unlink])
@pytest.mark.parametrize(("which", "said"), [("frames/000002.*.png", "A_0003.png"), ("done.json", "its state")])
def test_damaged_work_of_an_earlier_run_is_made_again_and_said(
    shot: tuple[Path, Path],
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    harm: Callable[[Path], None],
    which: str,
    said: str,
) -> None:
    lines, key = shot
    celpaint.render(lines, tmp_path / "whole", reference=key, method="copycat")
    with pytest.raises(Stop):
        celpaint.render(lines, tmp_path / "out", reference=key, method="copycat", progress=stop_at(9))
    (file,) = (tmp_path / ".out.celpaint").glob(which)
    harm(file)
    summary = celpaint.render(lines, tmp_path / "out", reference=key, method="copycat")
    assert summary.resumed == 0
    assert (said in caplog.text) != (harm == Path.unlink and which == "done.json")
    assert pictures(tmp_path / "out") == pictures(tmp_path / "whole")


def test_a_run_stopped_while_writing_only_writes_again(shot: tuple[Path, Path], tmp_path: Path) -> None:
    def tell(event: Event, /) -> None:
        if event.stage == "write" and event.index == 7:
            raise Stop

    with pytest.raises(Stop):
        celpaint.render(shot[0], tmp_path / "out", reference=shot[1], method="copycat", progress=tell)
    assert not (tmp_path / "out").exists()
    summary = celpaint.render(shot[0], tmp_path / "out", reference=shot[1], method="copycat")
    assert (summary.resumed, summary.frames) == (10, 10)
    assert len(pictures(tmp_path / "out")) == 10


@pytest.mark.parametrize("change", ["an option", "a frame", "the reference", "its place"])
def test_a_changed_request_begins_anew(
    shot: tuple[Path, Path], tmp_path: Path, change: str, caplog: pytest.LogCaptureFixture
) -> None:
    lines, key = shot
    with pytest.raises(Stop):
        celpaint.render(lines, tmp_path / "out", reference=key, method="copycat", progress=stop_at(9))
    reference: str | Path = key
    if change == "a frame":
        draw_line(7).save(lines / "A_0002.png")
    elif change == "the reference":
        paint_key(2).save(key)
    elif change == "its place":
        reference = f"{key}@3"
    with caplog.at_level(logging.WARNING):
        summary = celpaint.render(
            lines, tmp_path / "out", reference=reference, method="copycat", seed=int(change == "an option")
        )
    assert summary.resumed == 0
    said = {
        "an option": "--seed changed since: starting again",
        "a frame": "'A_0002.png' changed since",
        "the reference": "the paintings changed since",
        "its place": "the paintings changed since",
    }
    assert said[change] in caplog.text


def test_a_changed_drawing_keeps_what_was_colored_before_it(
    shot: tuple[Path, Path], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    lines, key = shot
    with pytest.raises(Stop):
        celpaint.render(lines, tmp_path / "out", reference=key, method="copycat", progress=stop_at(9))
    draw_line(9).save(lines / "A_0006.png")
    with caplog.at_level(logging.WARNING):
        assert celpaint.render(lines, tmp_path / "out", reference=key, method="copycat").resumed == 4
    said = "'A_0006.png' changed since an earlier run was interrupted: 4 of 8 colored drawings must be colored again"
    assert said in caplog.text
    celpaint.render(lines, tmp_path / "whole", reference=key, method="copycat")
    assert pictures(tmp_path / "out") == pictures(tmp_path / "whole")


def test_touched_moved_and_named_otherwise_it_is_the_same_run(
    shot: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    lines, key = shot
    with pytest.raises(Stop):
        celpaint.render(lines, tmp_path / "out", reference=key, method="copycat", progress=stop_at(9))
    for file in [*lines.iterdir(), key]:
        os.utime(file, (1, 1))
    moved = tmp_path / "elsewhere"
    lines.parent.rename(moved)
    monkeypatch.chdir(moved)
    with caplog.at_level(logging.WARNING):
        summary = celpaint.render("lines", "../out", reference="key.png", method="copycat")
    assert summary.resumed == 8
    assert "changed" not in caplog.text


def test_a_drive_that_is_away_for_a_moment_costs_nothing(
    shot: tuple[Path, Path], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    lines, key = shot
    away = tmp_path / "away"

    def unplug(event: Event, /) -> None:
        if event.stage == "frame" and event.index == 6:
            lines.rename(away)
            raise InputError("the drive is gone")

    with caplog.at_level(logging.INFO), pytest.raises(InputError):
        celpaint.render(lines, tmp_path / "out", reference=key, method="copycat", progress=unplug)
    assert "4 of 10 frames are colored and kept; run the same command again to resume" in caplog.text
    with pytest.raises(InputError):
        celpaint.render(lines, tmp_path / "out", reference=key, method="copycat")
    away.rename(lines)
    assert celpaint.render(lines, tmp_path / "out", reference=key, method="copycat").resumed == 4


def test_a_drawing_saved_again_during_the_run_is_said(
    shot: tuple[Path, Path], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def save_again(event: Event, /) -> None:
        if event.stage == "frame" and event.index == 2:
            draw_line(14).save(shot[0] / "A_0009.png")

    with caplog.at_level(logging.WARNING):
        celpaint.render(shot[0], tmp_path / "out", reference=shot[1], method="copycat", progress=save_again)
    assert "'A_0009.png' changed during this run" in caplog.text


@pytest.mark.parametrize("draft", ["auto", "matcher", "none"])
def test_other_weights_of_the_drafting_matcher_begin_anew(
    shot: tuple[Path, Path], tmp_path: Path, draft: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """LVCD's place is taken by the copycat: only what the job writes down of its request counts here."""
    monkeypatch.setitem(registry._SPECS, "lvcd", f"{__name__}:STANDIN")
    folders = {name: tmp_path / "packaged" / name for name in ("lvcd", "matcher")}
    for folder in folders.values():
        folder.mkdir(parents=True)
        (folder / "model.safetensors").write_bytes(b"weights")
    monkeypatch.setattr("celpaint.weights.registry.packaged", lambda: folders)

    def run(progress: celpaint.Progress = silent) -> celpaint.Summary:
        return celpaint.render(
            shot[0], tmp_path / "out", reference=shot[1], method="lvcd", draft=draft, progress=progress
        )

    with pytest.raises(Stop):
        run(stop_at(9))
    (folders["matcher"] / "model.safetensors").write_bytes(b"better weights")
    assert run().resumed == (8 if draft == "none" else 0)


class Standin(Copycat):
    """The copycat under LVCD's options."""

    @classmethod
    def load(cls, options: ComputeOptions) -> Standin:
        return cls(CopycatOptions())


LACKING = replace(COPYCAT, extra=Extra("lvcd", "a_package_that_is_not_there"))
STANDIN = replace(SPEC, run=f"{__name__}:Standin", extra=None)


def test_what_does_not_change_the_frames_may_change(shot: tuple[Path, Path], tmp_path: Path) -> None:
    (tmp_path / "out.mp4").write_bytes(b"an older result")
    with pytest.raises(Stop):
        celpaint.render(
            shot[0], tmp_path / "out.mp4", reference=shot[1], method="copycat", progress=stop_at(9), overwrite=True
        )
    assert (tmp_path / "out.mp4").read_bytes() == b"an older result"
    summary = celpaint.render(
        shot[0], tmp_path / "out.mp4", reference=shot[1], method="copycat", overwrite=True, fps=12
    )
    assert summary.resumed == 8


def test_too_little_memory_says_what_to_lower(shot: tuple[Path, Path], tmp_path: Path) -> None:
    with pytest.raises(OutOfMemory, match="Lower --size"):
        celpaint.render(shot[0], tmp_path / "out", reference=shot[1], method="copycat", fail_at=9)
    assert celpaint.render(shot[0], tmp_path / "out", reference=shot[1], method="copycat").frames == 10


def test_output_is_refused_before_anything_is_read(shot: tuple[Path, Path], tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").write_text("keep me")
    with pytest.raises(OutputError, match="is not empty"):
        celpaint.render(shot[0], tmp_path / "out", reference=tmp_path / "missing.png", method="copycat")


@pytest.mark.parametrize(
    ("reference", "said"),
    [
        ("{key}@0", "belongs to no frame of the shot; wanted @FRAME from 1 to 10"),
        ("{key}@11", "belongs to no frame of the shot; wanted @FRAME from 1 to 10"),
        ("{key}@A_0011.png", "belongs to no frame"),
    ],
)
def test_a_reference_outside_the_shot(shot: tuple[Path, Path], reference: str, said: str) -> None:
    with pytest.raises(ReferenceFrameError, match=said):
        celpaint.colorize(shot[0], reference=reference.format(key=shot[1]), method="copycat")


def test_a_reference_in_a_gap(shot: tuple[Path, Path]) -> None:
    (shot[0] / "A_0005.png").unlink()
    with pytest.raises(ReferenceFrameError, match="which has a gap there"):
        celpaint.colorize(shot[0], reference=f"{shot[1]}@5", method="copycat")
    assert len(list(celpaint.colorize(shot[0], reference=f"{shot[1]}@6", method="copycat"))) == 9


def test_two_references_for_one_frame(shot: tuple[Path, Path], tmp_path: Path) -> None:
    paint_key(1).save(tmp_path / "other.png")
    with pytest.raises(ReferenceFrameError, match=r"both belong to 'A_0001\.png'; wanted one per frame"):
        celpaint.colorize(shot[0], reference=[shot[1], tmp_path / "other.png"], method="copycat")
    frames = celpaint.colorize(shot[0], reference=[shot[1], f"{tmp_path / 'other.png'}@none"], method="copycat")
    assert len(list(frames)) == 10


def test_a_reference_named_like_a_later_frame_is_asked_about(
    shot: tuple[Path, Path], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    paint_key(3).save(tmp_path / "A_0004.png")
    celpaint.colorize(shot[0], reference=tmp_path / "A_0004.png", method="copycat")
    assert (
        "is used as a painting of the first frame, 'A_0001.png'; if it is a painting of 'A_0004.png', write"
        in caplog.text
    )
    caplog.clear()
    celpaint.colorize(shot[0], reference=f"{tmp_path / 'A_0004.png'}@4", method="copycat")
    assert caplog.text == ""


def test_no_reference(shot: tuple[Path, Path]) -> None:
    with pytest.raises(ReferenceFrameError, match="the method copycat needs a painted frame"):
        celpaint.colorize(shot[0], reference=[], method="copycat")


def test_a_reference_of_another_size_is_fitted_and_said_so(
    shot: tuple[Path, Path], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    paint_key(size=(192, 128)).save(tmp_path / "big.png")
    with caplog.at_level(logging.INFO):
        celpaint.colorize(shot[0], reference=tmp_path / "big.png", method="copycat")
    assert "192x128, the shot 96x64" in caplog.text


def test_ink_on_transparent_paper_stays_transparent_outside(tmp_path: Path) -> None:
    lines = tmp_path / "lines"
    lines.mkdir()
    for i in range(3):
        ink = Image.new("RGBA", SIZE, (0, 0, 0, 0))
        ink.putalpha(Image.eval(draw_line(i), lambda v: 255 - v))
        ink.save(lines / f"{i}.png")
    key = Image.new("RGB", SIZE, "white")
    painted = paint_key()
    key.paste(painted, mask=Image.eval(painted.getchannel("R"), lambda v: 0 if v == 135 else 255))
    key.save(tmp_path / "key.png")
    celpaint.render(lines, tmp_path / "out", reference=tmp_path / "key.png", method="copycat", seed=1)
    first = Image.open(tmp_path / "out" / "0.png")
    assert first.mode == "RGBA"
    assert first.getpixel((23, 31))[3] == 255  # type: ignore[index]


def test_the_input_is_never_written_over(shot: tuple[Path, Path]) -> None:
    before = pictures(shot[0])
    with pytest.raises(OutputError, match="is the input"):
        celpaint.render(shot[0], shot[0], reference=shot[1], method="copycat", overwrite=True)
    assert pictures(shot[0]) == before


def test_a_frame_that_breaks_half_way_leaves_nothing(shot: tuple[Path, Path], tmp_path: Path) -> None:
    broken = shot[0] / "A_0009.png"
    broken.write_bytes(broken.read_bytes()[:-40])
    with pytest.raises(InputError, match=r"A_0009\.png"):
        celpaint.render(shot[0], tmp_path / "out", reference=shot[1], method="copycat", holds="off")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["shot"]


def test_disk_full_keeps_what_is_done(shot: tuple[Path, Path], tmp_path: Path) -> None:
    import resource
    import signal

    before = resource.getrlimit(resource.RLIMIT_FSIZE), signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    noise = np.random.default_rng(0).integers(0, 255, (64, 96, 3), np.uint8)
    Image.fromarray(noise).save(shot[1])
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (4000, before[0][1]))
        with pytest.raises(DiskFull, match="Make room and run the same command again"):
            celpaint.render(shot[0], tmp_path / "out", reference=shot[1], method="copycat")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before[0])
        signal.signal(signal.SIGXFSZ, before[1])
    assert not (tmp_path / "out").exists()
    assert celpaint.render(shot[0], tmp_path / "out", reference=shot[1], method="copycat").frames == 10


def test_the_real_matcher_resumes_to_the_byte(tmp_path: Path) -> None:
    import torch

    from celpaint.models.matcher.network import Matcher
    from celpaint.weights.store import write_network

    tiny: dict[str, Any] = {"channels": [8, 8, 16], "width": 24, "layers": 1, "mend_layers": 1, "heads": 2}
    tiny |= {"key": 8, "fine_key": 8, "value": 8, "fine_value": 8}
    torch.manual_seed(0)
    write_network(tmp_path / "weights", tiny, Matcher(**tiny).state_dict())
    lines, key = make_shot(tmp_path / "shot", 7)
    how: dict[str, Any] = {"reference": key, "method": "matcher", "weights": str(tmp_path / "weights")}
    celpaint.render(lines, tmp_path / "whole", **how)
    with pytest.raises(Stop):
        celpaint.render(lines, tmp_path / "out", progress=stop_at(6), **how)
    assert celpaint.render(lines, tmp_path / "out", **how).resumed == 4
    assert pictures(tmp_path / "out") == pictures(tmp_path / "whole")


@pytest.mark.parametrize(
    ("wrong", "tokens", "said"),
    [
        ({"seed": "x"}, ["--seed", "x"], "--seed is 'x'; wanted a whole number, 0 to 9223372036854775807."),
        ({"ink": "none"}, ["--ink", "none"], "--ink is 'none'; wanted keep or model."),
        ({"image_format": "bmp"}, ["--image-format", "bmp"], "--image-format is 'bmp'; wanted png, tif or tga."),
        (
            {"fps": "abc"},
            ["--fps", "abc"],
            "--fps is 'abc'; wanted a number or a fraction, more than 0, such as 24 or 24000/1001.",
        ),
    ],
)
def test_a_wrong_value_gets_the_same_sentence_in_python_and_on_the_command_line(
    shot: tuple[Path, Path],
    tmp_path: Path,
    wrong: dict[str, Any],
    tokens: list[str],
    said: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    lines, key = shot
    with pytest.raises(OptionError) as error:
        celpaint.render(lines, tmp_path / "out", reference=key, method="copycat", **wrong)
    assert str(error.value) == said
    command = ["colorize", str(lines), "-r", str(key), "-o", str(tmp_path / "out"), "--method", "copycat"]
    assert run([*command, *tokens]) == 2
    assert capsys.readouterr().err == f"celpaint: {said}\n"


@pytest.mark.parametrize("wrong", [{"overwrite": "yes"}, {"method": 5}, {"confidence_maps": 5}, {"fps": True}])
def test_a_value_of_the_wrong_type_is_named(shot: tuple[Path, Path], tmp_path: Path, wrong: dict[str, Any]) -> None:
    flag = f"--{next(iter(wrong)).replace('_', '-')} is "
    with pytest.raises(OptionError, match=flag):
        celpaint.render(shot[0], tmp_path / "out", **{"reference": shot[1], "method": "copycat", **wrong})
    assert not (tmp_path / "out").exists()


def test_a_drawing_given_as_its_own_painting_is_questioned(
    shot: tuple[Path, Path], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    lines, key = shot
    with caplog.at_level(logging.WARNING):
        celpaint.render(lines, tmp_path / "painted", reference=key, method="copycat")
    assert "is it the right file?" not in caplog.text
    with caplog.at_level(logging.WARNING):
        celpaint.render(lines, tmp_path / "out", reference=lines / "A_0001.png", method="copycat")
    assert "this is the drawing 'A_0001.png' itself, without colors" in caplog.text


def test_missing_packages_are_named_before_any_frame_is_read(
    shot: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(registry._SPECS, "copycat", f"{__name__}:LACKING")
    read: list[Event] = []
    with pytest.raises(MissingExtra):
        celpaint.render(shot[0], tmp_path / "out", reference=shot[1], method="copycat", progress=read.append)
    assert read == []
