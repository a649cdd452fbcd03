"""What a benchmark runs: a TOML file that names clips, methods with their settings, and metrics.

::

    title = "Overlap of LVCD"
    metrics = ["psnr", "lpips_alex", "tc"]      # default: the protocol's

    [[clips]]                                   # a clip on disk
    name = "cut05"
    lines = "cut05/lines"
    ground_truth = "cut05/color"
    references = [0]                            # frames given painted, 0-based

    [[films]]                                   # films made on the spot
    source = "synthetic"                        # of celpaint.benchmark.films.FILM_SOURCES
    art = "build/art.safetensors"
    films = 4
    frames = 48
    lines = ["clean", "extracted"]              # how the line art is drawn; extracted: found in the painted frames
    references = [1, 3]                         # numbers of painted frames
    windows = ["shot", 15]                      # the whole shot; a few frames that begin 15 after the painting

    [[runs]]
    name = "LVCD"
    method = "lvcd"                             # or a baseline: copy, flow, flow-chained, segments
    options = { seed = 1 }                      # of the method, as on the command line
    sweep = { overlap = [2, 4, 6] }             # one run for every value; several keys: every combination

    [[runs]]
    name = "LVCD"
    method = "lvcd"
    ablate = ["reference attention"]            # one run without each of these parts

    [[runs]]
    name = "LVCD, three paintings"
    method = "lvcd"
    references = 3                              # so many paintings, spread evenly, instead of the clip's own

Paths are relative to the folder the benchmark runs in. Every film is shown with each of its line styles, and of these
each whole shot with each number of paintings and each window with one painting.
"""

from __future__ import annotations

import itertools
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from importlib import resources
from pathlib import Path
from typing import Any, Literal, TypeVar

from celpaint.benchmark.baselines import BASELINES
from celpaint.benchmark.metric_suite import METRICS, PROTOCOLS, FlowName
from celpaint.errors import InputError, OptionError
from celpaint.methods.registry import method_names, method_spec

__all__ = ["ClipSource", "FilmSpec", "Run", "Suite", "find_suite", "read_suite", "suites"]

T = TypeVar("T")

_SWEPT = ("references", "source", "reference_interval")
"""Fields of a run that a sweep may vary; all other keys of a sweep are options of the method."""


@dataclass(frozen=True)
class ClipSource:
    """A clip on disk.

    Attributes:
        name: what the report calls it.
        lines, ground_truth: what :func:`celpaint.frames.read.open_clip` opens.
        references: 0-based indices of the frames given painted.
        group: clips of one group are also averaged by themselves.
    """

    name: str
    lines: str
    ground_truth: str
    references: tuple[int, ...] = (0,)
    group: str = ""


@dataclass(frozen=True)
class FilmSpec:
    """Films that are made for the benchmark, once, into the output folder.

    Attributes:
        source: who makes them, of :data:`celpaint.benchmark.films.FILM_SOURCES`.
        art: a file of drawings for the source, if it needs one; only held-out drawings may be shown.
        films: how many of each seed.
        first: number of the first film.
        frames: of each film.
        height, width: in pixels.
        seeds: films of other seeds are other films; their scores are also reported by seed.
        lines: line styles that the source draws, or ``extracted`` (found in the painted frames), or ``binary`` (the
            source's first style, either ink or paper).
        references: numbers of painted frames of a whole shot, spread evenly, the first frame among them.
        windows: ``shot`` for the whole shot; a number for ``window_frames`` frames that begin so many frames after the
            painted first frame, colored without those between.
        window_frames: frames of a window.
        group: name of the group that their scores are averaged in; default: what distinguishes the clips.
    """

    source: str = "synthetic"
    art: str = ""
    films: int = 4
    first: int = 0
    frames: int = 16
    height: int = 320
    width: int = 576
    seeds: tuple[int, ...] = (0,)
    lines: tuple[str, ...] = ("clean",)
    references: tuple[int, ...] = (1,)
    windows: tuple[str | int, ...] = ("shot",)
    window_frames: int = 3
    group: str = ""

    def __post_init__(self) -> None:
        def need(ok: bool, name: str, seen: object, wanted: str) -> None:
            if not ok:
                raise OptionError(f"{name} of [[films]] is {seen!r}", wanted=wanted)

        need(min(self.films, self.frames - 1, self.window_frames) >= 1, "films", self.films, "1 or more, of 2 frames")
        need(all(1 <= k < self.frames for k in self.references), "references", self.references, "1 or more, not all")
        for window in self.windows:
            fits = isinstance(window, int) and 1 <= window <= self.frames - self.window_frames
            need(
                fits or window == "shot", "windows", window, f"shot, or 1 to {self.frames - self.window_frames} frames"
            )


