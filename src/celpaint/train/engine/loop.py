"""The training loop: one for every task, on one CPU, one GPU or many.

A step trains on ``optimizer.gradient_accumulation_steps`` micro-batches, each from a stream of its own; the processes
share the streams out among themselves. So the recipe alone says what is trained on: 1 process with 4 streams and 4
processes with one see the same batches, and a run that was stopped resumes with the very batch that would have come.
"""

from __future__ import annotations

import math
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

import torch
from accelerate import Accelerator
from filelock import FileLock, Timeout

from celpaint.errors import InputError, OptionError, OutOfMemory
from celpaint.train.engine import checkpoint
from celpaint.train.engine.engine import Engine, StepFigures, make_accelerator
from celpaint.train.engine.prefetch import Prefetcher
from celpaint.train.engine.recipe import Recipe, StageOptions
from celpaint.train.engine.schedule import rate
from celpaint.train.engine.seeding import derive_seed
from celpaint.train.engine.task import Task
from celpaint.train.engine.time_budget import TimeBudget
from celpaint.train.engine.training_logger import TrainingLogger

__all__ = ["Summary", "make_accelerator", "train"]


@dataclass(frozen=True)
class Summary:
    """How a run ended.

    Attributes:
        step: optimizer steps done, ``seconds`` and ``frames`` with them, earlier calls included.
        losses: the mean loss of every step of this call, in order.
        figures: the last validation; ``best``: the best value of the recipe's ``run.monitor`` in the last stage.
        finished: False where it was interrupted and still has steps or minutes to go.
    """

    step: int
    seconds: float
    frames: int
    losses: tuple[float, ...]
    figures: dict[str, float]
    best: float | None
    finished: bool


def train(
    task: Task[Any, Any],
    recipe: Recipe,
    run_dir: Path,
    *,
    accelerator: Accelerator | None = None,
    minutes: float | None = None,
) -> Summary:
    """Train ``task`` to the end of the recipe or of the minutes, resuming from the newest checkpoint of ``run_dir``.

    SIGINT and SIGTERM end the run after the step it is in, with a checkpoint.

    Args:
        task: its network on ``accelerator.device``.
        run_dir: made where it is missing.
        minutes: of all stages together, see :class:`~celpaint.train.engine.time_budget.TimeBudget`; the last
            validation and checkpoint fit in.

    Raises:
        OptionError: settings that don't fit each other or the run in ``run_dir``.
        InputError: another process trains in ``run_dir``, or its newest checkpoint is broken.
        TrainingError: gradients stay NaN.
        OutOfMemory: a step does not fit on the device.
        OutputError, DiskFull: a checkpoint can't be written.
    """
    accelerator = accelerator or make_accelerator(recipe)
    try:
        with _locked(run_dir, accelerator):
            return _Trainer(task, recipe, run_dir, accelerator, minutes).run()
    except torch.OutOfMemoryError as error:
        raise OutOfMemory(
            f"the device has too little memory for {recipe.data.clips} clips at once",
            todo="Lower data.clips (and raise optimizer.gradient_accumulation_steps), or set "
            "run.gradient_checkpointing=true.",
        ) from error


