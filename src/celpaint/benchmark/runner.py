"""Methods x clips x settings: colored, measured and kept by content, so that a stopped benchmark goes on.

A cell is one run on one clip. Its folder is named by a hash of all that decides its pixels: the clip's bytes, the
run's options, the weights' bytes and the code. A cell that is there is not made again.
"""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import os
import platform
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import cache, lru_cache
from pathlib import Path
from typing import Any, Literal, TypeVar, cast

import cv2
import numpy as np

import celpaint
from celpaint.atomic_write import write_text
from celpaint.benchmark.baselines import BASELINES
from celpaint.benchmark.evaluation import PROTOCOLS, ClipScores, Job, Measured, Report, Ruler
from celpaint.benchmark.suite import Run, Suite, Synthetic, find_suite, read_suite
from celpaint.conditions.lines import flatten
from celpaint.conditions.reference_assignment import Place
from celpaint.errors import CelpaintError, InputError, OptionError
from celpaint.frames.color import quantize
from celpaint.frames.read import open_clip
from celpaint.methods.base import Method
from celpaint.methods.registry import choose_method, load_method, spec_of, weight_files
from celpaint.metrics.frechet import PairMoments
from celpaint.metrics.sums import Moments
from celpaint.options import ComputeOptions, PathOptions
from celpaint.types import Array, Clip, Event, Progress, silent
from celpaint.weights.kinds import load_object

__all__ = ["Benchmark", "Film", "Outcome", "benchmark", "commit", "in_processes", "machine", "weights_digest"]

T = TypeVar("T")


@dataclass(frozen=True)
class Film:
    """A clip to color.

    Attributes:
        name, group: as in the suite.
        lines, original: where it lies.
        references: 0-based indices of the frames given painted.
        digest: hash of its bytes.
    """

    name: str
    group: str
    lines: Path
    original: Path
    references: tuple[int, ...]
    digest: str


@dataclass(frozen=True)
class Outcome:
    """What a cell came to.

    Attributes:
        frames: folder of the colored frames, None if it failed.
        references: frames that were given painted.
        measured: scores and sums, None if it failed.
        seconds: wall-clock time of coloring, loading left out; ``cpu_seconds`` of all threads.
        error: why it failed, empty if it did not.
    """

    run: Run
    film: Film
    frames: Path | None = None
    references: tuple[int, ...] = ()
    measured: Measured | None = None
    seconds: float = float("nan")
    cpu_seconds: float = float("nan")
    error: str = ""


@dataclass(frozen=True)
class Benchmark:
    """Everything a report is made of.

    Attributes:
        reports: by name of a run that succeeded on at least one clip.
        machine: what it ran on, by name, for people.
        date: UTC, to the minute.
        commit: of the code, empty outside a repository.
    """

    suite: Suite
    films: tuple[Film, ...]
    outcomes: tuple[Outcome, ...]
    reports: dict[str, Report]
    machine: dict[str, str]
    date: str
    commit: str

    def of(self, run: Run) -> list[Outcome]:
        """The outcomes of a run that did not fail."""
        return [outcome for outcome in self.outcomes if outcome.run.name == run.name and outcome.measured is not None]


def benchmark(
    suite: str | Path,
    out: Path,
    *,
    root: Path | None = None,
    workers: int | None = None,
    device: str = "auto",
    only: Sequence[str] = (),
    progress: Progress = silent,
) -> Benchmark:
    """Run a suite and write its report: ``out/index.html``, ``out/report.md`` and ``out/results.json``.

    What was made before with the same clips, options, weights and code is not made again.

    Args:
        suite: a TOML file (see :mod:`celpaint.benchmark.suite`), or the name of one in the package.
        out: a folder for the report, the colored frames and the clips made for it.
        root: what the suite's paths are relative to; default: the current folder.
        workers: processes; default: one a processor core, or one where there is a GPU.
        device: where networks run: ``auto``, ``cpu``, ``cuda`` ...
        only: names of runs, if not all of them are wanted; a name also picks its sweep.
        progress: told of every frame that is ready.

    Raises:
        InputError: the suite or a clip can't be read.
        OptionError: the suite asks for something that does not exist.
    """
    from celpaint.benchmark.report import write_report

    chosen = read_suite(find_suite(suite))
    runs = [run for run in chosen.runs if not only or any(run.name.split(",")[0] == o or run.name == o for o in only)]
    if not runs:
        raise OptionError(f"no run is named {only[0]!r}", wanted=f"of {', '.join(run.name for run in chosen.runs)}")
    out = Path(out)
    out.mkdir(parents=True, exist_ok=True)
    films = tuple(_films(chosen, out, Path() if root is None else root))
    names = chosen.metrics or PROTOCOLS[chosen.protocol].metrics
    yardstick = Yardstick(tuple(names), PROTOCOLS[chosen.protocol].size, chosen.flow, device)
    code = code_digest(), code_digest(("benchmark", "metrics"))
    cells = [Cell(run, film, out / "cells", device, yardstick, code) for run in runs for film in films]
    outcomes = tuple(_run(cells, _workers(workers, device), progress))
    ruler = yardstick.load()
    reports = {}
    for run in runs:
        measured = [o.measured for o in outcomes if o.run.name == run.name and o.measured is not None]
        if measured:
            reports[run.name] = ruler.report(measured, {})
    done = Benchmark(
        suite=chosen,
        films=films,
        outcomes=outcomes,
        reports=reports,
        machine=machine(device),
        date=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        commit=commit(),
    )
    write_report(done, out)
    return done


