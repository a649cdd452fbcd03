"""Recipes: a TOML file of known tables and keys becomes frozen dataclasses, or a sentence saying what is wrong."""

from __future__ import annotations

import dataclasses
import difflib
import json
import tomllib
import types
import typing
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any, Literal, TypeVar, Union, get_args, get_origin

from celpaint.errors import InputError, OptionError

__all__ = [
    "DataOptions",
    "InitOptions",
    "OptimizerOptions",
    "Recipe",
    "RunOptions",
    "ScheduleOptions",
    "from_table",
    "load_recipe",
    "packaged_recipes",
]

D = TypeVar("D")


def need(ok: bool, key: str, seen: object, wanted: str) -> None:
    """Raise :class:`OptionError` naming the recipe's key unless ``ok``."""
    if not ok:
        raise OptionError(f"{key} is {seen!r}", wanted=wanted)


@dataclass(frozen=True, kw_only=True)
class DataOptions:
    """Where the films come from."""

    source: Literal["toy", "synthetic", "film", "prepared"] = "toy"
    """``toy``: drawn on the spot, for trying things; ``synthetic``: animated from ``path``, an art file of
    ``celpaint data art``; ``film``: film-like clips of the same drawings, composed on the training device;
    ``prepared``: from ``path``, a folder of ``celpaint data prepare``."""
    path: str = ""
    drawings: int = 0
    """Of ``film``: most drawings kept on the device; 0 = all."""
    size: tuple[int, int] = (192, 320)
    """Height and width of the training frames, multiples of 16."""
    frames: int = 15
    """Frames a clip."""
    clips: int = 4
    """Clips a micro-batch."""
    prefetch: int = 2
    """Micro-batches made ahead in a thread; 0 makes them when they are wanted."""

    def __post_init__(self) -> None:
        need(self.source == "toy" or bool(self.path), "data.path", self.path, f"the {self.source} data's path")
        need(all(s >= 16 and s % 16 == 0 for s in self.size), "data.size", self.size, "multiples of 16")
        need(self.frames >= 1, "data.frames", self.frames, "1 or more")
        need(self.clips >= 1, "data.clips", self.clips, "1 or more")
        need(self.prefetch >= 0, "data.prefetch", self.prefetch, "0 or more")


@dataclass(frozen=True, kw_only=True)
class OptimizerOptions:
    """AdamW."""

    lr: float = 3e-4
    betas: tuple[float, float] = (0.9, 0.99)
    eps: float = 1e-8
    weight_decay: float = 0.01
    max_grad_norm: float = 1.0
    """Largest norm of the gradient."""
    gradient_accumulation_steps: int = 1
    """Micro-batches a step in all, over all processes together; a multiple of the number of processes."""
    ema_decay: float = 0.999
    """Decay of the moving average that is validated and exported; 0 = the trained weights themselves."""

    def __post_init__(self) -> None:
        need(self.lr > 0, "optimizer.lr", self.lr, "more than 0")
        need(all(0 <= b < 1 for b in self.betas), "optimizer.betas", self.betas, "two numbers in [0, 1)")
        need(self.max_grad_norm > 0, "optimizer.max_grad_norm", self.max_grad_norm, "more than 0")
        need(
            self.gradient_accumulation_steps >= 1,
            "optimizer.gradient_accumulation_steps",
            self.gradient_accumulation_steps,
            "1 or more",
        )
        need(0 <= self.ema_decay < 1, "optimizer.ema_decay", self.ema_decay, "0 to less than 1")


