"""The command line is there at once."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

import celpaint

HEAVY = ("torch", "cv2", "av", "PIL", "scipy", "diffusers", "transformers", "skimage")


def seconds(*arguments: str) -> float:
    """The least processor time of three runs: what the command costs when nothing else runs."""
    costs = []
    for _ in range(3):
        before = os.times()
        subprocess.run([sys.executable, "-m", "celpaint", *arguments], check=True, capture_output=True)
        after = os.times()
        costs.append(after.children_user + after.children_system - before.children_user - before.children_system)
    return min(costs)


@pytest.mark.parametrize("arguments", [("--help",), ("colorize", "--help"), ("--version",)])
def test_help_takes_less_than_half_a_second(arguments: tuple[str, ...]) -> None:
    assert seconds(*arguments) < 0.5


@pytest.mark.parametrize("command", ["import celpaint", "import celpaint.cli.app", "import celpaint.cli.colorize"])
def test_importing_stays_light(command: str) -> None:
    script = f"{command}; import sys; print(*(name for name in {HEAVY!r} if name in sys.modules))"
    loaded = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True).stdout
    assert loaded.strip() == ""


def test_version() -> None:
    shown = subprocess.run([sys.executable, "-m", "celpaint", "--version"], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == celpaint.__version__
