"""Micro-batches in turn from several streams, made ahead in a thread so that no step waits for them."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Generic, TypeVar

__all__ = ["Feed"]

B = TypeVar("B")


class Feed(Generic[B]):
    """Batches of ``streams`` in turn: first of each, second of each, ...

    Args:
        ahead: how many are made before they are asked for; 0 = none, and no thread.
    """

    def __init__(self, streams: Sequence[Iterator[B]], ahead: int) -> None:
        self._batches = (next(stream) for _ in iter(int, 1) for stream in streams)
        self._closed = threading.Event()
        self._queue: queue.Queue[B | BaseException] = queue.Queue(max(1, ahead))
        self._thread = threading.Thread(target=self._work, daemon=True) if ahead else None
        if self._thread is not None:
            self._thread.start()

    def _work(self) -> None:
        while not self._closed.is_set():
            item: B | BaseException
            try:
                item = next(self._batches)
            except BaseException as error:
                item = error
            while not self._closed.is_set():
                with suppress(queue.Full):
                    self._queue.put(item, timeout=0.2)
                    break
            if isinstance(item, BaseException):
                return

    def __next__(self) -> B:
        if self._thread is None:
            return next(self._batches)
        item = self._queue.get()
        if isinstance(item, BaseException):
            raise item
        return item

    def close(self) -> None:
        """Stop making batches."""
        self._closed.set()
        if self._thread is not None:
            self._thread.join(timeout=30)
