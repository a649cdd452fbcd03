"""What a benchmark runs: a TOML file that names clips, methods with their settings, and metrics.

::

    title = "Overlap of LVCD"
    metrics = ["psnr", "lpips_alex", "tc"]      # default: the protocol's

    [[clips]]                                   # a film on disk
    name = "cut05"
    lines = "cut05/lines"
    original = "cut05/color"
    references = [0]                            # frames given painted, 0-based

    [[synthetic]]                               # validation films of the synthesizer
    art = "build/art.safetensors"
    hand = "clean"
    clips = 4
    frames = 16

    [[runs]]
    name = "LVCD"
    method = "lvcd"                             # or a baseline: copy, flow, flow-chained, segments
    options = { seed = 1 }                      # of the method, as on the command line
    sweep = { overlap = [2, 4, 6] }             # one run for every value; several keys: every combination

    [[runs]]
    name = "LVCD, three paintings"
    method = "lvcd"
    references = 3                              # so many paintings, spread evenly, instead of the clip's own

Paths are relative to the folder the benchmark runs in.
"""

from __future__ import annotations

import itertools
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from importlib import resources
from pathlib import Path
from typing import Any, Literal, TypeVar

from celpaint.benchmark.baselines import BASELINES
from celpaint.benchmark.evaluation import METRICS, PROTOCOLS
from celpaint.errors import InputError, OptionError
from celpaint.methods.registry import method_names, method_spec

__all__ = ["ClipSource", "Run", "Suite", "Synthetic", "find_suite", "read_suite", "suites"]

T = TypeVar("T")


@dataclass(frozen=True)
class ClipSource:
    """A film on disk.

    Attributes:
        name: what the report calls it.
        lines, original: what :func:`celpaint.frames.read.open_clip` opens.
        references: 0-based indices of the frames given painted.
        group: clips of one group are also averaged by themselves.
    """

    name: str
    lines: str
    original: str
    references: tuple[int, ...] = (0,)
    group: str = ""


@dataclass(frozen=True)
class Synthetic:
    """Films of the synthesizer, with drawings that were held out of training; made once, into the output folder.

    Attributes:
        art: the collection made by ``celpaint data art``.
        hand: the hand of the line art.
        clips: how many films, of ``frames`` frames each.
        first: the first film's number.
    """

    art: str
    hand: str = "clean"
    clips: int = 4
    frames: int = 16
    height: int = 320
    width: int = 576
    first: int = 0
    group: str = ""


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
        source: ``lines`` colors the line art, ``original`` the lines extracted from the original.
        renew: drawings after which the last result becomes the only reference (LVCD, table 2, "Prev Sample"); 0 never.
        without: a part that is taken away, one of the ablations that the method offers.
        setting: the sweep's values of this run.
    """

    name: str
    method: str
    options: Mapping[str, Any] = field(default_factory=dict)
    path: Mapping[str, Any] = field(default_factory=dict)
    references: int | None = None
    source: Literal["lines", "original"] = "lines"
    renew: int = 0
    without: str = ""
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
        protocol: of :data:`~celpaint.benchmark.evaluation.PROTOCOLS`: the size pixels are compared at.
        metrics: names; default: the protocol's.
        flow: estimator for TC and warp error.
        about: a paragraph for the report.
    """

    title: str
    runs: tuple[Run, ...]
    clips: tuple[ClipSource, ...] = ()
    synthetic: tuple[Synthetic, ...] = ()
    protocol: str = "lvcd"
    metrics: tuple[str, ...] = ()
    flow: Literal["auto", "raft", "gmflow", "dis"] = "auto"
    about: str = ""


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
    films = [_build(Synthetic, entry, "synthetic", path) for entry in _tables(table, "synthetic", path)]
    rest = {key: value for key, value in table.items() if key not in ("runs", "clips", "synthetic")}
    suite = _build(Suite, {**rest, "runs": runs, "clips": clips, "synthetic": films}, "suite", path)
    _check(suite, path)
    return suite


def _tables(table: Mapping[str, Any], key: str, path: Path) -> list[dict[str, Any]]:
    entries = table.get(key, [])
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise OptionError(f"'{key}' in suite '{path}' is no list of tables", wanted=f"[[{key}]]")
    return entries


def _build(kind: type[T], entry: Mapping[str, Any], what: str, path: Path) -> T:
    """A dataclass from a table, lists made tuples."""
    known = [f.name for f in fields(kind)]  # type: ignore[arg-type]
    if unknown := sorted(entry.keys() - set(known)):
        raise OptionError(
            f"'{unknown[0]}' in [[{what}]] of suite '{path}' is not known", wanted=f"of {', '.join(known)}"
        )
    try:
        return kind(**{key: tuple(value) if isinstance(value, list) else value for key, value in entry.items()})
    except TypeError as error:
        raise OptionError(f"[[{what}]] of suite '{path}' is incomplete ({error})") from None


def _expand(entry: Mapping[str, Any], path: Path) -> list[Run]:
    """One run for every combination of a sweep's values."""
    plain = {key: value for key, value in entry.items() if key != "sweep"}
    sweep: Mapping[str, Sequence[Any]] = entry.get("sweep", {})
    runs = []
    for values in itertools.product(*sweep.values()):
        setting = dict(zip(sweep, values, strict=True))
        own = {key: value for key, value in setting.items() if key in ("references", "source", "renew")}
        options = {key: value for key, value in setting.items() if key not in own}
        name = ", ".join([str(plain.get("name", "")), *(f"{key} {value}" for key, value in setting.items())])
        merged = {**plain, **own, "name": name, "options": {**plain.get("options", {}), **options}, "setting": setting}
        runs.append(_build(Run, merged, "runs", path))
    return runs


def _check(suite: Suite, path: Path) -> None:
    def refuse(seen: str, wanted: str) -> None:
        raise OptionError(f"{seen} in suite '{path}'", wanted=wanted)

    if not suite.runs or not (suite.clips or suite.synthetic):
        refuse("no runs or no clips", "[[runs]], and [[clips]] or [[synthetic]]")
    if suite.protocol not in PROTOCOLS:
        refuse(f"protocol {suite.protocol!r}", " or ".join(PROTOCOLS))
    for metric in suite.metrics:
        if metric not in METRICS:
            refuse(f"metric {metric!r}", f"of {', '.join(METRICS)}")
    for what, names in (("run", [run.name for run in suite.runs]), ("clip", [clip.name for clip in suite.clips])):
        for name in names:
            if names.count(name) > 1:
                refuse(f"two {what}s named {name!r}", "every name once")
    for run in suite.runs:
        if run.method not in (*method_names(), *BASELINES):
            refuse(f"method {run.method!r}", f"of {', '.join([*method_names(), *BASELINES])}")
        if run.is_baseline and run.options:
            refuse(f"options of the baseline {run.name!r}", "none, it has no options")
        parts = () if run.is_baseline else tuple(method_spec(run.method).ablations)
        if run.without not in ("", *parts):
            wanted = f"of {', '.join(parts)}" if parts else "none: no part of this method can be taken away"
            refuse(f"without = {run.without!r} of method {run.method!r}", wanted)
        if run.source not in ("lines", "original"):
            refuse(f"source {run.source!r}", "lines or original")
