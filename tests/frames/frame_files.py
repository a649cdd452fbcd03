"""Pictures and files made for the tests of both ends."""

from __future__ import annotations

import struct
import zlib
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np

from celpaint.types import Frame


def noise(height: int, width: int, channels: int, dtype: type, seed: int = 0) -> np.ndarray:
    """Every value of the type may occur, black and white do."""
    pixels = np.random.default_rng(seed).integers(0, np.iinfo(dtype).max + 1, (height, width, channels)).astype(dtype)
    pixels[0, 0], pixels[-1, -1] = 0, np.iinfo(dtype).max
    return pixels


def frame_of(pixels: np.ndarray) -> Frame:
    """The frame that these integers are."""
    floats = (pixels / np.iinfo(pixels.dtype).max).astype(np.float32)
    rgb = np.repeat(floats[..., :1], 3, axis=-1) if pixels.shape[-1] < 3 else floats[..., :3]
    return Frame(rgb, floats[..., -1] if pixels.shape[-1] in (2, 4) else None)


def cel(index: int, height: int = 72, width: int = 96) -> Frame:
    """A flat-colored disc with an inked outline, moving with ``index`` over a wall. Five colors, no soft edges."""
    image = np.full((height, width, 3), (214, 206, 170), np.uint8)
    image[height * 2 // 3 :] = (96, 132, 74)
    at = (20 + 3 * index % width, height // 2)
    cv2.circle(image, at, 14, (236, 188, 160), -1, cv2.LINE_8)
    cv2.circle(image, at, 14, (20, 16, 24), 2, cv2.LINE_8)
    cv2.rectangle(image, (60, 10), (80, 30), (200, 40, 48), -1)
    return frame_of(image)


def png_chunks(*chunks: tuple[bytes, bytes]) -> bytes:
    """A PNG of raw chunks."""
    body = b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    )
    return b"\x89PNG\r\n\x1a\n" + body


def raw_png(pixels: np.ndarray, *, extra: tuple[tuple[bytes, bytes], ...] = ()) -> bytes:
    """A PNG of 8 or 16 bits of any number of channels, with further chunks before its pixels."""
    height, width, channels = pixels.shape
    color_type = {1: 0, 2: 4, 3: 2, 4: 6}[channels]
    depth = 8 * pixels.itemsize
    rows = pixels.astype(pixels.dtype.newbyteorder(">")).reshape(height, -1).view(np.uint8)
    data = zlib.compress(np.hstack([np.zeros((height, 1), np.uint8), rows]).tobytes())
    header = struct.pack(">IIBBBBB", width, height, depth, color_type, 0, 0, 0)
    return png_chunks((b"IHDR", header), *extra, (b"IDAT", data), (b"IEND", b""))


def make_video(
    path: Path,
    count: int,
    *,
    codec: str = "libx264",
    pixels: str = "yuv420p",
    rate: Fraction = Fraction(24),
    ticks: list[int] | None = None,
    options: dict[str, str] | None = None,
    size: tuple[int, int] = (72, 96),
) -> None:
    """A video of :func:`cel` frames by PyAV alone; ``ticks`` are times in milliseconds."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=rate, options=options or {})
        stream.height, stream.width = size
        stream.pix_fmt = pixels
        base = Fraction(1, 1000) if ticks else 1 / rate
        stream.codec_context.time_base = base
        for index in range(count):
            image = np.rint(cel(index, *size).rgb * 255).astype(np.uint8)
            frame = av.VideoFrame.from_ndarray(image, format="rgb24").reformat(format=pixels)
            frame.pts, frame.time_base = ticks[index] if ticks else index, base
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