@dataclass(frozen=True, kw_only=True)
class ScheduleOptions:
    """The learning rate over the run."""

    shape: Literal["constant", "cosine", "trapezoid"] = "trapezoid"
    steps: int = 10_000
    """Optimizer steps in all."""
    warmup_steps: int = 100
    """Steps of linear warm-up."""
    decay_fraction: float = 0.3
    """Trapezoid: the share of the run in which the rate falls, at its end; 1 = linear decay."""
    final_lr_ratio: float = 0.0
    """The rate at the end, as a share of the highest."""
    by: Literal["auto", "steps", "time"] = "auto"
    """What the decay follows; auto: time where the run's minutes are limited, else steps."""

    def __post_init__(self) -> None:
        need(self.steps >= 1, "schedule.steps", self.steps, "1 or more")
        need(self.warmup_steps >= 0, "schedule.warmup_steps", self.warmup_steps, "0 or more")
        need(0 < self.decay_fraction <= 1, "schedule.decay_fraction", self.decay_fraction, "more than 0, at most 1")
        need(0 <= self.final_lr_ratio <= 1, "schedule.final_lr_ratio", self.final_lr_ratio, "0 to 1")


@dataclass(frozen=True, kw_only=True)
class RunOptions:
    """How the run computes, watches itself and keeps what it has."""

    seed: int = 0
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    """auto: bf16 on a GPU that has it, else fp32."""
    device: str = "auto"
    """auto or cpu."""
    compile: bool = False
    gradient_checkpointing: bool = False
    """Recompute activations in the backward pass: less memory, a third more time."""
    validate_every: int = 500
    sheet_every: int = 500
    checkpoint_every: int = 500
    log_every: int = 10
    keep: int = 2
    """Checkpoints kept beside the best."""
    monitor: str = "loss"
    """The validation figure that names the best checkpoint."""
    mode: Literal["min", "max"] = "min"
    max_bad_steps: int = 10
    """Steps in a row with a NaN or infinite gradient before the run stops."""

    def __post_init__(self) -> None:
        need(self.seed >= 0, "run.seed", self.seed, "0 or more")
        for name in ("validate_every", "sheet_every", "checkpoint_every", "log_every", "keep", "max_bad_steps"):
            need(getattr(self, name) >= 1, f"run.{name}", getattr(self, name), "1 or more")
        need(self.device in ("auto", "cpu"), "run.device", self.device, "auto or cpu")


@dataclass(frozen=True, kw_only=True)
class InitOptions:
    """What the network starts from."""

    weights: str = ""
    """A folder of exported weights; empty: random."""


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """All that a run is made of.

    Attributes:
        name: of the run.
        kind: which task trains (:func:`celpaint.train.engine.task.task_kinds`).
        task: the task's own settings; the task reads them with :func:`from_table`.
        network: the network's constructor arguments.
    """

    name: str
    kind: str
    task: Mapping[str, Any] = field(default_factory=dict)
    network: Mapping[str, Any] = field(default_factory=dict)
    data: DataOptions = field(default_factory=DataOptions)
    optimizer: OptimizerOptions = field(default_factory=OptimizerOptions)
    schedule: ScheduleOptions = field(default_factory=ScheduleOptions)
    run: RunOptions = field(default_factory=RunOptions)
    init: InitOptions = field(default_factory=InitOptions)

    def as_json(self) -> str:
        """The whole recipe, defaults written out; :meth:`from_json` reads it back."""
        return json.dumps(dataclasses.asdict(self), indent=2) + "\n"

    @classmethod
    def from_json(cls, text: str) -> Recipe:
        return from_table(cls, json.loads(text), "")


def packaged_recipes() -> tuple[str, ...]:
    """Names of the recipes that come with the package."""
    folder = resources.files("celpaint.train") / "recipes"
    return tuple(sorted(f.name.removesuffix(".toml") for f in folder.iterdir() if f.name.endswith(".toml")))


