"""Memory does not grow with the length of a clip: measured in a process of its own."""

import subprocess
import sys
from fractions import Fraction

import pytest
from frame_files import make_video

READ = """
import resource, sys
from celpaint.frames.read import open_clip
clip = open_clip(sys.argv[1])
def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
for index in range(40):
    clip[index]
early = peak()
for frame in clip:
    pass
clip[3], clip[len(clip) - 1]
print(len(clip), peak() - early)
"""

WRITE = """
import resource, sys
import numpy as np
from celpaint.frames.write import open_sink
from celpaint.types import Frame
def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
picture = np.zeros((288, 384, 3), np.float32)
sink = open_sink(sys.argv[1], size=(288, 384))
for index in range(100):
    picture[:, index : index + 40] = index / 300
    sink.write(Frame(picture), index)
    if index == 40:
        early = peak()
late = peak()
sink.commit()
print(100, late - early)
"""


def run(code, path):
    done = subprocess.run([sys.executable, "-c", code, path], capture_output=True, text=True, check=True, timeout=120)
    return map(int, done.stdout.split())


FRAME = 288 * 384 * 3 * 4 // 1024  # one frame as floats, in KiB


@pytest.mark.parametrize("suffix", ["mp4", "mkv"])
def test_reading_300_frames(tmp_path, suffix):
    codec, pixels = {"mp4": ("libx264", "yuv420p"), "mkv": ("ffv1", "bgr0")}[suffix]
    make_video(tmp_path / f"a.{suffix}", 300, codec=codec, pixels=pixels, rate=Fraction(24), size=(288, 384))
    count, grown = run(READ, tmp_path / f"a.{suffix}")
    assert count == 300
    assert grown < 20 * FRAME, f"{grown} KiB more after 300 frames than after 40"


@pytest.mark.parametrize("out", ["o.mp4", "o.gif", "o"])
def test_writing_100_frames(tmp_path, out):
    _, grown = run(WRITE, tmp_path / out)
    assert grown < 12 * FRAME, f"{grown} KiB more after 100 frames than after 40"
