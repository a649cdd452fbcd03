"""Composing clips: drawings, repainted, moved and warped, over a background, seen by a camera."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from celpaint.data.clips import ClipBatch
from celpaint.data.synthetic import colors, lines, scenery
from celpaint.data.synthetic.art import COLORS, LINE, Art
from celpaint.data.synthetic.motion import Camera, Path, Warp, invert
from celpaint.data.synthetic.puppets import Puppet
from celpaint.data.synthetic.spec import ClipSpec

if TYPE_CHECKING:
    from numpy import float64, uint8

__all__ = ["Synthesizer", "validation_clips"]

_FAR = 0.15
"""Distance, in frame heights, at which no line is near."""

_MARGIN = 3
"""Pixels around a drawing that its outline may cover."""


_MOST_PARTS = 12
"""Numbers kept for the parts of one figure."""


class Synthesizer:
    """Makes clips from drawings.

    Args:
        art: the drawings to animate.
        spec: what kind of clips.
        device: where to compose, and where batches are.
    """

    def __init__(self, art: Art, spec: ClipSpec, device: str | torch.device = "cpu") -> None:
        self.art, self.spec, self.device = art, spec, torch.device(device)
        moving = np.array([art.moving(drawing) for drawing in range(len(art))], bool)
        # Large styles are shown more often, though less than their size would have it.
        style = art.style[art.chosen]
        weight = 1 / np.sqrt(np.bincount(style)[style].astype(np.float64))
        self._stills, self._dances = _Draw(np.flatnonzero(~moving), weight), _Draw(np.flatnonzero(moving), weight)
        faces = np.array([name.startswith("dicebear/") for name in art.styles], bool)[style] & ~moving
        self._faces = _Draw(np.flatnonzero(faces), weight)

    @torch.no_grad()
    def batch(self, seed: int, clips: int) -> ClipBatch:
        """``clips`` clips; the same for the same art, spec and seed, clip for clip."""
        made = [self._clip(seed, number) for number in range(clips)]
        return ClipBatch(
            *(torch.stack([getattr(clip, name) for clip in made]) for name in ClipBatch.__dataclass_fields__)
        )

    @torch.no_grad()
    def line_art(self, seed: int, clip: int, hand: str) -> Tensor:
        """Clip number ``clip`` of ``batch(seed, ...)`` drawn in another hand: ``T 1 H W``, 1 where ink."""
        canvas, _ = self._compose(seed, clip)
        return lines.draw(canvas.drawn(), hand, _mix(seed, clip))

    def _clip(self, seed: int, clip: int) -> ClipBatch:
        canvas, times = self._compose(seed, clip)
        rng = np.random.default_rng((seed, clip, 2))
        hand = _choice(rng, self.spec.hands)
        line_art = lines.draw(canvas.drawn(), hand, _mix(seed, clip))
        return ClipBatch(
            canvas.color,
            line_art,
            torch.from_numpy(times.astype(np.float32)).to(self.device),
            canvas.drawing,
            canvas.point,
            torch.where(canvas.distance[:, 0] < 0.75, 0, canvas.region),
        )

    def _times(self, rng: np.random.Generator) -> npt.NDArray[float64]:
        spec = self.spec
        low, high = spec.distance
        distance = np.exp(rng.uniform(np.log(max(low, 0.5)), np.log(high + 1))) if high else 0.0
        start = np.clip(np.floor(distance), low, high)
        stride = rng.integers(spec.stride[0], spec.stride[1] + 1)
        others = start + stride * np.arange(spec.frames - 1)
        return np.concatenate([[0.0], -others[::-1] if rng.random() < spec.backwards else others])

    def _compose(self, seed: int, clip: int) -> tuple[_Canvas, npt.NDArray[float64]]:
        spec, rng = self.spec, np.random.default_rng((seed, clip))
        times = self._times(rng)
        held = int(_choice(rng, {str(hold): weight for hold, weight in spec.holds.items()}))
        on_hold = np.floor(times / held) * held
        camera = Camera.random(rng, spec.speed, at=float(rng.choice(times)))
        canvas = self._background(rng, camera, times)
        count = int(rng.integers(spec.drawings[0], spec.drawings[1] + 1)) if len(self.art) else 0
        depths = np.sort(rng.choice([0.6, 0.8, 1.0, 1.0, 1.0, 1.2], count))
        for number, depth in enumerate(depths):
            at = float(rng.choice(times))
            size = self._size(rng, count)
            x = rng.uniform(-0.5, 0.5) * (spec.width / spec.height + (0.3 if count > 2 else -0.4))
            y = rng.normal(0.05, 0.2) + max(0.0, size - 0.5) * rng.uniform(-0.2, 0.9)
            path = Path.random(rng, size, x, y, spec.speed, at)
            view = camera.matrix(times, float(depth)) @ path.matrix(on_hold)
            self._add(canvas, rng, 1 + _MOST_PARTS * number, view, on_hold)
        matrix, offset = (torch.from_numpy(part).to(self.device) for part in colors.grade(rng))
        canvas.color = (torch.einsum("dc,tchw->tdhw", matrix, canvas.color) + offset[:, None, None]).clamp(0, 1)
        if rng.random() < 0.25:  # a soft scan
            canvas.color = lines.gaussian_blur(canvas.color, rng.uniform(0.35, 0.8) * spec.height / 192)
        return canvas, times

    def _size(self, rng: np.random.Generator, count: int) -> float:
        """Half the height of a drawing; the fewer there are, the larger, and close-ups come now and then."""
        if rng.random() < 0.12:
            return float(np.exp(rng.uniform(np.log(0.6), np.log(1.1))))
        return float(np.exp(rng.uniform(np.log(0.12 if count > 2 else 0.2), np.log(0.62 if count < 4 else 0.45))))

    def _background(self, rng: np.random.Generator, camera: Camera, times: npt.NDArray[float64]) -> _Canvas:
        spec = self.spec
        depth = float(rng.choice([0.3, 0.6, 1.0]))
        # The set is larger than the picture, and beyond its edges it is mirrored.
        half_height, half_width = 0.75, 0.5 * spec.width / spec.height + 0.35
        height, width = round(2 * half_height * spec.height), round(2 * half_width * spec.height)
        image, regions = scenery.paint(rng, height, width, spec.height)
        stage = _Canvas.blank(1, height, width, spec.height, self.device)
        stage.color[0] = torch.from_numpy(image).permute(2, 0, 1).to(self.device)
        stage.region[0] = torch.from_numpy(regions).to(self.device)
        if rng.random() < 0.6:
            borders = np.ones(regions.shape, np.uint8)
            borders[:, 1:] &= regions[:, 1:] == regions[:, :-1]
            borders[1:] &= regions[1:] == regions[:-1]
            if not borders.all():
                away = cv2.distanceTransform(borders, cv2.DIST_L2, 3)
                stage.distance[0, 0] = torch.from_numpy(away).to(self.device)
                if rng.random() < 0.5:
                    width_px = rng.uniform(0.8, 1.8)
                    ink = (width_px / 2 + 0.5 - stage.distance).clamp(0, 1)
                    dark = torch.from_numpy(colors.random_color(rng, 1)[0] * 0.35).to(self.device)[:, None, None]
                    stage.color = stage.color * (1 - ink) + dark * ink
        still = np.zeros(1)
        props = int(rng.integers(1, 10)) if len(self._stills) and rng.random() < 0.55 else 0
        for number in range(props):
            size = float(np.exp(rng.uniform(np.log(0.06), np.log(0.4))))
            x, y = rng.uniform(-half_width, half_width), rng.uniform(-0.5, 0.7)
            matrix = Path.random(rng, size, x, y, 0.0, 0.0).matrix(still)
            self._add(stage, rng, 1 + number, matrix, still, scenery=True)
        return stage.seen(camera.matrix(times, depth), spec.height, spec.width, half_height, half_width)

    def _add(
        self,
        canvas: _Canvas,
        rng: np.random.Generator,
        number: int,
        view: npt.NDArray[float64],
        times: npt.NDArray[float64],
        *,
        scenery: bool = False,
    ) -> None:
        """Lay one drawing over the canvas; ``view`` is the drawing's square => frame, ``T 3 3``."""
        kind = 1.0 if scenery else rng.random()
        if kind < self.spec.dancers and len(self._dances):
            self._lay_drawing(canvas, rng, self._dances(rng), number, view, times)
        elif kind < self.spec.dancers + self.spec.puppets and len(self._stills):
            self._lay_puppet(canvas, rng, number, view, times)
        else:
            drawing = (self._stills if len(self._stills) else self._dances)(rng)
            self._lay_drawing(canvas, rng, drawing, number, view, times, still=scenery)

    def _lay_drawing(
        self,
        canvas: _Canvas,
        rng: np.random.Generator,
        drawing: int,
        number: int,
        view: npt.NDArray[float64],
        times: npt.NDArray[float64],
        *,
        still: bool = False,
    ) -> None:
        moving = self.art.moving(drawing)
        sheet, index = self._sheet(rng, drawing, view, times, canvas.unit)
        lively = 0.0 if still else (0.3 if moving else 1.0) * self.spec.speed * rng.choice([0.0, 0.6, 1.2])
        warp, look = Warp.random(rng, lively), _Look.random(rng, self.spec.speed)
        canvas.lay(sheet, index, view, warp, times, look, number, moving)

    def _lay_puppet(
        self,
        canvas: _Canvas,
        rng: np.random.Generator,
        number: int,
        view: npt.NDArray[float64],
        times: npt.NDArray[float64],
    ) -> None:
        puppet = Puppet.random(rng, self.spec.speed * rng.choice([0.4, 1.0, 1.5]))
        look = _Look.random(rng, self.spec.speed)
        head = (self._faces if len(self._faces) and rng.random() < 0.75 else self._stills)(rng)
        view = view @ np.diag([1.3, 1.3, 1.0])  # a figure is slender
        for part_number, part in enumerate(puppet.parts(times * min(1.0, self.spec.speed))):
            seen = view @ part.matrix
            if part.cel is None:
                sheet, index = self._sheet(rng, head, seen, times, canvas.unit)
            else:
                sheet = _Sheet.make([part.cel], puppet.palette, _largest(seen) * canvas.unit, self.device)
                index = np.zeros(len(times), np.int64)
            canvas.lay(sheet, index, seen, Warp(()), times, look, number + part_number, False)

    def _sheet(
        self,
        rng: np.random.Generator,
        drawing: int,
        view: npt.NDArray[float64],
        times: npt.NDArray[float64],
        unit: int,
    ) -> tuple[_Sheet, npt.NDArray[np.int64]]:
        """The cels of a drawing that are seen, newly painted, and which of them at which time."""
        palette = self.art.colors(drawing)
        if self.spec.repaint:
            palette = colors.repaint(palette, rng)
        cels = self.art.cels(drawing)
        if self.art.moving(drawing):
            # A dance is drawn on twos and goes to and fro.
            phase = (np.floor(times / 2).astype(int) + int(rng.integers(2 * cels))) % max(1, 2 * cels - 2)
            which = np.where(phase < cels, phase, 2 * cels - 2 - phase)
        else:
            # Looks change at irregular times: eyes blink, mouths speak.
            looks = rng.integers(0, cels, 64)
            which = looks[np.floor(times / rng.integers(3, 16)).astype(int) % 64]
        used, index = np.unique(which, return_inverse=True)
        drawn = [self.art.cel(drawing, int(cel)) for cel in used]
        return _Sheet.make(drawn, palette, _largest(view) * unit, self.device), index


