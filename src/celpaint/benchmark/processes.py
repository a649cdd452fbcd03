"""Work spread over processes that share the machine's threads."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from typing import TypeVar

import cv2  # noqa: F401 (it must be there to be told)

from celpaint.threads import available_cores, use_threads

__all__ = ["default_workers", "in_processes"]

T = TypeVar("T")


def default_workers(device: str) -> int:
    """One process a processor core, or a single one where networks run on a GPU."""
    import torch

    gpu = device not in ("auto", "cpu") or (device == "auto" and torch.cuda.is_available())
    return 1 if gpu else available_cores()


def in_processes(jobs: Sequence[Callable[[], T]], workers: int) -> Iterator[tuple[int, T]]:
    """Run every job and yield its number and result as it finishes.

    Args:
        jobs: callables that can be pickled.
        workers: processes, each with its share of the threads; with 1 the jobs run in this process, in order.
    """
    if workers == 1:
        yield from ((i, job()) for i, job in enumerate(jobs))
        return
    threads = max(available_cores() // workers, 1)
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, context, _start, (threads,)) as pool:
        running = {pool.submit(job): i for i, job in enumerate(jobs)}
        try:
            for done in as_completed(running):
                yield running[done], done.result()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _start(threads: int) -> None:
    import torch  # noqa: F401 (it must be there to be told)

    use_threads(threads)
