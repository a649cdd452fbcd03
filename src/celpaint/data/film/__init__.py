"""Film-like training clips, composed as batched torch operations on any device.

art -> Bank (cels on the device) -> plan (numbers, NumPy) -> render (torch) -> ClipBatch
"""

from __future__ import annotations

import torch

from celpaint.data.clips import ClipBatch
from celpaint.data.film.bank import Bank
from celpaint.data.film.plan import FilmSpec, plan
from celpaint.data.film.render import render

__all__ = ["Bank", "FilmSpec", "FilmSynthesizer", "plan", "render"]


class FilmSynthesizer:
    """Makes clips from a bank of cels.

    Args:
        bank: the cels, on the device where clips are made.
        spec: what kind of clips.
    """

    def __init__(self, bank: Bank, spec: FilmSpec) -> None:
        self.bank, self.spec = bank, spec

    @property
    def device(self) -> torch.device:
        """Where clips are made."""
        return self.bank.region.device

    def batch(self, seed: int, clips: int) -> ClipBatch:
        """``clips`` clips; the same for the same bank, spec, seed and number of clips."""
        return render(plan(self.bank, self.spec, seed, clips), self.bank, self.spec)
