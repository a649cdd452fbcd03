"""Words -> colors, without a network: ``sky`` is blue, ``foliage`` green.

Wang et al. 2025, section III-C, ask a language model for the colors of what a tagging model has found. Here a table of
common words answers. A JSON file can add to it, and any other program can write a palette that celpaint reads.
"""

from __future__ import annotations

import difflib
import json
import logging
from collections.abc import Iterable, Mapping
from functools import lru_cache
from importlib import resources
from itertools import chain, zip_longest
from pathlib import Path
from types import MappingProxyType

from celpaint.conditions.palette.formats import Swatch, parse_color
from celpaint.conditions.palette.value import MAX_COLORS, PAPER_COLORS, Palette, hex_color
from celpaint.errors import InputError, OptionError

__all__ = ["TagTable", "common_tags", "palette_of_tags", "read_tags"]

log = logging.getLogger("celpaint")

TagTable = Mapping[str, tuple[Swatch, ...]]
"""A word in lower case -> its colors, the most typical first."""

_WANTED = '{"word": "#1d3557"} or {"word": ["#1d3557", "#457b9d"]}'


@lru_cache(maxsize=1)
def common_tags() -> TagTable:
    """The table that comes with celpaint."""
    data = (resources.files("celpaint.conditions.palette") / "tags.json").read_bytes()
    return _table(data, "the table of tags")


def read_tags(path: Path) -> TagTable:
    """The common table with a JSON file's words added; where both have a word, the file's colors count.

    Args:
        path: ``{"word": color or [colors]}``, colors in hexadecimal digits or CSS names.

    Raises:
        InputError: it can't be read, or is no such table.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError(f"the table of tags '{path}' can't be read ({error.strerror})", wanted=_WANTED) from None
    return MappingProxyType({**common_tags(), **_table(data, f"'{path}'")})


def _table(data: bytes, source: str) -> TagTable:
    try:
        found = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{source} is not JSON ({error})", wanted=_WANTED) from None
    if not isinstance(found, dict):
        raise InputError(f"{source} is a JSON {type(found).__name__}", wanted=_WANTED)
    table = {}
    for word, value in found.items():
        texts = value if isinstance(value, list) else [value]
        colors = [parse_color(text) if isinstance(text, str) else None for text in texts]
        known = [color for color in colors if color is not None]
        if not known or len(known) < len(colors):
            raise InputError(f"{source} has no color, or something else than colors, for '{word}'", wanted=_WANTED)
        table[_normal(word)] = tuple(Swatch(color.rgb, _normal(word)) for color in known)
    return MappingProxyType(table)


def palette_of_tags(tags: Iterable[str], *, colors: int = PAPER_COLORS, table: TagTable | None = None) -> Palette:
    """Colors for words: the first color of every word, then the second of every word, and so on.

    Words are looked up in lower case, then without a final ``s``. Unknown ones are left out with a warning.

    Args:
        tags: words, the most important first.
        colors: at most so many, 1 to 32; equal ones count once.
        table: None: the common one.

    Raises:
        InputError: no word is known.
        OptionError: ``colors`` is out of range.
    """
    if not 1 <= colors <= MAX_COLORS:
        raise OptionError(f"a palette of {colors} colors", wanted=f"1 to {MAX_COLORS}")
    table = common_tags() if table is None else table
    words = list(dict.fromkeys(filter(None, map(_normal, tags))))
    known = [found for word in words if (found := _look_up(word, table))]
    unknown = [word for word in words if not _look_up(word, table)]
    if not known:
        raise InputError(
            f"none of the tags is known: {', '.join(unknown) or 'there are none'}",
            wanted=f"words such as {', '.join(_alike(unknown, table))}",
            todo="Add words to a JSON table of tags, or give the colors themselves.",
        )
    if unknown:
        log.warning("tags that are not known are left out: %s", ", ".join(unknown))
    ranked = filter(None, chain.from_iterable(zip_longest(*known)))
    kept: dict[str, Swatch] = {}
    for swatch in ranked:
        kept.setdefault(hex_color(swatch.rgb), swatch)
    chosen = list(kept.values())[:colors]
    return Palette(tuple(swatch.rgb for swatch in chosen), tuple(swatch.name for swatch in chosen))


def _normal(word: str) -> str:
    return " ".join(word.lower().split())


def _look_up(word: str, table: TagTable) -> tuple[Swatch, ...]:
    return table.get(word) or table.get(word.removesuffix("s")) or ()


def _alike(words: list[str], table: TagTable) -> list[str]:
    """Known words for people: those spelled alike, else a few common ones."""
    close = [match for word in words[:5] for match in difflib.get_close_matches(word[:40], table, n=1)]
    return close or ["sky", "skin", "foliage", "night"]
