"""``REF@FRAME`` -> which picture, and which frame of the shot it belongs to."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from celpaint.conditions.lines import without_empty_alpha
from celpaint.errors import ReferenceFrameError
from celpaint.frames.arrays import as_frame
from celpaint.frames.find import nearby
from celpaint.types import Clip, Frame, FrameNumber

__all__ = ["Place", "frame_label", "place_references"]


log = logging.getLogger("celpaint")


@dataclass(frozen=True)
class Place:
    """A painted picture and the index of the frame it belongs to, None where it belongs to none."""

    picture: Path | Frame
    frame: int | None

    @property
    def name(self) -> str:
        """What to call the picture."""
        return f"'{self.picture}'" if isinstance(self.picture, Path) else "the reference"

    @property
    def path(self) -> Path | None:
        """Its file, None of a picture in memory."""
        return self.picture if isinstance(self.picture, Path) else None

    @property
    def exists(self) -> bool:
        """Whether there is anything to read."""
        return self.path is None or self.path.exists()

    def read(self) -> Frame:
        """The picture; an alpha channel that says nothing is left out.

        Raises:
            InputError: it is missing or broken.
        """
        return without_empty_alpha(as_frame(self.picture))

    @property
    def transparent(self) -> bool:
        """Whether it says what is figure and what is paper."""
        alpha = self.read().alpha
        return alpha is not None and float(alpha.min()) < 1


def place_references(references: Sequence[Any], clip: Clip) -> tuple[Place, ...]:
    """Find where every reference belongs.

    ``key.png`` belongs to the first frame, ``key.png@24`` to frame 24, ``key.png@A_0024.png`` to the frame of that
    name and ``key.png@none`` to none. Frames of a numbered sequence are called by the number in their names; frames
    of a video and of a sequence without numbers by their place, the first being 1.

    Args:
        references: any number; each as above, a picture (see :func:`~celpaint.frames.arrays.as_frame`) of the first
            frame, or a pair ``(picture, frame)`` whose frame is what stands after the ``@``; None = none.
        clip: the frames of the shot.

    Raises:
        ReferenceFrameError: no such frame, or two for one frame.
    """
    places = tuple(_find(reference, clip) for reference in references)
    taken: dict[int, Place] = {}
    for place in places:
        if place.frame is None:
            continue
        other = taken.setdefault(place.frame, place)
        if other is not place:
            raise ReferenceFrameError(
                f"{other.name} and {place.name} both belong to {frame_label(clip, place.frame)}",
                wanted="one per frame",
                todo="Say where they belong with PICTURE@FRAME, or PICTURE@none where one belongs to no frame.",
            )
    return places


def frame_label(clip: Clip, index: int) -> str:
    """A frame's name for people: its file, or ``frame 12`` of a video."""
    return f"'{clip.names[index]}'" if clip.names else f"frame {clip.number(index)}"


def _find(reference: Any, clip: Clip) -> Place:
    if isinstance(reference, tuple):
        picture, frame = reference
        kept = Path(picture) if isinstance(picture, str | Path) else as_frame(picture)
        return Place(kept, None if frame is None else _frame(str(frame), clip, f"(..., {frame!r})"))
    if not isinstance(reference, str | Path):
        return Place(as_frame(reference), 0)
    path, at, frame = str(reference).rpartition("@")
    if not at or Path(reference).exists():
        _warn_of_namesake(Path(reference), clip)
        return Place(Path(reference), 0)
    if not Path(path).exists() and "." in frame:  # the @ belongs to a file name that is misspelled
        raise ReferenceFrameError(f"'{reference}' does not exist", wanted="a picture", todo=nearby(Path(reference)))
    return Place(Path(path), None if frame == "none" else _frame(frame, clip, f"'{reference}'"))


def _frame(frame: str, clip: Clip, reference: str) -> int:
    """The index of the frame of that name or number."""
    named = [i for i, name in enumerate(clip.names or ()) if frame in (name, Path(name).stem)]
    found = named if len(named) == 1 else _numbered(frame, clip)
    if not found:
        raise _no_such_frame(reference, frame, clip)
    if len(found) > 1:
        names = " and ".join(frame_label(clip, i) for i in found[:2])
        raise ReferenceFrameError(f"reference {reference} fits {names}", todo="Give the frame's name after the @.")
    return found[0]


def _numbered(frame: str, clip: Clip) -> list[int]:
    """The frames of this number; of ``12`` and ``12a``, ``12`` is the one without letters if there is one."""
    numbers = [clip.number(i) for i in range(len(clip))]
    asked = FrameNumber.parse(frame)
    exact = [i for i, number in enumerate(numbers) if number == asked]
    return exact or [i for i, n in enumerate(numbers) if asked is not None and asked == FrameNumber(n.value)]


def _no_such_frame(reference: str, frame: str, clip: Clip) -> ReferenceFrameError:
    numbers = sorted(clip.number(i) for i in range(len(clip)))
    asked = FrameNumber.parse(frame)
    gap = asked is not None and numbers[0] < asked < numbers[-1]
    called = "the numbers in the frames' names" if clip.numbers else "the first frame is 1"
    return ReferenceFrameError(
        f"reference {reference} belongs to no frame of the shot" + (", which has a gap there" if gap else ""),
        wanted=f"@FRAME from {numbers[0]} to {numbers[-1]} ({called}), or @none",
    )


def _warn_of_namesake(path: Path, clip: Clip) -> None:
    """A painting named like a later frame was probably made from it."""
    for index, name in enumerate(clip.names or ()):
        if index and Path(name).stem == path.stem:
            log.warning(
                "'%s' is used as a painting of the first frame, %s; if it is a painting of %s, write '%s@%s'",
                *(path, frame_label(clip, 0), frame_label(clip, index), path, clip.number(index)),
            )
