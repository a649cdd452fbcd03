"""Latents -> pictures in overlapping chunks, so that the decoder's sense of time is not cut and memory stays flat."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor

__all__ = ["Chunk", "ChunkedDecoder", "Chunking", "plan_chunks"]


@dataclass(frozen=True)
class Chunking:
    """How a decoder wants its latents.

    Attributes:
        size: places a call.
        overlap: places of the chunk before that are decoded again, 0 to ``size - 2``.
        lead: whether place 0 stands in front of every chunk, as one of ``size``.
    """

    size: int
    overlap: int
    lead: bool

    def __post_init__(self) -> None:
        if not 0 <= self.overlap <= self.size - 2:
            raise ValueError(f"overlap {self.overlap}, wanted 0 to {self.size - 2}")


@dataclass(frozen=True)
class Chunk:
    """One call of the decoder.

    Attributes:
        inputs: places in the sequence that are decoded together.
        skip: how many of the results are thrown away, from the front.
    """

    inputs: tuple[int, ...]
    skip: int


def plan_chunks(length: int, chunking: Chunking) -> tuple[Chunk, ...]:
    """Chunks that together give each of ``length`` places once, in order.

    All but the first begin with the last ``overlap`` places of the one before, after place 0 if that leads.
    """
    if length < 1:
        raise ValueError(f"{length} places, wanted 1 or more")
    lead = (0,) if chunking.lead else ()
    own = chunking.size - len(lead)
    chunks = [Chunk(tuple(range(min(chunking.size, length))), 0)]
    while (done := chunks[-1].inputs[-1] + 1) < length:
        start = len(lead) + (own - chunking.overlap) * len(chunks)
        inputs = (*lead, *range(start, min(start + own, length)))
        chunks.append(Chunk(inputs, len(lead) + done - start))
    return tuple(chunks)


class ChunkedDecoder:
    """Takes latents as they come, gives pictures as soon as their chunk is whole.

    Args:
        decode: ``F C h w`` latents and their places in the sequence -> ``F 3 H W``.
        length: places of the whole sequence.
        chunking: what the decoder wants.
        first: ``C h w``, the latents of place 0 where they are known before; needed if it leads.
        tail, taken, chunks_done: to go on with an earlier run, as they were there.

    Attributes:
        tail: ``F C h w``, latents taken and still needed.
        taken: places taken so far.
        chunks_done: chunks decoded so far.
    """

    def __init__(
        self,
        decode: Callable[[Tensor, tuple[int, ...]], Tensor],
        length: int,
        chunking: Chunking,
        first: Tensor | None = None,
        *,
        tail: Tensor | None = None,
        taken: int | None = None,
        chunks_done: int = 0,
    ) -> None:
        if chunking.lead and first is None:
            raise ValueError("place 0 leads every chunk, but its latents are not given")
        self.decode, self.first, self.chunks_done = decode, first, chunks_done
        self.lead = chunking.lead
        self.plan = plan_chunks(length, chunking)
        if tail is None:
            tail = torch.empty(0) if first is None else first[None]
        self.tail = tail
        self.taken = taken if taken is not None else int(first is not None)

    def push(self, latents: Tensor) -> Iterator[tuple[int, Tensor]]:
        """Take the next latents ``F C h w``; yield places and pictures ``3 H W``, in order, place 0 included."""
        self.tail = torch.cat([self.tail, latents]) if len(self.tail) else latents
        self.taken += len(latents)
        while self.chunks_done < len(self.plan) and self.plan[self.chunks_done].inputs[-1] < self.taken:
            chunk = self.plan[self.chunks_done]
            start = self.taken - len(self.tail)  # place of tail[0]
            led = self.lead and self.chunks_done > 0
            together = self.tail[[i - start for i in chunk.inputs[led:]]]
            if led:
                together = torch.cat([cast("Tensor", self.first)[None], together])
            pictures = self.decode(together, chunk.inputs)
            self.chunks_done += 1
            yield from zip(chunk.inputs[chunk.skip :], pictures[chunk.skip :], strict=True)
            if self.chunks_done < len(self.plan):
                self.tail = self.tail[max(self.plan[self.chunks_done].inputs[self.lead] - start, 0) :]
