"""Small cel films to measure."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image

Picture = npt.NDArray[np.float32]


def write_film(folder: Path, frames: npt.NDArray[np.floating]) -> Path:
    """``T H W 3`` in [0, 1] -> numbered PNG files."""
    folder.mkdir(parents=True, exist_ok=True)
    for i, frame in enumerate(frames):
        Image.fromarray(np.rint(frame * 255).astype(np.uint8)).save(folder / f"A_{i:04d}.png")
    return folder


def draw_film(count: int, height: int = 64, width: int = 96) -> tuple[Picture, Picture]:
    """A cel film of a disc and a box that move every second frame: colors ``T H W 3`` and line drawings alike."""
    colors, drawings = [], []
    for t in range(count):
        step = t // 2
        color = np.full((height, width, 3), (0.9, 0.8, 0.6), np.float32)
        drawing = np.ones((height, width, 3), np.float32)
        disc, box = ((20 + 2 * step, 24), 12), ((60 - step, 30), (84 - step, 54))
        for picture, filled in ((color, True), (drawing, False)):
            cv2.circle(picture, *disc, (0.2, 0.4, 0.8) if filled else (1, 1, 1), -1)
            cv2.rectangle(picture, *box, (0.8, 0.2, 0.2) if filled else (1, 1, 1), -1)
            cv2.circle(picture, *disc, (0, 0, 0), 2)
            cv2.rectangle(picture, *box, (0, 0, 0), 2)
        colors.append(color)
        drawings.append(drawing)
    return np.stack(colors), np.stack(drawings)
