"""What a task trains with: networks on one device or many (Accelerate: DDP, FSDP), optimizers by name, averages.

On a GPU nothing here waits for the device: losses, gradient norms and the count of bad steps stay on it until
:meth:`Engine.flush` reads them.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import Any, cast

import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from accelerate.utils import DistributedDataParallelKwargs
from torch import Tensor, nn
from torch.distributed.checkpoint.state_dict import (
    StateDictOptions,
    get_model_state_dict,
    get_optimizer_state_dict,
    set_model_state_dict,
    set_optimizer_state_dict,
)
from torch.distributed.tensor import DTensor

from celpaint.errors import OptionError, TrainingError
from celpaint.train.engine.ema import EMA
from celpaint.train.engine.recipe import Recipe, StageOptions
from celpaint.train.engine.seeding import derive_seed
from celpaint.train.engine.task import Task

__all__ = ["Engine", "StepFigures", "make_accelerator"]

_SAVE = StateDictOptions(full_state_dict=True, cpu_offload=True, ignore_frozen_params=True)
_LOAD = StateDictOptions(full_state_dict=True, strict=False)

Loss = Callable[[Any], tuple[Tensor, Mapping[str, Any]]]


def make_accelerator(recipe: Recipe) -> Accelerator:
    """The devices and number format of a run; several processes where a launcher has started them."""
    cpu = recipe.run.device == "cpu" or not torch.cuda.is_available()
    precision = recipe.run.precision
    if precision == "auto":
        precision = "bf16" if not cpu and torch.cuda.is_bf16_supported() else "fp32"
    if not cpu:
        torch.set_float32_matmul_precision("high")
        torch.backends.cudnn.benchmark = True
    AcceleratorState._reset_state()  # an earlier run of this process may have had another precision
    return Accelerator(cpu=cpu, mixed_precision="bf16" if precision == "bf16" else "no")


class _Root(nn.Module):
    """Any loss of the task as the forward pass of one module, which is what DDP and FSDP wrap."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, loss: Loss, batch: Any) -> tuple[Tensor, dict[str, Any]]:
        value, figures = loss(batch)
        return value, {k: v.detach() if isinstance(v, Tensor) else v for k, v in figures.items()}


@dataclass
class _Trained:
    """One optimizer and what it trains."""

    optimizer: torch.optim.Optimizer
    modules: list[nn.Module]
    parameters: dict[str, nn.Parameter]
    ema: EMA
    lr: float
    max_grad_norm: float


@dataclass(frozen=True)
class StepFigures:
    """Figures of one step, read from the device.

    Attributes:
        loss: of the first optimizer at work, averaged over micro-batches and processes.
        values: this process's means of the losses and figures, and the gradient norms.
    """

    step: int
    loss: float
    values: dict[str, float]


@dataclass
class _Pending:
    """One step on its way: everything that was measured, still on the device."""

    step: int
    loss: Tensor | None = None
    values: dict[str, Any] = field(default_factory=dict)
    finite: Tensor | None = None


