"""How a run is told: what is being done, how fast, how long still."""

from __future__ import annotations

import pytest

from celpaint.cli import show
from celpaint.cli.show import Course
from celpaint.types import DrawingColored, FrameRead, FrameWritten, SegmentStarted, StepDone


class Clock:
    """Time that passes when it is told to."""

    def __init__(self) -> None:
        self.now = 100.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(show, "time", clock)
    return clock


def test_frames_give_pace_and_time_left(clock: Clock) -> None:
    course = Course()
    for index in (5, 6, 7):  # going on after a stopped run
        course(DrawingColored(index, 10))
        clock.now += 2
    assert (course.doing, course.done, course.total) == ("coloring", 7, 10)
    assert course.pace == "2.00 s/frame, 0:06 left"


def test_steps_give_the_time_left_before_a_frame_is_there(clock: Clock) -> None:
    course = Course()
    course(SegmentStarted(1, 3))
    for step in range(1, 6):
        clock.now += 10
        course(StepDone(step, 30))
    assert (course.doing, course.done) == ("coloring, segment 1/3, step 5/30", 0)
    assert course.pace == "4:10 left"


def test_reading_and_writing_have_counts_of_their_own(clock: Clock) -> None:
    course = Course()
    course(FrameRead(10, 10))
    assert (course.doing, course.done, course.total) == ("reading", 10, 10)
    course(SegmentStarted(1, 2))
    assert (course.done, course.total) == (0, 0)
    course(FrameWritten(1, 10))
    assert (course.doing, course.done, course.pace) == ("writing", 1, "")


def test_lines_come_a_few_a_minute(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    lines = show.Lines()
    for index in range(1, 31):
        clock.now += 1
        lines(DrawingColored(index, 30))
    assert capsys.readouterr().err.splitlines() == [
        "coloring: 10/30 1.00 s/frame, 0:20 left",
        "coloring: 20/30 1.00 s/frame, 0:10 left",
        "coloring: 30/30 1.00 s/frame, 0:00 left",
    ]
