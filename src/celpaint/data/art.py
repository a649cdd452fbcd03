"""Fetching openly licensed drawings and turning them into flat regions with lines.

Packages come through the ordinary client (``npm pack``), pinned by version and sha256 in ``art_sources.json``. Every
drawing is rendered once. Colors are rendered as codes, not as themselves, so each pixel tells exactly which color of
the drawing it has; pixels of anti-aliased edges take the nearest exact one. Thin dark strokes of outlined styles are
taken out, what they divide grows together until it meets, and where it meets is the line.
"""

from __future__ import annotations

import hashlib
import html
import json
import re
import subprocess
import tarfile
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from celpaint.atomic_write import write_text
from celpaint.data.synthetic.art import COLORS, LINE, Art, Drawing, deflate, flat_lines, with_lines
from celpaint.errors import InputError, MissingExtra

if TYPE_CHECKING:
    from numpy import uint8

__all__ = ["Source", "build", "fetch", "flatten", "main_colors", "notice", "read_dances", "sources"]

SIZE = 384
"""Width and height of a cel."""

_EXPRESSIONS = 4
"""Cels of a character whose eyes and mouth can change."""

Report = Callable[[str], None]


@dataclass(frozen=True)
class Source:
    """A pinned package with drawings.

    Attributes:
        package: its name in the npm registry.
        version: exactly this one.
        sha256: of the archive.
        license: SPDX identifier, or a sentence where styles differ.
        author: whom to name.
        reader: how to read it: ``openmoji``, ``iconify``, ``dicebear`` or ``dancers``.
        style: name of its styles in the collection; a reader may put more after a slash.
        held: styles of it that are kept for validation.
        inked: whether thin dark strokes are its outlines.
        skip: pattern of names to leave out.
        styles: for packages of many styles: name => license and author.
        many: drawings to make of every combinable style.
    """

    package: str
    version: str
    sha256: str
    license: str
    author: str
    reader: str
    style: str
    held: Sequence[str] = ()
    inked: bool = False
    skip: str = "(?!)"
    styles: Mapping[str, Sequence[str]] = field(default_factory=dict)
    many: int = 0


def sources() -> tuple[Source, ...]:
    """The pinned packages."""
    table = json.loads(resources.files("celpaint.data").joinpath("art_sources.json").read_text(encoding="utf-8"))
    return tuple(Source(**entry) for entry in table)


def build(out: Path, *, cache_dir: Path | None = None, limit: int | None = None, report: Report = print) -> Art:
    """Fetch all packages, render every drawing and write them to ``out``, with a NOTICE beside it.

    What has been fetched or rendered before is kept in ``cache_dir`` and used again, so a build that was stopped goes
    on where it was.

    Args:
        out: the file to write, about 80 MB.
        cache_dir: for archives and rendered packages; None: a folder beside ``out``.
        limit: drawings of each package, for a quick look; None: all.
        report: told about each step.

    Raises:
        MissingExtra: no renderer is installed.
        InputError: a package can't be fetched, or is not the pinned one.
    """
    try:
        import skia  # noqa: F401
    except ImportError:
        raise MissingExtra("skia-python", "data") from None
    kept = cache_dir or out.with_name(f".{out.stem}.celpaint")
    kept.mkdir(parents=True, exist_ok=True)
    parts: list[Drawing] = []
    held: dict[str, bool] = {}
    for source in sources():
        recipe = hashlib.sha256(f"{source} {SIZE} {_EXPRESSIONS} {limit}".encode()).hexdigest()[:16]
        part = kept / f"{source.style}-{recipe}.safetensors"
        if part.exists():
            art = Art.load(part)
        else:
            archive = fetch(source, kept)
            report(f"rendering {source.package} {source.version}")
            with tempfile.TemporaryDirectory(dir=kept) as folder, tarfile.open(archive) as tar:
                tar.extractall(folder, filter="data")
                drawings = list(_READERS[source.reader](Path(folder) / "package", source, limit))
            flags = {style: style in source.held for style, *_ in drawings}
            art = Art.collect(SIZE, drawings, flags)
            art.save(part)
        report(f"{source.package} {source.version}: {len(art)} drawings")
        held |= dict(zip(art.styles, art.held, strict=True))
        parts += art.drawings()
    art = Art.collect(SIZE, parts, held)
    art.save(out)
    write_text(out.with_name(f"{out.stem}.NOTICE.txt"), notice())
    return art


