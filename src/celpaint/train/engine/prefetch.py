"""Micro-batches from several streams in turn, made ahead in a thread and moved to the device while it computes."""

from __future__ import annotations

import dataclasses
import queue
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import nullcontext, suppress
from typing import Any, Generic, TypeVar

import torch
from torch import Tensor

__all__ = ["Prefetcher", "map_tensors", "to_device"]

B = TypeVar("B")


class Prefetcher(Generic[B]):
    """Batches of ``streams`` in turn: first of each, second of each, ...

    On a GPU the thread works on a CUDA stream of its own, so that batches are copied, or composed on the device,
    beside the training step.

    Args:
        ahead: how many are made before they are needed; 0 = none, and no thread.
        device: where the batches go.
    """

    def __init__(self, streams: Sequence[Iterator[B]], ahead: int, device: torch.device | None = None) -> None:
        self.device = torch.device("cpu") if device is None else device
        self._batches = (to_device(next(stream), self.device) for _ in iter(int, 1) for stream in streams)
        self._closed = threading.Event()
        self._queue: queue.Queue[tuple[B, torch.cuda.Event | None] | BaseException] = queue.Queue(max(1, ahead))
        self._thread = threading.Thread(target=self._work, daemon=True) if ahead else None
        if self._thread is not None:
            self._thread.start()

    def _work(self) -> None:
        side = torch.cuda.Stream(self.device) if self.device.type == "cuda" else None
        if side is not None:  # what the streams were built from may still be on its way
            side.wait_stream(torch.cuda.default_stream(self.device))
        with nullcontext() if side is None else torch.cuda.stream(side):
            while not self._closed.is_set():
                item: tuple[B, torch.cuda.Event | None] | BaseException
                try:
                    batch = next(self._batches)
                    item = batch, None if side is None else side.record_event()
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
        batch, ready = item
        if ready is not None:
            current = torch.cuda.current_stream(self.device)
            current.wait_event(ready)
            map_tensors(batch, lambda tensor: _used_by(tensor, current))
        return batch

    def close(self) -> None:
        """Stop making batches."""
        self._closed.set()
        if self._thread is not None:
            self._thread.join(timeout=30)


def _used_by(tensor: Tensor, stream: torch.cuda.Stream) -> Tensor:
    """The tensor, whose memory is not to be used again before ``stream`` is done with it."""
    tensor.record_stream(stream)
    return tensor


def to_device(batch: B, device: torch.device) -> B:
    """The batch with all its tensors on ``device``; to a GPU through pinned memory, without waiting."""
    if device.type != "cuda":
        return map_tensors(batch, lambda tensor: tensor.to(device))
    return map_tensors(
        batch, lambda tensor: tensor if tensor.is_cuda else tensor.pin_memory().to(device, non_blocking=True)
    )


def map_tensors(batch: B, change: Callable[[Tensor], Tensor]) -> B:
    """``batch`` with ``change`` applied to every tensor in its dataclasses, tuples, lists and dictionaries."""
    return _map(batch, change)  # type: ignore[no-any-return]


def _map(value: Any, change: Callable[[Tensor], Tensor]) -> Any:
    if isinstance(value, Tensor):
        return change(value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = {f.name: _map(getattr(value, f.name), change) for f in dataclasses.fields(value) if f.init}
        return dataclasses.replace(value, **fields)
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return type(value)(*(_map(item, change) for item in value))
    if isinstance(value, list | tuple):
        return type(value)(_map(item, change) for item in value)
    if isinstance(value, Mapping):
        return {key: _map(item, change) for key, item in value.items()}
    return value
