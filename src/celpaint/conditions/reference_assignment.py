"""``REF@FRAME`` -> which picture, and which frame of the shot it belongs to."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from celpaint.errors import ReferenceFrameError
from celpaint.frames.names import Pattern, find_sequences
from celpaint.types import Clip

__all__ = ["Place", "frame_label", "place_references"]


log = logging.getLogger("celpaint")


@dataclass(frozen=True)
class Place:
    """A painted picture and the index of the frame it belongs to, None where it belongs to none."""

    path: Path
    frame: int | None


def place_references(references: Sequence[str | Path], clip: Clip) -> tuple[Place, ...]:
    """Find where every reference belongs.

    ``key.png`` belongs to the first frame, ``key.png@24`` to frame 24, ``key.png@A_0024.png`` to the frame of that
    name and ``key.png@none`` to none. Frames of a numbered sequence are called by the number in their names; frames
    of a video and of a sequence without numbers by their place, the first being 1.

    Raises:
        ReferenceFrameError: none given, no such frame, or two for one frame.
    """
    if not references:
        raise ReferenceFrameError(
            "no painted reference is given", wanted="at least one", todo="Add --reference PICTURE[@FRAME]."
        )
    places = tuple(_place(str(reference), clip) for reference in references)
    taken: dict[int, Path] = {}
    for place in places:
        if place.frame is None:
            continue
        other = taken.setdefault(place.frame, place.path)
        if other is not place.path:
            raise ReferenceFrameError(
                f"references '{other}' and '{place.path}' both belong to {frame_label(clip, place.frame)}",
                wanted="one a frame",
                todo="Say where they belong with PICTURE@FRAME, or PICTURE@none where one belongs to no frame.",
            )
    return places


def frame_label(clip: Clip, index: int) -> str:
    """A frame's name for people: its file, or ``frame 12`` of a video."""
    return f"'{clip.names[index]}'" if clip.names else f"frame {index + 1}"


def _place(reference: str, clip: Clip) -> Place:
    path, at, frame = reference.rpartition("@")
    if not at or Path(reference).exists():
        _warn_of_namesake(Path(reference), clip)
        return Place(Path(reference), 0)
    if frame == "none":
        return Place(Path(path), None)
    if clip.names:
        named = [i for i, name in enumerate(clip.names) if frame in (name, Path(name).stem)]
        if len(named) == 1:
            return Place(Path(path), named[0])
    numbers = _numbers(clip)
    found = [i for i, n in enumerate(numbers) if frame.isdecimal() and n == int(frame)]
    if not found:
        called = "the numbers in the frames' names" if _named_numbers(clip.names or ()) else "the first frame is 1"
        gap = frame.isdecimal() and min(numbers) < int(frame) < max(numbers)
        raise ReferenceFrameError(
            f"reference '{reference}' belongs to no frame of the shot" + (", its number is a gap" if gap else ""),
            wanted=f"@FRAME from {min(numbers)} to {max(numbers)} ({called}), or @none",
        )
    if len(found) > 1:
        names = " and ".join(frame_label(clip, i) for i in found[:2])
        raise ReferenceFrameError(f"reference '{reference}' fits {names}", todo="Give the frame's name after the @.")
    return Place(Path(path), found[0])


def _warn_of_namesake(path: Path, clip: Clip) -> None:
    """A painting named like a later frame was probably made from it."""
    for index, name in enumerate(clip.names or ()):
        if index and Path(name).stem == path.stem:
            log.warning(
                "'%s' is taken for the first frame, %s; if it is a painting of %s, write '%s@%d'",
                *(path, frame_label(clip, 0), frame_label(clip, index), path, _numbers(clip)[index]),
            )


def _numbers(clip: Clip) -> list[int]:
    """The number that counts the frames in their names, else 1, 2, 3, ..."""
    return _named_numbers(clip.names or ()) or list(range(1, len(clip) + 1))


def _named_numbers(names: Sequence[str]) -> list[int]:
    """Empty where the names are not one numbered sequence."""
    sequences = find_sequences(names)
    pattern = Pattern.parse(sequences[0].pattern) if len(sequences) == 1 else None
    numbers = [None if pattern is None else pattern.number(name) for name in names]
    return [n for n in numbers if n is not None] if None not in numbers else []