def notice() -> str:
    """Whose drawings they are, and under which licenses."""
    lines = ["The drawings in this collection come from these packages of the npm registry.", ""]
    for source in sources():
        lines += [f"{source.package} {source.version}", f"  {source.author}; {source.license}"]
        lines += [f"  {style}: {author}; {license}" for style, (license, author) in source.styles.items()]
        lines.append("")
    return "\n".join(lines)


def fetch(source: Source, folder: Path) -> Path:
    """The package's archive in ``folder``, fetched with npm unless it is there; its sha256 is always checked.

    Raises:
        InputError: npm is missing or fails, or the archive is another one than was pinned.
    """
    name = source.package.removeprefix("@").replace("/", "-")
    archive = folder / f"{name}-{source.version}.tgz"
    if not archive.exists():
        command = ["npm", "pack", "--silent", f"{source.package}@{source.version}"]
        with tempfile.TemporaryDirectory(dir=folder) as aside:
            try:
                subprocess.run(command, cwd=aside, check=True, capture_output=True, text=True)
            except FileNotFoundError:
                raise InputError("npm is not installed", todo="Install Node.js, which includes npm.") from None
            except subprocess.CalledProcessError as error:
                last = (error.stderr.strip().splitlines() or ["it said nothing"])[-1]
                raise InputError(
                    f"npm could not fetch {source.package} {source.version} ({last})",
                    todo="Check the network, then run the command again to resume.",
                ) from None
            (Path(aside) / archive.name).replace(archive)
    seen = hashlib.sha256(archive.read_bytes()).hexdigest()
    if seen != source.sha256:
        raise InputError(
            f"'{archive}' has sha256 {seen}", wanted=source.sha256, todo="Delete it and run the command again."
        )
    return archive


# Reading packages. Each reader yields (style, palette, deflated cels, whether the cels move).

_TONES = re.compile(r"tone\d|skin-tone|-(medium-)?(light|dark)$|-medium$|-1f3f[b-f]", re.I)


def _iconify(folder: Path, source: Source, limit: int | None) -> Iterator[Drawing]:
    icons = json.loads((folder / "icons.json").read_text(encoding="utf-8"))
    skip = re.compile(source.skip)
    names = [name for name in sorted(icons["icons"]) if not _TONES.search(name) and not skip.search(name)]
    for name in names[slice(limit)]:
        icon = icons["icons"][name]
        width, height = icon.get("width", icons.get("width", 16)), icon.get("height", icons.get("height", 16))
        made = _drawing([icon["body"]], width, height, source.inked)
        if made:
            yield source.style, *made, False


def _openmoji(folder: Path, source: Source, limit: int | None) -> Iterator[Drawing]:
    table = json.loads((folder / "data" / "openmoji.json").read_text(encoding="utf-8"))
    groups = re.compile(source.skip)
    codes = sorted(row["hexcode"] for row in table if not row["skintone"] and not groups.search(row["group"]))
    for code in codes[slice(limit)]:
        made = _drawing([(folder / "color" / "svg" / f"{code}.svg").read_text(encoding="utf-8")], 72, 72, source.inked)
        if made:
            yield source.style, *made, False


def _dicebear(folder: Path, source: Source, limit: int | None) -> Iterator[Drawing]:
    for number, (style, (license, _)) in enumerate(source.styles.items()):
        definition = json.loads((folder / "src" / f"{style}.json").read_text(encoding="utf-8"))
        stated = definition["meta"]["license"]["name"]
        if stated != license:
            raise InputError(f"the style {style} says '{stated}' of its license", wanted=license)
        for index in range(min(source.many, limit or source.many)):
            rng = np.random.default_rng((number, index))
            character = _Character(definition, rng)
            bodies = [character.svg(look) for look in range(_EXPRESSIONS)]
            canvas = definition["canvas"]
            made = _drawing(bodies, canvas["width"], canvas["height"], inked=True)
            if made:
                yield f"{source.style}/{style}", *made, False


