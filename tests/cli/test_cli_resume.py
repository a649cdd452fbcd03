"""Killed, interrupted, out of room: the same command goes on, and the result has the same bytes. Memory stays flat."""

from __future__ import annotations

import json
import multiprocessing
import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from shots import draw_line, make_shot, paint_key

FRAMES = 12
PROGRAM = Path(__file__).parents[1] / "copycat.py"

# Runs are real processes, forked from one that has the libraries loaded, so that a run takes no seconds to start.
processes = multiprocessing.get_context("forkserver")
processes.set_forkserver_preload(["torch", "copycat", "celpaint.shot", "celpaint.result", "celpaint.job"])


def run_here(log: Path, tokens: list[str]) -> None:
    """The command in a process of its own, what it says in ``log``."""
    import copycat
    from celpaint.cli.app import run

    copycat.register()
    log.parent.mkdir(exist_ok=True)
    file = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(file, 1)
    os.dup2(file, 2)
    code = run(tokens)
    print(json.dumps({"peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss}), flush=True)
    os._exit(code)


class Run:
    """One run of the command on the shot in ``folder``."""

    def __init__(self, folder: Path, out: Path, *extra: str) -> None:
        shot = [str(folder / "lines"), "-r", str(folder / "key.png"), "-o", str(out)]
        tokens = ["colorize", *shot, "--method", "copycat", "--json", *extra]
        self.log = folder.parent / "logs" / f"{out.name}-{time.monotonic_ns()}"
        self.process = processes.Process(target=run_here, args=(self.log, tokens))
        self.process.start()

    def said(self) -> str:
        return self.log.read_text() if self.log.exists() else ""

    def wait_for(self, text: str) -> None:
        while text not in self.said():
            assert self.process.is_alive(), self.said()
            time.sleep(0.002)

    def kill(self, number: int = signal.SIGKILL) -> int | None:
        assert self.process.pid is not None
        os.kill(self.process.pid, number)
        return self.end()

    def end(self) -> int | None:
        self.process.join(60)
        return self.process.exitcode

    def finish(self) -> list[dict[str, Any]]:
        assert self.end() == 0, self.said()
        return [json.loads(line) for line in self.said().splitlines()]


def pictures(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in sorted(folder.iterdir())}


@pytest.fixture(scope="module")
def shot(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("shot") / "shot"
    make_shot(folder, FRAMES)
    return folder


@pytest.fixture(scope="module")
def whole(shot: Path) -> dict[str, bytes]:
    """The result of a run that nothing disturbed."""
    Run(shot, shot.parent / "whole").finish()
    return pictures(shot.parent / "whole")


@pytest.mark.parametrize("when", ['"frame", "index": 3', '"frame", "index": 6', '"write", "index": 5'])
def test_killed_it_goes_on_and_gives_the_same_bytes(
    shot: Path, whole: dict[str, bytes], tmp_path: Path, when: str
) -> None:
    run = Run(shot, tmp_path / "out", "--pause", "0.02")
    run.wait_for(when)
    assert run.kill() == -signal.SIGKILL
    assert not (tmp_path / "out").exists()
    Run(shot, tmp_path / "out", "--pause", "0.02").finish()
    assert pictures(tmp_path / "out") == whole
    assert [entry.name for entry in tmp_path.iterdir()] == ["out"]


def test_killed_again_and_again(shot: Path, whole: dict[str, bytes], tmp_path: Path) -> None:
    for number in (5, 9):
        run = Run(shot, tmp_path / "out", "--pause", "0.02")
        run.wait_for(f'"frame", "index": {number}')
        run.kill()
    last = Run(shot, tmp_path / "out", "--pause", "0.02").finish()
    colored = [event["index"] for event in last if event.get("event") == "frame"]
    assert colored == [9, 10, 11, 12]
    assert last[-2]["resumed"] == 8
    assert pictures(tmp_path / "out") == whole


def test_two_runs_do_not_meet(shot: Path, tmp_path: Path) -> None:
    first = Run(shot, tmp_path / "out", "--pause", "1")
    first.wait_for('"frame", "index": 1')
    second = Run(shot, tmp_path / "out", "--pause", "1")
    assert second.end() == 2
    assert "another run is writing" in second.said()
    assert first.kill() == -signal.SIGKILL


def test_interrupted_it_says_what_is_kept(shot: Path, whole: dict[str, bytes], tmp_path: Path) -> None:
    """The command itself, as a shell starts it."""
    tokens = ["colorize", shot / "lines", "-r", shot / "key.png", "-o", tmp_path / "out", "--method", "copycat"]
    command = [sys.executable, PROGRAM, *tokens, "--json", "--pause", "0.05"]
    heard = signal.signal(signal.SIGINT, signal.default_int_handler)  # tests in the background are started deaf to it
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    signal.signal(signal.SIGINT, heard)
    assert process.stdout is not None
    for line in process.stdout:
        if '"frame", "index": 6' in line:
            process.send_signal(signal.SIGINT)
            break
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130
    assert said == f"celpaint: stopped after 4 of {FRAMES} frames; run the same command again to resume\n"
    Run(shot, tmp_path / "out", "--pause", "0.05").finish()
    assert pictures(tmp_path / "out") == whole


def test_a_full_disk(shot: Path, whole: dict[str, bytes], tmp_path: Path) -> None:
    """A file system of its own, too small at first."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=60k", "tmpfs", str(disk)]
    if sys.platform != "linux" or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("mounting is not allowed here")
    try:
        run = Run(shot, disk / "out")
        assert run.end() == 2
        assert "the disk has no room" in run.said()
        assert "Traceback" not in run.said()
        assert not (disk / "out").exists()
        subprocess.run(["mount", "-o", "remount,size=4m", str(disk)], check=True)
        assert Run(shot, disk / "out").finish()[-2]["resumed"] > 0
        assert pictures(disk / "out") == whole
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def peak(folder: Path, frames: int) -> float:
    """Megabytes a run takes at most."""
    (folder / "shot" / "lines").mkdir(parents=True)
    for i in range(frames):
        draw_line(i % 60, (320, 192)).save(folder / "shot" / "lines" / f"{i:04d}.png")
    paint_key(size=(320, 192)).save(folder / "shot" / "key.png")
    said = Run(folder / "shot", folder / "out").finish()
    assert len(list((folder / "out").iterdir())) == frames
    return float(said[-1]["peak"]) / (2**20 if sys.platform == "darwin" else 2**10)


def test_memory_does_not_grow_with_the_length(tmp_path: Path) -> None:
    """200 frames kept as floats would take 110 MB more than 50."""
    assert peak(tmp_path / "long", 200) - peak(tmp_path / "short", 50) < 40
