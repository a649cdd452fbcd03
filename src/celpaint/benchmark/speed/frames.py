"""Reading and writing: CPU time per frame, file size and color error, for every kind of file."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
import numpy.typing as npt

from celpaint.benchmark.tables import markdown_table
from celpaint.frames.color import to_float
from celpaint.frames.read import open_clip
from celpaint.frames.write import open_sink
from celpaint.metrics.frame import psnr, squared_error
from celpaint.types import Array, Frame, PixelFormat

KINDS: dict[str, tuple[str, Literal[8, 16]]] = {
    "PNG 8": ("o", 8),
    "PNG 16": ("o", 16),
    "TIFF 8": ("t", 8),
    "TIFF 16": ("t", 16),
    "TGA": ("a", 8),
    ".mp4": (".mp4", 8),
    ".webm": (".webm", 8),
    ".mov": (".mov", 8),
    ".mkv 8": (".mkv", 8),
    ".mkv 16": (".mkv", 16),
    ".gif": (".gif", 8),
    ".webp": (".webp", 8),
    ".apng": (".apng", 8),
}
PICTURES: dict[str, Literal["png", "tif", "tga"]] = {"o": "png", "t": "tif", "a": "tga"}


def cel(index: int, height: int) -> Frame:
    """A sky, a ground and twenty inked, shaded discs, a third of them moving."""
    width, scale = round(height * 16 / 9), height / 360
    rng = np.random.default_rng(3)
    image = np.full((height, width, 3), (140, 190, 230), np.uint8)
    image[round(height * 0.72) :] = (120, 160, 90)
    for k in range(20):
        x, y = int(rng.integers(width) + index * 4 * scale * (k % 3 == 0)) % width, int(rng.integers(height))
        radius = int(rng.integers(15, 55) * scale)
        color = [int(v) for v in rng.integers(40, 256, 3)]
        cv2.circle(image, (x, y), radius, color, -1, cv2.LINE_AA)
        shade = [round(0.8 * v) for v in color]
        cv2.circle(image, (x + radius // 4, y + radius // 4), radius // 2, shade, -1, cv2.LINE_AA)
        cv2.circle(image, (x, y), radius, (25, 20, 30), max(round(1.5 * scale), 1), cv2.LINE_AA)
    return Frame(to_float(image))


def inside_fills(rgb: Array) -> npt.NDArray[np.bool_]:
    """``H W``, true where all colors within 8 pixels are the same."""
    square = np.ones((17, 17), np.uint8)
    return np.asarray((cv2.dilate(rgb, square) == cv2.erode(rgb, square)).all(axis=-1))


def measure(
    out: Path, picture: Literal["png", "tif", "tga"] | None, bits: Literal[8, 16], height: int, count: int
) -> list[str]:
    """Milliseconds to write and to read a frame, kB a frame, error in flat fills, PSNR in dB."""
    frames = [cel(i, height) for i in range(count)]
    before = time.process_time()
    sink = open_sink(out, size=frames[0].size, format=PixelFormat(bits), picture=picture)
    for index, frame in enumerate(frames):
        sink.write(frame, index)
    sink.commit()
    written = time.process_time()
    back = [frame.rgb for frame in open_clip(out)]
    read = time.process_time()
    size = sum(f.stat().st_size for f in out.iterdir()) if out.is_dir() else out.stat().st_size
    cropped = [rgb[: frame.size[0], : frame.size[1]] for frame, rgb in zip(frames, back, strict=True)]
    errors = [squared_error(rgb, frame.rgb) for frame, rgb in zip(frames, cropped, strict=True)]
    flat = max(
        float(np.abs(rgb - frame.rgb)[inside_fills(frame.rgb)].max())
        for frame, rgb in zip(frames, cropped, strict=True)
    )
    return [
        f"{(written - before) / count * 1000:.0f}",
        f"{(read - written) / count * 1000:.0f}",
        f"{size / count / 1000:.0f}",
        f"{flat * 255:.1f}",
        f"{psnr(float(np.mean(errors))):.1f}" if max(errors) > 1e-13 else "exact",
    ]


def frames_speed(height: int = 1080, frames: int = 24) -> str:
    """CPU time of all threads, as many as the codecs like, and what comes back.

    *Flat* is the largest error of a color channel inside flat fills, at least 8 pixels from any edge, in levels of 255;
    PSNR is over whole frames, lines and edges included.

    Args:
        height: of a frame at 16:9, in pixels.
        frames: of every file.
    """
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for name, (out, bits) in KINDS.items():
            target = Path(folder) / (name if out in PICTURES else f"o{bits}{out}")
            rows.append([name, *measure(target, PICTURES.get(out), bits, height, frames)])
    return markdown_table(["kind", "write ms", "read ms", "kB a frame", "flat", "PSNR dB"], rows) + "\n"