class _Character:
    """One character of a DiceBear style: variants and colors chosen at random; eyes and mouth differ by look."""

    changing = ("eyes", "mouth", "eyebrows", "expression", "mood")

    def __init__(self, definition: Mapping[str, Any], rng: np.random.Generator) -> None:
        self.components = definition["components"]
        self.canvas = definition["canvas"]
        self.root = definition.get("attributes", {})
        self.colors = {name: str(rng.choice(color["values"])) for name, color in definition.get("colors", {}).items()}
        self.chosen = {
            name: [str(rng.choice(list(part["variants"]))) for _ in range(_EXPRESSIONS)]
            for name, part in self.components.items()
        }
        self.shown = {
            name: bool(rng.random() * 100 < max(30, part["probability"]))
            if part.get("probability") is not None
            else True
            for name, part in self.components.items()
        }

    def svg(self, look: int) -> str:
        inner = "".join(self._element(element, "", look) for element in self.canvas["elements"])
        return f"<g{self._attributes(self.root, '')}>{inner}</g>"

    def _element(self, element: Mapping[str, Any], part: str, look: int) -> str:
        kind, attributes = element["type"], element.get("attributes", {})
        if kind == "text":
            return ""
        if kind == "component":
            name = element["name"]
            component = self.components.get(name)
            if component is None or not self.shown[name]:
                return ""
            variant = self.chosen[name][look if name in self.changing else 0]
            inner = "".join(self._element(child, name, look) for child in component["variants"][variant]["elements"])
            return f"<g{self._attributes(attributes, name)}>{inner}</g>"
        if kind != "element" or element["name"] in ("style", "animate", "animateTransform"):
            return ""
        inner = "".join(self._element(child, part, look) for child in element.get("children", []))
        return f"<{element['name']}{self._attributes(attributes, part)}>{inner}</{element['name']}>"

    def _attributes(self, attributes: Mapping[str, Any], part: str) -> str:
        text = ""
        for name, value in attributes.items():
            if isinstance(value, dict):
                value = self.colors.get(value.get("name", ""), "#808080") if value["type"] == "color" else ""
            if name in ("fill", "stroke") and str(value) not in ("none",) and not str(value).startswith("url"):
                value = f"{part}@{value}"  # the same color of another part is another color
            text += f' {name}="{html.escape(str(value))}"'
        return text


def _dancers(folder: Path, source: Source, limit: int | None) -> Iterator[Drawing]:
    for character, dances in read_dances(folder).items():
        clips = list(dances.values())[slice(limit)]
        palette = main_colors(np.concatenate([clip[::3] for clip in clips]))
        for clip in clips:
            cels = tuple(deflate(flat_lines(cel)) for cel in flatten(clip, palette))
            yield f"{source.style}/{character}", palette, cels, True


def read_dances(folder: Path) -> dict[str, dict[str, npt.NDArray[uint8]]]:
    """The unpacked dance-party package => character => dance => frames ``T H W 4`` RGBA."""
    import cv2

    sheets = folder / "test" / "assets" / "sprite_sheets"
    table = json.loads((sheets / "characters.json").read_text(encoding="utf-8"))
    characters: dict[str, dict[str, npt.NDArray[uint8]]] = {}
    for character, dances in table.items():
        characters[character] = {}
        for name, dance in dances.items():
            sheet = cv2.imread(str(sheets / dance["spritesheet"]), cv2.IMREAD_UNCHANGED)[..., [2, 1, 0, 3]]
            size = dance["frames"][0]["sourceSize"]
            frames = np.zeros((len(dance["frames"]), size["h"], size["w"], 4), np.uint8)
            for whole, frame in zip(frames, dance["frames"], strict=True):
                box, at = frame["frame"], frame["spriteSourceSize"]
                cut = sheet[box["y"] : box["y"] + box["h"], box["x"] : box["x"] + box["w"]]
                whole[at["y"] : at["y"] + box["h"], at["x"] : at["x"] + box["w"]] = cut
            characters[character][name] = frames
    return characters


def main_colors(frames: npt.NDArray[uint8]) -> npt.NDArray[uint8]:
    """The colors flat raster frames ``T H W 4`` are painted in, as a palette ``64 3``; blends at edges are none."""
    packed = np.ascontiguousarray(frames).view(np.uint32)[..., 0]
    inner = packed[:, 1:-1, 1:-1]
    flat = (frames[:, 1:-1, 1:-1, 3] > _SOLID) & (inner == packed[:, :-2, 1:-1]) & (inner == packed[:, 2:, 1:-1])
    flat &= (inner == packed[:, 1:-1, :-2]) & (inner == packed[:, 1:-1, 2:])
    values, counts = np.unique(inner[flat], return_counts=True)
    found: list[npt.NDArray[uint8]] = []
    for index in np.argsort(-counts, kind="stable"):
        if counts[index] < 3e-4 * counts.sum() or len(found) == COLORS - 1:
            break
        color = values[index : index + 1].view(np.uint8)[:3]
        if all(np.abs(color.astype(int) - known).max() > _NEAR for known in found):
            found.append(color)
    palette = np.zeros((COLORS, 3), np.uint8)
    palette[1 : 1 + len(found)] = found
    return palette


