"""Color training clips with a method in the same way as a user's shot, for validation."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from celpaint.data.clips import ClipBatch
from celpaint.frames.resize import resize
from celpaint.methods.base import Method
from celpaint.session import Colorizer
from celpaint.types import Array, Reference, Shot

__all__ = ["color_clips"]


def color_clips(method: Method, clips: ClipBatch) -> Tensor:
    """Color the frames of clips from their frame 0, a painted picture that belongs to no frame of the shot.

    Returns:
        frames 1 and later, ``B T-1 3 H W`` in [0, 1] on the clips' device.
    """
    colored = [
        _color(method, lines, color)
        for lines, color in zip(clips.lines.float().cpu(), clips.color.float().cpu(), strict=True)
    ]
    return torch.stack(colored).to(clips.color.device)


def _color(method: Method, lines: Tensor, color: Tensor) -> Tensor:
    """Lines ``T 1 H W`` and the color of frame 0 of ``T 3 H W`` -> ``T-1 3 H W``."""
    size = lines.shape[-2], lines.shape[-1]
    drawings = [np.ascontiguousarray(line.numpy()) for line in lines[:, 0]]
    reference = Reference(_channels_last(color[0]), drawings[0], frame=None)
    session = Colorizer(method)
    colored = {drawing: frame.rgb for drawing, frame in session.drawings(Shot(drawings[1:], (reference,), size))}
    frames = [resize(colored[drawing], size) for drawing in sorted(colored)]
    return torch.from_numpy(np.stack(frames)).permute(0, 3, 1, 2)


def _channels_last(picture: Tensor) -> Array:
    return np.ascontiguousarray(picture.permute(1, 2, 0).numpy())
