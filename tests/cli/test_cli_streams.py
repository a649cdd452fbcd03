"""Whoever reads what is printed, or nobody: the result is made and the exit code is true."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from shots import make_shot

PROGRAM = Path(__file__).parents[1] / "copycat.py"
pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="needs a POSIX shell")


def shell(folder: Path, after: str, *extra: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """``celpaint colorize`` on the shot in ``folder`` in bash, followed by ``after``."""
    tokens = [sys.executable, str(PROGRAM), "colorize", "lines", "-r", "key.png", "-o", "out", "--method", "copycat"]
    return subprocess.run(
        ["bash", "-c", f"{shlex.join([*tokens, *extra])} {after}"],
        cwd=folder,
        capture_output=True,
        text=True,
        env={**os.environ, **environment},
        timeout=120,
        check=False,
    )


@pytest.mark.parametrize(
    ("after", "extra"),
    [
        ("| head -n 1; exit ${PIPESTATUS[0]}", ("--json",)),
        ("2>&1 >/dev/null | head -n 1; exit ${PIPESTATUS[0]}", ()),
        ("2>&-", ()),
        (">&-", ()),
        ("<&- >&- 2>&-", ()),
        ("2>&-", ("--json",)),
        ("> /dev/full", ("--json",)),
        ("> /dev/full 2>&1", ()),
    ],
)
def test_the_result_is_made_whoever_reads(tmp_path: Path, after: str, extra: tuple[str, ...]) -> None:
    if "/dev/full" in after and not Path("/dev/full").exists():
        pytest.skip("no /dev/full here")
    make_shot(tmp_path)
    done = shell(tmp_path, after, *extra)
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    assert len(list((tmp_path / "out").iterdir())) == 10


@pytest.mark.parametrize("after", ["2>&-", ">&- 2>&-", "> /dev/full 2>&1"])
def test_a_failure_is_one_whoever_reads(tmp_path: Path, after: str) -> None:
    make_shot(tmp_path)
    (tmp_path / "key.png").unlink()
    assert shell(tmp_path, after).returncode == 2


@pytest.mark.parametrize("encoding", ["cp1252", "ascii"])
def test_names_that_the_console_lacks_letters_for(tmp_path: Path, encoding: str) -> None:
    folder = tmp_path / "\u7dda\u753b"
    make_shot(folder)
    done = shell(folder, "", "--confidence-maps", "\u5730\u56f3", PYTHONIOENCODING=encoding)
    assert done.returncode == 0, done.stderr
    assert "confidence maps: \\u5730\\u56f3" in done.stdout
    assert len(list((folder / "out").iterdir())) == 10


def test_a_command_that_only_prints_fails_where_it_can_not() -> None:
    if not Path("/dev/full").exists():
        pytest.skip("no /dev/full here")
    command = f"{shlex.quote(sys.executable)} -m celpaint doctor > /dev/full"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 1
    assert "standard output can't be written: [Errno 28]" in done.stderr
