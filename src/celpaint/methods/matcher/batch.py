"""Many drawings at once, each from one painted frame: quick drafts for networks that learn to refine them."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from celpaint.conditions.regions import enclosed
from celpaint.methods.matcher.surface_smoothing import calm
from celpaint.models.matcher.network import Matcher as Network

__all__ = ["color_batch"]


@torch.no_grad()
def color_batch(network: Network, lines: Tensor, reference_lines: Tensor, reference_color: Tensor) -> Tensor:
    """What the method makes of drawings, without its memory of frames just colored and without optical flow.

    Args:
        network: in evaluation mode, float32, on the device of the drawings.
        lines: ``B T 1 H W``, 1 where ink.
        reference_lines: ``B K 1 H W``; reference_color: ``B K 3 H W`` in [0, 1].

    Returns:
        ``B T 3 H W`` in [0, 1].
    """
    drawings = torch.cat([lines, reference_lines], 1)
    found = [torch.from_numpy(enclosed(line)) for line in drawings.flatten(0, 2).cpu().numpy()]
    regions = torch.stack(found).unflatten(0, drawings.shape[:2])
    decoded, _ = network(lines, reference_lines, reference_color, regions.to(lines.device))
    frames = zip(
        decoded.rgb.clamp(0, 1).flatten(0, 1).permute(0, 2, 3, 1).cpu().numpy(),
        decoded.confidence.sigmoid().flatten(0, 2).cpu().numpy(),
        lines.flatten(0, 2).cpu().numpy(),
        regions[:, : lines.shape[1]].flatten(0, 1).numpy(),
        strict=True,
    )
    smoothed = torch.from_numpy(np.stack([calm(*frame) for frame in frames])).permute(0, 3, 1, 2)
    return torch.unflatten(smoothed, 0, lines.shape[:2]).to(lines.device)
