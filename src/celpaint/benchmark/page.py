"""A benchmark as one HTML page that opens from disk without a network."""

from __future__ import annotations

import base64
import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from importlib import resources

import cv2
import numpy as np

from celpaint.benchmark import summary
from celpaint.benchmark.films import BenchmarkClip
from celpaint.benchmark.outcome import BenchmarkResult, Outcome
from celpaint.benchmark.plots import plots, run_colors, shown_runs
from celpaint.conditions.lines import flatten
from celpaint.errors import MissingExtra
from celpaint.frames.contact_sheet import SheetRow, contact_sheet
from celpaint.frames.read import open_clip
from celpaint.metrics.base import MetricInfo
from celpaint.metrics.statistics import Estimate
from celpaint.types import Array

__all__ = ["to_html"]

_COLUMNS, _THUMBNAIL, _WORST_WIDTH = 5, 208, 288
_SHEETS, _WORST = 8, 6


def to_html(done: BenchmarkResult) -> str:
    """One self-contained page: tables, plots, contact sheets, worst frames, settings.

    Raises:
        MissingExtra: jinja2 or matplotlib is not installed.
    """
    try:
        import jinja2
        import matplotlib  # noqa: F401
    except ImportError as error:
        raise MissingExtra(error.name or "jinja2", "metrics") from None
    infos = summary.columns(done)
    compared = summary.comparable(infos)
    template = (resources.files("celpaint.benchmark") / "templates" / "report.html.j2").read_text(encoding="utf-8")
    environment = jinja2.Environment(
        autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined
    )
    return environment.from_string(template).render(
        suite=done.suite,
        facts=done.facts,
        columns=infos,
        compared=compared,
        arrows=summary.ARROWS,
        summary=_summary(done, compared),
        main=done.main,
        differences=_differences(done, compared),
        ablations=_ablations(done),
        lead_groups=_group_tables(done, summary.principal(compared)[:1]),
        more_groups=_group_tables(done, summary.principal(compared)[1:]),
        plots=plots(done),
        sheets=list(_sheets(done)),
        worst=_worst(done),
        clips=[(name, report.clips) for name, report in done.reports.items()],
        missing=summary.missing_metrics(done),
        failures=summary.failures(done),
        runs=done.runs,
        colors=run_colors(done),
    )


# -- tables --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Cell:
    """A cell of a table: the value, its interval, and how it is marked."""

    text: str
    range: str = ""
    mark: str = ""


def _cell(estimate: Estimate, digits: int, *, mark: str = "", sign: str = "") -> _Cell:
    if not math.isfinite(estimate.value):
        return _Cell("–")
    span = ""
    if math.isfinite(estimate.low):
        span = f"{estimate.low:{sign}.{digits}f} … {estimate.high:{sign}.{digits}f}"
    return _Cell(f"{estimate.value:{sign}.{digits}f}", span, mark)


def _summary(done: BenchmarkResult, infos: Sequence[MetricInfo]) -> list[tuple[str, list[_Cell], str]]:
    rows = []
    for run in done.runs:
        overall = done.reports[run.name].overall
        best = [info.name for info in infos if summary.is_best(done, run.name, info)]
        cells = [_cell(overall[i.name], i.digits, mark="best" if i.name in best else "") for i in infos]
        rows.append((run.name, cells, f"{summary.seconds_a_frame(done.of(run)):.3f}"))
    return rows


def _differences(done: BenchmarkResult, infos: Sequence[MetricInfo]) -> list[tuple[str, list[_Cell]]]:
    """Main run minus each other, clip by clip."""
    return [
        (name, [_difference_cell(summary.difference(done, done.main, name, info), info) for info in infos])
        for name in done.reports
        if name != done.main
    ]


def _difference_cell(difference: Estimate, info: MetricInfo) -> _Cell:
    """Marked where the whole interval is better or worse."""
    mark = ""
    if info.better in ("higher", "lower") and math.isfinite(difference.low) and difference.low * difference.high > 0:
        mark = "better" if (difference.low > 0) == (info.better == "higher") else "worse"
    return _cell(difference, info.digits, mark=mark, sign="+")


def _ablations(done: BenchmarkResult) -> tuple[MetricInfo, tuple[str, ...], list[tuple[str, list[_Cell]]]] | None:
    table = summary.ablation_table(done)
    if table is None:
        return None
    rows = [(name, [_difference_cell(gain, table.info) for gain in gains]) for name, gains in table.rows]
    return table.info, table.groups, rows


@dataclass(frozen=True)
class _Table:
    title: str
    columns: tuple[str, ...]
    rows: list[tuple[str, list[_Cell]]]


