"""File names of picture sequences: which names belong together, and which frame each of them is.

A frame's number comes from its name. It may carry a sign (``r.-0003.png``) and letters (``A0001a.png``, an in-between
after frame 1); other numbers in the name may change along with it (``frame_2_delay-0.08s.png``). The same rules serve
folders, patterns, globs and single files. Pure functions of strings.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable
from collections.abc import Sequence as Names
from dataclasses import dataclass
from itertools import pairwise
from pathlib import PurePath

from celpaint.types import FrameNumber

__all__ = [
    "Pattern",
    "Sequence",
    "find_sequences",
    "is_pattern",
    "list_numbers",
    "matches",
    "natural_key",
    "plain",
    "read_together",
    "sign_or_hyphen",
    "twice",
]

_DIGITS = re.compile(r"(\d+)", re.ASCII)
_SIGN = r"(?:(?<![^._])-)?"
"""A minus counts as a sign at the start of a name and after ``.`` or ``_``; elsewhere it is a hyphen."""
_LETTERS = r"(?:[A-Za-z]{1,2}(?![A-Za-z0-9]))?"
"""One or two letters right after a number, and no further letter or digit."""
_FIELD = re.compile(rf"({_SIGN}\d+)({_LETTERS})", re.ASCII)
_MARK = re.compile(r"#+|%(?:0(\d+))?d")
_GLOB = "*?["


def natural_key(name: str) -> tuple[object, ...]:
    """Sorts ``A_2`` before ``A_10``; numbers by value, letters without case, ties by the text itself."""
    parts = _DIGITS.split(name)
    return (*((0, int(p), "") if i % 2 else (1, 0, p.casefold()) for i, p in enumerate(parts)), (2, 0, name))


def is_pattern(name: str) -> bool:
    """Does this file name stand for several (``####``, ``%04d``, ``*``, ``?``, ``[``)?"""
    return any(mark in name for mark in _GLOB) or _MARK.search(name) is not None


def list_numbers(values: Iterable[int]) -> str:
    """Numbers for people: ``1-3, 5, 9-12``."""
    spans: list[list[int]] = []
    for value in sorted(set(values)):
        if spans and value == spans[-1][1] + 1:
            spans[-1][1] = value
        else:
            spans.append([value, value])
    return ", ".join(f"{a}" if a == b else f"{a} to {b}" if a < 0 or b < 0 else f"{a}-{b}" for a, b in spans)


# ------------------------------------------------------------------------------------------------------------ patterns


@dataclass(frozen=True)
class Pattern:
    """A file name with one number left open.

    Text before and after may hold ``*``, ``?`` and ``[...]``, as in globs. Suffixes match in any case.

    Attributes:
        prefix, suffix: the text before and after the number.
        width: digits the number is padded to with zeros; 1 = numbers of any padding.
    """

    prefix: str
    width: int
    suffix: str

    @classmethod
    def parse(cls, text: str) -> Pattern | None:
        """The pattern that ``A_####.png`` or ``A_%04d.png`` writes; None if the text has not exactly one such mark."""
        marks = list(_MARK.finditer(text))
        if len(marks) != 1:
            return None
        (mark,) = marks
        width = len(mark.group()) if mark.group().startswith("#") else int(mark.group(1) or 1)
        return cls(text[: mark.start()], max(width, 1), text[mark.end() :])

    def format(self, number: FrameNumber | int) -> str:
        """The file name with this number; a number that outgrows the padding just gets longer."""
        frame = FrameNumber(number) if isinstance(number, int) else number
        sign = "-" if frame.value < 0 else ""
        return f"{self.prefix}{sign}{abs(frame.value):0{self.width}d}{frame.letters}{self.suffix}"

    def number(self, name: str) -> FrameNumber | None:
        """The number in a file name, None if the name does not fit."""
        sign = _SIGN if self.prefix == "" or self.prefix[-1] in "._" else ""
        apart = r"(?<!\d)" if self.prefix[-1:] in ("*", "?", "]") else ""
        fits = re.fullmatch(
            rf"{_regex(self.prefix)}{apart}(?P<number>{sign}\d+)(?P<rest>{_regex_of_end(self.suffix)})",
            unicodedata.normalize("NFC", name),
            re.ASCII | re.DOTALL,
        )
        if fits is None:
            return None
        written = fits["number"]  # C pads the sign along with the digits: -003
        digits = written.lstrip("-")
        if len(written) < self.width or (len(digits) > self.width > 1 and digits[0] == "0"):
            return None
        letters = re.match(_LETTERS, fits["rest"]) if self.suffix.startswith("*") else None
        return FrameNumber(int(written), letters.group() if letters else "")

    def __str__(self) -> str:
        return f"{self.prefix}{'#' * self.width}{self.suffix}"


def matches(name: str, glob: str) -> bool:
    """Does a file name fit a glob? Suffixes match in any case; composed and decomposed letters are the same."""
    return re.fullmatch(_regex_of_end(glob), unicodedata.normalize("NFC", name), re.DOTALL) is not None


def _regex(glob: str) -> str:
    parts = re.split(r"(\*|\?|\[!?\]?[^\]]*\])", unicodedata.normalize("NFC", glob))
    marks = {"*": ".*?", "?": "."}
    return "".join(
        re.escape(part) if i % 2 == 0 else marks.get(part) or "[" + part[1:].replace("\\", r"\\").replace("!", "^", 1)
        for i, part in enumerate(parts)
    )


def _regex_of_end(glob: str) -> str:
    """As :func:`_regex`, with a suffix that matches in any case."""
    stem, dot, suffix = glob.rpartition(".")
    return f"{_regex(stem)}{re.escape(dot)}(?i:{_regex(suffix)})" if dot else _regex(glob)


# ----------------------------------------------------------------------------------------------------------- sequences


@dataclass(frozen=True)
class Sequence:
    """Names that belong together, in order of their numbers, and the pattern that picks them.

    Attributes:
        pattern: picks exactly these names among those it was found in.
        names: in order.
        numbers: one a name; empty for a name without a number.
        readings: patterns that read the same names in different ways, where the names alone cannot tell.
    """

    pattern: str
    names: tuple[str, ...]
    numbers: tuple[FrameNumber, ...] = ()
    readings: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Name:
    """A file name taken apart: ``texts[0] fields[0] texts[1] ... fields[-1] texts[-1]`` and its suffix.

    Attributes:
        digits: every number as written, with its sign.
        fields: every number's value and letters.
    """

    text: str
    texts: tuple[str, ...]
    digits: tuple[str, ...]
    fields: tuple[FrameNumber, ...]
    suffix: str

    @classmethod
    def parse(cls, text: str) -> _Name:
        path = PurePath(text)
        parts = _FIELD.split(path.stem)
        fields = tuple(FrameNumber(int(d), letters) for d, letters in zip(parts[1::3], parts[2::3], strict=True))
        return cls(text, tuple(parts[::3]), tuple(parts[1::3]), fields, path.suffix)


def find_sequences(names: Iterable[str]) -> list[Sequence]:
    """Names -> the sequences among them, in natural order of their first names.

    Names of equal text around their numbers are alike. Of the numbers in alike names, the one that differs in every
    name counts the frames, and numbers behind it may change along. Where none differs in every name, the one of the
    most values counts (then the widest, then the last), and the others tell sequences apart, as the suffix does.
    """
    alike: dict[tuple[object, ...], list[_Name]] = defaultdict(list)
    for name in map(_Name.parse, names):
        alike[(*name.texts, name.suffix.lower())].append(name)
    found: list[Sequence] = []
    for members in alike.values():
        if members[0].fields:
            found += _split(members)
        else:  # no number at all: every name stands alone
            found += [Sequence(name.text, (name.text,)) for name in members]
    return sorted(found, key=lambda sequence: natural_key(sequence.names[0]))


def _split(names: list[_Name]) -> list[Sequence]:
    varying = _varying(names)
    if len(varying) <= 1:
        return [_sequence(names, varying[0] if varying else _likeliest(names, range(len(names[0].fields))))]
    unique = _counters(names, varying)
    if len(unique) > 1:
        readings = tuple(_sequence(names, i).pattern for i in unique)
        return [Sequence(readings[0], _sequence(names, unique[0]).names, (), readings)]
    if unique:
        counter = unique[0]
        before = [i for i in varying if i < counter and _in_blocks(names, i, counter)]
        if not before:
            return [_sequence(names, counter)]
        apart = before[0]
    else:
        counter = _likeliest(names, varying)
        apart = next(i for i in varying if i != counter)
    groups: dict[FrameNumber, list[_Name]] = defaultdict(list)
    for name in names:
        groups[name.fields[apart]].append(name)
    return [sequence for group in groups.values() for sequence in _split(group)]


def _varying(names: Names[_Name]) -> list[int]:
    """The fields that differ among alike names."""
    return [i for i, column in enumerate(zip(*(name.fields for name in names), strict=True)) if len(set(column)) > 1]


def _counters(names: Names[_Name], fields: Iterable[int]) -> list[int]:
    """The fields that differ in every name; if one of several runs without a gap, that one alone."""
    columns = {i: [name.fields[i] for name in names] for i in fields}
    unique = [i for i, column in columns.items() if len(set(column)) == len(column)]
    whole = [i for i in unique if _runs([number.value for number in columns[i]])]
    return whole if len(whole) == 1 else unique


def _runs(values: list[int]) -> bool:
    return all(b == a + 1 for a, b in pairwise(sorted(values)))


def _likeliest(names: Names[_Name], fields: Iterable[int]) -> int:
    def spread(i: int) -> tuple[int, int, int]:
        return len({name.fields[i] for name in names}), max(len(name.digits[i]) for name in names), i

    return max(fields, key=spread)


def _in_blocks(names: Names[_Name], field: int, counter: int) -> bool:
    """Does a field stay the same over runs of frames, as the number of a scene does?"""
    column = [name.fields[field] for name in sorted(names, key=lambda name: name.fields[counter])]
    changes = sum(a != b for a, b in pairwise(column))
    return changes == len(set(column)) - 1 and changes < len(column) - 1


def _sequence(names: list[_Name], counter: int) -> Sequence:
    """Alike names as one sequence, counted by one of their fields."""
    ordered = sorted(names, key=lambda name: (name.fields[counter], natural_key(name.text)))
    numbers = plain([name.fields[counter] for name in ordered])
    pattern = _pattern(ordered, counter)
    readings: tuple[str, ...] = ()
    lettered = sum(bool(number.letters) for number in numbers)
    if 2 * lettered >= len(numbers):  # in-betweens are few; as many lettered names may be a sequence of their own
        kinds = sorted({number.letters for number in numbers})
        one_each = [
            _pattern([n for n in ordered if n.fields[counter].letters == kind], counter, letters=kind) for kind in kinds
        ]
        readings = (pattern, *one_each)
    return Sequence(pattern, tuple(name.text for name in ordered), numbers, readings)


def _pattern(names: Names[_Name], counter: int, letters: str | None = None) -> str:
    """The pattern that picks these names, counted by one of their fields."""
    first = names[0]
    digits = [name.digits[counter].lstrip("-") for name in names]
    padded = len({len(d) for d in digits}) == 1 or any(len(d) > 1 and d.startswith("0") for d in digits)
    width = min(map(len, digits)) if padded else 1
    if any(len(d) > width and d.startswith("0") for d in digits):
        width = 1  # padded in several ways
    lettering = _common({name.fields[counter].letters for name in names}) if letters is None else letters
    pieces = [first.texts[0]]
    for i, text in enumerate(first.texts[1:]):
        if i == counter:
            pieces.append("#" * width + lettering)
        else:
            pieces.append(_common({name.digits[i] for name in names}) + _common({n.fields[i].letters for n in names}))
        pieces.append(text)
    return "".join(pieces) + first.suffix


def _common(texts: set[str]) -> str:
    return next(iter(texts)) if len(texts) == 1 else "*"


# ------------------------------------------------------------------------------------------------ names taken together


def read_together(names: Iterable[str]) -> Sequence:
    """Names that a user has put together, as a glob does, in order of their numbers.

    Returns:
        The names with their numbers. Without numbers, in natural order, where no number differs in every name; and
        with several readings where more than one does.
    """
    parsed = [_Name.parse(name) for name in sorted(names, key=natural_key)]
    columns = _columns(parsed)
    if len(parsed) == 1 or len(columns) != 1:
        readings = tuple(_pattern(parsed, i) for i in columns) if len(columns) > 1 else ()
        numbers = find_sequences([parsed[0].text])[0].numbers if len(parsed) == 1 else ()
        return Sequence("", tuple(name.text for name in parsed), numbers, readings)
    (field,) = columns
    parsed.sort(key=lambda name: name.fields[field])
    return Sequence("", tuple(n.text for n in parsed), plain([n.fields[field] for n in parsed]))


def _columns(names: Names[_Name]) -> list[int]:
    """The fields that may count names of any text: numbers that differ in every name, at the same place in all."""
    if not names or not all(name.fields for name in names):
        return []
    if len({name.texts for name in names}) == 1:
        return _counters(names, _varying(names))
    lone = all(len(name.fields) == 1 for name in names)
    first = {name.fields[0] for name in names}
    begin_alike = len({name.texts[0] for name in names}) == 1
    return [0] if (lone or begin_alike) and len(first) == len(names) else []


def sign_or_hyphen(names: Iterable[str]) -> tuple[str, str] | None:
    """Two names of which nobody can tell whether a minus is a sign: ``r-0003`` beside ``r0000``; None elsewhere."""
    shapes: dict[tuple[str, ...], str] = {}
    for parsed in map(_Name.parse, names):
        shapes.setdefault(parsed.texts, parsed.text)
    for texts, name in shapes.items():
        for i, text in enumerate(texts[:-1]):
            without = (*texts[:i], text.removesuffix("-"), *texts[i + 1 :])
            if text.endswith("-") and without in shapes:
                return name, shapes[without]
    return None


def plain(numbers: Names[FrameNumber]) -> tuple[FrameNumber, ...]:
    """Numbers without their letters where the values alone tell them apart."""
    values = [number.value for number in numbers]
    return tuple(map(FrameNumber, values)) if len(set(values)) == len(values) else tuple(numbers)


def twice(numbers: Iterable[FrameNumber]) -> FrameNumber | None:
    """A number that two frames bear, None if there is none."""
    return next((number for number, count in Counter(numbers).items() if count > 1), None)
