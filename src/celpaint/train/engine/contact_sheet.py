"""Pictures and figures of what is being trained."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

if TYPE_CHECKING:
    import numpy.typing as npt

__all__ = ["psnr", "sheet"]


def psnr(a: Tensor, b: Tensor) -> float:
    """Peak signal-to-noise ratio in dB of pictures in [0, 1], over all their values; at most 100."""
    return float(-10 * (a.float() - b.float()).square().mean().clamp(min=1e-10).log10())


def sheet(rows: Sequence[Sequence[Tensor]]) -> npt.NDArray[np.uint8]:
    """Pictures ``1 H W`` or ``3 H W`` in [0, 1], all of one size, side by side in rows -> ``H W 3``."""
    lines = [torch.cat([view.float().cpu().expand(3, -1, -1) for view in row], dim=-1) for row in rows]
    whole = torch.cat(lines, dim=-2).clamp(0, 1).permute(1, 2, 0).numpy()
    return np.asarray((255 * whole).round(), np.uint8)
