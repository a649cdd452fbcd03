"""Latents -> pictures in overlapping chunks, so that the decoder's sense of time is not cut and memory stays flat."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

__all__ = ["CHUNK", "Chunk", "ChunkedDecoder", "plan_chunks"]

CHUNK, OVERLAP = 10, 3


@dataclass(frozen=True)
class Chunk:
    """One call of the decoder.

    Attributes:
        inputs: places in the sequence that are decoded together; 0, the reference, is always the first.
        skip: how many of the results are thrown away, from the front.
    """

    inputs: tuple[int, ...]
    skip: int


def plan_chunks(length: int, *, chunk: int = CHUNK, overlap: int = OVERLAP) -> tuple[Chunk, ...]:
    """Chunks that together give each of ``length`` places once, in order.

    Every chunk begins with place 0; all but the first go on with the last ``overlap`` places of the one before.

    Args:
        length: places, 1 or more.
        chunk: places a call.
        overlap: 0 to ``chunk - 2``.
    """
    if length < 1:
        raise ValueError(f"{length} places, wanted 1 or more")
    if not 0 <= overlap <= chunk - 2:
        raise ValueError(f"overlap {overlap}, wanted 0 to {chunk - 2}")
    hop = chunk - 1 - overlap
    chunks = [Chunk(tuple(range(min(chunk, length))), 0)]
    while (done := chunks[-1].inputs[-1] + 1) < length:
        start = 1 + hop * len(chunks)
        chunks.append(Chunk((0, *range(start, min(start + chunk - 1, length))), 1 + done - start))
    return tuple(chunks)


class ChunkedDecoder:
    """Takes latents as they come, gives pictures as soon as their chunk is whole.

    Args:
        decode: ``F C h w`` latents and their places in the sequence -> ``F 3 H W``.
        length: places of the whole sequence, the reference in front included.
        first: ``C h w``, the latents of place 0.
        tail: latents taken but still needed, of an earlier run.
        chunks_done: chunks decoded in an earlier run.

    Attributes:
        tail: ``F C h w``, latents still needed, the last ones taken.
        chunks_done: chunks decoded so far.
    """

    def __init__(
        self,
        decode: Callable[[Tensor, tuple[int, ...]], Tensor],
        length: int,
        first: Tensor,
        *,
        tail: Tensor | None = None,
        chunks_done: int = 0,
        taken: int = 1,
    ) -> None:
        self.decode, self.first, self.chunks_done = decode, first, chunks_done
        self.plan = plan_chunks(length)
        self.tail = first[None][:0] if tail is None else tail
        self.taken = taken

    def push(self, latents: Tensor) -> Iterator[tuple[int, Tensor]]:
        """Take the next latents ``F C h w``; yield places and pictures ``3 H W``, in order, place 0 included."""
        self.tail = torch.cat([self.tail, latents])
        self.taken += len(latents)
        while self.chunks_done < len(self.plan) and self.plan[self.chunks_done].inputs[-1] < self.taken:
            chunk = self.plan[self.chunks_done]
            start = self.taken - len(self.tail)  # place of tail[0]
            rest = [i - start for i in chunk.inputs[1:]]
            together = torch.cat([self.first[None], self.tail[rest]])
            pictures = self.decode(together, chunk.inputs)
            self.chunks_done += 1
            yield from zip(chunk.inputs[chunk.skip :], pictures[chunk.skip :], strict=True)
            if self.chunks_done < len(self.plan):
                self.tail = self.tail[max(self.plan[self.chunks_done].inputs[1] - start, 0) :]
