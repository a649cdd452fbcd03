"""Palette files: bytes <-> swatches.

Text: ``.gpl`` (GIMP, Krita, Inkscape, Aseprite), ``.hex`` (one color a line, as Lospec publishes palettes), ``.json``.
Binary: ``.ase`` (Adobe Swatch Exchange) and ``.aco`` (Photoshop color swatches, versions 1 and 2).
Whatever the bytes are, a reader returns swatches or raises :class:`~celpaint.errors.InputError`.
"""

from __future__ import annotations

import colorsys
import json
import math
import re
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from celpaint.conditions.palette.value import RGB, Palette, hex_color
from celpaint.errors import InputError
from celpaint.frames.oklab import linear_to_srgb

__all__ = ["READERS", "WRITERS", "Swatch", "parse_color", "parse_colors", "read_ase", "sniff"]


@dataclass(frozen=True)
class Swatch:
    """One entry of a palette file.

    Attributes:
        rgb: sRGB in [0, 1].
        name: empty where it has none.
        alpha: in [0, 1], 1 = opaque.
        converted: the color model the file has it in, where the way from there to sRGB depends on a press profile that
            the file does not hold (``CMYK``); empty for all others.
    """

    rgb: RGB
    name: str = ""
    alpha: float = 1.0
    converted: str = ""


Reader = Callable[[bytes, str], tuple[Swatch, ...]]
"""A file's bytes and what to call it in errors -> its swatches, of which there may be none."""

# ---------------------------------------------------------------------------------------------------------------- text

_HEX = re.compile(r"#?([0-9a-fA-F]{3,4}|[0-9a-fA-F]{6}|[0-9a-fA-F]{8})")
_WORD = re.compile(r"[a-zA-Z]+")
_BETWEEN = re.compile(r"[\s,;]+")


def parse_color(text: str) -> Swatch | None:
    """``#rgb``, ``#rgba``, ``#rrggbb``, ``#rrggbbaa``, each also without ``#``, or a CSS name; None if it is neither.

    ``fade``, ``face`` and the like are taken for hexadecimal digits.
    """
    if match := _HEX.fullmatch(text):
        digits = match[1] if len(match[1]) > 4 else "".join(2 * d for d in match[1])
        r, g, b, *alpha = (value / 255 for value in bytes.fromhex(digits))
        return Swatch((r, g, b), alpha=alpha[0] if alpha else 1.0)
    if _WORD.fullmatch(text):
        from PIL import ImageColor

        try:
            red, green, blue = ImageColor.getrgb(text)[:3]
        except ValueError:
            return None
        return Swatch((red / 255, green / 255, blue / 255), text)
    return None


def parse_colors(text: str, source: str) -> tuple[Swatch, ...]:
    """Colors with commas, semicolons or white space between them: ``#1d3557, e63946``.

    Raises:
        InputError: a word is no color.
    """
    return tuple(_color(word, source) for word in _BETWEEN.split(text) if word)


def _color(word: object, source: str, name: str = "") -> Swatch:
    found = parse_color(word.strip()) if isinstance(word, str) else None
    if found is None:
        raise InputError(f"{source} has {_shown(word)} for a color", wanted="hexadecimal digits such as #1d3557")
    return Swatch(found.rgb, name or found.name, found.alpha)


def _shown(value: object) -> str:
    """A value for people, however long it is."""
    text = repr(value)
    return text if len(text) <= 40 else f"{text[:37]}..."


def _text(data: bytes) -> str:
    """UTF-8 as written today; latin-1, which reads any bytes, for files of older programs."""
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return data.decode("latin-1")


def read_hex(data: bytes, source: str) -> tuple[Swatch, ...]:
    """One color a line; lines that begin with ``;`` or ``//`` are comments."""
    lines = (line for line in _text(data).splitlines() if not line.lstrip().startswith((";", "//")))
    return parse_colors("\n".join(lines), source)


_GPL_HEADER = "GIMP Palette"
_GPL_COLOR = re.compile(r"\s*(\d{1,6})\s+(\d{1,6})\s+(\d{1,6})(?:\s+(.*))?", re.ASCII)
_GPL_ALPHA = re.compile(r"(\d{1,6})(?:\s+(.*))?", re.ASCII)
_GPL_SETTING = re.compile(r"(name|columns|channels)\s*:\s*(.*)", re.IGNORECASE)


