"""What a batch of film-like clips shows, in numbers: which cels, where at what time, bent and painted how.

Everything random is decided here, with NumPy, so the same seed gives the same clips on every device.
Lengths are in half frame heights, the origin is the frame's middle, y down; times in frames of 1/24 second.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import numpy.typing as npt

from celpaint.data.film import parts
from celpaint.data.synthetic import colors

if TYPE_CHECKING:
    from celpaint.data.film.bank import Bank

    Floats = npt.NDArray[np.floating[Any]]

__all__ = ["FilmSpec", "Layer", "Plan", "plan"]


@dataclass(frozen=True, kw_only=True)
class FilmSpec:
    """What kind of clips.

    Attributes:
        height, width: of the frames in pixels.
        frames: of a clip; frame 0 is the painting, the others follow after a gap.
        distance: least and most frames between frame 0 and frame 1.
        props: least and most still drawings of the set; ``actors``: moving drawings.
        figures: share of batches whose clips each have one jointed figure in front.
        size: half height of moving drawings, least and most.
        close_ups: share of moving drawings that fill the frame.
        speed: scales all motion.
        twins: share of clips in which one drawing is there twice, painted differently.
        line_styles: line styles by how often; see :func:`celpaint.data.synthetic.lines.draw`.
        grades: share of clips with a light of their own (night, dusk, haze ...).
    """

    height: int = 192
    width: int = 320
    frames: int = 6
    distance: tuple[int, int] = (1, 45)
    props: tuple[int, int] = (1, 6)
    actors: tuple[int, int] = (2, 5)
    figures: float = 0.4
    size: tuple[float, float] = (0.3, 1.1)
    close_ups: float = 0.15
    speed: float = 1.0
    twins: float = 0.15
    line_styles: dict[str, float] = field(
        default_factory=lambda: {
            "soft": 0.52,
            "clean": 0.14,
            "binary": 0.1,
            "thick": 0.06,
            "thin": 0.05,
            "broken": 0.04,
            "pencil": 0.03,
            "jitter": 0.03,
            "trace": 0.03,
        }
    )
    grades: float = 0.4


@dataclass(frozen=True)
class Layer:
    """One drawing in every clip of a batch.

    Attributes:
        cel: ``B`` index in the bank.
        matrix: ``B T 2 3`` frame => the cel's square; ``scale`` ``B T``: half height of the square in the frame.
        palette: ``B 64 3`` in [0, 1].
        wave: ``B 2 T 3``: two bends, each with its amplitude at a time, its frequency along the square and its phase.
        bulge: ``B T 2``: how far the middle is shifted against the outline, as when a head turns.
        ink: ``B`` width of its ink as a share of the frame's height, 0 = none; ``dark`` ``B 3`` the ink's color;
            ``tint`` ``B``: how much of the paint below shows through the ink.
        shadow: ``B 3`` factor in shadow; ``light`` ``B 4``: frequency x, y, phase, level of where shadow lies.
        shown: ``B`` bool.
    """

    cel: npt.NDArray[np.int64]
    matrix: Floats
    scale: Floats
    palette: npt.NDArray[np.float32]
    wave: Floats
    bulge: Floats
    ink: Floats
    dark: Floats
    tint: Floats
    shadow: Floats
    light: Floats
    shown: npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Backdrop:
    """The set behind all layers.

    Attributes:
        view: ``B T 2 3`` frame => set.
        picture: ``B`` index of a painted set, -1 where the set is bands of noise.
        hue: ``B 3 3`` and ``gamma`` ``B``: how the painted set is recolored.
        bands: ``B 6 3`` frequency x, y and phase of six waves; ``tilt``, ``steps``, ``hard`` ``B``.
        colors: ``B 3 3``.
    """

    view: Floats
    picture: npt.NDArray[np.int64]
    hue: Floats
    gamma: Floats
    bands: Floats
    tilt: Floats
    steps: Floats
    hard: npt.NDArray[np.bool_]
    colors: Floats


@dataclass(frozen=True)
class Plan:
    """A batch of clips.

    Attributes:
        times: ``B T``.
        backdrop, layers: from back to front.
        grade, offset: ``B 3 3``, ``B 3``: the light of the whole clip.
        blur: ``B`` sigma of a soft scan as a share of the frame's height, 0 = none.
        line_style: of every clip; ``seed``: of its lines.
    """

    times: Floats
    backdrop: Backdrop
    layers: tuple[Layer, ...]
    grade: Floats
    offset: Floats
    blur: Floats
    line_style: tuple[str, ...]
    seed: tuple[int, ...]

    def clip(self, number: int) -> Plan:
        """One clip of the batch."""
        return _slice(self, slice(number, number + 1))


def plan(bank: Bank, spec: FilmSpec, seed: int, clips: int) -> Plan:
    """Decide what ``clips`` clips show; the same for the same bank, spec and seed."""
    return _Planner(bank, spec, np.random.default_rng((seed, 0xF11)), clips).plan()


class _Planner:
    def __init__(self, bank: Bank, spec: FilmSpec, rng: np.random.Generator, clips: int) -> None:
        self.bank, self.spec, self.rng, self.clips = bank, spec, rng, clips
        self.ratio = spec.width / spec.height
        self.times = self._times()
        self.camera = self._camera()

    def plan(self) -> Plan:
        rng, spec, B = self.rng, self.spec, self.clips
        backdrop = self._backdrop()
        counts = [rng.integers(low, high + 1, B) for low, high in (spec.props, spec.actors)]
        layers = [self._prop(counts[0] > n) for n in range(spec.props[1])]
        figure = self._figure() if rng.random() < spec.figures and len(self.bank.figures) else []
        actors = [self._actor(counts[1] > n) for n in range(spec.actors[1])]
        if figure:
            behind = int(rng.integers(0, len(actors) + 1))
            actors = [*actors[:behind], *figure, *actors[behind:]][: len(actors) + len(figure)]
        if len(actors) >= 2 and not figure:
            twin = rng.random(B) < spec.twins
            first, second = actors[0], actors[1]
            second.cel[twin] = first.cel[twin]
            second.palette[twin] = self._paint(self.bank.palette[first.cel])[twin]
        grades = [colors.grade(rng) if rng.random() < spec.grades else (np.eye(3), np.zeros(3)) for _ in range(B)]
        return Plan(
            times=self.times,
            backdrop=backdrop,
            layers=(*layers, *actors),
            grade=np.stack([g for g, _ in grades]).astype(np.float64),
            offset=np.stack([o for _, o in grades]).astype(np.float64),
            blur=np.where(rng.random(B) < 0.25, self.u(0.35, 0.8, B) / 192, 0.0),
            line_style=tuple(str(s) for s in rng.choice(list(spec.line_styles), B, p=_shares(spec.line_styles))),
            seed=tuple(int(s) for s in rng.integers(0, 2**31, B)),
        )

    # -- numbers ----------------------------------------------------------------------------------------------

    def u(self, low: float, high: float, *shape: int) -> Floats:
        return self.rng.uniform(low, high, shape)

    def swing(self, size: Floats | float, fast: float = 0.5) -> Floats:
        """``B T``: two waves of time, about ``size`` to each side, up to ``fast`` radians a frame."""
        B, t = self.clips, self.times
        size = np.broadcast_to(np.asarray(size, np.float64).reshape(-1, 1), (B, 1))
        total = np.zeros_like(t)
        for share in (0.7, 0.4):
            total += share * size * np.sin(self.u(0.04, fast, B, 1) * t + self.u(0, 2 * np.pi, B, 1))
        return total

    def _times(self) -> Floats:
        spec, B = self.spec, self.clips
        low, high = spec.distance
        even, octave = self.u(low, high + 1, B), np.exp(self.u(np.log(max(low, 0.7)), np.log(high + 1), B))
        gap = np.clip(np.floor(np.where(self.rng.random(B) < 0.6, even, octave)), low, high)
        step = self.u(0.5, 3.0, B)
        return np.concatenate([np.zeros((B, 1)), gap[:, None] + step[:, None] * np.arange(spec.frames - 1)], 1)

    def _camera(self) -> Floats:
        """World => frame for things at depth 1, ``B T 3`` (x, y, log zoom) and roll."""
        B, t, s = self.clips, self.times, self.spec.speed
        at = t[np.arange(B), self.rng.integers(0, t.shape[1], B)][:, None]
        moves, zooms = self.rng.random(B) < 0.65, self.rng.random(B) < 0.45
        fast = np.where(self.rng.random(B) < 0.2, 3.0, 1.0) * moves
        x = self.u(-0.006, 0.006, B, 1) * fast[:, None] * (t - at) * s + self.swing(0.05 * s * moves, 0.2)
        y = self.u(-0.003, 0.003, B, 1) * fast[:, None] * (t - at) * s + self.swing(0.03 * s * moves, 0.2)
        zoom = self.u(-0.008, 0.008, B, 1) * zooms[:, None] * (t - at) * s
        roll = self.swing(0.03 * s * (self.rng.random(B) < 0.15), 0.1)
        return np.stack([x, y, zoom, roll], -1)

    def view(self, depth: Floats) -> Floats:
        """World => frame at ``depth`` (1 = moves with the camera in full, 0 = infinitely far), ``B T 3 3``."""
        x, y, zoom, roll = (self.camera[..., k] for k in range(4))
        d = depth[:, None]
        scale = np.exp(zoom * (0.4 + 0.6 * d))
        return _affine(scale, roll, x * d, y * d)

    # -- what there is ------------------------------------------------------------------------------------------

    def _backdrop(self) -> Backdrop:
        rng, B = self.rng, self.clips
        sets = len(self.bank.scenery.maps)
        painted = (rng.random(B) < 0.6) & (sets > 0)
        hue, gamma = self._turn(B)
        return Backdrop(
            view=_inverse(self.view(rng.choice([0.3, 0.6, 1.0], B)))[..., :2, :],
            picture=np.where(painted, rng.integers(0, max(sets, 1), B), -1),
            hue=hue,
            gamma=gamma,
            bands=np.stack([*self._directions(self.u(0.9, 4.8, B, 6)), self.u(0, 2 * np.pi, B, 6)], -1),
            tilt=self.u(-0.6, 0.6, B),
            steps=rng.integers(2, 7, B).astype(np.float64),
            hard=rng.random(B) < 0.5,
            colors=np.stack([colors.random_color(rng, 3, near=_near(rng)) for _ in range(B)]).astype(np.float64),
        )

    def _directions(self, frequency: Floats) -> tuple[Floats, Floats]:
        angle = self.u(0, 2 * np.pi, *frequency.shape)
        return frequency * np.cos(angle), frequency * np.sin(angle)

    def _turn(self, count: int) -> tuple[Floats, Floats]:
        """How things are recolored as a whole: a matrix ``count 3 3`` and a gamma; hues stay for one in seven."""
        angle = np.where(self.rng.random(count) < 0.15, 0.0, self.u(0, 2 * np.pi, count))
        c, s = np.cos(angle), np.sqrt(1 / 3) * np.sin(angle)
        o = (1 - c) / 3
        m = np.stack([c + o, o - s, o + s, o + s, c + o, o - s, o - s, o + s, c + o], -1).reshape(count, 3, 3)
        keep = self.u(0.4, 1.3, count)[:, None, None]
        m = (keep * np.eye(3) + (1 - keep) / 3) @ m * self.u(0.5, 1.05, count)[:, None, None]
        return m, self.u(0.6, 1.5, count)

    def _paint(self, palette: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Palettes ``B 64 3`` recolored: as a whole, or color by color for one in three."""
        m, gamma = self._turn(self.clips)
        turned = np.einsum("bij,bkj->bki", m, palette).clip(0, 1) ** gamma[:, None, None]
        own = self.rng.random(self.clips) < 0.33
        for b in np.flatnonzero(own):
            turned[b] = colors.repaint(palette[b], self.rng)
        return np.asarray(turned, np.float32)

    def _ink(self, inked: float) -> tuple[Floats, Floats, Floats]:
        B = self.clips
        width = np.exp(self.u(np.log(0.8), np.log(2.4), B)) / 192 * (self.rng.random(B) < inked)
        dark = self.u(0, 0.25, B, 3) * self.u(0, 1, B, 1)
        return width, dark, np.where(self.rng.random(B) < 0.45, 0.4, 0.0)

    def _shade(self) -> tuple[Floats, Floats]:
        """Two tones of light: factor in shadow and where it lies."""
        B = self.clips
        shaded = self.rng.random(B) < 0.5
        factor = np.where(shaded[:, None], self.u(0.45, 0.9, B, 1) + self.u(-0.08, 0.08, B, 3), 1.0)
        where = np.stack([self.u(-2.5, 2.5, B), self.u(-2.5, 2.5, B), self.u(0, 6.28, B), self.u(-0.6, 0.9, B)], -1)
        return factor, where

    def _layer(
        self,
        cel: npt.NDArray[np.int64],
        palette: npt.NDArray[np.float32],
        place: Floats,
        shown: npt.NDArray[np.bool_],
        *,
        bend: Floats | float = 0.0,
        bulge: Floats | float = 0.0,
        ink: tuple[Floats, Floats, Floats],
        shade: tuple[Floats, Floats],
    ) -> Layer:
        """A layer whose square is brought into the frame by ``place``, ``B T 3 3``."""
        B, T = self.times.shape
        bend = np.broadcast_to(np.asarray(bend, np.float64), (B,))
        bulge = np.broadcast_to(np.asarray(bulge, np.float64), (B,))
        phase = self.u(0.05, 0.5, B, 2, 1) * self.times[:, None] + self.u(0, 2 * np.pi, B, 2, 1)
        wave = np.stack(
            [
                np.broadcast_to(bend[:, None, None] * self.u(0.5, 1.0, B, 2, 1), (B, 2, T)),
                np.broadcast_to(self.u(1, 4, B, 2, 1), (B, 2, T)),
                phase,
            ],
            -1,
        )
        return Layer(
            cel=cel,
            matrix=_inverse(place)[..., :2, :],
            scale=np.sqrt(np.abs(np.linalg.det(place[..., :2, :2]))),
            palette=palette,
            wave=wave,
            bulge=np.stack([self.swing(bulge), self.swing(0.4 * bulge)], -1),
            ink=ink[0],
            dark=ink[1],
            tint=ink[2],
            shadow=shade[0],
            light=shade[1],
            shown=shown,
        )

    def _drawings(self) -> npt.NDArray[np.int64]:
        return self.rng.choice(self.bank.drawings, self.clips, p=self.bank.weight)

    def _prop(self, shown: npt.NDArray[np.bool_]) -> Layer:
        B, which = self.clips, self._drawings()
        mirror = np.where(self.rng.random(B) < 0.5, -1.0, 1.0)
        size, turn = np.exp(self.u(np.log(0.15), np.log(1.2), B)), self.u(-0.3, 0.3, B)
        x, y = self.u(-1.3, 1.3, B) * self.ratio, self.u(-1.0, 1.1, B)
        place = _affine(size, turn, x, y) @ _mirror(mirror)
        place = self.view(np.ones(B)) @ place[:, None]
        ink = self._ink(0.5)
        return self._layer(which, self._paint(self.bank.palette[which]), place, shown, ink=ink, shade=self._shade())

    def _actor(self, shown: npt.NDArray[np.bool_]) -> Layer:
        B, which, s, t = self.clips, self._drawings(), self.spec.speed, self.times
        low, high = self.spec.size
        size = np.where(self.rng.random(B) < self.spec.close_ups, self.u(1.1, 2.4, B), self.u(low, high, B))
        lively = self.rng.choice([0.0, 0.5, 1.0, 1.0, 1.6], B) * s
        at = t[:, -1:] * self.rng.random((B, 1))
        x = self.u(-1, 1, B, 1) * self.ratio + self.u(-0.04, 0.04, B, 1) * lively[:, None] * (t - at)
        y = self.u(-0.9, 0.9, B, 1) + self.u(-0.03, 0.03, B, 1) * lively[:, None] * (t - at)
        x, y = x + self.swing(self.u(0, 0.3, B) * lively), y + self.swing(self.u(0, 0.2, B) * lively)
        turn = self.u(-0.6, 0.6, B, 1) + self.u(-0.02, 0.02, B, 1) * lively[:, None] * t
        turn = turn + self.swing(self.u(0, 0.5, B) * lively)
        scale = size[:, None] * np.exp(self.swing(self.u(0, 0.25, B) * lively, 0.4))
        mirror = np.broadcast_to(np.where(self.rng.random((B, 1)) < 0.5, -1.0, 1.0), t.shape).copy()
        back = (self.rng.random(B) < 0.06) & (lively > 0)  # turns round: mirrored from some frame on
        since = t[np.arange(B), self.rng.integers(1, t.shape[1], B)]
        mirror[back] *= np.where(t[back] >= since[back, None], -1.0, 1.0)
        place = self.view(self.rng.choice([0.8, 1.0, 1.0, 1.2], B)) @ _affine(scale, turn, x, y) @ _mirror(mirror)
        bend, bulge = self.u(0, 0.14, B) * lively, self.u(0, 0.3, B) * lively * (self.rng.random(B) < 0.4)
        palette = self._paint(self.bank.palette[which])
        ink, shade = self._ink(0.7), self._shade()
        return self._layer(which, palette, place, shown, bend=bend, bulge=bulge, ink=ink, shade=shade)

    def _figure(self) -> list[Layer]:
        """One jointed figure a clip, hair and clothes in front of one another, large and often cut by the frame."""
        B, t, s, rng = self.clips, self.times, self.spec.speed, self.rng
        figures = self.bank.figures
        which = rng.integers(0, len(figures), B)
        build = {name: value[which] for name, value in figures.build.items()}
        lively = rng.choice([0.4, 1.0, 1.5], B) * s
        rest = {"shoulder": (0.2, 1.6), "elbow": (-2.2, 0.6), "hip": (0.0, 0.25), "knee": (0.0, 0.3)}
        reach = {"shoulder": 0.9, "elbow": 0.8, "hip": 0.3, "knee": 0.4}
        angle = {}
        for far, sign in (("far_", 1.0), ("", -1.0)):
            for joint, (low, high) in rest.items():
                middle = self.u(low, high, B, 1) * sign
                angle[far + joint] = middle + self.swing(reach[joint] * lively * rng.uniform(0.2, 1, B), 0.4)
        for joint, reach_of in (("lean", 0.15), ("nod", 0.25), ("hair", 0.35), ("hem", 0.15)):
            angle[joint] = rng.normal(0, 0.08, (B, 1)) + self.swing(reach_of * lively, 0.4)
        close = rng.random(B) < 0.5
        size = np.where(close, self.u(1.2, 2.6, B), self.u(0.5, 1.2, B))
        x = self.u(-0.6, 0.6, B, 1) * self.ratio + self.u(-0.02, 0.02, B, 1) * lively[:, None] * t
        x = x + self.swing(0.15 * lively)
        head = (build["torso"] + build["head"] - 0.12) * size  # how far the head is above the figure's middle
        y = np.where(close, head + self.u(-0.5, 0.5, B), self.u(-0.2, 0.5, B))[:, None] + self.swing(0.06 * lively)
        mirror = np.where(rng.random((B, 1)) < 0.5, -1.0, 1.0)
        stand = self.view(np.ones(B)) @ _affine(size[:, None], self.swing(0.05 * lively), x, y)
        stand = stand @ _mirror(np.broadcast_to(mirror, t.shape))
        own = np.stack([colors.random_color(rng, 64) for _ in range(B)])
        face = rng.choice(self.bank.faces, B)
        head_palette = self._paint(self.bank.palette[face])
        hair_as_head = rng.random(B) < 0.3
        own[hair_as_head, parts.HAIR] = head_palette[hair_as_head, 2]
        ink, shade = self._ink(0.85), self._shade()
        layers = []
        for number, place in enumerate(parts.pose(build, angle)):
            name = parts.ORDER[number]
            is_head = number == parts.HEAD
            hangs = name in ("back_hair", "lock_left", "lock_right", "fringe", "skirt")
            shown = np.ones(B, bool) if name not in ("lock_left", "lock_right", "fringe") else rng.random(B) < 0.6
            layers.append(
                self._layer(
                    face if is_head else figures.cels[which, number],
                    head_palette if is_head else own,
                    stand @ place,
                    shown,
                    bend=self.u(0, 0.12, B) * lively if hangs else 0.0,
                    bulge=self.u(0, 0.35, B) * lively if is_head else 0.0,
                    ink=ink,
                    shade=shade,
                )
            )
        return layers


