"""What holds for every registered method and every baseline."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import cases
import numpy as np
import pytest
from PIL import Image

import celpaint
from celpaint.errors import Cancelled
from celpaint.methods import registry
from celpaint.options import PathOptions
from celpaint.types import DrawingColored, Event
from shots import draw_line, paint_key

TESTS = Path(__file__).parents[2]
SMALL = (64, 48)

every_case = pytest.mark.parametrize("name", cases.CASES)


@pytest.fixture(autouse=True)
def _registered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_SPECS", dict(registry._SPECS))
    cases.register()


@pytest.fixture(scope="session")
def options(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    return cases.make_weights(tmp_path_factory.mktemp("toys"))


@pytest.fixture(scope="session")
def sessions(options: dict[str, dict[str, Any]]) -> dict[str, celpaint.Colorizer]:
    """Loaded once for all tests; what one test does must not matter to the next."""
    cases.register()
    return {name: celpaint.Colorizer(name, device="cpu", **options[name]) for name in cases.CASES}


def lines(count: int, size: tuple[int, int] = SMALL) -> np.ndarray:
    """``T H W 3`` uint8: a ball that rolls to and fro."""
    return np.stack([np.asarray(draw_line(abs(i % 20 - 10), size).convert("RGB")) for i in range(count)])


def key(drawing: int = 0, size: tuple[int, int] = SMALL) -> np.ndarray:
    return np.asarray(paint_key(abs(drawing % 20 - 10), size))


def color(session: celpaint.Colorizer, count: int, placed: tuple[int, ...] = (0,), **more: Any) -> list[np.ndarray]:
    """Frames ``H W 3`` of a shot with these drawings painted."""
    size, path = more.pop("size", SMALL), cases.path_options(session.name)
    reference = [(key(i, size), i + 1) for i in placed]
    return [frame.rgb for frame in session.colorize(lines(count, size), reference=reference, **path, **more)]


@every_case
def test_every_frame_comes_back_at_its_size_and_in_range(name: str, sessions: dict[str, celpaint.Colorizer]) -> None:
    for size in ((64, 48), (61, 45), (33, 90)):
        frames = color(sessions[name], 3, size=size)
        assert [frame.shape for frame in frames] == [(size[1], size[0], 3)] * 3
        for frame in frames:
            assert frame.dtype == np.float32
            assert frame.min() >= 0
            assert frame.max() <= 1


@every_case
def test_one_frame_is_a_shot(name: str, sessions: dict[str, celpaint.Colorizer]) -> None:
    (frame,) = color(sessions[name], 1)
    assert frame.shape == (48, 64, 3)


@pytest.mark.parametrize("name", [name for name in cases.CASES if "lines" not in cases.path_options(name)])
def test_painted_frames_come_back_wherever_they_are(name: str, sessions: dict[str, celpaint.Colorizer]) -> None:
    for placed in ((0,), (5,), (2,), (1, 4)):
        frames = color(sessions[name], 6, placed)
        for drawing in placed:
            np.testing.assert_allclose(frames[drawing], key(drawing) / np.float32(255), atol=1e-6)


@every_case
def test_references_are_a_set(name: str, sessions: dict[str, celpaint.Colorizer]) -> None:
    """In whatever order they are given; sums in another order may differ in their last bits."""
    for a, b in zip(color(sessions[name], 7, (0, 3, 6)), color(sessions[name], 7, (6, 0, 3)), strict=True):
        assert np.abs(a - b).mean() < 1e-3


@every_case
def test_the_same_shot_gives_the_same_bytes(name: str, sessions: dict[str, celpaint.Colorizer]) -> None:
    for a, b in zip(color(sessions[name], 5, (0, 4)), color(sessions[name], 5, (0, 4)), strict=True):
        assert a.tobytes() == b.tobytes()


@every_case
def test_progress_counts_every_drawing_once(name: str, sessions: dict[str, celpaint.Colorizer]) -> None:
    told: list[Event] = []
    color(sessions[name], 17, progress=told.append)
    counted = [(event.index, event.total) for event in told if isinstance(event, DrawingColored)]
    assert counted == [(count, 17) for count in range(1, 18)]


@every_case
def test_chunks_name_every_drawing_once(name: str, sessions: dict[str, celpaint.Colorizer]) -> None:
    from celpaint.shot import open_shot

    shot = open_shot(lines(18), [(key(9), 10)], PathOptions(**cases.path_options(name))).shot
    chunks = list(sessions[name].chunks(shot))
    assert sorted(drawing for chunk in chunks for drawing in chunk.drawings) == list(range(len(shot)))
    for chunk in chunks:
        assert len(chunk.drawings) == len(chunk.painted)
        assert all(isinstance(array, np.ndarray) and array.dtype != object for array in chunk.state.values())


@every_case
def test_a_cancelled_session_may_be_used_again(name: str, sessions: dict[str, celpaint.Colorizer]) -> None:
    session = sessions[name]

    def cancel(event: Event, /) -> None:
        if isinstance(event, DrawingColored):
            session.cancel()

    before = color(session, 5)
    with pytest.raises(Cancelled):
        color(session, 5, progress=cancel)
    for a, b in zip(before, color(session, 5), strict=True):
        assert a.tobytes() == b.tobytes()


def render(source: Path, out: Path, kills: int, options: dict[str, Any]) -> dict[str, Any]:
    """Render in processes that are killed ``kills`` times; see :func:`cases.main`."""
    request = {"source": str(source), "out": str(out), "kills": kills, "options": options}
    path = [str(TESTS), str(Path(__file__).parent), str(Path(celpaint.__file__).parents[1])]
    done = subprocess.run(
        [sys.executable, str(Path(__file__).parent / "cases.py"), json.dumps(request)],
        env={"PYTHONPATH": ":".join(path), "PATH": "", "OMP_NUM_THREADS": "1", "HOME": str(out.parent)},
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr
    told: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    assert told["exit"] == 0, done.stderr
    return told


def save(folder: Path, count: int, painted: tuple[int, ...]) -> list[str]:
    """A shot as files; the references as the command line takes them."""
    (folder / "lines").mkdir(parents=True)
    for i, picture in enumerate(lines(count)):
        Image.fromarray(picture).save(folder / "lines" / f"{i + 1:04d}.png")
    for i in painted:
        Image.fromarray(key(i)).save(folder / f"key{i}.png")
    return [f"{folder / f'key{i}.png'}@{i + 1}" for i in painted]


@pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL and fork are POSIX")
@every_case
def test_killed_after_each_chunk_and_resumed_through_its_files_gives_the_same_bytes(
    name: str, options: dict[str, dict[str, Any]], tmp_path: Path
) -> None:
    reference = save(tmp_path, 18, (3, 14))
    asked = {"method": name, "reference": reference, "device": "cpu", **cases.path_options(name), **options[name]}
    assert render(tmp_path / "lines", tmp_path / "whole", 0, asked)["killed"] == 0
    assert render(tmp_path / "lines", tmp_path / "parts", 2, asked)["killed"] >= 1
    whole = sorted((tmp_path / "whole").iterdir())
    assert len(whole) == 18
    for file in whole:
        assert (tmp_path / "parts" / file.name).read_bytes() == file.read_bytes(), file.name
    assert not (tmp_path / ".parts.celpaint").exists()


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="fork is POSIX")
@every_case
def test_memory_is_the_same_for_20_drawings_and_for_400(
    name: str, options: dict[str, dict[str, Any]], tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """400 drawings kept as floats, with their lines and results, would take 60 MiB more."""
    if name in cases.MEMORY_GROWS:
        request.applymarker(pytest.mark.xfail(reason=cases.MEMORY_GROWS[name], strict=False))
    peaks = []
    for count in (20, 400):
        reference = save(tmp_path / str(count), count, (count - 1,))
        asked = {"method": name, "reference": reference, "device": "cpu", **cases.path_options(name), **options[name]}
        peaks.append(render(tmp_path / str(count) / "lines", tmp_path / f"out{count}", 0, asked)["peak"])
    assert peaks[1] - peaks[0] < 30
