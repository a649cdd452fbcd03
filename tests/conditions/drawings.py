"""A little scene, drawn once as lines and once as paint."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from celpaint.types import Array

SKY, GRASS, SKIN, HAIR, COAT = (
    (0.6, 0.8, 0.95),
    (0.4, 0.65, 0.3),
    (0.96, 0.8, 0.7),
    (0.35, 0.17, 0.12),
    (0.25, 0.28, 0.55),
)


@dataclass(frozen=True)
class Scene:
    """Coverage of the black lines and of the trace lines, ``H W``, and the paint under them, ``H W 3``."""

    line: Array
    trace: Array
    paint: Array

    def drawing(self, ink: tuple[float, ...] = (0, 0, 0), trace: tuple[float, ...] = (1, 0, 0)) -> Array:
        """On white paper."""
        paper = 1 - self.line - self.trace
        return (
            paper[..., None] + self.line[..., None] * np.float32(ink) + self.trace[..., None] * np.float32(trace)
        ).astype(np.float32)

    def painting(self) -> Array:
        """Painted, with black lines."""
        return self.paint * (1 - self.line[..., None])


def scene(height: int = 180, width: int = 320, pen: float = 1.5, soft: bool = True) -> Scene:
    """A head, a coat with a trace line for its shadow, a horizon."""
    fine = 4
    shape = (height * fine, width * fine)
    line, trace = np.zeros(shape, np.uint8), np.zeros(shape, np.uint8)
    paint = np.empty((*shape, 3), np.float32)
    paint[:] = SKY
    stroke = max(round(pen * fine), 1)

    def at(x: float, y: float) -> tuple[int, int]:
        return round(x * shape[1]), round(y * shape[0])

    def area(points: list[tuple[float, float]], color: tuple[float, ...]) -> None:
        polygon = np.array([at(*p) for p in points], np.int32)
        cv2.fillPoly(paint, [polygon], color)
        cv2.polylines(line, [polygon], True, 1, stroke)

    area([(-0.1, 0.72), (1.1, 0.68), (1.1, 1.1), (-0.1, 1.1)], GRASS)
    area([(0.4, 0.6), (0.6, 0.6), (0.68, 0.95), (0.32, 0.95)], COAT)
    radius = round(0.24 * shape[0])
    cv2.circle(paint, at(0.5, 0.38), radius, SKIN, -1)
    cv2.circle(line, at(0.5, 0.38), radius, 1, stroke)
    area([(0.36, 0.35), (0.4, 0.1), (0.5, 0.04), (0.6, 0.1), (0.64, 0.35), (0.5, 0.22)], HAIR)
    for x in (0.46, 0.54):
        cv2.circle(line, at(x, 0.4), round(0.03 * shape[0]), 1, stroke)
    cv2.line(trace, at(0.52, 0.64), at(0.54, 0.91), 1, stroke)

    def reduced(picture: Array) -> Array:
        size = (width, height)
        if not soft:
            return np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_NEAREST), np.float32)
        return np.asarray(cv2.resize(picture.astype(np.float32), size, interpolation=cv2.INTER_AREA), np.float32)

    black = reduced(line)
    return Scene(black, np.minimum(reduced(trace), 1 - black), reduced(paint))
