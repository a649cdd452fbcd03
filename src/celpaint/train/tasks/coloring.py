"""Color training clips with a method in the same way as a user's shot, for validation."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from celpaint.data.clips import ClipBatch
from celpaint.frames.resize import resize
from celpaint.methods.base import Method
from celpaint.session import Colorizer
from celpaint.types import Array, Reference, Shot

__all__ = ["color_clips", "color_shot"]


def color_clips(method: Method, clips: ClipBatch) -> Tensor:
    """Color the frames of clips from their frame 0, a painted picture that belongs to no frame of the shot.

    Returns:
        frames 1 and later, ``B T-1 3 H W`` in [0, 1] on the clips' device.
    """
    colored = [
        _color(method, _pictures(lines[1:]), (_reference(lines[0], color[0], None),))[0]
        for lines, color in zip(clips.lines, clips.color, strict=True)
    ]
    return torch.stack(colored).to(clips.color.device)


def color_shot(method: Method, lines: Tensor, color: Tensor, painted: Sequence[int]) -> tuple[Tensor, Tensor]:
    """Color a shot some of whose frames are painted.

    Args:
        lines: ``T 1 H W``; color: ``T 3 H W`` in [0, 1], of which the method sees the painted frames alone.
        painted: their indices.

    Returns:
        all frames, ``T 3 H W``, and their confidence, ``T 1 H W`` in [0, 1], on the shot's device.
    """
    references = tuple(_reference(lines[i], color[i], i) for i in painted)
    rgb, confidence = _color(method, _pictures(lines), references)
    return rgb.to(color.device), confidence.to(color.device)


def _color(method: Method, lines: Sequence[Array], references: tuple[Reference, ...]) -> tuple[Tensor, Tensor]:
    """``T 3 H W`` and ``T 1 H W``; confidence is 1 where the method has none."""
    size = lines[0].shape[0], lines[0].shape[1]
    frames = dict(Colorizer(method).drawings(Shot(lines, references, size)))
    rgb = np.stack([resize(frames[i].rgb, size) for i in range(len(lines))])
    sure = [frames[i].confidence for i in range(len(lines))]
    confidence = np.stack([np.ones(size, np.float32) if c is None else resize(c, size) for c in sure])
    return torch.from_numpy(rgb).permute(0, 3, 1, 2), torch.from_numpy(confidence)[:, None]


def _pictures(lines: Tensor) -> list[Array]:
    """``T 1 H W`` -> one ``H W`` per frame."""
    return [np.ascontiguousarray(line) for line in lines[:, 0].float().cpu().numpy()]


def _reference(line: Tensor, color: Tensor, frame: int | None) -> Reference:
    rgb = np.ascontiguousarray(color.float().cpu().permute(1, 2, 0).numpy())
    return Reference(rgb, line[0].float().cpu().numpy(), frame=frame)