_Part = TypeVar("_Part", Plan, Layer, Backdrop)


def _slice(part: _Part, which: slice) -> _Part:
    """The same of some clips."""
    kept: dict[str, Any] = {}
    for each in fields(part):
        value = getattr(part, each.name)
        if isinstance(value, Backdrop):
            kept[each.name] = _slice(value, which)
        elif each.name == "layers":
            kept[each.name] = tuple(_slice(layer, which) for layer in value)
        else:
            kept[each.name] = value[which]
    return replace(part, **kept)


def _near(rng: np.random.Generator) -> float | None:
    return float(rng.random()) if rng.random() < 0.5 else None


def _shares(weights: dict[str, float]) -> Floats:
    total = sum(weights.values())
    return np.array([share / total for share in weights.values()])


def _affine(scale: Floats, turn: Floats, x: Floats, y: Floats) -> Floats:
    """``... 3 3``: scale, then turn, then move."""
    matrix = np.zeros((*np.broadcast_shapes(scale.shape, turn.shape, x.shape, y.shape), 3, 3))
    matrix[..., 0, 0] = matrix[..., 1, 1] = scale * np.cos(turn)
    matrix[..., 1, 0] = scale * np.sin(turn)
    matrix[..., 0, 1] = -matrix[..., 1, 0]
    matrix[..., 0, 2], matrix[..., 1, 2], matrix[..., 2, 2] = x, y, 1
    return matrix


def _mirror(sign: Floats) -> Floats:
    matrix = np.zeros((*sign.shape, 3, 3))
    matrix[..., 0, 0], matrix[..., 1, 1], matrix[..., 2, 2] = sign, 1, 1
    return matrix


def _inverse(matrix: Floats) -> Floats:
    inverted: Floats = np.linalg.inv(matrix)
    return inverted
