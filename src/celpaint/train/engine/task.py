"""What the trainer trains: a network, its data, its loss and how it is judged."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast

from celpaint.errors import OptionError
from celpaint.methods.registry import method_specs
from celpaint.weights.kinds import load_object

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    import numpy.typing as npt
    import torch
    from torch import Tensor, nn

    from celpaint.train.engine.recipe import Recipe

__all__ = ["Part", "Task", "build_task", "register_task", "task_kinds"]

Batch = TypeVar("Batch")


_EXTRA: dict[str, str] = {}


def register_task(kind: str, where: str) -> None:
    """Make a kind of training known to this process.

    Args:
        kind: what a recipe's ``task.kind`` calls it.
        where: ``module:name`` of its class.
    """
    _EXTRA[kind] = where


def task_kinds() -> dict[str, str]:
    """Every kind of training with its class: those that methods list in their specs, and those registered."""
    return {kind: where for spec in method_specs().values() for kind, where in spec.tasks.items()} | _EXTRA


class Task(ABC, Generic[Batch]):
    """One kind of training.

    The trainer sets the global random numbers from the step before every :meth:`loss`, and gives every stream of
    batches its own seed, so a task that draws its random numbers from those two alone trains the same however often
    it is stopped and on however many devices.

    Attributes:
        network: what is trained, on its device; parameters that stay as they are have ``requires_grad`` False.
    """

    network: nn.Module

    @classmethod
    @abstractmethod
    def build(cls, recipe: Recipe, device: torch.device) -> Task[Any]:
        """The task a recipe describes, its network on ``device``, filled from ``recipe.init.weights`` if that is set.

        ``recipe.task`` and ``recipe.network`` are plain tables: check them with
        :func:`celpaint.train.engine.recipe.from_table`.
        """

    @abstractmethod
    def batches(self, seed: int, start: int) -> Iterator[Batch]:
        """The endless stream of micro-batches number ``seed``, from its batch ``start`` (0-based) on.

        Batch k must not depend on where the stream was started.
        """

    @abstractmethod
    def loss(self, batch: Batch) -> tuple[Tensor, dict[str, Any]]:
        """The loss (a scalar) and figures worth logging (numbers or scalar tensors)."""

    @abstractmethod
    def validate(self, network: nn.Module) -> dict[str, float]:
        """Figures of ``network`` (a copy with averaged weights, in evaluation mode) on data never trained on.

        One of them is the recipe's ``run.monitor``. Same network, same figures.
        """

    @abstractmethod
    def export_config(self) -> Mapping[str, Any]:
        """The constructor's arguments of the network, as JSON values."""

    def parts(self) -> Mapping[str, Part]:
        """The networks an export is made of, by folder; '' is the export's own folder."""
        return {"": Part("", self.export_config())}

    def plain(self, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The network's tensors as exported, where training gives them other names or forms."""
        return dict(tensors)

    def complete_export(self, folder: Path) -> None:
        """Add to an export what the trained network alone does not make usable."""

    def sample_sheet(self, network: nn.Module) -> npt.NDArray[np.uint8] | None:
        """A picture of what ``network`` makes of validation clips, ``H W 3``; None where there is nothing to see."""
        return None

    def frames(self, batch: Batch) -> int:
        """How many frames ``batch`` trains on, for the frames a second."""
        return 1


class Part:
    """One network of an export.

    Args:
        prefix: its name inside ``Task.network``, '' for all of it.
        config: its constructor's arguments.
        name: stem of the weight files.
    """

    def __init__(self, prefix: str, config: Mapping[str, Any], name: str = "model") -> None:
        self.prefix, self.config, self.name = prefix, config, name

    def as_dict(self) -> dict[str, Any]:
        """The arguments, as JSON values."""
        return {"prefix": self.prefix, "config": dict(self.config), "name": self.name}

    def tensors(self, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The part's tensors of the whole network's state, under their own names."""
        dot = f"{self.prefix}." if self.prefix else ""
        return {key.removeprefix(dot): value for key, value in state.items() if key.startswith(dot)}


def build_task(recipe: Recipe, device: torch.device) -> Task[Any]:
    """The task of ``recipe.kind``, its first weights drawn from the recipe's seed.

    Raises:
        OptionError: no such kind.
    """
    kinds = task_kinds()
    if recipe.kind not in kinds:
        raise OptionError(f"task.kind is '{recipe.kind}'", wanted=" or ".join(kinds))
    import torch

    torch.manual_seed(recipe.run.seed)
    return cast("type[Task[Any]]", load_object(kinds[recipe.kind])).build(recipe, device)
