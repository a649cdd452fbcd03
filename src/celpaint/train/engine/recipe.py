"""Recipes: everything a training run is made of, read from a TOML file."""

from __future__ import annotations

import dataclasses
import json
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal

from msgspec import Meta

from celpaint.errors import InputError, OptionError
from celpaint.train.engine.tables import Count, Natural, NonNegative, Positive, Probability, Side, from_table, need

__all__ = [
    "DataOptions",
    "InitOptions",
    "OptimizerOptions",
    "Recipe",
    "RunOptions",
    "ScheduleOptions",
    "StageOptions",
    "from_table",
    "load_recipe",
    "need",
    "packaged_recipes",
]

Decay = Annotated[float, Meta(ge=0, lt=1)]


@dataclass(frozen=True, kw_only=True)
class DataOptions:
    """Where the films come from."""

    source: Literal["toy", "synthetic", "film", "prepared"] = "toy"
    """``toy``: drawn on the spot, for trying things; ``synthetic``: animated from ``path``, an art file of
    ``celpaint data art``; ``film``: film-like clips of the same drawings, composed on the training device;
    ``prepared``: from ``path``, a folder of ``celpaint data prepare``."""
    path: str = ""
    drawings: Natural = 0
    """Of ``film``: most drawings kept on the device; 0 = all."""
    size: tuple[Side, Side] = (192, 320)
    """Height and width of the training frames, multiples of 16."""
    frames: Count = 15
    """Frames per clip."""
    clips: Count = 4
    """Clips per micro-batch."""
    prefetch: Natural = 2
    """Micro-batches made ahead in a thread; 0 makes each when it is needed, without a thread."""

    def __post_init__(self) -> None:
        need(self.source == "toy" or bool(self.path), "data.path", self.path, f"the {self.source} data's path")


@dataclass(frozen=True, kw_only=True)
class OptimizerOptions:
    """AdamW."""

    lr: Positive = 3e-4
    betas: tuple[Decay, Decay] = (0.9, 0.99)
    eps: Positive = 1e-8
    weight_decay: NonNegative = 0.01
    max_grad_norm: Positive = 1.0
    """Gradients with a larger norm are scaled down to it."""
    gradient_accumulation_steps: Count = 1
    """Micro-batches per step, over all processes together; a multiple of the number of processes."""
    ema_decay: Decay = 0.999
    """Decay of the moving average that is validated and exported; 0 = the trained weights themselves."""


@dataclass(frozen=True, kw_only=True)
class ScheduleOptions:
    """How long a run or stage lasts, and its learning rate."""

    shape: Literal["constant", "cosine", "trapezoid"] = "trapezoid"
    steps: Count = 10_000
    """Optimizer steps in total."""
    warmup_steps: Natural = 100
    """Steps of linear warm-up."""
    decay_fraction: Annotated[float, Meta(gt=0, le=1)] = 0.3
    """Trapezoid: the last part of the run, in which the learning rate falls; 1 = linear decay."""
    final_lr_ratio: Probability = 0.0
    """The learning rate at the end, relative to the highest."""
    by: Literal["auto", "steps", "time"] = "auto"
    """What the decay follows; auto: the clock where the run has a time limit, else the steps."""


@dataclass(frozen=True, kw_only=True)
class StageOptions:
    """One stage of a run; ``[stages.NAME]`` tables run in their order in the recipe."""

    train: tuple[str, ...] = ()
    """Names of the optimizers at work; the parameters of all others are frozen. Empty: all."""
    time_share: Positive = 1.0
    """This stage's part of the run's minutes, relative to the other stages'."""
    schedule: ScheduleOptions = field(default_factory=ScheduleOptions)


@dataclass(frozen=True, kw_only=True)
class RunOptions:
    """How the run computes, logs, validates and keeps checkpoints."""

    seed: Natural = 0
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    """auto: bf16 autocast on a GPU that supports it, else fp32."""
    device: Literal["auto", "cpu"] = "auto"
    compile: bool = False
    """``torch.compile`` the trained networks."""
    channels_last: bool = False
    """Keep convolution weights in channels-last memory format."""
    gradient_checkpointing: bool = False
    """Recompute activations in the backward pass: less memory, a third more time."""
    validate_every: Count = 500
    """Steps between validations."""
    sheet_every: Count = 500
    """Steps between sample sheets."""
    checkpoint_every: Natural = 500
    """Steps between checkpoints; 0 = none by steps."""
    checkpoint_minutes: NonNegative = 0.0
    """Minutes between checkpoints; 0 = none by time."""
    log_every: Count = 10
    """Steps between logged figures. On a GPU the loss is read, and a NaN noticed, only this often."""
    keep: Count = 2
    """Checkpoints kept beside the best."""
    monitor: str = "loss"
    """The validation figure that selects the best checkpoint."""
    mode: Literal["min", "max"] = "min"
    """Whether the best value of ``monitor`` is the smallest or the largest."""
    max_bad_steps: Count = 10
    """Steps in a row with a NaN or infinite gradient before the run stops."""


