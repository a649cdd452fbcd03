"""Figures redrawn in every frame: heads that turn, hair of strands, clothes, arms with hands, legs that walk.

Lengths are in half heads: a face reaches from -1 (crown) to 1 (chin), a figure stands about 12 tall. A figure's origin
is the middle of its head. No part of a figure is a moved picture: every outline is computed for the side it shows.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from celpaint.data.scripted.raster import Paint, affine, closed, curve, place, tube

if TYPE_CHECKING:
    from celpaint.data.scripted.raster import Cel, Floats, Points

__all__ = ["Arm", "Look", "Pose", "draw_figure", "paints"]

RGB = tuple[float, float, float]


@dataclass(frozen=True)
class Look:
    """How a figure is designed.

    Attributes:
        hair: length of the hair at the back, ``side`` of its side locks, ``fringe`` where the fringe ends, all as
            heights below the head's middle.
        strands: how many strands round the head; ``ragged``: how unequal they are, ``flare``: how far they stand off.
        tails: length of two tails of hair, 0 = none.
        shoulders: half width; ``slim``: half width of the waist.
        sleeve: share of the arm that is clothed.
        skirt: how far a skirt reaches below the waist, 0 = trousers.
        coat: whether a jacket is worn open over a shirt.
        scarf: whether a scarf or ribbon hangs from the neck.
        eye: size of the eyes.
        seed: of what makes strands unequal.
    """

    hair: float = 1.0
    side: float = 0.9
    fringe: float = -0.06
    strands: int = 26
    ragged: float = 0.12
    flare: float = 0.1
    tails: float = 0.0
    shoulders: float = 1.45
    slim: float = 0.95
    sleeve: float = 1.0
    skirt: float = 0.0
    coat: bool = True
    scarf: bool = False
    eye: float = 1.0
    seed: int = 0


@dataclass(frozen=True)
class Arm:
    """Angles from hanging straight down, in radians, outward positive.

    Attributes:
        open: spreads the fingers.
        near: how much longer and larger forearm and hand are seen, 0 = as they are, as when held toward the viewer.
    """

    shoulder: float = 0.15
    elbow: float = 0.1
    open: float = 0.3
    near: float = 0.0


@dataclass(frozen=True)
class Pose:
    """What a figure does in one frame.

    Attributes:
        yaw: radians the head is turned, 0 = to the viewer, positive to the viewer's right, pi = away.
        body: the same of the body; ``nod``, ``lean``: the head's and the body's tilt in the picture.
        sway: how far hair and cloth swing to the right, in radians; ``ripple``: phase of what runs through them.
        blink: 0 = eyes open, 1 = shut; ``mouth``: 0 = shut, 1 = open.
        step: phase of the walk; ``stride``: its size in radians, 0 = stands.
        light: toward the light, in half heads, as deep as shade reaches.
    """

    yaw: float = 0.0
    body: float = 0.0
    nod: float = 0.0
    lean: float = 0.0
    sway: float = 0.0
    ripple: float = 0.0
    blink: float = 0.0
    mouth: float = 0.0
    left: Arm = field(default_factory=Arm)
    right: Arm = field(default_factory=Arm)
    step: float = 0.0
    stride: float = 0.0
    light: tuple[float, float] = (0.13, -0.1)


def paints(
    hair: RGB, coat: RGB, *, skin: RGB, shirt: RGB, trim: RGB, legs: RGB, eyes: RGB, shade: RGB = (0.72, 0.66, 0.78)
) -> dict[str, Paint]:
    """The paint of every part; what is in shade is multiplied by ``shade``."""

    def dim(color: RGB, by: RGB = shade) -> RGB:
        return color[0] * by[0], color[1] * by[1], color[2] * by[2]

    def both(color: RGB, deep: float = 0.22) -> Paint:
        return Paint(color, dim(color), (color[0] * deep, color[1] * deep * 0.8, color[2] * deep * 0.9))

    blush = tuple(0.75 * s + 0.25 * b for s, b in zip(skin, (1.0, 0.42, 0.4), strict=True))
    shine = tuple(0.55 * h + 0.45 for h in hair)
    return {
        "back_hair": both(dim(hair, (0.8, 0.76, 0.84))),
        "skin": Paint(skin, dim(skin, (0.88, 0.72, 0.72)), (0.32, 0.15, 0.13)),
        "blush": Paint(blush, dim(blush, (0.88, 0.72, 0.72))),  # type: ignore[arg-type]
        "white": Paint((0.97, 0.97, 0.98), (0.78, 0.8, 0.88), (0.12, 0.08, 0.1)),
        "iris": Paint(eyes, dim(eyes, (0.45, 0.4, 0.5)), (0.1, 0.06, 0.1)),
        "pupil": Paint(dim(eyes, (0.3, 0.25, 0.35)), dim(eyes, (0.3, 0.25, 0.35))),
        "mouth": Paint((0.62, 0.22, 0.24), (0.5, 0.18, 0.2), (0.25, 0.08, 0.09)),
        "hair": both(hair),
        "shine": Paint(shine, hair),  # type: ignore[arg-type]
        "coat": both(coat),
        "lapel": both(dim(coat, (0.78, 0.76, 0.82))),
        "shirt": both(shirt, 0.4),
        "trim": both(trim),
        "legs": both(legs),
        "shoe": both(dim(legs, (0.45, 0.4, 0.4))),
    }


# -- the head ------------------------------------------------------------------------------------------------------

_TURNS = (0.0, 0.7, np.pi / 2)
"""Angles at which the outline of a face is known, in radians."""

_FACE = (
    ((0, -0.95), (0.5, -0.78), (0.74, -0.4), (0.78, -0.1), (0.77, 0.12), (0.735, 0.3), (0.685, 0.43), (0.6, 0.57),
     (0.46, 0.73), (0.24, 0.93), (0, 1.0), (-0.24, 0.93), (-0.46, 0.73), (-0.685, 0.43), (-0.77, 0.12), (-0.78, -0.1),
     (-0.74, -0.4), (-0.5, -0.78)),
    ((0.06, -0.95), (0.55, -0.78), (0.77, -0.42), (0.715, -0.08), (0.7, 0.06), (0.735, 0.24), (0.72, 0.38),
     (0.66, 0.52), (0.58, 0.7), (0.44, 0.91), (0.27, 0.985), (0.05, 0.92), (-0.25, 0.74), (-0.5, 0.46), (-0.62, 0.14),
     (-0.66, -0.1), (-0.66, -0.4), (-0.45, -0.78)),
    ((0.1, -0.95), (0.58, -0.78), (0.79, -0.42), (0.755, -0.1), (0.745, 0.04), (0.92, 0.28), (0.785, 0.36),
     (0.79, 0.5), (0.725, 0.6), (0.69, 0.86), (0.52, 0.96), (0.25, 0.86), (0.0, 0.68), (-0.12, 0.42), (-0.16, 0.14),
     (-0.2, -0.1), (-0.25, -0.4), (-0.2, -0.78)),
)  # fmt: skip
"""Outlines of a face turned to the right by those angles: crown, the side it faces, chin, and back."""

_LINE = 0.045
"""Width of a line, in half heads."""


def _facing(yaw: float) -> tuple[float, float]:
    """The angle a head is turned by, 0 ... pi, and the side it faces."""
    turned = (yaw + np.pi) % (2 * np.pi) - np.pi
    return abs(turned), 1.0 if turned >= 0 else -1.0


def _feature(angle: float) -> float:
    """How far features wander on a face turned by ``angle``."""
    return float(np.interp(angle, [0, 0.7, np.pi / 2, np.pi], [0, 0.42, 1.15, 2.9]))


def _face(angle: float) -> Points:
    keys = np.array(_FACE, np.float64)
    at = min(angle, np.pi / 2)
    return np.stack([[np.interp(at, _TURNS, keys[:, i, k]) for k in (0, 1)] for i in range(keys.shape[1])])


@dataclass(frozen=True)
class _Pen:
    """Draws in a figure's own lengths.

    Attributes:
        matrix: half heads => frame heights; ``name``: what its parts' names begin with.
    """

    cel: Cel
    matrix: Floats
    name: str
    light: tuple[float, float]

    @property
    def unit(self) -> float:
        return float(np.sqrt(abs(np.linalg.det(self.matrix[:2, :2]))))

    @property
    def line(self) -> float:
        """Lines grow with figures, though slower."""
        return float(np.clip(0.16 * self.unit**0.5 * _LINE, 0.0022, 0.006))

    def at(self, matrix: Floats) -> _Pen:
        return replace(self, matrix=self.matrix @ matrix)

    def fill(self, points: Points, part: str, *, outline: bool = True, shade: bool = True, within: str = "") -> None:
        toward = (self.light[0] * self.unit, self.light[1] * self.unit)
        self.cel.fill(
            place(self.matrix, points),
            self.name + part,
            outline=self.line if outline else 0.0,
            shade=toward if shade else None,
            within=[self.name + part for part in within.split()],
        )

    def outline(self, points: Points, part: str) -> None:
        self.cel.outline(place(self.matrix, points), self.name + part, 1.7 * self.line)

    def stroke(self, points: Points, weight: float = 1.0, *, part: str = "", within: str = "") -> None:
        names = [self.name + part for part in within.split()]
        self.cel.stroke(
            place(self.matrix, points), self.line * weight, part=self.name + part if part else "", within=names
        )

    def darken(self, points: Points, within: str) -> None:
        self.cel.darken(place(self.matrix, points), [self.name + part for part in within.split()])


@dataclass(frozen=True)
class _Strand:
    depth: float
    spine: Points
    half: Floats
    loose: int


def _strands(look: Look, pose: Pose) -> list[_Strand]:
    """All strands of hair, the hindmost first; ``depth`` is negative behind the head."""
    rng = np.random.default_rng((look.seed, 5))
    around = np.linspace(-np.pi, np.pi, look.strands, endpoint=False) + np.pi / look.strands
    around = around + rng.normal(0, 0.25 / look.strands, look.strands)
    uneven = rng.normal(0, look.ragged, look.strands)
    spread = rng.normal(0, 0.12, (look.strands, 2))
    angle, side = _facing(pose.yaw)
    turn = side * float(np.interp(angle, [0, 0.7, np.pi / 2, 2.2, np.pi], [0, 0.52, 1.42, 2.2, np.pi]))
    found = []
    for number, place_on in enumerate(around):
        at = place_on + turn
        x, depth = np.sin(at), np.cos(at)
        front = abs(place_on)
        if front < 0.95:
            tip = look.fringe - 0.06 * np.cos(3 * place_on)
        elif front < 1.2:
            tip = 0.5 * (look.fringe + look.side)
        elif front < 1.7:
            tip = look.side
        else:
            tip = look.hair
        tip += uneven[number] * (1.0 if front > 0.95 else 0.9)
        radius = (0.84 if front < 0.95 else 0.93) if depth > 0 else 0.97
        crown = np.array([0.12 * np.sin(turn) + 0.25 * x, -1.12 + 0.05 * abs(x)])
        bulge = np.array([radius * x, -0.5 + 0.06 * depth])
        fall = max(tip + 0.45, 0.2)
        hang = (look.flare * x + (0.35 if front > 0.95 else 1.1) * spread[number, 0]) * fall
        lag = pose.ripple - 0.9 * np.array([0.4, 0.7, 1.0])
        swing = pose.sway * (np.sin(lag) * 0.5 + 0.8) * fall * (0.55 if front < 0.95 else 1.0)
        shape = np.array([0.3, 0.65, 1.0])
        xs = bulge[0] + hang * shape**1.5 + swing * shape**1.6 - 0.06 * x * shape
        lift = 0.35 * np.abs(swing[-1]) * shape**2
        ys = -0.45 + fall * shape - lift
        spine = curve(np.stack([np.r_[crown[0], 0.72 * x, bulge[0], xs], np.r_[crown[1], -0.93, bulge[1], ys]], 1), 4)
        along = np.linspace(0, 1, len(spine))
        wide = 1.25 * np.pi / look.strands * (0.75 + 0.55 * max(depth, 0.0) + 0.3 * (front < 0.95))
        half = wide * np.minimum(1.0, 0.25 + 3.0 * along) * np.clip(4.5 * (1 - along), 0.04, 1.0) ** 0.75
        found.append(_Strand(float(depth), spine, half, len(spine) * 45 // 100))
    return sorted(found, key=lambda strand: strand.depth)


def _draw_strands(pen: _Pen, strands: list[_Strand], part: str) -> None:
    for strand in strands:  # what of these lines is not covered afterwards goes round the whole
        pen.outline(tube(strand.spine, strand.half), part)
    for strand in strands:
        outline = tube(strand.spine, strand.half)
        pen.fill(outline, part, outline=False, shade=part == "hair")
        n, loose = len(strand.spine), strand.loose
        pen.stroke(outline[loose:n], 0.9, part=part)
        pen.stroke(outline[n : 2 * n - loose], 0.9, part=part)


def _draw_head(pen: _Pen, look: Look, pose: Pose, strands: list[_Strand]) -> None:
    angle, side = _facing(pose.yaw)
    toward = pen.at(affine(flip=side < 0))
    toward = replace(toward, light=(pen.light[0] * side, pen.light[1]))
    away = angle > 2.1
    if not away:
        face = closed(_face(angle), 6)
        toward.fill(face, "skin")
        toward.fill(face, "skin", outline=False)
        if angle > 0.25:
            _draw_ear(toward, angle)
        _draw_face(toward, look, pose, angle)
    front = [strand for strand in strands if strand.depth > 0]
    fringe = [strand for strand in front if strand.spine[-1, 1] < 0.9]
    if not away:  # hair casts its shade on the face
        for strand in front:
            pen.darken(tube(strand.spine + np.array([-0.03, 0.11]), strand.half), "skin blush white")
    scalp = closed(
        np.array([[-0.97, -0.35], [-0.9, -0.75], [-0.5, -1.12], [0, -1.2], [0.5, -1.12], [0.9, -0.75], [0.97, -0.35],
                  [0.5, -0.52], [0, -0.56], [-0.5, -0.52]]), 6
    )  # fmt: skip
    pen.fill(scalp, "hair")
    _draw_strands(pen, front, "hair")
    _draw_shine(pen, look, pose, bool(fringe))


def _draw_shine(pen: _Pen, look: Look, pose: Pose, shown: bool) -> None:
    rng = np.random.default_rng((look.seed, 9))
    for at in np.cumsum(rng.uniform(0.12, 0.42, 9)) - 1.3:
        tall = 0.04 + 0.12 * rng.random()
        x, wide = 0.9 * np.sin(at + 0.3 * np.sin(pose.yaw)), 0.04 * np.cos(at) + 0.012
        y = -0.66 + 0.14 * np.sin(at) ** 2 + rng.normal(0, 0.02)
        if shown:
            spot = np.array([[x - wide, y], [x, y - tall], [x + wide, y], [x, y + tall]])
            pen.fill(spot, "shine", outline=False, shade=False, within="hair")


def _draw_ear(pen: _Pen, angle: float) -> None:
    x = float(np.interp(angle, [0, 0.7, np.pi / 2, np.pi], [-0.8, -0.6, -0.12, 0.6]))
    ear = closed(np.array([[0, -0.14], [-0.12, -0.2], [-0.19, -0.05], [-0.13, 0.16], [-0.03, 0.24], [0.03, 0.1]]))
    pen.fill(ear + np.array([x, 0.15]), "skin")
    pen.stroke(curve(np.array([[-0.13, -0.06], [-0.06, -0.08], [-0.07, 0.1]])) + np.array([x, 0.15]), 0.7)


def _draw_face(pen: _Pen, look: Look, pose: Pose, angle: float) -> None:
    """Eyes, brows, nose, mouth and blush of a face that is turned to the right by ``angle``."""
    turn = _feature(angle)
    for sign in (-1.0, 1.0):
        at = sign * 0.5 + turn
        if np.cos(at) > 0.12:
            wide = max(np.cos(at), 0.42)
            x = float(np.interp(angle, [0, 0.7, np.pi / 2], [0.74, 0.74, 0.82])) * np.sin(at)
            blush = closed(np.array([[-0.16, 0], [0, -0.07], [0.16, 0], [0, 0.07]])) * [wide, 1] + [x, 0.46]
            pen.fill(blush, "blush", outline=False, shade=False, within="skin")
            _draw_eye(pen.at(affine(x=x, y=0.17)), look, pose, 1.15 * wide, sign)
    x = 0.8 * np.sin(min(turn * 1.15, 1.4))
    if angle < 1.35:
        pen.stroke(curve(np.array([[x + 0.02, 0.36], [x + 0.05, 0.44], [x - 0.01, 0.46]])), 0.7)
    x, wide = 0.76 * np.sin(min(turn * 1.05, 1.3)), 0.17 * max(np.cos(turn), 0.4)
    if pose.mouth > 0.12:
        tall = 0.2 * pose.mouth
        lips = np.array([[-wide, 0], [0, -0.03], [wide, 0], [0.6 * wide, tall], [-0.6 * wide, tall]])
        pen.fill(closed(lips) + np.array([x, 0.66]), "mouth", shade=False, within="skin")
    else:
        pen.stroke(curve(np.array([[x - wide, 0.67], [x, 0.69], [x + wide, 0.66]])), 0.9, within="skin")


def _draw_eye(pen: _Pen, look: Look, pose: Pose, wide: float, sign: float) -> None:
    half, tall = 0.21 * wide * look.eye, 0.21 * look.eye * (1 - pose.blink)
    lid = np.array(
        [[-half, 0.04 - 0.25 * tall], [-0.45 * half, -0.8 * tall], [0.35 * half, -0.85 * tall], [half, -0.1 * tall]]
    )
    if sign < 0:
        lid = lid[::-1] * [-1, 1]
    if pose.blink < 0.75:
        low = np.array([[0.6 * half, 0.7 * tall], [0, 0.95 * tall], [-0.6 * half, 0.7 * tall]])
        white = closed(np.concatenate([lid, low]))
        pen.fill(white, "white", outline=False, shade=False)
        pen.darken(np.concatenate([lid, lid[::-1] + np.array([0, 0.09])]), "white")
        round_ = np.stack([np.cos(np.linspace(0, 2 * np.pi, 25)), np.sin(np.linspace(0, 2 * np.pi, 25))], 1)
        gaze = 0.1 * half * np.sin(pose.yaw)
        iris = round_ * [0.14 * look.eye * min(wide, 1.0), 0.2 * look.eye] + [gaze, 0.0]
        pen.fill(iris, "iris", outline=True, shade=False, within="white")
        pen.darken(iris * [1, 0.5] + [0, -0.1 * look.eye], "iris")
        pen.fill(iris * 0.5, "pupil", outline=False, shade=False, within="iris")
        shine = round_ * [0.045 * look.eye * min(wide, 1.0), 0.06 * look.eye] + [gaze - 0.05, -0.08 * look.eye]
        pen.fill(shine, "white", outline=False, shade=False, within="iris pupil white")
    top = lid if pose.blink < 0.75 else lid * [1, -1] + [0, 0.06]
    pen.stroke(curve(top), 2.6)
    pen.stroke(curve(top[1:3] * [1.1, 1] + [0, -0.09]), 0.6)
    brow = np.array([[-half, -0.36], [0, -0.43], [half, -0.37]]) * [1, look.eye**0.5]
    pen.stroke(curve(brow), 1.3)


# -- the body ------------------------------------------------------------------------------------------------------


def draw_figure(cel: Cel, name: str, matrix: Floats, look: Look, pose: Pose) -> None:
    """Draw a figure.

    Args:
        name: what its parts' names begin with in the palette.
        matrix: ``3 3``, half heads round the middle of its head => frame heights.
    """
    pen = _Pen(cel, matrix, name, pose.light)
    neck = affine(x=0.0, y=1.0)
    body = pen.at(affine(turn=pose.lean, y=1.0) @ affine(y=-1.0))
    head = pen.at(neck @ affine(turn=pose.nod + pose.lean) @ affine(y=-1.0))
    strands = _strands(look, pose)
    behind = [strand for strand in strands if strand.depth <= 0]
    angle, side = _facing(pose.body)
    away = angle > 2.1
    wide = 1 - 0.42 * np.sin(min(angle, np.pi - angle))
    far, near = (pose.left, pose.right) if side > 0 else (pose.right, pose.left)
    far_sign = 1.0 if side > 0 else -1.0  # the arm away from the viewer is on the side that the body faces
    if not away:
        _draw_tails(head, look, pose)
        back = closed(np.array([[-0.95, -0.4], [-0.5, -1.1], [0.5, -1.1], [0.95, -0.4], [0.85, 0.45], [-0.85, 0.45]]))
        head.fill(back, "back_hair", outline=False)
        _draw_strands(head, behind, "back_hair")
    if angle > 0.5:
        _draw_arm(body, look, far, far_sign * look.shoulders * wide, far_sign)
    _draw_legs(body, look, pose, wide, side)
    _draw_torso(body, look, pose, wide, side * np.sin(min(angle, np.pi)), away)
    if look.skirt:
        _draw_skirt(body, look, pose, max(look.slim * 1.12 * wide, 0.7))
    if angle <= 0.5:
        _draw_arm(body, look, far, far_sign * look.shoulders * wide, far_sign)
    if not _raised(near):
        _draw_arm(body, look, near, -far_sign * look.shoulders * wide, -far_sign)
    _draw_head(head, look, pose, strands)
    if away:
        _draw_strands(head, [s for s in strands if s.depth > 0], "hair")
        _draw_tails(head, look, pose)
    if _raised(near):
        _draw_arm(body, look, near, -far_sign * look.shoulders * wide, -far_sign)


def _raised(arm: Arm) -> bool:
    """Whether a hand may come before the face."""
    return abs(arm.shoulder) + abs(arm.elbow) > 2.2


def _draw_tails(pen: _Pen, look: Look, pose: Pose) -> None:
    if not look.tails:
        return
    for sign in (-1.0, 1.0):
        root = np.array([sign * 0.92 * np.cos(min(_facing(pose.yaw)[0], 1.2)), -0.35])
        along = np.linspace(0, 1, 9)
        swing = pose.sway * 1.2 * along**1.4 * look.tails * (1 + 0.3 * np.sin(pose.ripple - 2 * along))
        spine = root + np.stack([sign * 0.45 * np.sin(along * 2.2) + swing, look.tails * along], 1)
        pen.fill(tube(spine, 0.28 * np.clip(np.sin(np.pi * (0.12 + 0.88 * along)) ** 0.6, 0.02, 1)), "hair")
        pen.stroke(spine[1:7] + np.array([0.06, 0]), 0.7)
        pen.fill(closed(np.array([[-0.14, 0], [0, -0.12], [0.14, 0], [0, 0.12]])) + root, "trim")


def _draw_torso(pen: _Pen, look: Look, pose: Pose, wide: float, turn: float, away: bool) -> None:
    """Neck, chest and clothes; ``turn`` is the sine of the body's angle."""
    w, s = look.shoulders * wide, look.slim * wide
    shift = 0.25 * turn
    pen.fill(np.array([[-0.3, 0.5], [0.3, 0.5], [0.36, 1.5], [-0.36, 1.5]]) + np.array([0.1 * turn, 0]), "skin")
    chin = closed(np.array([[-0.8, 0.4], [0.8, 0.4], [0.45, 1.15], [0, 1.3], [-0.45, 1.15]]))
    pen.darken(chin, "skin")
    hips = max(s * 1.12, 0.7)
    outline = np.array(
        [[-0.33, 1.2], [-0.7 * w, 1.38], [-w, 1.62], [-w * 0.98, 2.4], [-s, 3.7], [-hips, 4.8], [-hips, 5.6],
         [hips, 5.6], [hips, 4.8], [s, 3.7], [w * 0.98, 2.4], [w, 1.62], [0.7 * w, 1.38], [0.33, 1.2]]
    )  # fmt: skip
    main = "coat" if look.coat else "shirt"
    pen.fill(np.concatenate([curve(outline[:7], 5), curve(outline[7:], 5)]), main)
    if not away:
        _draw_front(pen, look, pose, w, s, hips, shift)
    for sign in (-1.0, 1.0):
        pen.stroke(curve(np.array([[sign * w * 0.8, 2.3], [sign * w * 0.6, 2.9], [sign * s * 0.75, 3.2]])), 0.8)
        pen.stroke(curve(np.array([[sign * s * 0.9, 3.9], [sign * s * 0.5, 4.1], [sign * 0.2 * s, 4.05]])), 0.7)


