"""The packaged matcher asks for the painting that shows what no painting shows."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

import celpaint
from celpaint.errors import WeightsError
from celpaint.frames.read import open_clip
from celpaint.weights.registry import find_weights

SIZE = (320, 192)
ENTERS = 5
"""The first drawing with an umbrella, counted from 1."""


def picture(step: int, *, painted: bool) -> Image.Image:
    """A figure at the right on blank paper; later an umbrella opens at the upper left."""
    image = Image.new("RGB", SIZE, "white")
    draw = ImageDraw.Draw(image)

    def color(*rgb: int) -> tuple[int, ...]:
        return rgb if painted else (255, 255, 255)

    x = 200 + 2 * step
    draw.polygon(
        [(x, 80), (x + 40, 80), (x + 50, 170), (x - 10, 170)], fill=color(60, 90, 190), outline="black", width=2
    )
    draw.ellipse([x, 30, x + 40, 80], fill=color(246, 206, 170), outline="black", width=2)
    if step + 1 >= ENTERS:
        draw.pieslice([24, 20, 124, 120], 180, 360, fill=color(200, 30, 60), outline="black", width=2)
        draw.line([74, 70, 74, 110], fill="black", width=3)
    return image


@pytest.mark.slow
def test_an_umbrella_that_no_painting_shows_is_asked_for_and_painting_it_helps(tmp_path: Path) -> None:
    try:
        find_weights("matcher", "small")
    except WeightsError:
        pytest.skip("the package has no weights yet")
    (tmp_path / "lines").mkdir()
    for step in range(8):
        picture(step, painted=False).save(tmp_path / "lines" / f"A_{step + 1:04d}.png")
    picture(0, painted=True).save(tmp_path / "key.png")
    first = celpaint.render(
        tmp_path / "lines", tmp_path / "one", reference=tmp_path / "key.png", method="matcher", device="cpu"
    )
    number = int(Path(first.paint_next[0]).stem[2:])
    assert number >= ENTERS
    assert first.unsure[0].startswith(("upper left", "left"))
    assert first.confidence is not None
    assert first.confidence < 0.95

    picture(number - 1, painted=True).save(tmp_path / "next.png")
    asked = [tmp_path / "key.png", (tmp_path / "next.png", number)]
    second = celpaint.render(tmp_path / "lines", tmp_path / "two", reference=asked, method="matcher", device="cpu")
    truth = [np.asarray(picture(step, painted=True), np.float32) / 255 for step in range(8)]
    error = {
        name: np.mean(
            [np.square(frame.rgb - true).mean() for frame, true in zip(open_clip(tmp_path / name), truth, strict=True)]
        )
        for name in ("one", "two")
    }
    assert error["two"] < error["one"] / 4
    assert second.confidence is not None
    assert second.confidence > first.confidence
    assert not {f"A_{n:04d}.png" for n in range(1, 9)} & set(second.paint_next)