# -- clips ---------------------------------------------------------------------------------------------------------


def _films(suite: Suite, out: Path, root: Path) -> Iterator[Film]:
    for clip in suite.clips:
        lines, original = root / clip.lines, root / clip.original
        digest = _digest([lines, original])
        yield Film(clip.name, clip.group or "films", lines, original, clip.references, digest)
    for spec in suite.synthetic:
        yield from _synthesize(spec, out / "clips", root)


def _synthesize(spec: Synthetic, out: Path, root: Path) -> Iterator[Film]:
    """The synthesizer's validation films as folders of PNG files, unless they are there."""
    art = root / spec.art
    if not art.is_file():
        raise InputError(f"'{art}' does not exist", wanted="a file of drawings", todo="Make it: celpaint data art")
    recipe = json.dumps(asdict(spec) | {"bytes": _file_digest(art)}, sort_keys=True)
    key = hashlib.sha256((recipe + code_digest(("data",))).encode()).hexdigest()[:12]
    folders = [out / f"{spec.hand}-{spec.first + i:02d}-{key}" for i in range(spec.clips)]
    if not all((folder / "complete").exists() for folder in folders):
        from celpaint.data.synthetic.art import Art
        from celpaint.data.synthetic.compose import validation_clips

        batches = validation_clips(
            Art.load(art),
            1,
            spec.hand,
            clips=spec.first + spec.clips,
            frames=spec.frames,
            height=spec.height,
            width=spec.width,
        )
        for folder, batch in zip(folders, list(batches)[spec.first :], strict=True):
            for i in range(spec.frames):
                line = batch.lines[0, i, 0].numpy()
                _write(folder / "lines" / f"{i:04d}.png", np.stack([1 - line] * 3, 2))
                _write(folder / "color" / f"{i:04d}.png", batch.color[0, i].permute(1, 2, 0).numpy())
            (folder / "complete").touch()
    for folder in folders:
        name = folder.name.removesuffix(f"-{key}")
        digest = hashlib.sha256(f"{key}{folder.name}".encode()).hexdigest()
        yield Film(name, spec.group or spec.hand, folder / "lines", folder / "color", (0,), digest)


def _write(path: Path, rgb: Array) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.ascontiguousarray(quantize(rgb, 8)[..., ::-1])
    cv2.imwrite(str(path), pixels, [cv2.IMWRITE_PNG_COMPRESSION, 1])


# -- cells ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Yardstick:
    """Which metrics, as it goes to other processes."""

    metrics: tuple[str, ...]
    size: tuple[int, int] | None
    flow: Literal["auto", "raft", "gmflow", "dis"]
    device: str

    def load(self) -> Ruler:
        """The metrics themselves."""
        return Ruler.load(self.metrics, self.size, flow=self.flow, device=self.device)