@dataclass(frozen=True)
class Run:
    """A way to color every clip.

    Attributes:
        name: what the report calls it; with settings of a sweep.
        method: of :func:`~celpaint.methods.registry.method_names` or
            :data:`~celpaint.benchmark.baselines.BASELINES`.
        options: of the method, by field name.
        path: of the path (:class:`~celpaint.options.PathOptions`), by field name.
        references: how many paintings, spread evenly over the clip; None = the clip's own.
        source: ``lines`` colors the line art, ``ground_truth`` the lines extracted from the ground truth.
        reference_interval: drawings after which the last result becomes the only reference (LVCD, table 2, "Prev
            Sample"); 0 never.
        ablate: the part that is left out, one of the ablations that the method offers.
        setting: the sweep's values of this run.
    """

    name: str
    method: str
    options: Mapping[str, Any] = field(default_factory=dict)
    path: Mapping[str, Any] = field(default_factory=dict)
    references: int | None = None
    source: Literal["lines", "ground_truth"] = "lines"
    reference_interval: int = 0
    ablate: str = ""
    setting: Mapping[str, Any] = field(default_factory=dict)

    @property
    def is_baseline(self) -> bool:
        """Whether it learns nothing."""
        return self.method in BASELINES


@dataclass(frozen=True)
class Suite:
    """A benchmark, checked.

    Attributes:
        title: of the report.
        protocol: of :data:`~celpaint.benchmark.metric_suite.PROTOCOLS`: the size pixels are compared at.
        metrics: names; default: the protocol's.
        flow: estimator for TC and warp error.
        about: a paragraph for the report.
    """

    title: str
    runs: tuple[Run, ...]
    clips: tuple[ClipSource, ...] = ()
    films: tuple[FilmSpec, ...] = ()
    protocol: str = "lvcd"
    metrics: tuple[str, ...] = ()
    flow: FlowName = "auto"
    about: str = ""

    def choose(self, only: Sequence[str]) -> tuple[Run, ...]:
        """The runs of these names, all if there are none; a name also picks its sweep and its ablations.

        Raises:
            OptionError: a name that no run has.
        """
        for name in only:
            if not any(name in (run.name, run.name.split(",")[0]) for run in self.runs):
                raise OptionError(
                    f"no run is named {name!r}", wanted=f"one of {', '.join(run.name for run in self.runs)}"
                )
        return tuple(run for run in self.runs if not only or {run.name, run.name.split(",")[0]} & {*only})

    def at_most(self, films: int | None) -> Suite:
        """The suite with at most so many films of every table; None: all.

        Raises:
            OptionError: less than one.
        """
        if films is None:
            return self
        if films < 1:
            raise OptionError(f"{films} films", wanted="1 or more")
        return replace(self, films=tuple(replace(spec, films=min(films, spec.films)) for spec in self.films))


def suites() -> tuple[str, ...]:
    """Names of the suites in the package."""
    folder = resources.files("celpaint.benchmark") / "suites"
    return tuple(sorted(entry.name.removesuffix(".toml") for entry in folder.iterdir() if entry.name.endswith(".toml")))


def find_suite(name: str | Path) -> Path:
    """A suite's file: a path, or the name of one in the package.

    Raises:
        InputError: neither.
    """
    path = Path(name)
    if path.suffix == ".toml":
        return path
    if str(name) not in suites():
        raise InputError(f"there is no suite '{name}'", wanted=f"a TOML file, or one of: {', '.join(suites())}")
    return Path(str(resources.files("celpaint.benchmark") / "suites" / f"{name}.toml"))


