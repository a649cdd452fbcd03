"""Jointed figures for many clips at once: bodies, hair and clothes as parts, and where each part is at what time.

A figure stands in the square [-1, 1] x [-1, 1], y down, its hips near the middle. Bodies are those of
:mod:`celpaint.data.synthetic.puppets`; here they get hair that hangs behind and before the head and skirts that swing,
and their poses are worked out for a whole batch of clips.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np
import numpy.typing as npt

from celpaint.data.synthetic.art import flat_lines
from celpaint.data.synthetic.puppets import Puppet

if TYPE_CHECKING:
    from numpy import uint8

    Floats = npt.NDArray[np.float64]

__all__ = ["BODY", "COUNT", "HAIR", "HEAD", "ORDER", "Build", "pose"]

ORDER = (
    "back_hair",
    "far_forearm",
    "far_arm",
    "far_shin",
    "far_thigh",
    "shin",
    "thigh",
    "body",
    "skirt",
    "head",
    "lock_left",
    "lock_right",
    "fringe",
    "forearm",
    "arm",
)
"""Parts of a figure, the hindmost first."""

COUNT = len(ORDER)
BODY, HEAD = ORDER.index("body"), ORDER.index("head")

HAIR, SKIRT, FOLD = 6, 7, 8
"""Region numbers beside the body's own (1 skin, 2 shirt, 3 trousers, 4 shoes, 5 trim)."""

_SIZE = 128


