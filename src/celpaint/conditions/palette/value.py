"""A palette: a few colors that a shot is to be painted in."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from celpaint.errors import InputError
from celpaint.frames.oklab import oklab_to_srgb, srgb_to_oklab
from celpaint.types import Array

__all__ = ["MAX_COLORS", "PAPER_COLORS", "RGB", "Palette", "hex_color", "luma_order", "similar_groups"]

RGB: TypeAlias = tuple[float, float, float]
"""One sRGB color, each channel in [0, 1]."""

MAX_COLORS = 32
"""Most colors in a palette."""

PAPER_COLORS = 5
"""Colors in a palette of Wang et al. 2025, section III-B."""


@dataclass(frozen=True)
class Palette:
    """1 to 32 colors.

    Attributes:
        colors: sRGB in [0, 1].
        names: one for each color, empty where it has none; or none at all.

    Raises:
        InputError: no color, more than 32, a value outside [0, 1], or too few or too many names.
    """

    colors: tuple[RGB, ...]
    names: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not 1 <= len(self.colors) <= MAX_COLORS:
            raise InputError(
                f"the palette has {len(self.colors)} colors",
                wanted=f"1 to {MAX_COLORS}",
                todo="Add a color." if not self.colors else "Keep those that matter most.",
            )
        if self.names and len(self.names) != len(self.colors):
            raise InputError(
                f"the palette has {len(self.colors)} colors and {len(self.names)} names",
                wanted="one name for each color, or none",
            )
        for color in self.colors:
            if len(color) != 3 or not all(0 <= value <= 1 for value in color):  # NaN fails the comparison
                raise InputError(f"the palette has the color {color}", wanted="red, green and blue from 0 to 1")

    @classmethod
    def from_array(cls, rgb: Array, names: tuple[str, ...] = ()) -> Palette:
        """From ``N 3`` sRGB in [0, 1].

        Raises:
            InputError: as for the class.
        """
        return cls(tuple((float(r), float(g), float(b)) for r, g, b in rgb), names)

    def __len__(self) -> int:
        return len(self.colors)

    def __str__(self) -> str:
        """As one writes it on the command line: ``#1d3557,#e63946``."""
        return ",".join(hex_color(color) for color in self.colors)

    @property
    def rgb(self) -> Array:
        """``N 3`` float32 in [0, 1]."""
        return np.array(self.colors, np.float32)

    @property
    def named(self) -> tuple[tuple[RGB, str], ...]:
        """Every color with its name, empty where it has none."""
        return tuple(zip(self.colors, self.names or ("",) * len(self), strict=True))

    def distinct(self) -> Palette:
        """Without colors that are equal to an earlier one at 8 bits."""
        first: dict[str, int] = {}
        for i, color in enumerate(self.colors):
            first.setdefault(hex_color(color), i)
        return self._pick(first.values())

    def by_luma(self) -> Palette:
        """From dark to light, the order in which networks are given colors."""
        return self._pick(luma_order(self.rgb))

    def reduced(self, size: int) -> Palette:
        """At most ``size`` colors: the most similar ones are merged (Ward's method) into their mean, both in OKLab.

        Colors that are not merged keep their exact values and names. No color is more important than another.
        """
        if size < 1:
            raise ValueError(f"a palette of {size} colors, wanted 1 or more")
        if len(self) <= size:
            return self
        lab = srgb_to_oklab(self.rgb)
        group = similar_groups(lab, size)
        colors, names = [], []
        for label in dict.fromkeys(group.tolist()):
            members = np.flatnonzero(group == label)
            alone = len(members) == 1
            mean = oklab_to_srgb(lab[members].mean(0))
            colors.append(self.colors[members[0]] if alone else (float(mean[0]), float(mean[1]), float(mean[2])))
            names.append(self.named[members[0]][1] if alone else "")
        return Palette(tuple(colors), tuple(names) if self.names else ())

    def vector(self, size: int = PAPER_COLORS) -> Array:
        """What a color network is given: ``3 size`` float32 in [-1, 1], colors from dark to light.

        Wang et al. 2025, section III-B, has five colors and says nothing about their order, to which a linear layer is
        sensitive. Equal colors count once. Of fewer colors than ``size`` the lightest is repeated; more are
        :meth:`reduced` to as many.
        """
        rgb = self.distinct().reduced(size).by_luma().rgb
        padded = np.concatenate([rgb, np.repeat(rgb[-1:], size - len(rgb), axis=0)])
        vector: Array = (padded * 2 - 1).reshape(-1)
        return vector

    def _pick(self, indices: Iterable[int]) -> Palette:
        chosen = list(indices)
        return Palette(
            tuple(self.colors[i] for i in chosen), tuple(self.names[i] for i in chosen) if self.names else ()
        )


def hex_color(color: RGB) -> str:
    """``#rrggbb``, rounded to 8 bits a channel."""
    return "#" + "".join(f"{round(value * 255):02x}" for value in color)


def luma_order(rgb: Array) -> list[int]:
    """Indices of ``N 3`` colors from dark to light by BT.601 luma; equally light ones by red, green, blue."""
    luma = rgb @ np.array([0.299, 0.587, 0.114], np.float32)
    return [int(i) for i in np.lexsort((rgb[:, 2], rgb[:, 1], rgb[:, 0], luma))]


def similar_groups(points: Array, count: int) -> npt.NDArray[np.int64]:
    """Sort ``N 3`` points into ``count`` groups, at most N, by Ward's method -> ``N`` group numbers from 0."""
    if len(points) <= count:
        return np.arange(len(points))
    from scipy.cluster.hierarchy import cut_tree, ward
    from scipy.spatial.distance import pdist

    group: npt.NDArray[np.int64] = cut_tree(ward(pdist(points)), n_clusters=count)[:, 0]
    return group
