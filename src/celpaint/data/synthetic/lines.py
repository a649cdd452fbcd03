"""Line art of composed frames in the hands that artists, scanners and extractors draw it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Drawn", "draw", "gaussian_blur", "noise"]


@dataclass(frozen=True)
class Drawn:
    """What a hand needs to know of ``T`` composed frames.

    Attributes:
        color: ``T 3 H W`` in [0, 1].
        distance: ``T 1 H W``, pixels to the center of the nearest visible line.
        shade: ``T 1 H W`` in [0, 1], where cel shading lies.
    """

    color: Tensor
    distance: Tensor
    shade: Tensor


def draw(drawn: Drawn, hand: str, seed: int) -> Tensor:
    """Line art ``T 1 H W`` in [0, 1], 1 where ink.

    Hands: ``soft`` is extracted from the colors by a difference of Gaussians, as filters do it; the others draw the
    true lines. ``clean`` is smooth and even, ``thin`` and ``thick`` are that in other widths, ``binary`` has no
    anti-aliasing, ``broken`` has gaps, ``jitter`` trembles from frame to frame, ``pencil`` has grain and varying
    pressure, ``trace`` adds lines at the borders of shading.
    """
    rng = np.random.default_rng((seed, 7))
    return _HANDS[hand](drawn, rng).clamp(0, 1)


def _soft(drawn: Drawn, rng: np.random.Generator) -> Tensor:
    sigma = rng.uniform(0.5, 1.1) * _unit(drawn)
    narrow, wide = gaussian_blur(drawn.color, sigma), gaussian_blur(drawn.color, sigma * rng.uniform(1.6, 4.0))
    edge = wide - narrow
    edge = edge.abs() if rng.random() < 0.3 else edge.relu()
    if rng.random() < 0.4:  # contrast as a share of the brightness around, so that dark scenes have lines too
        share = edge.amax(1, keepdim=True) / (wide.amax(1, keepdim=True) + 0.06)
        ramp = ((share - rng.uniform(0.02, 0.08)) / rng.uniform(0.08, 0.25)).clamp(0, 1)
        return ramp * ramp * (3 - 2 * ramp)
    edge = edge.amax(1, keepdim=True) if rng.random() < 0.7 else edge.mean(1, keepdim=True) * 2
    lines: Tensor = (edge - rng.uniform(0.0, 0.02)).relu() * np.exp(rng.uniform(np.log(5), np.log(25)))
    return torch.tanh(lines) if rng.random() < 0.4 else lines


def _clean(drawn: Drawn, rng: np.random.Generator) -> Tensor:
    return _stroke(drawn.distance, rng.uniform(1.1, 2.0) * _unit(drawn))


def _thick(drawn: Drawn, rng: np.random.Generator) -> Tensor:
    return _stroke(drawn.distance, rng.uniform(2.4, 4.5) * _unit(drawn))


def _thin(drawn: Drawn, rng: np.random.Generator) -> Tensor:
    return _stroke(drawn.distance, rng.uniform(0.5, 0.9) * _unit(drawn)) * rng.uniform(0.6, 1.0)


def _binary(drawn: Drawn, rng: np.random.Generator) -> Tensor:
    return (drawn.distance < rng.uniform(0.5, 1.1) * _unit(drawn)).float()


def _broken(drawn: Drawn, rng: np.random.Generator) -> Tensor:
    gaps = noise(drawn.distance, rng, cells=float(rng.uniform(10, 24)))
    width = rng.uniform(1.0, 1.8) * _unit(drawn)
    whole = ((gaps - rng.uniform(-1.3, -0.7)) * 4).clamp(0, 1)
    return _stroke(drawn.distance, width) * whole


def _jitter(drawn: Drawn, rng: np.random.Generator) -> Tensor:
    height, width = drawn.distance.shape[-2:]
    reach = rng.uniform(0.5, 1.6) * _unit(drawn)
    shift = torch.cat([noise(drawn.distance, rng, cells=float(rng.uniform(6, 16))) for _ in "xy"], 1) * reach
    y, x = torch.meshgrid(
        torch.arange(height, device=shift.device), torch.arange(width, device=shift.device), indexing="ij"
    )
    grid = torch.stack([(x + 0.5 + shift[:, 0]) * (2 / width) - 1, (y + 0.5 + shift[:, 1]) * (2 / height) - 1], -1)
    moved = F.grid_sample(drawn.distance, grid, padding_mode="border", align_corners=False)
    return _stroke(moved, rng.uniform(1.0, 1.8) * _unit(drawn))


def _pencil(drawn: Drawn, rng: np.random.Generator) -> Tensor:
    unit = _unit(drawn)
    pressure = 1 + 0.35 * noise(drawn.distance, rng, cells=float(rng.uniform(5, 12)))
    grain = torch.from_numpy(rng.random((1, 1, *drawn.distance.shape[-2:]), np.float32)).to(drawn.distance)
    if rng.random() < 0.5:
        grain = (gaussian_blur(grain, 0.6) - 0.5) * 2 + 0.5
    soft = rng.uniform(0.5, 1.2) * unit
    stroke = torch.sigmoid((rng.uniform(0.7, 1.3) * unit * pressure - drawn.distance) / (0.35 * soft))
    return stroke * (1 - rng.uniform(0.3, 0.9) * grain) * rng.uniform(0.7, 1.1)


def _trace(drawn: Drawn, rng: np.random.Generator) -> Tensor:
    hand = (_clean, _binary, _thin)[int(rng.integers(3))]
    blurred = gaussian_blur(drawn.shade, 0.7 * _unit(drawn))
    border = (4 * blurred * (1 - blurred) - 0.3).relu() * 1.4
    if hand is _binary:
        border = (border > 0.4).float()
    return torch.maximum(hand(drawn, rng), border * rng.uniform(0.5, 1.0) if hand is not _binary else border)


_HANDS: dict[str, Callable[[Drawn, np.random.Generator], Tensor]] = {
    "soft": _soft,
    "clean": _clean,
    "binary": _binary,
    "thick": _thick,
    "thin": _thin,
    "broken": _broken,
    "jitter": _jitter,
    "pencil": _pencil,
    "trace": _trace,
}


def _unit(drawn: Drawn) -> float:
    """Line widths grow with the picture, though slower."""
    return float((drawn.distance.shape[-2] / 192) ** 0.6)


def _stroke(distance: Tensor, width: float) -> Tensor:
    """Coverage of a line of ``width`` pixels."""
    thin = min(1.0, width)
    return (max(width, 1.0) / 2 + 0.5 - distance).clamp(0, 1) * thin


def noise(like: Tensor, rng: np.random.Generator, *, cells: float) -> Tensor:
    """Smooth noise of about unit variance, ``T 1 H W``, another in every frame; ``cells`` of it in a frame's height."""
    frames, _, height, width = like.shape
    shape = (frames, 1, round(cells) + 2, round(cells * width / height) + 2)
    coarse = torch.from_numpy(rng.standard_normal(shape, np.float32)).to(like.device)
    return F.interpolate(coarse, (height, width), mode="bicubic", align_corners=False) * 1.3


def gaussian_blur(image: Tensor, sigma: float) -> Tensor:
    """Blur ``B C H W`` by a Gaussian of ``sigma`` pixels, edges repeated."""
    radius = max(1, round(2.6 * sigma))
    kernel = np.exp(-0.5 * (np.arange(radius + 1) / sigma) ** 2)
    kernel /= kernel[0] + 2 * kernel[1:].sum()
    for axis, pad in ((3, (radius, radius, 0, 0)), (2, (0, 0, radius, radius))):
        size, padded = image.shape[axis], F.pad(image, pad, mode="replicate")
        image = padded.narrow(axis, radius, size) * float(kernel[0])
        for step in range(1, radius + 1):
            image.add_(padded.narrow(axis, radius - step, size), alpha=float(kernel[step]))
            image.add_(padded.narrow(axis, radius + step, size), alpha=float(kernel[step]))
    return image