@dataclass(frozen=True)
class Build:
    """Measures of one figure, in half heights of its square.

    Attributes:
        puppet: body and limbs.
        hair: length of the hair below the head's middle, in half heights of the head.
        volume: half width of the hair, likewise.
        strand: half width of a lock of hair at its root, likewise.
        hem: how far a skirt reaches below the hips; 0 = none.
        flare: half width of its hem.
    """

    puppet: Puppet
    hair: float
    volume: float
    strand: float
    hem: float
    flare: float
    seed: int

    @classmethod
    def random(cls, rng: np.random.Generator) -> Build:
        """A build as animation shows them: large heads, much hair."""
        puppet = Puppet.random(rng, 1.0)
        hips = puppet.torso[2]
        return cls(
            puppet=puppet,
            hair=float(rng.uniform(0.4, 3.2)),
            volume=float(rng.uniform(0.85, 1.4)),
            strand=float(rng.uniform(0.12, 0.34)),
            hem=float(rng.uniform(0.25, 0.8)) if rng.random() < 0.5 else 0.0,
            flare=float(hips * rng.uniform(1.2, 2.4)),
            seed=int(rng.integers(2**31)),
        )

    def cels(self) -> list[npt.NDArray[uint8]]:
        """Region numbers and lines of every part, in the order of :data:`ORDER`; the head is blank."""
        rng = np.random.default_rng(self.seed)
        arm, fore, *legs, body, _, front_fore, front_arm = _body_cels(self.puppet)
        blank = np.zeros((_SIZE, _SIZE), np.uint8)
        return [
            self._mass(rng),
            arm,
            fore,
            *legs,
            body,
            self._skirt(rng) if self.hem else blank,
            blank,
            *(_strand(rng) for _ in range(3)),
            front_fore,
            front_arm,
        ]

    def _mass(self, rng: np.random.Generator) -> npt.NDArray[uint8]:
        """Hair behind the head: a cap that hangs down in strands; the square's middle is the head's."""
        reach = max(1.3, self.hair, self.volume)
        angles = np.linspace(np.pi, 2 * np.pi, 20)
        cap = np.stack([np.cos(angles) * self.volume, np.sin(angles) * 1.15], 1)
        count = int(rng.integers(3, 9))
        across = np.linspace(self.volume, -self.volume, 2 * count + 1)
        tips = np.where(np.arange(2 * count + 1) % 2, self.hair, self.hair * rng.uniform(0.6, 0.95))
        tips = tips + rng.normal(0, 0.08, len(tips))
        hem = np.stack([across * rng.uniform(0.7, 1.1), tips], 1)
        canvas = np.zeros((_SIZE, _SIZE), np.uint8)
        _fill(canvas, np.concatenate([cap, hem]) / reach, HAIR)
        if rng.random() < 0.5:
            x = rng.uniform(-0.6, 0.2) * self.volume
            band = np.array([[x, -1.0], [x + 0.25, -1.0], [x + 0.2, self.hair * 0.8], [x + 0.05, self.hair * 0.8]])
            inside = canvas > 0
            _fill(canvas, band / reach, FOLD)
            canvas[~inside] = 0
        return flat_lines(canvas)

    def _skirt(self, rng: np.random.Generator) -> npt.NDArray[uint8]:
        """A skirt or coat; the square's middle is the waist, its half height the hem's reach."""
        hips, reach = self.puppet.torso[2], max(self.hem, self.flare) * 1.05
        folds = int(rng.integers(2, 8))
        x = np.linspace(-self.flare, self.flare, 2 * folds + 1)
        y = self.hem * (1 + 0.06 * rng.normal(0, 1, len(x)))
        hem = np.stack([x, y], 1)
        outline = np.concatenate([[[-hips, -0.06], [hips, -0.06]], hem[::-1]])
        canvas = np.zeros((_SIZE, _SIZE), np.uint8)
        _fill(canvas, outline / reach, SKIRT)
        for fold in range(1, folds):
            if rng.random() < 0.4:
                top = np.array([[hips * (2 * fold / folds - 1), 0.0]])
                _fill(canvas, np.concatenate([top, hem[2 * fold : 2 * fold + 2]]) / reach, FOLD)
        return flat_lines(canvas)

    @staticmethod
    def table(builds: Sequence[Build]) -> dict[str, Floats]:
        """The measures of several builds by name, one row each."""
        rows = [
            {
                "girth": b.puppet.girth,
                "head": b.puppet.head,
                "upper_arm": b.puppet.arm[0],
                "forearm": b.puppet.arm[1],
                "thigh": b.puppet.leg[0],
                "shin": b.puppet.leg[1],
                "torso": b.puppet.torso[0],
                "shoulders": b.puppet.torso[1],
                "hips": b.puppet.torso[2],
                "mass": max(1.3, b.hair, b.volume) * b.puppet.head,
                "lock": max(0.5, 0.7 * b.hair) * b.puppet.head,
                "side": b.volume * b.puppet.head,
                "skirt": max(b.hem, b.flare) * 1.05,
            }
            for b in builds
        ]
        return {name: np.array([row[name] for row in rows], np.float64) for name in rows[0]} if rows else {}


def _body_cels(puppet: Puppet) -> list[npt.NDArray[uint8]]:
    found = [part.cel for part in puppet.parts(np.zeros(1))]
    return [np.zeros((_SIZE, _SIZE), np.uint8) if cel is None else cel for cel in found]


def _strand(rng: np.random.Generator) -> npt.NDArray[uint8]:
    """A lock of hair that hangs from the square's middle down to its lower edge."""
    y = np.linspace(0, 1, 12)
    bend = rng.uniform(0, 0.12) * np.sin(y * rng.uniform(2, 6) + rng.uniform(0, 6.28))
    half = rng.uniform(0.1, 0.28) * (1 - y) ** rng.uniform(0.5, 1.0) + 0.01
    left, right = np.stack([bend - half, y * 0.95], 1), np.stack([bend + half, y * 0.95], 1)
    canvas = np.zeros((_SIZE, _SIZE), np.uint8)
    _fill(canvas, np.concatenate([left, right[::-1]]), HAIR)
    cel = flat_lines(canvas)
    root = slice(0, round(_SIZE * 0.54))
    cel[root] = canvas[root]  # no line where it grows out of the hair
    return cel


def _fill(canvas: npt.NDArray[uint8], points: Floats, number: int) -> None:
    corners = (points + 1) * _SIZE / 2
    cv2.fillPoly(canvas, [np.round(corners * 16).astype(np.int32)], number, shift=4)