_NEAR = 14
"""Channels of a flat color differ by no more than this."""

_SOLID = 230
"""Alpha above which a pixel is not at an edge."""


def flatten(
    clip: npt.NDArray[uint8], palette: npt.NDArray[uint8], size: int = SIZE, *, smooth: float = 0.7
) -> Iterator[npt.NDArray[uint8]]:
    """Raster frames ``T H W 4`` => region numbers, ``size size`` each, all by the same window.

    Args:
        smooth: radius in pixels by which borders are smoothed.
    """
    import cv2

    used = int(np.flatnonzero(palette.any(1)).max()) + 1
    rows, columns = (np.flatnonzero((clip[..., 3] > 127).any(axes)) for axes in ((0, 2), (0, 1)))
    side = int(1.08 * max(rows[-1] - rows[0], columns[-1] - columns[0])) + 2
    top, left = (rows[0] + rows[-1] - side) // 2, (columns[0] + columns[-1] - side) // 2
    for frame in clip:
        colors, which = np.unique(np.ascontiguousarray(frame).view(np.uint32)[..., 0], return_inverse=True)
        rgba = colors.view(np.uint8).reshape(-1, 4)
        apart = np.abs(rgba[:, None, :3].astype(np.int16) - palette[1:used].astype(np.int16)).max(-1)
        clear, solid = rgba[:, 3] == 0, rgba[:, 3] > _SOLID
        number = np.where(clear, 0, apart.argmin(-1) + 1).astype(np.uint8)
        label = _grow(number[which], (clear | (solid & (apart.min(-1) <= _NEAR)))[which])
        label = np.pad(label, side)[top + side : top + 2 * side, left + side : left + 2 * side]
        best = np.full((size, size), -1.0, np.float32)
        cel = np.zeros((size, size), np.uint8)
        for value in np.unique(label):
            soft = cv2.GaussianBlur((label == value).astype(np.float32), (0, 0), smooth)
            large = cv2.resize(soft, (size, size), interpolation=cv2.INTER_CUBIC)
            cel[large > best] = value
            best = np.maximum(best, large)
        yield cel


_READERS: dict[str, Callable[[Path, Source, int | None], Iterator[Drawing]]] = {
    "iconify": _iconify,
    "openmoji": _openmoji,
    "dicebear": _dicebear,
    "dancers": _dancers,
}


# Rendering.

_PAINT = re.compile(r'\b(fill|stroke)\s*=\s*"([^"]*)"|\b(fill|stroke)\s*:\s*([^;"]+)')
_OPACITY = re.compile(r'\b(?:fill-|stroke-)?opacity\s*(?:=\s*"([^"]*)"|:\s*([^;"]+);?)')
_GRADIENT = re.compile(
    r"<(?:linear|radial)Gradient\b[^>]*?\bid=\"([^\"]+)\"[^>]*?(?:/>|>(.*?)</(?:linear|radial)Gradient>)", re.S
)
_STOP = re.compile(r"stop-color\s*[=:]\s*\"?\s*([^;\"]+)")


