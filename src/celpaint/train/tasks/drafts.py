"""The matcher's results for training clips, for networks that learn to refine them."""

from __future__ import annotations

import torch
from torch import Tensor

from celpaint.data.clips import ClipBatch
from celpaint.methods.matcher.batch import color_batch
from celpaint.methods.matcher.run import Matcher
from celpaint.methods.matcher.spec import MatcherOptions

__all__ = ["Drafter"]


class Drafter:
    """The matcher with fixed weights.

    Args:
        weights: ``small`` for those in the package, or a folder.
        device: where the clips are.

    Attributes:
        method: for drafts as a user gets them, which take longer.

    Raises:
        WeightsError: missing, broken or of another network.
    """

    def __init__(self, weights: str, device: torch.device) -> None:
        self.method = Matcher.load(MatcherOptions(weights=weights, device=str(device), dtype="float32"))

    def __call__(self, clips: ClipBatch) -> Tensor:
        """Frames 1 and later of clips, each colored from frame 0 alone: ``B T-1 3 H W`` in [0, 1]."""
        lines, color = clips.lines.float(), clips.color.float()
        return color_batch(self.method.network, lines[:, 1:], lines[:, :1], color[:, :1])
