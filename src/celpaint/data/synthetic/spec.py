"""What kind of clips to make."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from celpaint.errors import OptionError

__all__ = ["HANDS", "ClipSpec"]

HANDS = ("soft", "clean", "binary", "thick", "thin", "broken", "jitter", "pencil", "trace")
"""Hands that line art is drawn in; see `celpaint.data.synthetic.lines.draw`."""


def _hands() -> Mapping[str, float]:
    return {
        "soft": 0.34,
        "clean": 0.2,
        "binary": 0.12,
        "thick": 0.07,
        "thin": 0.07,
        "broken": 0.05,
        "jitter": 0.04,
        "pencil": 0.06,
        "trace": 0.05,
    }


@dataclass(frozen=True, kw_only=True)
class ClipSpec:
    """What kind of clips to make.

    Times are in frames, 24 to the second. Frame 0 of a clip is at time 0; the others follow one another at a distance.

    Attributes:
        height: of the frames, pixels.
        width: of the frames, pixels.
        frames: per clip, frame 0 included.
        distance: frames from frame 0 to frame 1, least and most; drawn so that every octave is as likely.
        stride: frames from each of the others to the next, least and most.
        backwards: probability that the others lie before frame 0 and not after it.
        drawings: moving drawings in a clip, least and most.
        dancers: share of the moving drawings that are animated by hand, where the art has such.
        puppets: share of them that are jointed figures, with a drawing for a head.
        speed: 1 is film-like; 0 holds everything still.
        holds: how long a drawing is held, in frames => weight. The camera always moves on ones.
        hands: hands of line art => weight; each clip is drawn in one of them.
        repaint: give every drawing new colors in every clip, so that only the reference tells them.
    """

    height: int = 192
    width: int = 320
    frames: int = 15
    distance: tuple[int, int] = (1, 60)
    stride: tuple[int, int] = (1, 3)
    backwards: float = 0.25
    drawings: tuple[int, int] = (1, 8)
    dancers: float = 0.2
    puppets: float = 0.2
    speed: float = 1.0
    holds: Mapping[int, float] = field(default_factory=lambda: {1: 0.3, 2: 0.5, 3: 0.2})
    hands: Mapping[str, float] = field(default_factory=_hands)
    repaint: bool = True

    def __post_init__(self) -> None:
        for name, least in (("height", 16), ("width", 16), ("frames", 1)):
            if getattr(self, name) < least:
                raise OptionError(f"{name} is {getattr(self, name)}", wanted=f"{least} or more")
        for name, least in (("distance", 0), ("stride", 0), ("drawings", 0)):
            low, high = getattr(self, name)
            if not least <= low <= high:
                raise OptionError(f"{name} is ({low}, {high})", wanted=f"two numbers, {least} or more, in order")
        for name in ("backwards", "dancers", "puppets"):
            if not 0 <= getattr(self, name) <= 1:
                raise OptionError(f"{name} is {getattr(self, name)}", wanted="0 to 1")
        if self.dancers + self.puppets > 1:
            raise OptionError(f"dancers + puppets are {self.dancers + self.puppets}", wanted="1 or less")
        if self.speed < 0:
            raise OptionError(f"speed is {self.speed}", wanted="0 or more")
        if unknown := sorted(set(self.hands) - set(HANDS)):
            raise OptionError(f"there is no hand '{unknown[0]}'", wanted=f"some of {', '.join(HANDS)}")
        if any(hold < 1 for hold in self.holds):
            raise OptionError(f"holds are {sorted(self.holds)}", wanted="1 frame or more")
        for name in ("hands", "holds"):
            weights = list(getattr(self, name).values())
            if not weights or min(weights) < 0 or sum(weights) <= 0:
                raise OptionError(f"the weights of {name} are {weights}", wanted="at least one positive, none negative")
