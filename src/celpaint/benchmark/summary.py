"""Numbers of a benchmark, for all its reports: means, which is best, differences between runs."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from celpaint.benchmark.films import WHOLE_SHOT
from celpaint.benchmark.outcome import BenchmarkResult, Outcome
from celpaint.metrics.base import MetricInfo
from celpaint.metrics.statistics import Estimate, bootstrap, paired_bootstrap

__all__ = [
    "ARROWS",
    "PRINCIPAL",
    "AblationTable",
    "GroupTable",
    "ablation_table",
    "by_group",
    "columns",
    "comparable",
    "difference",
    "failures",
    "group_tables",
    "is_best",
    "loss",
    "missing_metrics",
    "principal",
    "seconds_a_frame",
]

ARROWS = {"higher": "↑", "lower": "↓", "one": "→ 1", "ground_truth": ""}

PRINCIPAL = ("psnr", "ssim", "lpips_alex", "lpips_vgg", "segments_nearest", "segments", "edmd")
"""Columns that are plotted and averaged by group, the most telling first."""


def columns(done: BenchmarkResult) -> list[MetricInfo]:
    """Every column that any run has, in order."""
    found: dict[str, MetricInfo] = {}
    for report in done.reports.values():
        found |= {info.name: info for info in report.columns}
    return list(found.values())


def comparable(infos: Iterable[MetricInfo]) -> list[MetricInfo]:
    """Columns that belong in every table, and of which one value is better."""
    return [info for info in infos if info.main and info.better != "ground_truth"]


def principal(infos: Sequence[MetricInfo]) -> list[MetricInfo]:
    """The columns of :data:`PRINCIPAL`, in its order."""
    return [info for name in PRINCIPAL for info in infos if info.name == name]


def loss(value: float, info: MetricInfo) -> float:
    """The value, turned so that lower is better; NaN where no value is better."""
    return {"higher": -value, "lower": value, "one": abs(value - 1), "ground_truth": math.nan}[info.better]


def is_best(done: BenchmarkResult, run: str, info: MetricInfo) -> bool:
    """Whether no run has a better mean."""
    values = {name: report.overall[info.name].value for name, report in done.reports.items()}
    losses = {name: loss(value, info) for name, value in values.items() if math.isfinite(value)}
    return len(losses) > 1 and losses.get(run) == min(losses.values())


def seconds_a_frame(outcomes: Sequence[Outcome]) -> float:
    """CPU seconds of coloring a frame, over all clips."""
    frames = sum(o.measured.scores.frames for o in outcomes if o.measured)
    return sum(o.cpu_seconds for o in outcomes) / frames if frames else math.nan


@dataclass(frozen=True)
class GroupTable:
    """Groups of clips that are shown side by side.

    Attributes:
        title: what they have in common, empty if there is one table.
        columns: what tells them apart.
        groups: their names.
    """

    title: str
    columns: tuple[str, ...]
    groups: tuple[str, ...]


def group_tables(done: BenchmarkResult) -> list[GroupTable]:
    """All groups of clips, a table for every line style where films are shown in several; none for a single group."""
    groups = list(dict.fromkeys(clip.group for clip in done.clips))
    if len(groups) < 2:
        return []
    style_of = {clip.group: clip.axes.get("lines", "") for clip in done.clips}
    styles = list(dict.fromkeys(style_of.values()))
    if "" in styles or len(styles) == len(groups) or any(not g.startswith(f"{style_of[g]}, ") for g in groups):
        return [GroupTable("", tuple(groups), tuple(groups))]
    tables = []
    for style in styles:
        own = tuple(group for group in groups if style_of[group] == style)
        tables.append(GroupTable(f"{style} lines", tuple(group.removeprefix(f"{style}, ") for group in own), own))
    return tables


def by_group(done: BenchmarkResult, run: str, info: MetricInfo, groups: Sequence[str]) -> list[Estimate]:
    """A run's mean over the clips of every one of these groups."""
    group_of = {clip.name: clip.group for clip in done.clips}
    values: dict[str, list[float]] = defaultdict(list)
    for scores in done.reports[run].clips:
        values[group_of[scores.name]].append(scores.values.get(info.name, math.nan))
    return [bootstrap(values[group]) for group in groups]


def difference(
    done: BenchmarkResult,
    first: str,
    second: str,
    info: MetricInfo,
    clips: Collection[str] | None = None,
) -> Estimate:
    """Mean of ``first - second`` over the clips that both runs colored, or over those of them in ``clips``."""
    one, other = (
        {scores.name: scores.values.get(info.name, math.nan) for scores in done.reports[run].clips}
        for run in (first, second)
    )
    both = [name for name in one if name in other and (clips is None or name in clips)]
    return paired_bootstrap([one[name] for name in both], [other[name] for name in both])


@dataclass(frozen=True)
class AblationTable:
    """What every part of the main run's method is worth.

    Attributes:
        info: the column compared.
        groups: headings: every number of paintings and every seed by itself, where there are several.
        rows: name of a variant of the main run, and for each group the main run minus the variant, clip by clip.
    """

    info: MetricInfo
    groups: tuple[str, ...]
    rows: tuple[tuple[str, tuple[Estimate, ...]], ...]


def ablation_table(done: BenchmarkResult) -> AblationTable | None:
    """Over whole shots; None where no run leaves a part out."""
    main = next((run for run in done.runs if run.name == done.main), None)
    infos = principal(comparable(columns(done)))
    if main is None or not infos or not any(run.ablate for run in done.runs):
        return None
    whole = [clip for clip in done.clips if clip.axes.get("window", WHOLE_SHOT) == WHOLE_SHOT]
    groups: dict[str, set[str]] = defaultdict(set)
    for clip in whole:
        words = [f"{key} {clip.axes[key]}" for key in ("paintings", "seed") if key in clip.axes]
        groups[", ".join(words) or "all clips"].add(clip.name)
    variants = [run.name for run in done.runs if run.method == main.method and run.name != main.name]
    rows = [
        (name, tuple(difference(done, main.name, name, infos[0], clips) for clips in groups.values()))
        for name in variants
    ]
    return AblationTable(infos[0], tuple(groups), tuple(rows))


def missing_metrics(done: BenchmarkResult) -> dict[str, str]:
    """Metrics that could not be measured, and why."""
    first = next(iter(done.reports.values()), None)
    return {} if first is None else first.missing


def failures(done: BenchmarkResult) -> dict[str, str]:
    """What went wrong, by run; the clip is named where the run succeeded on others."""
    failed: dict[str, str] = {}
    for outcome in done.outcomes:
        if outcome.error:
            name = outcome.run.name + (f" on {outcome.clip.name}" if outcome.run.name in done.reports else "")
            failed[name] = outcome.error
    return failed
