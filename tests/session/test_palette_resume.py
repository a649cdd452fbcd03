"""A palette run of several steps goes on after the last whole step, even if no frame was there yet."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from celpaint.conditions.palette.files import read_palette
from celpaint.render import render
from celpaint.types import DrawingColored, Event, StepDone
from toy_palette import write_toy_weights

PALETTE = read_palette("#102040,#804020,#60a040,#c0a0ff,#fff0c0").colors


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_toy_weights(tmp_path_factory.mktemp("palette"))


@pytest.fixture
def footage(tmp_path: Path) -> Path:
    """Seven gray frames."""
    folder = tmp_path / "gray"
    folder.mkdir()
    y, x = np.mgrid[:32, :48]
    for number in range(7):
        picture = (60 + 2 * x + y + 60 * (np.hypot(y - 16, x - 10 - number) < 8)).astype(np.uint8)
        Image.fromarray(picture).save(folder / f"A_{number + 1:04d}.png")
    return folder


def options(weights: Path) -> dict[str, Any]:
    return {
        "method": "palette",
        "palette": PALETTE,
        "weights": str(weights),
        "device": "cpu",
        "size": (32, 48),
        "lines": "extract",
        "holds": "off",
        "cuts": "off",
        "steps": 3,
    }


def pictures(folder: Path) -> dict[str, bytes]:
    return {path.name: np.asarray(Image.open(path)).tobytes() for path in sorted(folder.iterdir())}


@pytest.mark.parametrize("stop", [StepDone(2, 3), DrawingColored(3, 7)])
def test_a_stopped_run_goes_on_after_the_last_step(weights: Path, footage: Path, tmp_path: Path, stop: Event) -> None:
    def stopping(event: Event) -> None:
        if event == stop:
            raise KeyboardInterrupt

    told: list[Event] = []
    with pytest.raises(KeyboardInterrupt):
        render(footage, tmp_path / "out", progress=stopping, **options(weights))
    render(footage, tmp_path / "out", progress=told.append, **options(weights))
    render(footage, tmp_path / "whole", **options(weights))
    done = 1 if isinstance(stop, StepDone) else 3
    assert [event.index for event in told if isinstance(event, StepDone)] == list(range(done + 1, 4))
    assert pictures(tmp_path / "out") == pictures(tmp_path / "whole")


@pytest.mark.slow
def test_a_killed_run_goes_on_after_the_last_step(weights: Path, footage: Path, tmp_path: Path) -> None:
    program = tmp_path / "run.py"
    program.write_text(
        "import sys, time\n"
        "from celpaint.render import render\n"
        "from celpaint.types import StepDone\n"
        "def tell(event):\n"
        "    if isinstance(event, StepDone) and event.index == 2:\n"
        "        print('two', flush=True)\n"
        "        time.sleep(60)\n"
        f"render({str(footage)!r}, {str(tmp_path / 'out')!r}, progress=tell, **{options(weights)!r})\n"
    )
    process = subprocess.Popen([sys.executable, str(program)], stdout=subprocess.PIPE, env={**os.environ})
    assert process.stdout is not None
    assert process.stdout.readline() == b"two\n"
    time.sleep(0.1)
    process.send_signal(signal.SIGKILL)
    process.wait(30)
    process.stdout.close()
    told: list[Event] = []
    render(footage, tmp_path / "out", progress=told.append, **options(weights))
    render(footage, tmp_path / "whole", **options(weights))
    assert [event.index for event in told if isinstance(event, StepDone)] == [2, 3]
    assert pictures(tmp_path / "out") == pictures(tmp_path / "whole")
