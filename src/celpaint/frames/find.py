"""Which files a user means: the sequence in a folder, or what fits a pattern; and which frames are missing from it."""

from __future__ import annotations

import difflib
import logging
import os
import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from celpaint.errors import InputError
from celpaint.frames import names as named
from celpaint.frames import pictures
from celpaint.frames.names import Pattern
from celpaint.frames.video import VIDEO_SUFFIXES
from celpaint.types import FrameNumber

__all__ = ["Found", "find_in_folder", "find_matching", "nearby", "siblings", "wanted", "wrong_kind"]

log = logging.getLogger("celpaint")


@dataclass(frozen=True)
class Found:
    """The files of a sequence, in order, and the number of each; no numbers where the names tell none."""

    files: tuple[Path, ...]
    numbers: tuple[FrameNumber, ...]


def wanted() -> str:
    """What can be given as frames, for messages."""
    kinds = ", ".join(s[1:] for s in pictures.SUFFIXES), ", ".join(s[1:] for s in VIDEO_SUFFIXES)
    return "a folder or pattern of pictures ({}), or a video ({})".format(*kinds)


def find_in_folder(folder: Path) -> Found:
    """The one sequence in a folder.

    Raises:
        InputError: none or several, numbers that can be read in several ways, or frames that are not there yet.
    """
    listing = _Listing.of(folder)
    sequences = named.find_sequences(listing.names)
    if not sequences:
        raise _no_pictures(listing)
    if len(sequences) > 1:
        raise _several_sequences(folder, sequences)
    (sequence,) = sequences
    if sequence.readings:
        raise _several_readings(folder, sequence.names, sequence.readings)
    pattern = Pattern.parse(sequence.pattern)
    fits = (lambda name: name in sequence.names) if pattern is None else (lambda name: pattern.number(name) is not None)
    return listing.found(sequence.names, sequence.numbers, fits)


def find_matching(source: Path) -> Found:
    """What fits a pattern: its last part is a name with ``####``, ``%04d``, ``*``, ``?`` or ``[...]``.

    Raises:
        InputError: nothing fits, numbers that can be read in several ways, or frames that are not there yet.
    """
    folder = source.parent
    if not folder.is_dir():
        raise InputError(f"the folder '{folder}' does not exist", wanted=wanted(), todo=nearby(folder))
    listing = _Listing.of(folder)
    pattern = Pattern.parse(source.name)
    found = None if pattern is None else _numbered(listing, pattern)
    found = found or _globbed(listing, source.name)
    if found is None:
        there = [sequence.pattern for sequence in named.find_sequences(listing.names)][:5]
        todo = _did_you_mean(source) or (f"There is: {', '.join(there)}." if there else "")
        raise InputError(
            f"no picture fits '{source}'",
            wanted="at least one",
            todo=todo or "There are no pictures in that folder.",
        )
    return found


def _numbered(listing: _Listing, pattern: Pattern) -> Found | None:
    """The files that fit a pattern which says where the number is."""
    fitting = sorted((number, name) for name in listing.names if (number := pattern.number(name)) is not None)
    if not fitting:
        return None
    widened = Pattern(pattern.prefix, pattern.width, "*" + pattern.suffix)
    between = [name for name in listing.names if (number := widened.number(name)) is not None and number.letters]
    left_out = sorted(set(between) - {name for _, name in fitting})
    if left_out and not pattern.suffix.startswith("*"):
        log.info(
            "%d files with letters after the number, such as '%s', are left out; '%s' takes them as well",
            *(len(left_out), left_out[0], widened),
        )
    names = tuple(name for _, name in fitting)
    numbers = named.plain([number for number, _ in fitting])
    return listing.found(names, numbers, lambda name: pattern.number(name) is not None)


def _globbed(listing: _Listing, glob: str) -> Found | None:
    """The files that fit a glob, numbered by their names where these tell."""
    matching = [name for name in listing.names if named.matches(name, glob)]
    if not matching:
        return None
    unclear = named.sign_or_hyphen(matching)
    if unclear is not None:
        raise InputError(
            f"the minus in '{unclear[0]}' may be a sign or, as '{unclear[1]}' suggests, a hyphen",
            wanted="names that are clear",
            todo="Put a dot before the minus if it is a sign (r.-0003.png), or give one of the two sequences.",
        )
    together = named.read_together(matching)
    if together.readings:
        raise _several_readings(listing.folder, together.names, together.readings)
    return listing.found(together.names, together.numbers, lambda name: named.matches(name, glob))