def _group_tables(done: BenchmarkResult, infos: Sequence[MetricInfo]) -> list[_Table]:
    return [
        _Table(
            f"{info.name} {summary.ARROWS[info.better]}" + (f", {table.title}" if table.title else ""),
            table.columns,
            [
                (name, [_cell(e, info.digits) for e in summary.by_group(done, name, info, table.groups)])
                for name in done.reports
            ],
        )
        for info in infos
        for table in summary.group_tables(done)
    ]


# -- pictures ------------------------------------------------------------------------------------------------------


def _sheets(done: BenchmarkResult) -> Iterator[tuple[str, list[int], list[tuple[str, str, str]]]]:
    """Of some clips: name, the frames shown, and rows of label, note and picture."""
    for clip in _some_clips(done):
        ground_truth, lines = open_clip(clip.ground_truth), open_clip(clip.lines)
        shown = sorted({round(i * (len(ground_truth) - 1) / (_COLUMNS - 1)) for i in range(_COLUMNS)})
        rows = [
            ("ground truth", _painted_note(clip), _strip(flatten(ground_truth[i]) for i in shown)),
            ("lines", "", _strip(flatten(lines[i]) for i in shown)),
        ]
        for run in shown_runs(done):
            outcome = next((o for o in done.of(run) if o.clip.name == clip.name), None)
            if outcome is not None and outcome.frames is not None:
                frames = open_clip(outcome.frames)
                rows.append((run.name, _headline(done, outcome), _strip(flatten(frames[i]) for i in shown)))
        yield clip.name, shown, rows


def _some_clips(done: BenchmarkResult) -> list[BenchmarkClip]:
    """Some clips of every group, as many as are shown."""
    by_group: dict[str, list[BenchmarkClip]] = defaultdict(list)
    for clip in done.clips:
        by_group[clip.group].append(clip)
    each = max(_SHEETS // max(len(by_group), 1), 1)
    return [clip for clips in by_group.values() for clip in clips[:each]][:_SHEETS]


def _painted_note(clip: BenchmarkClip) -> str:
    places = ", ".join(str(i) for i in clip.references)
    return f"painted: frame{'s' * (len(clip.references) > 1)} {places}"


def _headline(done: BenchmarkResult, outcome: Outcome) -> str:
    """The first two principal values of a clip."""
    if outcome.measured is None:
        return ""
    values = outcome.measured.scores.values
    infos = [i for i in summary.principal(summary.comparable(summary.columns(done))) if i.name in values][:2]
    return ", ".join(f"{i.name} {values[i.name]:.{i.digits}f}" for i in infos)


@dataclass(frozen=True)
class _WorstFrame:
    clip: str
    frame: int
    value: str
    picture: str


def _worst(done: BenchmarkResult) -> tuple[str, list[_WorstFrame]]:
    """The main run's worst frames, at most two of a clip: ground truth, result, lines and difference."""
    by_name = {info.name: info for info in summary.columns(done)}
    info = next((by_name[name] for name in ("lpips_alex", "lpips_vgg", "psnr") if name in by_name), None)
    if info is None:
        return "", []
    ranked: list[tuple[float, int, Outcome]] = []
    for outcome in done.outcomes:
        if outcome.run.name == done.main and outcome.measured is not None:
            series = outcome.measured.scores.series[info.name]
            losses = [(summary.loss(v, info), i, outcome) for i, v in enumerate(series) if math.isfinite(v)]
            ranked += sorted(losses, key=lambda each: -each[0])[:2]
    worst = sorted(ranked, key=lambda each: -each[0])[:_WORST]
    return info.name, [_worst_frame(outcome, i, abs(loss), info) for loss, i, outcome in worst]


def _worst_frame(outcome: Outcome, index: int, value: float, info: MetricInfo) -> _WorstFrame:
    clip, frames = outcome.clip, outcome.frames
    assert frames is not None
    truth, result, lines = (flatten(open_clip(path)[index]) for path in (clip.ground_truth, frames, clip.lines))
    difference = np.repeat(np.abs(truth - result).max(axis=2, keepdims=True), 3, axis=2)
    picture = _strip([truth, result, lines, 1 - difference], _WORST_WIDTH)
    return _WorstFrame(clip.name, index, f"{value:.{info.digits}f}", picture)


def _strip(pictures: Iterable[Array], width: int = _THUMBNAIL) -> str:
    """Pictures side by side as a WebP data address."""
    sheet = contact_sheet([SheetRow(list(pictures))], width=width)
    _, data = cv2.imencode(".webp", np.ascontiguousarray(sheet[..., ::-1]), [cv2.IMWRITE_WEBP_QUALITY, 88])
    return "data:image/webp;base64," + base64.b64encode(data.tobytes()).decode()
