"""Jointed figures: bodies drawn on the spot whose limbs turn about their joints, so every point of them is known.

A figure stands in the square [-1, 1] x [-1, 1], y down, its hips near the middle. A body is a tree of parts; each part
is one cel in a square of its own, laid over those behind it. Where two parts join there is no line.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np
import numpy.typing as npt

from celpaint.data.synthetic.art import COLORS, flat_lines
from celpaint.data.synthetic.colors import random_color
from celpaint.data.synthetic.motion import Floats, Swing

if TYPE_CHECKING:
    from numpy import uint8

    from celpaint.data.synthetic.colors import Colors

__all__ = ["Part", "Puppet"]

_SIZE = 128
_SKIN, _SHIRT, _TROUSERS, _SHOES, _TRIM = 1, 2, 3, 4, 5


@dataclass(frozen=True)
class Part:
    """One part at given times.

    Attributes:
        cel: ``128 128`` region numbers and lines; None where the figure's head belongs.
        matrix: the part's square => the figure's, ``T 3 3``.
    """

    cel: npt.NDArray[uint8] | None
    matrix: Floats


@dataclass(frozen=True)
class Puppet:
    """One figure: its build, its clothes and how it moves.

    Attributes:
        palette: ``64 3``.
        girth: half the width of an arm.
        head: half the height of the head.
        arm: length of the upper and of the lower arm; ``leg`` likewise.
        torso: length, half width at the shoulders and at the hips.
        skirt: how far it reaches down the legs; 0 = trousers.
        sleeves: share of the arm that is clothed.
        angles: name of a joint => how it swings, radians.
        trim: what the shirt has: none, a stripe, a belt or buttons.
    """

    palette: Colors
    girth: float
    head: float
    arm: tuple[float, float]
    leg: tuple[float, float]
    torso: tuple[float, float, float]
    skirt: float
    sleeves: float
    angles: dict[str, Swing]
    trim: int

    @classmethod
    def random(cls, rng: np.random.Generator, lively: float) -> Puppet:
        palette = np.zeros((COLORS, 3), np.float32)
        palette[1:6] = random_color(rng, 5)
        head, torso = rng.uniform(0.18, 0.36), rng.uniform(0.4, 0.55)
        leg, arm = rng.uniform(0.33, 0.45, 2), rng.uniform(0.22, 0.34, 2)
        if rng.random() < 0.5:  # walking or running: legs in turn, arms against them
            period, stride = rng.uniform(14, 32), rng.uniform(0.25, 0.8)
            start = rng.uniform(0, 2 * np.pi)
            steady = {"hip": 0.0, "hip2": np.pi, "shoulder": np.pi, "shoulder2": 0.0}
            angles = {
                name: _beat(stride * (1 if "hip" in name else 0.8), period, start + late)
                for name, late in steady.items()
            }
            angles["knee"] = _beat(0.5 * stride, period, start - 1.2, middle=0.5 * stride)
            angles["knee2"] = _beat(0.5 * stride, period, start + np.pi - 1.2, middle=0.5 * stride)
            angles["elbow"] = _beat(0.3 * stride, period, start, middle=-rng.uniform(0.2, 1.4))
            angles["elbow2"] = _beat(0.3 * stride, period, start + np.pi, middle=-rng.uniform(0.2, 1.4))
        else:
            sizes = {"hip": 0.25, "knee": 0.35, "shoulder": 0.9, "elbow": 0.8}
            angles = {}
            for name, size in sizes.items():
                rest = {"hip": 0.12, "knee": 0.1, "shoulder": rng.uniform(0.2, 1.6), "elbow": rng.uniform(-1.2, 0.6)}[
                    name
                ]
                for side, sign in (("", 1.0), ("2", -1.0)):
                    swing = Swing.random(rng, size * lively, middle=sign * rest, period=(12, 72))
                    angles[name + side] = swing
        angles["lean"] = Swing.random(rng, 0.15 * lively, middle=float(rng.normal(0, 0.08)), period=(16, 72))
        angles["nod"] = Swing.random(rng, 0.2 * lively, middle=float(rng.normal(0, 0.08)), period=(12, 72))
        shoulders = rng.uniform(0.14, 0.24)
        return cls(
            palette=palette,
            girth=float(rng.uniform(0.045, 0.085)),
            head=float(head),
            arm=(float(arm[0]), float(arm[1])),
            leg=(float(leg[0]), float(leg[1])),
            torso=(float(torso), float(shoulders), float(shoulders * rng.uniform(0.65, 1.1))),
            skirt=float(rng.uniform(0.3, 0.9)) if rng.random() < 0.3 else 0.0,
            sleeves=float(rng.choice([0.0, 0.5, 1.0])),
            angles=angles,
            trim=int(rng.integers(4)),
        )

    def parts(self, t: Floats) -> list[Part]:
        """All parts at times ``t``, the hindmost first."""
        turn = {name: swing(t) for name, swing in self.angles.items()}
        length, shoulders, hips = self.torso
        hip = _move(0.0, 0.12) @ _turn(turn["lean"])
        neck = hip @ _move(0.0, -length)
        thick = 1.35 * self.girth
        arms, legs = [], []
        for side, sign in (("", 1.0), ("2", -1.0)):
            shoulder = neck @ _move(sign * (shoulders - 0.4 * self.girth), 0.06) @ _turn(-turn["shoulder" + side])
            elbow = shoulder @ _move(0.0, self.arm[0]) @ _turn(-turn["elbow" + side])
            sleeve = _SHIRT if self.sleeves > 0 else _SKIN
            lower = _SHIRT if self.sleeves == 1 else _SKIN
            arms.append(
                [
                    _limb(elbow, self.arm[1], self.girth, 0.85 * self.girth, lower, _SKIN, joined=False),
                    _limb(shoulder, self.arm[0], 1.1 * self.girth, self.girth, sleeve, 0, joined=True),
                ]
            )
            foot = sign * (hips - 0.8 * thick)
            thigh = _move(foot, 0.1) @ _turn(-turn["hip" + side])
            knee = thigh @ _move(0.0, self.leg[0]) @ _turn(turn["knee" + side])
            cloth = _SKIN if self.skirt else _TROUSERS
            legs.append(
                [
                    _limb(knee, self.leg[1], thick, 0.8 * thick, cloth, _SHOES, joined=False),
                    _limb(thigh, self.leg[0], 1.2 * thick, thick, cloth, 0, joined=True),
                ]
            )
        body = Part(self._body(), hip @ _move(0.0, -length / 2) @ _scale(0.62))
        face = Part(None, neck @ _turn(turn["nod"]) @ _move(0.0, -0.8 * self.head) @ _scale(self.head))
        return [*arms[0], *legs[0], *legs[1], body, face, *arms[1]]

    def _body(self) -> npt.NDArray[uint8]:
        """Torso, and skirt or hips, with what the shirt has on it; half a side of the square is 0.62."""
        length, shoulders, hips = self.torso
        canvas = np.zeros((_SIZE, _SIZE), np.uint8)

        def fill(number: int, *corners: tuple[float, float]) -> None:
            points = (np.array(corners) / 0.62 + 1) * _SIZE / 2
            cv2.fillPoly(canvas, [np.round(points * 16).astype(np.int32)], number, shift=4)

        top, bottom = -length / 2, length / 2
        reach = bottom + (self.skirt * 0.28 if self.skirt else 0.04)
        flare = hips * (1 + 0.7 * self.skirt)
        fill(_TROUSERS, (-hips, bottom - 0.1), (hips, bottom - 0.1), (flare, reach), (-flare, reach))
        waist = bottom - 0.06
        fill(
            _SHIRT,
            (-shoulders * 0.5, top - 0.02),
            (shoulders * 0.5, top - 0.02),
            (shoulders, top + 0.06),
            (hips, waist),
            (-hips, waist),
            (-shoulders, top + 0.06),
        )
        if self.trim == 1:
            middle = shoulders * 0.95
            fill(
                _TRIM,
                (-middle, top + 0.14),
                (middle, top + 0.14),
                (middle * 0.97, top + 0.22),
                (-middle * 0.97, top + 0.22),
            )
        elif self.trim == 2:
            fill(_TRIM, (-hips, waist - 0.03), (hips, waist - 0.03), (hips, waist + 0.02), (-hips, waist + 0.02))
        elif self.trim == 3:
            for button in np.linspace(top + 0.1, waist - 0.06, 3):
                fill(_TRIM, (-0.02, button), (0, button - 0.02), (0.02, button), (0, button + 0.02))
        fill(_SKIN, (-0.07, top - 0.1), (0.07, top - 0.1), (0.05, top + 0.03), (-0.05, top + 0.03))
        return flat_lines(canvas)


def _limb(joint: Floats, length: float, start: float, end: float, number: int, tip: int, *, joined: bool) -> Part:
    """A limb that hangs from ``joint``, half as wide as ``start`` above and ``end`` below, with a hand or foot.

    Args:
        tip: region number of the hand or foot; 0 = none.
        joined: whether another part goes on at its end: there is no line at its ends then, else only at the first.
    """
    half = length / 2 + 1.8 * start
    scale = _SIZE / 2 / half
    canvas = np.zeros((_SIZE, _SIZE), np.uint8)
    top, bottom = _SIZE / 2 - length / 2 * scale, _SIZE / 2 + length / 2 * scale
    middle = _SIZE / 2

    def dot(y: float, radius: float, value: int) -> None:
        cv2.circle(canvas, (round(middle * 16), round(y * 16)), round(radius * scale * 16), value, -1, shift=4)

    dot(top, start, number)
    dot(bottom, end, number)
    sides = [[middle - start * scale, top], [middle + start * scale, top]]
    sides += [[middle + end * scale, bottom], [middle - end * scale, bottom]]
    cv2.fillPoly(canvas, [np.round(np.array(sides) * 16).astype(np.int32)], number, shift=4)
    if tip:
        dot(bottom, 1.25 * end, tip)
    cel = flat_lines(canvas)
    bare = canvas.copy()
    rows = np.arange(_SIZE)
    open_rows = rows < top + 0.3 * start * scale
    if joined:
        open_rows |= rows > bottom - 0.3 * end * scale
    cel[open_rows] = bare[open_rows]
    return Part(cel, joint @ _move(0.0, length / 2) @ _scale(half))


def _beat(size: float, period: float, start: float, middle: float = 0.0) -> Swing:
    """A steady swing."""
    return Swing(middle, 0.0, np.array([size]), np.array([period]), np.array([start]))


def _turn(angle: Floats) -> Floats:
    matrices = np.zeros((len(angle), 3, 3))
    matrices[:, 0, 0], matrices[:, 0, 1] = np.cos(angle), -np.sin(angle)
    matrices[:, 1, 0], matrices[:, 1, 1] = np.sin(angle), np.cos(angle)
    matrices[:, 2, 2] = 1
    return matrices


def _move(x: float, y: float) -> Floats:
    return np.array([[1, 0, x], [0, 1, y], [0, 0, 1.0]])


def _scale(size: float) -> Floats:
    return np.diag([size, size, 1.0])