def siblings(path: Path) -> named.Sequence | None:
    """The sequence in its folder that a file belongs to; None if the folder can't be listed."""
    try:
        sequences = named.find_sequences(_Listing.of(path.parent).names)
    except InputError:
        return None
    return next((sequence for sequence in sequences if path.name in sequence.names), None)


# ------------------------------------------------------------------------------------------------------- what is there


@dataclass(frozen=True)
class _Listing:
    """The files in a folder.

    Attributes:
        names: everything named like a picture: files, links that lead nowhere, pipes.
        others: all other names, hidden ones too.
    """

    folder: Path
    names: tuple[str, ...]
    others: tuple[str, ...]

    @classmethod
    def of(cls, folder: Path) -> _Listing:
        with pictures.reading(folder, "a folder of pictures"):
            entries = list(folder.iterdir())
        frames = [e.name for e in entries if _is_picture_name(e.name) and not e.is_dir()]
        return cls(folder, tuple(frames), tuple(entry.name for entry in entries if entry.name not in set(frames)))

    def found(self, names: Sequence[str], numbers: tuple[FrameNumber, ...], fits: Callable[[str], bool]) -> Found:
        """The files of these names, once all that are meant to be there are there and no two are one frame."""
        again = named.twice(numbers)
        if again is not None:
            a, b = [name for name, number in zip(names, numbers, strict=True) if number == again][:2]
            raise InputError(
                f"'{self.folder / a}' and '{b}' have the same number", wanted="one of them", todo="Move one away."
            )
        files = tuple(self.folder / name for name in names)
        for file in files:
            if not file.is_file():
                pictures.header(file)  # says what is wrong with it
        self._refuse_arriving(set(names), fits)
        return Found(files, numbers)

    def _refuse_arriving(self, present: set[str], fits: Callable[[str], bool]) -> None:
        """Refuse a sequence while frames of it are on their way, as files of cloud and copying programs tell."""
        arriving = {
            frame: other
            for other in sorted(self.others, key=named.natural_key)
            for frame in _stands_for(other)
            if fits(frame) and frame not in present
        }
        if arriving:
            frame, other = next(iter(arriving.items()))
            more = f" (and {len(arriving) - 1} more)" if len(arriving) > 1 else ""
            raise InputError(
                f"'{self.folder / frame}' is not complete yet, only '{other}' exists{more}",
                wanted="complete frames",
                todo="Wait until it is downloaded or copied, or remove that file if the frame is not wanted.",
            )


def _is_picture_name(name: str) -> bool:
    return not name.startswith(".") and Path(name).suffix.lower() in pictures.SUFFIXES


_PICTURE = "|".join(re.escape(suffix) for suffix in pictures.SUFFIXES)
_UNDER_WAY = "icloud|tmp|temp|part|partial|crdownload|download|opdownload|gdownload|filepart|aria2|dropbox|cloud|cloudf"
_ASIDE = re.compile(rf"(?P<frame>.*(?:{_PICTURE}))\.(?P<rest>.+)", re.IGNORECASE | re.DOTALL)


def _stands_for(name: str) -> Iterable[str]:
    """The frames that a file may be a placeholder or an unfinished copy of: ``.A_0003.png.icloud``, ``A_1.png.part``.

    Files that systems lay beside whole ones (``._A_0003.png``) and notes to a picture (``A_0003.png.xmp``) are none.
    """
    aside = _ASIDE.fullmatch(name)
    if aside is None or name.startswith("._"):
        return
    if name[0] not in ".~" and re.fullmatch(_UNDER_WAY, aside["rest"], re.IGNORECASE) is None:
        return
    text = aside["frame"].lstrip(".~")
    yield text
    for cut in re.finditer(r"[.~]", text):
        yield text[cut.end() :]


# ------------------------------------------------------------------------------------------------------------- messages


def _several_sequences(folder: Path, sequences: Sequence[named.Sequence]) -> InputError:
    listed = [f"{s.pattern} ({len(s.names)} pictures)" if len(s.names) > 1 else s.pattern for s in sequences[:5]]
    more = f" and {len(sequences) - 5} more" if len(sequences) > 5 else ""
    longest = max(sequences, key=lambda s: len(s.names))
    todo = f"Name the one you mean, for instance '{folder / longest.pattern}'."
    if named.sign_or_hyphen(name for s in sequences for name in s.names):
        todo += " If the minus is a sign, put a dot before it: r.-0003.png."
    return InputError(
        f"'{folder}' holds {len(sequences)} sequences: {', '.join(listed)}{more}", wanted="one", todo=todo
    )


