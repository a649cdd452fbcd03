"""What the tokens of a closed region agree on.

Lines enclose regions, and what a region shows belongs together. Matching decides token by token; here the tokens of a
target region first vote for the regions of the references, and every token then prefers the regions its own region
voted for. A token in the middle of a large blank area, which sees no line of its own, so learns from those at the
border.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = ["DOUBT", "Agreement", "Regions", "by_region", "preference"]

STRENGTH = 3.0
"""What the logarithm of a region's share of the votes weighs against the logits of tokens."""

DOUBT = 0.1
"""Share of the votes that every region of the references has in any case, so that none is ruled out."""

SIZE = 0.3
"""Taken off the logarithm of the share for each power of e that two regions differ by in area."""


@dataclass(frozen=True)
class Regions:
    """To which region every token of some drawings belongs; no two drawings of a clip share a number.

    Attributes:
        eighth: ``B T h w`` int64, tokens at 1/8.
        quarter: ``B T 2h 2w`` int64, places at 1/4.
        area: ``B count`` float32, pixels of every region.
    """

    eighth: Tensor
    quarter: Tensor
    area: Tensor

    @classmethod
    def of(cls, labels: Tensor, multiple: int) -> Regions:
        """Read them off pixels: a cell belongs to the region most of its pixels belong to.

        Args:
            labels: ``B T H W`` int64, from 0 in every drawing.
            multiple: sides are filled up to it by repeating the border.
        """
        height, width = labels.shape[-2:]
        rows = torch.arange(height + -height % multiple, device=labels.device).clamp(max=height - 1)
        columns = torch.arange(width + -width % multiple, device=labels.device).clamp(max=width - 1)
        labels = labels[..., rows, :][..., columns]
        each = int(labels.max()) + 1
        labels = labels + each * torch.arange(labels.shape[1], device=labels.device)[:, None, None]
        area = torch.zeros(labels.shape[0], each * labels.shape[1], device=labels.device)
        area.scatter_add_(1, labels.flatten(1), torch.ones_like(labels, dtype=area.dtype).flatten(1))
        return cls(_cells(labels, 8), _cells(labels, 4), area)

    @staticmethod
    def join(several: Sequence[Regions | None]) -> Regions | None:
        """All drawings of all of them, numbered on; None if any is unknown."""
        known = [r for r in several if r is not None]
        if len(known) < len(several):
            return None
        first, eighth, quarter = 0, [], []
        for regions in known:
            eighth.append(regions.eighth + first)
            quarter.append(regions.quarter + first)
            first += regions.count
        return Regions(torch.cat(eighth, 1), torch.cat(quarter, 1), torch.cat([r.area for r in known], 1))

    def part(self, which: slice) -> Regions:
        """Some of the drawings."""
        return Regions(self.eighth[:, which], self.quarter[:, which], self.area)

    @property
    def count(self) -> int:
        """Number of regions; region numbers are smaller."""
        return self.area.shape[1]

    @property
    def tokens(self) -> Tensor:
        """``B T*h*w``."""
        return self.eighth.flatten(1)


def _cells(labels: Tensor, size: int) -> Tensor:
    """``B T H W`` -> ``B T H/size W/size``: the commonest number of every cell."""
    cells = labels.unflatten(3, (-1, size)).unflatten(2, (-1, size)).transpose(3, 4).flatten(4)
    commonest: Tensor = cells.mode(-1).values
    return commonest


def by_region(blocks: Iterable[Tensor], own: Regions, theirs: Regions) -> Tensor:
    """The votes of a matching matrix.

    Args:
        blocks: its rows, ``B n M`` at a time.
        own: regions of the rows, theirs: of the columns.

    Returns:
        ``B P S``: how much the rows of each of P regions weigh the columns of each of S.
    """
    rows, columns = own.tokens, theirs.tokens
    rows = rows + own.count * torch.arange(rows.shape[0], device=rows.device)[:, None]
    grouped, first = torch.zeros(rows.shape[0] * own.count, columns.shape[1], device=rows.device), 0
    for block in blocks:
        numbers = rows[:, first : first + block.shape[1]]
        grouped.index_add_(0, numbers.flatten(), block.float().flatten(0, 1))
        first += block.shape[1]
    votes = torch.zeros(rows.shape[0], own.count, theirs.count, device=rows.device)
    return votes.scatter_add_(2, columns[:, None].expand(-1, own.count, -1), grouped.unflatten(0, (-1, own.count)))


def preference(votes: Tensor, own: Regions, theirs: Regions) -> Tensor:
    """Votes ``B P S`` -> what is added to the logits of tokens, 0 for the region most preferred.

    Regions that show the same thing are of about the same size, which decides where votes are split.
    """
    share = votes.float() / votes.float().sum(2, keepdim=True).clamp(min=1e-6)
    unlike = own.area.clamp(min=1).log()[:, :, None] - theirs.area.clamp(min=1).log()[:, None]
    wanted = STRENGTH * (torch.log(share + DOUBT) - SIZE * unlike.abs())
    return wanted - wanted.amax(2, keepdim=True)


@dataclass(frozen=True)
class Agreement:
    """What the regions of drawings prefer among the regions of references.

    Attributes:
        preferred: ``B P S``, added to logits; see :func:`preference`.
        own: the P regions of the drawings; theirs: the S of the references.
    """

    preferred: Tensor
    own: Regions
    theirs: Regions

    def rows(self, first: int, count: int) -> Tensor:
        """For tokens of the drawings ``first`` to ``first + count`` and all of the references, ``B n M``."""
        rows = self.own.tokens[:, first : first + count]
        clip = torch.arange(rows.shape[0], device=rows.device)[:, None]
        return self.columns[clip, rows]

    @cached_property
    def columns(self) -> Tensor:
        """For the regions of the drawings and all tokens of the references, ``B P M``."""
        return self.preferred.gather(2, self.theirs.tokens[:, None].expand(-1, self.own.count, -1))

    def windows(self, best: Tensor) -> Tensor:
        """For the quarters of tokens and the 6 x 6 places around the token each matches best.

        Args:
            best: ``B N`` int64, a token of the references for each of the drawings.

        Returns:
            ``B N 4 36``.
        """
        clips, drawings, h, w = self.own.eighth.shape
        quarters = self.own.quarter.view(clips, drawings, h, 2, w, 2).transpose(3, 4).reshape(clips, -1, 4)
        ring = F.pad(self.theirs.quarter.double(), (2, 2, 2, 2), mode="replicate").long()
        places = ring.unfold(2, 6, 2).unfold(3, 6, 2).flatten(4).flatten(1, 3)
        clip = torch.arange(clips, device=best.device)[:, None]
        return self.preferred[clip[..., None, None], quarters[..., None], places[clip, best][:, :, None]]