def read_gpl(data: bytes, source: str) -> tuple[Swatch, ...]:
    """GIMP's palette; also Aseprite's kind of it, with a fourth number for alpha under ``Channels: RGBA``."""
    first, *lines = _text(data).splitlines() or [""]
    if first.strip() != _GPL_HEADER:
        raise InputError(f"{source} begins with {_shown(first)}", wanted=f"a first line '{_GPL_HEADER}'")
    swatches, with_alpha = [], False
    for number, line in enumerate(lines, 2):
        text = line.strip()
        if not text or text.startswith("#"):
            continue
        if setting := _GPL_SETTING.fullmatch(text):
            with_alpha |= setting[1].lower() == "channels" and setting[2].strip().upper() == "RGBA"
            continue
        swatches.append(_gpl_color(text, with_alpha, f"line {number} of {source}"))
    return tuple(swatches)


def _gpl_color(text: str, with_alpha: bool, source: str) -> Swatch:
    match = _GPL_COLOR.fullmatch(text)
    if match is None:
        raise InputError(f"{source} is {_shown(text)}", wanted="three numbers from 0 to 255, and a name if you like")
    *values, name = (*(int(match[i]) for i in (1, 2, 3)), match[4] or "")
    if with_alpha and (more := _GPL_ALPHA.fullmatch(name)):
        values, name = [*values, int(more[1])], more[2] or ""
    if max(values) > 255:
        raise InputError(f"{source} has the number {max(values)}", wanted="0 to 255")
    r, g, b, *alpha = (value / 255 for value in values)
    return Swatch((r, g, b), "" if name == "Untitled" else name.strip(), alpha[0] if alpha else 1.0)


def write_gpl(palette: Palette) -> bytes:
    """GIMP's palette, 8 bits a channel."""
    lines = [_GPL_HEADER, "Name: celpaint", f"Columns: {len(palette)}", "#"]
    for color, name in palette.named:
        numbers = " ".join(f"{round(value * 255):3d}" for value in color)
        lines.append(f"{numbers}\t{' '.join(name.split()) or 'Untitled'}")
    return ("\n".join(lines) + "\n").encode("utf-8", "replace")


def write_hex(palette: Palette) -> bytes:
    """One color a line, 8 bits a channel, without names."""
    return "".join(f"{hex_color(color)[1:]}\n" for color in palette.colors).encode()


_JSON_WANTED = 'a list of colors ["#1d3557", ...], {"colors": [...]} or {"name": "#1d3557", ...}'


def read_json(data: bytes, source: str) -> tuple[Swatch, ...]:
    """A list of colors, ``{"colors": list}``, or ``{name: color}``.

    A color is hexadecimal text, three whole numbers from 0 to 255, or an object with ``color`` (or ``hex``) and, where
    it has one, ``name``.
    """
    try:
        found = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{source} is not JSON ({error})", wanted=_JSON_WANTED) from None
    if isinstance(found, dict) and isinstance(found.get("colors"), list):
        found = found["colors"]
    if isinstance(found, dict):
        return tuple(_json_color(color, source, name) for name, color in found.items())
    if isinstance(found, list):
        return tuple(_json_color(color, source) for color in found)
    raise InputError(f"{source} holds {_shown(found)}", wanted=_JSON_WANTED)


def _json_color(value: Any, source: str, name: str = "") -> Swatch:
    if isinstance(value, dict):
        inner = value.get("name", "")
        return _color(value.get("color", value.get("hex")), source, inner if isinstance(inner, str) else "")
    if isinstance(value, list):
        if len(value) != 3 or not all(type(v) is int and 0 <= v <= 255 for v in value):
            raise InputError(f"{source} has {_shown(value)} for a color", wanted="three whole numbers from 0 to 255")
        return Swatch((value[0] / 255, value[1] / 255, value[2] / 255), name)
    return _color(value, source, name)


def write_json(palette: Palette) -> bytes:
    """``{"colors": [...]}``, 8 bits a channel; objects with names where there are any."""
    colors = [{"name": name, "color": hex_color(c)} if palette.names else hex_color(c) for c, name in palette.named]
    return (json.dumps({"colors": colors}, indent=2, ensure_ascii=False) + "\n").encode("utf-8", "replace")


# -------------------------------------------------------------------------------------------------------------- binary


