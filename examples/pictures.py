"""The README's pictures, from what ``make demo`` has written: ``make pictures``."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from celpaint.frames.read import open_clip
from celpaint.types import Frame

ROOT = Path(__file__).parents[1]
WIDTH = 400


def main(demo: Path, out: Path) -> None:
    out.mkdir(parents=True, exist_ok=True)
    lines, result = open_clip(ROOT / "examples" / "dancer" / "lines"), open_clip(demo / "matcher")
    pairs = [side_by_side(a, b) for a, b in zip(lines, result, strict=True)]
    pairs[0].save(
        out / "demo.webp", save_all=True, append_images=pairs[1:], duration=1000 // 12, loop=0, quality=82, method=6
    )
    Image.open(demo / "dancer.png").convert("RGB").quantize(256).save(out / "demo.png", optimize=True)


def side_by_side(a: Frame, b: Frame) -> Image.Image:
    pictures = [Image.fromarray((frame.rgb * 255).round().astype(np.uint8)) for frame in (a, b)]
    height = round(WIDTH * a.size[0] / a.size[1])
    both = Image.new("RGB", (2 * WIDTH + 4, height), "white")
    for i, picture in enumerate(pictures):
        both.paste(picture.resize((WIDTH, height), Image.Resampling.LANCZOS), (i * (WIDTH + 4), 0))
    return both


if __name__ == "__main__":
    main(ROOT / "out" / "demo", ROOT / "docs" / "images")
