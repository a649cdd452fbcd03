"""Film-like training clips, composed as batched torch operations on any device.

art -> Bank (cels on the device) -> plan (numbers, NumPy) -> render (torch) -> ClipBatch
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import torch

from celpaint.data.clips import ClipBatch
from celpaint.data.film.bank import Bank
from celpaint.data.film.plan import FilmSpec, plan
from celpaint.data.film.render import render
from celpaint.data.synthetic.art import Art

__all__ = ["Bank", "FilmSpec", "FilmSynthesizer", "load_banks", "plan", "render"]


@lru_cache(maxsize=2)
def load_banks(path: Path, device: str, drawings: int = 0) -> tuple[Bank, Bank]:
    """Cels to train on and cels held out, of one file; kept for the process, since they take seconds to unpack.

    Args:
        path: a file of drawings.
        device: where clips are to be made.
        drawings: most drawings of each kind; 0 = all to train on, 1,500 held out.

    Raises:
        InputError: no such file, or no drawings in it.
    """
    art, few = Art.load(path), {"figures": 40, "sets": 16}
    train, held_out = art.split("train"), art.split("validation")
    return (
        Bank.make(train, device, most=drawings or None, **(few if drawings else {})),
        Bank.make(held_out, device, most=drawings or 1500, seed=1, **few),
    )


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
