"""The drawings by others that act in the film-like benchmark: all of styles that no training sees.

They are packaged (``drawings.safetensors``), so that the benchmark can be made without fetching or rendering anything.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING

import cv2
import numpy as np
import numpy.typing as npt

from celpaint.data.scripted.raster import Paint
from celpaint.data.synthetic.art import COLORS, LINE, Art

if TYPE_CHECKING:
    from numpy import uint8

__all__ = ["CAST", "ENLARGED", "Drawing", "credits", "drawing", "pack"]

CAST: Mapping[str, tuple[str, int]] = {
    "cat_dance": ("dancers/cat", 2),
    "unicorn_turn": ("dancers/unicorn", 5),
    "woman_long": ("dicebear/toon-head", 107),
    "woman_bun": ("dicebear/toon-head", 86),
    "woman_brown": ("dicebear/toon-head", 63),
    "man_red": ("dicebear/toon-head", 34),
    "man_beard": ("dicebear/toon-head", 113),
    "man_tie": ("dicebear/toon-head", 70),
    "curly_blue": ("dicebear/micah", 92),
    "bob_gold": ("dicebear/micah", 116),
    "flowers": ("fxemoji", 117),
    "clock": ("fxemoji", 195),
    "dolphin": ("fxemoji", 267),
    "fox": ("fxemoji", 348),
    "bag": ("fxemoji", 399),
    "horse": ("fxemoji", 432),
    "pumpkin": ("fxemoji", 453),
    "leopard": ("fxemoji", 492),
    "monkey": ("fxemoji", 546),
    "mushroom": ("fxemoji", 564),
    "mail": ("fxemoji", 618),
    "car": ("fxemoji", 609),
    "gift": ("fxemoji", 675),
    "sunflower": ("fxemoji", 828),
    "umbrella": ("fxemoji", 903),
    "radio": ("fxemoji", 666),
}
"""Name in the shots => style, and number among the drawings of that style."""

ENLARGED = 3
"""By how much cels are enlarged, so that close-ups have smooth outlines."""


def credits() -> dict[str, tuple[str, str]]:
    """Style => whose drawings they are and their license."""
    from celpaint.data.art import sources

    found = {}
    for source in sources():
        for style in {style for style, _ in CAST.values()}:
            if style.split("/")[0] == source.style:
                license, author = source.styles.get(style.split("/")[-1], (source.license, source.author))
                found[style] = f"{author}, {source.package} {source.version}", license
    return found


def pack(art: Art) -> Art:
    """The drawings of :data:`CAST`, in its order, out of a whole collection."""
    picked = []
    for style, number in CAST.values():
        picked.append(list(art.split("validation").only(style).drawings())[number])
    return Art.collect(art.size, picked, {style: True for style, _ in CAST.values()})


@cache
def _packaged() -> Art:
    return Art.load(str(resources.files("celpaint.data.scripted") / "drawings.safetensors"))


class Drawing:
    """One drawing of the cast.

    Attributes:
        paints: by region number.
        cels: how many there are.
    """

    def __init__(self, name: str) -> None:
        self._art, self._index = _packaged(), list(CAST).index(name)
        colors = self._art.colors(self._index)
        self.cels = self._art.cels(self._index)
        self.paints = {str(number): _paint(colors[number]) for number in range(1, COLORS)}
        self._made: dict[int, tuple[npt.NDArray[uint8], npt.NDArray[uint8]]] = {}

    def cel(self, number: int) -> tuple[npt.NDArray[uint8], npt.NDArray[uint8]]:
        """Region numbers and lines of a cel, enlarged with smooth borders."""
        number %= self.cels
        if number not in self._made:
            cel = self._art.cel(self._index, number)
            self._made[number] = _enlarge(cel & np.uint8(COLORS - 1)), _enlarge_lines((cel & LINE) > 0)
        return self._made[number]


@cache
def drawing(name: str) -> Drawing:
    """A drawing of the cast by name."""
    return Drawing(name)


def _paint(color: npt.NDArray[np.float32]) -> Paint:
    r, g, b = (float(channel) for channel in color)
    return Paint((r, g, b), (0.72 * r, 0.66 * g, 0.78 * b), (0.24 * r, 0.2 * g, 0.24 * b))


def _enlarge(numbers: npt.NDArray[uint8]) -> npt.NDArray[uint8]:
    """Region numbers at :data:`ENLARGED` times the size; each pixel takes the most frequent region around it."""
    size = numbers.shape[1] * ENLARGED, numbers.shape[0] * ENLARGED
    best = np.zeros(size[::-1], np.uint8)
    most = np.zeros(size[::-1], np.uint8)
    for number in np.unique(numbers):
        soft = cv2.GaussianBlur((numbers == number).astype(np.uint8) * 255, (3, 3), 0)
        wide = cv2.resize(soft, size, interpolation=cv2.INTER_LINEAR_EXACT)
        better = wide > most
        most[better] = wide[better]
        best[better] = number
    return best


def _enlarge_lines(line: npt.NDArray[np.bool_]) -> npt.NDArray[uint8]:
    """Lines one pixel thin at :data:`ENLARGED` times the size, one and a half pixels thick."""
    soft = cv2.GaussianBlur(line.astype(np.uint8) * 255, (3, 3), 0)
    size = line.shape[1] * ENLARGED, line.shape[0] * ENLARGED
    wide = cv2.resize(soft, size, interpolation=cv2.INTER_LINEAR_EXACT)
    return np.asarray(wide > 64, np.uint8)
