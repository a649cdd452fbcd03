"""Drawings as flat regions and lines: what the synthesizer animates.

A drawing is one or more *cels*, each a square map of region numbers. Colors are not in the cels: a palette gives
every region number of a drawing its color, so a clip repaints a drawing by looking up another palette. Cels are kept
deflated, about 3 kB each, and are inflated when a clip needs them.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from celpaint.atomic_write import replacing
from celpaint.errors import InputError

if TYPE_CHECKING:
    from numpy import float32, int64, uint8

__all__ = ["COLORS", "LINE", "Art", "Drawing", "Split", "deflate", "flat_lines", "toy_art", "with_lines"]

COLORS = 64
"""Region numbers a drawing may use; 0 is transparent."""

LINE = 0x80
"""Bit of a cel's byte that is set on the center of a drawn line; the other bits are the region number."""

Split = Literal["train", "validation"]

Drawing = tuple[str, npt.NDArray[np.uint8], Sequence[bytes], bool]
"""Style, palette ``64 3``, deflated cels, and whether they move."""

_SPLITS: tuple[Split, ...] = ("train", "validation")


@dataclass(frozen=True)
class Art:
    """A collection of drawings.

    Attributes:
        size: width and height of every cel.
        data: all cels, deflated, one after the other.
        offsets: ``cels + 1``, where in ``data`` each begins.
        first: ``drawings + 1``, the number of each drawing's first cel.
        palette: ``drawings 64 3`` RGB, the drawing's own colors.
        style: per drawing, index in ``styles``.
        styles: names of the styles the drawings come from.
        held: per style, whether it is held out for validation.
        moves: per drawing, whether its cels are drawn motion, in order; else they are looks of one figure at rest.
        chosen: the drawings this collection shows, indices in the arrays above.
    """

    size: int
    data: npt.NDArray[uint8]
    offsets: npt.NDArray[int64]
    first: npt.NDArray[int64]
    palette: npt.NDArray[uint8]
    style: npt.NDArray[int64]
    styles: tuple[str, ...]
    held: tuple[bool, ...]
    moves: npt.NDArray[uint8]
    chosen: npt.NDArray[int64]

    def __len__(self) -> int:
        return len(self.chosen)

    @classmethod
    def load(cls, path: str | Path) -> Art:
        """Open a file made by ``celpaint data art``; cels stay on disk until they are used.

        Raises:
            InputError: no such file, or no art in it.
        """
        from safetensors import SafetensorError, safe_open

        try:
            with safe_open(path, "np") as file:
                meta: dict[str, str] = file.metadata() or {}
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            return cls(
                size=int(meta["size"]),
                data=tensors["data"],
                offsets=tensors["offsets"],
                first=tensors["first"],
                palette=tensors["palette"],
                style=tensors["style"],
                styles=tuple(meta["styles"].split("\n")),
                held=tuple(flag == "1" for flag in meta["held"]),
                moves=tensors["moves"],
                chosen=np.arange(len(tensors["first"]) - 1),
            )
        except FileNotFoundError:
            raise InputError(f"there is no file '{path}'", todo="Make it with: celpaint data art --out FILE") from None
        except (OSError, SafetensorError, KeyError, ValueError) as error:
            raise InputError(
                f"'{path}' is not a file of drawings ({error})",
                wanted="one made by celpaint data art",
                todo="Make it with: celpaint data art --out FILE",
            ) from None

    def save(self, path: Path) -> None:
        """Write all drawings to ``path``, aside first, then renamed."""
        from safetensors.numpy import save_file

        path.parent.mkdir(parents=True, exist_ok=True)
        arrays: dict[str, npt.NDArray[Any]] = {
            "data": self.data,
            "offsets": self.offsets,
            "first": self.first,
            "palette": self.palette,
            "style": self.style,
            "moves": self.moves,
        }
        meta = {
            "size": str(self.size),
            "styles": "\n".join(self.styles),
            "held": "".join("1" if held else "0" for held in self.held),
        }
        with replacing(path) as part:
            save_file(arrays, part, metadata=meta)

    def split(self, name: Split) -> Art:
        """Only the drawings of styles to train on, or only those held out.

        Raises:
            InputError: none of the drawings belong to that split.
        """
        if name not in _SPLITS:
            raise InputError(f"there is no split '{name}'", wanted=" or ".join(_SPLITS))
        held = np.array(self.held)[self.style[self.chosen]]
        chosen = self.chosen[held if name == "validation" else ~held]
        if not len(chosen):
            raise InputError(f"the art contains no drawings for {name}", wanted="styles of both kinds")
        return replace(self, chosen=chosen)

    def only(self, *styles: str) -> Art:
        """Only the drawings of these styles.

        Raises:
            InputError: one of the styles is not there.
        """
        unknown = sorted(set(styles) - set(self.styles))
        if unknown:
            raise InputError(f"the art has no style '{unknown[0]}'", wanted=f"some of {', '.join(self.styles)}")
        wanted = [self.styles.index(name) for name in styles]
        return replace(self, chosen=self.chosen[np.isin(self.style[self.chosen], wanted)])

    def still(self) -> Art:
        """One cel of every drawing, the middle one: all that film-like clips show, in half the bytes."""
        held = dict(zip(self.styles, self.held, strict=True))
        drawings = [(style, palette, (cels[len(cels) // 2],), False) for style, palette, cels, _ in self.drawings()]
        return Art.collect(self.size, drawings, held)

    def cels(self, drawing: int) -> int:
        """How many cels drawing number ``drawing`` (of those chosen) has."""
        index = self.chosen[drawing]
        return int(self.first[index + 1] - self.first[index])

    def cel(self, drawing: int, cel: int = 0) -> npt.NDArray[uint8]:
        """One cel of a drawing, ``size size``: region numbers, plus `LINE` where a line's center is."""
        at = int(self.first[self.chosen[drawing]]) + cel % self.cels(drawing)
        raw = zlib.decompress(self.data[self.offsets[at] : self.offsets[at + 1]].tobytes())
        return np.frombuffer(raw, np.uint8).reshape(self.size, self.size)

    def colors(self, drawing: int) -> npt.NDArray[float32]:
        """The drawing's own palette, ``64 3`` in [0, 1]."""
        colors: npt.NDArray[float32] = self.palette[self.chosen[drawing]].astype(np.float32) / 255
        return colors

    def moving(self, drawing: int) -> bool:
        """Whether the drawing's cels are drawn motion."""
        return bool(self.moves[self.chosen[drawing]])

    def drawings(self) -> Iterator[Drawing]:
        """All drawings as `collect` takes them."""
        for index in self.chosen:
            cels = range(int(self.first[index]), int(self.first[index + 1]))
            packed = tuple(self.data[self.offsets[cel] : self.offsets[cel + 1]].tobytes() for cel in cels)
            yield self.styles[self.style[index]], self.palette[index], packed, bool(self.moves[index])

    @classmethod
    def collect(cls, size: int, drawings: Sequence[Drawing], held: Mapping[str, bool]) -> Art:
        """Put drawings together; ``held`` tells which styles are for validation."""
        styles = tuple(sorted({style for style, *_ in drawings}))
        cels = [cel for _, _, cels, _ in drawings for cel in cels]
        return cls(
            size=size,
            data=np.frombuffer(b"".join(cels), np.uint8),
            offsets=np.cumsum([0, *map(len, cels)], dtype=np.int64),
            first=np.cumsum([0, *(len(cels) for _, _, cels, _ in drawings)], dtype=np.int64),
            palette=np.stack([palette for _, palette, _, _ in drawings]),
            style=np.array([styles.index(style) for style, *_ in drawings], np.int64),
            styles=styles,
            held=tuple(held.get(style, False) for style in styles),
            moves=np.array([moves for *_, moves in drawings], np.uint8),
            chosen=np.arange(len(drawings)),
        )


def deflate(cel: npt.NDArray[uint8]) -> bytes:
    """A cel as `Art` keeps it."""
    return zlib.compress(np.ascontiguousarray(cel).tobytes(), 6)


def flat_lines(regions: npt.NDArray[uint8]) -> npt.NDArray[uint8]:
    """Region numbers ``H W`` => the same with `LINE` set along every border between two of them."""
    cel = regions & ~np.uint8(LINE)
    border = np.zeros(cel.shape, bool)
    across, down = cel[:, 1:] != cel[:, :-1], cel[1:] != cel[:-1]
    border[:, 1:] |= across
    border[1:] |= down
    return with_lines(cel, border)


def with_lines(cel: npt.NDArray[uint8], line: npt.NDArray[np.bool_]) -> npt.NDArray[uint8]:
    """Set `LINE` where ``line`` is true."""
    return cel | np.where(line, np.uint8(LINE), np.uint8(0))


def toy_art(seed: int = 0, *, drawings: int = 64, size: int = 128) -> Art:
    """Puppets of ellipses and polygons, drawn from ``seed``: enough for tests and smoke training, nothing to fetch.

    One in eight moves its limbs over eight cels. One in four is held out for validation.
    """
    rng = np.random.default_rng(seed)
    made = [_puppet(rng, size, 8 if i % 8 == 7 else 1, "toy-held" if i % 4 == 3 else "toy") for i in range(drawings)]
    return Art.collect(size, made, {"toy-held": True})


def _puppet(rng: np.random.Generator, size: int, cels: int, style: str) -> Drawing:
    import cv2

    palette = np.zeros((COLORS, 3), np.uint8)
    parts = int(rng.integers(3, 9))
    palette[1:] = rng.integers(20, 250, (COLORS - 1, 3))
    shapes = []
    for part in range(parts):
        spread = 0.0 if part == 0 else 0.24
        center = 0.5 + rng.normal(0, spread + 1e-3, 2).clip(-0.28, 0.28)
        radii = rng.uniform(0.05, 0.2, 2) * (1.5 if part == 0 else 1.0)
        corners = int(rng.choice([0, 0, 3, 4, 5]))
        angles = np.sort(rng.uniform(0, 2 * np.pi, corners)) if corners else np.linspace(0, 2 * np.pi, 40)
        shapes.append((center, radii, angles, rng.uniform(0, np.pi), rng.uniform(-0.5, 0.5), rng.uniform(0, 6.28)))
    made = []
    for cel in range(cels):
        phase = 2 * np.pi * cel / cels
        canvas = np.zeros((size, size), np.uint8)
        for number, (center, radii, angles, turn, swing, start) in enumerate(shapes, 1):
            move = swing * np.sin(phase + start) if cels > 1 and number > 1 else 0.0
            rotate = np.array([[np.cos(turn + move), -np.sin(turn + move)], [np.sin(turn + move), np.cos(turn + move)]])
            points = (np.stack([np.cos(angles), np.sin(angles)], 1) * radii) @ rotate.T + center + 0.1 * move
            cv2.fillPoly(canvas, [np.round(points * size * 16).astype(np.int32)], number, shift=4)
        made.append(deflate(flat_lines(canvas)))
    return style, palette, made, cels > 1
