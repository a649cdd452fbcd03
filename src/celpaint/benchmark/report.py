"""A benchmark as one HTML file that opens from disk without a network, and as a Markdown table."""

from __future__ import annotations

import base64
import io
import json
import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from celpaint.atomic_write import write_text
from celpaint.conditions.lines import flatten
from celpaint.errors import MissingExtra
from celpaint.frames.color import quantize
from celpaint.frames.read import open_clip
from celpaint.metrics.base import Figure
from celpaint.metrics.statistics import Estimate, bootstrap, paired_bootstrap
from celpaint.types import Array

if TYPE_CHECKING:
    from celpaint.benchmark.runner import Benchmark, Film, Outcome
    from celpaint.benchmark.suite import Run

__all__ = ["to_html", "to_json", "to_markdown", "write_report"]

_COLUMNS, _THUMB = 5, 208
_SHEETS, _ROWS, _WORST = 8, 9, 6
_PLOTTED = ("psnr", "ssim", "lpips_alex", "lpips_vgg", "segments_nearest", "segments", "edmd")
_COLORS = ("#d1495b", "#2e6f95", "#e09f3e", "#4c956c", "#7b4b94", "#00a6a6", "#8d6346", "#5c6b73")
_PALE = ("#9a9a9a", "#8db3cc", "#c2a6d1", "#a9c29a", "#d6b48a")


def write_report(done: Benchmark, out: Path) -> None:
    """``index.html``, ``report.md`` and ``results.json`` in ``out``, each aside first, then renamed.

    Raises:
        MissingExtra: jinja2 or matplotlib is not installed.
    """
    for name, text in (
        ("results.json", to_json(done)),
        ("report.md", to_markdown(done)),
        ("index.html", to_html(done)),
    ):
        write_text(out / name, text)


def to_json(done: Benchmark) -> str:
    """Every figure of every cell, NaN as null."""
    cells = [
        {
            "run": outcome.run.name,
            "clip": outcome.film.name,
            "error": outcome.error,
            "seconds": outcome.seconds,
            "cpu_seconds": outcome.cpu_seconds,
            "references": list(outcome.references),
            **({} if outcome.measured is None else asdict(outcome.measured.scores)),
        }
        for outcome in done.outcomes
    ]
    runs = {run.name: asdict(run) for run in done.suite.runs}
    overall = {name: {k: asdict(v) for k, v in report.overall.items()} for name, report in done.reports.items()}
    settings = {"protocol": done.suite.protocol, "flow": done.suite.flow, "date": done.date, "commit": done.commit}
    value = {"title": done.suite.title, **settings, "machine": done.machine, "runs": runs, "overall": overall}
    return json.dumps(_plain({**value, "cells": cells}), indent=1) + "\n"


