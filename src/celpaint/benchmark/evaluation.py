"""How good is a result? Films beside the originals, in one pass, in bounded memory."""

from __future__ import annotations

import itertools
import json
import math
import os
import tomllib
from collections import defaultdict, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from celpaint.conditions.lines import Look, classify_clip, flatten, read_lines, working_lines
from celpaint.errors import CelpaintError, InputError, OptionError
from celpaint.frames.read import open_clip
from celpaint.frames.resize import resize
from celpaint.frames.video import VIDEO_SUFFIXES
from celpaint.metrics import drawing, frame, frechet, perceptual, segments, temporal
from celpaint.metrics.base import Figure, Metric, Pair
from celpaint.metrics.statistics import Estimate, bootstrap
from celpaint.metrics.temporal import Flow, best_flow
from celpaint.types import Clip, Event, Progress, silent

__all__ = [
    "METRICS",
    "PROTOCOLS",
    "ClipScores",
    "Job",
    "Measured",
    "Protocol",
    "Report",
    "Ruler",
    "evaluate",
    "read_manifest",
]

FlowName = Literal["auto", "raft", "gmflow", "dis"]

_PIECE = 64
"""Frames that are worth a worker; a multiple of the longest window, so that windows lie the same in every cut."""


@dataclass(frozen=True)
class Protocol:
    """What is measured, and at which size.

    Attributes:
        size: (height, width) both films are brought to; None leaves them as they are.
        metrics: names, of :data:`METRICS`.
        about: one line for the report.
    """

    size: tuple[int, int] | None
    metrics: tuple[str, ...]
    about: str


PROTOCOLS: dict[str, Protocol] = {
    "lvcd": Protocol(
        (256, 256),
        ("psnr", "ssim", "lpips_alex", "fid", "fvd", "edmd", "tc"),
        "LVCD (Huang et al. 2024), section 5.1: frames resized to 256x256 by area, values in [0, 1]",
    ),
    "full": Protocol(
        None,
        (
            "psnr", "ssim", "ms_ssim", "lpips_alex", "lpips_vgg", "clip", "fid", "fvd", "segments", "lines", "edmd",
            "tc", "warp", "colorfulness",
        ),
        "every metric at the frames' own size",
    ),
}  # fmt: skip


@dataclass(frozen=True)
class _Kit:
    """What metrics are made with."""

    device: str
    flow: Flow


METRICS: dict[str, Callable[[_Kit], Metric[Any]]] = {
    "psnr": lambda kit: frame.PSNR(),
    "ssim": lambda kit: frame.SSIM(),
    "ms_ssim": lambda kit: frame.MSSSIM(),
    "lpips_alex": lambda kit: perceptual.LPIPSDistance("alex", kit.device),
    "lpips_vgg": lambda kit: perceptual.LPIPSDistance("vgg", kit.device),
    "clip": lambda kit: perceptual.CLIPSimilarity(device=kit.device),
    "fid": lambda kit: frechet.FID(device=kit.device),
    "fvd": lambda kit: frechet.FVD(device=kit.device),
    "fvgg": lambda kit: frechet.FVGG(kit.device),
    "segments": lambda kit: segments.SegmentAccuracy(),
    "lines": lambda kit: drawing.LineFidelity(),
    "edmd": lambda kit: drawing.EDMD(),
    "tc": lambda kit: temporal.TemporalConsistency(kit.flow),
    "warp": lambda kit: temporal.WarpError(kit.flow),
    "colorfulness": lambda kit: frame.Colorfulness(),
}
"""Every metric by name. ``fid``, ``fvd`` and ``clip`` want the user's own networks, ``lpips_*`` and ``fvgg`` the
fetched ones (:mod:`celpaint.metrics.networks`)."""


@dataclass(frozen=True)
class ClipScores:
    """What was measured of one clip.

    Attributes:
        name: the clip's.
        frames: how many it has; ``scored`` of them were not given painted.
        figures: by name; pooled ones are absent.
        series: by name of every main figure, one value a frame, NaN where it was not measured.
        distance: of every frame to the nearest painted one, in frames.
    """

    name: str
    frames: int
    scored: int
    figures: dict[str, float]
    series: dict[str, list[float]]
    distance: list[int]


