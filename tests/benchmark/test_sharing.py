"""The fair share of a machine, by hand, and that a run is measured at all."""

from __future__ import annotations

import sys

import pytest

from celpaint.benchmark.speed.sharing import Cost, fair_beside_a_busy_core, fair_two_at_once, sharing_speed


def test_two_runs_that_fill_the_machine_take_twice_as_long() -> None:
    assert fair_two_at_once(Cost(10, 20), cores=2) == 20
    assert fair_two_at_once(Cost(10, 10), cores=2) == 10
    assert fair_two_at_once(Cost(10, 10), cores=1) == 20


def test_beside_a_busy_core_the_others_are_left() -> None:
    assert fair_beside_a_busy_core(Cost(10, 20), cores=2) == 20
    assert fair_beside_a_busy_core(Cost(10, 10), cores=2) == 10
    assert fair_beside_a_busy_core(Cost(10, 40), cores=5) == 10
    assert fair_beside_a_busy_core(Cost(10, 10), cores=1) == 20


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="processor time of children is POSIX")
def test_the_table_has_the_three_runs() -> None:
    rows = sharing_speed(2, (64, 96), 1).splitlines()
    assert [row.split("|")[1].strip() for row in rows[2:]] == ["alone", "two at once", "beside a busy core"]
    assert all(float(row.split("|")[6]) > 0 for row in rows[3:])
