"""The matcher's answers to training clips, calmed as it does in use, for networks that learn to refine them."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from celpaint.data.clips import ClipBatch
from celpaint.methods.matcher.surface_smoothing import calm
from celpaint.models.matcher.network import Matcher
from celpaint.train.tasks.matching import regions_of
from celpaint.weights.registry import find_weights
from celpaint.weights.store import load_network, read_config, read_tensors

__all__ = ["Drafter"]


class Drafter:
    """The matcher with fixed weights.

    Args:
        weights: ``small`` for those in the package, or a folder.
        device: where the clips are.

    Raises:
        WeightsError: missing, broken or of another network.
    """

    def __init__(self, weights: str, device: torch.device) -> None:
        folder = find_weights("matcher", weights)
        network = load_network(Matcher(**read_config(folder)), read_tensors(folder), source=folder)
        self.network = network.to(device=device, dtype=torch.float32).eval()

    @torch.no_grad()
    def __call__(self, clip: ClipBatch) -> Tensor:
        """What it makes of a clip's frames from frame 0: ``B T-1 3 H W`` in [0, 1]."""
        lines, reference = clip.lines.float(), clip.color[:, :1].float()
        regions = regions_of(torch.cat([lines[:, 1:], lines[:, :1]], 1)).to(lines.device)
        decoded, _ = self.network(lines[:, 1:], lines[:, :1], reference, regions)
        painted = decoded.rgb.clamp(0, 1).flatten(0, 1).permute(0, 2, 3, 1).cpu().numpy()
        sure = decoded.confidence.sigmoid().flatten(0, 2).cpu().numpy()
        drawn, enclosed = lines[:, 1:].flatten(0, 2).cpu().numpy(), regions[:, :-1].flatten(0, 1).cpu().numpy()
        calmed = np.stack([calm(*frame) for frame in zip(painted, sure, drawn, enclosed, strict=True)])
        drafts: Tensor = torch.from_numpy(calmed).permute(0, 3, 1, 2).to(lines.device).unflatten(0, (len(lines), -1))
        return drafts
