"""The trainer: one loop for every task, on one CPU, one GPU or many (Accelerate: DDP, FSDP).

A step trains on ``optimizer.gradient_accumulation_steps`` micro-batches, each from a stream of its own; the processes
share the streams out among themselves. So the recipe alone says what is trained on: 1 process with 4 streams and 4
processes with one see the same batches, and a run that was stopped resumes with the very batch that would have come.
"""

from __future__ import annotations

import copy
import math
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any, cast

import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from torch import Tensor, nn
from torch.distributed.checkpoint.state_dict import (
    StateDictOptions,
    get_model_state_dict,
    get_optimizer_state_dict,
    set_model_state_dict,
    set_optimizer_state_dict,
)

from celpaint.errors import OptionError, OutOfMemory, TrainingError
from celpaint.train.engine import checkpoint
from celpaint.train.engine.ema import EMA
from celpaint.train.engine.prefetch import Feed
from celpaint.train.engine.recipe import Recipe
from celpaint.train.engine.schedule import rate
from celpaint.train.engine.task import Task
from celpaint.train.engine.time_budget import Clock
from celpaint.train.engine.training_logger import Watch

__all__ = ["Summary", "make_accelerator", "train"]

_SAVE = StateDictOptions(full_state_dict=True, cpu_offload=True, ignore_frozen_params=True)
_LOAD = StateDictOptions(full_state_dict=True, strict=False)


@dataclass(frozen=True)
class Summary:
    """What a run came to.

    Attributes:
        step: optimizer steps done, ``seconds`` and ``frames`` with them, earlier calls included.
        losses: the mean loss of every step of this call, in order.
        figures: the last validation; ``best``: the best value of the recipe's ``run.monitor``.
        finished: False where it was interrupted and has still steps or minutes to go.
    """

    step: int
    seconds: float
    frames: int
    losses: tuple[float, ...]
    figures: dict[str, float]
    best: float | None
    finished: bool


def make_accelerator(recipe: Recipe) -> Accelerator:
    """The devices and number format of a run; several processes where a launcher has started them."""
    cpu = recipe.run.device == "cpu" or not torch.cuda.is_available()
    precision = recipe.run.precision
    if precision == "auto":
        precision = "bf16" if not cpu and torch.cuda.is_bf16_supported() else "fp32"
    AcceleratorState._reset_state()  # an earlier run of this process may have had another precision
    return Accelerator(cpu=cpu, mixed_precision="bf16" if precision == "bf16" else "no")


def train(
    task: Task[Any],
    recipe: Recipe,
    run_dir: Path,
    *,
    accelerator: Accelerator | None = None,
    max_minutes: float | None = None,
) -> Summary:
    """Train ``task`` to the end of the recipe or of the minutes, going on from the newest checkpoint of ``run_dir``.

    SIGINT and SIGTERM end the run after the step it is in, with a checkpoint.

    Args:
        task: its network on ``accelerator.device``.
        run_dir: made where it is missing.
        max_minutes: see :class:`~celpaint.train.engine.time_budget.Clock`; the last validation and checkpoint fit in.

    Raises:
        OptionError: settings that don't fit each other or the run in ``run_dir``.
        TrainingError: gradients stay NaN.
        OutOfMemory: a step does not fit on the device.
        OutputError, DiskFull: a checkpoint can't be written.
    """
    try:
        return _Trainer(task, recipe, run_dir, accelerator or make_accelerator(recipe), max_minutes).run()
    except torch.OutOfMemoryError as error:
        raise OutOfMemory(
            f"the device has too little memory for {recipe.data.clips} clips at once",
            todo="Lower data.clips (and raise optimizer.gradient_accumulation_steps), or set "
            "run.gradient_checkpointing=true.",
        ) from error


class _Loss(nn.Module):
    """The task's loss as the forward pass of a module, which is what DDP and FSDP wrap."""

    def __init__(self, task: Task[Any]) -> None:
        super().__init__()
        self.network = task.network
        self._loss = task.loss

    def forward(self, batch: Any) -> tuple[Tensor, dict[str, Any]]:
        loss, figures = self._loss(batch)
        return loss, {k: v.detach() if isinstance(v, Tensor) else v for k, v in figures.items()}