def _draw_front(pen: _Pen, look: Look, pose: Pose, w: float, s: float, hips: float, shift: float) -> None:
    x = shift * w
    if look.coat:
        opening = np.array([[-0.34, 1.22], [0.34, 1.22], [x + 0.12, 3.0], [x + 0.02, 3.2], [x - 0.12, 3.0]])
        pen.fill(opening, "shirt")
        pen.fill(
            np.array([[x - 0.1, 1.6], [x + 0.1, 1.6], [x + 0.17, 2.7], [x, 2.95], [x - 0.17, 2.7]]),
            "trim",
            within="shirt",
        )
        for sign in (-1.0, 1.0):
            lapel = np.array(
                [[sign * 0.34, 1.12], [sign * 0.62 * w, 1.45], [sign * 0.5 * w, 2.0], [x + sign * 0.1, 3.15]]
            )
            pen.fill(lapel, "lapel")
        pen.stroke(np.array([[x, 3.15], [x, 4.4], [x + 0.03, 5.6]]))
        pen.fill(
            np.array([[-1.2 * s, 4.55], [-0.5 * s, 4.5], [-0.5 * s, 4.66], [-1.2 * s, 4.72]]), "trim", within="coat"
        )
    else:
        pen.fill(np.array([[-0.4, 1.12], [0.4, 1.12], [x + 0.05, 1.75], [x - 0.05, 1.75]]), "skin", within="shirt")
        for sign in (-1.0, 1.0):
            pen.fill(np.array([[sign * 0.3, 1.05], [sign * 0.62, 1.35], [x + sign * 0.3, 1.95], [x, 1.66]]), "trim")
        band = np.array([[-w, 2.75], [w, 2.75], [w, 3.15], [-w, 3.15]])
        pen.fill(band, "lapel", within="shirt")
    if look.scarf:
        along = np.linspace(0, 1, 8)
        swing = pose.sway * 1.6 * along**1.5 + 0.12 * along * np.sin(pose.ripple - 3 * along)
        for sign in (-1.0, 1.0):
            spine = np.stack([x + sign * 0.12 + (sign * 0.25 + swing) * along, 1.45 + 1.7 * along], 1)
            pen.fill(tube(spine, 0.14 + 0.12 * along), "trim")
        knot = closed(np.array([[-0.62, 1.18], [0, 1.02], [0.62, 1.18], [0.5, 1.5], [0, 1.68], [-0.5, 1.5]]))
        pen.fill(knot + np.array([0.5 * x, 0]), "trim")


