"""A training task: networks, their optimizers, data, losses and validation."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar

import torch
from torch import nn

from celpaint.errors import OptionError
from celpaint.methods.registry import method_specs
from celpaint.weights.kinds import load_object

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    import numpy.typing as npt
    from torch import Tensor

    from celpaint.train.engine.engine import Engine
    from celpaint.train.engine.recipe import Recipe

__all__ = ["Part", "Task", "build_task", "task_kinds"]

Network = TypeVar("Network", bound=nn.Module)
Batch = TypeVar("Batch")


def task_kinds() -> dict[str, str]:
    """Every kind of training that a method lists in its spec, with its class as ``module:Class``."""
    return {kind: where for spec in method_specs().values() for kind, where in spec.tasks.items()}


class Task(ABC, Generic[Network, Batch]):
    """One kind of training.

    A task with one loss implements :meth:`loss`. A task with several networks keeps them in one module, names their
    optimizers in :meth:`optimizers` and implements :meth:`step`; an adversarial one::

        def optimizers(self):
            return {"generator": ["generator"], "discriminator": ["discriminator"]}

        def step(self, batches, engine):
            engine.update("discriminator", self.discriminator_loss, batches)
            engine.update("generator", self.generator_loss, batches)

    The trainer seeds torch's random numbers from the step before every loss, and gives every stream of batches its own
    seed. A task that draws its random numbers from those two alone trains the same however often it is stopped and on
    however many devices.

    Attributes:
        network: everything that is trained, on its device. Parameters with ``requires_grad`` False stay as they are
            and are not stored in checkpoints. Networks that only teach belong in other attributes.
    """

    network: Network

    every_parameter_used: ClassVar[bool] = True
    """Whether every loss reaches every parameter it trains; where not, processes must look for those left out."""

    @classmethod
    @abstractmethod
    def build(cls, recipe: Recipe, device: torch.device) -> Task[Network, Batch]:
        """The task a recipe describes, its network on ``device``, filled from ``recipe.init.weights`` if that is set.

        ``recipe.task`` and ``recipe.network`` are plain tables: check them with
        :func:`celpaint.train.engine.tables.from_table`.
        """

    def optimizers(self) -> Mapping[str, Sequence[str]]:
        """Optimizer name -> names of the submodules or parameters of ``network`` it trains; '' is the whole network.

        No parameter may belong to two. The first optimizer's loss is the one shown while training.
        """
        return {"main": [""]}

    def begin_stage(self, stage: str) -> None:
        """Called before the first step of a stage, and when a run resumes in it."""

    @abstractmethod
    def batches(self, seed: int, start: int) -> Iterator[Batch]:
        """The endless stream of micro-batches number ``seed``, from its batch ``start`` (0-based) on.

        Batch k must not depend on where the stream was started. Batches may lie on the CPU, then the trainer moves
        them to the device; or be made on the device.
        """

    def step(self, batches: Sequence[Batch], engine: Engine) -> None:
        """One training step on some micro-batches; calls :meth:`Engine.update` once for every optimizer step."""
        engine.update("main", self.loss, batches)

    def loss(self, batch: Batch) -> tuple[Tensor, Mapping[str, Any]]:
        """The loss (a scalar) and figures to log (numbers or scalar tensors)."""
        raise NotImplementedError(f"{type(self).__name__} has neither a loss nor a step of its own")

    @abstractmethod
    def validate(self, network: Network) -> dict[str, float]:
        """Figures of ``network`` (a copy with averaged weights, in evaluation mode) on data never trained on.

        One of them is the recipe's ``run.monitor``. The same network gets the same figures.
        """

    @abstractmethod
    def export_config(self) -> Mapping[str, Any]:
        """The constructor's arguments of the exported network, as JSON values."""

    def parts(self) -> Mapping[str, Part]:
        """The networks an export is made of, by folder; '' is the export's own folder."""
        return {"": Part("", self.export_config())}

    def plain(self, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The network's tensors as exported, where training gives them other names or forms."""
        return dict(tensors)

    def complete_export(self, folder: Path) -> None:
        """Add to an export what the trained network alone does not make usable."""

    def sample_sheet(self, network: Network) -> npt.NDArray[np.uint8] | None:
        """A picture of what ``network`` makes of validation clips, ``H W 3``; None where there is nothing to see."""
        return None

    def frames(self, batch: Batch) -> int:
        """How many frames ``batch`` trains on, for the frames per second."""
        return 1


@dataclass(frozen=True)
class Part:
    """One network of an export.

    Attributes:
        prefix: its name inside ``Task.network``, '' for all of it.
        config: its constructor's arguments, as JSON values.
        name: stem of the weight files.
        convert: ``module:function`` that makes the exported network's tensors of the trained one's; empty: the same.
    """

    prefix: str
    config: Mapping[str, Any]
    name: str = "model"
    convert: str = ""

    def tensors(self, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The part's tensors of the whole network's state, as they are exported."""
        dot = f"{self.prefix}." if self.prefix else ""
        tensors = {key.removeprefix(dot): value for key, value in state.items() if key.startswith(dot)}
        converted: dict[str, Tensor] = load_object(self.convert)(tensors) if self.convert else tensors
        return converted


def build_task(recipe: Recipe, device: torch.device) -> Task[Any, Any]:
    """The task of ``recipe.kind``, its first weights drawn from the recipe's seed.

    Raises:
        OptionError: no such kind.
    """
    kinds = task_kinds()
    where = kinds.get(recipe.kind, recipe.kind)
    try:
        kind = load_object(where) if ":" in where else None
    except (ModuleNotFoundError, AttributeError) as error:
        if recipe.kind in kinds:
            raise
        raise OptionError(f"task.kind is '{recipe.kind}', which can't be imported ({error})") from None
    if not (isinstance(kind, type) and issubclass(kind, Task)):
        raise OptionError(f"task.kind is '{recipe.kind}'", wanted=f"{' or '.join(kinds)}, or module:Class")
    torch.manual_seed(recipe.run.seed)
    task: Task[Any, Any] = kind.build(recipe, device)
    return task
