"""What was measured of clips, as values and as a Markdown table."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field

from celpaint.benchmark.json_text import to_json
from celpaint.benchmark.tables import interval, markdown_table, number
from celpaint.metrics.base import MetricInfo
from celpaint.metrics.statistics import Estimate

__all__ = ["ClipScores", "ScoreReport"]

_BETTER = {
    "higher": "higher is better",
    "lower": "lower is better",
    "one": "1 is best",
    "ground_truth": "for comparison",
}


@dataclass(frozen=True)
class ClipScores:
    """What was measured of one clip.

    Attributes:
        name: the clip's.
        frames: how many it has; ``scored`` of them were not given painted.
        values: by name; pooled ones are absent.
        series: by name of every main value, one a frame, NaN where it was not measured.
        distance: of every frame to the nearest painted one, in frames.
    """

    name: str
    frames: int
    scored: int
    values: dict[str, float]
    series: dict[str, list[float]]
    distance: list[int]


@dataclass(frozen=True)
class ScoreReport:
    """Values, with what they mean and how they were measured.

    Attributes:
        columns: every value that was measured.
        clips: clip by clip.
        overall: mean over clips with 95 % bootstrap interval; of pooled values the one value of all clips.
        missing: name of each metric that was asked for but not measured, and why.
        settings: protocol, size, flow, references: what it takes to measure the same again.
    """

    columns: tuple[MetricInfo, ...]
    clips: tuple[ClipScores, ...]
    overall: dict[str, Estimate]
    missing: dict[str, str]
    settings: dict[str, str] = field(default_factory=dict)

    def markdown(self) -> str:
        """A table of all clips and the overall values, what they mean, what is missing and why."""
        rows = []
        for clip in self.clips:
            values = [number(clip.values.get(c.name, math.nan), c.digits) for c in self.columns]
            rows.append([clip.name, str(clip.scored), *values])
        total = str(sum(clip.scored for clip in self.clips))
        rows.append(["**all**", total, *(interval(self.overall[c.name], c.digits) for c in self.columns)])
        lines = [markdown_table(["clip", "frames", *(column.name for column in self.columns)], rows)]
        lines += ["", *(f"- `{column.name}` ({_BETTER[column.better]}): {column.about}." for column in self.columns)]
        lines += [f"- `{name}` was not measured: {reason}" for name, reason in self.missing.items()]
        lines += ["", *(f"{key}: {value}  " for key, value in self.settings.items())]
        return "\n".join(lines) + "\n"

    def to_json(self) -> str:
        """Everything, NaN as null."""
        return to_json(asdict(self))