class _Trainer:
    def __init__(
        self,
        task: Task[Any, Any],
        recipe: Recipe,
        run_dir: Path,
        accelerator: Accelerator,
        minutes: float | None,
    ) -> None:
        self.task, self.recipe, self.run_dir, self.accelerator = task, recipe, run_dir, accelerator
        self.minutes = minutes
        self.stages = list(recipe.all_stages().items())
        self.engine = Engine(task, recipe, accelerator)
        self.logger = TrainingLogger(run_dir, silent=not accelerator.is_main_process)
        self.stage = 0
        self.clock = self.new_clock()
        self.frames = self.unlogged_frames = 0
        self.saved_at = 0.0
        self.best: float | None = None
        self.figures: dict[str, float] = {}
        self.losses: list[float] = []
        self.stop = False

    def new_clock(self) -> TimeBudget:
        """The time budget of the current stage."""
        options = self.stages[self.stage][1]
        minutes = self.minutes
        if minutes is not None:
            minutes *= options.time_share / sum(stage.time_share for _, stage in self.stages)
        return TimeBudget(options.schedule, minutes)

    # -- the run --------------------------------------------------------------------------------------------------

    def run(self) -> Summary:
        try:
            with self.signals():
                entered = self.resume()
                self.run_stage(entered)
                while self.clock.ended and self.stage + 1 < len(self.stages):
                    self.next_stage()
                    self.run_stage(entered=True)
        finally:
            self.logger.close()
        clock = self.clock
        return Summary(
            self.engine.step, clock.seconds, self.frames, tuple(self.losses), self.figures, self.best, clock.ended
        )

    def next_stage(self) -> None:
        """Move on to the stage that follows; the best validation is looked for anew."""
        seconds = self.clock.seconds
        self.stage += 1
        self.clock = self.new_clock()
        self.clock.seconds = seconds
        self.best = None

    def run_stage(self, entered: bool) -> None:
        """Train to the end of the stage, or until a signal comes."""
        name, options = self.stages[self.stage]
        if len(self.stages) > 1 and not self.clock.ended:
            self.logger.say(f"stage '{name}'")
        self.engine.begin_stage(options, entered=entered)
        self.task.begin_stage(name)
        clock, every = self.clock, self.recipe.run
        clock.start()
        self.saved_at = clock.seconds
        began = clock.step
        batches = self.batches()
        try:
            while not clock.ended and not self.stop:
                self.one_step(batches, options)
                if clock.step % every.validate_every == 0:
                    clock.time(self.validate)
                if clock.step % every.sheet_every == 0:
                    clock.time(self.draw_sheet)
                if self.checkpoint_due():
                    clock.time(self.save)
                self.tick()
        finally:
            batches.close()
        if clock.step > began:
            self.close_stage()

    def close_stage(self) -> None:
        """Validate and save at the end of a stage, save where it was interrupted."""
        clock, every = self.clock, self.recipe.run
        self.log()
        if clock.ended and clock.step % every.validate_every:
            self.validate()
        if clock.ended and clock.step % every.sheet_every:
            self.draw_sheet()
        self.tick()
        self.save()

    def batches(self) -> Prefetcher[Any]:
        """The stage's micro-batches, from where it stands."""
        seeds = [derive_seed(self.recipe.run.seed, self.stage, stream) % 2**31 for stream in self.engine.streams]
        streams = [self.task.batches(seed, self.clock.step) for seed in seeds]
        return Prefetcher(streams, self.recipe.data.prefetch, self.accelerator.device)

    def one_step(self, source: Prefetcher[Any], stage: StageOptions) -> None:
        """One step of the task on a micro-batch from every stream."""
        clock = self.clock
        self.engine.begin_step(rate(stage.schedule, clock.progress, clock.step - clock.period_start))
        batches = [next(source) for _ in self.engine.streams]
        self.task.step(batches, self.engine)
        self.engine.end_step()
        clock.step += 1
        frames = self.accelerator.num_processes * sum(self.task.frames(batch) for batch in batches)
        self.frames += frames
        self.unlogged_frames += frames
        if self.reads_now:
            self.log()
        self.tick()

    @property
    def reads_now(self) -> bool:
        """Whether to read figures from the device: on a GPU only now and then, as it makes the device wait."""
        return self.accelerator.device.type == "cpu" or self.clock.step % self.recipe.run.log_every == 0

    def log(self) -> None:
        """Read what the last steps measured, and show it."""
        steps = self.engine.flush()
        for figures in steps:
            self.losses.append(figures.loss)
            for name, value in figures.values.items():
                if name.endswith("gradient_norm") and not math.isfinite(value):
                    self.logger.say(f"step {figures.step}: {name} is {value}, step skipped")
            if (figures.step + 1) % self.recipe.run.log_every == 0:
                self.log_figures(figures)
        if steps:
            left = self.clock.time_left(self.logger.seconds_per_step)
            self.logger.step(self.engine.step, self.losses[-1], self.unlogged_frames, self.clock.progress, left)
            self.unlogged_frames = 0

    def log_figures(self, figures: StepFigures) -> None:
        common = {"frames_per_second": self.logger.frames_per_second, **self.engine.learning_rates()}
        self.logger.figures("train", figures.step + 1, {**figures.values, "loss": figures.loss, **common})

    def tick(self) -> None:
        """Bring the clock up to date: the first process's time for all, and a signal to any ends all."""
        elapsed = self.clock.elapsed()
        if self.accelerator.num_processes > 1:
            if not self.reads_now:
                return
            shared = torch.tensor([elapsed if self.accelerator.is_main_process else 0.0, float(self.stop)])
            shared = self.accelerator.reduce(shared.to(self.accelerator.device), reduction="sum")
            elapsed, self.stop = float(shared[0]), bool(shared[1] > 0)
        self.clock.tick(elapsed)

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

    # -- validation -----------------------------------------------------------------------------------------------

    def validate(self) -> None:
        self.log()
        options, step = self.recipe.run, self.engine.step
        with torch.no_grad(), self.accelerator.autocast():
            self.figures = {k: float(v) for k, v in self.task.validate(self.engine.averaged()).items()}
        if options.monitor not in self.figures:
            raise OptionError(f"run.monitor is '{options.monitor}'", wanted=f"one of {', '.join(sorted(self.figures))}")
        value = self.figures[options.monitor]
        better = self.best is None or (value < self.best if options.mode == "min" else value > self.best)
        self.logger.figures("validation", step, self.figures)
        text = "  ".join(f"{k} {v:.4g}" for k, v in self.figures.items())
        self.logger.say(f"step {step}: {text}{'  (best)' if better else ''}")
        if better and math.isfinite(value):
            self.best = value
            average = self.engine.average()
            if self.accelerator.is_main_process:
                checkpoint.save(self.run_dir / "best", self.state(), {"average": average})

    def draw_sheet(self) -> None:
        with torch.no_grad(), self.accelerator.autocast():
            picture = self.task.sample_sheet(self.engine.averaged())
        if picture is not None:
            self.logger.sheet(self.engine.step, picture)

    # -- checkpoints ----------------------------------------------------------------------------------------------

    def checkpoint_due(self) -> bool:
        run, clock = self.recipe.run, self.clock
        by_step = run.checkpoint_every > 0 and clock.step % run.checkpoint_every == 0
        by_time = 0 < 60 * run.checkpoint_minutes <= clock.seconds - self.saved_at
        return by_step or by_time

    def state(self) -> checkpoint.State:
        clock = self.clock
        return checkpoint.State(
            step=self.engine.step,
            stage=self.stage,
            stage_step=clock.step,
            seconds=clock.seconds,
            frames=self.frames,
            ema_updates=self.engine.ema_updates,
            period_start=clock.period_start,
            period_seconds=clock.period_seconds,
            finished=clock.ended,
            best=self.best,
            figures=self.figures,
            parts=dict(self.task.parts()),
            complete=self.engine.complete,
        )

    def save(self) -> None:
        self.log()
        groups = self.engine.state_dict()
        if self.accelerator.is_main_process:
            checkpoint.save(self.run_dir / "checkpoints" / f"step-{self.engine.step:08d}", self.state(), groups)
            checkpoint.prune(self.run_dir, self.recipe.run.keep)
        self.saved_at = self.clock.seconds
        self.accelerator.wait_for_everyone()

    def resume(self) -> bool:
        """Continue from the newest checkpoint where there is one, and note the recipe; True where a stage begins."""
        folder = checkpoint.newest(self.run_dir)
        state = None if folder is None else self.load(folder)
        if self.accelerator.is_main_process:
            (self.run_dir / "recipe.json").write_text(self.recipe.as_json(), encoding="utf-8")
        if state is None:
            return True
        if state.finished and self.stage + 1 < len(self.stages):
            self.next_stage()
            return True
        return False

    def load(self, folder: Path) -> checkpoint.State:
        state = checkpoint.load_state(folder)
        names = ["networks", "average", *(["optimizers"] if any(state.ema_updates.values()) else [])]
        self.engine.load_state_dict({name: checkpoint.load(folder, name) for name in names}, state.ema_updates)
        if state.stage >= len(self.stages):
            raise OptionError(
                f"the run in '{self.run_dir}' is in stage {state.stage + 1} of {len(self.stages)}",
                todo="Give the recipe's [stages] as they were, or another --run-dir.",
            )
        self.engine.step, self.stage = state.step, state.stage
        self.clock = self.new_clock()
        self.clock.resume(state.stage_step, state.seconds, state.period_start, state.period_seconds, state.finished)
        self.frames, self.best, self.figures = state.frames, state.best, dict(state.figures)
        self.logger.say(f"resuming from step {state.step} ({state.seconds / 60:.1f} minutes) in '{self.run_dir}'")
        return state


@contextmanager
def _locked(run_dir: Path, accelerator: Accelerator) -> Iterator[None]:
    """Keep other runs out of the folder."""
    if not accelerator.is_main_process:
        yield
        return
    run_dir.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(run_dir / ".lock", timeout=0):
            yield
    except Timeout:
        raise InputError(
            f"another process trains in '{run_dir}'", todo="Wait for it, or give another --run-dir."
        ) from None