def _draw_arm(pen: _Pen, look: Look, arm: Arm, shoulder: float, sign: float) -> None:
    root = np.array([shoulder * 0.88, 1.62])
    first, second = arm.shoulder, arm.shoulder + arm.elbow
    elbow = root + 1.95 * np.array([sign * np.sin(first), np.cos(first)])
    wrist = elbow + 1.6 * (1 + arm.near) * np.array([sign * np.sin(second), np.cos(second)])
    _draw_hand(pen.at(affine(1 + arm.near, -sign * second, wrist[0], wrist[1])), arm.open, sign)
    spine = curve(np.stack([root, 0.5 * (root + elbow), elbow, 0.5 * (elbow + wrist), wrist]), 6)
    along = np.linspace(0, 1, len(spine))
    grown = 1 + arm.near * along
    _draw_limb(pen, spine, np.interp(along, [0, 0.1, 0.45, 0.55, 1], [0.2, 0.36, 0.29, 0.29, 0.19]) * grown, "skin")
    if look.sleeve > 0:
        some = max(4, round(len(spine) * look.sleeve))
        loose = np.interp(along, [0, 0.04, 0.12, 0.5, 1], [0.2, 0.38, 0.47, 0.4, 0.37]) * grown
        _draw_limb(pen, spine[:some], loose[:some], "coat" if look.coat else "shirt")
        pen.fill(tube(spine[some - 3 : some], loose[some - 3 : some] + 0.02), "lapel")
        if look.sleeve > 0.6:
            fold = np.array([[-0.3, 0], [0, 0.06], [0.12, -0.04]]) * [sign, 1]
            pen.stroke(curve(fold + elbow), 0.8)
            pen.stroke(curve(fold * 0.7 + elbow + [0, 0.18]), 0.7)