def pose(build: Mapping[str, Floats], angle: Mapping[str, Floats]) -> list[Floats]:
    """Where the parts of figures are.

    Args:
        build: ``B`` measures by name, as :meth:`Build.table` has them.
        angle: name of a joint => ``B T`` radians: lean, nod, hair, hem, and shoulder, elbow, hip, knee with and
            without ``far_``.

    Returns:
        for every part of :data:`ORDER` the matrices that bring its square into the figure's, ``B T 3 3``.
    """
    frames = angle["lean"].shape[1]
    m = {name: np.broadcast_to(value[:, None], (len(value), frames)) for name, value in build.items()}
    zero = np.zeros_like(angle["lean"])
    hip = _move(zero, zero + 0.12) @ _turn(angle["lean"])
    neck = hip @ _move(zero, -m["torso"])
    thick = 1.35 * m["girth"]
    found: dict[str, Floats] = {}
    for far, side in (("far_", 1.0), ("", -1.0)):
        shoulder = neck @ _move(side * (m["shoulders"] - 0.4 * m["girth"]), zero + 0.06)
        shoulder = shoulder @ _turn(-angle[far + "shoulder"])
        elbow = shoulder @ _move(zero, m["upper_arm"]) @ _turn(-angle[far + "elbow"])
        found[far + "arm"] = _hang(shoulder, m["upper_arm"], 1.1 * m["girth"])
        found[far + "forearm"] = _hang(elbow, m["forearm"], m["girth"])
        thigh = _move(side * (m["hips"] - 0.8 * thick), zero + 0.1) @ _turn(-angle[far + "hip"])
        knee = thigh @ _move(zero, m["thigh"]) @ _turn(angle[far + "knee"])
        found[far + "thigh"] = _hang(thigh, m["thigh"], 1.2 * thick)
        found[far + "shin"] = _hang(knee, m["shin"], thick)
    skull = neck @ _turn(angle["nod"]) @ _move(zero, -0.8 * m["head"])
    found["body"] = hip @ _move(zero, -m["torso"] / 2) @ _scale(zero + 0.62)
    found["skirt"] = hip @ _move(zero, zero - 0.02) @ _turn(angle["hem"]) @ _scale(m["skirt"])
    found["head"] = skull @ _scale(m["head"])
    found["back_hair"] = skull @ _turn(0.5 * angle["hair"]) @ _scale(m["mass"])
    for name, side, at in (("lock_left", -0.75, -0.1), ("lock_right", 0.75, -0.1), ("fringe", -0.2, -0.85)):
        root = skull @ _move(side * m["side"], at * m["head"])
        length = m["lock"] * (0.6 if name == "fringe" else 1.0)
        found[name] = root @ _turn(angle["hair"] * (1.0 + 0.2 * side)) @ _scale(length)
    return [found[name] for name in ORDER]


def _hang(joint: Floats, length: Floats, start: Floats) -> Floats:
    """The square of a limb of ``length`` that hangs from ``joint``, see :func:`celpaint.data.synthetic.puppets`."""
    return joint @ _move(0 * length, length / 2) @ _scale(length / 2 + 1.8 * start)


def _turn(angle: Floats) -> Floats:
    matrix = _identity(angle)
    matrix[..., 0, 0] = matrix[..., 1, 1] = np.cos(angle)
    matrix[..., 1, 0] = np.sin(angle)
    matrix[..., 0, 1] = -matrix[..., 1, 0]
    return matrix


def _move(x: Floats, y: Floats) -> Floats:
    matrix = _identity(x)
    matrix[..., 0, 2], matrix[..., 1, 2] = x, y
    return matrix


def _scale(size: Floats) -> Floats:
    matrix = _identity(size)
    matrix[..., 0, 0] = matrix[..., 1, 1] = size
    return matrix


def _identity(like: Floats) -> Floats:
    return np.broadcast_to(np.eye(3), (*like.shape, 3, 3)).copy()
