"""Reading and writing palettes: the command line, palette files, pictures, standard input."""

from __future__ import annotations

import logging
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

from celpaint.atomic_write import disk_errors, write_file
from celpaint.conditions.palette.extraction import extract_kmeans
from celpaint.conditions.palette.formats import READERS, WRITERS, Swatch, parse_color, parse_colors, sniff
from celpaint.conditions.palette.tags import palette_of_tags
from celpaint.conditions.palette.value import MAX_COLORS, PAPER_COLORS, Palette, hex_color
from celpaint.errors import InputError, OutputError
from celpaint.frames.pictures import SUFFIXES
from celpaint.frames.read import read_picture

__all__ = ["MAX_BYTES", "palette_of_swatches", "read_palette", "read_swatches", "write_palette"]

log = logging.getLogger("celpaint")

MAX_BYTES = 4 * 2**20
"""The largest palette file read."""

TAGS = "tags:"
"""What a list of words begins with: ``tags:sky,skin,foliage``."""

_WANTED = (
    "colors (#1d3557,#e63946), tags (tags:sky,skin), a palette file ({}), a picture, or - for standard input".format(
        ", ".join(suffix[1:] for suffix in READERS)
    )
)


def read_palette(
    source: str | Path, *, colors: int = PAPER_COLORS, seed: int = 0, stdin: BinaryIO | None = None
) -> Palette:
    """A palette, from whatever names one.

    Args:
        source: colors as :func:`~celpaint.conditions.palette.formats.parse_colors` reads them; ``tags:`` and words of
            :mod:`~celpaint.conditions.palette.tags`; a palette file; a picture, whose colors are extracted; or ``-``,
            any text or palette file on standard input. A name that is both a color and a file is taken for the color:
            write ``./red`` for the file.
        colors: how many to extract from a picture, or to take for tags.
        seed: of the extraction.
        stdin: what ``-`` reads; None: this process's standard input.

    Raises:
        InputError: the source is none of these, is damaged, or has no color or more than 32.
    """
    text = str(source)
    if text == "-":
        data = (stdin or sys.stdin.buffer).read(MAX_BYTES + 1)
        return palette_of_swatches(_parse(data, sniff(data), "standard input"), "standard input")
    if isinstance(source, str) and text.startswith(TAGS):
        return palette_of_tags(text.removeprefix(TAGS).split(","), colors=colors)
    if isinstance(source, str) and _looks_like_colors(text):
        return palette_of_swatches(parse_colors(text, f"'{text}'"), f"'{text}'")
    path = Path(source)
    if path.suffix.lower() in SUFFIXES:
        frame, _ = read_picture(path)
        return extract_kmeans([frame], colors=colors, seed=seed)
    return palette_of_swatches(read_swatches(path), f"'{path}'")


def _looks_like_colors(text: str) -> bool:
    """A list with a ``#`` or a comma is meant as colors, right or wrong; a single word only if it is one."""
    return not text.strip() or "#" in text or "," in text or parse_color(text.strip()) is not None


def read_swatches(path: Path) -> tuple[Swatch, ...]:
    """All swatches of a palette file, however many.

    Raises:
        InputError: no such file, of no known kind, too large, or damaged.
    """
    suffix = path.suffix.lower()
    if suffix not in READERS:
        seen = (
            f"'{path}' is not a palette file of a known kind" if path.exists() else f"'{path}' is no color and no file"
        )
        raise InputError(seen, wanted=_WANTED)
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise InputError(
            f"the palette '{path}' can't be read ({error.strerror})", todo="Check the path and its permissions."
        ) from None
    except ValueError:  # a zero byte in the name
        raise InputError(f"{str(path)!r} is not a file name", wanted=_WANTED) from None
    return _parse(data, suffix, f"'{path}'")


def _parse(data: bytes, suffix: str, source: str) -> tuple[Swatch, ...]:
    if len(data) > MAX_BYTES:
        raise InputError(f"{source} has more than {MAX_BYTES // 2**20} MiB", wanted="a palette file")
    return READERS[suffix](data, source)


def palette_of_swatches(swatches: Sequence[Swatch], source: str) -> Palette:
    """Swatches as a palette. Whatever is changed is logged as a warning.

    Colors that are fully transparent, or equal to an earlier one at 8 bits, are left out. Partial transparency is
    ignored: the color counts as opaque.

    Args:
        swatches: in order.
        source: what to call them in errors and warnings.

    Raises:
        InputError: no color is left, or more than 32.
    """
    visible = [swatch for swatch in swatches if swatch.alpha > 0]
    if hidden := len(swatches) - len(visible):
        log.warning("%s: %d fully transparent color(s) are left out", source, hidden)
    if faint := sum(swatch.alpha < 1 for swatch in visible):
        log.warning("%s: the transparency of %d color(s) is ignored; they count as opaque", source, faint)
    kept: dict[str, Swatch] = {}
    for swatch in visible:
        kept.setdefault(hex_color(swatch.rgb), swatch)
    if alike := len(visible) - len(kept):
        log.warning("%s: %d color(s) equal to an earlier one are left out", source, alike)
    if inks := {swatch.converted for swatch in kept.values() if swatch.converted}:
        log.warning(
            "%s: %s colors are converted to sRGB without the press's profile; check them", source, ", ".join(inks)
        )
    if not kept:
        raise InputError(f"{source} has no color", wanted=f"1 to {MAX_COLORS}", todo="Add a color.")
    if len(kept) > MAX_COLORS:
        raise InputError(
            f"{source} has {len(kept)} colors",
            wanted=f"1 to {MAX_COLORS}",
            todo="Delete those that matter least, or extract fewer from a picture.",
        )
    names = tuple(swatch.name for swatch in kept.values())
    return Palette(tuple(swatch.rgb for swatch in kept.values()), names if any(names) else ())


def write_palette(palette: Palette, path: Path) -> None:
    """Write a palette file of the kind its suffix says, aside first, then renamed.

    Raises:
        OutputError, DiskFull: no such kind of file, or the place can't be written to.
    """
    suffix = path.suffix.lower()
    if suffix not in WRITERS:
        raise OutputError(
            f"'{path}' is not a palette file of a known kind", wanted=f"a name that ends in {', '.join(WRITERS)}"
        )
    with disk_errors(path):
        write_file(path, WRITERS[suffix](palette))