def _draw_limb(pen: _Pen, spine: Points, half: Floats, part: str) -> None:
    """A band that may bend sharply at its middle: two bands and a disc with one outline."""
    bend = 12
    shapes = [tube(spine[: bend + 1], half[: bend + 1])]
    if len(spine) > bend + 2:
        angle = np.linspace(0, 2 * np.pi, 24, endpoint=False)
        disc = spine[bend] + half[bend] * np.stack([np.cos(angle), np.sin(angle)], 1)
        shapes += [tube(spine[bend:], half[bend:]), disc]
    for shape in shapes:
        pen.outline(shape, part)
    for shape in shapes[:2]:
        pen.fill(shape, part, outline=False)
    for shape in shapes[2:]:
        pen.fill(shape, part, outline=False, shade=False)


def _draw_hand(pen: _Pen, spread: float, sign: float) -> None:
    """A hand that hangs down from its wrist."""
    for finger in (1.5, 0.5, -0.5, -1.5):
        angle = finger * 0.26 * spread
        long = 0.5 - 0.05 * abs(finger - 0.3)
        base = np.array([0.085 * finger, 0.42])
        tip = base + long * (0.55 + 0.45 * min(1.0, spread + 0.3)) * np.array([np.sin(angle), np.cos(angle)])
        pen.fill(_finger(base, tip), "skin")
    palm = closed(np.array([[-0.17, -0.05], [0.17, -0.05], [0.2, 0.3], [0.16, 0.5], [-0.16, 0.5], [-0.2, 0.3]]))
    pen.fill(palm, "skin")
    pen.fill(closed(np.array([[-0.13, 0.3], [0.13, 0.3], [0.14, 0.52], [-0.14, 0.52]])), "skin", outline=False)
    out = np.array([-sign * np.sin(0.5 + 0.5 * spread), np.cos(0.5 + 0.5 * spread)])
    thumb = np.array([-sign * 0.13, 0.16])
    pen.fill(_finger(thumb, thumb + 0.42 * out), "skin")


