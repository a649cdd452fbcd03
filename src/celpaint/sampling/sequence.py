"""The segments of a shot one after the other, each continuing the previous one."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

from torch import Tensor

from celpaint.sampling.blend import Blend
from celpaint.sampling.segments import Segment
from celpaint.sampling.solvers import Denoise, Solver, euler

__all__ = ["Carry", "Window", "sample_segments"]


def _quiet(segment: int, step: int) -> None:
    """Say nothing."""


@dataclass(frozen=True)
class Window:
    """What a segment needs beside its noise.

    Attributes:
        denoise: denoiser of the window's T positions, conditions included.
        start: ``T C H W`` clean latents to start from with noise on top; None: pure noise.
        known: position -> ``C H W`` latents of frames whose answer is known.
    """

    denoise: Denoise
    start: Tensor | None = None
    known: Mapping[int, Tensor] = field(default_factory=dict)


@dataclass(frozen=True)
class Carry:
    """What goes from a segment to the next: tensors of the overlapping frames only, however long the shot.

    Attributes:
        done: segments made so far.
        latents: ``O C H W``.
        denoised: ``S O C H W``, what they were taken for at every step.
    """

    done: int
    latents: Tensor
    denoised: Tensor


def sample_segments(
    segments: Sequence[Segment],
    noise: Tensor,
    sigmas: Sequence[float],
    window: Callable[[Segment, Carry | None], Window],
    *,
    overlap: int,
    carry: Carry | None = None,
    solver: Solver = euler,
    blended: int | None = None,
    told: Callable[[int, int], None] = _quiet,
) -> Iterator[tuple[Tensor, Carry]]:
    """Make the segments that ``carry`` leaves to make.

    Args:
        segments: the whole plan.
        noise: rows of unit noise ``R C H W``, see :func:`~celpaint.sampling.segments.noise_rows`.
        sigmas: falling levels, the last 0.
        window: called once a segment for its denoiser and start.
        overlap: frames shared by neighbors, as planned.
        carry: to go on from; None at the beginning.
        solver: steps from noise to latents.
        blended: steps with Overlapped Blending; None: all.
        told: called after every step with the segment's number, from 0, and the steps done.

    Yields:
        The new frames' latents ``F C H W`` of each segment, and the carry to go on from.
    """
    for n in range(carry.done if carry else 0, len(segments)):
        segment = segments[n]
        given = window(segment, carry)
        rows = noise[list(segment.noise)]
        if given.start is None:
            x = rows * (1 + sigmas[0] ** 2) ** 0.5
        else:
            x = given.start + sigmas[0] * rows
        earlier = [] if carry is None else list(carry.denoised[:blended])
        blend = Blend(given.denoise, at=segment.first, earlier=earlier, known=given.known, keep=overlap)
        x = solver(blend, x, sigmas, partial(told, n))
        frames = x[segment.first :]
        carry = Carry(n + 1, frames[len(frames) - overlap :].clone(), blend.recorded())
        yield frames[slice(*segment.new)], carry
