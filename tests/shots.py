"""Small shots to color: a ball that rolls over the paper."""

from __future__ import annotations

from pathlib import Path

from PIL import Image, ImageDraw

SIZE = (96, 64)


def draw_line(step: float, size: tuple[int, int] = SIZE) -> Image.Image:
    """A drawing: a ball ``step`` steps on its way, black on white."""
    picture = Image.new("L", size, 255)
    ImageDraw.Draw(picture).ellipse([8 + 3 * step, 12, 38 + 3 * step, 50], outline=0, width=2)
    return picture


def paint_key(step: float = 0, size: tuple[int, int] = SIZE) -> Image.Image:
    """A painting of the same ball."""
    picture = Image.new("RGB", size, (135, 206, 235))
    ImageDraw.Draw(picture).ellipse([8 + 3 * step, 12, 38 + 3 * step, 50], outline=0, width=2, fill=(250, 160, 20))
    return picture


def make_shot(folder: Path, frames: int = 10, *, hold: int = 1) -> tuple[Path, Path]:
    """Line frames ``folder/lines/A_0001.png`` ... and a painted key.

    Args:
        hold: frames that each drawing is held for.

    Returns:
        The lines' folder and the key.
    """
    lines = folder / "lines"
    lines.mkdir(parents=True)
    for i in range(frames):
        draw_line(i // hold % 15).save(lines / f"A_{i + 1:04d}.png")
    key = folder / "key.png"
    paint_key().save(key)
    return lines, key