def read_suite(path: Path) -> Suite:
    """Read and check a suite.

    Raises:
        InputError: no such file, or not TOML.
        OptionError: an unknown key, method, metric or option; two runs or clips of one name.
    """
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"suite '{path}' can't be read ({error})", wanted="a TOML file") from None
    runs = [run for entry in _tables(table, "runs", path) for run in _expand(entry, path)]
    clips = [_build(ClipSource, entry, "clips", path) for entry in _tables(table, "clips", path)]
    films = [_build(FilmSpec, entry, "films", path) for entry in _tables(table, "films", path)]
    rest = {key: value for key, value in table.items() if key not in ("runs", "clips", "films")}
    suite = _build(Suite, {**rest, "runs": runs, "clips": clips, "films": films}, "suite", path)
    _check(suite, path)
    return suite


def _tables(table: Mapping[str, Any], key: str, path: Path) -> list[dict[str, Any]]:
    entries = table.get(key, [])
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise OptionError(f"'{key}' in suite '{path}' is not a list of tables", wanted=f"[[{key}]]")
    return entries


def _build(kind: type[T], entry: Mapping[str, Any], what: str, path: Path) -> T:
    """A dataclass from a table, lists made tuples."""
    known = [f.name for f in fields(kind)]  # type: ignore[arg-type]
    if unknown := sorted(entry.keys() - set(known)):
        raise OptionError(
            f"'{unknown[0]}' in [[{what}]] of suite '{path}' is not known", wanted=f"one of {', '.join(known)}"
        )
    try:
        return kind(**{key: tuple(value) if isinstance(value, list) else value for key, value in entry.items()})
    except TypeError as error:
        raise OptionError(f"[[{what}]] of suite '{path}' is incomplete ({error})") from None


def _expand(entry: Mapping[str, Any], path: Path) -> list[Run]:
    """One run for every combination of a sweep's values and every part to leave out."""
    plain = {key: value for key, value in entry.items() if key not in ("sweep", "ablate")}
    sweep: Mapping[str, Sequence[Any]] = entry.get("sweep", {})
    ablate = entry.get("ablate", "")
    runs = []
    for *values, part in itertools.product(*sweep.values(), ablate if isinstance(ablate, list) else [ablate]):
        setting = dict(zip(sweep, values, strict=True))
        own = {key: value for key, value in setting.items() if key in _SWEPT}
        options = {**plain.get("options", {}), **{key: setting[key] for key in setting.keys() - own.keys()}}
        words = [str(plain.get("name", "")), *(f"{key} {value}" for key, value in setting.items())]
        if isinstance(ablate, list):
            words.append(f"without {part}")
        name = ", ".join(words)
        merged = {**plain, **own, "name": name, "options": options, "setting": setting, "ablate": part}
        runs.append(_build(Run, merged, "runs", path))
    return runs


def _check(suite: Suite, path: Path) -> None:
    def refuse(seen: str, wanted: str) -> None:
        raise OptionError(f"{seen} in suite '{path}'", wanted=wanted)

    if not suite.runs or not (suite.clips or suite.films):
        refuse("no runs or no clips", "[[runs]], and [[clips]] or [[films]]")
    if suite.protocol not in PROTOCOLS:
        refuse(f"protocol {suite.protocol!r}", " or ".join(PROTOCOLS))
    for metric in suite.metrics:
        if metric not in METRICS:
            refuse(f"metric {metric!r}", f"one of {', '.join(METRICS)}")
    for what, names in (("run", [run.name for run in suite.runs]), ("clip", [clip.name for clip in suite.clips])):
        for name in names:
            if names.count(name) > 1:
                refuse(f"two {what}s named {name!r}", "every name once")
    for run in suite.runs:
        if run.method not in (*method_names(), *BASELINES):
            refuse(f"method {run.method!r}", f"one of {', '.join([*method_names(), *BASELINES])}")
        if run.is_baseline and run.options:
            refuse(f"options of the baseline {run.name!r}", "none, it has no options")
        parts = () if run.is_baseline else tuple(method_spec(run.method).ablations)
        if run.ablate not in ("", *parts):
            wanted = f"of {', '.join(parts)}" if parts else "none: no part of this method can be left out"
            refuse(f"ablate = {run.ablate!r} of method {run.method!r}", wanted)
        if run.source not in ("lines", "ground_truth"):
            refuse(f"source {run.source!r}", "lines or ground_truth")