class Engine:
    """Trains the networks of a task. Tasks call :meth:`update`; the training loop calls the rest.

    Args:
        task: its network on ``accelerator.device``.

    Attributes:
        step: steps done in total, so the number of the current step.
    """

    def __init__(self, task: Task[Any, Any], recipe: Recipe, accelerator: Accelerator) -> None:
        self.recipe, self.accelerator, self.device = recipe, accelerator, accelerator.device
        self.streams = _share(recipe.optimizer.gradient_accumulation_steps, accelerator)
        self.step = 0
        self._bad = torch.zeros((), dtype=torch.long, device=self.device)
        self._pending: list[_Pending] = []
        network = task.network
        if recipe.run.channels_last:
            network.to(memory_format=torch.channels_last)
        groups = _groups(network, task.optimizers())
        trained = {id(p) for group in groups.values() for p in group}
        for parameter in network.parameters():
            parameter.requires_grad_(id(parameter) in trained)
        frozen = {id(p): p for p in network.parameters() if id(p) not in trained}
        self.complete = not frozen
        self._shadow = copy.deepcopy(network, frozen).requires_grad_(False).eval()
        if recipe.run.compile:
            for prefixes in task.optimizers().values():
                for module in _modules(network, prefixes):
                    module.compile()
        several = len(groups) > 1 or len(recipe.all_stages()) > 1 or not task.every_parameter_used
        accelerator.ddp_handler = DistributedDataParallelKwargs(find_unused_parameters=several)
        optimizers = [_adamw(group, recipe, name) for name, group in groups.items()]
        self._model, *prepared = accelerator.prepare(_Root(network), *optimizers)
        self._trained = {
            name: _Trained(
                optimizer,
                _modules(self._live, prefixes),
                parameters,
                EMA(parameters, recipe.optimizer_named(name).ema_decay),
                recipe.optimizer_named(name).lr,
                recipe.optimizer_named(name).max_grad_norm,
            )
            for (name, prefixes), optimizer in zip(task.optimizers().items(), prepared, strict=True)
            for parameters in [_groups_named(self._live, prefixes)]
        }
        self._active: tuple[str, ...] = tuple(groups)

    @property
    def _live(self) -> nn.Module:
        """The network that is trained, its parameters possibly sharded."""
        return cast("nn.Module", self.accelerator.unwrap_model(self._model).network)

    # -- a step ---------------------------------------------------------------------------------------------------

    def update(self, optimizers: str | Sequence[str], loss: Loss, batches: Sequence[Any]) -> None:
        """One optimizer step: the gradient of the mean loss over the micro-batches, clipped, applied, averaged.

        Parameters of other optimizers are frozen meanwhile, so the loss may use their networks. A step whose gradient
        is NaN or infinite changes no weight.

        Args:
            optimizers: the optimizer, or several that step together on the gradients of one loss; those that the
                stage does not train are left out.
            loss: of one micro-batch, a scalar, with figures to log.
            batches: this step's micro-batches.
        """
        names = [name for name in ([optimizers] if isinstance(optimizers, str) else optimizers) if name in self._active]
        if not names:
            return
        self._enable(names)
        for name in names:
            self._trained[name].optimizer.zero_grad(set_to_none=True)
        pending = self._pending[-1]
        first = pending.loss is None
        key = "" if len(self._trained) == 1 else f"{'_'.join(names)}_"
        numbers = (self.recipe.run.seed, self.step, list(self._trained).index(names[0]))
        count, mean = len(self.streams), torch.zeros((), device=self.device)
        for i, (stream, batch) in enumerate(zip(self.streams, batches, strict=True)):
            torch.manual_seed(derive_seed(*numbers, stream))
            with self.accelerator.no_sync(self._model) if i + 1 < count else nullcontext():
                value, figures = self._model(loss, batch)
                self.accelerator.backward(value / count)
            mean += value.detach() / count
            for name, figure in figures.items():
                pending.values[name] = pending.values.get(name, 0.0) + figure / count
        pending.values[f"{key}loss"] = mean
        if first:
            pending.loss = mean
        self._apply(names, key, pending)

    def _apply(self, names: Sequence[str], key: str, pending: _Pending) -> None:
        """Clip the gradients and let the optimizers step, unless a gradient is not finite."""
        norms = {name: self._clip(self._trained[name]) for name in names}
        finite = torch.stack(list(norms.values())).isfinite().all()
        pending.finite = finite if pending.finite is None else pending.finite & finite
        for name, norm in norms.items():
            trained = self._trained[name]
            pending.values[f"{key if len(names) == 1 else name + '_'}gradient_norm"] = norm
            for inner in self._inner([name]):
                inner.found_inf = (~finite).float()  # type: ignore[attr-defined]  # fused AdamW reads it on the device
            trained.optimizer.step()
            trained.ema.update()

    def _clip(self, trained: _Trained) -> Tensor:
        """The norm of the gradients, which are scaled down to the largest allowed."""
        norm = self.accelerator.clip_grad_norm_(list(trained.parameters.values()), trained.max_grad_norm)
        return cast("Tensor", norm.full_tensor() if isinstance(norm, DTensor) else norm)

    def begin_step(self, progress_rate: float) -> None:
        """Start step ``self.step`` with learning rates at ``progress_rate`` of their highest."""
        self._model.train()
        for name, trained in self._trained.items():
            for module in trained.modules if name not in self._active else ():
                module.eval()
            for group in trained.optimizer.param_groups:
                group["lr"] = trained.lr * progress_rate
        self._pending.append(_Pending(self.step))

    def end_step(self) -> None:
        """Count the step, and whether its gradients were finite."""
        finite = self._pending[-1].finite
        if finite is None:
            raise TrainingError(f"step {self.step} updated no network that this stage trains")
        self._bad = torch.where(finite, 0, self._bad + 1)
        self.step += 1

    def flush(self) -> list[StepFigures]:
        """Read what the steps since the last call measured.

        Raises:
            TrainingError: the gradients of ``run.max_bad_steps`` steps in a row were not finite.
        """
        steps, self._pending = self._pending, []
        if not steps:
            return []
        losses = torch.stack([cast("Tensor", pending.loss) for pending in steps])
        losses = cast("Tensor", self.accelerator.reduce(losses, reduction="mean"))
        read = [
            StepFigures(pending.step, loss, {k: float(v) for k, v in pending.values.items()})
            for pending, loss in zip(steps, losses.tolist(), strict=True)
        ]
        bad = int(self._bad)
        if bad >= self.recipe.run.max_bad_steps:
            raise TrainingError(
                f"the gradient was NaN or infinite in all of the steps {self.step - bad} to {self.step - 1}",
                todo="Resume from the last checkpoint with a lower optimizer.lr, or look at the data.",
            )
        return read

    def learning_rates(self) -> dict[str, float]:
        """The current learning rate of every optimizer at work, by the name of its figure."""
        return {
            "learning_rate" if len(self._trained) == 1 else f"{name}_learning_rate": float(
                self._trained[name].optimizer.param_groups[0]["lr"]
            )
            for name in self._active
        }

    # -- stages ---------------------------------------------------------------------------------------------------

    def begin_stage(self, stage: StageOptions, *, entered: bool) -> None:
        """Train only the stage's optimizers; ``entered``: what is frozen from now on takes its averaged weights."""
        unknown = sorted(set(stage.train) - self._trained.keys())
        if unknown:
            raise OptionError(f"a stage trains '{unknown[0]}'", wanted=f"some of {', '.join(self._trained)}")
        active = stage.train or tuple(self._trained)
        if entered:
            for name, trained in self._trained.items():
                if name not in active and trained.ema.updates:
                    trained.ema.copy_to_parameters()
        self._active = tuple(active)
        self._enable(self._active)

    def _enable(self, names: Iterable[str]) -> None:
        """Let gradients reach the parameters of these optimizers alone."""
        wanted = set(names)
        for name, trained in self._trained.items():
            for parameter in trained.parameters.values():
                parameter.requires_grad_(name in wanted)

    # -- state ----------------------------------------------------------------------------------------------------

    def averaged(self) -> nn.Module:
        """The copy of the network with averaged weights, in evaluation mode."""
        shadow: nn.Module = self._shadow
        shadow.load_state_dict(self.average(), strict=False)
        return shadow

    def average(self) -> dict[str, Tensor]:
        """Averaged parameters, and the buffers as they are, whole, on the CPU."""
        averages: dict[str, Tensor] = {}
        for trained in self._trained.values():
            averages |= trained.ema.state_dict()
        return {**self._networks(), **averages}

    def _networks(self) -> dict[str, Tensor]:
        """Trained parameters and buffers, whole, on the CPU."""
        self._enable(self._trained)  # frozen ones would be left out
        state = cast("dict[str, Tensor]", get_model_state_dict(self._model, options=_SAVE))
        self._enable(self._active)
        return {k.removeprefix("network."): v for k, v in state.items()}

    @property
    def ema_updates(self) -> dict[str, int]:
        """Updates of the moving averages, by optimizer."""
        return {name: trained.ema.updates for name, trained in self._trained.items()}

    def state_dict(self) -> dict[str, dict[str, Tensor]]:
        """Everything a run resumes from: ``networks``, ``average``, ``optimizers``; whole, on the CPU.

        Optimizers that have not stepped yet are left out: torch would make them step to have a state.
        """
        groups = {"networks": self._networks(), "average": self.average()}
        stepped = [name for name, updates in self.ema_updates.items() if updates]
        if stepped:
            self._enable(self._trained)
            state = get_optimizer_state_dict(self._model, self._inner(stepped), options=_SAVE)
            self._enable(self._active)
            by_parameter = cast("dict[str, dict[str, Tensor]]", state.get("state", {}))  # the first process has it
            groups["optimizers"] = {
                f"{p}/{key}": value for p, kept in by_parameter.items() for key, value in kept.items()
            }
        return groups

    def load_state_dict(self, groups: Mapping[str, Mapping[str, Tensor]], ema_updates: Mapping[str, int]) -> None:
        """Take over what :meth:`state_dict` gave.

        Raises:
            OptionError: it is of another network or of other optimizers.
        """
        own = {k: p.shape for trained in self._trained.values() for k, p in trained.parameters.items()}
        networks = groups["networks"]
        fits = all(k in networks and networks[k].shape == shape for k, shape in own.items())
        if not fits or ema_updates.keys() != self._trained.keys():
            raise OptionError(
                "the checkpoint is of another network",
                todo="Give the recipe's [network] and optimizers as they were, or another --run-dir.",
            )
        self._enable(self._trained)
        set_model_state_dict(self._model, {f"network.{k}": v for k, v in networks.items()}, options=_LOAD)
        stepped = [name for name, updates in ema_updates.items() if updates]
        if stepped:
            state: dict[str, dict[str, Tensor]] = {}
            for key, tensor in groups["optimizers"].items():
                parameter, _, name = key.rpartition("/")
                state.setdefault(parameter, {})[name] = tensor
            settings = [
                {**group, "params": [f"network.{parameter}" for parameter in self._trained[name].parameters]}
                for name in stepped
                for group in self._trained[name].optimizer.param_groups
            ]
            whole: dict[str, Any] = {"state": state, "param_groups": settings}
            set_optimizer_state_dict(self._model, self._inner(stepped), whole, options=_LOAD)
        for name, trained in self._trained.items():
            trained.ema.load_state_dict(groups["average"], ema_updates[name])
        self._enable(self._active)

    def _inner(self, names: Sequence[str]) -> list[torch.optim.Optimizer]:
        """The optimizers inside Accelerate's wrappers."""
        wrapped = [self._trained[name].optimizer for name in names]
        return [getattr(optimizer, "optimizer", optimizer) for optimizer in wrapped]