class _Bytes:
    """Reads big-endian numbers one after the other."""

    def __init__(self, data: bytes, source: str) -> None:
        self.data, self.source, self.at = data, source, 0

    def take(self, size: int) -> bytes:
        """The next bytes."""
        if size > self.left:
            raise InputError(f"{self.source} is cut short", wanted="all of its colors in full", todo="Export it again.")
        self.at += size
        return self.data[self.at - size : self.at]

    def numbers(self, form: str) -> tuple[Any, ...]:
        """As :func:`struct.unpack`, big-endian."""
        return struct.unpack(f">{form}", self.take(struct.calcsize(f">{form}")))

    def name(self, length: int) -> str:
        """A name of so many UTF-16 units, the closing zero included."""
        return self.take(2 * length).decode("utf-16-be", "replace").rstrip("\0").strip()

    @property
    def left(self) -> int:
        """Bytes not read yet."""
        return len(self.data) - self.at


def _cmyk(c: float, m: float, y: float, k: float) -> RGB:
    """Inks in [0, 1], 1 = full, mixed as ideal filters: near the press's colors, not equal to them."""
    return (1 - c) * (1 - k), (1 - m) * (1 - k), (1 - y) * (1 - k)


_LAB_WHITE = np.array([0.9642, 1.0, 0.8249])  # D50
_D50_TO_LINEAR = np.array(  # Bradford-adapted to D65, then to sRGB's primaries
    [
        [3.1338561, -1.6168667, -0.4906146],
        [-0.9787684, 1.9161415, 0.0334540],
        [0.0719453, -0.2289914, 1.4052427],
    ]
)


def _lab(lightness: float, a: float, b: float) -> RGB:
    """CIE Lab under D50, as Adobe's programs have it -> sRGB, clipped to it."""
    y = (lightness + 16) / 116
    f = np.array([y + a / 500, y, y - b / 200])
    xyz = _LAB_WHITE * np.where(f > 6 / 29, f**3, 3 * (6 / 29) ** 2 * (f - 4 / 29))
    red, green, blue = linear_to_srgb(np.clip(_D50_TO_LINEAR @ xyz, 0, 1).astype(np.float32)).tolist()
    return red, green, blue


_ASE_COLOR, _ASE_GROUPS = 0x0001, (0xC001, 0xC002)
_ASE_MODELS = {b"RGB ": 3, b"CMYK": 4, b"LAB ": 3, b"Gray": 1}
_ASEPRITE = 0xA5E0


def read_ase(data: bytes, source: str) -> tuple[Swatch, ...]:
    """Adobe Swatch Exchange. Groups are read through; blocks of unknown kinds are passed over."""
    if len(data) >= 6 and struct.unpack_from("<H", data, 4)[0] == _ASEPRITE:
        raise InputError(
            f"{source} is a sprite of Aseprite, not a palette",
            wanted="Adobe Swatch Exchange",
            todo="Save its palette as .gpl in Aseprite.",
        )
    stream = _Bytes(data, source)
    if data[:4] != b"ASEF":
        raise InputError(f"{source} does not begin with 'ASEF'", wanted="Adobe Swatch Exchange")
    *_, blocks = stream.numbers("4sHHI")
    swatches = []
    for _ in range(blocks):
        kind, length = stream.numbers("HI")
        block = _Bytes(stream.take(length), source)
        if kind == _ASE_COLOR:
            swatches.append(_ase_color(block))
    return tuple(swatches)


def _ase_color(block: _Bytes) -> Swatch:
    name = block.name(*block.numbers("H"))
    model = block.take(4)
    if model not in _ASE_MODELS:
        raise InputError(f"{block.source} has a color in the model {model!r}", wanted="RGB, CMYK, LAB or Gray")
    values = block.numbers(f"{_ASE_MODELS[model]}f")
    if not all(math.isfinite(value) for value in values):
        raise InputError(f"{block.source} has a color that is not a number", wanted="finite numbers")
    if model == b"LAB ":
        lightness, a, b = values
        return Swatch(_lab(_unit(lightness) * 100, *(min(max(v, -128.0), 127.0) for v in (a, b))), name)
    share = [_unit(value) for value in values]
    if model == b"CMYK":
        return Swatch(_cmyk(*share), name, converted="CMYK")
    red, green, blue = share if model == b"RGB " else share * 3
    return Swatch((red, green, blue), name)


def _unit(value: float) -> float:
    return min(max(value, 0.0), 1.0)