@dataclass(frozen=True, kw_only=True)
class InitOptions:
    """What the network starts from."""

    weights: str = ""
    """A folder of exported weights; empty: random."""


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """Everything a run is made of.

    Attributes:
        name: of the run.
        kind: which task trains: a kind that a method's spec lists, or ``module:Class``.
        task: the task's own settings, which the task reads with :func:`from_table`.
        network: the network's constructor arguments.
        optimizers: settings that differ for single optimizers, by their name.
        stages: by name, in order; empty: one stage that trains everything by ``schedule``.
    """

    name: str
    kind: str
    task: Mapping[str, Any] = field(default_factory=dict)
    network: Mapping[str, Any] = field(default_factory=dict)
    data: DataOptions = field(default_factory=DataOptions)
    optimizer: OptimizerOptions = field(default_factory=OptimizerOptions)
    optimizers: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    schedule: ScheduleOptions = field(default_factory=ScheduleOptions)
    stages: Mapping[str, StageOptions] = field(default_factory=dict)
    run: RunOptions = field(default_factory=RunOptions)
    init: InitOptions = field(default_factory=InitOptions)

    def __post_init__(self) -> None:
        for name, table in self.optimizers.items():
            shared = "gradient_accumulation_steps"
            need(shared not in table, f"optimizers.{name}.{shared}", table.get(shared), f"optimizer.{shared} instead")
            self.optimizer_named(name)

    def optimizer_named(self, name: str) -> OptimizerOptions:
        """``[optimizer]`` with the changes of ``[optimizers.NAME]``."""
        common = dataclasses.asdict(self.optimizer)
        return from_table(OptimizerOptions, {**common, **self.optimizers.get(name, {})}, f"optimizers.{name}")

    def all_stages(self) -> dict[str, StageOptions]:
        """The stages; a recipe without any has one, called ``main``."""
        return dict(self.stages) or {"main": StageOptions(schedule=self.schedule)}

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
        OptionError: an unknown table or key, naming the nearest; a value of the wrong type or out of range.
    """
    packaged = resources.files("celpaint.train") / "recipes" / f"{path}.toml"
    try:
        text = path.read_text(encoding="utf-8") if path.is_file() else packaged.read_text(encoding="utf-8")
        raw = tomllib.loads(text)
    except OSError:
        names = ", ".join(packaged_recipes())
        raise InputError(f"no recipe '{path}'", wanted=f"a TOML file or one of: {names}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"'{path}' is not a TOML file ({error})", todo="Correct the line it names.") from None
    for override in overrides:
        _apply(raw, override)
    task = raw.get("task", {})
    need(isinstance(task, dict) and isinstance(task.get("kind"), str), "task.kind", task, "the kind of the task")
    rest = {k: v for k, v in task.items() if k != "kind"}
    if "kind" in raw:
        raise OptionError("the recipe has no 'kind'", wanted="'task.kind'")
    return from_table(Recipe, {"name": path.stem, **raw, "kind": task["kind"], "task": rest}, "")


def _apply(raw: dict[str, Any], override: str) -> None:
    """Set one ``table.key=value`` in a recipe's raw tables."""
    key, equals, value = override.partition("=")
    need(bool(equals) and bool(key.strip()), "--set", override, "table.key=value")
    *tables, last = (part.strip() for part in key.split("."))
    at: Any = raw
    for table in tables:
        at = at.setdefault(table, {})
        need(isinstance(at, dict), "--set", override, f"a key; '{table}' is a value, not a table")
    at[last] = _value(value.strip())


def _value(text: str) -> Any:
    try:
        return tomllib.loads(f"x = {text}")["x"]
    except tomllib.TOMLDecodeError:
        return text
