"""Results of a benchmark, by run and clip."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from celpaint.benchmark.films import BenchmarkClip
from celpaint.benchmark.metric_suite import ClipMeasurement
from celpaint.benchmark.score_report import ScoreReport
from celpaint.benchmark.suite import Run, Suite
from celpaint.frames.read import open_clip

__all__ = ["BenchmarkResult", "Outcome"]


@dataclass(frozen=True)
class Outcome:
    """What one run on one clip came to.

    Attributes:
        frames: folder of the colored frames, None if it failed.
        references: frames that were given painted.
        measured: scores and sums, None if it failed.
        seconds: wall-clock time of coloring, loading left out; ``cpu_seconds`` of all threads.
        error: why it failed, empty if it did not.
    """

    run: Run
    clip: BenchmarkClip
    frames: Path | None = None
    references: tuple[int, ...] = ()
    measured: ClipMeasurement | None = None
    seconds: float = float("nan")
    cpu_seconds: float = float("nan")
    error: str = ""


@dataclass(frozen=True)
class BenchmarkResult:
    """Everything a report is made of.

    Attributes:
        reports: by name of a run that succeeded on at least one clip.
        machine: what it ran on, by name, for people.
        date: UTC, to the minute.
        commit: of the code, empty outside a repository.
    """

    suite: Suite
    clips: tuple[BenchmarkClip, ...]
    outcomes: tuple[Outcome, ...]
    reports: dict[str, ScoreReport]
    machine: dict[str, str]
    date: str
    commit: str

    @property
    def runs(self) -> list[Run]:
        """The runs that succeeded on at least one clip, in the suite's order."""
        return [run for run in self.suite.runs if run.name in self.reports]

    def of(self, run: Run) -> list[Outcome]:
        """The outcomes of a run that did not fail."""
        return [outcome for outcome in self.outcomes if outcome.run.name == run.name and outcome.measured is not None]

    @property
    def facts(self) -> dict[str, str]:
        """What was run, when and on what, by name, for people."""
        frames = sum(len(open_clip(clip.ground_truth)) for clip in self.clips)
        return {
            "Date": self.date,
            "Commit": self.commit or "unknown",
            "Clips": f"{len(self.clips)} clips, {frames} frames",
            "Protocol": self.suite.protocol,
            **{key[0].upper() + key[1:]: value for key, value in self.machine.items()},
        }

    @property
    def main(self) -> str:
        """The run that others are compared with: the first that is no baseline, else the first; empty if all failed."""
        names = [run.name for run in self.runs if not run.is_baseline]
        return names[0] if names else next(iter(self.reports), "")