def _groups_named(network: nn.Module, prefixes: Sequence[str]) -> dict[str, nn.Parameter]:
    """The trainable parameters of some submodules, or single ones, by their names in ``network``."""
    dots, single = tuple(f"{prefix}." if prefix else "" for prefix in prefixes), set(prefixes)
    named = network.named_parameters()
    return {name: p for name, p in named if p.requires_grad and (name in single or name.startswith(dots))}


def _modules(network: nn.Module, prefixes: Sequence[str]) -> list[nn.Module]:
    """The submodules of these names; names of single parameters are left out."""
    return [module for name, module in network.named_modules() if name in prefixes]


def _groups(network: nn.Module, optimizers: Mapping[str, Sequence[str]]) -> dict[str, list[nn.Parameter]]:
    """The parameters of every optimizer.

    Raises:
        OptionError: an optimizer has none, so that there is nothing to train.
    """
    groups = {name: list(_groups_named(network, prefixes).values()) for name, prefixes in optimizers.items()}
    for name, group in groups.items():
        if not group:
            raise OptionError(f"optimizer '{name}' has no parameter to train", wanted="at least one")
    if len({id(p) for group in groups.values() for p in group}) < sum(map(len, groups.values())):
        raise ValueError("a parameter belongs to two optimizers")
    return groups


def _adamw(parameters: list[nn.Parameter], recipe: Recipe, name: str) -> torch.optim.AdamW:
    o = recipe.optimizer_named(name)
    return torch.optim.AdamW(parameters, o.lr, o.betas, o.eps, o.weight_decay, fused=True)


def _share(total: int, accelerator: Accelerator) -> range:
    """This process's streams of ``total``."""
    world = accelerator.num_processes
    if total % world:
        fitting = world * math.ceil(total / world)
        raise OptionError(
            f"optimizer.gradient_accumulation_steps is {total} with {world} processes",
            wanted="a multiple of the number of processes",
            todo=f"Add --set optimizer.gradient_accumulation_steps={fitting}",
        )
    return range(accelerator.process_index, total, world)
