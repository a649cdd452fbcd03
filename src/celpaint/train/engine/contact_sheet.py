"""Pictures and figures of what is being trained."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch.nn.functional as F
from torch import Tensor

from celpaint.frames.contact_sheet import SheetRow, contact_sheet
from celpaint.metrics import frame

if TYPE_CHECKING:
    import numpy.typing as npt

__all__ = ["psnr", "sheet"]


def psnr(a: Tensor, b: Tensor) -> float:
    """Peak signal-to-noise ratio in dB of pictures in [0, 1], over all their values; at most 100."""
    return frame.psnr(float(F.mse_loss(a.float(), b.float())))


def sheet(rows: Sequence[Sequence[Tensor]]) -> npt.NDArray[np.uint8]:
    """Pictures ``1 H W`` or ``3 H W`` in [0, 1], all of one size, side by side in rows -> ``H W 3``."""
    return contact_sheet(
        [SheetRow([view.float().cpu().expand(3, -1, -1).permute(1, 2, 0).numpy() for view in row]) for row in rows]
    )
