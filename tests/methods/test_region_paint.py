"""The color of every region of a painting."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from celpaint.conditions.regions import Labels, label_regions
from celpaint.methods.matcher.region_paint import make_palette, read_paint
from celpaint.types import Array

CELS = np.array(
    [[222, 214, 232], [250, 220, 196], [94, 62, 140], [52, 120, 190], [70, 72, 92], [40, 150, 110]], np.uint8
)
"""Background and five boxes, the last of them small."""

BOXES = ((10, 10, 40, 30), (60, 10, 30, 50), (100, 20, 50, 20), (20, 60, 30, 30), (70, 70, 9, 9))


def cels() -> tuple[npt.NDArray[np.uint8], Labels]:
    """An 8-bit painting with black outlines two pixels wide, and its regions in the order of the colors."""
    painting = np.broadcast_to(CELS[0], (100, 160, 3)).copy()
    labels = np.ones((100, 160), np.int32)
    for number, (x, y, width, height) in enumerate(BOXES, 1):
        painting[y : y + height, x : x + width] = 0
        labels[y : y + height, x : x + width] = 0
        painting[y + 2 : y + height - 2, x + 2 : x + width - 2] = CELS[number]
        labels[y + 2 : y + height - 2, x + 2 : x + width - 2] = number + 1
    return painting, labels


def unit(painting: npt.NDArray[np.uint8]) -> Array:
    return (painting / np.float32(255)).astype(np.float32)


def saved(painting: npt.NDArray[np.uint8], **how: Any) -> npt.NDArray[np.uint8]:
    """The painting after a round trip through a file."""
    file = io.BytesIO()
    Image.fromarray(painting).save(file, **how)
    return np.asarray(Image.open(file).convert("RGB"))


def resampled(painting: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Exported at twice the size and brought back."""
    size = painting.shape[1::-1]
    twice = Image.fromarray(painting).resize((2 * size[0], 2 * size[1]), Image.Resampling.LANCZOS)
    return np.asarray(twice.resize(size, Image.Resampling.BOX))


def dithered(painting: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """To the 216 colors of the web, with error diffusion."""
    return np.asarray(Image.fromarray(painting).convert("P", dither=Image.Dither.FLOYDSTEINBERG).convert("RGB"))


def test_a_clean_painting_gives_its_values_bit_for_bit() -> None:
    painting, labels = cels()
    paint = read_paint(unit(painting), labels)
    assert np.array_equal(paint.color[1:], unit(CELS))
    assert paint.exact[1:].all()
    assert paint.noise == 0


@pytest.mark.parametrize(
    ("written", "off"),
    [
        pytest.param(lambda p: saved(p, format="JPEG", quality=95, subsampling=0), 3, id="JPEG"),
        pytest.param(lambda p: saved(p, format="WEBP", quality=90), 6, id="WebP"),
        pytest.param(resampled, 3, id="resampled"),
        pytest.param(dithered, 12, id="dithered"),
        pytest.param(lambda p: p + np.random.default_rng(1).integers(-1, 2, p.shape), 1, id="noise"),
    ],
)
def test_other_paintings_give_nearly_those(written: Any, off: int) -> None:
    painting, labels = cels()
    paint = read_paint(unit(np.clip(written(painting.astype(np.uint8)), 0, 255)), labels)
    assert np.abs(paint.color[1:] * 255 - CELS).max() <= off
    assert not paint.mixed[1:].any()


def test_most_of_a_region_decides() -> None:
    painting, labels = cels()
    painting[12:20, 12:48] = (255, 255, 255)  # a highlight that no line shows, over a third of the first box
    assert np.array_equal(read_paint(unit(painting), labels).color[2], unit(CELS[1]))
    assert read_paint(unit(painting), labels).leaked > 0.01


def test_gradients_give_their_commonest_color() -> None:
    labels = np.ones((40, 60), np.int32)
    rgb = np.full((40, 60, 3), 0.5, np.float32)
    rgb[:, 30:] = np.linspace(0.5, 1, 30, dtype=np.float32)[:, None]
    rgb += np.random.default_rng(0).normal(0, 0.004, rgb.shape).astype(np.float32)
    assert read_paint(rgb, labels).color[1] == pytest.approx(0.5, abs=0.02)


def test_regions_of_one_paint_share_its_color() -> None:
    painting, labels = cels()
    painting[labels == 5] = CELS[1]
    noise = np.random.default_rng(2).integers(-2, 3, painting.shape)
    palette, (number,) = make_palette([read_paint(unit(np.clip(painting + noise, 0, 255).astype(np.uint8)), labels)])
    assert number[5] == number[2]
    assert len(palette) == 5


def test_slivers_take_a_color_that_the_painting_has() -> None:
    painting, _ = cels()
    line = np.zeros((100, 160), np.float32)
    line[painting.max(2) == 0] = 1
    painting[:, 55] = 40  # ink mixed with paint, one pixel wide between two lines
    line[:, [54, 56]] = 1
    line[50, 55] = 0
    rgb = unit(painting)
    rgb[:, 55] += np.random.default_rng(0).random(100).astype(np.float32)[:, None] / 50
    palette, _ = make_palette([read_paint(rgb, label_regions(line, gap=0))])
    assert {tuple(c) for c in palette.tolist()} == {tuple(c) for c in unit(CELS).tolist()}


def test_a_painting_of_ink_alone_has_a_color_all_the_same() -> None:
    palette, (number,) = make_palette([read_paint(np.full((8, 9, 3), 0.25, np.float32), np.zeros((8, 9), np.int32))])
    assert len(palette) == 1
    assert number.tolist() == [0]
