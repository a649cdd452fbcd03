"""TimeBudgets and feeds: periods, budgets and the order of batches."""

from __future__ import annotations

import itertools

import pytest

from celpaint.train.engine.prefetch import Prefetcher
from celpaint.train.engine.recipe import ScheduleOptions
from celpaint.train.engine.time_budget import TimeBudget


def test_steps_alone_measure_progress_where_no_time_is_given() -> None:
    clock = TimeBudget(ScheduleOptions(steps=10), None)
    clock.tick(1e6)
    clock.step = 5
    assert clock.progress == 0.5
    assert not clock.ended
    assert clock.time_left(2.0) == 10.0
    assert clock.time_left(None) is None
    clock.step = 10
    assert clock.ended


def test_whichever_ends_first_measures_progress() -> None:
    clock = TimeBudget(ScheduleOptions(steps=100), 1.0)
    clock.step = 10
    clock.tick(30.0)
    assert clock.progress == 0.5
    assert clock.time_left(10.0) == 30.0
    assert clock.time_left(0.1) == pytest.approx(9.0)
    clock.step = 80
    assert clock.progress == 0.8
    clock.tick(60.0)
    assert clock.ended
    assert clock.progress == 1.0


def test_a_recipe_may_keep_its_steps_under_a_time_limit() -> None:
    clock = TimeBudget(ScheduleOptions(steps=100, by="steps"), 1.0)
    clock.step = 10
    clock.tick(59.0)
    assert clock.progress == 0.1
    assert not clock.ended
    clock.tick(61.0)
    assert clock.ended


def test_time_is_kept_for_what_ends_a_run(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = TimeBudget(ScheduleOptions(steps=100), 1.0)
    now = itertools.count(0.0, 5.0)
    monkeypatch.setattr("celpaint.train.engine.time_budget.time.monotonic", lambda: next(now))

    def save() -> None: ...
    def validate() -> None: ...

    clock.time(save)
    clock.time(validate)
    clock.time(save)
    assert clock.budget == 50.0
    for k in range(9):
        validate.__name__ = f"other{k}"
        clock.time(validate)
    assert clock.budget == 48.0


@pytest.mark.parametrize(("finished", "start", "spent"), [(False, 20, 30.0), (True, 50, 0.0)])
def test_an_interrupted_period_goes_on_and_a_finished_one_begins_anew(finished: bool, start: int, spent: float) -> None:
    clock = TimeBudget(ScheduleOptions(steps=100), 1.0)
    clock.resume(50, 90.0, 20, 30.0, finished)
    assert (clock.step, clock.seconds, clock.period_start, clock.period_seconds) == (50, 90.0, start, spent)
    clock.tick(6.0)
    assert clock.seconds == 96.0
    assert clock.period_seconds == spent + 6.0


@pytest.mark.parametrize("ahead", [0, 1, 5])
def test_batches_come_in_turn_from_every_stream(ahead: int) -> None:
    feed = Prefetcher([iter(itertools.count(0, 10)), iter(itertools.count(1, 10))], ahead)
    assert [next(feed) for _ in range(6)] == [0, 1, 10, 11, 20, 21]
    feed.close()


@pytest.mark.parametrize("ahead", [0, 2])
def test_what_goes_wrong_in_the_data_reaches_the_loop(ahead: int) -> None:
    def broken():
        yield 1
        raise OSError("the disk is gone")

    feed = Prefetcher([broken()], ahead)
    assert next(feed) == 1
    with pytest.raises(OSError, match="gone"):
        next(feed)
    feed.close()
