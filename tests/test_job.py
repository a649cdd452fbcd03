"""Stopped runs: what is kept, what is begun anew, what is cleaned up."""

from __future__ import annotations

import errno
import logging
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from celpaint.errors import InputError, OutputError
from celpaint.job import Inputs, Job, content_sum
from celpaint.types import Judgement

REQUEST = {"--seed": "0"}
SURE = Judgement(0.5, 0.25, 0.0, 0.5, 1.0, 1.0)


def inputs(*, scenes: tuple[range, ...] = (range(12),), paintings: str = "key 1", **changed: str) -> Inputs:
    """Twelve drawings ``d0`` to ``d11``; ``changed`` gives some of them another content."""
    names = tuple(f"d{i}" for i in range(12))
    return Inputs(scenes, (paintings,) * len(scenes), tuple(changed.get(name, f"{name} 1") for name in names), names)


class Stop(Exception):
    """Something that ends a run early."""


def run_into(error: Exception, out: Path, done: int) -> None:
    """A run that stages and commits ``done`` drawings and ends by ``error``."""
    with Job(out) as job:
        job.begin(REQUEST, inputs())
        (job.folder / "staged").write_text("frames")
        new = range(len(job.drawings), done)
        job.commit(new, {"memory": np.arange(done), "count": np.array(done)}, [SURE] * len(new))
        raise error


def stop_after(out: Path, done: int) -> None:
    with pytest.raises(Stop):
        run_into(Stop(), out, done)


def test_a_new_job_starts_at_nothing(tmp_path: Path) -> None:
    with Job(tmp_path / "out") as job:
        job.begin(REQUEST, inputs())
        assert (job.drawings, job.scenes, job.judged) == ((), {}, {})
        assert job.folder == tmp_path / ".out.celpaint"
        job.finish()
    assert list(tmp_path.iterdir()) == []


def test_it_goes_on_after_the_last_chunk(tmp_path: Path) -> None:
    stop_after(tmp_path / "out", 3)
    with Job(tmp_path / "out") as job:
        job.begin(REQUEST, inputs())
        assert job.drawings == (0, 1, 2)
        begun = job.scenes[0]
        assert begun.drawings == (0, 1, 2)
        np.testing.assert_array_equal(begun.state["memory"], [0, 1, 2])
        assert begun.state["count"].shape == ()
        assert (job.folder / "staged").read_text() == "frames"
        job.commit([9, 4], {}, [Judgement(0.75, 0.5), None])
    with Job(tmp_path / "out") as job:
        job.begin(REQUEST, inputs())
        assert job.drawings == (0, 1, 2, 9, 4)
        assert job.judged == {0: SURE, 1: SURE, 2: SURE, 9: Judgement(0.75, 0.5), 4: None}
        assert job.scenes[0].state == {}


