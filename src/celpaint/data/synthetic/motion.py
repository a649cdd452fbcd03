"""How drawings and cameras move: closed forms in time, so any frame can be asked for.

Lengths are in frame heights, the origin is the middle of the frame, x to the right, y down. A drawing fills the square
[-1, 1] x [-1, 1] of its own.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import torch

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["Bend", "Camera", "Path", "Swing", "Turn", "Warp", "Wave", "invert"]

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Swing:
    """``middle + drift t + sum of size sin(2 pi t / period + start)``."""

    middle: float
    drift: float
    size: Floats
    period: Floats
    start: Floats

    def __call__(self, t: Floats) -> Floats:
        waves = self.size * np.sin(2 * np.pi * t[:, None] / self.period + self.start)
        swung: Floats = self.middle + self.drift * t + waves.sum(1)
        return swung

    @classmethod
    def random(
        cls,
        rng: np.random.Generator,
        size: float,
        *,
        middle: float = 0.0,
        drift: float = 0.0,
        at: float = 0.0,
        period: tuple[float, float] = (16, 96),
    ) -> Swing:
        """About ``size`` to each side, at ``middle`` about time ``at``; slow swings are the larger."""
        periods = np.exp(rng.uniform(np.log(period[0]), np.log(period[1]), 2))
        sizes = size * rng.normal(0, 0.7, 2) * (periods / period[1]) ** 0.5
        return cls(middle - drift * at, drift, sizes, periods, rng.uniform(0, 2 * np.pi, 2))


@dataclass(frozen=True)
class Camera:
    """Pan, zoom and roll."""

    x: Swing
    y: Swing
    zoom: Swing
    roll: Swing

    def matrix(self, t: Floats, depth: float) -> Floats:
        """World at ``depth`` (0 infinitely far, 1 on the plane of the play) => frame, ``T 3 3``."""
        zoom, roll = np.exp(self.zoom(t) * (0.3 + 0.7 * depth)), self.roll(t)
        cos, sin = zoom * np.cos(roll), zoom * np.sin(roll)
        x, y = depth * self.x(t), depth * self.y(t)
        return _matrices(cos, -sin, sin, cos, -(cos * x - sin * y), -(sin * x + cos * y))

    @classmethod
    def random(cls, rng: np.random.Generator, speed: float, at: float) -> Camera:
        """Half of the cameras stand still; the others pan, and some zoom or roll too."""
        moves = rng.random(3) < np.array([0.5, 0.3, 0.15])
        pan = rng.normal(0, 0.006, 2) * np.array([1, 0.5]) * speed * moves[0]
        shake = 0.02 * speed * moves[0]
        return cls(
            Swing.random(rng, shake, drift=float(pan[0]), at=at),
            Swing.random(rng, shake, drift=float(pan[1]), at=at),
            Swing.random(rng, 0.06 * speed * moves[1], drift=float(rng.normal(0, 0.003)) * speed * moves[1], at=at),
            Swing.random(rng, 0.05 * speed * moves[2], at=at),
        )


@dataclass(frozen=True)
class Path:
    """Where a drawing is, how large, and how it leans, flips, squashes and shears."""

    x: Swing
    y: Swing
    size: Swing
    lean: Swing
    flip: Swing
    squash: Swing
    shear: Swing

    def matrix(self, t: Floats) -> Floats:
        """Drawing => world, ``T 3 3``."""
        size, lean, squash = np.exp(self.size(t)), self.lean(t), np.exp(self.squash(t))
        flip = np.cos(self.flip(t))
        flip = np.where(flip < 0, -1.0, 1.0) * np.abs(flip).clip(0.12)
        a, b = size * flip * squash, size * self.shear(t)
        d = size / squash
        cos, sin = np.cos(lean), np.sin(lean)
        return _matrices(cos * a, cos * b - sin * d, sin * a, sin * b + cos * d, self.x(t), self.y(t))

    @classmethod
    def random(cls, rng: np.random.Generator, size: float, x: float, y: float, speed: float, at: float) -> Path:
        """A drawing of half-height ``size`` that is near (x, y) about time ``at``."""
        lively = speed * rng.choice([0.0, 0.5, 1.0, 1.8], p=[0.12, 0.25, 0.43, 0.2])
        walk = rng.random() < 0.4
        drift = rng.normal(0, 0.009, 2) * np.array([1, 0.35]) * lively * walk
        turns = lively > 0 and rng.random() < 0.12
        return cls(
            Swing.random(rng, 0.09 * lively, middle=x, drift=float(drift[0]), at=at),
            Swing.random(rng, 0.06 * lively, middle=y, drift=float(drift[1]), at=at),
            Swing.random(rng, 0.12 * lively, middle=float(np.log(size)), drift=float(rng.normal(0, 0.002)) * lively),
            Swing.random(rng, 0.2 * lively, middle=float(rng.normal(0, 0.12))),
            Swing.random(
                rng,
                0.0 if turns else 0.25 * lively,
                middle=float(rng.choice([0, np.pi])),
                drift=float(rng.choice([-1, 1]) * rng.uniform(0.03, 0.12)) if turns else 0.0,
                at=at,
            ),
            Swing.random(rng, 0.08 * lively, period=(8, 48)),
            Swing.random(rng, 0.12 * lively, period=(12, 64)),
        )


@dataclass(frozen=True)
class Wave:
    """A standing wave through a drawing: ``q + push sin(k q + phase)``."""

    push: tuple[Swing, Swing]
    k: Floats
    phase: float

    def __call__(self, q: Tensor, t: Floats) -> Tensor:
        push = _column(q, [swing(t) for swing in self.push])
        wave = torch.sin(q[..., 0] * float(self.k[0]) + q[..., 1] * float(self.k[1]) + self.phase)
        return q + push * wave[..., None]


@dataclass(frozen=True)
class Bend:
    """What lies beyond a line through ``pivot`` turns about it: a limb, a head, a tail."""

    pivot: Floats
    across: Floats
    width: float
    angle: Swing

    def __call__(self, q: Tensor, t: Floats) -> Tensor:
        x, y = q[..., 0] - float(self.pivot[0]), q[..., 1] - float(self.pivot[1])
        beyond = ((x * float(self.across[0]) + y * float(self.across[1])) / self.width).clamp(0, 1)
        angle = beyond * beyond * (3 - 2 * beyond) * _column(q, [self.angle(t)])[..., 0]
        cos, sin = torch.cos(angle), torch.sin(angle)
        return torch.stack([cos * x - sin * y + float(self.pivot[0]), sin * x + cos * y + float(self.pivot[1])], -1)


@dataclass(frozen=True)
class Turn:
    """What lies inside a round form slides over it, its outline stays: a head that turns, a ball that rolls."""

    center: Floats
    radius: float
    slide: tuple[Swing, Swing]

    def __call__(self, q: Tensor, t: Floats) -> Tensor:
        x, y = q[..., 0] - float(self.center[0]), q[..., 1] - float(self.center[1])
        bump = (1 - (x * x + y * y) / self.radius**2).clamp(min=0)
        return q + _column(q, [swing(t) for swing in self.slide]) * bump[..., None]


@dataclass(frozen=True)
class Warp:
    """Some waves, bends and turns after one another; a map of points of the frame's drawing to the drawing at rest."""

    steps: tuple[Wave | Bend | Turn, ...]

    def __call__(self, q: Tensor, t: Floats) -> Tensor:
        """``T H W 2`` => ``T H W 2`` at times ``t``."""
        for step in self.steps:
            q = step(q, t)
        return q

    @classmethod
    def random(cls, rng: np.random.Generator, lively: float) -> Warp:
        steps: list[Wave | Bend | Turn] = []
        for _ in range(int(rng.integers(0, 3))):
            k = rng.normal(0, 2.2, 2)
            size = 0.07 * lively / max(1.0, float(np.hypot(*k)) / 2.5)
            steps.append(Wave((Swing.random(rng, size), Swing.random(rng, size)), k, rng.uniform(0, 2 * np.pi)))
        for _ in range(int(rng.integers(0, 3))):
            angle = rng.uniform(0, 2 * np.pi)
            steps.append(
                Bend(
                    rng.uniform(-0.35, 0.35, 2),
                    np.array([np.cos(angle), np.sin(angle)]),
                    rng.uniform(0.2, 0.6),
                    Swing.random(rng, 0.4 * lively, period=(12, 80)),
                )
            )
        if rng.random() < 0.4:
            radius = rng.uniform(0.5, 1.0)
            slide = 0.25 * radius * min(lively, 1.2)
            steps.append(
                Turn(
                    rng.uniform(-0.3, 0.3, 2),
                    radius,
                    (Swing.random(rng, slide, period=(16, 80)), Swing.random(rng, slide / 2, period=(16, 80))),
                )
            )
        return cls(tuple(steps))


def invert(matrices: Floats) -> Floats:
    """Inverse of affine matrices ``T 3 3``."""
    inverse: Floats = np.linalg.inv(matrices).astype(np.float64)
    return inverse


def _column(like: Tensor, values: list[Floats]) -> Tensor:
    """Values over time as ``T 1 1 C`` beside ``T H W C``."""
    return torch.from_numpy(np.stack(values, -1).astype(np.float32)).to(like.device)[:, None, None]


def _matrices(a: Floats, b: Floats, c: Floats, d: Floats, x: Floats, y: Floats) -> Floats:
    matrices = np.zeros((len(a), 3, 3))
    matrices[:, 0, 0], matrices[:, 0, 1], matrices[:, 0, 2] = a, b, x
    matrices[:, 1, 0], matrices[:, 1, 1], matrices[:, 1, 2] = c, d, y
    matrices[:, 2, 2] = 1
    return matrices