@dataclass(frozen=True)
class Cell:
    """One run on one clip, as it goes to other processes.

    Attributes:
        folder: where all cells lie.
        code: hashes of the code that colors and of the code that measures.
    """

    run: Run
    film: Film
    folder: Path
    device: str
    yardstick: Yardstick
    code: tuple[str, str]

    @property
    def options(self) -> ComputeOptions | None:
        """The method's options, None of a baseline."""
        if self.run.is_baseline:
            return None
        return choose_method(self.run.method, {"device": self.device, **self.run.options})

    def place(self) -> Path:
        """Its folder, named by all that decides its pixels.

        Raises:
            WeightsError: the method's weights are not there.
        """
        options = self.options
        weights = "" if options is None else weights_digest(options)
        asked = {key: value for key, value in asdict(self.run).items() if key not in ("name", "setting")}
        asked["device"] = self.device
        text = json.dumps([asked, self.film.digest, self.film.references, weights, self.code[0]], sort_keys=True)
        key = hashlib.sha256(text.encode()).hexdigest()[:16]
        slug = re.sub(r"[^a-z0-9]+", "-", f"{self.run.name} {self.film.name}".lower()).strip("-")
        return self.folder / f"{slug}-{key}"

    def references(self, length: int) -> tuple[int, ...]:
        """Frames given painted: the clip's own, or so many as the run wants, spread evenly, the first among them."""
        if self.run.references is None:
            return self.film.references
        return tuple(sorted({round(i * length / self.run.references) for i in range(self.run.references)}))

    def work(self) -> Outcome:
        """Color and measure the clip, unless that was done."""
        try:
            place = self.place()
            coloring = place / "coloring.json"
            if not coloring.exists():
                _store(coloring, self._color(place / "frames"))
            told = json.loads(coloring.read_text())
            measured = self._measure(place, tuple(told["references"]))
        except CelpaintError as error:
            return Outcome(self.run, self.film, error=str(error))
        return Outcome(
            self.run,
            self.film,
            frames=place / "frames",
            references=tuple(told["references"]),
            measured=measured,
            seconds=told["seconds"],
            cpu_seconds=told["cpu_seconds"],
        )

    def _color(self, frames: Path) -> dict[str, Any]:
        from celpaint.shot import Scene

        method = _painter(self.run, self.options)
        original = open_clip(self.film.original)
        source = open_clip(self.film.lines if self.run.source == "lines" else self.film.original)
        given = self.references(len(original))
        paths = {"lines": "extract"} if self.run.source == "original" else {}
        pictures = [_painted(original, i, frames.parent / "references") for i in given]
        scene = Scene(source, pictures, PathOptions.of({**paths, **self.run.path}))
        began, spent = time.perf_counter(), time.process_time()
        for chunk in method.color(scene.shot):
            for drawing, painted in enumerate(chunk.painted, chunk.start):
                finished = flatten(scene.finish(drawing, painted.rgb))
                for frame in scene.spans[drawing]:
                    _write(frames / f"{frame:04d}.png", finished)
        return {
            "references": given,
            "seconds": time.perf_counter() - began,
            "cpu_seconds": time.process_time() - spent,
            "drawings": len(scene.shot),
        }

    def _measure(self, place: Path, references: tuple[int, ...]) -> Measured:
        text = json.dumps([asdict(self.yardstick), self.code[1]])
        key = hashlib.sha256(text.encode()).hexdigest()[:16]
        scores, sums = place / f"scores-{key}.json", place / f"sums-{key}.npz"
        if not scores.exists():
            job = Job(self.film.name, place / "frames", self.film.original, self.film.lines, references)
            measured = _ruler(self.yardstick).measure(job, workers=1)
            _store_sums(sums, measured.pooled)
            _store(scores, asdict(measured.scores))
        return Measured(ClipScores(**json.loads(scores.read_text())), _load_sums(sums))


def _painted(original: Clip, frame: int, folder: Path) -> Place:
    """A frame of the original as the file that an artist would give."""
    file = folder / f"{frame:04d}.png"
    _write(file, flatten(original[frame]))
    return Place(file, frame)


def _store(path: Path, value: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, json.dumps(value))


def _store_sums(path: Path, pooled: dict[str, PairMoments]) -> None:
    arrays: dict[str, np.ndarray] = {}
    for name, pair in pooled.items():
        for side, moments in (("result", pair.result), ("original", pair.original)):
            arrays |= {
                f"{name}.{side}.{part}": np.asarray(getattr(moments, part)) for part in ("count", "sum", "outer")
            }
    np.savez(path, **arrays)  # type: ignore[arg-type]


def _load_sums(path: Path) -> dict[str, PairMoments]:
    with np.load(path, allow_pickle=False) as arrays:
        found = {key.split(".")[0] for key in arrays}

        def moments(name: str, side: str) -> Moments:
            count, total, outer = (arrays[f"{name}.{side}.{part}"] for part in ("count", "sum", "outer"))
            return Moments(int(count), total, outer)

        return {name: PairMoments(moments(name, "result"), moments(name, "original")) for name in found}


_loaded: dict[str, Method] = {}
"""The method this process has at hand, by what it was made from; loading it for every clip would take longer than the
clip."""


def _painter(run: Run, options: ComputeOptions | None) -> Method:
    key = repr((run.method, options, run.without))
    if key not in _loaded:
        _loaded.clear()
        _loaded[key] = _load(run, options)
    if not run.renew:
        return _loaded[key]
    from celpaint.benchmark.ablations import Renewed

    return Renewed(_loaded[key], run.renew)