def _drawing(
    bodies: list[str], width: float, height: float, inked: bool
) -> tuple[npt.NDArray[uint8], tuple[bytes, ...]] | None:
    """SVG of the cels of one drawing => palette and deflated cels; None where there is too little to see."""
    codes = _Codes()
    documents = []
    for body in bodies:
        body = re.sub(
            r"<\?xml.*?\?>|<!--.*?-->|<title>.*?</title>|<desc>.*?</desc>|<style.*?</style>", "", body, flags=re.S
        )
        coded = "".join(
            piece if piece.startswith("<mask") else codes.encode(piece, body)
            for piece in re.split(r"(<mask.*?</mask>)", body, flags=re.S)
        )
        inner = re.sub(r"^\s*<svg[^>]*>|</svg>\s*$", "", coded, flags=re.S)
        documents.append(
            '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" '
            f'viewBox="0 0 {width} {height}"><g fill="{codes.code("#000000")}">{inner}</g></svg>'
        )
    window = (0.0, 0.0, float(max(width, height)))
    small = _render(documents[0], width, height, window, 128)
    if small is None:
        return None
    rows, columns = np.flatnonzero(small[..., 3].any(1)), np.flatnonzero(small[..., 3].any(0))
    if not len(rows):
        return None
    scale = window[2] / 128
    side = 1.07 * max(rows[-1] - rows[0], columns[-1] - columns[0]) * scale + 2 * scale
    middle_x, middle_y = (columns[0] + columns[-1] + 1) / 2 * scale, (rows[0] + rows[-1] + 1) / 2 * scale
    window = (middle_x - side / 2, middle_y - side / 2, side)
    palette = codes.palette()
    ink = (palette.astype(float) @ [0.299, 0.587, 0.114] < 75) if inked else np.zeros(COLORS, bool)
    ink[0] = False
    cels = []
    for document in documents:
        image = _render(document, width, height, window, SIZE)
        if image is None:
            return None
        cel = _trace(_decode(image), ink)
        if (cel & (COLORS - 1) > 0).mean() < 0.04 or len(np.unique(cel & (COLORS - 1))) < 2:
            return None
        packed = deflate(cel)
        if packed not in cels:
            cels.append(packed)
    return palette, tuple(cels)


class _Codes:
    """Region numbers for the colors of one drawing, in the order they come."""

    def __init__(self) -> None:
        self.colors: dict[str, int] = {}

    def number(self, color: str) -> int:
        if color not in self.colors:
            if len(self.colors) < COLORS - 1:
                self.colors[color] = len(self.colors) + 1
            else:
                seen = np.array([_rgb(known) for known in self.colors], int)
                nearest = int(np.abs(seen - np.array(_rgb(color), int)).sum(1).argmin())
                self.colors[color] = list(self.colors.values())[nearest]
        return self.colors[color]

    def code(self, color: str) -> str:
        number = self.number(color)
        return "#" + "".join(f"{85 * (number >> shift & 3):02x}" for shift in (0, 2, 4))

    def palette(self) -> npt.NDArray[uint8]:
        palette = np.zeros((COLORS, 3), np.uint8)
        for color, number in reversed(self.colors.items()):
            palette[number] = _rgb(color)
        return palette

    def encode(self, piece: str, body: str) -> str:
        gradients = dict(_GRADIENT.findall(body))

        def paint(match: re.Match[str]) -> str:
            name, value = (match[1], match[2]) if match[1] else (match[3], match[4])
            part, _, color = value.strip().rpartition("@")
            if not color or color in ("none", "transparent", "inherit"):
                return match[0]
            if color.startswith("url("):
                color = _mean_stop(gradients.get(color[4:].strip("#)'\" "), ""))
            coded = self.code(f"{part}@{color}" if part else color)
            return f'{name}="{coded}"' if match[1] else f"{name}:{coded}"

        def opacity(match: re.Match[str]) -> str:
            value = (match[1] or match[2]).strip()
            share = float(value.rstrip("%")) / (100 if value.endswith("%") else 1)
            hidden = share < 0.4
            return ('display="none"' if hidden else "") if match[1] is not None else ("display:none;" if hidden else "")

        return _OPACITY.sub(opacity, _PAINT.sub(paint, piece))


def _mean_stop(stops: str) -> str:
    colors = [_rgb(stop) for stop in _STOP.findall(stops)]
    mean = np.mean(colors, 0) if colors else np.array([128, 128, 128])
    return "#" + "".join(f"{int(channel):02x}" for channel in mean)


@cache
def _rgb(color: str) -> tuple[int, int, int]:
    from PIL import ImageColor

    try:
        red, green, blue = ImageColor.getrgb(color.rpartition("@")[2])[:3]
    except ValueError:
        return 0, 0, 0
    return red, green, blue


