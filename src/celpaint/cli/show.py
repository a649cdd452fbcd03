"""Progress of a run: a bar on a terminal, lines in a log, JSON for programs, or nothing."""

from __future__ import annotations

import json
import logging
import sys
import time
from contextlib import AbstractContextManager
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from celpaint.types import Event

if TYPE_CHECKING:
    from types import TracebackType

    from celpaint.render import Summary

__all__ = ["Bar", "JsonLines", "Lines", "Quiet", "Report", "report"]

log = logging.getLogger("celpaint")


def report(*, quiet: bool, json_lines: bool) -> Report:
    """JSON or nothing if asked for, a bar on a terminal, lines elsewhere."""
    if json_lines:
        return JsonLines()
    if quiet:
        return Quiet()
    return Bar() if sys.stderr.isatty() else Lines()


class Report(AbstractContextManager["Report"], logging.Handler):
    """Receives events, notes and the summary. Inside its context, log messages of the library go to :meth:`note`."""

    def __call__(self, event: Event, /) -> None:
        """Show one event of the run."""

    def note(self, text: str) -> None:
        """Show a message of the library."""

    def end(self, summary: Summary) -> None:
        """Show the summary."""

    def emit(self, record: logging.LogRecord) -> None:
        self.note(record.getMessage())

    def __enter__(self) -> Report:
        log.addHandler(self)
        log.setLevel(logging.INFO)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        log.removeHandler(self)


class Quiet(Report):
    """Shows nothing; errors are printed by the command."""


class JsonLines(Report):
    """One JSON object a line on standard output: every event, every note, at last the summary."""

    def __call__(self, event: Event, /) -> None:
        self._say(event=event.stage, index=event.index, total=event.total)

    def note(self, text: str) -> None:
        self._say(event="note", message=text)

    def end(self, summary: Summary) -> None:
        self._say(event="done", **asdict(summary))

    def _say(self, **what: Any) -> None:
        print(json.dumps(what, default=str), flush=True)


class Lines(Report):
    """Plain lines on standard error, a few a minute at most; the summary on standard output."""

    every = 10.0

    def __init__(self) -> None:
        super().__init__()
        self._course = Course()
        self._said = time.monotonic()

    def __call__(self, event: Event, /) -> None:
        self._course(event)
        now = time.monotonic()
        last = event.stage in ("frame", "write") and event.index == event.total
        if last or now - self._said >= self.every:
            self._said = now
            course = self._course
            print(
                f"{course.doing}: {course.done}/{course.total or '?'} {course.pace}".rstrip(),
                file=sys.stderr,
                flush=True,
            )

    def note(self, text: str) -> None:
        print(text, file=sys.stderr, flush=True)

    def end(self, summary: Summary) -> None:
        print("\n".join(sentences(summary)), flush=True)


class Bar(Report):
    """A live bar on the terminal: segment, step, frames, seconds per frame, time left."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

        super().__init__()
        self._console = Console(stderr=True, highlight=False)
        self._course = Course()
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[pace]}"),
            console=self._console,
            transient=True,
        )
        self._task = self._progress.add_task("loading", total=None, pace="")

    def __enter__(self) -> Report:
        self._progress.start()
        return super().__enter__()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self._progress.stop()
        super().__exit__(kind, error, _)

    def __call__(self, event: Event, /) -> None:
        self._course(event)
        course = self._course
        self._progress.update(
            self._task, description=course.doing, completed=course.done, total=course.total or None, pace=course.pace
        )

    def note(self, text: str) -> None:
        self._console.print(text, markup=False)

    def end(self, summary: Summary) -> None:
        self._progress.stop()
        print("\n".join(sentences(summary)), flush=True)


class Course:
    """What is being done, how far it is, how fast it goes.

    Attributes:
        doing: for people, such as ``coloring, segment 2/9, step 3/25``.
        done, total: frames of the stage; the total is 0 while it is not known.
        pace: seconds per frame and time left, empty while they are not known.
    """

    def __init__(self) -> None:
        self.doing, self.pace = "loading", ""
        self.done = self.total = 0
        self._stage = ""
        self._within: dict[str, Event] = {}
        self._first_share: tuple[float, float] | None = None
        self._first_frame: tuple[float, int] | None = None

    def __call__(self, event: Event) -> None:
        """Take note of an event."""
        stage = event.stage if event.stage in ("read", "write") else "color"
        if stage != self._stage:
            self._stage, self.done, self.total, self.pace = stage, 0, 0, ""
        if event.stage in ("segment", "step"):
            self._within[event.stage] = event
        else:
            self.done, self.total = event.index, event.total
        inner = [f"{name} {e.index}/{e.total}" for name, e in self._within.items()] if stage == "color" else []
        self.doing = ", ".join([{"read": "reading", "color": "coloring", "write": "writing"}[stage], *inner])
        if stage == "color":
            self._time(event)

    def _time(self, event: Event) -> None:
        """Time left by steps where the method tells of steps, else by frames."""
        now = time.monotonic()
        pace = []
        if event.stage == "frame" and self._first_frame is None:
            self._first_frame = now, event.index
        if self._first_frame is not None and self.done > self._first_frame[1]:
            pace.append(f"{(now - self._first_frame[0]) / (self.done - self._first_frame[1]):.2f} s/frame")
        share = self._share()
        if self._first_share is None:
            self._first_share = now, share
        began, at = self._first_share
        if share > at:
            left = round((now - began) * (1 - share) / (share - at))
            pace.append(f"{left // 60}:{left % 60:02d} left")
        self.pace = ", ".join(pace)

    def _share(self) -> float:
        """How much of all the coloring is done; steps count over the whole shot."""
        if "step" in self._within:
            return self._within["step"].index / self._within["step"].total
        return self.done / self.total if self.total else 0.0


def sentences(summary: Summary) -> list[str]:
    """The summary for a person."""
    drawings = f" ({_count(summary.drawings, 'drawing')})" if summary.drawings != summary.frames else ""
    said = [f"{_count(summary.frames, 'frame')}{drawings} in {summary.seconds:.1f} s, method {summary.method}"]
    if summary.confidence is not None:
        said[0] += f", mean confidence {summary.confidence:.2f}"
    if summary.unpainted:
        scenes = ", ".join(f"{first} to {last}" for first, last in summary.unpainted)
        said.append(f"scenes without a painted frame, left uncolored: {scenes}")
    if summary.paint_next:
        frames = "; ".join(
            f"{frame} ({place})" for frame, place in zip(summary.paint_next, summary.unsure, strict=True)
        )
        said.append(f"paint next, where the colors are least certain: {frames}")
    if summary.confidence_maps is not None:
        said.append(f"confidence maps: {summary.confidence_maps}")
    said.append(f"result: {summary.out}")
    return said


def _count(n: int, what: str) -> str:
    return f"{n} {what}" if n == 1 else f"{n} {what}s"
