"""The 24 scripted shots of the film-like benchmark.

A script says what happens; ``seed`` chooses who plays it: designs, colors, sets and phases. The benchmark is seed 0.
Scripts run over 48 frames of 1/24 second. Figures are redrawn for every drawing, most of them on twos, while the camera
moves on ones.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from celpaint.data.scripted import effects
from celpaint.data.scripted.drawings import drawing
from celpaint.data.scripted.figure import Arm, Look, Pose, draw_figure, paints
from celpaint.data.scripted.raster import affine
from celpaint.data.scripted.scenery import SETS
from celpaint.data.scripted.stage import Camera, Frame, Light, Plane, Stage

if TYPE_CHECKING:
    from celpaint.data.scripted.raster import Cel, Floats

    RGB = tuple[float, float, float]
    Draw = Callable[[Cel, Floats, float], None]

__all__ = ["FRAMES", "SHOTS", "Script", "film"]

FRAMES = 48
"""Frames of a shot."""

_SKIN: tuple[RGB, ...] = ((1.0, 0.89, 0.81), (0.98, 0.84, 0.73), (0.9, 0.72, 0.58), (0.68, 0.47, 0.35))
_HAIR: tuple[RGB, ...] = (
    (0.42, 0.3, 0.38), (0.9, 0.78, 0.52), (0.93, 0.66, 0.74), (0.25, 0.24, 0.34), (0.55, 0.34, 0.22),
    (0.56, 0.68, 0.86), (0.75, 0.36, 0.24), (0.8, 0.82, 0.86), (0.36, 0.52, 0.44),
)  # fmt: skip
_COAT: tuple[RGB, ...] = (
    (0.17, 0.18, 0.42), (0.62, 0.1, 0.22), (0.9, 0.88, 0.78), (0.2, 0.38, 0.34), (0.42, 0.42, 0.47),
    (0.85, 0.55, 0.25), (0.35, 0.25, 0.45), (0.3, 0.5, 0.7),
)  # fmt: skip
_TRIM: tuple[RGB, ...] = ((0.28, 0.42, 0.8), (0.8, 0.2, 0.25), (0.92, 0.78, 0.3), (0.25, 0.55, 0.42), (0.9, 0.9, 0.92))
_EYES: tuple[RGB, ...] = ((0.6, 0.28, 0.2), (0.25, 0.45, 0.75), (0.3, 0.55, 0.35), (0.62, 0.2, 0.32), (0.55, 0.42, 0.6))


# -- helpers -------------------------------------------------------------------------------------------------------


def _ease(time: float, start: float, end: float) -> float:
    """0 before ``start``, 1 after ``end``, smooth between."""
    share = min(max((time - start) / (end - start), 0.0), 1.0)
    return share * share * (3 - 2 * share)


def _pick(stage: Stage, among: tuple[Any, ...]) -> Any:
    return among[int(stage.rng.integers(len(among)))]


def _dye(stage: Stage, color: RGB, size: float = 0.05) -> RGB:
    r, g, b = (float(np.clip(c + stage.rng.uniform(-size, size), 0.02, 0.99)) for c in color)
    return r, g, b


def _actor(stage: Stage, name: str, *, shade: RGB = (0.72, 0.66, 0.78), **given: Any) -> Look:
    """Someone new: paints in the palette under ``name``, and a design, parts of which the script may give."""
    rng = stage.rng
    chosen: dict[str, RGB] = {
        "hair": _dye(stage, _pick(stage, _HAIR)),
        "coat": _dye(stage, _pick(stage, _COAT)),
        "skin": _pick(stage, _SKIN),
        "shirt": _dye(
            stage, _pick(stage, ((0.96, 0.96, 0.95), (0.96, 0.96, 0.95), (0.85, 0.9, 0.97), (0.95, 0.85, 0.75)))
        ),
        "trim": _dye(stage, _pick(stage, _TRIM)),
        "legs": _dye(stage, _pick(stage, ((0.2, 0.2, 0.26), (0.3, 0.32, 0.45), (0.36, 0.3, 0.26)))),
        "eyes": _pick(stage, _EYES),
    }
    design: dict[str, Any] = {
        "hair": float(rng.uniform(0.5, 2.0)),
        "side": float(rng.uniform(0.5, 1.1)),
        "fringe": float(rng.uniform(-0.2, -0.04)),
        "strands": int(rng.integers(20, 30)),
        "ragged": float(rng.uniform(0.08, 0.22)),
        "flare": float(rng.uniform(0.02, 0.22)),
        "seed": int(rng.integers(2**31)),
    }
    chosen |= {key[6:]: value for key, value in given.items() if key.startswith("color_")}
    design |= {key: value for key, value in given.items() if not key.startswith("color_")}
    stage.palette.add(f"{name}.", paints(**chosen, shade=shade))
    return Look(**design)


def _dress(stage: Stage, name: str) -> str:
    """Put a drawing of the cast in the palette."""
    stage.palette.add(f"{name}.", drawing(name).paints)
    return name


def _sprite(cel: Cel, matrix: Floats, name: str, number: int = 0, *, bulge: float = 0.0) -> None:
    numbers, lines = drawing(name).cel(number)
    cel.sprite(numbers, lines, matrix, f"{name}.", bulge)


def _set(stage: Stage, name: str, *, front: int = 0) -> None:
    """Paint a set; its last ``front`` sheets stand before the figures."""
    sheets = SETS[name](round(stage.height * 1.25), stage.rng)
    stage.behind, stage.front = sheets[: len(sheets) - front], sheets[len(sheets) - front :]


def _at(x: float, y: float, size: float, *, flip: bool = False) -> Floats:
    return affine(size, 0.0, x, y, flip)


_GRAY_DAY = Light((0.92, 0.95, 1.0), (0.02, 0.02, 0.02))


# -- the shots -----------------------------------------------------------------------------------------------------


def _turn_away(stage: Stage) -> None:
    """Medium close-up in a park: she looks down, turns away and back."""
    _set(stage, "park")
    look = _actor(stage, "a", hair=1.3, side=1.05, scarf=True)

    def draw(cel: Cel, view: Floats, time: float) -> None:
        turn = _ease(time, 6, 20) - 1.25 * _ease(time, 30, 44)
        pose = Pose(
            yaw=0.25 + 1.3 * turn, body=0.35 + 0.3 * turn, nod=0.06 - 0.06 * turn, blink=1 - _ease(time, 26, 30),
            sway=0.18 * np.sin(0.28 * time), ripple=0.3 * time,
        )  # fmt: skip
        draw_figure(cel, "a.", view @ _at(-0.25 + 0.3 * _ease(time, 8, 40), -0.13, 0.23), look, pose)

    stage.planes = [Plane(draw)]
    stage.camera = lambda time: Camera(x=0.1 * _ease(time, 20, 44))
    stage.light = lambda time: Light(glow=0.12)


def _wind(stage: Stage) -> None:
    """Close-up cut by the frame: hair in the wind before the sky."""
    _set(stage, "sea")
    look = _actor(stage, "a", hair=1.1, side=1.5, flare=0.28, ragged=0.2, strands=30, coat=True, scarf=False)

    def draw(cel: Cel, view: Floats, time: float) -> None:
        gust = 0.16 + 0.16 * np.sin(0.21 * time) + 0.06 * np.sin(0.55 * time)
        pose = Pose(
            yaw=-0.45 + 0.06 * np.sin(0.1 * time),
            body=-0.2,
            nod=0.05,
            sway=gust,
            ripple=0.42 * time,
            blink=_ease(time, 30, 32) - _ease(time, 33, 35),
        )
        draw_figure(cel, "a.", view @ _at(-0.05, -0.08, 0.43), look, pose)

    stage.planes = [Plane(draw)]
    stage.camera = lambda time: Camera(x=0.0006 * time, y=0.0)
    stage.grain = 3


def _hand_over_chest(stage: Stage) -> None:
    """Zoom in on a figure in a room: an arm comes up, crosses the body and falls."""
    _set(stage, "room")
    look = _actor(stage, "a", hair=0.5, side=0.35, ragged=0.22, flare=0.32, shoulders=1.5, sleeve=0.5, coat=True)

    def draw(cel: Cel, view: Floats, time: float) -> None:
        up = _ease(time, 4, 16) - _ease(time, 34, 46)
        across = _ease(time, 16, 26)
        right = Arm(0.2 + 0.35 * up, -2.3 * up + 0.9 * across * up, 0.2 + 0.8 * across)
        pose = Pose(
            yaw=-0.3 + 0.5 * across,
            body=-0.15,
            nod=0.05 * up,
            right=right,
            left=Arm(0.2, 0.1),
            mouth=0.5 * (1 + np.sin(0.9 * time)) * across,
            lean=0.03 * np.sin(0.1 * time),
        )
        draw_figure(cel, "a.", view @ _at(0.1, -0.16, 0.115), look, pose)

    stage.planes = [Plane(draw)]
    stage.camera = lambda time: Camera(
        x=0.12 * _ease(time, 0, 47), y=-0.06 * _ease(time, 0, 47), zoom=0.6 * _ease(time, 0, 47)
    )


def _walk_through(stage: Stage) -> None:
    """A figure walks in from the left, leaves on the right and comes back."""
    _set(stage, "street")
    look = _actor(stage, "a", skirt=2.1, coat=False, sleeve=0.5, tails=2.4, scarf=True)

    def draw(cel: Cel, view: Floats, time: float) -> None:
        back = time >= 30
        x = 1.02 - 0.07 * (time - 30) if back else -0.55 + 0.055 * time
        way = -1.0 if back else 1.0
        swing = 0.75 * np.sin(0.5 * time)
        pose = Pose(
            yaw=1.15 * way, body=1.0 * way, step=0.5 * time, stride=0.5, sway=-0.2 * way + 0.1 * np.sin(time),
            ripple=0.5 * time, right=Arm(swing, 0.25, 0.2), left=Arm(-swing, 0.25, 0.2),
        )  # fmt: skip
        draw_figure(cel, "a.", view @ _at(x, -0.22 + 0.012 * abs(np.sin(0.5 * time)), 0.062), look, pose)

    stage.planes = [Plane(draw)]


def _over_shoulder(stage: Stage) -> None:
    """Two figures overlap: one listens with her back to us, the other speaks and moves both hands."""
    _set(stage, "hall")
    far, near = _actor(stage, "a", scarf=False), _actor(stage, "b", hair=1.9, side=1.6, strands=28)

    def draw(cel: Cel, view: Floats, time: float) -> None:
        talk = 0.5 + 0.5 * np.sin(0.8 * time) * np.sin(0.23 * time)
        hands = _ease(time, 6, 16)
        pose = Pose(
            yaw=-0.35 + 0.25 * np.sin(0.12 * time), body=-0.3, mouth=talk, nod=0.06 * np.sin(0.3 * time),
            left=Arm(0.25 + 0.25 * hands, -2.1 * hands + 0.3 * np.sin(0.35 * time), 0.9),
            right=Arm(0.3 + 0.2 * hands, -1.9 * hands + 0.3 * np.sin(0.3 * time), 0.9),
        )  # fmt: skip
        draw_figure(cel, "a.", view @ _at(0.22, -0.15, 0.15), far, pose)
        other = Pose(
            yaw=2.6 + 0.15 * _ease(time, 24, 34),
            body=2.7,
            nod=0.08 * _ease(time, 24, 34),
            sway=0.03 * np.sin(0.2 * time),
        )
        draw_figure(cel, "b.", view @ _at(-0.5, 0.02, 0.29), near, other)

    stage.planes = [Plane(draw)]
    stage.camera = lambda time: Camera(x=0.002 * time)


def _night_street(stage: Stage) -> None:
    """Dark, low contrast: a figure walks slowly under lit windows."""
    _set(stage, "night")
    look = _actor(stage, "a", color_coat=(0.2, 0.2, 0.3), color_hair=(0.22, 0.2, 0.3), color_legs=(0.15, 0.15, 0.2))

    def draw(cel: Cel, view: Floats, time: float) -> None:
        pose = Pose(
            yaw=-0.9 + 0.7 * _ease(time, 24, 38),
            body=-0.9,
            step=0.22 * time,
            stride=0.3,
            right=Arm(0.3 * np.sin(0.22 * time), 0.2),
            left=Arm(-0.3 * np.sin(0.22 * time), 0.2),
            sway=0.05,
            ripple=0.2 * time,
        )
        draw_figure(cel, "a.", view @ _at(0.45 - 0.009 * time, -0.12, 0.085), look, pose)

    stage.planes = [Plane(draw)]
    stage.camera = lambda time: Camera(x=-0.006 * time)
    stage.light = lambda time: Light((0.62, 0.66, 0.9), (0.03, 0.03, 0.06), glow=0.6, bright=0.4, reach=0.02)
    stage.grain = 4


def _pan_to_second(stage: Stage) -> None:
    """The camera pans through a room from one figure to another that the painting does not show."""
    _set(stage, "room")
    first, second = _actor(stage, "a", tails=2.0), _actor(stage, "b", hair=0.6, side=0.4, flare=0.3, shoulders=1.6)

    def draw(cel: Cel, view: Floats, time: float) -> None:
        one = Pose(yaw=0.4 + 0.3 * _ease(time, 4, 16), body=0.3, sway=0.06 * np.sin(0.3 * time), ripple=0.3 * time)
        draw_figure(cel, "a.", view @ _at(-0.85, -0.1, 0.14), first, one)
        two = Pose(
            yaw=-0.9 + 0.6 * _ease(time, 30, 42),
            body=-0.5,
            mouth=_ease(time, 36, 40),
            right=Arm(0.3, -1.2 - 0.6 * np.sin(0.15 * time), 0.5),
        )
        draw_figure(cel, "b.", view @ _at(0.75, -0.13, 0.14), second, two)

    stage.planes = [Plane(draw)]
    stage.camera = lambda time: Camera(x=-0.75 + 1.35 * _ease(time, 4, 40))


def _pull_back(stage: Stage) -> None:
    """From a close-up back to the whole figure in the hills."""
    _set(stage, "hills")
    look = _actor(stage, "a", skirt=2.3, coat=False, sleeve=1.0, hair=1.8, side=1.2)

    def draw(cel: Cel, view: Floats, time: float) -> None:
        pose = Pose(
            yaw=-0.2,
            body=-0.15,
            sway=0.12 + 0.12 * np.sin(0.25 * time),
            ripple=0.35 * time,
            blink=_ease(time, 20, 22) - _ease(time, 24, 26),
            left=Arm(0.25 + 1.6 * _ease(time, 26, 42), 0.4, 0.8),
            right=Arm(0.2, 0.1),
        )
        draw_figure(cel, "a.", view @ _at(0.1, -0.18, 0.068), look, pose)

    stage.planes = [Plane(draw)]
    stage.camera = lambda time: Camera(
        x=0.1 * (1 - _ease(time, 4, 44)), y=-0.16 * (1 - _ease(time, 4, 44)), zoom=1.45 * (1 - _ease(time, 4, 44))
    )


def _white_on_white(stage: Stage) -> None:
    """Coat and hair nearly the color of the snow."""
    _set(stage, "fog")
    look = _actor(
        stage,
        "a",
        color_coat=(0.88, 0.89, 0.92),
        color_hair=(0.82, 0.84, 0.88),
        color_skin=_SKIN[0],
        shade=(0.85, 0.86, 0.93),
        scarf=True,
        hair=1.6,
    )

    def draw(cel: Cel, view: Floats, time: float) -> None:
        pose = Pose(
            yaw=0.8 - 1.4 * _ease(time, 10, 34),
            body=0.5 - 0.6 * _ease(time, 12, 38),
            sway=0.14 * np.sin(0.24 * time) - 0.1,
            ripple=0.35 * time,
        )
        draw_figure(cel, "a.", view @ _at(-0.1, -0.1, 0.16), look, pose)

    stage.planes = [Plane(draw)]
    stage.light = lambda time: Light((0.9, 0.92, 0.96), (0.06, 0.06, 0.06))
    stage.grain = 2


def _smoke(stage: Stage) -> None:
    """Drawn smoke rises before a figure that waves it away."""
    _set(stage, "street")
    look = _actor(stage, "a", hair=0.9)
    stage.palette.add("", effects.EFFECTS)
    seed = int(stage.rng.integers(2**31))

    def draw(cel: Cel, view: Floats, time: float) -> None:
        wave = np.sin(0.6 * time) * _ease(time, 10, 16)
        pose = Pose(
            yaw=0.3 + 0.25 * wave,
            body=0.2,
            nod=0.1 * _ease(time, 10, 20),
            right=Arm(0.9 * _ease(time, 6, 14), -1.5 * _ease(time, 6, 14) + 0.5 * wave, 0.8),
            blink=0.4 * _ease(time, 10, 14),
        )
        draw_figure(cel, "a.", view @ _at(-0.1, -0.12, 0.13), look, pose)

    stage.planes = [
        Plane(partial(effects.smoke, x=-0.75, y=0.35, rise=0.3, size=0.13, seed=seed + 1), depth=0.7),
        Plane(draw),
        Plane(partial(effects.smoke, x=0.25, y=0.6, rise=0.32, size=0.2, seed=seed), opacity=0.8),
    ]
    stage.light = lambda time: _GRAY_DAY


def _surf(stage: Stage) -> None:
    """Water swells before a figure in the sea, a dolphin leaps."""
    _set(stage, "sea")
    stage.behind = stage.behind[:-1]
    look = _actor(stage, "a", coat=False, sleeve=0.3, hair=1.7)
    _dress(stage, "dolphin")
    stage.palette.add("", effects.EFFECTS)
    seed = int(stage.rng.integers(2**31))

    def draw(cel: Cel, view: Floats, time: float) -> None:
        leap = (time - 8) / 26
        if 0 < leap < 1:
            at = affine(0.13, 1.6 * leap - 0.9, 0.75 - 0.55 * leap, 0.28 - 1.1 * leap * (1 - leap))
            _sprite(cel, view @ at, "dolphin")
        pose = Pose(
            yaw=0.9,
            body=0.6,
            sway=-0.15 + 0.1 * np.sin(0.3 * time),
            ripple=0.4 * time,
            left=Arm(0.5, -0.6 + 0.3 * np.sin(0.2 * time), 0.5),
        )
        draw_figure(cel, "a.", view @ _at(-0.45, -0.1, 0.12), look, pose)

    stage.planes = [Plane(draw), Plane(partial(effects.waves, level=0.3, seed=seed))]
    stage.camera = lambda time: Camera(y=0.012 * np.sin(0.13 * time))
    stage.light = lambda time: Light(glow=0.18, bright=0.85)


def _lamp(stage: Stage) -> None:
    """A lamp is lit in a dark room; its light flickers."""
    _set(stage, "room")
    look = _actor(stage, "a", hair=1.4)

    def draw(cel: Cel, view: Floats, time: float) -> None:
        pose = Pose(
            yaw=0.7 - 0.5 * _ease(time, 16, 24),
            body=0.2,
            nod=0.08 - 0.08 * _ease(time, 14, 20),
            left=Arm(0.7 - 0.4 * _ease(time, 18, 34), -0.5, 0.4),
        )
        draw_figure(cel, "a.", view @ _at(-0.2, -0.1, 0.15), look, pose)

    def light(time: float) -> Light:
        on = _ease(time, 14, 17) * (0.92 + 0.08 * np.sin(2.1 * time))
        dark: RGB = (0.24, 0.26, 0.42)
        warm = tuple(d + on * (w - d) for d, w in zip(dark, (1.05, 0.92, 0.72), strict=True))
        return Light(warm, lamp=(0.3, -0.1, 0.75), outside=tuple(d + 0.25 * on for d in dark))

    stage.planes = [Plane(draw)]
    stage.light = light
    stage.grain = 3


def _crowd(stage: Stage) -> None:
    """A row of people by other hands, overlapping, as the camera passes."""
    _set(stage, "street")
    names = [
        _dress(stage, n)
        for n in ("woman_bun", "man_red", "curly_blue", "woman_brown", "man_beard", "bob_gold", "woman_long", "man_tie")
    ]

    def row(
        cel: Cel, view: Floats, time: float, *, which: list[str], size: float, y: float, gap: float, start: float
    ) -> None:
        for number, name in enumerate(which):
            bob = 0.014 * np.sin(0.35 * time + 1.7 * number)
            turn = 0.1 * np.sin(0.16 * time + 2.3 * number)
            at = affine(size, 0.3 * turn, start + gap * number, y + bob, number % 3 == 1)
            _sprite(cel, view @ at, name, int(time) // 14 + number, bulge=1.6 * turn)

    stage.planes = [
        Plane(partial(row, which=names[4:], size=0.26, y=0.06, gap=0.48, start=-0.75), depth=0.85),
        Plane(partial(row, which=names[:4], size=0.36, y=0.22, gap=0.62, start=-0.95)),
    ]
    stage.camera = lambda time: Camera(x=-0.25 + 0.5 * _ease(time, 0, 47))


def _dance(stage: Stage) -> None:
    """Two dancers animated by hand on a stage, one before the other, in colored light."""
    _set(stage, "stage")
    cat, unicorn = _dress(stage, "cat_dance"), _dress(stage, "unicorn_turn")
    stage.palette.add("", effects.EFFECTS)
    seed = int(stage.rng.integers(2**31))

    def draw(cel: Cel, view: Floats, time: float) -> None:
        _sprite(cel, view @ affine(0.42, 0.0, 0.25 - 0.3 * _ease(time, 8, 40), 0.06), unicorn, int(time) // 2)
        _sprite(cel, view @ affine(0.5, 0.0, -0.35 + 0.35 * _ease(time, 4, 36), 0.1), cat, int(time) // 2)

    stage.planes = [Plane(draw), Plane(partial(effects.sparks, count=26, seed=seed))]
    stage.light = lambda time: Light(
        (0.85 + 0.15 * np.sin(0.2 * time), 0.78, 0.85 - 0.15 * np.sin(0.2 * time)),
        glow=0.5, bright=0.75, lamp=(0.15 * np.sin(0.12 * time), 0.1, 0.62), outside=(0.35, 0.28, 0.45),
    )  # fmt: skip


def _market(stage: Stage) -> None:
    """The camera glides past a stall of goods; a shopper behind it reaches for one."""
    _set(stage, "hall")
    look = _actor(stage, "a", sleeve=0.6, tails=1.8)
    goods = [
        _dress(stage, name)
        for name in ("pumpkin", "flowers", "gift", "clock", "radio", "sunflower", "bag", "mushroom", "mail")
    ]

    def shopper(cel: Cel, view: Floats, time: float) -> None:
        reach = _ease(time, 10, 24) - _ease(time, 34, 46)
        pose = Pose(
            yaw=0.5 - 0.8 * reach,
            body=0.2,
            nod=0.1 * reach,
            left=Arm(0.25, -0.2),
            right=Arm(0.3 + 0.3 * reach, -0.6 * reach, 0.7),
            sway=0.08 * np.sin(0.3 * time),
            ripple=0.3 * time,
        )
        draw_figure(cel, "a.", view @ _at(0.0, -0.16, 0.105), look, pose)

    def stall(cel: Cel, view: Floats, time: float) -> None:
        for number, name in enumerate(goods):
            _sprite(
                cel,
                view @ affine(0.13, 0.06 * np.sin(1.9 * number), -1.1 + 0.27 * number, 0.34 + 0.03 * (number % 2)),
                name,
            )

    stage.planes = [Plane(shopper), Plane(stall, depth=1.25, hold=1)]
    stage.camera = lambda time: Camera(x=-0.22 + 0.44 * _ease(time, 0, 47), zoom=0.1)


def _big_head(stage: Stage) -> None:
    """Close-up of a face by another artist, cut by the frame: its middle turns against its outline, it comes nearer."""
    _set(stage, "park")
    name = _dress(stage, "man_beard")
    small = _dress(stage, "woman_brown")

    def draw(cel: Cel, view: Floats, time: float) -> None:
        _sprite(
            cel,
            view @ affine(0.3, 0.04 * np.sin(0.2 * time), 0.62 - 0.25 * _ease(time, 6, 40), 0.2),
            small,
            bulge=0.14 * np.sin(0.15 * time),
        )
        turn = np.sin(0.13 * time)
        _sprite(
            cel,
            view @ affine(0.72 + 0.12 * _ease(time, 10, 40), 0.12 * np.sin(0.11 * time), -0.25, 0.24),
            name,
            2 + int(time) // 16,
            bulge=0.24 * turn,
        )

    stage.planes = [Plane(draw)]
    stage.camera = lambda time: Camera(x=0.0015 * time)


def _run(stage: Stage) -> None:
    """A runner keeps to the middle while the street streams by behind."""
    _set(stage, "forest")
    look = _actor(stage, "a", hair=1.9, side=0.9, coat=False, skirt=1.9, scarf=True)
    stage.palette.add("", effects.EFFECTS)
    seed = int(stage.rng.integers(2**31))

    def draw(cel: Cel, view: Floats, time: float) -> None:
        phase = 0.62 * time
        pose = Pose(
            yaw=1.2, body=1.05, lean=0.22, step=phase, stride=0.85, sway=-0.45 + 0.1 * np.sin(phase), ripple=0.6 * time,
            right=Arm(0.9 * np.sin(phase), 1.3, 0.0), left=Arm(-0.9 * np.sin(phase), 1.3, 0.0), mouth=0.5,
        )  # fmt: skip
        x = -0.62 + 0.027 * time
        draw_figure(cel, "a.", view @ _at(x, -0.16 + 0.03 * abs(np.sin(phase)), 0.075), look, pose)

    stage.planes = [Plane(draw, hold=2), Plane(partial(effects.speed_lines, count=7, seed=seed), opacity=0.5, hold=1)]
    stage.camera = lambda time: Camera(x=-0.6 + 0.027 * time)


def _twirl(stage: Stage) -> None:
    """A dancer turns once round: front, side, back, side, front; skirt and hair follow."""
    _set(stage, "stage")
    look = _actor(stage, "a", skirt=2.6, coat=False, sleeve=0.25, hair=1.7, side=1.3, flare=0.2)

    def draw(cel: Cel, view: Floats, time: float) -> None:
        around = 2 * np.pi * _ease(time, 5, 43)
        speed = np.sin(np.pi * _ease(time, 5, 43))
        lift = 0.25 + 1.2 * speed
        pose = Pose(
            yaw=around + 0.3 * speed,
            body=around,
            sway=-0.4 * speed + 0.1 * np.sin(0.3 * time),
            ripple=0.4 * time,
            left=Arm(lift, 0.3, 0.6),
            right=Arm(lift, 0.3, 0.6),
            stride=0.12,
            step=0.4 * time,
        )
        draw_figure(cel, "a.", view @ _at(0.0, -0.2, 0.072), look, pose)

    stage.planes = [Plane(draw)]
    stage.light = lambda time: Light((1, 0.95, 0.9), lamp=(0, 0.05, 0.6), outside=(0.45, 0.35, 0.5), glow=0.15)


def _reach_out(stage: Stage) -> None:
    """A hand comes up between face and camera, large, and leaves again."""
    _set(stage, "hills")
    look = _actor(stage, "a", sleeve=0.8)

    def draw(cel: Cel, view: Floats, time: float) -> None:
        up = _ease(time, 8, 20) - _ease(time, 32, 44)
        pose = Pose(
            yaw=0.15 - 0.3 * up,
            body=0.1,
            mouth=0.6 * up,
            right=Arm(0.25 + 0.1 * up, -0.2 - 2.62 * up, 0.3 + 0.9 * up, 0.95 * up),
            left=Arm(0.3, -0.1),
            sway=0.1 * np.sin(0.25 * time),
            ripple=0.3 * time,
        )
        draw_figure(cel, "a.", view @ _at(0.02, -0.06, 0.25), look, pose)

    stage.planes = [Plane(draw)]
    stage.camera = lambda time: Camera(zoom=0.12 * _ease(time, 8, 24))


def _rain(stage: Stage) -> None:
    """Rain in a dark street, one under an umbrella; a car passes before the figures."""
    _set(stage, "night")
    one, two = _actor(stage, "a", hair=1.2), _actor(stage, "b", hair=0.6, side=0.4, shoulders=1.6)
    for name in ("umbrella", "car"):
        _dress(stage, name)
    stage.palette.add("", effects.EFFECTS)
    seed = int(stage.rng.integers(2**31))

    def draw(cel: Cel, view: Floats, time: float) -> None:
        bob = 0.006 * np.sin(0.5 * time)
        right = Arm(0.4, -2.2, 0.1)
        draw_figure(
            cel,
            "b.",
            view @ _at(0.24, -0.13 + bob, 0.085),
            two,
            Pose(yaw=-0.7 + 0.5 * _ease(time, 20, 32), body=-0.4, step=0.25 * time, stride=0.2),
        )
        _sprite(cel, view @ affine(0.3, -0.12 + 0.03 * np.sin(0.3 * time), -0.12, -0.28 + bob), "umbrella")
        draw_figure(
            cel,
            "a.",
            view @ _at(-0.12, -0.11 - bob, 0.085),
            one,
            Pose(yaw=0.6, body=0.4, right=right, step=0.25 * time + 1, stride=0.2),
        )

    def car(cel: Cel, view: Floats, time: float) -> None:
        _sprite(cel, view @ affine(0.3, 0.0, -1.7 + 0.075 * time, 0.38 + 0.004 * np.sin(2 * time)), "car")

    stage.planes = [
        Plane(draw),
        Plane(car, hold=1),
        Plane(partial(effects.rain, count=90, slant=0.25, seed=seed), opacity=0.55, hold=1),
    ]
    stage.light = lambda time: Light((0.5, 0.54, 0.72), (0.02, 0.02, 0.04), glow=0.4, bright=0.4)
    stage.grain = 3


def _sunset(stage: Stage) -> None:
    """Against the light at dusk: figure and hills in near tones, glow and grain."""
    _set(stage, "dusk")
    look = _actor(
        stage, "a", color_coat=(0.42, 0.25, 0.3), color_hair=(0.36, 0.2, 0.26), hair=2.2, side=1.3, flare=0.24
    )

    def draw(cel: Cel, view: Floats, time: float) -> None:
        pose = Pose(
            yaw=-1.2 + 0.9 * _ease(time, 16, 36),
            body=-0.7 + 0.3 * _ease(time, 18, 40),
            sway=0.25 + 0.12 * np.sin(0.22 * time),
            ripple=0.4 * time,
            light=(-0.14, -0.06),
        )
        draw_figure(cel, "a.", view @ _at(0.3, -0.06, 0.2), look, pose)

    stage.planes = [Plane(draw)]
    stage.camera = lambda time: Camera(x=0.1 - 0.12 * _ease(time, 0, 47), zoom=0.06 * _ease(time, 0, 47))
    stage.light = lambda time: Light((0.8, 0.66, 0.64), (0.05, 0.02, 0.03), glow=0.8, bright=0.55, reach=0.05)
    stage.grain = 5


def _twins(stage: Stage) -> None:
    """Two of one build in different colors cross before each other."""
    _set(stage, "street")
    look = _actor(stage, "a", skirt=2.0, coat=False)
    _actor(stage, "b")
    other = replace(look, seed=look.seed + 1)

    def draw(cel: Cel, view: Floats, time: float) -> None:
        for name, design, way, start in (("a.", look, 1.0, -0.62), ("b.", other, -1.0, 0.66)):
            swing = 0.6 * np.sin(0.42 * time + (0 if way > 0 else 1.3))
            pose = Pose(
                yaw=way * (1.0 - 1.6 * (_ease(time, 18, 26) - _ease(time, 30, 38))),
                body=0.9 * way,
                step=0.42 * time + (way < 0),
                stride=0.42,
                right=Arm(swing, 0.2),
                left=Arm(-swing, 0.2),
                sway=-0.12 * way,
                ripple=0.4 * time,
            )
            draw_figure(
                cel, name, view @ _at(start + way * 0.027 * time, -0.2 if way > 0 else -0.17, 0.07), design, pose
            )

    stage.planes = [Plane(draw)]
    stage.camera = lambda time: Camera(zoom=0.25)


def _animals(stage: Stage) -> None:
    """Drawn animals pass one another between trees that stand before them."""
    _set(stage, "forest", front=1)
    for name in ("horse", "monkey", "fox", "leopard"):
        _dress(stage, name)

    def draw(cel: Cel, view: Floats, time: float) -> None:
        gallop = abs(np.sin(0.4 * time))
        _sprite(
            cel, view @ affine(0.16, 0.1 * np.sin(0.25 * time), 0.5, -0.18), "monkey", bulge=0.1 * np.sin(0.3 * time)
        )
        _sprite(cel, view @ affine(0.27, 0.0, 0.9 - 0.035 * time, 0.12), "leopard")
        _sprite(
            cel, view @ affine(0.3, -0.12 + 0.22 * gallop, -0.75 + 0.032 * time, 0.12 - 0.06 * gallop, True), "horse"
        )
        _sprite(
            cel,
            view @ affine(0.32 + 0.02 * np.sin(0.3 * time), 0.06 * np.sin(0.2 * time), -0.62, 0.34),
            "fox",
            bulge=0.28 * np.sin(0.17 * time),
        )

    stage.planes = [Plane(draw)]
    stage.camera = lambda time: Camera(x=-0.12 + 0.24 * _ease(time, 0, 47))


def _talk(stage: Stage) -> None:
    """Limited animation: a face fills the frame; only eyes, mouth and a slow nod move, and the camera shakes."""
    _set(stage, "room")
    look = _actor(stage, "a", hair=1.6, eye=1.1)

    def draw(cel: Cel, view: Floats, time: float) -> None:
        talk = max(0.0, np.sin(0.9 * time)) * (0.4 + 0.6 * abs(np.sin(0.37 * time)))
        pose = Pose(
            yaw=0.35,
            body=0.2,
            nod=0.05 * np.sin(0.12 * time),
            mouth=talk,
            blink=_ease(time, 12, 14) - _ease(time, 16, 18) + 0.5 * (_ease(time, 34, 36) - _ease(time, 42, 44)),
            sway=0.02 * np.sin(0.2 * time),
        )
        draw_figure(cel, "a.", view @ _at(0.1, 0.02, 0.36), look, pose)

    stage.planes = [Plane(draw, hold=3)]
    stage.camera = lambda time: Camera(x=0.006 * np.sin(1.1 * time), y=0.005 * np.sin(1.7 * time + 1))
    stage.light = lambda time: Light((0.86, 0.9, 1.0))
    stage.grain = 4


# -- the list ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Script:
    """One shot.

    Attributes:
        name: in the benchmark; ``about``: what happens.
        set_up: puts it on a stage.
    """

    name: str
    about: str
    set_up: Callable[[Stage], None]


SHOTS: tuple[Script, ...] = tuple(
    Script(function.__name__.removeprefix("_"), str(function.__doc__).strip().rstrip("."), function)
    for function in (
        _turn_away, _wind, _hand_over_chest, _walk_through, _over_shoulder, _night_street, _pan_to_second, _pull_back,
        _white_on_white, _smoke, _surf, _lamp, _crowd, _dance, _market, _big_head, _run, _twirl, _reach_out, _rain,
        _sunset, _twins, _animals, _talk,
    )
)  # fmt: skip
"""The shots, in order."""


def film(number: int, *, seed: int = 0, frames: int = FRAMES, height: int = 320, width: int = 576) -> Iterator[Frame]:
    """The frames of a shot.

    Args:
        number: in :data:`SHOTS`.
        seed: who plays it; the benchmark is 0.
        frames: fewer are spread over the same action.
    """
    stage = Stage(height, width, np.random.default_rng((seed, number, 0xF17)))
    SHOTS[number].set_up(stage)
    return stage.frames([frame * FRAMES // frames for frame in range(frames)])
