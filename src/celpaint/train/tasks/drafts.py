"""The matcher's results for training clips, for networks that learn to refine them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

import torch
from torch import Tensor

from celpaint.data.clips import ClipBatch
from celpaint.methods.base import Method
from celpaint.methods.matcher.batch import color_batch
from celpaint.methods.matcher.run import Matcher
from celpaint.methods.matcher.spec import MatcherOptions
from celpaint.types import Chunk, Progress, Shot, State, silent

__all__ = ["Drafter"]


class Drafter:
    """The matcher with fixed weights.

    Args:
        weights: ``small`` for those in the package, or a folder.
        device: where the clips are.

    Attributes:
        method: for drafts as a user gets them, which take longer; those of shots it has seen are kept.

    Raises:
        WeightsError: missing, broken or of another network.
    """

    def __init__(self, weights: str, device: torch.device) -> None:
        matcher = Matcher.load(MatcherOptions(weights=weights, device=str(device), dtype="float32"))
        self.network, self.method = matcher.network, _Remembering(matcher)

    def __call__(self, clips: ClipBatch) -> Tensor:
        """Frames 1 and later of clips, each colored from frame 0 alone: ``B T-1 3 H W`` in [0, 1]."""
        lines, color = clips.lines.float(), clips.color.float()
        return color_batch(self.network, lines[:, 1:], lines[:, :1], color[:, :1])


class _Remembering(Method):
    """A method that colors a shot once and keeps the result; shots are told apart by their lines and references."""

    def __init__(self, method: Method) -> None:
        self.method = method
        self.kept: dict[bytes, list[Chunk]] = {}

    def color(
        self, shot: Shot, *, done: int = 0, state: State | None = None, progress: Progress = silent
    ) -> Iterator[Chunk]:
        if state is not None:
            return self.method.color(shot, done=done, state=state, progress=progress)
        digest = hashlib.sha256()
        for picture in (*shot.lines, *(picture for r in shot.references for picture in (r.rgb, r.line))):
            digest.update(picture.tobytes())
        if digest.digest() not in self.kept:
            self.kept[digest.digest()] = list(self.method.color(shot, progress=progress))
        return iter(self.kept[digest.digest()])
