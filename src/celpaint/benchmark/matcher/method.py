"""The matcher under the settings of a study."""

from __future__ import annotations

from functools import cache

from celpaint.benchmark.study import StudySettings
from celpaint.methods.matcher.run import Matcher
from celpaint.methods.matcher.spec import MatcherOptions

__all__ = ["load_matcher"]


@cache
def load_matcher(settings: StudySettings, *, flat: bool = False, memory_frames: int = 1) -> Matcher:
    """The method, loaded once a process."""
    given = {"weights": settings.weights, "device": settings.device, "dtype": settings.dtype}
    return Matcher.load(MatcherOptions.of({**given, "flat": "on" if flat else "off", "memory_frames": memory_frames}))
