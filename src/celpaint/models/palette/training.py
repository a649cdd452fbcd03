"""What the palette video model is shown while it is trained.

Source: Wang et al., "Consistent Video Colorization via Palette Guidance", 2025, section III-B and figure 2a: palette
and image token are those of one frame of the clip, drawn at random. The paper has no dropout. The shares below are this
project's: gray tokens, because footage to be colored has no color frame; dropped palettes, for guidance.
"""

from __future__ import annotations

from enum import IntEnum

import torch
from torch import Tensor

__all__ = ["LOG_SIGMA", "PALETTE_DROPOUT", "TokenSource", "draw_dropped", "draw_token_sources", "select_tokens"]

LOG_SIGMA = (0.7, 1.6)
"""Mean and standard deviation of ln(sigma), one noise level a clip: usual for fine-tuning Stable Video Diffusion."""

PALETTE_DROPOUT = 0.1
"""Share of clips whose palette is dropped."""


class TokenSource(IntEnum):
    """The picture that an image token is of."""

    COLOR = 0
    GRAY = 1
    NOTHING = 2


TOKEN_SHARES = (0.5, 0.4, 0.1)
"""Of the sources, in training. When coloring, the token is of a reference picture, or else of the first gray frame."""


def draw_token_sources(clips: int, generator: torch.Generator | None = None) -> Tensor:
    """``B`` integers, a :class:`TokenSource` for each clip."""
    return torch.multinomial(torch.tensor(TOKEN_SHARES), clips, replacement=True, generator=generator)


def draw_dropped(clips: int, generator: torch.Generator | None = None) -> Tensor:
    """``B`` bool, True where a clip's palette is to be dropped."""
    return torch.rand(clips, generator=generator) < PALETTE_DROPOUT


def select_tokens(sources: Tensor, color: Tensor, gray: Tensor) -> Tensor:
    """Tokens ``B 1 D`` of the color frame and of the same frame in gray -> ``B 1 D``, 0 where a clip has nothing."""
    choices = torch.stack([color, gray, torch.zeros_like(color)])
    return choices[sources.to(color.device), torch.arange(len(sources), device=color.device)]