def _finger(base: Points, tip: Points) -> Points:
    along = np.linspace(0, 1, 7)[:, None]
    return tube(base + (tip - base) * along, np.array([0.08, 0.08, 0.078, 0.075, 0.07, 0.055, 0.02]))


def _draw_legs(pen: _Pen, look: Look, pose: Pose, wide: float, side: float) -> None:
    hips = max(look.slim * 1.12 * wide, 0.7)
    for sign in (side, -side):
        swing = pose.stride * np.sin(pose.step + (0 if sign > 0 else np.pi))
        bend = pose.stride * max(0.0, np.sin(pose.step + (0 if sign > 0 else np.pi) - 1.2)) + 0.03
        root = np.array([sign * 0.48 * hips, 5.3])
        knee = root + 2.5 * np.array([side * np.sin(swing), np.cos(swing)])
        foot = knee + 2.6 * np.array([side * np.sin(swing - 1.3 * bend), np.cos(swing - 1.3 * bend)])
        spine = curve(np.stack([root, 0.5 * (root + knee), knee, 0.5 * (knee + foot), foot]), 6)
        along = np.linspace(0, 1, len(spine))
        shoe = np.array([[-0.22, -0.2], [0.2, -0.2], [0.3, 0.1], [0.62, 0.22], [0.62, 0.36], [-0.24, 0.36]])
        pen.fill(closed(shoe * [side if abs(wide - 1) > 0.05 else sign, 1]) + foot, "shoe")
        part = "skin" if look.skirt else "legs"
        pen.fill(tube(spine, np.interp(along, [0, 0.5, 1], [0.5, 0.34, 0.23])), part)
        if look.skirt:
            pen.fill(tube(spine[-9:], np.interp(along[-9:], [0.6, 1], [0.32, 0.25])), "legs")
        else:
            pen.stroke(curve(np.array([[-0.25, 0.05], [0.05, 0.12], [0.2, 0.04]]) + knee), 0.7)


def _draw_skirt(pen: _Pen, look: Look, pose: Pose, hips: float) -> None:
    count = 7
    x = np.linspace(-1, 1, 2 * count + 1)
    swing = pose.sway * 0.8 + 0.25 * pose.stride * np.sin(2 * pose.step)
    hem_x = x * (hips + 0.55 * look.skirt) + swing * look.skirt + 0.06 * np.sin(4 * x + pose.ripple)
    hem_y = 4.3 + look.skirt + 0.12 * np.cos(np.arange(2 * count + 1) * np.pi) * 0.6 + 0.1 * np.sin(3 * x - pose.ripple)
    top = np.stack([x[::-1] * hips * 1.02, np.full(2 * count + 1, 4.3)], 1)
    hem = np.stack([hem_x, hem_y], 1)
    pen.fill(np.concatenate([hem, top]), "lapel")
    for fold in range(1, 2 * count, 2):
        high = np.array([x[fold] * hips * 1.02, 4.3])
        pen.darken(np.stack([high, hem[fold], hem[fold + 1]]), "lapel")
        pen.stroke(np.stack([high + 0.15 * (hem[fold] - high), hem[fold]]), 0.8)