@dataclass(frozen=True)
class Report:
    """Figures, with what they mean and how they were made.

    Attributes:
        columns: every figure that was measured.
        clips: clip by clip.
        overall: mean over clips with 95 % bootstrap interval; of pooled figures the one value of all clips.
        absent: name of each metric that was asked for but not measured, and why.
        settings: protocol, size, flow, references: what it takes to measure the same again.
    """

    columns: tuple[Figure, ...]
    clips: tuple[ClipScores, ...]
    overall: dict[str, Estimate]
    absent: dict[str, str]
    settings: dict[str, str] = field(default_factory=dict)

    def markdown(self) -> str:
        """A table of all clips and the overall figures, what they mean, what is missing and why."""
        names = [column.name for column in self.columns]
        rows = [["clip", "frames", *names]]
        for clip in self.clips:
            values = [_number(clip.figures.get(c.name, float("nan")), c.digits) for c in self.columns]
            rows.append([clip.name, str(clip.scored), *values])
        total = str(sum(clip.scored for clip in self.clips))
        rows.append(["**all**", total, *(_interval(self.overall[c.name], c.digits) for c in self.columns)])
        lines = ["| " + " | ".join(row) + " |" for row in rows]
        lines.insert(1, "|---|" + "---:|" * (len(names) + 1))
        lines += ["", *(f"- `{column.name}` ({_BETTER[column.better]}): {column.about}." for column in self.columns)]
        lines += [f"- `{name}` was not measured: {reason}" for name, reason in self.absent.items()]
        lines += ["", *(f"{key}: {value}  " for key, value in self.settings.items())]
        return "\n".join(lines) + "\n"

    def to_json(self) -> str:
        """Everything, NaN as null."""
        return json.dumps(_plain(asdict(self)), indent=2) + "\n"


_BETTER = {"higher": "higher is better", "lower": "lower is better", "one": "1 is best", "original": "for comparison"}


def evaluate(
    result: Path,
    original: Path | None = None,
    *,
    lines: Path | None = None,
    protocol: Literal["lvcd", "full"] = "lvcd",
    metrics: Sequence[str] | None = None,
    references: Sequence[int] = (0,),
    flow: FlowName = "auto",
    device: str = "auto",
    workers: int | None = None,
    progress: Progress = silent,
) -> Report:
    """Measure a result against the original.

    Args:
        result: a folder of frames, a video, a folder of such clips, or a manifest: a TOML or JSON file with one table
            ``clip`` each, holding ``result``, ``original`` and optionally ``lines``, ``name`` and ``references``, paths
            relative to the manifest.
        original: the same kind of thing, clips of the same names; None with a manifest.
        lines: the line art that was colored; metrics of lines and segments want it.
        protocol: which metrics, at which size; see :data:`PROTOCOLS`.
        metrics: names of :data:`METRICS` instead of the protocol's own.
        references: frames that were given painted, 0-based; they are not scored.
        flow: estimator for TC and warp error; ``auto`` takes RAFT where torchvision is there, else DIS.
        device: where networks run.
        workers: threads; default: one a processor core.
        progress: told of every frame.

    Returns:
        The report; a metric whose network is not there is listed as absent with what to do.

    Raises:
        InputError: nothing to read, or films that differ in count or size; both are named.
        OptionError: an unknown metric or protocol.
        WeightsError, MissingExtra: nothing of what was asked for can be measured.
    """
    if protocol not in PROTOCOLS:
        raise OptionError(f"protocol {protocol!r} is not known", wanted=" or ".join(PROTOCOLS))
    jobs = _jobs(Path(result), None if original is None else Path(original), lines, tuple(references))
    names = metrics or PROTOCOLS[protocol].metrics
    with_lines = all(job.lines is not None for job in jobs)
    ruler = Ruler.load(names, PROTOCOLS[protocol].size, flow=flow, device=device, with_lines=with_lines)
    total = sum(job.check() for job in jobs)
    seen = itertools.count(1)
    measured = [
        ruler.measure(job, workers=workers, tick=lambda: progress(Event("frame", next(seen), total))) for job in jobs
    ]
    return ruler.report(
        measured,
        {
            "protocol": f"{protocol}: {PROTOCOLS[protocol].about}",
            "mean": "over the frames that were not given painted, then over clips; Frechet distances over all together",
        },
    )


