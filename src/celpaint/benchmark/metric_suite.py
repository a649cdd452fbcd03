"""Metrics applied to clips: every frame read once, in bounded memory, on several threads."""

from __future__ import annotations

import math
import os
from collections import defaultdict, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from celpaint.benchmark.score_report import ClipScores, ScoreReport
from celpaint.conditions.lines import Look, classify_clip, flatten, read_lines, working_lines
from celpaint.errors import CelpaintError, InputError, OptionError
from celpaint.frames.read import open_clip
from celpaint.frames.resize import resize
from celpaint.metrics import drawing, frame, frechet, perceptual, segments, temporal
from celpaint.metrics.base import FramePair, Metric
from celpaint.metrics.statistics import Estimate, bootstrap
from celpaint.metrics.temporal import Flow, best_flow
from celpaint.types import Clip

__all__ = [
    "METRICS",
    "PROTOCOLS",
    "ClipMeasurement",
    "EvaluationClip",
    "EvaluationProtocol",
    "FlowName",
    "MetricContext",
    "MetricSpec",
    "MetricSuite",
]

FlowName = Literal["auto", "raft", "dis"]

_PIECE = 64
"""Frames that are worth a thread; a multiple of the longest window, so that windows lie the same however it is cut."""


@dataclass(frozen=True)
class EvaluationProtocol:
    """What is measured, and at which size.

    Attributes:
        size: (height, width) that both clips are brought to; None leaves them as they are.
        metrics: names, of :data:`METRICS`.
        about: one line for the report.
    """

    size: tuple[int, int] | None
    metrics: tuple[str, ...]
    about: str


PROTOCOLS: dict[str, EvaluationProtocol] = {
    "lvcd": EvaluationProtocol(
        (256, 256),
        ("psnr", "ssim", "lpips_alex", "fid", "fvd", "edmd", "tc"),
        "LVCD (Huang et al. 2024), section 5.1: frames resized to 256x256 by area, values in [0, 1]",
    ),
    "full": EvaluationProtocol(
        None,
        (
            "psnr", "ssim", "ms_ssim", "lpips_alex", "lpips_vgg", "clip", "fid", "fvd", "segments", "lines", "edmd",
            "tc", "warp", "colorfulness",
        ),
        "every metric at the frames' own size",
    ),
}  # fmt: skip


@dataclass(frozen=True)
class MetricContext:
    """What metrics are made with: the device of their networks, the optical flow they share."""

    device: str
    flow: Flow


METRICS: dict[str, Callable[[MetricContext], Metric[Any]]] = {
    "psnr": lambda context: frame.PSNR(),
    "ssim": lambda context: frame.SSIM(),
    "ms_ssim": lambda context: frame.MSSSIM(),
    "lpips_alex": lambda context: perceptual.LPIPSDistance("alex", context.device),
    "lpips_vgg": lambda context: perceptual.LPIPSDistance("vgg", context.device),
    "clip": lambda context: perceptual.CLIPSimilarity(device=context.device),
    "fid": lambda context: frechet.FID(device=context.device),
    "fvd": lambda context: frechet.FVD(device=context.device),
    "fvgg": lambda context: frechet.FVGG(context.device),
    "segments": lambda context: segments.SegmentAccuracy(),
    "lines": lambda context: drawing.LineFidelity(),
    "edmd": lambda context: drawing.EDMD(),
    "tc": lambda context: temporal.TemporalConsistency(context.flow),
    "warp": lambda context: temporal.WarpError(context.flow),
    "colorfulness": lambda context: frame.Colorfulness(),
}
"""Every metric by name. ``fid``, ``fvd`` and ``clip`` need the user's own networks, ``lpips_*`` and ``fvgg`` those that
:mod:`celpaint.metrics.networks` fetches."""


@dataclass(frozen=True)
class EvaluationClip:
    """One clip to measure.

    Attributes:
        name: what it is called in the report.
        result, ground_truth, lines: what :func:`celpaint.frames.read.open_clip` opens.
        references: 0-based indices of the frames that were given painted; they are not scored.
    """

    name: str
    result: Path
    ground_truth: Path
    lines: Path | None = None
    references: tuple[int, ...] = (0,)

    def check(self) -> int:
        """How many frames there are.

        Raises:
            InputError: the clips differ in count or size, or no frame is left to score.
        """
        first = open_clip(self.ground_truth)
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
                        f"'{other}' has {seen}, '{self.ground_truth}' has {wanted}",
                        wanted=f"{what} in both",
                        todo="Give the frames that belong together.",
                    )
        beyond = [r for r in self.references if not 0 <= r < len(first)]
        if beyond:
            raise InputError(
                f"frame {beyond[0]} is named as a reference, but '{self.ground_truth}' has {len(first)} frames",
                wanted=f"0 to {len(first) - 1}",
            )
        if len(set(self.references)) == len(first):
            raise InputError(f"every frame of '{self.ground_truth}' was given painted", wanted="a frame to measure")
        return len(first)