def _load(run: Run, options: ComputeOptions | None) -> Method:
    if options is None:
        return BASELINES[run.method]()
    if run.without:
        return cast("Method", load_object(spec_of(options).ablations[run.without]).load(options))
    return load_method(options)


@lru_cache(maxsize=1)
def _ruler(yardstick: Yardstick) -> Ruler:
    return yardstick.load()


# -- processes -----------------------------------------------------------------------------------------------------


def _workers(workers: int | None, device: str) -> int:
    if workers is not None:
        return max(workers, 1)
    import torch

    gpu = device not in ("auto", "cpu") or (device == "auto" and torch.cuda.is_available())
    return 1 if gpu else os.cpu_count() or 1


def _run(cells: Sequence[Cell], workers: int, progress: Progress) -> Iterator[Outcome]:
    """Outcomes in the order of the cells."""
    lengths = {cell.film.name: len(open_clip(cell.film.original)) for cell in cells}
    total = sum(lengths[cell.film.name] for cell in cells)
    ready = 0
    outcomes: dict[int, Outcome] = {}
    for index, outcome in in_processes([cell.work for cell in cells], workers):
        outcomes[index] = outcome
        ready += lengths[outcome.film.name]
        progress(Event("frame", ready, total))
    return (outcomes[i] for i in range(len(cells)))


def in_processes(jobs: Sequence[Callable[[], T]], workers: int) -> Iterator[tuple[int, T]]:
    """The jobs' numbers and what they return, as they are done, in ``workers`` processes that share the threads; in
    this process where one is enough."""
    if workers == 1:
        yield from ((i, job()) for i, job in enumerate(jobs))
        return
    threads = max((os.cpu_count() or 1) // workers, 1)
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, context, _start, (threads,)) as pool:
        running = {pool.submit(job): i for i, job in enumerate(jobs)}
        try:
            for done in as_completed(running):
                yield running[done], done.result()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _start(threads: int) -> None:
    """A worker's share of the machine."""
    import torch

    torch.set_num_threads(threads)
    cv2.setNumThreads(threads)


# -- identity ------------------------------------------------------------------------------------------------------


@cache
def code_digest(parts: tuple[str, ...] = ()) -> str:
    """Hash of the package's code: of the folders named, by default of all that decides a frame's pixels."""
    root = Path(celpaint.__file__).parent
    apart = ("benchmark", "cli", "comfy", "data", "farm", "metrics", "train", "web")
    files = [
        file
        for file in sorted(root.rglob("*.py"))
        if (file.relative_to(root).parts[0] in parts if parts else file.relative_to(root).parts[0] not in apart)
    ]
    if not parts:
        files += [root / "benchmark" / f"{name}.py" for name in ("ablations", "baselines", "runner")]
    return _digest(files)


@cache
def weights_digest(options: ComputeOptions) -> str:
    """Hash of the weights that decide what these options make, by name and content."""
    return _digest(weight_files(options))


def _digest(paths: Iterable[Path]) -> str:
    """Hash of files, and of all files in folders, by name and content; a path's own place does not count."""
    total = hashlib.sha256()
    for path in paths:
        if not path.exists():
            raise InputError(f"'{path}' does not exist", wanted="a file or folder")
        files = sorted(p for p in path.rglob("*") if p.is_file()) if path.is_dir() else [path]
        for file in files:
            total.update(f"{file.name}\0{_file_digest(file)}\0".encode())
    return total.hexdigest()


def _file_digest(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def machine(device: str) -> dict[str, str]:
    """What figures were measured on, by name, for people."""
    import torch

    name = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists() and (model := re.search(r"model name\s*:\s*(.+)", cpuinfo.read_text())):
        name = model.group(1)
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() and device != "cpu" else "none"
    return {
        "processor": f"{name}, {os.cpu_count()} cores",
        "GPU": gpu,
        "system": platform.system(),
        "Python": sys.version.split()[0],
        "torch": torch.__version__,
        "celpaint": celpaint.__version__,
    }


def commit() -> str:
    """The commit the code is of, with ``+`` where files were changed since."""
    where = Path(celpaint.__file__).parent

    def git(*words: str) -> str:
        done = subprocess.run(["git", "-C", str(where), *words], capture_output=True, text=True, check=False)
        return done.stdout.strip() if done.returncode == 0 else ""

    try:
        head = git("rev-parse", "--short=12", "HEAD")
        return head + ("+" if head and git("status", "--porcelain", "--", str(where)) else "")
    except OSError:
        return ""