@dataclass(frozen=True)
class Job:
    """One clip to measure.

    Attributes:
        name: what it is called in the report.
        result, original, lines: what :func:`celpaint.frames.read.open_clip` opens.
        references: 0-based indices of the frames that were given painted.
    """

    name: str
    result: Path
    original: Path
    lines: Path | None = None
    references: tuple[int, ...] = (0,)

    def check(self) -> int:
        """How many frames there are.

        Raises:
            InputError: the films differ in count or size, or no frame is left to score.
        """
        first = open_clip(self.original)
        for other in (self.result, self.lines):
            if other is None:
                continue
            clip = open_clip(other)
            for seen, wanted, what in (
                (f"{len(clip)} frames", f"{len(first)} frames", "as many frames"),
                (_size(clip), _size(first), "the same size"),
            ):
                if seen != wanted:
                    raise InputError(
                        f"'{other}' has {seen}, '{self.original}' {wanted}",
                        wanted=f"{what} in both",
                        todo="Give the frames that belong together.",
                    )
        beyond = [r for r in self.references if not 0 <= r < len(first)]
        if beyond:
            raise InputError(
                f"frame {beyond[0]} is named as a reference, but '{self.original}' has {len(first)} frames",
                wanted=f"0 to {len(first) - 1}",
            )
        if len(set(self.references)) == len(first):
            raise InputError(f"every frame of '{self.original}' was given painted", wanted="a frame to measure")
        return len(first)