def load_recipe(path: Path, overrides: Sequence[str] = ()) -> Recipe:
    """Read a recipe.

    Args:
        path: a TOML file or the name of a packaged recipe.
        overrides: ``table.key=value``; the value is TOML, or a bare word for text.

    Raises:
        InputError: no such file, or no valid TOML.
        OptionError: an unknown table or key, naming the nearest; a value of the wrong kind.
    """
    packaged = resources.files("celpaint.train") / "recipes" / f"{path}.toml"
    try:
        text = path.read_text(encoding="utf-8") if path.is_file() else packaged.read_text(encoding="utf-8")
        raw = tomllib.loads(text)
    except OSError:
        names = ", ".join(packaged_recipes())
        raise InputError(f"no recipe '{path}'", wanted=f"a TOML file or one of: {names}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"'{path}' is not a TOML file ({error})", todo="Mend the line it names.") from None
    for override in overrides:
        key, equals, value = override.partition("=")
        need(bool(equals) and bool(key.strip()), "--set", override, "table.key=value")
        *tables, last = (part.strip() for part in key.split("."))
        at: Any = raw
        for table in tables:
            at = at.setdefault(table, {})
            need(isinstance(at, dict), "--set", override, f"a key; '{table}' is a value, not a table")
        at[last] = _value(value.strip())
    task = raw.get("task", {})
    need(isinstance(task, dict) and isinstance(task.get("kind"), str), "task.kind", task, "the kind of the task")
    rest = {k: v for k, v in task.items() if k != "kind"}
    return from_table(Recipe, {"name": path.stem, **raw, "kind": task["kind"], "task": rest}, "")


def _value(text: str) -> Any:
    try:
        return tomllib.loads(f"x = {text}")["x"]
    except tomllib.TOMLDecodeError:
        return text


def from_table(cls: type[D], table: Mapping[str, Any], where: str) -> D:
    """Make dataclass ``cls`` from a table of plain values, checking every key and kind.

    Args:
        where: dotted name of the table, for messages.

    Raises:
        OptionError: an unknown key, naming the nearest known one; a value of the wrong kind; a missing key.
    """
    assert dataclasses.is_dataclass(cls)
    hints = typing.get_type_hints(cls)
    fields = {f.name: f for f in dataclasses.fields(cls) if f.init}
    dot = f"{where}." if where else ""
    for key in table:
        if key not in fields:
            near = difflib.get_close_matches(key, fields, n=1, cutoff=0.4)
            wanted = f"'{dot}{near[0]}'" if near else f"one of {', '.join(dot + f for f in fields)}"
            raise OptionError(f"the recipe has no '{dot}{key}'", wanted=wanted)
    for name, f in fields.items():
        if f.default is dataclasses.MISSING and f.default_factory is dataclasses.MISSING:
            need(name in table, f"{dot}{name}", None, "a value")
    return cls(**{key: _convert(hints[key], value, f"{dot}{key}") for key, value in table.items()})


def _convert(kind: Any, value: Any, key: str) -> Any:
    origin = get_origin(kind)
    if dataclasses.is_dataclass(kind) and isinstance(kind, type):
        need(isinstance(value, Mapping), key, value, "a table")
        return from_table(kind, value, key)
    if origin is Literal:
        need(value in get_args(kind), key, value, " or ".join(map(str, get_args(kind))))
        return value
    if origin in (Union, types.UnionType):
        if value is None and type(None) in get_args(kind):
            return None
        (inner,) = (a for a in get_args(kind) if a is not type(None))
        return _convert(inner, value, key)
    if origin is tuple:
        need(isinstance(value, list | tuple), key, value, "a list")
        inner = get_args(kind)
        kinds = [inner[0]] * len(value) if inner[-1] is Ellipsis else list(inner)
        need(len(kinds) == len(value), key, value, f"a list of {len(kinds)}")
        return tuple(_convert(k, v, key) for k, v in zip(kinds, value, strict=True))
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if kind in (int, float, str, bool):
        need(
            type(value) is kind,
            key,
            value,
            {int: "a whole number", float: "a number", str: "text"}.get(kind, "true or false"),
        )
        return value
    if origin is not None:
        need(isinstance(value, origin), key, value, "a table")
    return value