def _plain(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {key: _plain(v) for key, v in value.items()}
    return [_plain(v) for v in value] if isinstance(value, list | tuple) else value


# -- tables --------------------------------------------------------------------------------------------------------


def _figures(done: Benchmark) -> list[Figure]:
    """All figures that any run has, in order."""
    found: dict[str, Figure] = {}
    for report in done.reports.values():
        found |= {figure.name: figure for figure in report.columns}
    return list(found.values())


def _compared(figures: Iterable[Figure]) -> list[Figure]:
    """Figures that belong into every table, and of which one value is better."""
    return [figure for figure in figures if figure.main and figure.better != "original"]


def _is_best(done: Benchmark, run: str, figure: Figure) -> bool:
    """Whether no run has a better mean."""
    values = {name: report.overall[figure.name].value for name, report in done.reports.items()}
    values = {name: _loss(value, figure) for name, value in values.items() if math.isfinite(value)}
    return len(values) > 1 and values.get(run) == min(values.values())


def _loss(value: float, figure: Figure) -> float:
    return {"higher": -value, "lower": value, "one": abs(value - 1), "original": math.nan}[figure.better]


def _text(estimate: Estimate, digits: int) -> str:
    if not math.isfinite(estimate.value):
        return "–"
    text = f"{estimate.value:.{digits}f}"
    if math.isfinite(estimate.low):
        text += f" [{estimate.low:.{digits}f}, {estimate.high:.{digits}f}]"
    return text


def _seconds(outcomes: Sequence[Outcome]) -> float:
    """CPU seconds a frame, over all clips."""
    frames = sum(o.measured.scores.frames for o in outcomes if o.measured)
    return sum(o.cpu_seconds for o in outcomes) / frames if frames else math.nan


_ARROWS = {"higher": "↑", "lower": "↓", "one": "→ 1", "original": ""}


def to_markdown(done: Benchmark) -> str:
    """The figures of all runs, overall and by group of clips, with settings and machine."""
    figures = _compared(_figures(done))
    parts = [f"# {done.suite.title}", ""]
    if done.suite.about:
        parts += [done.suite.about, ""]
    parts += [f"{key}: {value}  " for key, value in _facts(done).items()]
    parts += ["", "Mean over clips, 95 % bootstrap interval in brackets, best mean in bold.", ""]
    head = [f"{figure.name} {_ARROWS[figure.better]}" for figure in figures]
    rows = [["run", *head, "CPU s a frame"]]
    for name, report in done.reports.items():
        cells = [_text(report.overall[figure.name], figure.digits) for figure in figures]
        cells = [f"**{c}**" if _is_best(done, name, f) else c for c, f in zip(cells, figures, strict=True)]
        run = next(run for run in done.suite.runs if run.name == name)
        rows.append([name, *cells, f"{_seconds(done.of(run)):.3f}"])
    parts += _grid(rows)
    groups = _groups(done)
    if len(groups) > 1:
        for figure in [f for f in figures if f.name in _PLOTTED]:
            parts += ["", f"By group of clips, {figure.name}:", ""]
            body = [[name, *(_text(e, figure.digits) for e in _by_group(done, name, figure))] for name in done.reports]
            parts += _grid([["run", *groups], *body])
    parts += ["", *(f"- `{figure.name}`: {figure.about}." for figure in figures)]
    for name, reason in _absent(done).items():
        parts.append(f"- `{name}` was not measured: {reason}")
    failures = [f"- **{name}** did not run: {reason}" for name, reason in _failures(done).items()]
    return "\n".join([*parts, *failures]) + "\n"


def _grid(rows: Sequence[Sequence[str]]) -> list[str]:
    lines = ["| " + " | ".join(row) + " |" for row in rows]
    return [lines[0], "|---|" + "---:|" * (len(rows[0]) - 1), *lines[1:]]


def _facts(done: Benchmark) -> dict[str, str]:
    clips = f"{len(done.films)} clips, {sum(len(open_clip(film.original)) for film in done.films)} frames"
    return {
        "Date": done.date,
        "Commit": done.commit or "unknown",
        "Clips": clips,
        "Protocol": done.suite.protocol,
        **{key[0].upper() + key[1:]: value for key, value in done.machine.items()},
    }


def _groups(done: Benchmark) -> list[str]:
    return list(dict.fromkeys(film.group for film in done.films))


def _by_group(done: Benchmark, run: str, figure: Figure) -> list[Estimate]:
    group_of = {film.name: film.group for film in done.films}
    values: dict[str, list[float]] = defaultdict(list)
    for clip in done.reports[run].clips:
        values[group_of[clip.name]].append(clip.figures.get(figure.name, math.nan))
    return [bootstrap(values[group]) for group in _groups(done)]


def _absent(done: Benchmark) -> dict[str, str]:
    reports = iter(done.reports.values())
    first = next(reports, None)
    return {} if first is None else first.absent


def _failures(done: Benchmark) -> dict[str, str]:
    """What went wrong, by run; the clip is named where others of the run went well."""
    failed: dict[str, str] = {}
    for outcome in done.outcomes:
        if outcome.error:
            name = outcome.run.name + (f" on {outcome.film.name}" if outcome.run.name in done.reports else "")
            failed[name] = outcome.error
    return failed


# -- the page ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Cell:
    """A cell of a table."""

    text: str
    range: str = ""
    best: bool = False
    tone: str = ""


def to_html(done: Benchmark) -> str:
    """One self-contained page: tables, plots, contact sheets, worst cases, settings.

    Raises:
        MissingExtra: jinja2 or matplotlib is not installed.
    """
    try:
        import jinja2
        import matplotlib  # noqa: F401
    except ImportError as error:
        raise MissingExtra(error.name or "jinja2", "metrics") from None
    figures = _figures(done)
    template = (resources.files("celpaint.benchmark") / "templates" / "report.html.j2").read_text(encoding="utf-8")
    environment = jinja2.Environment(
        autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined
    )
    main = _main(done)
    return environment.from_string(template).render(
        suite=done.suite,
        facts=_facts(done),
        figures=figures,
        compared=_compared(figures),
        arrows=_ARROWS,
        summary=_summary(done, _compared(figures)),
        main=main,
        differences=_differences(done, main, _compared(figures)),
        groups=_groups(done),
        by_group=_group_tables(done, _compared(figures)),
        plots=_plots(done, figures),
        sheets=list(_sheets(done)),
        worst=_worst(done, main),
        clips=[(name, report.clips) for name, report in done.reports.items()],
        absent=_absent(done),
        failures=_failures(done),
        runs=[run for run in done.suite.runs if run.name in done.reports],
        colors=_colors(done),
    )


def _main(done: Benchmark) -> str:
    """The run others are compared with: the first that succeeded and is no baseline, else the first."""
    names = [run.name for run in done.suite.runs if run.name in done.reports and not run.is_baseline]
    return names[0] if names else next(iter(done.reports), "")


def _summary(done: Benchmark, figures: Sequence[Figure]) -> list[tuple[str, list[_Cell], str]]:
    rows = []
    for run in done.suite.runs:
        if run.name in done.reports:
            overall = done.reports[run.name].overall
            cells = [_cell(overall[f.name], f.digits, best=_is_best(done, run.name, f)) for f in figures]
            rows.append((run.name, cells, f"{_seconds(done.of(run)):.3f}"))
    return rows


def _cell(estimate: Estimate, digits: int, *, best: bool = False, tone: str = "", sign: str = "") -> _Cell:
    if not math.isfinite(estimate.value):
        return _Cell("–")
    span = ""
    if math.isfinite(estimate.low):
        span = f"{estimate.low:{sign}.{digits}f} … {estimate.high:{sign}.{digits}f}"
    return _Cell(f"{estimate.value:{sign}.{digits}f}", span, best, tone)


def _differences(done: Benchmark, main: str, figures: Sequence[Figure]) -> list[tuple[str, list[_Cell]]]:
    """Main run minus each other, clip by clip; green where the whole interval is better, red where it is worse."""
    rows = []
    for name in done.reports:
        if name == main:
            continue
        cells = []
        for figure in figures:
            own, other = (
                {clip.name: clip.figures.get(figure.name, math.nan) for clip in done.reports[run].clips}
                for run in (main, name)
            )
            both = [clip for clip in own if clip in other]
            estimate = paired_bootstrap([own[clip] for clip in both], [other[clip] for clip in both])
            cells.append(_cell(estimate, figure.digits, sign="+", tone=_tone(estimate, figure)))
        rows.append((name, cells))
    return rows


def _tone(difference: Estimate, figure: Figure) -> str:
    if figure.better not in ("higher", "lower") or not math.isfinite(difference.low):
        return ""
    up = difference.low > 0
    if not up and difference.high >= 0:
        return ""
    return "better" if up == (figure.better == "higher") else "worse"


def _group_tables(done: Benchmark, figures: Sequence[Figure]) -> list[tuple[Figure, list[tuple[str, list[_Cell]]]]]:
    if len(_groups(done)) < 2:
        return []
    return [
        (f, [(name, [_cell(e, f.digits) for e in _by_group(done, name, f)]) for name in done.reports])
        for f in figures
        if f.name in _PLOTTED
    ]


# -- plots ---------------------------------------------------------------------------------------------------------


def _colors(done: Benchmark) -> dict[str, str]:
    """A color for every run; baselines are pale."""
    strong = [run.name for run in done.suite.runs if not run.is_baseline]
    pale = [run.name for run in done.suite.runs if run.is_baseline]
    return {name: _COLORS[i % len(_COLORS)] for i, name in enumerate(strong)} | {
        name: _PALE[i % len(_PALE)] for i, name in enumerate(pale)
    }


def _plots(done: Benchmark, figures: Sequence[Figure]) -> list[tuple[str, str, list[str]]]:
    """Title, explanation and SVG pictures."""
    plotted = [figure for name in _PLOTTED for figure in figures if figure.name == name][:4]
    found = [
        (
            "Quality against distance from the reference",
            "Mean over clips at every distance, in frames, from the nearest painted frame; far off, only the longest "
            "clips are left.",
            [_against_distance(done, figure) for figure in plotted],
        ),
        (
            "Quality against time",
            "CPU seconds of coloring a frame, loading left out; bars are 95 % intervals over clips.",
            [_against_time(done, figure) for figure in plotted],
        ),
    ]
    keys = dict.fromkeys(k for run in done.suite.runs if run.name in done.reports for k in run.setting)
    for key in keys:
        pictures = [picture for figure in plotted if (picture := _against_setting(done, figure, key))]
        if pictures:
            found.insert(1, (f"Quality against {key}", "Bars are 95 % intervals over clips.", pictures))
    return found if done.reports else []


def _draw(title: str, across: str, draw: Any) -> str:
    """An SVG picture of one set of axes."""
    import matplotlib
    from matplotlib.figure import Figure as Canvas

    style = {
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
    with matplotlib.rc_context(style):
        canvas = Canvas(figsize=(5.2, 3.3), layout="constrained")
        axes = canvas.subplots()
        draw(axes)
        axes.set_title(title, loc="left", fontsize=11, fontweight="bold")
        axes.set_xlabel(across)
        stream = io.StringIO()
        canvas.savefig(stream, format="svg", metadata={"Date": None})
    text = stream.getvalue()
    return text[text.index("<svg") :]


def _named(figure: Figure) -> str:
    return f"{figure.name} {_ARROWS[figure.better]}"


def _against_distance(done: Benchmark, figure: Figure) -> str:
    def draw(axes: Any) -> None:
        for run in _few(done):
            at: dict[int, list[float]] = defaultdict(list)
            for clip in done.reports[run.name].clips:
                for distance, value in zip(clip.distance, clip.series.get(figure.name, []), strict=False):
                    if math.isfinite(value):
                        at[distance].append(value)
            distances = sorted(at)
            style: dict[str, Any] = {"color": _colors(done)[run.name], "ls": "--" if run.is_baseline else "-"}
            axes.plot(distances, [np.mean(at[d]) for d in distances], lw=1.6, **style)

    return _draw(_named(figure), "frames from the nearest painted frame", draw) if _has_series(done, figure) else ""


def _has_series(done: Benchmark, figure: Figure) -> bool:
    return any(figure.name in clip.series for report in done.reports.values() for clip in report.clips)


def _against_time(done: Benchmark, figure: Figure) -> str:
    from matplotlib.ticker import LogLocator, NullLocator

    def draw(axes: Any) -> None:
        for run in done.suite.runs:
            if run.name in done.reports:
                estimate = done.reports[run.name].overall[figure.name]
                color, mark = _colors(done)[run.name], "s" if run.is_baseline else "o"
                _bar(axes, _seconds(done.of(run)), estimate, color=color, marker=mark)
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.xaxis.set_major_formatter(lambda seconds, _: f"{seconds:g}")

    return _draw(_named(figure), "CPU seconds a frame", draw)


def _against_setting(done: Benchmark, figure: Figure, key: str) -> str:
    """Empty where the setting is no number, or has one value."""
    lines: dict[str, list[tuple[float, Estimate]]] = defaultdict(list)
    for run in done.suite.runs:
        value = run.setting.get(key)
        if run.name in done.reports and isinstance(value, int | float) and not isinstance(value, bool):
            others = ", ".join(f"{k} {v}" for k, v in run.setting.items() if k != key)
            label = ", ".join(filter(None, [run.name.split(",")[0], others]))
            lines[label].append((value, done.reports[run.name].overall[figure.name]))
    if not any(len(points) > 1 for points in lines.values()):
        return ""

    def draw(axes: Any) -> None:
        for i, (label, points) in enumerate(lines.items()):
            color = _COLORS[i % len(_COLORS)]
            axes.plot([x for x, _ in points], [e.value for _, e in points], color=color, lw=1.6, label=label)
            for x, estimate in points:
                _bar(axes, x, estimate, color=color, marker="o")
        axes.set_xticks(sorted({x for points in lines.values() for x, _ in points}))
        axes.legend(frameon=False, fontsize=8)

    return _draw(_named(figure), key, draw)


def _bar(axes: Any, x: float, estimate: Estimate, **style: Any) -> None:
    """A point with its interval."""
    spread = [[0.0], [0.0]]
    if math.isfinite(estimate.low):
        spread = [[estimate.value - estimate.low], [estimate.high - estimate.value]]
    axes.errorbar([x], [estimate.value], yerr=spread, ls="none", capsize=2, ms=5, lw=1, **style)


# -- pictures ------------------------------------------------------------------------------------------------------


def _few(done: Benchmark) -> list[Run]:
    """Runs that are shown as pictures: those without a sweep first, so many as fit."""
    ran = [run for run in done.suite.runs if run.name in done.reports]
    return sorted(ran, key=lambda run: bool(run.setting))[:_ROWS]


def _sheets(done: Benchmark) -> Iterator[tuple[str, list[int], list[tuple[str, str, str]]]]:
    """Of some clips: name, the frames shown, and rows of label, figure and picture."""
    for film in _spread(done):
        original, lines = open_clip(film.original), open_clip(film.lines)
        shown = sorted({round(i * (len(original) - 1) / (_COLUMNS - 1)) for i in range(_COLUMNS)})
        rows = [
            ("original", "", _strip(flatten(original[i]) for i in shown)),
            ("lines", "", _strip(flatten(lines[i]) for i in shown)),
        ]
        for run in _few(done):
            outcome = next((o for o in done.of(run) if o.film.name == film.name), None)
            if outcome is not None and outcome.frames is not None and outcome.measured is not None:
                frames = open_clip(outcome.frames)
                rows.append((run.name, _headline(done, outcome), _strip(flatten(frames[i]) for i in shown)))
        yield film.name, shown, rows


def _spread(done: Benchmark) -> list[Film]:
    """Some clips of every group, so many as are shown."""
    by_group: dict[str, list[Film]] = defaultdict(list)
    for film in done.films:
        by_group[film.group].append(film)
    each = max(_SHEETS // max(len(by_group), 1), 1)
    return [film for films in by_group.values() for film in films[:each]][:_SHEETS]


def _headline(done: Benchmark, outcome: Outcome) -> str:
    """The first two figures of a clip."""
    if outcome.measured is None:
        return ""
    values = outcome.measured.scores.figures
    shown = [f for f in _compared(_figures(done)) if f.name in _PLOTTED and f.name in values][:2]
    return ", ".join(f"{f.name} {values[f.name]:.{f.digits}f}" for f in shown)


@dataclass(frozen=True)
class _Bad:
    clip: str
    frame: int
    value: str
    picture: str


def _worst(done: Benchmark, main: str) -> tuple[str, list[_Bad]]:
    """The main run's worst frames, at most two of a clip: original, result, lines and difference."""
    figures = [f for name in ("lpips_alex", "lpips_vgg", "psnr") for f in _figures(done) if f.name == name]
    if not main or not figures:
        return "", []
    figure = figures[0]
    outcomes = [o for o in done.outcomes if o.run.name == main and o.measured is not None and o.frames is not None]
    ranked: list[tuple[float, int, Outcome]] = []
    for outcome in outcomes:
        series = outcome.measured.scores.series[figure.name] if outcome.measured else []
        losses = [(_loss(v, figure), i, outcome) for i, v in enumerate(series) if math.isfinite(v)]
        ranked += sorted(losses, key=lambda each: -each[0])[:2]
    worst = []
    for loss, i, outcome in sorted(ranked, key=lambda each: -each[0])[:_WORST]:
        film, frames = outcome.film, outcome.frames
        if frames is None:
            continue
        original, result = flatten(open_clip(film.original)[i]), flatten(open_clip(frames)[i])
        difference = np.repeat(np.abs(original - result).max(axis=2, keepdims=True), 3, axis=2)
        picture = _strip([original, result, flatten(open_clip(film.lines)[i]), 1 - difference], 288)
        value = -loss if figure.better == "higher" else loss
        worst.append(_Bad(film.name, i, f"{value:.{figure.digits}f}", picture))
    return figure.name, worst


def _strip(pictures: Iterable[Array], width: int = _THUMB) -> str:
    """Pictures side by side as a PNG data address."""
    small = []
    for picture in pictures:
        height = max(round(picture.shape[0] * width / picture.shape[1]), 1)
        small.append(cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA))
        small.append(np.ones((height, 4, 3), np.float32))
    pixels = np.ascontiguousarray(quantize(np.hstack(small[:-1]), 8)[..., ::-1])
    _, data = cv2.imencode(".png", pixels, [cv2.IMWRITE_PNG_COMPRESSION, 9])
    return "data:image/png;base64," + base64.b64encode(data.tobytes()).decode()