def _look(clip: Clip) -> Look:
    """How the line art is drawn, judged by a few frames of the clip."""
    return classify_clip(clip[i] for i in sorted({0, len(clip) // 3, 2 * len(clip) // 3}))


def _size(clip: Clip) -> str:
    return f"{clip.size[1]}x{clip.size[0]} pixels"


@dataclass(frozen=True)
class Measured:
    """Scores of a clip, and the sums of pooled metrics, to be added to other clips'."""

    scores: ClipScores
    pooled: dict[str, Any]


@dataclass(frozen=True)
class Ruler:
    """Loaded metrics, to be laid on many clips.

    Attributes:
        metrics: by name.
        size: (height, width) films are brought to, None = their own.
        flow: estimator of the flow that metrics ask for.
        absent: metrics that can't be had, and why.
    """

    metrics: Mapping[str, Metric[Any]]
    size: tuple[int, int] | None
    flow: Flow
    absent: dict[str, str]

    @classmethod
    def load(
        cls,
        names: Sequence[str],
        size: tuple[int, int] | None,
        *,
        flow: FlowName = "auto",
        device: str = "auto",
        with_lines: bool = True,
    ) -> Ruler:
        """Load the metrics that can be had.

        Raises:
            OptionError: a name that no metric has.
            InputError: not one of them can be had.
        """
        for name in names:
            if name not in METRICS:
                raise OptionError(f"metric {name!r} is not known", wanted="of " + ", ".join(METRICS))
        if device == "auto":
            import torch

            device = "cuda" if torch.cuda.is_available() else "cpu"
        kit = _Kit(device, best_flow(flow, device))
        metrics: dict[str, Metric[Any]] = {}
        absent: dict[str, str] = {}
        for name in names:
            try:
                metric = METRICS[name](kit)
            except CelpaintError as error:
                absent[name] = str(error)
                continue
            if "lines" in metric.needs and not with_lines:
                absent[name] = "the lines that were colored were not given."
            else:
                metrics[name] = metric
        if not metrics:
            raise InputError("nothing can be measured: " + " ".join(f"{k}: {v}" for k, v in absent.items()))
        return cls(metrics, size, kit.flow, absent)

    def measure(self, job: Job, *, workers: int | None = None, tick: Callable[[], None] = lambda: None) -> Measured:
        """Lay the metrics on a clip.

        Args:
            workers: threads; default: one a processor core.
            tick: called once a frame, from any of the threads.
        """
        count = job.check()
        share = -(-count // (workers or os.cpu_count() or 1))
        step = -(-share // _PIECE) * _PIECE  # a piece a worker: opening a clip reads every header
        pieces = [range(start, min(start + step, count)) for start in range(0, count, step)]
        workers = len(pieces)
        look = None if job.lines is None else _look(open_clip(job.lines))
        with _one_thread_each(workers), ThreadPoolExecutor(workers) as pool:
            done = list(pool.map(lambda piece: self._measure_piece(job, piece, look, tick), pieces))
        sums: dict[str, Any] = {}
        series: dict[str, list[float]] = {}
        for piece_sums, piece_series in done:
            sums = {name: _add(sums.get(name), piece_sums.get(name)) for name in self.metrics}
            for name, values in piece_series.items():
                series.setdefault(name, []).extend(values)
        figures: dict[str, float] = {}
        for name, metric in self.metrics.items():
            if not metric.pooled:
                found = sums[name]
                own = _nothing(metric) if found is None else metric.figures_of(found)
                figures |= {f.name: v for f, v in zip(metric.figures, own, strict=True)}
        distance = [min((abs(i - r) for r in job.references), default=i) for i in range(count)]
        scored = count - len(set(job.references))
        pooled = {name: sums[name] for name, m in self.metrics.items() if m.pooled and sums[name] is not None}
        return Measured(ClipScores(job.name, count, scored, figures, series, distance), pooled)

    def _measure_piece(
        self, job: Job, piece: range, look: Look | None, tick: Callable[[], None]
    ) -> tuple[dict[str, Any], dict[str, list[float]]]:
        """Sums of the metrics over some frames, and the frames' own figures."""
        history = max(metric.history for metric in self.metrics.values())
        small: deque[Pair] = deque(maxlen=history)
        large: deque[Pair] = deque(maxlen=history)
        sums: dict[str, Any] = dict.fromkeys(self.metrics)
        series: dict[str, list[float]] = defaultdict(list)
        for native in self._read(job, range(max(piece.start - history + 1, 0), piece.stop), look):
            large.append(native)
            small.append(self._fit(native, small[-1] if small else None))
            if native.index < piece.start:
                continue
            for name, metric in self.metrics.items():
                window = list(large if metric.native else small)[-metric.history :]
                found = metric.measure(window)
                sums[name] = _add(sums[name], found)
                if metric.pooled:
                    continue
                values = _nothing(metric) if found is None else metric.figures_of(found)
                for figure, value in zip(metric.figures, values, strict=True):
                    if figure.main:
                        series[figure.name].append(float(value))
            tick()
        return sums, series

    def _read(self, job: Job, indices: range, look: Look | None) -> Iterator[Pair]:
        """Frames side by side at their own size, on white paper where they are transparent."""
        result, original = open_clip(job.result), open_clip(job.original)
        wanted = any("lines" in metric.needs for metric in self.metrics.values())
        lines = open_clip(job.lines) if job.lines is not None and wanted else None
        for i in indices:
            yield Pair(
                index=i,
                result=flatten(result[i]),
                original=flatten(original[i]),
                line=None if lines is None else read_lines(lines[i], "keep", look).line,
                scored=i not in job.references,
            )

    def _fit(self, pair: Pair, before: Pair | None) -> Pair:
        """The pair at the protocol's size, with the flow where a metric needs it."""
        if self.size is not None:
            line = None if pair.line is None else working_lines(pair.line, self.size)
            result, original = resize(pair.result, self.size), resize(pair.original, self.size)
            pair = replace(pair, result=result, original=original, line=line)
        needs = frozenset().union(*(metric.needs for metric in self.metrics.values()))
        if before is not None and "back" in needs:
            pair = replace(pair, back=self.flow.between(pair.original, before.original))
        if before is not None and "forth" in needs:
            pair = replace(pair, forth=self.flow.between(before.original, pair.original))
        return pair

    def report(self, measured: Sequence[Measured], settings: Mapping[str, str]) -> Report:
        """The report on clips measured here, or with the same metrics elsewhere."""
        pooled: dict[str, Any] = {}
        for one in measured:
            pooled = {name: _add(pooled.get(name), one.pooled.get(name)) for name in {*pooled, *one.pooled}}
        clips = tuple(one.scores for one in measured)
        overall: dict[str, Estimate] = {}
        for name, metric in self.metrics.items():
            if not metric.pooled:
                overall |= {f.name: bootstrap([clip.figures[f.name] for clip in clips]) for f in metric.figures}
            else:
                together = metric.figures_of(pooled[name]) if name in pooled else _nothing(metric)
                for figure, value in zip(metric.figures, together, strict=True):
                    overall[figure.name] = Estimate(value, math.nan, math.nan, len(clips))
        columns = tuple(figure for metric in self.metrics.values() for figure in metric.figures)
        return Report(columns, clips, overall, dict(self.absent), dict(settings))


def _nothing(metric: Metric[Any]) -> tuple[float, ...]:
    return (math.nan,) * len(metric.figures)


def _add(total: Any, more: Any) -> Any:
    """The sum of two sums, either of which may be None for nothing."""
    return total if more is None else more if total is None else total + more


@contextmanager
def _one_thread_each(workers: int) -> Iterator[None]:
    """Networks compute on one thread each while several workers run them."""
    import torch

    before = torch.get_num_threads()
    try:
        if workers > 1:
            torch.set_num_threads(1)
        yield
    finally:
        torch.set_num_threads(before)


# -- what to measure -----------------------------------------------------------------------------------------------


def _jobs(result: Path, original: Path | None, lines: Path | None, references: tuple[int, ...]) -> list[Job]:
    if original is None:
        return read_manifest(result, references)
    if _holds_clips(result) and _holds_clips(original):
        lists = [_clips_in(folder) for folder in (result, original, *([lines] if lines else []))]
        for folder, found in zip((original, lines), lists[1:], strict=False):
            if odd := sorted(lists[0].keys() ^ found.keys()):
                raise InputError(
                    f"clip '{odd[0]}' is in only one of '{result}' and '{folder}'",
                    wanted="the same clips in both",
                    todo="Give the folders that belong together, or a manifest.",
                )
        return [
            Job(name, path, lists[1][name], lists[2][name] if lines else None, references)
            for name, path in lists[0].items()
        ]
    return [Job(result.stem, result, original, lines, references)]


def _holds_clips(path: Path) -> bool:
    """Whether a folder holds clips, in folders of their own or as videos, and not frames."""
    if not path.is_dir():
        return False
    visible = [p for p in path.iterdir() if not p.name.startswith(".")]
    return bool(visible) and all(p.is_dir() or p.suffix.lower() in VIDEO_SUFFIXES for p in visible)


def _clips_in(folder: Path) -> dict[str, Path]:
    return {p.stem: p for p in sorted(folder.iterdir()) if not p.name.startswith(".")}


def read_manifest(path: Path, references: tuple[int, ...] = (0,)) -> list[Job]:
    """The clips that a TOML or JSON manifest names.

    Raises:
        InputError: no such file, no valid manifest, or a clip without result or original.
    """
    try:
        text = path.read_text(encoding="utf-8")
        table = json.loads(text) if path.suffix.lower() == ".json" else tomllib.loads(text)
        clips = table["clip"]
        jobs = []
        for i, clip in enumerate(clips):
            unknown = sorted(clip.keys() - {"name", "result", "original", "lines", "references"})
            if unknown:
                raise InputError(f"'{path}', clip {i + 1}: '{unknown[0]}' is not known")
            jobs.append(
                Job(
                    name=str(clip.get("name", Path(clip["result"]).stem)),
                    result=path.parent / clip["result"],
                    original=path.parent / clip["original"],
                    lines=path.parent / clip["lines"] if "lines" in clip else None,
                    references=tuple(int(r) for r in clip.get("references", references)),
                )
            )
    except (OSError, ValueError, TypeError, AttributeError, KeyError) as error:
        raise InputError(
            f"'{path}' is no manifest of clips ({type(error).__name__}: {error})",
            wanted="a TOML or JSON file with tables 'clip', each with 'result' and 'original'",
            todo="Or give the original as well, where you meant a clip.",
        ) from None
    if not jobs:
        raise InputError(f"'{path}' names no clips")
    return jobs


def _number(value: float, digits: int) -> str:
    return f"{value:.{digits}f}" if math.isfinite(value) else "-"


def _interval(estimate: Estimate, digits: int) -> str:
    text = _number(estimate.value, digits)
    if math.isfinite(estimate.low):
        text += f" [{_number(estimate.low, digits)}, {_number(estimate.high, digits)}]"
    return text


def _plain(value: Any) -> Any:
    """JSON has no NaN."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {k: _plain(v) for k, v in value.items()}
    return [_plain(v) for v in value] if isinstance(value, list | tuple) else value
