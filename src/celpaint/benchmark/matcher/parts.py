"""What ``celpaint benchmark validate-matcher`` can measure."""

from typing import Literal

__all__ = ["MatcherPart"]

MatcherPart = Literal["speed", "demo", "quality", "segments", "consistency"]
"""In the order they are measured: a process counts its peak memory from what its parent holds, so speed is first."""