def test_another_request_begins_anew_and_says_why(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    stop_after(tmp_path / "out", 3)
    with caplog.at_level(logging.WARNING), Job(tmp_path / "out") as job:
        job.begin({**REQUEST, "--seed": "1"}, inputs())
        assert job.drawings == ()
        assert not (job.folder / "staged").exists()
    assert "--seed changed since: starting again" in caplog.text


def test_a_broken_record_begins_anew(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    stop_after(tmp_path / "out", 3)
    (tmp_path / ".out.celpaint" / "done.json").write_bytes(b'[{"scene": [0')
    with caplog.at_level(logging.WARNING), Job(tmp_path / "out") as job:
        job.begin(REQUEST, inputs())
        assert job.drawings == ()
    assert "starting again" in caplog.text


def stop_after_chunks(out: Path, scenes: tuple[range, ...] = (range(12),)) -> None:
    """A run that colors all but the last four drawings in chunks of two; each chunk looks at its drawings."""

    def color() -> None:
        with Job(out) as job:
            job.begin(REQUEST, inputs(scenes=scenes))
            for begin in range(0, 8, 2):
                job.commit([begin, begin + 1], {"memory": np.array(begin)}, [SURE] * 2, range(begin + 2))
            raise Stop

    with pytest.raises(Stop):
        color()


@pytest.mark.parametrize(
    ("now", "kept", "said"),
    [
        (inputs(), 8, ""),
        (inputs(d11="d11 2"), 8, ""),
        (inputs(d5="d5 2"), 4, "'d5' changed since an earlier run was interrupted: 4 of 8"),
        (inputs(d0="d0 2"), 0, "'d0' changed since an earlier run was interrupted: 8 of 8"),
        (inputs(paintings="key 1, other 1"), 0, "the paintings changed"),
        (inputs(scenes=(range(6), range(6, 12))), 0, "the number of drawings or the cuts changed"),
    ],
)
def test_chunks_hold_up_to_the_first_that_was_made_from_what_changed(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, now: Inputs, kept: int, said: str
) -> None:
    stop_after_chunks(tmp_path / "out")
    with caplog.at_level(logging.WARNING), Job(tmp_path / "out") as job:
        job.begin(REQUEST, now)
        assert job.drawings == tuple(range(kept))
        if kept:
            assert job.scenes[0].state == {"memory": kept - 2}
    assert caplog.text.count("changed") == bool(said)
    assert said in caplog.text


def test_a_change_in_one_scene_leaves_the_others(tmp_path: Path) -> None:
    scenes = (range(4), range(4, 12))
    stop_after_chunks(tmp_path / "out", scenes)
    with Job(tmp_path / "out") as job:
        job.begin(REQUEST, inputs(scenes=scenes, d2="d2 2"))
        assert {first: chunk.drawings for first, chunk in job.scenes.items()} == {0: (0, 1), 4: (4, 5, 6, 7)}
        job.commit([2, 3], {}, [SURE, SURE])
        assert job.scenes[0].drawings == (0, 1, 2, 3)


def test_what_a_chunk_was_made_from_is_known_after_two_stops(tmp_path: Path) -> None:
    stop_after_chunks(tmp_path / "out")
    with Job(tmp_path / "out") as job:
        job.begin(REQUEST, inputs())
        job.commit([8, 9], {}, [SURE, SURE], [11])
    with Job(tmp_path / "out") as job:
        job.begin(REQUEST, inputs(d11="d11 2"))
        assert job.drawings == tuple(range(8))


def test_a_damaged_state_goes_back_to_the_chunk_before(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    stop_after_chunks(tmp_path / "out")
    with Job(tmp_path / "out") as job:
        job.begin(REQUEST, inputs())
        last = job.scenes[0].state
    for file in (tmp_path / ".out.celpaint" / "states").iterdir():
        data = bytearray(file.read_bytes())
        if data[-8:] == np.asarray(last["memory"]).tobytes():
            data[-8] ^= 1
            file.write_bytes(data)
    with caplog.at_level(logging.WARNING), Job(tmp_path / "out") as job:
        job.begin(REQUEST, inputs())
        assert job.drawings == tuple(range(6))
        assert job.scenes[0].state == {"memory": 4}
    assert "the stored state was damaged since an earlier run was interrupted: 2 of 8" in caplog.text


def test_damaged_staged_frames_are_made_again(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    stop_after_chunks(tmp_path / "out")
    with caplog.at_level(logging.WARNING), Job(tmp_path / "out") as job:
        job.begin(REQUEST, inputs(), lambda drawings: [drawing for drawing in drawings if drawing == 3])
        assert job.drawings == (0, 1)
    assert "the staged 'd3' was damaged since an earlier run was interrupted: 6 of 8" in caplog.text


def test_a_state_without_drawings_takes_the_place_of_the_one_before(tmp_path: Path) -> None:
    """A method that works on all drawings at once goes on after each of its steps."""
    with Job(tmp_path / "out") as job:
        job.begin(REQUEST, inputs())
        for step in range(3):
            job.commit([], {"step": np.array(step)}, [], range(12))
        assert job.scenes[0].state == {"step": 2}
        assert len(list((job.folder / "states").iterdir())) == 1
    with Job(tmp_path / "out") as job:
        job.begin(REQUEST, inputs(d7="d7 2"))
        assert job.scenes == {}


def test_the_sum_of_a_file_is_of_its_content(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    first.write_bytes(b"one")
    second.write_bytes(b"one")
    before = content_sum(first)
    assert content_sum(second) == before
    os.utime(first, (1, 1))
    assert content_sum(first) == before
    first.write_bytes(b"two")
    assert content_sum(first) != before


@pytest.mark.parametrize("begun", [False, True])
def test_an_error_before_the_first_chunk_leaves_nothing(tmp_path: Path, begun: bool) -> None:
    def fail() -> None:
        with Job(tmp_path / "out") as job:
            if begun:
                job.begin(REQUEST, inputs())
            raise Stop

    with pytest.raises(Stop):
        fail()
    assert list(tmp_path.iterdir()) == []


def test_an_error_before_it_begins_keeps_what_an_earlier_run_did(tmp_path: Path) -> None:
    stop_after(tmp_path / "out", 3)
    with pytest.raises(InputError), Job(tmp_path / "out"):
        raise InputError("a.png is away")
    with Job(tmp_path / "out") as job:
        job.begin(REQUEST, inputs())
        assert job.drawings == (0, 1, 2)


def test_an_input_that_can_not_be_read_for_a_moment_keeps_what_is_done(tmp_path: Path) -> None:
    with pytest.raises(InputError):
        run_into(InputError("a.png is away"), tmp_path / "out", 1)
    with Job(tmp_path / "out") as job:
        job.begin(REQUEST, inputs())
        assert job.drawings == (0,)


def test_one_run_at_a_time(tmp_path: Path) -> None:
    with Job(tmp_path / "out") as first:
        first.begin(REQUEST, inputs())
        with pytest.raises(OutputError, match="another run is writing"), Job(tmp_path / "out"):
            pass
        first.commit([0], {}, [SURE])
        with Job(tmp_path / "other") as other:
            other.begin(REQUEST, inputs())
            assert other.drawings == ()
    with Job(tmp_path / "out") as again:
        again.begin(REQUEST, inputs())
        assert again.drawings == (0,)


def test_a_killed_run_holds_no_lock(tmp_path: Path) -> None:
    script = (
        "import os, signal; from pathlib import Path; from celpaint.job import Inputs, Job\n"
        f"inputs = {inputs()!r}\n"
        f"job = Job(Path({str(tmp_path / 'out')!r})).__enter__(); job.begin({REQUEST!r}, inputs)\n"
        "job.commit([0, 1], {}, [None, None]); os.kill(os.getpid(), signal.SIGKILL)"
    )
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == -9
    with Job(tmp_path / "out") as job:
        job.begin(REQUEST, inputs())
        assert job.drawings == (0, 1)


def test_work_for_a_folder_that_exists_lies_inside_it(tmp_path: Path) -> None:
    """It may be a drive of its own, or the only place that may be written to."""
    out = tmp_path / "out"
    out.mkdir()
    (tmp_path / "link").symlink_to(out)
    for name in ("out", "link"):
        stop_after(tmp_path / name, 3)
        assert [file.name for file in out.iterdir()] == [".celpaint"]
        assert sorted(file.name for file in tmp_path.iterdir()) == ["link", "out"]
    with Job(out) as job:
        job.begin(REQUEST, inputs())
        assert job.drawings == (0, 1, 2)
        job.finish()
    assert list(out.iterdir()) == []


def test_it_goes_on_where_the_folder_was_made_since(tmp_path: Path) -> None:
    stop_after(tmp_path / "out", 3)
    (tmp_path / "out").mkdir()
    with Job(tmp_path / "out") as job:
        job.begin(REQUEST, inputs())
        assert job.drawings == (0, 1, 2)


@pytest.mark.skipif(sys.platform == "win32", reason="flock is POSIX")
@pytest.mark.parametrize("code", [errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP])
def test_a_drive_without_locks_is_said_and_no_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, code: int
) -> None:
    import fcntl

    def refuse(file: object, how: int) -> None:
        raise OSError(code, "no locks")

    monkeypatch.setattr(fcntl, "flock", refuse)
    with caplog.at_level(logging.INFO), Job(tmp_path / "out") as job:
        job.begin(REQUEST, inputs())
        job.commit([0], {}, [SURE])
        job.finish()
    assert "can't lock files" in caplog.text
    assert list(tmp_path.iterdir()) == []
