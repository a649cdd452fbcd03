"""A session colors many shots with networks loaded once."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import celpaint
from celpaint.errors import Cancelled, InputError, OptionError, ReferenceFrameError
from celpaint.frames.arrays import as_clip
from celpaint.frames.read import open_clip
from celpaint.types import DrawingColored, Event, FrameRead
from copycat import Copycat
from shots import draw_line, make_shot, paint_key

Shot = tuple[Path, Path]


@pytest.fixture
def loads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """One entry for each time that the copycat is loaded."""
    seen: list[str] = []
    load = Copycat.load.__func__  # type: ignore[attr-defined]

    def counted(cls: type[Copycat], options: Any) -> Copycat:
        seen.append("copycat")
        method: Copycat = load(cls, options)
        return method

    monkeypatch.setattr(Copycat, "load", classmethod(counted))
    return seen


def test_networks_are_loaded_once_for_many_shots(shot: Shot, loads: list[str]) -> None:
    session = celpaint.Colorizer(method="copycat")
    first = [frame.rgb for frame in session.colorize(shot[0], reference=shot[1])]
    second = [frame.rgb for frame in session.colorize(shot[0], reference=shot[1])]
    assert loads == ["copycat"]
    np.testing.assert_array_equal(first, second)


def test_render_and_colorize_take_a_session(shot: Shot, tmp_path: Path, loads: list[str]) -> None:
    session = celpaint.Colorizer(method="copycat")
    frames = list(celpaint.colorize(shot[0], reference=shot[1], method=session))
    celpaint.render(shot[0], tmp_path / "out", reference=shot[1], method=session)
    assert loads == ["copycat"]
    for frame, written in zip(frames, open_clip(tmp_path / "out"), strict=True):
        np.testing.assert_allclose(frame.rgb, written.rgb, atol=0.6 / 255)
    with pytest.raises(OptionError) as error:
        celpaint.colorize(shot[0], reference=shot[1], method=session, seed=3)
    assert "--seed" in error.value.seen


def arrays() -> tuple[np.ndarray, np.ndarray]:
    """Line frames ``T H W 3`` and the painted first, uint8."""
    lines = np.stack([np.asarray(draw_line(i).convert("RGB")) for i in range(5)])
    return lines, np.asarray(paint_key())


INPUTS = {
    "NumPy uint8": lambda lines, key: (lines, key),
    "NumPy float": lambda lines, key: (lines / np.float32(255), key / np.float32(255)),
    "NumPy gray": lambda lines, key: (lines[..., :1], key),
    "torch B H W C": lambda lines, key: (torch.tensor(lines) / 255, torch.tensor(key)[None] / 255),
    "torch B C H W": lambda lines, key: (
        torch.tensor(lines).permute(0, 3, 1, 2),
        torch.tensor(key).permute(2, 0, 1)[None],
    ),
    "PIL": lambda lines, key: ([Image.fromarray(x) for x in lines], Image.fromarray(key)),
    "a clip": lambda lines, key: (as_clip(lines), (key, 1)),
}


@pytest.mark.parametrize("kind", INPUTS)
def test_pictures_in_memory_color_like_files(kind: str, tmp_path: Path) -> None:
    lines, key = arrays()
    (tmp_path / "lines").mkdir()
    for i, picture in enumerate(lines):
        Image.fromarray(picture).save(tmp_path / "lines" / f"{i}.png")
    Image.fromarray(key).save(tmp_path / "key.png")
    session = celpaint.Colorizer(method="copycat")
    expected = list(session.colorize(tmp_path / "lines", reference=tmp_path / "key.png"))
    source, reference = INPUTS[kind](lines, key)
    for a, b in zip(expected, session.colorize(source, reference=reference), strict=True):
        np.testing.assert_allclose(a.rgb, b.rgb, atol=1e-6)


@pytest.mark.parametrize(
    ("source", "seen"),
    [
        (np.zeros((2, 8, 8, 5), np.uint8), "(8, 8, 5)"),
        (np.zeros((2, 8, 8, 3), np.int64), "int64"),
        (np.full((2, 8, 8, 3), 200.0), "numbers from 200 to 200"),
        (np.full((2, 8, 8, 3), np.nan), "numbers from nan"),
        (torch.zeros(2, 3, 8, 3), "either layout"),
        (torch.zeros(2, 8, 8), "no channels"),
        ([], "no frames"),
        ([np.zeros((8, 8, 3), np.uint8), np.zeros((8, 9, 3), np.uint8)], "different sizes"),
        (3, "int"),
    ],
)
def test_what_is_no_picture_is_refused(source: Any, seen: str) -> None:
    session = celpaint.Colorizer(method="copycat")
    with pytest.raises(InputError) as error:
        list(session.colorize(source, reference=np.zeros((8, 8, 3), np.uint8)))
    assert seen in error.value.seen
    assert error.value.wanted


def test_a_pair_places_a_reference(shot: Shot) -> None:
    session = celpaint.Colorizer(method="copycat")
    key = np.asarray(Image.open(shot[1]))
    placed = list(session.colorize(shot[0], reference=[(key, 3)]))
    named = list(session.colorize(shot[0], reference=f"{shot[1]}@3"))
    for a, b in zip(placed, named, strict=True):
        np.testing.assert_array_equal(a.rgb, b.rgb)
    with pytest.raises(ReferenceFrameError):
        session.colorize(shot[0], reference=[(key, 99)])


class Stop:
    """A progress that cancels the session at a drawing."""

    def __init__(self, session: celpaint.Colorizer, at: int) -> None:
        self.session, self.at = session, at
        self.told: list[Event] = []

    def __call__(self, event: Event, /) -> None:
        self.told.append(event)
        if isinstance(event, DrawingColored) and event.index == self.at:
            self.session.cancel()


def test_a_cancelled_session_stops_within_a_chunk_and_is_usable_after(shot: Shot) -> None:
    session = celpaint.Colorizer(method="copycat")
    stop = Stop(session, 2)
    with pytest.raises(Cancelled):
        list(session.colorize(shot[0], reference=shot[1], progress=stop))
    assert [e.index for e in stop.told if isinstance(e, DrawingColored)] == [1, 2]
    again = list(session.colorize(shot[0], reference=shot[1]))
    fresh = list(celpaint.colorize(shot[0], reference=shot[1], method="copycat"))
    for a, b in zip(again, fresh, strict=True):
        np.testing.assert_array_equal(a.rgb, b.rgb)


def test_another_thread_may_cancel(shot: Shot) -> None:
    session = celpaint.Colorizer(method="copycat")
    frames = session.colorize(shot[0], reference=shot[1])
    next(frames)
    thread = threading.Thread(target=session.cancel)
    thread.start()
    thread.join(timeout=10)
    with pytest.raises(Cancelled):
        list(frames)


def test_progress_is_typed_complete_and_monotonic(shot: Shot) -> None:
    told: list[Event] = []
    list(celpaint.colorize(shot[0], reference=shot[1], method="copycat", progress=told.append))
    assert [(e.index, e.total) for e in told if isinstance(e, FrameRead)] == [(i, 10) for i in range(1, 11)]
    assert [(e.index, e.total) for e in told if isinstance(e, DrawingColored)] == [(i, 10) for i in range(1, 11)]


# -- conditions ---------------------------------------------------------------------------------------------------


def test_a_missing_condition_is_one_sentence_before_any_network_loads(shot: Shot, loads: list[str]) -> None:
    with pytest.raises(ReferenceFrameError) as error:
        celpaint.colorize(shot[0], method="copycat")
    assert error.value.seen.startswith("the method copycat needs a painted frame")
    assert loads == []


@pytest.mark.parametrize(
    ("given", "seen"),
    [({"palette": [(1, 0, 0)]}, "a palette"), ({"text": "red hair"}, "a description")],
)
def test_a_useless_condition_is_one_sentence_before_any_network_loads(
    shot: Shot, tmp_path: Path, loads: list[str], given: dict[str, Any], seen: str
) -> None:
    with pytest.raises(OptionError) as error:
        celpaint.render(shot[0], tmp_path / "out", reference=shot[1], method="copycat", **given)
    assert error.value.seen.startswith("the method copycat does not use")
    assert seen in error.value.seen
    assert loads == []
    assert [each.name for each in tmp_path.iterdir()] == ["shot"]


# -- cuts ---------------------------------------------------------------------------------------------------------


def two_scenes(folder: Path) -> Path:
    """Five drawings of a ball, then five of a grid of strokes."""
    lines, _ = make_shot(folder, 5)
    for i in range(5):
        picture = Image.new("L", (96, 64), 255)
        for x in range(6 + i, 96, 18):
            picture.paste(0, (x, 2, x + 2, 62))
        picture.save(lines / f"A_{i + 6:04d}.png")
    return lines


def test_nothing_reaches_across_a_cut(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    lines = two_scenes(tmp_path)
    session = celpaint.Colorizer(method="copycat")
    frames = list(session.colorize(lines, reference=tmp_path / "key.png"))
    assert "A_0006.png to A_0010.png" in caplog.text
    assert np.asarray(frames[3].rgb)[2, 2].std() > 0.05  # the painted sky
    for frame in frames[5:]:
        np.testing.assert_array_equal(frame.rgb[2, 2], [1, 1, 1])  # paper
    whole = list(session.colorize(lines, reference=tmp_path / "key.png", cuts="off"))
    assert whole[7].rgb[2, 2].std() > 0.05


def test_the_summary_names_scenes_without_a_painted_frame(tmp_path: Path) -> None:
    lines = two_scenes(tmp_path)
    summary = celpaint.render(lines, tmp_path / "out", reference=tmp_path / "key.png", method="copycat")
    assert summary.unpainted == (("A_0006.png", "A_0010.png"),)
    assert summary.paint_next[0] == "A_0006.png"
    both = [tmp_path / "key.png", f"{tmp_path / 'key.png'}@6"]
    summary = celpaint.render(lines, tmp_path / "both", reference=both, method="copycat")
    assert summary.unpainted == ()
    summary = celpaint.render(lines, tmp_path / "sheet", reference=f"{tmp_path / 'key.png'}@none", method="copycat")
    assert summary.unpainted == ()


def test_a_scene_is_colored_like_a_shot_of_its_own(tmp_path: Path) -> None:
    lines = two_scenes(tmp_path)
    key = tmp_path / "key.png"
    whole = list(celpaint.colorize(lines, reference=[key, f"{key}@6"], method="copycat"))
    for i in range(1, 6):
        (lines / f"A_{i:04d}.png").unlink()
    alone = list(celpaint.colorize(lines, reference=key, method="copycat"))
    for a, b in zip(whole[5:], alone, strict=True):
        np.testing.assert_array_equal(a.rgb, b.rgb)
