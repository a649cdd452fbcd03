"""Methods x clips x settings: colored, measured, reported; an interrupted benchmark resumes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from celpaint.benchmark.films import FilmSource, benchmark_clips
from celpaint.benchmark.metric_suite import PROTOCOLS, MetricSpec, MetricSuite
from celpaint.benchmark.outcome import BenchmarkResult, Outcome
from celpaint.benchmark.processes import default_workers, in_processes
from celpaint.benchmark.provenance import code_digest, commit, machine
from celpaint.benchmark.report import write_report
from celpaint.benchmark.suite import find_suite, read_suite
from celpaint.benchmark.task import BenchmarkTask
from celpaint.frames.read import open_clip
from celpaint.types import DrawingColored, Progress, silent

__all__ = ["benchmark"]


def benchmark(
    suite: str | Path,
    out: Path,
    *,
    root: Path | None = None,
    workers: int | None = None,
    device: str = "auto",
    only: Sequence[str] = (),
    max_films: int | None = None,
    films: Mapping[str, FilmSource] | None = None,
    progress: Progress = silent,
) -> BenchmarkResult:
    """Run a suite and write its report: ``out/index.html``, ``out/report.md`` and ``out/results.json``.

    What was made before with the same clips, options, weights and code is not made again. A run that fails is listed
    in the report; the others continue.

    Args:
        suite: a TOML file (see :mod:`celpaint.benchmark.suite`), or the name of one in the package.
        out: a folder for the report, the colored frames and the films made for it.
        root: what the suite's paths are relative to; default: the current folder.
        workers: processes; default: one a processor core, or one where there is a GPU.
        device: where networks run: ``auto``, ``cpu``, ``cuda`` ...
        only: names of runs, if not all of them are wanted; a name also picks its sweep and its ablations.
        max_films: make at most so many films of every ``[[films]]`` table, for a quick look.
        films: film sources beside the package's own, by the name that ``[[films]]`` calls them.
        progress: called with the number of frames that are ready.

    Raises:
        InputError: the suite or a clip can't be read.
        OptionError: the suite asks for something that does not exist.
    """
    chosen = read_suite(find_suite(suite)).at_most(max_films)
    runs = chosen.choose(only)
    out = Path(out)
    out.mkdir(parents=True, exist_ok=True)
    clips = tuple(benchmark_clips(chosen, out / "clips", Path() if root is None else root, films))
    protocol = PROTOCOLS[chosen.protocol]
    spec = MetricSpec(chosen.metrics or protocol.metrics, protocol.size, chosen.flow, device)
    code = code_digest("coloring"), code_digest("measuring")
    tasks = [BenchmarkTask(run, clip, out / "tasks", device, spec, code) for run in runs for clip in clips]
    outcomes = _work(tasks, default_workers(device) if workers is None else max(workers, 1), progress)
    metrics = MetricSuite.load(spec)
    reports = {}
    for run in runs:
        measured = [o.measured for o in outcomes if o.run.name == run.name and o.measured is not None]
        if measured:
            reports[run.name] = metrics.report(measured, {})
    done = BenchmarkResult(
        suite=chosen,
        clips=clips,
        outcomes=outcomes,
        reports=reports,
        machine=machine(device),
        date=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        commit=commit(),
    )
    write_report(done, out)
    return done


def _work(tasks: Sequence[BenchmarkTask], workers: int, progress: Progress) -> tuple[Outcome, ...]:
    """Outcomes in the order of the tasks."""
    lengths = {task.clip.name: len(open_clip(task.clip.ground_truth)) for task in tasks}
    total = sum(lengths[task.clip.name] for task in tasks)
    ready = 0
    outcomes: dict[int, Outcome] = {}
    for index, outcome in in_processes([task.work for task in tasks], workers):
        outcomes[index] = outcome
        ready += lengths[outcome.clip.name]
        progress(DrawingColored(ready, total))
    return tuple(outcomes[i] for i in range(len(tasks)))