class _Draw:
    """Draws among numbers by weight."""

    def __init__(self, numbers: npt.NDArray[np.int64], weight: npt.NDArray[float64]) -> None:
        self.numbers, self.sums = numbers, np.cumsum(weight[numbers])

    def __len__(self) -> int:
        return len(self.numbers)

    def __call__(self, rng: np.random.Generator) -> int:
        return int(self.numbers[np.searchsorted(self.sums, rng.random() * self.sums[-1], side="right")])


@dataclass(frozen=True)
class _Look:
    """How a drawing is painted: its ink and its light.

    Attributes:
        ink: width of its lines, as a share of the frame's height; 0 = none.
        dark: color of the ink, ``3``; None darkens the color below.
        light: direction of the light and how fast it turns.
        shadow: factor of the colors in shadow, ``3``.
        edge: where shadow begins, and how softly.
        glow: how much highlights add.
    """

    ink: float
    dark: npt.NDArray[np.float32] | None
    light: tuple[float, float]
    shadow: npt.NDArray[np.float32]
    edge: tuple[float, float]
    glow: float

    @classmethod
    def random(cls, rng: np.random.Generator, speed: float) -> _Look:
        inked = rng.random() < 0.72
        dark = (rng.uniform(0, 0.25, 3) * rng.uniform(0, 1)).astype(np.float32)
        shaded = rng.random() < 0.55
        tint = rng.uniform(0.5, 0.85) * np.array([1, 1, 1]) + rng.normal(0, 0.06, 3)
        soft = rng.random() < 0.25
        return cls(
            ink=float(np.exp(rng.uniform(np.log(0.8), np.log(2.4)))) / 192 if inked else 0.0,
            dark=dark if rng.random() < 0.6 else None,
            light=(rng.uniform(0, 2 * np.pi), speed * float(rng.normal(0, 0.02))),
            shadow=tint.clip(0.3, 1).astype(np.float32) if shaded else np.ones(3, np.float32),
            edge=(rng.uniform(-0.25, 0.35), 0.8 if soft else 0.04),
            glow=float(rng.uniform(0.1, 0.5)) if rng.random() < 0.2 else 0.0,
        )


