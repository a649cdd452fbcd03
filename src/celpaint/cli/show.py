"""Telling how a run goes: a bar on a terminal, lines in a log, JSON for machines, or nothing."""

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

    from celpaint.colorize import Summary

__all__ = ["Bar", "JsonLines", "Lines", "Quiet", "Report", "report"]

log = logging.getLogger("celpaint")


def report(*, quiet: bool, json_lines: bool) -> Report:
    """What suits the reader: JSON or nothing where asked for, a bar on a terminal, lines elsewhere."""
    if json_lines:
        return JsonLines()
    if quiet:
        return Quiet()
    return Bar() if sys.stderr.isatty() else Lines()


class Report(AbstractContextManager["Report"], logging.Handler):
    """Told of events, notes and the end. While its context lasts, the library's notes come to :meth:`note`."""

    def __call__(self, event: Event, /) -> None:
        """One event of the run."""

    def note(self, text: str) -> None:
        """Something the user should know."""

    def end(self, summary: Summary) -> None:
        """The result lies in its place."""

    def emit(self, record: logging.LogRecord) -> None:
        self.note(record.getMessage())

    def __enter__(self) -> Report:
        log.addHandler(self)
        log.setLevel(logging.INFO)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        log.removeHandler(self)


class Quiet(Report):
    """Says nothing; errors are the shell's matter."""


class JsonLines(Report):
    """One JSON object a line on standard output: every event, every note, at last the summary."""

    def __call__(self, event: Event, /) -> None:
        self._say(event=event.stage, index=event.index, total=event.total)

    def note(self, text: str) -> None:
        self._say(event="note", message=text)

    def end(self, summary: Summary) -> None:
        self._say(event="done", **{**asdict(summary), "out": str(summary.out)})

    def _say(self, **what: Any) -> None:
        print(json.dumps(what), flush=True)


class Lines(Report):
    """Plain lines on standard error, a few a minute at most; the summary on standard output."""

    every = 10.0

    def __init__(self) -> None:
        super().__init__()
        self._clock = Clock()
        self._said = 0.0

    def __call__(self, event: Event, /) -> None:
        self._clock(event)
        now = time.monotonic()
        last = event.stage in ("frame", "write") and event.index == event.total
        if last or now - self._said >= self.every:
            self._said = now
            print(f"{event.stage} {event.index}/{event.total}{self._clock}", file=sys.stderr, flush=True)

    def note(self, text: str) -> None:
        print(text, file=sys.stderr, flush=True)

    def end(self, summary: Summary) -> None:
        print("\n".join(sentences(summary)), flush=True)


class Bar(Report):
    """A live bar on the terminal: segment, step, frames, seconds a frame, time left."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

        super().__init__()
        self._console = Console(stderr=True, highlight=False)
        self._clock = Clock()
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[pace]}"),
            console=self._console,
            transient=True,
        )
        self._task = self._progress.add_task("starting", total=None, pace="")
        self._inner: dict[str, str] = {}

    def __enter__(self) -> Report:
        self._progress.start()
        return super().__enter__()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self._progress.stop()
        super().__exit__(kind, error, _)

    def __call__(self, event: Event, /) -> None:
        self._clock(event)
        if event.stage in ("segment", "step"):
            if event.stage == "segment":
                self._inner.pop("step", None)
            self._inner[event.stage] = f"{event.stage} {event.index}/{event.total}"
            self._progress.update(self._task, description=", ".join(["colouring", *self._inner.values()]))
            return
        if event.stage == "frame":
            description = ", ".join(["colouring", *self._inner.values()])
        else:
            description = {"read": "reading", "write": "writing"}[event.stage]
        self._progress.update(
            self._task, description=description, completed=event.index, total=event.total, pace=str(self._clock)
        )

    def note(self, text: str) -> None:
        self._console.print(text, markup=False)

    def end(self, summary: Summary) -> None:
        self._progress.stop()
        print("\n".join(sentences(summary)), flush=True)


class Clock:
    """Seconds a frame and time left, from the frames coloured since the run began; printed as a tail of a line."""

    def __init__(self) -> None:
        self._first: tuple[float, int] | None = None
        self._tail = ""

    def __call__(self, event: Event) -> None:
        """Take the time of a coloured frame."""
        if event.stage != "frame":
            self._tail = "" if event.stage in ("read", "write") else self._tail
            return
        now = time.monotonic()
        if self._first is None:
            self._first = now, event.index
            return
        began, index = self._first
        if event.index > index:
            pace = (now - began) / (event.index - index)
            left = round(pace * (event.total - event.index))
            self._tail = f"  {pace:.2f} s/frame, {left // 60}:{left % 60:02d} left"

    def __str__(self) -> str:
        return self._tail


def sentences(summary: Summary) -> list[str]:
    """The summary for a person."""
    drawings = f" ({summary.drawings} drawings)" if summary.drawings != summary.frames else ""
    said = [f"{_count(summary.frames, 'frame')}{drawings} in {summary.seconds:.1f} s by the {summary.method}"]
    if summary.confidence is not None:
        said[0] += f", mean confidence {summary.confidence:.2f}"
    if summary.paint_next:
        said.append(f"paint next, where the colours are least sure: {', '.join(summary.paint_next)}")
    if summary.confidence_out is not None:
        said.append(f"confidence maps: {summary.confidence_out}")
    said.append(f"result: {summary.out}")
    return said


def _count(n: int, what: str) -> str:
    return f"{n} {what}" if n == 1 else f"{n} {what}s"