def _size(clip: Clip) -> str:
    return f"{clip.size[1]}x{clip.size[0]} pixels"


@dataclass(frozen=True)
class ClipMeasurement:
    """Scores of a clip, and the sums of pooled metrics, to be added to those of other clips."""

    scores: ClipScores
    pooled: dict[str, Any]


@dataclass(frozen=True)
class MetricSpec:
    """Which metrics, and how: what other processes load a :class:`MetricSuite` from.

    Attributes:
        metrics: names, of :data:`METRICS`.
        size: (height, width) clips are brought to, None = their own.
        flow: estimator of the optical flow; ``auto`` takes RAFT where torchvision is installed, else DIS.
        device: where networks run.
    """

    metrics: tuple[str, ...]
    size: tuple[int, int] | None = None
    flow: FlowName = "auto"
    device: str = "auto"


@dataclass(frozen=True)
class MetricSuite:
    """Loaded metrics, for many clips.

    Attributes:
        metrics: by name.
        size: (height, width) clips are brought to, None = their own.
        flow: estimator of the flow that metrics ask for.
        missing: metrics that can't be had, and why.
    """

    metrics: Mapping[str, Metric[Any]]
    size: tuple[int, int] | None
    flow: Flow
    missing: dict[str, str]

    @classmethod
    def load(cls, spec: MetricSpec, *, with_lines: bool = True) -> MetricSuite:
        """Load the metrics that can be had.

        Args:
            spec: which.
            with_lines: whether the lines that were colored are known.

        Raises:
            OptionError: a name that no metric has.
            InputError: not one of them can be had.
        """
        for name in spec.metrics:
            if name not in METRICS:
                raise OptionError(f"metric {name!r} is not known", wanted="one of " + ", ".join(METRICS))
        context = MetricContext(_device(spec.device), best_flow(spec.flow, _device(spec.device)))
        metrics: dict[str, Metric[Any]] = {}
        missing: dict[str, str] = {}
        for name in spec.metrics:
            try:
                metric = METRICS[name](context)
            except CelpaintError as error:
                missing[name] = str(error)
                continue
            if "line" in metric.requires and not with_lines:
                missing[name] = "the lines that were colored were not given."
            else:
                metrics[name] = metric
        if not metrics:
            raise InputError("nothing can be measured: " + " ".join(f"{k}: {v}" for k, v in missing.items()))
        return cls(metrics, spec.size, context.flow, missing)

    def measure(
        self, clip: EvaluationClip, *, workers: int | None = None, tick: Callable[[], None] = lambda: None
    ) -> ClipMeasurement:
        """Measure a clip.

        Args:
            clip: the clip.
            workers: threads; default: one a processor core.
            tick: called once a frame, from any of the threads.
        """
        count = clip.check()
        share = -(-count // (workers or os.cpu_count() or 1))
        step = -(-share // _PIECE) * _PIECE  # a piece a thread: opening a clip reads every header
        pieces = [range(start, min(start + step, count)) for start in range(0, count, step)]
        look = None if clip.lines is None else _look(open_clip(clip.lines))
        with _one_thread_each(len(pieces)), ThreadPoolExecutor(len(pieces)) as pool:
            done = list(pool.map(lambda piece: self._measure_piece(clip, piece, look, tick), pieces))
        sums: dict[str, Any] = {}
        series: dict[str, list[float]] = {}
        for piece_sums, piece_series in done:
            sums = {name: _add(sums.get(name), piece_sums.get(name)) for name in self.metrics}
            for name, values in piece_series.items():
                series.setdefault(name, []).extend(values)
        values_of: dict[str, float] = {}
        for name, metric in self.metrics.items():
            if not metric.pooled:
                values_of |= _named_values(metric, sums[name])
        distance = [min((abs(i - r) for r in clip.references), default=i) for i in range(count)]
        scored = count - len(set(clip.references))
        pooled = {name: sums[name] for name, m in self.metrics.items() if m.pooled and sums[name] is not None}
        return ClipMeasurement(ClipScores(clip.name, count, scored, values_of, series, distance), pooled)

    def _measure_piece(
        self, clip: EvaluationClip, piece: range, look: Look | None, tick: Callable[[], None]
    ) -> tuple[dict[str, Any], dict[str, list[float]]]:
        """Sums of the metrics over some frames, and the frames' own values."""
        history = max(metric.history for metric in self.metrics.values())
        small: deque[FramePair] = deque(maxlen=history)
        large: deque[FramePair] = deque(maxlen=history)
        sums: dict[str, Any] = dict.fromkeys(self.metrics)
        series: dict[str, list[float]] = defaultdict(list)
        for native in self._read(clip, range(max(piece.start - history + 1, 0), piece.stop), look):
            large.append(native)
            small.append(self._prepare(native, small[-1] if small else None))
            if native.index < piece.start:
                continue
            for name, metric in self.metrics.items():
                window = list(large if metric.native else small)[-metric.history :]
                found = metric.measure(window)
                sums[name] = _add(sums[name], found)
                if not metric.pooled:
                    values = _named_values(metric, found)
                    for info in metric.outputs:
                        if info.main:
                            series[info.name].append(values[info.name])
            tick()
        return sums, series

    def _read(self, clip: EvaluationClip, indices: range, look: Look | None) -> Iterator[FramePair]:
        """Frames side by side at their own size, on white paper where they are transparent."""
        result, ground_truth = open_clip(clip.result), open_clip(clip.ground_truth)
        wanted = "line" in self._required
        lines = open_clip(clip.lines) if clip.lines is not None and wanted else None
        for i in indices:
            yield FramePair(
                index=i,
                result=flatten(result[i]),
                ground_truth=flatten(ground_truth[i]),
                line=None if lines is None else read_lines(lines[i], "keep", look).line,
                scored=i not in clip.references,
            )

    def _prepare(self, pair: FramePair, before: FramePair | None) -> FramePair:
        """The pair at the protocol's size, with the flow where a metric needs it."""
        if self.size is not None:
            line = None if pair.line is None else working_lines(pair.line, self.size)
            result, ground_truth = resize(pair.result, self.size), resize(pair.ground_truth, self.size)
            pair = replace(pair, result=result, ground_truth=ground_truth, line=line)
        if before is not None and "backward_flow" in self._required:
            pair = replace(pair, backward_flow=self.flow.between(pair.ground_truth, before.ground_truth))
        if before is not None and "forward_flow" in self._required:
            pair = replace(pair, forward_flow=self.flow.between(before.ground_truth, pair.ground_truth))
        return pair

    @property
    def _required(self) -> frozenset[str]:
        return frozenset().union(*(metric.requires for metric in self.metrics.values()))

    def report(self, measured: Sequence[ClipMeasurement], settings: Mapping[str, str]) -> ScoreReport:
        """The report on clips measured here, or with the same metrics elsewhere."""
        pooled: dict[str, Any] = {}
        for one in measured:
            pooled = {name: _add(pooled.get(name), one.pooled.get(name)) for name in {*pooled, *one.pooled}}
        clips = tuple(one.scores for one in measured)
        overall: dict[str, Estimate] = {}
        for name, metric in self.metrics.items():
            if metric.pooled:
                together = _named_values(metric, pooled.get(name))
                overall |= {key: Estimate(value, math.nan, math.nan, len(clips)) for key, value in together.items()}
            else:
                overall |= {info.name: bootstrap([clip.values[info.name] for clip in clips]) for info in metric.outputs}
        columns = tuple(info for metric in self.metrics.values() for info in metric.outputs)
        return ScoreReport(columns, clips, overall, dict(self.missing), dict(settings))


def _device(name: str) -> str:
    if name != "auto":
        return name
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


def _look(clip: Clip) -> Look:
    """How the line art is drawn, judged by a few frames of the clip."""
    return classify_clip(clip[i] for i in sorted({0, len(clip) // 3, 2 * len(clip) // 3}))


def _named_values(metric: Metric[Any], sums: Any) -> dict[str, float]:
    """The metric's values by name, NaN where nothing was measured."""
    values = (math.nan,) * len(metric.outputs) if sums is None else metric.values(sums)
    return {info.name: float(value) for info, value in zip(metric.outputs, values, strict=True)}


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