@dataclass(frozen=True)
class _Sheet:
    """Cels of one drawing, as fine as the size they are seen at asks for.

    Attributes:
        paint: ``N 4 s s``: color times alpha, alpha.
        slope: ``N 2 32 32``: how the form falls to the right and downwards.
        cels: ``N S*S`` region numbers, 0 = transparent.
        distance: ``N 1 S S`` to the nearest line; a drawing is 2 wide.
        size: S.
    """

    paint: Tensor
    slope: Tensor
    cels: Tensor
    distance: Tensor
    size: int

    @classmethod
    def make(
        cls,
        cels: Sequence[npt.NDArray[uint8]],
        palette: colors.Colors,
        pixels: float,
        device: torch.device,
    ) -> _Sheet:
        """Paint ``cels`` with ``palette``; they will be seen about ``pixels`` high."""
        whole = cels[0].shape[0]
        # One pixel of the paint averages 2 x 2 of the cel, and is about one of the frame.
        step = 1
        while step < 16 and whole / (2 * step) >= 0.8 * pixels and whole % (2 * step) == 0:
            step *= 2
        skip = max(1, step // 2)
        away = np.stack([_distance(cel, skip) for cel in cels])
        stack = torch.from_numpy(np.stack([cel[::skip, ::skip] for cel in cels]) & (LINE - 1)).to(device)
        table = torch.zeros(COLORS, 4, device=device)
        table[1:, :3] = torch.from_numpy(palette[1:]).to(device)
        table[1:, 3] = 1
        flat = table[stack.int()].permute(0, 3, 1, 2)
        paint = F.avg_pool2d(flat, 2) if step > 1 else F.avg_pool2d(F.pad(flat, (1, 0, 1, 0)), 2, 1)
        form = F.adaptive_avg_pool2d(paint[:, 3:], 32)
        for _ in range(3):
            form = F.avg_pool2d(form, 5, 1, 2)
        slope = torch.cat([form - form.roll(1, 3), form - form.roll(1, 2)], 1) * 8
        return cls(
            paint.contiguous(), slope, stack.flatten(1), torch.from_numpy(away).to(device)[:, None], whole // skip
        )


def _distance(cel: npt.NDArray[uint8], skip: int) -> npt.NDArray[np.float32]:
    """How far the nearest line is, for every ``skip``-th pixel; the cel is 2 wide."""
    clear = (cel < LINE).astype(np.uint8)
    while clear.shape[0] * skip > cel.shape[0]:
        clear = clear[::2] & clear[1::2]
        clear = clear[:, ::2] & clear[:, 1::2]
    away: npt.NDArray[np.float32] = cv2.distanceTransform(clear, cv2.DIST_L2, 3)
    return away * np.float32(2 / clear.shape[0])


@dataclass
class _Canvas:
    """``T`` frames while they are composed; see `ClipBatch` and `lines.Drawn` for the maps."""

    color: Tensor
    distance: Tensor
    shade: Tensor
    drawing: Tensor
    point: Tensor
    region: Tensor
    unit: int

    @classmethod
    def blank(cls, frames: int, height: int, width: int, unit: int, device: torch.device) -> _Canvas:
        shape = (frames, height, width)
        return cls(
            torch.zeros(frames, 3, height, width, device=device),
            torch.full((frames, 1, height, width), _FAR * unit, device=device),
            torch.zeros(frames, 1, height, width, device=device),
            torch.zeros(shape, dtype=torch.int64, device=device),
            torch.zeros(frames, 2, height, width, device=device),
            torch.ones(shape, dtype=torch.int64, device=device),
            unit,
        )

    def drawn(self) -> lines.Drawn:
        return lines.Drawn(self.color, self.distance, self.shade)

    def seen(
        self, view: npt.NDArray[float64], height: int, width: int, half_height: float, half_width: float
    ) -> _Canvas:
        """This one still canvas through a camera: ``view`` is world => frame, ``T 3 3``."""
        device, frames = self.color.device, len(view)
        world = _apply(invert(view), _pixels(np.zeros((frames, 2)), height, width, height, width, 1, device))
        grid = world / torch.tensor([half_width, half_height], device=device)
        flat = grid.reshape(1, frames * height, width, 2)
        maps = torch.cat([self.color, self.distance, self.shade], 1)
        seen = F.grid_sample(maps, flat, padding_mode="reflection", align_corners=False)
        seen = seen.reshape(5, frames, height, width).transpose(0, 1)
        mirrored = 1 - ((grid + 1).remainder(4) - 2).abs() / 2
        at = mirrored * torch.tensor([self.region.shape[2], self.region.shape[1]], device=device)
        x = at[..., 0].long().clamp(0, self.region.shape[2] - 1)
        y = at[..., 1].long().clamp(0, self.region.shape[1] - 1)
        return _Canvas(
            seen[:, :3].contiguous(),
            seen[:, 3:4] * float(np.sqrt(abs(np.linalg.det(view[:, :2, :2]))).mean()),
            seen[:, 4:].contiguous(),
            torch.zeros(frames, height, width, dtype=torch.int64, device=device),
            _apply(np.repeat(view[:1], frames, 0), world).permute(0, 3, 1, 2).contiguous(),
            self.region[0][y, x],
            height,
        )

    def lay(
        self,
        sheet: _Sheet,
        index: npt.NDArray[np.int64],
        view: npt.NDArray[float64],
        warp: Warp,
        times: npt.NDArray[float64],
        look: _Look,
        number: int,
        animated: bool,
    ) -> None:
        """Lay a drawing over all frames."""
        height, width = self.color.shape[-2:]
        device, unit = self.color.device, self.unit
        boxes, shown = _boxes(view, height, width, unit)
        if not len(shown):
            return
        view, first, index, times = view[shown], view[:1], index[shown], times[shown]
        corner = boxes[shown, :2]
        high, wide = (int(side) for side in boxes[0, 2:])
        # 1. where: warps, light and points are smooth, so a quarter of the resolution tells them
        coarse = warp(_apply(invert(view), _pixels(corner, high, wide, height, width, 4, device, unit)), times)
        slope = _sample(sheet.slope, index, coarse, "zeros")
        angle = look.light[0] + look.light[1] * times
        lit = slope[:, :1] * _column(np.cos(angle), device) + slope[:, 1:] * _column(np.sin(angle), device)
        point = _apply(np.repeat(first, len(shown), 0), coarse)
        smooth = torch.cat([coarse.permute(0, 3, 1, 2), point.permute(0, 3, 1, 2), lit], 1)
        smooth = F.interpolate(smooth, (high, wide), mode="bilinear", align_corners=True)
        q, point, lit = smooth[:, :2].permute(0, 2, 3, 1).contiguous(), smooth[:, 2:4], smooth[:, 4:]
        # 2. what: paint, distance to lines, region
        paint = _sample(sheet.paint, index, q, "zeros")
        rgb, alpha = paint[:, :3], paint[:, 3:]
        scale = np.sqrt(np.abs(np.linalg.det(view[:, :2, :2]))) * unit
        beyond = (q.abs() - 1).relu_().sum(-1)[:, None]  # the drawing's own square
        distance = (_sample(sheet.distance, index, q, "border") + beyond) * _column(scale, device)
        cell = (q + 1).mul_(sheet.size / 2).floor_()
        within = (cell >= 0).logical_and_(cell < sheet.size).all(-1)
        at = cell.clamp_(0, sheet.size - 1) @ torch.tensor([1.0, float(sheet.size)], device=device)
        of = torch.from_numpy(index).to(device)[:, None, None] * sheet.size**2
        number_of = sheet.cels.reshape(-1)[at.long() + of].long()
        inside = within & (number_of > 0)
        # 3. light
        shade = torch.zeros_like(alpha)
        if (look.shadow < 1).any():
            shade = ((look.edge[0] - 0.15 - lit) / look.edge[1] + 0.5).clamp_(0, 1)
            rgb = rgb * (1 - shade * (1 - torch.from_numpy(look.shadow).to(device)[:, None, None]))
        if look.glow:
            rgb = rgb + (alpha - rgb) * (look.glow * ((lit - 0.45) / 0.04).clamp_(0, 1))
        # 4. ink
        if look.ink:
            pixels = look.ink * unit**0.6 * 192**0.4
            ink = (max(pixels, 1.0) / 2 + 0.5 - distance).clamp_(0, 1).mul_(min(1.0, pixels))
            if look.dark is None:
                mean = rgb.sum((0, 2, 3)) / alpha.sum().clamp(min=1)
                dark = 0.4 * (rgb + 0.05 * mean[:, None, None]) / (alpha + 0.05)
            else:
                dark = torch.from_numpy(look.dark).to(device)[:, None, None]
            rgb = torch.lerp(rgb, dark.expand_as(rgb), ink)
            alpha = torch.lerp(alpha, torch.ones_like(alpha), ink)
        # 5. lay
        drawing = torch.full_like(number_of, number * COLORS)
        region = drawing + number_of
        if animated:
            point, drawing = torch.full_like(point, torch.nan), region
        for k, (frame, (x, y)) in enumerate(zip(shown, corner, strict=True)):
            box = (int(frame), slice(None), slice(y, y + high), slice(x, x + wide))
            flat = (int(frame), slice(y, y + high), slice(x, x + wide))
            here = inside[k]
            self.color[box].mul_(1 - alpha[k]).add_(rgb[k])
            self.distance[box] = torch.where(here, distance[k], torch.minimum(self.distance[box], distance[k]))
            self.shade[box] = torch.where(here, shade[k], self.shade[box])
            self.point[box] = torch.where(here, point[k], self.point[box])
            self.drawing[flat] = torch.where(here, drawing[k], self.drawing[flat])
            self.region[flat] = torch.where(here, region[k], self.region[flat])


def _boxes(
    view: npt.NDArray[float64], height: int, width: int, unit: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Where a drawing may show: per frame (x, y, height, width), of one size in all; and the frames it shows in."""
    corners = np.array([[-1.12, -1.12, 1], [1.12, -1.12, 1], [1.12, 1.12, 1], [-1.12, 1.12, 1]])
    seen = np.einsum("tij,kj->tki", view, corners)[..., :2] * unit + np.array([width / 2, height / 2])
    size = np.array([width, height])
    low = np.floor(seen.min(1) - _MARGIN).clip(0, size)
    high = np.ceil(seen.max(1) + _MARGIN).clip(0, size)
    shown = np.flatnonzero((high - low).min(1) > 0)
    extent = (high - low)[shown].max(0) if len(shown) else np.zeros(2)
    low = np.minimum(low, size - extent)
    return np.concatenate([low, np.broadcast_to(extent[::-1], low.shape)], 1).astype(np.int64), shown


def _pixels(
    corner: npt.NDArray[np.int64] | npt.NDArray[float64],
    high: int,
    wide: int,
    height: int,
    width: int,
    coarse: int,
    device: torch.device,
    unit: int | None = None,
) -> Tensor:
    """Frame coordinates of the pixels of boxes at ``corner``, ``T h w 2``; of every ``coarse``-th only, about."""
    rows, columns = max(2, -(-high // coarse)), max(2, -(-wide // coarse))
    if coarse == 1:
        rows, columns = high, wide
    y = torch.linspace(0.5, high - 0.5, rows, device=device) - height / 2
    x = torch.linspace(0.5, wide - 0.5, columns, device=device) - width / 2
    grid = torch.stack([x.expand(rows, columns), y[:, None].expand(rows, columns)], -1)
    start = torch.from_numpy(corner.astype(np.float32)).to(device)[:, None, None]
    return (grid + start) / (unit or height)


def _apply(matrices: npt.NDArray[float64], points: Tensor) -> Tensor:
    """Affine maps ``T 3 3`` of points ``T H W 2``."""
    m = torch.from_numpy(matrices[:, :2].astype(np.float32)).to(points.device)[:, None, None]
    return points[..., :1] * m[..., 0] + points[..., 1:] * m[..., 1] + m[..., 2]


def _sample(maps: Tensor, index: npt.NDArray[np.int64], q: Tensor, padding: str) -> Tensor:
    """Sample ``maps[index[t]]`` at ``q``, ``T H W 2`` => ``T C H W``."""
    frames, high, wide, _ = q.shape
    if len(maps) > 1:
        picked = maps[torch.from_numpy(index).to(maps.device)]
        return F.grid_sample(picked, q, padding_mode=padding, align_corners=False)
    flat = F.grid_sample(maps, q.reshape(1, frames * high, wide, 2), padding_mode=padding, align_corners=False)
    return flat.reshape(-1, frames, high, wide).transpose(0, 1)


def _column(values: npt.NDArray[float64], device: torch.device) -> Tensor:
    return torch.from_numpy(values.astype(np.float32)).to(device)[:, None, None, None]


def _largest(view: npt.NDArray[float64]) -> float:
    """The largest height a drawing is seen at, in frame heights."""
    return float(2 * np.sqrt(np.abs(np.linalg.det(view[:, :2, :2]))).max())


def _choice(rng: np.random.Generator, weights: Mapping[str, float]) -> str:
    share = np.array(list(weights.values()), float)
    return str(rng.choice(list(weights), p=share / share.sum()))


def _mix(seed: int, clip: int) -> int:
    return int(np.random.SeedSequence((seed, clip)).generate_state(1)[0])


def validation_clips(
    art: Art,
    distance: int,
    hand: str,
    *,
    clips: int = 16,
    first: int = 0,
    frames: int = 2,
    height: int = 192,
    width: int = 320,
    device: str | torch.device = "cpu",
) -> Iterator[ClipBatch]:
    """The fixed validation films: drawings nobody trained on, ``distance`` frames from their reference, frame 0.

    The same films for every hand, one clip a batch.

    Args:
        art: the whole collection; its held-out drawings are shown.
        distance: frames from frame 0 to frame 1; the others follow one by one.
        hand: the hand of the line art, one of `HANDS`.
        clips: how many, from number ``first`` on.
    """
    spec = ClipSpec(
        height=height,
        width=width,
        frames=frames,
        distance=(distance, distance),
        stride=(1, 1),
        backwards=0,
        hands={hand: 1.0},
        dancers=0.3,
        puppets=0.0,
    )
    synthesizer = Synthesizer(art.split("validation"), spec, device)
    for number in range(first, first + clips):
        yield synthesizer.batch(1_000_000 + number, 1)