def write_ase(palette: Palette) -> bytes:
    """Adobe Swatch Exchange, RGB, global colors, float32 a channel."""
    blocks = []
    for color, name in palette.named:
        text = _utf16(name or hex_color(color))
        body = struct.pack(">H", len(text) // 2) + text + b"RGB " + struct.pack(">3fH", *color, 0)
        blocks.append(struct.pack(">HI", _ASE_COLOR, len(body)) + body)
    return struct.pack(">4sHHI", b"ASEF", 1, 0, len(blocks)) + b"".join(blocks)


def _utf16(name: str) -> bytes:
    """UTF-16, at most 255 characters, with a closing zero."""
    return name[:255].encode("utf-16-be", "replace") + b"\0\0"


_BOOKS = {3: "Pantone", 4: "Focoltone", 5: "Trumatch", 6: "Toyo", 10: "HKS"}


def read_aco(data: bytes, source: str) -> tuple[Swatch, ...]:
    """Photoshop's swatches: version 2, which has names, where it is there, else version 1."""
    stream = _Bytes(data, source)
    swatches: tuple[Swatch, ...] | None = None
    while swatches is None or stream.left >= 4:
        version, count = stream.numbers("HH")
        if version not in (1, 2):
            if swatches is not None:  # other programs' data after the colors
                break
            raise InputError(f"{source} is of version {version}", wanted="Photoshop swatches of version 1 or 2")
        swatches = tuple(_aco_color(stream, version, i + 1) for i in range(count))
    return swatches


def _aco_color(stream: _Bytes, version: int, number: int) -> Swatch:
    space, w, x, y, z = stream.numbers("5H")
    name = stream.name(*stream.numbers("I")) if version == 2 else ""
    if space == 0:
        return Swatch((w / 65535, x / 65535, y / 65535), name)
    if space == 1:
        return Swatch(colorsys.hsv_to_rgb(w / 65535, x / 65535, y / 65535), name)
    if space == 2:  # 0 = full ink
        return Swatch(_cmyk(*(1 - value / 65535 for value in (w, x, y, z))), name, converted="CMYK")
    if space == 7:
        a, b = (value - 65536 if value >= 32768 else value for value in (x, y))
        return Swatch(_lab(min(w, 10000) / 100, a / 100, b / 100), name)
    if space == 8:  # 10,000 = full ink
        gray = 1 - min(w, 10000) / 10000
        return Swatch((gray, gray, gray), name)
    book = f"the color book {_BOOKS[space]}" if space in _BOOKS else f"the color space number {space}"
    raise InputError(
        f"color {number} of {stream.source} is in {book}",
        wanted="RGB, HSB, CMYK, Lab or grayscale",
        todo="Convert it to RGB in Photoshop and save the swatches again.",
    )


def write_aco(palette: Palette) -> bytes:
    """Photoshop's swatches, versions 1 and 2 as Photoshop writes them, RGB, 16 bits a channel."""
    first, second = struct.pack(">HH", 1, len(palette)), struct.pack(">HH", 2, len(palette))
    for color, name in palette.named:
        entry = struct.pack(">5H", 0, *(round(value * 65535) for value in color), 0)
        text = _utf16(name)
        first += entry
        second += entry + struct.pack(">I", len(text) // 2) + text
    return first + second


# --------------------------------------------------------------------------------------------------------------------

READERS: dict[str, Reader] = {
    ".gpl": read_gpl,
    ".ase": read_ase,
    ".aco": read_aco,
    ".hex": read_hex,
    ".json": read_json,
}
"""By suffix."""

WRITERS: dict[str, Callable[[Palette], bytes]] = {
    ".gpl": write_gpl,
    ".ase": write_ase,
    ".aco": write_aco,
    ".hex": write_hex,
    ".json": write_json,
}
"""By suffix."""


def sniff(data: bytes) -> str:
    """The suffix that data without a name would have, judged by how it begins; ``.hex`` for all other text."""
    start: Sequence[tuple[bytes, str]] = (
        (b"ASEF", ".ase"),
        (b"\x00\x01", ".aco"),
        (b"\x00\x02", ".aco"),
        (_GPL_HEADER.encode(), ".gpl"),
        (b"[", ".json"),
        (b"{", ".json"),
    )
    text = data.removeprefix(b"\xef\xbb\xbf").lstrip(b" \t\r\n")
    return next((suffix for magic, suffix in start if text.startswith(magic)), ".hex")
