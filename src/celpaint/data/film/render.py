"""Rendering a plan: every clip of a batch at once, as torch operations on any device.

plan -> (backdrop, then layer after layer) -> color, distance to lines, shading, what shows where -> light, lines
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from celpaint.data.clips import ClipBatch
from celpaint.data.film.bank import FAR, Bank
from celpaint.data.film.plan import Backdrop, FilmSpec, Layer, Plan
from celpaint.data.synthetic import lines

__all__ = ["render"]

_FAR_PIXELS = 0.15
"""Distance, in frame heights, at which no line is near."""

_MARGIN = 4
"""Pixels around a drawing that its outline may cover."""

_REACH = 1.05
"""Half side of the square that may show, where a drawing's own is 1."""

_STEP = 4
"""Bends are smooth: they are worked out for every fourth pixel and interpolated."""


@torch.no_grad()
def render(plan: Plan, bank: Bank, spec: FilmSpec) -> ClipBatch:
    """The clips of a plan: ``B`` clips of ``T`` frames on the bank's device.

    On a GPU all clips are composed at once; on a CPU one after the other, so that each drawing is only worked on where
    it shows.
    """
    device = bank.region.device
    groups = [plan] if device.type != "cpu" else [plan.clip(b) for b in range(len(plan.times))]
    canvases = []
    for group in groups:
        canvas = _backdrop(group.backdrop, bank, spec)
        for number, layer in enumerate(group.layers, 1):
            box = _box(layer, spec)
            if box is not None:
                _lay(canvas, layer, bank, spec, box, number)
        canvases.append(canvas)
    canvas = canvases[0] if len(canvases) == 1 else _Canvas.join(canvases)
    grade, offset = _to(plan.grade, device), _to(plan.offset, device)
    color = torch.einsum("bdc,btchw->btdhw", grade, canvas.color) + offset[:, None, :, None, None]
    color = color.clamp_(0, 1)
    drawn = []
    for clip, (style, seed, blur) in enumerate(zip(plan.line_style, plan.seed, plan.blur, strict=True)):
        if blur:
            color[clip] = lines.gaussian_blur(color[clip], float(blur) * spec.height)
        drawn.append(lines.draw(lines.Drawn(color[clip], canvas.distance[clip], canvas.shade[clip]), style, seed))
    return ClipBatch(
        color=color,
        lines=torch.stack(drawn),
        times=_to(plan.times, device),
        drawing=canvas.drawing.long(),
        point=canvas.point,
        region=None,
    )


@dataclass
class _Canvas:
    """``B T`` frames while they are composed.

    Attributes:
        color: ``B T 3 H W``; distance: ``B T 1 H W`` pixels to the nearest visible line; shade: ``B T 1 H W``.
        drawing: ``B T H W`` int16, the layer that shows; point: ``B T 2 H W``, see :class:`ClipBatch`.
    """

    color: Tensor
    distance: Tensor
    shade: Tensor
    drawing: Tensor
    point: Tensor

    @staticmethod
    def join(canvases: list[_Canvas]) -> _Canvas:
        """One after the other."""
        return _Canvas(*(torch.cat([getattr(c, name) for c in canvases]) for name in _Canvas.__dataclass_fields__))


@dataclass(frozen=True)
class _Box:
    """A part of the frame in pixels."""

    top: int
    left: int
    height: int
    width: int

    def cut(self, maps: Tensor) -> Tensor:
        """That part of ``... H W``."""
        return maps[..., self.top : self.top + self.height, self.left : self.left + self.width]


def _box(layer: Layer, spec: FilmSpec) -> _Box | None:
    """Where a layer may show in any clip and frame; None where it never does."""
    if not layer.shown.any():
        return None
    square = np.zeros((*layer.matrix.shape[:2], 3, 3))
    square[:, :, :2], square[:, :, 2, 2] = layer.matrix, 1
    reach = _REACH + np.abs(layer.wave[..., 0]).max(-1).sum(-1) + np.abs(layer.bulge).sum(-1).max(-1)
    corners = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) * reach[:, None, None]
    placed = np.linalg.inv(square)[layer.shown]
    at = np.einsum("btij,bkj->btki", placed[..., :2, :2], corners[layer.shown]) + placed[..., None, :2, 2]
    pixels = (at + np.array([spec.width / spec.height, 1])) * (spec.height / 2)
    low = np.clip(np.floor(pixels.min((0, 1, 2)) - _MARGIN), 0, [spec.width, spec.height]).astype(int)
    high = np.clip(np.ceil(pixels.max((0, 1, 2)) + _MARGIN), 0, [spec.width, spec.height]).astype(int)
    if (high - low).min() < 1:
        return None
    return _Box(int(low[1]), int(low[0]), int(high[1] - low[1]), int(high[0] - low[0]))


def _to(values: npt.NDArray[np.float64] | npt.NDArray[np.float32], device: torch.device) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(values, dtype=np.float32)).to(device, non_blocking=True)


