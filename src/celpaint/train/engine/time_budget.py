"""Where a run or stage stands between its beginning and its end, by steps and by time."""

from __future__ import annotations

import time
from collections.abc import Callable

from celpaint.train.engine.recipe import ScheduleOptions

__all__ = ["TimeBudget"]


class TimeBudget:
    """Steps and seconds of a stage, and how much of it is done.

    With a time limit the schedule follows the clock (unless the recipe says ``by = "steps"``), so that the learning
    rate reaches its end when the time does. A run that used up its time and is given more starts a new period:
    warm-up, plateau and decay over the new minutes. One that was interrupted resumes in its period.

    Args:
        minutes: of a period, None = no limit.
    """

    def __init__(self, schedule: ScheduleOptions, minutes: float | None) -> None:
        self.schedule = schedule
        self.limit = None if minutes is None else 60 * minutes
        self.by_time = schedule.by != "steps" and self.limit is not None
        self.step = self.period_start = 0
        self.seconds = self.period_seconds = 0.0
        self._closing: dict[str, float] = {}
        self.start()

    def start(self) -> None:
        """Begin to count this process's time."""
        self._zero = time.monotonic()
        self._before = self.seconds, self.period_seconds

    def resume(self, step: int, seconds: float, period_start: int, period_seconds: float, finished: bool) -> None:
        """Continue where an earlier run stopped; ``finished``: its time or steps were used up."""
        self.step, self.seconds = step, seconds
        if self.by_time and not finished:
            self.period_start, self.period_seconds = period_start, period_seconds
        elif self.by_time:
            self.period_start = step
        self.start()

    def elapsed(self) -> float:
        """Seconds since :meth:`start`."""
        return time.monotonic() - self._zero

    def tick(self, elapsed: float) -> None:
        """Set the time to ``elapsed`` seconds after :meth:`start`."""
        self.seconds, self.period_seconds = self._before[0] + elapsed, self._before[1] + elapsed

    def time(self, what: Callable[[], None]) -> None:
        """Do something that also ends a run (validate, save), and keep as much time for it at the end."""
        begin = time.monotonic()
        what()
        name = what.__name__
        self._closing[name] = max(self._closing.get(name, 0.0), time.monotonic() - begin)

    @property
    def budget(self) -> float | None:
        """Seconds for steps in this period: the limit less what closing the run takes (at most a fifth)."""
        return None if self.limit is None else max(0.8 * self.limit, self.limit - sum(self._closing.values()))

    @property
    def progress(self) -> float:
        """How much of the schedule is done, in [0, 1]."""
        if not self.by_time or self.budget is None:
            return min(1.0, self.step / self.schedule.steps)
        steps = max(1, self.schedule.steps - self.period_start)
        return min(1.0, max((self.step - self.period_start) / steps, self.period_seconds / self.budget))

    @property
    def ended(self) -> bool:
        """Whether steps or time are used up."""
        return self.step >= self.schedule.steps or (self.budget is not None and self.period_seconds >= self.budget)

    def time_left(self, seconds_per_step: float | None) -> float | None:
        """Seconds to the end of the steps or of the time, whichever comes first; None where nothing is known."""
        ends = [] if seconds_per_step is None else [(self.schedule.steps - self.step) * seconds_per_step]
        if self.budget is not None:
            ends.append(max(0.0, self.budget - self.period_seconds))
        return min(ends, default=None)
