"""Cels on a device: every drawing of a collection, and parts of figures, as maps that a renderer can sample.

A cel is kept as region numbers and the distance to its nearest line. Colors are looked up when a clip is rendered, so
one cel serves any palette.
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from celpaint.data.film import parts
from celpaint.data.synthetic.art import COLORS, LINE, Art
from celpaint.data.synthetic.scenery import paint

if TYPE_CHECKING:
    from numpy import uint8

__all__ = ["FAR", "Bank", "Figures", "Scenery"]

FAR = 0.25
"""Largest distance to a line that is kept, where a cel is 2 wide."""


@dataclass(frozen=True)
class Figures:
    """Builds of jointed figures; every array has one row a build.

    Attributes:
        cels: ``P parts.COUNT`` index in :class:`Bank` of every part's cel, in the order of :data:`parts.ORDER`.
        build: ``P`` measures by name, see :class:`parts.Build`.
    """

    cels: npt.NDArray[np.int64]
    build: dict[str, npt.NDArray[np.float64]]

    def __len__(self) -> int:
        return len(self.cels)


@dataclass(frozen=True)
class Scenery:
    """Painted sets.

    Attributes:
        maps: ``N 4 h w`` uint8: RGB, and 255 minus the distance to the nearest border of regions in quarter pixels.
        half: half the height and half the width of a set, in half frame heights.
    """

    maps: Tensor
    half: tuple[float, float]

    @classmethod
    def make(cls, count: int, height: int, device: torch.device, seed: int = 0) -> Scenery:
        """``count`` sets, about ``height`` pixels to a frame's height."""
        half = (1.4, 2.5)
        size = round(half[0] * height), round(half[1] * height)
        made = np.zeros((count, 4, *size), np.uint8)

        def draw(number: int) -> None:
            image, regions = paint(np.random.default_rng((seed, 31, number)), *size, height)
            clear = np.ones(size, np.uint8)
            clear[:, 1:] &= regions[:, 1:] == regions[:, :-1]
            clear[1:] &= regions[1:] == regions[:-1]
            made[number, :3] = (image * 255).round().transpose(2, 0, 1)
            if not clear.all():
                away = cv2.distanceTransform(clear, cv2.DIST_L2, 3)
                made[number, 3] = 255 - (away * 4).clip(0, 255)

        with ThreadPoolExecutor(os.cpu_count()) as pool:
            list(pool.map(draw, range(count)))
        return cls(torch.from_numpy(made).to(device), half)


@dataclass(frozen=True)
class Bank:
    """Cels of one size, and what they are.

    Attributes:
        region: ``N S S`` uint8 region numbers, 0 = transparent.
        near: ``N S S`` uint8, 255 where a line's center is, 0 at a distance of :data:`FAR` and beyond.
        palette: ``D 64 3`` float32 the drawings' own colors.
        stills: indices of drawings; ``faces``: those that may be the head of a figure. Drawing ``d`` is cel ``d``.
        weight: how often each drawing is shown, sums to 1.
        figures: jointed figures, whose cels follow those of the drawings.
        scenery: painted sets.
    """

    region: Tensor
    near: Tensor
    palette: npt.NDArray[np.float32]
    faces: npt.NDArray[np.int64]
    weight: npt.NDArray[np.float64]
    figures: Figures
    scenery: Scenery

    @property
    def drawings(self) -> int:
        """How many drawings there are."""
        return len(self.palette)

    @classmethod
    def make(
        cls,
        art: Art,
        device: torch.device | str,
        *,
        size: int = 256,
        most: int | None = None,
        figures: int = 400,
        sets: int = 192,
        set_height: int = 256,
        seed: int = 0,
    ) -> Bank:
        """Unpack a collection.

        Args:
            art: drawings to show.
            size: S, at most the size of the art's cels.
            most: take at most so many drawings, chosen evenly; None: all.
            figures: how many builds of figures; sets: how many painted backgrounds.
            set_height: pixels of a set to a frame's height.
        """
        device = torch.device(device)
        chosen = np.arange(len(art))
        if most is not None and most < len(chosen):
            chosen = np.sort(np.random.default_rng(seed).choice(chosen, most, replace=False))
        builds = [parts.Build.random(np.random.default_rng((seed, 17, n))) for n in range(figures)]
        first, drawn = len(chosen), [cel for build in builds for cel in build.cels()]
        region, near = (np.zeros((first + len(drawn), size, size), np.uint8) for _ in "rn")

        def unpack(number: int) -> None:
            d = int(chosen[number]) if number < first else -1
            cel = art.cel(d, art.cels(d) // 2) if number < first else drawn[number - first]
            region[number], near[number] = _maps(cel, size)

        with ThreadPoolExecutor(os.cpu_count()) as pool:
            list(pool.map(unpack, range(len(region))))
        style = art.style[art.chosen][chosen]
        weight = 1 / np.sqrt(np.bincount(style)[style].astype(np.float64))
        filled = (region[:first] > 0).mean((1, 2))
        weight = np.where(filled < 0.1, 0.0, weight)
        faces = np.flatnonzero([art.styles[s].startswith("dicebear/") for s in style])
        numbers = first + np.arange(figures * parts.COUNT).reshape(figures, parts.COUNT)
        return cls(
            region=torch.from_numpy(region).to(device),
            near=torch.from_numpy(near).to(device),
            palette=np.stack([art.colors(int(d)) for d in chosen]),
            faces=faces if len(faces) else np.arange(first),
            weight=weight / weight.sum(),
            figures=Figures(numbers, parts.Build.table(builds)),
            scenery=Scenery.make(sets, set_height, device, seed),
        )


def _maps(cel: npt.NDArray[uint8], size: int) -> tuple[npt.NDArray[uint8], npt.NDArray[uint8]]:
    """Region numbers and nearness of lines of one cel, ``size size`` each."""
    whole = cel.shape[0]
    clear = (cel < LINE).astype(np.uint8)
    while clear.shape[0] >= 2 * size:
        clear = clear[::2] & clear[1::2]
        clear = clear[:, ::2] & clear[:, 1::2]
    away = cv2.distanceTransform(clear, cv2.DIST_L2, 3) * np.float32(2 / clear.shape[0])
    at = ((np.arange(size) + 0.5) * whole / size).astype(int)
    near = cv2.resize((1 - away / FAR).clip(0, 1) * 255, (size, size), interpolation=cv2.INTER_LINEAR)
    return cel[at][:, at] & (COLORS - 1), near.astype(np.uint8)
