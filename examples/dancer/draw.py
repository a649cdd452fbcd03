"""Draw the example shot: two dancers on an open-air stage.

    python examples/dancer/draw.py

The dancers come from @code-dot-org/dance-party, fetched with npm; neither was ever trained on. The stage is drawn here.
Everything is drawn at twice the size and then halved.
"""

from __future__ import annotations

import tarfile
import tempfile
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import skia

from celpaint.data.art import fetch, flatten, main_colors, read_dances, sources

HERE = Path(__file__).parent
WIDTH, HEIGHT, SCALE = 576, 320, 2
FRAMES = 36
INK = 2.6  # pixels at double size
BLACK = np.zeros(3, np.float32)  # of the lines, in the drawings and in the paintings alike


@dataclass(frozen=True)
class Dancer:
    """Who dances what, where (middle of the feet, share of the picture), how large, and in which colors."""

    name: str
    dances: tuple[tuple[str, int], ...]
    x: float
    y: float
    size: float
    mirrored: bool
    repaint: tuple[tuple[str, str], ...]


DANCERS = (
    Dancer(
        "unicorn",
        (("clown", 24), ("doublejam", 12)),
        0.69,
        0.92,
        0.86,
        True,
        (
            ("#143441", "#b0246b"),
            ("#3a4d5c", "#e8618c"),
            ("#0f2437", "#2a3f7d"),
            ("#89d2ee", "#ffd166"),
            ("#de98c3", "#8e5bd0"),
        ),
    ),
    Dancer(
        "cat",
        (("kick", 24), ("dab", 12)),
        0.37,
        0.985,
        0.98,
        False,
        (("#143441", "#ffb03b"), ("#fef79c", "#a3224f"), ("#87d1eb", "#d8f1f2"), ("#228897", "#1b7f8c")),
    ),
)


def main() -> None:
    color, layout = stage()
    color = ink_over(color, layout)
    cels = {dancer.name: dance(dancer) for dancer in DANCERS}
    for folder in ("lines", "original"):
        (HERE / folder).mkdir(exist_ok=True)
    for frame in range(FRAMES):
        picture, lines = color.copy(), layout.copy()
        for dancer in DANCERS:
            labels, palette = cels[dancer.name]
            lay(picture, lines, labels[frame], palette, dancer)
        write(HERE / "original" / f"A_{frame + 1:04d}.png", picture)
        write(HERE / "lines" / f"A_{frame + 1:04d}.png", 1 - lines)
        if frame == 0:
            write(HERE / "reference.png", picture)


def ink_over(picture: np.ndarray, ink: np.ndarray) -> np.ndarray:
    """Lines, ``H W``, on a painting, ``H W 3``."""
    return picture * (1 - ink[..., None]) + BLACK * ink[..., None]


