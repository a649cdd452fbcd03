"""Blend known latents into the latents that are being denoised."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from celpaint.sampling.solvers import Denoise

__all__ = ["Blend"]


class Blend:
    """A denoiser whose answer is replaced where the answer is known.

    Overlapped Blending (LVCD, eq. 6): at every step the frames shared with the segment before take the denoised
    latents that segment had at that very step. As both start from the same noise, they end equal. A painted frame's
    latents are known outright, at every step.

    Args:
        denoise: the denoiser.
        at: first position of the shared frames.
        earlier: the shared frames' latents of step 0, 1, ..., each ``O C H W``; later steps are not blended.
        known: position -> ``C H W``.
        keep: how many positions at the end to record, for the segment after.

    Attributes:
        record: their latents of every step so far.
    """

    def __init__(
        self, denoise: Denoise, *, at: int, earlier: Sequence[Tensor], known: Mapping[int, Tensor], keep: int
    ) -> None:
        self.denoise, self.at, self.earlier, self.known, self.keep = denoise, at, earlier, known, keep
        self.record: list[Tensor] = []

    def __call__(self, x: Tensor, sigma: float, /) -> Tensor:
        """``T C H W`` -> ``T C H W``; one call a step, in order."""
        denoised = self.denoise(x, sigma).clone()
        for position, latents in self.known.items():
            denoised[position] = latents
        step = len(self.record)
        if step < len(self.earlier):
            shared = self.earlier[step].to(denoised)
            denoised[self.at : self.at + len(shared)] = shared
        self.record.append(denoised[len(denoised) - self.keep :].clone())
        return denoised

    def recorded(self) -> Tensor:
        """``S O C H W``: the recorded frames of every step."""
        return torch.stack(self.record)