class _Trainer:
    def __init__(
        self, task: Task[Any], recipe: Recipe, run_dir: Path, accelerator: Accelerator, max_minutes: float | None
    ) -> None:
        self.task, self.recipe, self.run_dir, self.accelerator = task, recipe, run_dir, accelerator
        self.streams = _share(recipe.optimizer.gradient_accumulation_steps, accelerator)
        network = task.network
        trained = [p for p in network.parameters() if p.requires_grad]
        frozen = {id(p): p for p in network.parameters() if not p.requires_grad}
        if not trained:
            raise OptionError("no parameter of the network is trained", wanted="at least one")
        self.complete = not frozen
        self.shadow = copy.deepcopy(network, frozen).requires_grad_(False).eval()
        o = recipe.optimizer
        fused = accelerator.device.type == "cuda"
        adamw = torch.optim.AdamW(trained, o.lr, o.betas, o.eps, o.weight_decay, fused=fused)
        if recipe.run.compile:
            network.compile()
        self.model, self.optimizer = accelerator.prepare(_Loss(task), adamw)
        self.ema = EMA(self.live, o.ema_decay)
        self.clock = Clock(recipe.schedule, max_minutes)
        self.watch = Watch(run_dir, silent=not accelerator.is_main_process)
        self.frames = 0
        self.best: float | None = None
        self.figures: dict[str, float] = {}
        self.bad_steps: list[int] = []
        self.losses: list[float] = []
        self.stop = False

    @property
    def live(self) -> nn.Module:
        """The network that is trained, its parameters possibly sharded."""
        return cast("nn.Module", self.accelerator.unwrap_model(self.model).network)

    def run(self) -> Summary:
        self.resume()
        every, clock = self.recipe.run, self.clock
        seed = self.recipe.run.seed
        streams = [self.task.batches((seed * 1_000_003 + 7919 * s) % 2**31, clock.step) for s in self.streams]
        feed: Feed[Any] = Feed(streams, self.recipe.data.prefetch)
        clock.start()
        try:
            with self.signals():
                while not clock.ended and not self.stop:
                    self.one_step(feed)
                    if clock.step % every.validate_every == 0:
                        clock.time(self.validate)
                    if clock.step % every.sheet_every == 0:
                        clock.time(self.draw_sheet)
                    if clock.step % every.checkpoint_every == 0:
                        clock.time(self.save)
                    self.tick()
                if self.losses:
                    if clock.ended and clock.step % every.validate_every:
                        self.validate()
                    if clock.ended and clock.step % every.sheet_every:
                        self.draw_sheet()
                    self.tick()
                    self.save()
        finally:
            feed.close()
            self.watch.close()
        return Summary(clock.step, clock.seconds, self.frames, tuple(self.losses), self.figures, self.best, clock.ended)

    def one_step(self, feed: Feed[Any]) -> None:
        """One optimizer step over all streams; a step with a gradient that is no number changes nothing."""
        clock, options = self.clock, self.recipe
        lr = options.optimizer.lr * rate(options.schedule, clock.progress, clock.step - clock.period_start)
        for group in self.optimizer.param_groups:
            group["lr"] = lr
        self.model.train()
        self.optimizer.zero_grad(set_to_none=True)
        count = len(self.streams)
        means: dict[str, Any] = {"loss": 0.0}
        frames = 0
        for i, stream in enumerate(self.streams):
            batch = next(feed)
            torch.manual_seed(hash((options.run.seed, clock.step, stream)) % 2**63)
            with self.accelerator.no_sync(self.model) if i + 1 < count else nullcontext():
                loss, figures = self.model(batch)
                self.accelerator.backward(loss / count)
            for key, value in {**figures, "loss": loss.detach()}.items():
                means[key] = means.get(key, 0.0) + value / count
            frames += self.task.frames(batch)
        norm = self.accelerator.clip_grad_norm_(self.model.parameters(), options.optimizer.max_grad_norm)
        norm = float(norm.full_tensor() if hasattr(norm, "full_tensor") else norm)
        if math.isfinite(norm):
            self.optimizer.step()
            self.ema.update()
            self.bad_steps.clear()
        else:
            self.watch.say(f"step {clock.step}: the gradient is {norm}, step skipped")
            self.bad_steps.append(clock.step)
            if len(self.bad_steps) >= options.run.max_bad_steps:
                raise TrainingError(
                    f"the gradient was NaN or infinite at all of the steps {self.bad_steps[0]} to {clock.step}",
                    todo="Go on from the last checkpoint with a lower optimizer.lr, or look at the data.",
                )
        # 1-D, so that one reduction serves the loss on every backend
        mean = self.accelerator.reduce(torch.as_tensor(means["loss"]).reshape(1), reduction="mean")
        self.losses.append(float(mean))
        clock.step += 1
        self.frames += frames * self.accelerator.num_processes
        self.tick()
        left = clock.time_left(self.watch.seconds_a_step)
        self.watch.step(clock.step, self.losses[-1], frames * self.accelerator.num_processes, clock.progress, left)
        if clock.step % options.run.log_every == 0:
            values = {k: float(v) for k, v in means.items()}
            told = {
                "loss": self.losses[-1],
                "gradient_norm": norm,
                "learning_rate": lr,
                "frames_a_second": self.watch.speed,
            }
            self.watch.figures("train", clock.step, {**values, **told})

    def tick(self) -> None:
        """Bring the clock up to date: the first process's time for all, and a signal to any ends all."""
        elapsed = self.clock.elapsed()
        if self.accelerator.num_processes > 1:
            told = torch.tensor([elapsed if self.accelerator.is_main_process else 0.0, float(self.stop)])
            told = self.accelerator.reduce(told.to(self.accelerator.device), reduction="sum")
            elapsed, self.stop = float(told[0]), bool(told[1] > 0)
        self.clock.tick(elapsed)

    def averaged(self) -> nn.Module:
        """The copy of the network with averaged weights."""
        self.shadow.load_state_dict(self.average(), strict=False)
        return self.shadow

    def average(self) -> dict[str, Tensor]:
        """Averaged parameters, and the buffers as they are."""
        return {**self.trained(), **self.ema.state_dict()}

    def trained(self) -> dict[str, Tensor]:
        """Trained parameters and buffers, whole, on the CPU."""
        state = cast("dict[str, Tensor]", get_model_state_dict(self.model, options=_SAVE))
        return {k.removeprefix("network."): v for k, v in state.items()}

    def validate(self) -> None:
        options = self.recipe.run
        with torch.no_grad(), self.accelerator.autocast():
            self.figures = {k: float(v) for k, v in self.task.validate(self.averaged()).items()}
        if options.monitor not in self.figures:
            raise OptionError(f"run.monitor is '{options.monitor}'", wanted=f"one of {', '.join(sorted(self.figures))}")
        value = self.figures[options.monitor]
        better = self.best is None or (value < self.best if options.mode == "min" else value > self.best)
        self.watch.figures("validation", self.clock.step, self.figures)
        told = "  ".join(f"{k} {v:.4g}" for k, v in self.figures.items())
        self.watch.say(f"step {self.clock.step}: {told}{'  (best)' if better else ''}")
        if better and math.isfinite(value):
            self.best = value
            average = self.average()
            if self.accelerator.is_main_process:
                checkpoint.save(self.run_dir / "best", self.state(), None, average, None)

    def draw_sheet(self) -> None:
        with torch.no_grad(), self.accelerator.autocast():
            picture = self.task.sample_sheet(self.averaged())
        if picture is not None:
            self.watch.sheet(self.clock.step, picture)

    def state(self) -> checkpoint.State:
        clock = self.clock
        return checkpoint.State(
            step=clock.step,
            seconds=clock.seconds,
            frames=self.frames,
            ema_updates=self.ema.updates,
            period_start=clock.period_start,
            period_seconds=clock.period_seconds,
            finished=clock.ended,
            best=self.best,
            figures=self.figures,
            parts={folder: part.as_dict() for folder, part in self.task.parts().items()},
            complete=self.complete,
        )

    def save(self) -> None:
        tensors = self.trained()
        optimizer = get_optimizer_state_dict(self.model, _plain(self.optimizer), options=_SAVE)
        average = self.ema.state_dict()
        if self.accelerator.is_main_process:
            folder = self.run_dir / "checkpoints" / f"step-{self.clock.step:08d}"
            checkpoint.save(folder, self.state(), tensors, {**tensors, **average}, optimizer)
            checkpoint.prune(self.run_dir, self.recipe.run.keep)
        self.accelerator.wait_for_everyone()

    def resume(self) -> None:
        """Go on from the newest checkpoint where there is one, and note the recipe."""
        folder = checkpoint.newest(self.run_dir)
        if folder is not None:
            self.load(folder)
        if self.accelerator.is_main_process:
            self.run_dir.mkdir(parents=True, exist_ok=True)
            (self.run_dir / "recipe.json").write_text(self.recipe.as_json(), encoding="utf-8")

    def load(self, folder: Path) -> None:
        state = checkpoint.load_state(folder)
        tensors, optimizer = checkpoint.load_training(folder)
        average = checkpoint.load_average(folder)
        own = {k: v.shape for k, v in self.live.named_parameters() if v.requires_grad}
        if any(k not in tensors or tensors[k].shape != shape for k, shape in own.items()):
            raise OptionError(
                f"the run in '{self.run_dir}' is of another network",
                todo="Give the recipe's [network] as it was, or another --run-dir.",
            )
        set_model_state_dict(self.model, {f"network.{k}": v for k, v in tensors.items()}, options=_LOAD)
        set_optimizer_state_dict(self.model, _plain(self.optimizer), optimizer, options=_LOAD)
        self.ema.load_state_dict(average, state.ema_updates)
        self.clock.resume(state.step, state.seconds, state.period_start, state.period_seconds, state.finished)
        self.frames, self.best, self.figures = state.frames, state.best, dict(state.figures)
        self.watch.say(f"going on from step {state.step} ({state.seconds / 60:.1f} minutes) in '{self.run_dir}'")

    @contextmanager
    def signals(self) -> Iterator[None]:
        """Let SIGINT and SIGTERM end the run after the step it is in."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return

        def ask(number: int, frame: FrameType | None) -> None:
            self.stop = True

        before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def _share(total: int, accelerator: Accelerator) -> range:
    """This process's streams of ``total``."""
    world = accelerator.num_processes
    if total % world:
        raise OptionError(
            f"optimizer.gradient_accumulation_steps is {total} with {world} processes",
            wanted="a multiple of the number of processes",
            todo=f"Add --set optimizer.gradient_accumulation_steps={world * -(-total // world)}",
        )
    return range(accelerator.process_index, total, world)


def _plain(optimizer: Any) -> torch.optim.Optimizer:
    """The optimizer inside Accelerate's wrapper."""
    return cast("torch.optim.Optimizer", getattr(optimizer, "optimizer", optimizer))