def _several_readings(folder: Path, names: Iterable[str], readings: Sequence[str]) -> InputError:
    names = list(names)
    told = []
    for reading in readings:
        pattern = Pattern.parse(reading)
        numbers = [] if pattern is None else [n for n in map(pattern.number, names) if n is not None]
        told.append(f"{reading} (frames {_listed(named.plain(numbers))})")
    return InputError(
        f"the frames in '{folder}' can be counted in several ways: {' or '.join(told)}",
        wanted="the one you mean",
        todo=f"Give it as a pattern, for instance '{folder / readings[0]}'.",
    )


def _listed(numbers: Sequence[FrameNumber]) -> str:
    if not any(number.letters for number in numbers):
        return named.list_numbers(number.value for number in numbers)
    shown = [str(number) for number in sorted(numbers)]
    return ", ".join(shown[:6]) + (" ..." if len(shown) > 6 else "")


def _no_pictures(listing: _Listing) -> InputError:
    folder = listing.folder
    visible = sorted((name for name in listing.others if not name.startswith(".")), key=named.natural_key)
    hidden = sorted(name for name in listing.others if name.startswith(".") and name not in (".DS_Store",))
    videos = [name for name in visible if Path(name).suffix.lower() in VIDEO_SUFFIXES]
    folders = [folder / name for name in visible if (folder / name).is_dir() and _holds_pictures(folder / name)]
    files = [name for name in visible if (folder / name).is_file()]
    kinds = Counter(Path(name).suffix.lower() for name in files).most_common(3)
    only = [f"{n} {kind or 'without suffix'}" for kind, n in kinds]
    if hidden:
        only.append(f"{len(hidden)} hidden (such as '{hidden[0]}')")
    seen = (
        f"the folder '{folder}' holds no pictures, only {', '.join(only)}"
        if only
        else f"the folder '{folder}' is empty"
    )
    if visible and not only:
        seen = f"the folder '{folder}' holds no pictures"
    after = [name for name in files if Path(name).suffix.lower().rstrip("0123456789") in pictures.SUFFIXES]
    todo = "Check the path."
    if videos:
        todo = f"Give the video itself: '{folder / videos[0]}'."
    elif folders:
        todo = f"Give a folder in it: {', '.join(repr(str(f)) for f in folders[:5])}."
    elif after:
        todo = f"Rename them so that the number stands before the suffix: '{after[0]}' to '{_number_first(after[0])}'."
    elif hidden and _is_picture_name(hidden[0].lstrip(".")):
        todo = "Rename them so that they do not begin with a dot."
    return InputError(seen, wanted=wanted(), todo=todo)


def _holds_pictures(folder: Path) -> bool:
    try:
        return bool(_Listing.of(folder).names)
    except InputError:
        return False


def _number_first(name: str) -> str:
    """``walk.bmp0001`` -> ``walk0001.bmp``."""
    stem, suffix = os.path.splitext(name)  # noqa: PTH122 (as many dots as there are)
    kind = suffix.rstrip("0123456789")
    return f"{stem}{suffix.removeprefix(kind)}{kind}"


def wrong_kind(path: Path) -> InputError:
    """The error for a file whose suffix is none of those that are read."""
    with pictures.reading(path, wanted()):
        kind = pictures.foreign_kind(path)
    seen = f"'{path}' is {kind}" if kind else f"'{path}' has the suffix '{path.suffix}'"
    if not path.suffix and not kind:
        seen = f"'{path}' has no suffix"
    return InputError(seen, wanted=wanted(), todo="Export it as one of these.")


def nearby(path: Path) -> str:
    """What a user may have meant by a path that is not there, as a sentence."""
    return _did_you_mean(path) or "Check the path."


def _did_you_mean(path: Path) -> str:
    try:
        names = [file.name for file in path.parent.iterdir() if not file.name.startswith(".")]
    except OSError:
        return ""
    close = difflib.get_close_matches(path.name, names, n=1)
    return f"Did you mean '{path.parent / close[0]}'?" if close else ""
