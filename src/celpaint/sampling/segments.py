"""The plan of a shot: which drawings stand in which window, who attends to whom, which noise is used. Integers only.

A shot longer than the network's window is made in segments that overlap (LVCD, section 4.2). A window holds the painted
references, the latents of the overlapping frames as the segment before made them (previous references), and the
frames. The last segment is filled by repeating its last drawing, so that every drawing is made, whatever their number.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from celpaint.models.attention import Routing

__all__ = ["WINDOW", "Segment", "noise_rows", "plan_segments"]

WINDOW = 14
"""Frames a window, as Stable Video Diffusion was trained."""

SHIFT = 3
"""How many frames back Prev-Reference Attention looks (LVCD, eq. 8)."""


@dataclass(frozen=True)
class Segment:
    """One window.

    Attributes:
        references: which painted reference stands at each of the first positions.
        previous: drawings whose latents of the segment before stand after them.
        frames: the drawings to make; the last may be repeated.
        new: how many of ``frames`` at the front are shared with the segment before, and where the repeated ones
            begin: ``frames[new[0]:new[1]]`` are new.
        noise: for every position, the row of the shot's noise it starts from.
        nearest: for every frame, which painted reference it looks at and takes its condition from.
        routing: who attends to whom.
        late: the same for the steps without Prev-Reference Attention.
    """

    references: tuple[int, ...]
    previous: tuple[int, ...]
    frames: tuple[int, ...]
    new: tuple[int, int]
    noise: tuple[int, ...]
    nearest: tuple[int, ...]
    routing: Routing
    late: Routing

    @property
    def first(self) -> int:
        """Position of the first frame."""
        return len(self.references) + len(self.previous)


def noise_rows(overlap: int, window: int = WINDOW) -> int:
    """How many rows of noise a shot needs, however long it is."""
    return 1 + overlap + window


def plan_segments(
    length: int,
    *,
    overlap: int = 4,
    placed: Sequence[int | None] = (-1,),
    amplify: float = 10.0,
    faithful: bool = False,
    window: int = WINDOW,
) -> tuple[Segment, ...]:
    """All segments of a shot, in order.

    Every frame looks at itself and at the painted reference nearest to it in time (the earlier one at equal
    distance); references that belong to no frame are looked at by all.

    Args:
        length: drawings to make, 1 or more.
        overlap: frames shared by neighbors, 0 to ``window - 2``.
        placed: for every painted reference, the drawing it belongs to (-1: the one before the first to make), or None.
        amplify: weight of the previous references for the shared frames (alpha of eq. 7).
        faithful: as the official implementation, whose first window has its reference ``1 + overlap`` times and which
            goes on amplifying when Prev-Reference Attention has ended.
        window: frames a window.

    Raises:
        ValueError: an argument is out of range.
    """
    if length < 1:
        raise ValueError(f"{length} drawings, wanted 1 or more")
    if not 0 <= overlap <= window - 2:
        raise ValueError(f"overlap {overlap}, wanted 0 to {window - 2}")
    if not placed:
        raise ValueError("no painted reference, wanted 1 or more")
    hop = window - overlap
    count = 1 if length <= window else 1 - (window - length) // hop
    anchors = [(frame, i) for i, frame in enumerate(placed) if frame is not None]
    loose = tuple(i for i, frame in enumerate(placed) if frame is None)
    rows = tuple(range(1 + overlap, noise_rows(overlap, window)))  # of the frames
    segments = []
    for n in range(count):
        wanted = range(n * hop, n * hop + window)
        frames = tuple(min(frame, length - 1) for frame in wanted)
        nearest = tuple(
            min(anchors, key=lambda a: (abs(a[0] - frame), a[0]))[1] if anchors else loose[0] for frame in frames
        )
        if n == 0 and faithful:
            references: tuple[int, ...] = (nearest[0],) * (1 + overlap)
            previous: tuple[int, ...] = ()
            noise = tuple(range(noise_rows(overlap, window)))
        else:
            references = tuple(sorted({*nearest, *loose}))
            previous = frames[:overlap] if n else ()
            if n:
                rows = rows[len(rows) - overlap :] + rows[: window - overlap]
            noise = (0,) * len(references) + rows[: len(previous)] + rows
        looked = tuple(tuple(references.index(i) for i in dict.fromkeys((near, *loose))) for near in nearest)
        late_gain = amplify if faithful else 1.0
        segments.append(
            Segment(
                references,
                previous,
                frames,
                (len(previous), min(window, length - n * hop)),
                noise,
                nearest,
                _routing(len(references), len(previous), looked, amplify),
                _late(len(references), len(previous), looked, late_gain),
            )
        )
    return tuple(segments)


def _routing(references: int, overlap: int, looked: Sequence[tuple[int, ...]], gain: float) -> Routing:
    """Prev-Reference Attention: shared frames look at the segment before, the others back along the window."""
    plain = _late(references, overlap, looked, gain)
    first, back = plain.references, min(SHIFT, overlap)
    own = [p - back if p >= first + overlap else p for p in plain.own]
    others = [(p - overlap,) if first <= p < first + overlap else plain.others[p] for p in range(len(plain))]
    return Routing(first, tuple(own), tuple(others), plain.gain)


def _late(references: int, overlap: int, looked: Sequence[tuple[int, ...]], gain: float) -> Routing:
    """Every frame looks at itself and its painted references."""
    first = references + overlap
    size = first + len(looked)
    gains = (1.0,) * first + (gain,) * overlap + (1.0,) * (len(looked) - overlap)
    return Routing(first, tuple(range(size)), ((),) * first + tuple(looked), gains)