def write(path: Path, image: np.ndarray) -> None:
    small = cv2.resize(image, (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA)
    pixels = np.round(small.clip(0, 1) * 255).astype(np.uint8)
    if pixels.ndim == 3:
        pixels = pixels[..., ::-1]
    cv2.imwrite(str(path), pixels, [cv2.IMWRITE_PNG_COMPRESSION, 9])


def dance(dancer: Dancer) -> tuple[list[np.ndarray], np.ndarray]:
    """Region numbers of every frame, and their colors, ``64 3``."""
    source = next(source for source in sources() if source.reader == "dancers")
    cache = Path(tempfile.gettempdir()) / "celpaint-example"
    cache.mkdir(exist_ok=True)
    archive = fetch(source, cache)
    with tempfile.TemporaryDirectory() as folder:
        with tarfile.open(archive) as tar:
            tar.extractall(folder, filter="data")
        dances = read_dances(Path(folder) / "package")[dancer.name]
    frames = np.concatenate([dances[name][:count] for name, count in dancer.dances])
    frames = frames[:, :, ::-1] if dancer.mirrored else frames
    palette = main_colors(np.concatenate(list(dances.values()))[::3])
    labels = list(flatten(frames, palette, round(dancer.size * HEIGHT * SCALE), smooth=1.1))
    painted = palette.astype(np.float32) / 255
    for before, after in dancer.repaint:
        near = np.abs(palette.astype(int) - rgb8(before)).sum(1) < 8
        near[0] = False
        painted[near] = np.array(rgb8(after)) / 255
    return labels, painted


def lay(picture: np.ndarray, lines: np.ndarray, label: np.ndarray, palette: np.ndarray, dancer: Dancer) -> None:
    """Paint one dancer, with two-tone shading and ink, and draw its lines; a shadow lies on the floor."""
    size = label.shape[0]
    left, top = round(dancer.x * WIDTH * SCALE - size / 2), round(dancer.y * HEIGHT * SCALE - size)
    whole = np.zeros(picture.shape[:2], np.uint8)
    y, x = max(0, top), max(0, left)
    part = label[y - top : whole.shape[0] - top, x - left : whole.shape[1] - left]
    whole[y : y + part.shape[0], x : x + part.shape[1]] = part
    solid = (whole > 0).astype(np.float32)
    # A soft shadow on the floor, below the feet.
    feet = round((dancer.y - 0.035) * HEIGHT * SCALE)
    columns = np.flatnonzero(solid[feet - size // 3 :].any(0))
    shadow = np.zeros_like(solid)
    middle, half = (int(columns[0]) + int(columns[-1])) // 2, max(60, int(columns[-1] - columns[0]) // 2)
    cv2.ellipse(shadow, (middle, feet), (half, 16), 0, 0, 360, 1.0, -1, cv2.LINE_AA)
    picture *= 1 - 0.35 * shadow[..., None] * np.array([0.8, 1.0, 0.7], np.float32)
    # Paint: light comes from the upper left, what is turned away lies in shade.
    form = cv2.GaussianBlur(solid, (0, 0), 9)
    away = np.roll(np.roll(form, -9, 1), -5, 0) - form
    shade = ((-away - 0.16) / 0.02).clip(0, 1)[..., None]
    paint = palette[whole] * (1 - shade * (1 - np.array([0.74, 0.68, 0.86], np.float32)))
    # Ink: where two regions meet.
    border = np.zeros(whole.shape, np.uint8)
    border[:, 1:] |= whole[:, 1:] != whole[:, :-1]
    border[1:] |= whole[1:] != whole[:-1]
    ink = (INK / 2 + 0.5 - cv2.distanceTransform(1 - border, cv2.DIST_L2, 5)).clip(0, 1)
    alpha = solid[..., None]
    picture[:] = picture * (1 - alpha) + paint * alpha
    picture[:] = ink_over(picture, ink)
    lines[:] = np.maximum(lines * (1 - solid), ink)


class Stage:
    """Shapes in painter's order, on a color canvas and, filled white and stroked black, on a canvas of lines."""

    def __init__(self) -> None:
        self.color, self.lines = (skia.Surface(WIDTH * SCALE, HEIGHT * SCALE) for _ in range(2))
        for surface in (self.color, self.lines):
            surface.getCanvas().scale(SCALE, SCALE)
            surface.getCanvas().clear(skia.ColorWHITE)

    def shape(self, path: skia.Path, fill: str | skia.Shader, *, line: float = 1.2) -> None:
        paint = skia.Paint(AntiAlias=True)
        if isinstance(fill, str):
            paint.setColor(skia.Color(*rgb8(fill)))
        else:
            paint.setShader(fill)
        self.color.getCanvas().drawPath(path, paint)
        if line:
            self.lines.getCanvas().drawPath(path, skia.Paint(AntiAlias=True, Color=skia.ColorWHITE))
            stroke = skia.Paint(AntiAlias=True, Style=skia.Paint.kStroke_Style, StrokeWidth=line)
            self.lines.getCanvas().drawPath(path, stroke)

    def stroke(self, path: skia.Path, color: str, width: float) -> None:
        for surface, tone in ((self.color, skia.Color(*rgb8(color))), (self.lines, skia.ColorBLACK)):
            paint = skia.Paint(AntiAlias=True, Style=skia.Paint.kStroke_Style, StrokeWidth=width, Color=tone)
            surface.getCanvas().drawPath(path, paint)


def rgb8(color: str) -> tuple[int, int, int]:
    return int(color[1:3], 16), int(color[3:5], 16), int(color[5:7], 16)


def ramp(top: str, bottom: str, y0: float, y1: float) -> skia.Shader:
    return skia.GradientShader.MakeLinear(
        [skia.Point(0, y0), skia.Point(0, y1)], [skia.Color(*rgb8(top)), skia.Color(*rgb8(bottom))]
    )


def polygon(*points: tuple[float, float]) -> skia.Path:
    return skia.Path().addPoly([skia.Point(*point) for point in points], True)


def circle(x: float, y: float, radius: float) -> skia.Path:
    return skia.Path().addCircle(x, y, radius)


def stage() -> tuple[np.ndarray, np.ndarray]:
    """The set: color ``H W 3`` and lines ``H W``, both at double size, in [0, 1]."""
    rng = np.random.default_rng(5)
    draw = Stage()
    draw.shape(skia.Path().addRect(skia.Rect.MakeWH(WIDTH, HEIGHT)), ramp("#5b4b9a", "#ffb27d", 0, 235), line=0)
    for radius, tone in ((66, "#ffc58a"), (48, "#ffe3a6")):
        draw.shape(circle(408, 150, radius), tone, line=1.0 if radius == 48 else 0)
    for y, height, width, x in (
        (62, 9, 95, 110),
        (90, 7, 60, 200),
        (48, 8, 80, 470),
        (112, 6, 70, 520),
        (122, 7, 80, 40),
    ):
        cloud = skia.Path()
        for step in range(5):
            r = height * (0.8 + 0.5 * np.sin(1.3 * step + x))
            cloud.addOval(
                skia.Rect.MakeLTRB(x + (step - 2.5) * width / 5, y - r, x + (step - 0.9) * width / 5, y + r * 0.7)
            )
        merged = skia.Simplify(cloud)
        draw.shape(merged, ramp("#ff9f94", "#d97fa3", y - height, y + height), line=0.9)
    for base, amplitude, seed, top, bottom in (
        (178, 26, 1.0, "#a06aa6", "#c98aa8"),
        (202, 16, 2.4, "#7a5598", "#9c6a9f"),
        (222, 9, 4.1, "#4f4683", "#64538c"),
    ):
        path = skia.Path()
        path.moveTo(-5, HEIGHT)
        for x in range(-5, WIDTH + 10, 6):
            y = base - amplitude * (
                np.sin(x / 61 + seed) + 0.5 * np.sin(x / 27 + 2 * seed) + 0.2 * np.sin(x / 11 + seed)
            )
            path.lineTo(x, y)
        path.lineTo(WIDTH + 5, HEIGHT)
        path.close()
        draw.shape(path, ramp(top, bottom, base - 40, base + 40), line=1.0)
    for x, height, tone, light in (
        (28, 150, "#33557a", "#47739a"),
        (548, 170, "#2f4d72", "#426a92"),
        (505, 96, "#3c6187", "#527ea3"),
    ):
        draw.shape(
            polygon((x - 4, 250), (x - 3, 250 - height * 0.5), (x + 3, 250 - height * 0.5), (x + 4, 250)), "#4a3550"
        )
        crown, lit = skia.Path(), skia.Path()
        for _ in range(11):
            angle, far = rng.uniform(0, 2 * np.pi), rng.uniform(0.2, 0.85)
            cx, cy = x + far * 34 * np.cos(angle), 250 - height * 0.72 + far * height * 0.3 * np.sin(angle)
            radius = rng.uniform(11, 19)
            crown.addCircle(cx, cy, radius)
            lit.addCircle(cx - 4, cy - 5, radius * 0.62)
        draw.shape(skia.Simplify(crown), tone)
        draw.shape(skia.Op(skia.Simplify(lit), skia.Simplify(crown), skia.PathOp.kIntersect_PathOp), light, line=0.9)
    # the stage
    draw.shape(polygon((-5, 246), (WIDTH + 5, 246), (WIDTH + 5, HEIGHT + 5), (-5, HEIGHT + 5)), "#b8705c")
    for plank in range(-9, 10):
        near, far = WIDTH / 2 + plank * 62, WIDTH / 2 + plank * 40
        tones = ("#c57c62", "#b66c58", "#bd7560")
        draw.shape(
            polygon((far, 246), (far + 40, 246), (near + 62, HEIGHT + 4), (near, HEIGHT + 4)),
            tones[plank % 3],
            line=1.0,
        )
    draw.shape(polygon((-5, 240), (WIDTH + 5, 240), (WIDTH + 5, 249), (-5, 249)), "#8a4a55")
    # loudspeakers
    for x, flip in ((70, 1), (508, -1)):
        for level, (wide, high) in enumerate(((58, 50), (50, 40))):
            y = 268 - level * 50
            draw.shape(
                polygon((x - wide / 2, y), (x + wide / 2, y), (x + wide / 2, y - high), (x - wide / 2, y - high)),
                "#3b3357",
            )
            side = x + flip * wide / 2
            draw.shape(
                polygon((side, y), (side + flip * 12, y - 6), (side + flip * 12, y - high + 2), (side, y - high)),
                "#2a2443",
            )
            draw.shape(circle(x, y - high / 2, high * 0.37), "#5d5480")
            draw.shape(circle(x, y - high / 2, high * 0.24), "#29233f")
            draw.shape(circle(x, y - high / 2, high * 0.09), "#f0c36a")
    # a string of lamps
    for start, end, sag in (((-6, 34), (290, 22), 34), ((290, 22), (WIDTH + 6, 40), 30)):
        rope = skia.Path()
        rope.moveTo(*start)
        control = ((start[0] + end[0]) / 2, (start[1] + end[1]) / 2 + 2 * sag)
        rope.quadTo(*control, *end)
        draw.stroke(rope, "#33284f", 1.4)
        for share in np.linspace(0.08, 0.92, 8):
            x = (1 - share) ** 2 * start[0] + 2 * share * (1 - share) * control[0] + share**2 * end[0]
            y = (1 - share) ** 2 * start[1] + 2 * share * (1 - share) * control[1] + share**2 * end[1]
            draw.shape(polygon((x - 2.2, y), (x + 2.2, y), (x + 2.2, y + 4), (x - 2.2, y + 4)), "#33284f", line=0.8)
            tone = ("#ffe08a", "#ff9c8a", "#8fe0d8", "#ffd0ea")[round(share * 100) % 4]
            draw.shape(circle(x, y + 8.5, 5), tone, line=1.0)
    color = draw.color.toarray(colorType=skia.kRGBA_8888_ColorType)[..., :3].astype(np.float32) / 255
    lines = 1 - draw.lines.toarray(colorType=skia.kRGBA_8888_ColorType)[..., 0].astype(np.float32) / 255
    return color, lines


if __name__ == "__main__":
    main()