def _pixels(spec: FilmSpec, device: torch.device, box: _Box, step: int = 1) -> Tensor:
    """Centers of pixels of a box in half frame heights, ``h w 2``; of every ``step``-th about, corners exactly."""
    rows, columns = (side if step == 1 else max(2, -(-side // step)) for side in (box.height, box.width))
    y = torch.linspace(box.top + 0.5, box.top + box.height - 0.5, rows, device=device)
    x = torch.linspace(box.left + 0.5, box.left + box.width - 0.5, columns, device=device)
    y, x = y * (2 / spec.height) - 1, x * (2 / spec.height) - spec.width / spec.height
    return torch.stack([x.expand(rows, -1), y[:, None].expand(-1, columns)], -1)


def _apply(matrix: Tensor, points: Tensor) -> Tensor:
    """Affine maps ``B T 2 3`` of points ``h w 2`` -> ``B T 2 h w``."""
    flat = points.flatten(0, 1)
    moved: Tensor = (matrix[..., :2] @ flat.T + matrix[..., 2:]).unflatten(-1, points.shape[:2])
    return moved


def _fine(coarse: Tensor, box: _Box) -> Tensor:
    """``B T C h w`` on a box's coarse grid -> its pixels."""
    size = (box.height, box.width)
    wide: Tensor = F.interpolate(coarse.flatten(0, 1), size, mode="bilinear", align_corners=True)
    return torch.unflatten(wide, 0, coarse.shape[:2])


def _backdrop(set_: Backdrop, bank: Bank, spec: FilmSpec) -> _Canvas:
    device = bank.region.device
    view = _to(set_.view, device)
    whole = _Box(0, 0, spec.height, spec.width)
    world = _apply(view, _pixels(spec, device, whole))
    B, T = view.shape[:2]
    # bands of noise through a palette of three colors
    bands, tilt, steps = _to(set_.bands, device), _to(set_.tilt, device), _to(set_.steps, device)
    coarse = _apply(view, _pixels(spec, device, whole, _STEP))[:, :, :, None]
    f = bands[:, None, :, :, None, None]
    waves = torch.sin(coarse[:, :, 0] * f[:, :, :, 0] + coarse[:, :, 1] * f[:, :, :, 1] + f[:, :, :, 2])
    value = waves.mean(2, keepdim=True) * 1.2 + coarse[:, :, 1] * tilt[:, None, None, None, None]
    value = _fine(value, whole)
    steps = steps[:, None, None, None, None]
    hard = torch.from_numpy(set_.hard).to(device)[:, None, None, None, None]
    value = torch.where(hard, torch.floor(value * steps) / steps, value)
    share = (value * 0.5 + 0.5).clamp_(0, 1)
    c = _to(set_.colors, device)[:, None, :, :, None, None]
    low = c[:, :, 0] + (c[:, :, 1] - c[:, :, 0]) * (2 * share)
    high = c[:, :, 1] + (c[:, :, 2] - c[:, :, 1]) * (2 * share - 1)
    color = torch.where(share < 0.5, low, high)
    distance = torch.full((B, T, 1, spec.height, spec.width), _FAR_PIXELS * spec.height, device=device)
    # painted sets
    chosen = np.flatnonzero(set_.picture >= 0)
    if len(chosen):
        which = torch.from_numpy(chosen).to(device)
        half = torch.tensor([bank.scenery.half[1], bank.scenery.half[0]], device=device)
        at = (world[which].permute(0, 1, 3, 4, 2) / half).flatten(1, 2)
        maps = bank.scenery.maps[torch.from_numpy(set_.picture[chosen]).to(device)].float() / 255
        seen = F.grid_sample(maps, at, padding_mode="reflection", align_corners=False)
        seen = seen.unflatten(2, (T, spec.height)).transpose(1, 2)
        hue, gamma = _to(set_.hue[chosen], device), _to(set_.gamma[chosen], device)
        paint = torch.einsum("bij,btjhw->btihw", hue, seen[:, :, :3]).clamp_(0, 1) ** gamma[:, None, None, None, None]
        color[which] = paint
        pixel = spec.height * bank.scenery.half[0] / maps.shape[2]
        zoom = 1 / view[which][..., 0, :2].norm(dim=-1)
        away = (1 - seen[:, :, 3:]) * (255 / 4) * pixel * zoom[..., None, None, None]
        distance[which] = torch.where(seen[:, :, 3:] > 0.02, away, distance[which])
    return _Canvas(
        color=color,
        distance=distance,
        shade=torch.zeros_like(distance),
        drawing=torch.zeros(B, T, spec.height, spec.width, dtype=torch.int16, device=device),
        point=world / 2,
    )


def _lay(canvas: _Canvas, layer: Layer, bank: Bank, spec: FilmSpec, box: _Box, number: int) -> None:
    """Lay one drawing over every clip."""
    device = canvas.color.device
    which = torch.from_numpy(np.flatnonzero(layer.shown)).to(device)
    some = len(which) < len(layer.shown)

    def own(values: npt.NDArray[np.float64] | npt.NDArray[np.float32]) -> Tensor:
        return _to(values[layer.shown], device)

    T = layer.matrix.shape[1]
    # 1. where: the point of the cel that every pixel shows
    q = _bend(_apply(own(layer.matrix), _pixels(spec, device, box, _STEP)), own(layer.wave), own(layer.bulge))
    light = own(layer.light)[:, None, :, None, None]
    level = torch.sin(q[:, :, :1] * light[:, :, :1] + q[:, :, 1:] * light[:, :, 1:2] + light[:, :, 2:3])
    q, level = _fine(torch.cat([q, level], 2), box).split([2, 1], 2)
    # 2. what: paint and the distance to lines
    cel = torch.from_numpy(layer.cel[layer.shown]).to(device)
    sheet = _sheet(bank, cel, own(layer.palette), spec)
    at = q.permute(0, 1, 3, 4, 2).reshape(len(which), T * box.height, box.width, 2)
    seen = F.grid_sample(sheet, at, padding_mode="zeros", align_corners=False)
    seen = seen.unflatten(2, (T, box.height)).transpose(1, 2)
    rgb, alpha = seen[:, :, :3], seen[:, :, 3:4]
    scale = own(layer.scale)[:, :, None, None, None]
    distance = (1 - seen[:, :, 4:]) * scale * (FAR * spec.height / 2)
    inside = alpha > 0.5
    # 3. light: two tones
    shade = ((level - light[:, :, 3:4]) * 8 + 0.5).clamp(0, 1)
    shadow = own(layer.shadow)[:, None, :, None, None]
    rgb = rgb * (1 - shade * (1 - shadow))
    # 4. ink
    pixels = own(layer.ink)[:, None, None, None, None] * (spec.height**0.6 * 192**0.4)
    ink = (pixels.clamp(min=1) / 2 + 0.5 - distance).clamp(0, 1) * pixels.clamp(max=1)
    ink = ink * (seen[:, :, 4:] > 0)
    tint = own(layer.tint)[:, None, None, None, None]
    dark = own(layer.dark)[:, None, :, None, None] + tint * rgb
    rgb = torch.lerp(rgb, dark, ink)
    alpha = torch.lerp(alpha, torch.ones_like(alpha), ink)
    # 5. lay over what is there
    size = scale[:, :1] / 2
    here = _Canvas(*(box.cut(getattr(canvas, name)) for name in _Canvas.__dataclass_fields__))
    old = _Canvas(*(getattr(here, name)[which] for name in _Canvas.__dataclass_fields__)) if some else here
    new = _Canvas(
        color=old.color * (1 - alpha) + rgb,
        distance=torch.where(inside, distance, torch.minimum(old.distance, distance + (seen[:, :, 4:] <= 0) * 1e4)),
        shade=torch.where(inside, shade * (shadow < 1).any(2, keepdim=True), old.shade),
        drawing=torch.where(inside[:, :, 0], torch.full_like(old.drawing, number), old.drawing),
        point=torch.where(inside, q * size, old.point),
    )
    for name in _Canvas.__dataclass_fields__:
        if some:
            getattr(here, name)[which] = getattr(new, name)
        else:
            getattr(here, name).copy_(getattr(new, name))


def _bend(q: Tensor, wave: Tensor, bulge: Tensor) -> Tensor:
    """Bend ``B T 2 h w`` points of squares by two sine waves, and shift the middle against the outline."""
    x, y = q[:, :, 0], q[:, :, 1]
    w = wave[..., None, None]  # B 2 T 3 1 1
    x = x + w[:, 0, :, 0] * torch.sin(w[:, 0, :, 1] * y + w[:, 0, :, 2])
    y = y + w[:, 1, :, 0] * torch.sin(w[:, 1, :, 1] * x + w[:, 1, :, 2])
    rest = (1 - x.square() - y.square()).clamp(min=0)
    b = bulge[..., None, None]
    return torch.stack([x + b[:, :, 0] * rest, y + b[:, :, 1] * rest], 2)


def _sheet(bank: Bank, cel: Tensor, palette: Tensor, spec: FilmSpec) -> Tensor:
    """``B 5 s s``: premultiplied RGB and alpha of the cels in their colors, nearness of lines."""
    region = bank.region[cel].flatten(1).long()
    table = torch.cat([palette, torch.ones_like(palette[..., :1])], -1)
    table[:, 0] = 0
    offset = torch.arange(len(cel), device=cel.device)[:, None] * table.shape[1]
    size = bank.region.shape[-1]
    paint = table.flatten(0, 1)[(region + offset)].unflatten(1, (size, size)).permute(0, 3, 1, 2)
    near = bank.near[cel][:, None].float() / 255
    # one pixel of the sheet is about one of the frame for a drawing that fills it
    shrink = max(1, min(4, round(size / max(spec.height, 64))))
    if shrink > 1:
        return torch.cat([F.avg_pool2d(paint, shrink), F.max_pool2d(near, shrink)], 1)
    return torch.cat([paint, near], 1)
