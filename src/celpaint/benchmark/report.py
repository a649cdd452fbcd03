"""A benchmark's files: one HTML page that opens without a network, a Markdown table, and every number as JSON."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

from celpaint.atomic_write import write_text
from celpaint.benchmark import summary
from celpaint.benchmark.json_text import to_json
from celpaint.benchmark.outcome import BenchmarkResult
from celpaint.benchmark.page import to_html
from celpaint.benchmark.tables import interval, markdown_table, number
from celpaint.metrics.base import MetricInfo

__all__ = ["results", "to_markdown", "write_report"]


def write_report(done: BenchmarkResult, out: Path) -> None:
    """``index.html``, ``report.md`` and ``results.json`` in ``out``.

    Raises:
        MissingExtra: jinja2 or matplotlib is not installed.
    """
    write_text(out / "results.json", results(done))
    write_text(out / "report.md", to_markdown(done))
    write_text(out / "index.html", to_html(done))


def results(done: BenchmarkResult) -> str:
    """Every value of every run on every clip as JSON, NaN as null."""
    tasks = [
        {
            "run": outcome.run.name,
            "clip": outcome.clip.name,
            "axes": dict(outcome.clip.axes),
            "error": outcome.error,
            "seconds": outcome.seconds,
            "cpu_seconds": outcome.cpu_seconds,
            "references": list(outcome.references),
            **({} if outcome.measured is None else asdict(outcome.measured.scores)),
        }
        for outcome in done.outcomes
    ]
    overall = {name: {k: asdict(v) for k, v in report.overall.items()} for name, report in done.reports.items()}
    return to_json(
        {
            "title": done.suite.title,
            "protocol": done.suite.protocol,
            "flow": done.suite.flow,
            "date": done.date,
            "commit": done.commit,
            "machine": done.machine,
            "runs": {run.name: asdict(run) for run in done.suite.runs},
            "overall": overall,
            "tasks": tasks,
        }
    )


def to_markdown(done: BenchmarkResult) -> str:
    """The values of all runs, overall, by group of clips and without parts, with settings and machine."""
    infos = summary.comparable(summary.columns(done))
    sections = [f"# {done.suite.title}", done.suite.about, "\n".join(f"{k}: {v}  " for k, v in done.facts.items())]
    sections += ["Mean over clips, 95 % bootstrap interval in brackets, best mean in bold.", _overall(done, infos)]
    for info in summary.principal(infos):
        for table in summary.group_tables(done):
            rows = [
                [name, *(interval(e, info.digits) for e in summary.by_group(done, name, info, table.groups))]
                for name in done.reports
            ]
            title = f"By group of clips, {', '.join(filter(None, [table.title, _head(info)]))}:"
            sections += [title, markdown_table(["run", *table.columns], rows)]
    sections += _ablations(done)
    sections.append("\n".join(_notes(done, infos)))
    return "\n\n".join(section.strip() for section in sections if section.strip()) + "\n"


def _head(info: MetricInfo) -> str:
    return f"{info.name} {summary.ARROWS[info.better]}"


def _overall(done: BenchmarkResult, infos: list[MetricInfo]) -> str:
    rows = []
    for run in done.runs:
        overall = done.reports[run.name].overall
        cells = [interval(overall[info.name], info.digits) for info in infos]
        cells = [f"**{c}**" if summary.is_best(done, run.name, i) else c for c, i in zip(cells, infos, strict=True)]
        rows.append([run.name, *cells, number(summary.seconds_a_frame(done.of(run)), 3)])
    return markdown_table(["run", *map(_head, infos), "CPU s a frame"], rows)


def _ablations(done: BenchmarkResult) -> list[str]:
    table = summary.ablation_table(done)
    if table is None:
        return []
    rows = [[name, *(interval(gain, table.info.digits) for gain in gains)] for name, gains in table.rows]
    about = f"{done.main} minus its variants, {_head(table.info)}, over whole shots:"
    return [about, markdown_table(["variant", *table.groups], rows)]


def _notes(done: BenchmarkResult, infos: list[MetricInfo]) -> list[str]:
    lines = [f"- `{info.name}`: {info.about}." for info in infos]
    lines += [f"- `{name}` was not measured: {reason}" for name, reason in summary.missing_metrics(done).items()]
    return lines + [f"- **{name}** failed: {reason}" for name, reason in summary.failures(done).items()]
