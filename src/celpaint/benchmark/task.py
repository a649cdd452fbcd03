"""One run on one clip: colored, measured and stored by content, so that results are reused."""

from __future__ import annotations

import re
import time
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, cast

import numpy as np

from celpaint.atomic_write import replacing
from celpaint.benchmark.ablations import RollingReference
from celpaint.benchmark.baselines import BASELINES
from celpaint.benchmark.films import BenchmarkClip, write_frame
from celpaint.benchmark.json_text import read_json, write_json
from celpaint.benchmark.metric_suite import ClipMeasurement, EvaluationClip, MetricSpec, MetricSuite
from celpaint.benchmark.outcome import Outcome
from celpaint.benchmark.provenance import digest_of, weights_digest
from celpaint.benchmark.score_report import ClipScores
from celpaint.benchmark.suite import Run
from celpaint.conditions.lines import flatten
from celpaint.conditions.reference_assignment import Place
from celpaint.errors import CelpaintError
from celpaint.frames.color import quantize, to_float
from celpaint.frames.read import open_clip
from celpaint.methods.base import Method
from celpaint.methods.registry import choose_method, load_method, spec_of
from celpaint.metrics.sums import Compared, Moments
from celpaint.options import ComputeOptions, PathOptions
from celpaint.session import Colorizer
from celpaint.shot import ShotContext
from celpaint.types import Clip, Frame
from celpaint.weights.kinds import load_object

__all__ = ["BenchmarkTask"]


@dataclass(frozen=True)
class BenchmarkTask:
    """One run on one clip, as it goes to other processes.

    Its folder is named by a digest of all that decides its pixels: the clip's bytes, the run's options, the weights'
    bytes and the code. What is there is not made again.

    Attributes:
        folder: where the results of all tasks lie.
        device: where networks run.
        metrics: what is measured.
        code: digests of the code that colors and of the code that measures.
    """

    run: Run
    clip: BenchmarkClip
    folder: Path
    device: str
    metrics: MetricSpec
    code: tuple[str, str]

    def work(self) -> Outcome:
        """Color and measure the clip, unless that was done; what the user can fix becomes the outcome's error."""
        try:
            place = self.place()
            coloring = place / "coloring.json"
            if not coloring.exists():
                write_json(coloring, self._color(place / "frames"))
            known = read_json(coloring)
            references = tuple(known["references"])
            measured = self._measure(place, references)
        except CelpaintError as error:
            return Outcome(self.run, self.clip, error=str(error))
        seconds = known["seconds"], known["cpu_seconds"]
        return Outcome(self.run, self.clip, place / "frames", references, measured, *seconds)

    def place(self) -> Path:
        """Its folder.

        Raises:
            WeightsError: the method's weights are not there.
        """
        options = self.options
        weights = "" if options is None else weights_digest(options)
        asked = {key: value for key, value in asdict(self.run).items() if key not in ("name", "setting")}
        key = digest_of([asked, self.device, self.clip.digest, self.clip.references, weights, self.code[0]])
        slug = re.sub(r"[^a-z0-9]+", "-", f"{self.run.name} {self.clip.name}".lower()).strip("-")
        return self.folder / f"{slug}-{key}"

    @property
    def options(self) -> ComputeOptions | None:
        """The method's options, None for a baseline."""
        if self.run.is_baseline:
            return None
        return choose_method(self.run.method, {"device": self.device, **self.run.options})

    def references(self, length: int) -> tuple[int, ...]:
        """Frames given painted: the clip's own, or as many as the run wants, spread evenly, the first among them."""
        if self.run.references is None:
            return self.clip.references
        return tuple(sorted({round(i * length / self.run.references) for i in range(self.run.references)}))

    def _color(self, frames: Path) -> dict[str, Any]:
        """Color the clip into PNG files; the frames given and the seconds it took."""
        colorizer = Colorizer(_loaded_method(self.run, self.options))
        ground_truth = open_clip(self.clip.ground_truth)
        source = open_clip(self.clip.lines if self.run.source == "lines" else self.clip.ground_truth)
        given = self.references(len(ground_truth))
        lines = {"lines": "extract"} if self.run.source == "ground_truth" else {}
        paintings = [_painting(ground_truth, frame) for frame in given]
        context = ShotContext(source, paintings, PathOptions.of({"cuts": "off", **lines, **self.run.path}))
        began, spent = time.perf_counter(), time.process_time()
        for index, frame in enumerate(colorizer.colorize(context)):
            write_frame(frames / f"{index:04d}.png", flatten(frame))
        return {
            "references": given,
            "seconds": time.perf_counter() - began,
            "cpu_seconds": time.process_time() - spent,
            "drawings": len(context.shot),
        }

    def _measure(self, place: Path, references: tuple[int, ...]) -> ClipMeasurement:
        key = digest_of([asdict(self.metrics), self.code[1]])
        scores, sums = place / f"scores-{key}.json", place / f"sums-{key}.npz"
        if not scores.exists():
            clip = EvaluationClip(self.clip.name, place / "frames", self.clip.ground_truth, self.clip.lines, references)
            measured = _loaded_metrics(self.metrics).measure(clip, workers=1)
            _store_sums(sums, measured.pooled)
            write_json(scores, asdict(measured.scores))
        return ClipMeasurement(ClipScores(**read_json(scores)), _load_sums(sums))


def _painting(ground_truth: Clip, frame: int) -> Place:
    """A frame of the ground truth as an artist would give it: 8 bits a channel, opaque."""
    return Place(Frame(to_float(quantize(flatten(ground_truth[frame]), 8))), frame)


_PARTS = ("count", "sum", "outer")


def _store_sums(path: Path, pooled: dict[str, Compared[Moments]]) -> None:
    arrays = {
        f"{name}.{side}.{part}": np.asarray(getattr(getattr(sums, side), part))
        for name, sums in pooled.items()
        for side in ("result", "ground_truth")
        for part in _PARTS
    }
    with replacing(path) as file, file.open("wb") as stream:
        np.savez(stream, **arrays)  # type: ignore[arg-type]


def _load_sums(path: Path) -> dict[str, Compared[Moments]]:
    with np.load(path, allow_pickle=False) as arrays:

        def moments(name: str, side: str) -> Moments:
            count, total, outer = (arrays[f"{name}.{side}.{part}"] for part in _PARTS)
            return Moments(int(count), total, outer)

        names = {key.split(".")[0] for key in arrays}
        return {name: Compared(moments(name, "result"), moments(name, "ground_truth")) for name in names}


@lru_cache(maxsize=1)
def _load(method: str, options: ComputeOptions | None, ablate: str) -> Method:
    """The method, loaded once a process for all clips that follow one another."""
    if options is None:
        return BASELINES[method]()
    if ablate:
        return cast("Method", load_object(spec_of(options).ablations[ablate]).load(options))
    return load_method(options)


def _loaded_method(run: Run, options: ComputeOptions | None) -> Method:
    method = _load(run.method, options, run.ablate)
    return RollingReference(method, run.reference_interval) if run.reference_interval else method


@lru_cache(maxsize=1)
def _loaded_metrics(spec: MetricSpec) -> MetricSuite:
    return MetricSuite.load(spec)
