"""From a scripted shot to frames: camera, sheets, cels, light, glow and grain.

All arithmetic is on integers, or element by element on float64 and rounded to 8 bits, so frames are the same
everywhere.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from celpaint.data.scripted.raster import FINE, Cel, Palette, affine
from celpaint.data.scripted.scenery import box_blur

if TYPE_CHECKING:
    from numpy import uint8

    from celpaint.data.scripted.raster import Floats
    from celpaint.data.scripted.scenery import Sheet

__all__ = ["Camera", "Frame", "Light", "Plane", "Stage"]

_WHOLE = FINE * FINE


@dataclass(frozen=True)
class Camera:
    """Where the camera is.

    Attributes:
        x, y: of what is in the frame's middle, in frame heights.
        zoom: natural logarithm of the enlargement.
    """

    x: float = 0.0
    y: float = 0.0
    zoom: float = 0.0

    def view(self, depth: float) -> Floats:
        """``3 3``, set => frame for things at a depth: 1 moves with the camera, 0 is infinitely far."""
        scale = float(np.exp(self.zoom * (0.4 + 0.6 * depth)))
        return affine(scale, x=-scale * self.x * depth, y=-scale * self.y * depth)


@dataclass(frozen=True)
class Light:
    """The light of one frame.

    Attributes:
        gain, lift: color * gain + lift, per channel.
        glow: how much of what is brighter than ``bright`` spreads; ``reach`` how far, in frame heights.
        lamp: center and radius of a light in frame heights; outside it the gain is ``outside``.
    """

    gain: tuple[float, float, float] = (1.0, 1.0, 1.0)
    lift: tuple[float, float, float] = (0.0, 0.0, 0.0)
    glow: float = 0.0
    bright: float = 0.8
    reach: float = 0.03
    lamp: tuple[float, float, float] | None = None
    outside: tuple[float, float, float] = (0.3, 0.3, 0.45)


@dataclass(frozen=True)
class Plane:
    """One animated cel.

    Attributes:
        draw: draws it at a time; takes the cel and ``3 3``, set => frame.
        depth: as of a sheet; ``opacity``: below 1 it is seen through, as smoke.
        hold: it is redrawn every so many frames.
    """

    draw: Callable[[Cel, Floats, float], None]
    depth: float = 1.0
    opacity: float = 1.0
    hold: int = 2


@dataclass(frozen=True)
class Frame:
    """One frame and what is known of it.

    Attributes:
        color: ``H W 3``; ``line``: ``H W``, 255 = ink, the lines as drawn.
        part: ``H W`` number of the sheet or flat-colored part that shows, the same in all frames of the shot.
        point: ``H W 2`` float32, the point of a sheet that shows, in frame heights; NaN on parts, which are redrawn.
    """

    color: npt.NDArray[uint8]
    line: npt.NDArray[uint8]
    part: npt.NDArray[np.int32]
    point: npt.NDArray[np.float32]


@dataclass(frozen=True)
class _Layer:
    """What one layer shows: color times alpha and lines in 0 ... 255, alpha in [0, 1], parts, points of sheets."""

    color: Floats
    line: Floats
    alpha: Floats
    part: npt.NDArray[np.int32]
    point: npt.NDArray[np.float32] | None


@dataclass
class Stage:
    """A shot while it is set up; then an iterator of frames.

    Attributes:
        height, width: of frames in pixels.
        rng: for what the script leaves open.
        behind, front: sheets behind and before all planes, from far to near.
        grain: strength of the film's grain in 1/255.
    """

    height: int
    width: int
    rng: np.random.Generator
    palette: Palette = field(default_factory=Palette)
    behind: Sequence[Sheet] = ()
    front: Sequence[Sheet] = ()
    planes: list[Plane] = field(default_factory=list)
    camera: Callable[[float], Camera] = lambda time: Camera()
    light: Callable[[float], Light] = lambda time: Light()
    grain: int = 0

    def frames(self, times: Sequence[int]) -> Iterator[Frame]:
        """The frames at some times, in frames from the shot's first."""
        seed = int(self.rng.integers(2**31))
        seen: dict[int, tuple[object, _Layer]] = {}
        for time in times:
            layers = [self._again(seen, number, int(time)) for number in range(len(self._order))]
            yield self._composed(layers, int(time), seed)

    @property
    def _order(self) -> list[Sheet | Plane]:
        return [*self.behind, *self.planes, *self.front]

    def _again(self, seen: dict[int, tuple[object, _Layer]], number: int, time: int) -> _Layer:
        """Layer ``number`` from the back; the one of the frame before where neither it nor the camera moved."""
        what = self._order[number]
        view = self.camera(time).view(what.depth)
        held = time - time % what.hold if isinstance(what, Plane) else 0
        key = view.tobytes(), held
        if number not in seen or seen[number][0] != key:
            made = self._drawn(what, view, held) if isinstance(what, Plane) else self._seen(what, view, number)
            seen[number] = key, made
        return seen[number][1]

    def _seen(self, sheet: Sheet, view: Floats, number: int) -> _Layer:
        pixels, where = sheet.sample(view, self.height, self.width)
        values: Floats = pixels.astype(np.float64)
        part = np.where(pixels[..., 3] > 127, number + 1, 0).astype(np.int32)
        return _Layer(values[..., :3], values[..., 4], values[..., 3] / 255, part, where.astype(np.float32))

    def _drawn(self, plane: Plane, view: Floats, time: int) -> _Layer:
        cel = Cel(self.height, self.width, self.palette)
        plane.draw(cel, view, float(time))
        sums, cover = cel.color()
        shown = cel.parts().astype(np.int32)
        share = plane.opacity / _WHOLE
        return _Layer(
            sums.astype(np.float64) * share,
            cel.line().astype(np.float64) * (255.0 / _WHOLE),
            cover.astype(np.float64) * share,
            np.where(shown > 0, shown + len(self._order), 0),
            None,
        )

    def _composed(self, layers: Sequence[_Layer], time: int, seed: int) -> Frame:
        size = self.height, self.width
        color, line = np.zeros((*size, 3)), np.zeros(size)
        part, point = np.zeros(size, np.int32), np.full((*size, 2), np.nan, np.float32)
        for layer in layers:
            through = 1 - layer.alpha
            color *= through[..., None]
            color += layer.color
            line = np.maximum(line * through, layer.line)
            shows = layer.part > 0
            part[shows] = layer.part[shows]
            point[shows] = np.nan if layer.point is None else layer.point[shows]
        pixels = np.floor(self._lit(color / 255.0, self.light(time)) * 255 + 0.5).astype(np.int64)
        if self.grain:
            noise = np.random.default_rng((seed, time)).integers(-self.grain, self.grain + 1, (2, *size))
            pixels = pixels + (noise.sum(0) >> 1)[..., None]
        return Frame(pixels.clip(0, 255).astype(np.uint8), np.floor(line + 0.5).astype(np.uint8), part, point)

    def _lit(self, color: Floats, light: Light) -> Floats:
        gain: Floats = np.array(light.gain)
        if light.lamp is not None:
            x, y, radius = light.lamp
            at_x = (np.arange(self.width) + 0.5 - self.width / 2) / self.height - x
            at_y = (np.arange(self.height) + 0.5) / self.height - 0.5 - y
            away = np.sqrt(at_x[None] ** 2 + at_y[:, None] ** 2) / radius
            share = (1.5 - away).clip(0, 1)[..., None]
            gain = gain * share + np.array(light.outside) * (1 - share)
        lit = color * gain + np.array(light.lift)
        if light.glow:
            bright = ((lit - light.bright).clip(0, 1) * (255 / (1 - light.bright))).clip(0, 255).astype(np.uint8)
            for _ in range(2):
                bright = box_blur(bright, max(1, round(light.reach * self.height)))
            spread = bright * (light.glow / 255)
            lit = 1 - (1 - lit.clip(0, 1)) * (1 - spread.clip(0, 1))
        return np.asarray(lit.clip(0, 1), np.float64)
