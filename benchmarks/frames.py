"""Both ends: CPU time to write and to read a frame, size, color error and memory, for every kind of file.

python benchmarks/frames.py [--height 1080] [--frames 24]

Time is CPU time of all threads, as many as codecs like. Flat is the largest error of a color channel inside flat
fills, at least 8 pixels away from any edge, in levels of 255; PSNR is over whole frames, lines and edges included.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import cv2
import numpy as np

from celpaint.frames.read import open_clip
from celpaint.frames.write import open_sink
from celpaint.types import Frame, PixelFormat

KINDS = {
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
PICTURES = {"o": "png", "t": "tif", "a": "tga"}


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
    return Frame(image.astype(np.float32) / 255)


def inside_fills(rgb: np.ndarray) -> np.ndarray:
    """True where all colors within 8 pixels are one."""
    square = np.ones((17, 17), np.uint8)
    return np.asarray((cv2.dilate(rgb, square) == cv2.erode(rgb, square)).all(axis=-1))


def resident() -> int:
    """Memory held now, in MiB."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 // 2**20


def measure(out: Path, picture: str | None, bits: int, height: int, count: int) -> str:
    frames = [cel(i, height) for i in range(count)]
    form = PixelFormat(16 if bits == 16 else 8)
    before = time.process_time()
    sink = open_sink(out, size=frames[0].size, format=form, picture=picture)
    for index, frame in enumerate(frames):
        sink.write(frame, index)
    sink.commit()
    written = time.process_time()
    clip = open_clip(out)
    back = [frame.rgb for frame in clip]
    read = time.process_time()
    size = sum(f.stat().st_size for f in out.iterdir()) if out.is_dir() else out.stat().st_size
    squares, flat = [], 0.0
    for frame, rgb in zip(frames, back, strict=True):
        error = np.abs(rgb[: frame.size[0], : frame.size[1]] - frame.rgb)
        squares.append(float(np.mean(error**2)))
        flat = max(flat, float(error[inside_fills(frame.rgb)].max()) * 255)
    psnr = f"{-10 * np.log10(np.mean(squares)):.1f}" if max(squares) > 1e-13 else "exact"
    times = f"{(written - before) / count * 1000:5.0f} | {(read - written) / count * 1000:5.0f}"
    return f"{times} | {size / count / 1000:6.0f} | {flat:4.1f} | {psnr:>5}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--height", type=int, default=1080)
    parser.add_argument("--frames", type=int, default=24)
    arguments = parser.parse_args()
    print("| kind | write ms | read ms | kB a frame | flat | PSNR dB |\n|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        for name, (out, bits) in KINDS.items():
            target = Path(folder) / (name if out in PICTURES else f"o{bits}{out}")
            row = measure(target, PICTURES.get(out), bits, arguments.height, arguments.frames)
            print(f"| {name} | {row} |", flush=True)


if __name__ == "__main__":
    main()