def _render(
    document: str, width: float, height: float, window: tuple[float, float, float], size: int
) -> npt.NDArray[uint8] | None:
    """The square ``window`` (x, y, side) of an SVG document, ``size size 4`` RGBA; None where it can't be read."""
    import skia

    dom = skia.SVGDOM.MakeFromStream(skia.MemoryStream.MakeCopy(document.encode()))
    if dom is None:
        return None
    dom.setContainerSize(skia.Size(width, height))
    surface = skia.Surface(size, size)
    canvas = surface.getCanvas()
    canvas.clear(0)
    canvas.scale(size / window[2], size / window[2])
    canvas.translate(-window[0], -window[1])
    canvas.clipRect(skia.Rect.MakeWH(width, height))
    dom.render(canvas)
    image: npt.NDArray[uint8] = surface.toarray(colorType=skia.kRGBA_8888_ColorType)
    return image


def _decode(image: npt.NDArray[uint8]) -> npt.NDArray[uint8]:
    """A picture painted in codes => region numbers."""
    digits = (image[..., :3].astype(np.int16) + 42) // 85
    exact = (np.abs(image[..., :3].astype(np.int16) - 85 * digits) <= 1).all(-1)
    number = (digits[..., 0] + 4 * digits[..., 1] + 16 * digits[..., 2]).astype(np.uint8)
    number[image[..., 3] < 128] = 0
    sure = (exact & (image[..., 3] == 255) & (number > 0)) | (image[..., 3] == 0)
    # A blend of two codes may happen to be a third one, though only along an edge: never two pixels wide.
    square = (number[1:, 1:] == number[:-1, 1:]) & (number[1:, 1:] == number[1:, :-1])
    square = np.pad(square & (number[1:, 1:] == number[:-1, :-1]), 1)
    return _grow(number, sure & (square[1:, 1:] | square[1:, :-1] | square[:-1, 1:] | square[:-1, :-1]))


def _grow(label: npt.NDArray[uint8], sure: npt.NDArray[np.bool_]) -> npt.NDArray[uint8]:
    """Give every pixel that is not ``sure`` the label of the nearest that is."""
    import cv2

    if sure.all() or not sure.any():
        return label
    _, index = cv2.distanceTransformWithLabels(
        (~sure).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_5, labelType=cv2.DIST_LABEL_PIXEL
    )
    of = np.zeros(int(index.max()) + 1, np.uint8)
    of[index[sure]] = label[sure]
    grown: npt.NDArray[uint8] = of[index]
    return grown


def _trace(label: npt.NDArray[uint8], ink: npt.NDArray[np.bool_]) -> npt.NDArray[uint8]:
    """Take strokes of ink out of a map of regions and put lines in their middle; blots of ink stay."""
    import cv2
    from skimage.morphology import skeletonize

    inked = ink[label]
    if not inked.any():
        return flat_lines(label)
    depth = cv2.distanceTransform(np.pad(inked.astype(np.uint8), 1), cv2.DIST_L2, 5)[1:-1, 1:-1]
    middle = skeletonize(inked)
    half = float(np.median(depth[middle]))  # of the width of a stroke
    # Blots are thicker than strokes are where they meet, or compact all by themselves, as pupils are.
    radius = int(np.clip(1.75 * half, 3, SIZE // 36))
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1))
    padded = np.pad(inked.astype(np.uint8), radius)
    blots = cv2.morphologyEx(padded, cv2.MORPH_OPEN, disc)[radius:-radius, radius:-radius] > 0
    count, piece, stats, _ = cv2.connectedComponentsWithStats(inked.astype(np.uint8), connectivity=8)
    deepest = np.zeros(count, np.float32)
    np.maximum.at(deepest, piece.ravel(), depth.ravel())
    compact = (stats[:, cv2.CC_STAT_AREA] < 6 * deepest**2) & (deepest > 3)
    compact[0] = False
    stroke = inked & ~blots & ~compact[piece]
    cel = flat_lines(_grow(label, ~stroke))
    # Strokes within a region are lines too: those that go farther from borders than branches at corners do.
    reach = 1.3 * half + 3
    within = middle & stroke
    far = cv2.distanceTransform((cel < LINE).astype(np.uint8), cv2.DIST_L2, 5) > reach
    _, piece, stats, _ = cv2.connectedComponentsWithStats((within & far).astype(np.uint8), connectivity=8)
    line = ((stats[:, cv2.CC_STAT_AREA] > SIZE // 48)[piece] & within & far).astype(np.uint8)
    for _ in range(round(reach) + 2):
        line = cv2.dilate(line, np.ones((3, 3), np.uint8)) & within
    return with_lines(cel, line > 0)
