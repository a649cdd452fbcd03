"""Stopped runs: what is kept, what is begun anew, what is cleaned up."""

from __future__ import annotations

import errno
import logging
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from celpaint.errors import InputError, OutputError
from celpaint.job import Job

REQUEST = {"frame a.png": "12 bytes", "--seed": "0"}


class Stop(Exception):
    """Something that ends a run early."""


def run_into(error: Exception, out: Path, done: int) -> None:
    """A run that stages and commits ``done`` drawings and ends by ``error``."""
    with Job(out) as job:
        job.begin(REQUEST)
        (job.folder / "staged").write_text("frames")
        new = range(len(job.drawings), done)
        job.commit(new, {"memory": np.arange(done), "count": np.array(done)}, [0.5] * len(new))
        raise error


def stop_after(out: Path, done: int) -> None:
    with pytest.raises(Stop):
        run_into(Stop(), out, done)


def test_a_new_job_starts_at_nothing(tmp_path: Path) -> None:
    with Job(tmp_path / "out") as job:
        job.begin(REQUEST)
        assert (job.drawings, job.state, job.confidence.tolist()) == ((), None, [])
        assert job.folder == tmp_path / ".out.celpaint"
        job.finish()
    assert list(tmp_path.iterdir()) == []


def test_it_goes_on_after_the_last_chunk(tmp_path: Path) -> None:
    stop_after(tmp_path / "out", 3)
    with Job(tmp_path / "out") as job:
        job.begin(REQUEST)
        assert job.drawings == (0, 1, 2)
        assert job.state is not None
        np.testing.assert_array_equal(job.state["memory"], [0, 1, 2])
        assert job.state["count"].shape == ()
        assert (job.folder / "staged").read_text() == "frames"
        job.commit([9, 4], {}, [0.25, float("nan")])
        assert job.drawings == (0, 1, 2, 9, 4)
        np.testing.assert_array_equal(job.confidence, np.float32([0.5, 0.5, 0.5, 0.25, np.nan]))
        assert job.state == {}


def test_another_request_begins_anew_and_says_why(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    stop_after(tmp_path / "out", 3)
    with caplog.at_level(logging.WARNING), Job(tmp_path / "out") as job:
        job.begin({**REQUEST, "--seed": "1"})
        assert (job.drawings, job.state) == ((), None)
        assert not (job.folder / "staged").exists()
    assert "--seed changed since: beginning anew" in caplog.text


def test_a_broken_state_begins_anew(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    stop_after(tmp_path / "out", 3)
    (tmp_path / ".out.celpaint" / "state.safetensors").write_bytes(b"half a fi")
    with caplog.at_level(logging.WARNING), Job(tmp_path / "out") as job:
        job.begin(REQUEST)
        assert job.drawings == ()
    assert "beginning anew" in caplog.text


@pytest.mark.parametrize("begun", [False, True])
def test_an_error_before_the_first_chunk_leaves_nothing(tmp_path: Path, begun: bool) -> None:
    def fail() -> None:
        with Job(tmp_path / "out") as job:
            if begun:
                job.begin(REQUEST)
            raise Stop

    with pytest.raises(Stop):
        fail()
    assert list(tmp_path.iterdir()) == []


def test_an_error_before_it_begins_keeps_what_an_earlier_run_did(tmp_path: Path) -> None:
    stop_after(tmp_path / "out", 3)
    with pytest.raises(InputError), Job(tmp_path / "out"):
        raise InputError("a.png is away")
    with Job(tmp_path / "out") as job:
        job.begin(REQUEST)
        assert job.drawings == (0, 1, 2)


def test_a_fault_of_the_input_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(InputError):
        run_into(InputError("a.png is broken"), tmp_path / "out", 1)
    assert list(tmp_path.iterdir()) == []


def test_one_run_at_a_time(tmp_path: Path) -> None:
    with Job(tmp_path / "out") as first:
        first.begin(REQUEST)
        with pytest.raises(OutputError, match="another run is making"), Job(tmp_path / "out"):
            pass
        first.commit([0], {}, [0.5])
        with Job(tmp_path / "other") as other:
            other.begin(REQUEST)
            assert other.drawings == ()
    with Job(tmp_path / "out") as again:
        again.begin(REQUEST)
        assert again.drawings == (0,)


def test_a_killed_run_holds_no_lock(tmp_path: Path) -> None:
    script = (
        "import os, signal; from pathlib import Path; from celpaint.job import Job\n"
        f"job = Job(Path({str(tmp_path / 'out')!r})).__enter__(); job.begin({REQUEST!r})\n"
        "job.commit([0, 1], {}, [0.5, 0.5]); os.kill(os.getpid(), signal.SIGKILL)"
    )
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == -9
    with Job(tmp_path / "out") as job:
        job.begin(REQUEST)
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
        job.begin(REQUEST)
        assert job.drawings == (0, 1, 2)
        job.finish()
    assert list(out.iterdir()) == []


def test_it_goes_on_where_the_folder_was_made_since(tmp_path: Path) -> None:
    stop_after(tmp_path / "out", 3)
    (tmp_path / "out").mkdir()
    with Job(tmp_path / "out") as job:
        job.begin(REQUEST)
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
        job.begin(REQUEST)
        job.commit([0], {}, [0.5])
        job.finish()
    assert "can't lock files" in caplog.text
    assert list(tmp_path.iterdir()) == []
