"""File names of picture sequences: natural order, patterns, and which names belong together.

A sequence is a set of names that differ in one number only: ``A_0001.png``, ``level.0001.tif``, ``a001.png``,
``0.png``. Padding and gaps are kept, never invented. Pure functions of strings.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import PurePath

__all__ = ["Pattern", "Sequence", "find_sequences", "is_pattern", "natural_key"]

_DIGITS = re.compile(r"(\d+)", re.ASCII)
_PRINTF = re.compile(r"%(?:0(\d+))?d")
_HASHES = re.compile(r"#+")


def natural_key(name: str) -> tuple[object, ...]:
    """Sorts ``A_2`` before ``A_10``; numbers by value, letters without case, ties by the text itself."""
    parts = _DIGITS.split(name)
    return (*((0, int(p), "") if i % 2 else (1, 0, p.casefold()) for i, p in enumerate(parts)), (2, 0, name))


def is_pattern(name: str) -> bool:
    """Does this file name stand for several (``####``, ``%04d``, ``*``, ``?``, ``[``)?"""
    return any(mark in name for mark in "#*?[") or _PRINTF.search(name) is not None


@dataclass(frozen=True)
class Pattern:
    """A file name with one number left open.

    Attributes:
        prefix, suffix: the text before and after the number.
        width: digits the number is padded to with zeros; 1 = not padded.
    """

    prefix: str
    width: int
    suffix: str

    @classmethod
    def parse(cls, text: str) -> Pattern | None:
        """The pattern that ``A_####.png`` or ``A_%04d.png`` writes; None if the text has not exactly one such mark."""
        marks = [*_HASHES.finditer(text), *_PRINTF.finditer(text)]
        if len(marks) != 1:
            return None
        (mark,) = marks
        width = len(mark.group()) if mark.group().startswith("#") else int(mark.group(1) or 1)
        return cls(text[: mark.start()], max(width, 1), text[mark.end() :])

    def format(self, number: int) -> str:
        """The file name with this number; a number that outgrows the padding just gets longer."""
        return f"{self.prefix}{number:0{self.width}d}{self.suffix}"

    def number(self, name: str) -> int | None:
        """The number in a file name, None if the name does not fit. A width of 1 takes numbers of any padding."""
        end = len(name) - len(self.suffix)
        digits = name[len(self.prefix) : end]
        fits = name.startswith(self.prefix) and name.endswith(self.suffix) and _DIGITS.fullmatch(digits)
        if not fits or len(digits) < self.width or (len(digits) > self.width > 1 and digits[0] == "0"):
            return None
        return int(digits)

    def __str__(self) -> str:
        return f"{self.prefix}{'#' * self.width}{self.suffix}"


@dataclass(frozen=True)
class Sequence:
    """Names that belong together, in natural order, and the pattern that picks them."""

    pattern: str
    names: tuple[str, ...]


def find_sequences(names: Iterable[str]) -> list[Sequence]:
    """Names -> the sequences among them, in natural order of their first names.

    Names of equal text around their numbers are alike. Of the numbers in alike names, the one that takes the most
    values counts the frames (the last of them if several do); the others tell sequences apart, as the suffix does.
    """
    alike: dict[tuple[str, ...], list[str]] = defaultdict(list)
    for name in names:
        path = PurePath(name)
        alike[(*_DIGITS.split(path.stem)[::2], path.suffix.lower())].append(name)
    found: list[Sequence] = []
    for shape, members in alike.items():
        if len(shape) == 2:  # no number at all: every name stands alone
            found += [Sequence(name, (name,)) for name in members]
            continue
        fields = {name: _DIGITS.findall(PurePath(name).stem) for name in members}
        spread = [len({field[i] for field in fields.values()}) for i in range(len(shape) - 2)]
        counter = max(range(len(spread)), key=lambda i: (spread[i], i))
        series: dict[tuple[str, ...], list[str]] = defaultdict(list)
        for name, field in fields.items():
            series[(*field[:counter], *field[counter + 1 :])].append(name)
        found += [_sequence(sorted(group, key=natural_key), counter) for group in series.values()]
    return sorted(found, key=lambda sequence: natural_key(sequence.names[0]))


def _sequence(names: list[str], counter: int) -> Sequence:
    path = PurePath(names[0])
    pieces = _DIGITS.split(path.stem)
    widths = {len(_DIGITS.split(PurePath(name).stem)[2 * counter + 1]) for name in names}
    padded = len(widths) == 1 or any(_DIGITS.split(PurePath(n).stem)[2 * counter + 1].startswith("0") for n in names)
    pieces[2 * counter + 1] = "#" * (min(widths) if padded else 1)
    return Sequence("".join(pieces) + path.suffix, tuple(names))
