"""LVCD with a part taken away, to measure what it is worth."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from celpaint.methods.lvcd.run import LVCD
from celpaint.models.attention import Routing
from celpaint.sampling.segments import Segment

__all__ = ["UnattendedReference"]


class UnattendedReference(LVCD):
    """LVCD whose frames attend to themselves alone (LVCD, table 2, "- Ref Attn"; there retrained, here not). The
    reference is still among the conditions: its latents beside every frame and its token.
    """

    def plan(self, length: int, placed: Sequence[int | None]) -> Sequence[Segment]:
        return [
            replace(segment, routing=_alone(segment.routing), late=_alone(segment.late))
            for segment in super().plan(length, placed)
        ]


def _alone(routing: Routing) -> Routing:
    count = len(routing)
    return replace(routing, own=tuple(range(count)), others=((),) * count, gain=(1.0,) * count)
