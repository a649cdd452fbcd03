"""Plots of a benchmark, as SVG."""

from __future__ import annotations

import io
import math
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from celpaint.benchmark import summary
from celpaint.benchmark.outcome import BenchmarkResult
from celpaint.benchmark.suite import Run
from celpaint.metrics.base import MetricInfo
from celpaint.metrics.statistics import Estimate

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["PlotRow", "plots", "run_colors", "shown_runs"]

SHOWN = 9
"""Runs that are drawn over distance and shown on contact sheets."""

_STRONG = ("#d1495b", "#2e6f95", "#e09f3e", "#4c956c", "#7b4b94", "#00a6a6", "#8d6346", "#5c6b73")
_PALE = ("#9a9a9a", "#8db3cc", "#c2a6d1", "#a9c29a", "#d6b48a")
_STYLE = {
    "svg.fonttype": "none",
    "svg.hashsalt": "celpaint",
    "font.family": "sans-serif",
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#e6e6e6",
    "axes.axisbelow": True,
}


@dataclass(frozen=True)
class PlotRow:
    """Plots side by side, of the same kind for several columns: ``pictures`` are SVG."""

    title: str
    about: str
    pictures: tuple[str, ...]


def run_colors(done: BenchmarkResult) -> dict[str, str]:
    """A color for every run; baselines are pale."""
    strong = [run.name for run in done.suite.runs if not run.is_baseline]
    pale = [run.name for run in done.suite.runs if run.is_baseline]
    return {name: _STRONG[i % len(_STRONG)] for i, name in enumerate(strong)} | {
        name: _PALE[i % len(_PALE)] for i, name in enumerate(pale)
    }


def shown_runs(done: BenchmarkResult) -> list[Run]:
    """Runs that are shown as pictures: those without a sweep or a part left out first, as many as fit."""
    return sorted(done.runs, key=lambda run: bool(run.setting or run.ablate))[:SHOWN]


def plots(done: BenchmarkResult) -> list[PlotRow]:
    """Quality against distance, against every swept setting and against time; empty rows are left out."""
    infos = summary.principal(summary.columns(done))[:4]
    settings = dict.fromkeys(key for run in done.runs for key in run.setting)
    rows = [
        PlotRow(
            "Quality against distance from the reference",
            "Mean over clips at every distance, in frames, from the nearest painted frame. Only the longest clips "
            "have the largest distances.",
            tuple(_against_distance(done, info) for info in infos if _has_series(done, info)),
        ),
        *(
            PlotRow(
                f"Quality against {key}",
                "Bars are 95 % intervals over clips.",
                tuple(picture for info in infos if (picture := _against_setting(done, info, key))),
            )
            for key in settings
        ),
        PlotRow(
            "Quality against time",
            "CPU seconds of coloring a frame, loading left out. Bars are 95 % intervals over clips.",
            tuple(_against_time(done, info) for info in infos),
        ),
    ]
    return [row for row in rows if row.pictures and done.reports]


def _draw(info: MetricInfo, across: str, draw: Callable[[Axes], None]) -> str:
    """An SVG picture of one set of axes."""
    import matplotlib
    from matplotlib.figure import Figure

    with matplotlib.rc_context(_STYLE):
        canvas = Figure(figsize=(5.2, 3.3), layout="constrained")
        axes = canvas.subplots()
        draw(axes)
        axes.set_title(f"{info.name} {summary.ARROWS[info.better]}", loc="left", fontsize=11, fontweight="bold")
        axes.set_xlabel(across)
        stream = io.StringIO()
        canvas.savefig(stream, format="svg", metadata={"Date": None})
    text = stream.getvalue()
    return text[text.index("<svg") :]


def _has_series(done: BenchmarkResult, info: MetricInfo) -> bool:
    return any(info.name in clip.series for report in done.reports.values() for clip in report.clips)


def _against_distance(done: BenchmarkResult, info: MetricInfo) -> str:
    colors = run_colors(done)

    def draw(axes: Axes) -> None:
        for run in shown_runs(done):
            at: dict[int, list[float]] = defaultdict(list)
            for clip in done.reports[run.name].clips:
                for distance, value in zip(clip.distance, clip.series.get(info.name, []), strict=False):
                    if math.isfinite(value):
                        at[distance].append(value)
            distances = sorted(at)
            means = [np.mean(at[distance]) for distance in distances]
            axes.plot(distances, means, lw=1.6, color=colors[run.name], ls="--" if run.is_baseline else "-")

    return _draw(info, "frames from the nearest painted frame", draw)


def _against_time(done: BenchmarkResult, info: MetricInfo) -> str:
    from matplotlib.ticker import LogLocator, NullLocator

    colors = run_colors(done)

    def draw(axes: Axes) -> None:
        for run in done.runs:
            estimate = done.reports[run.name].overall[info.name]
            seconds = summary.seconds_a_frame(done.of(run))
            _point(axes, seconds, estimate, colors[run.name], "s" if run.is_baseline else "o")
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.xaxis.set_major_formatter(lambda seconds, _: f"{seconds:g}")

    return _draw(info, "CPU seconds per frame", draw)


def _against_setting(done: BenchmarkResult, info: MetricInfo, key: str) -> str:
    """Empty where the setting is not a number, or has one value."""
    lines: dict[str, list[tuple[float, Estimate]]] = defaultdict(list)
    for run in done.runs:
        value = run.setting.get(key)
        if isinstance(value, int | float) and not isinstance(value, bool):
            others = ", ".join(f"{k} {v}" for k, v in run.setting.items() if k != key)
            label = ", ".join(filter(None, [run.name.split(",")[0], others]))
            lines[label].append((value, done.reports[run.name].overall[info.name]))
    if not any(len(points) > 1 for points in lines.values()):
        return ""

    def draw(axes: Axes) -> None:
        for i, (label, points) in enumerate(lines.items()):
            color = _STRONG[i % len(_STRONG)]
            axes.plot([x for x, _ in points], [e.value for _, e in points], color=color, lw=1.6, label=label)
            for x, estimate in points:
                _point(axes, x, estimate, color, "o")
        axes.set_xticks(sorted({x for points in lines.values() for x, _ in points}))
        axes.legend(frameon=False, fontsize=8)

    return _draw(info, key, draw)


def _point(axes: Axes, x: float, estimate: Estimate, color: str, marker: str) -> None:
    """A point with its interval."""
    spread: Sequence[Sequence[float]] = [[0.0], [0.0]]
    if math.isfinite(estimate.low):
        spread = [[estimate.value - estimate.low], [estimate.high - estimate.value]]
    style: dict[str, Any] = {"color": color, "marker": marker}
    axes.errorbar([x], [estimate.value], yerr=spread, ls="none", capsize=2, ms=5, lw=1, **style)
