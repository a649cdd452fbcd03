"""Attention of ColorizeDiffusion v2. What a layer attends to is an argument; no layer remembers a mode."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["AdaptedLinear", "Adapter", "Attended", "CrossAttention", "Remembered", "SelfAttention", "Split", "Whole"]

Adapter = Literal["fg", "bg"]
"""Which LoRA a projection adds: the foreground's or the background's."""


class AdaptedLinear(nn.Linear):
    """A matrix without bias that may add one of two low-rank matrices, chosen at every call.

    Args:
        inputs, outputs: its sizes.
        rank: of the low-rank matrices; with 0 there are none and the choice has no effect.
    """

    def __init__(self, inputs: int, outputs: int, rank: int = 0) -> None:
        super().__init__(inputs, outputs, bias=False)
        self.rank = rank
        if rank:
            self.lora_down_fg = nn.Linear(inputs, rank, bias=False)
            self.lora_up_fg = nn.Linear(rank, outputs, bias=False)
            self.lora_down_bg = nn.Linear(inputs, rank, bias=False)
            self.lora_up_bg = nn.Linear(rank, outputs, bias=False)
            nn.init.zeros_(self.lora_up_fg.weight)
            nn.init.zeros_(self.lora_up_bg.weight)

    def forward(self, x: Tensor, adapter: Adapter | None = None) -> Tensor:
        """``... inputs`` -> ``... outputs``."""
        y = super().forward(x)
        if adapter is None or not self.rank:
            return y
        if adapter == "fg":
            return y + cast("Tensor", self.lora_up_fg(self.lora_down_fg(x)))
        return y + cast("Tensor", self.lora_up_bg(self.lora_down_bg(x)))


def _attend(q: Tensor, k: Tensor, v: Tensor, heads: int) -> Tensor:
    """``B N C``, ``b T C``, ``b T C`` -> ``B N C``; b is B or 1."""
    batch = len(q)
    q, k, v = (y.unflatten(-1, (heads, -1)).transpose(1, 2).expand(batch, -1, -1, -1) for y in (q, k, v))  # B h N d
    return F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)


class Attended(Protocol):
    """What a cross-attention layer attends to, and how."""

    def attend(self, layer: CrossAttention, x: Tensor) -> Tensor:
        """Queries ``B N C`` -> attention results ``B N C``, before the layer's output projection."""
        ...


@dataclass(frozen=True)
class Whole:
    """One set of tokens for all queries, with the plain weights.

    Attributes:
        tokens: ``B T D`` or ``1 T D``, any T.
        strength: factor of the result.
    """

    tokens: Tensor
    strength: float = 1.0

    def attend(self, layer: CrossAttention, x: Tensor) -> Tensor:
        """See :class:`Attended`."""
        return layer.attend(x, self.tokens) * self.strength


@dataclass(frozen=True)
class Split:
    """Split cross-attention (section 3.2, equation 1): each query takes one of two answers.

    Queries of the figure attend to the foreground tokens, all others to the background tokens, each with its own LoRA.
    The softmax is scaled by 1/sqrt(d); the 1/d that is printed in equation 1 is not what the authors run.

    Attributes:
        foreground: ``B T D`` or ``1 T D`` tokens for the figure; the paper gives those of the whole reference.
        background: ``B S D`` or ``1 S D`` tokens for everything else; S may differ from T.
        figure: ``B N 1`` or ``1 N 1``, True where a query belongs to the figure.
        foreground_strength: factor of the foreground's answer.
        background_strength: factor of the background's answer.
        merge: share of the background's answer that is mixed into the foreground's, 0 to 1.
        adapted: use the LoRA.
        strength: factor of the result.
    """

    foreground: Tensor
    background: Tensor
    figure: Tensor
    foreground_strength: float = 1.0
    background_strength: float = 1.0
    merge: float = 0.0
    adapted: bool = True
    strength: float = 1.0

    def attend(self, layer: CrossAttention, x: Tensor) -> Tensor:
        """See :class:`Attended`."""
        behind = layer.attend(x, self.background, "bg" if self.adapted else None) * self.background_strength
        front = layer.attend(x, self.foreground, "fg" if self.adapted else None) * self.foreground_strength
        front = torch.lerp(front, behind, self.merge) if self.merge else front
        return torch.where(self.figure, front, behind) * self.strength


class CrossAttention(nn.Module):
    """Attention from feature tokens to reference tokens.

    Args:
        channels: width of the queries.
        context: width of the reference tokens.
        heads: attention heads.
        rank: of the foreground and background LoRA of all three projections; 0: none.
    """

    def __init__(self, channels: int, context: int, heads: int, rank: int = 0) -> None:
        super().__init__()
        self.heads = heads
        self.to_q = AdaptedLinear(channels, channels, rank)
        self.to_k = AdaptedLinear(context, channels, rank)
        self.to_v = AdaptedLinear(context, channels, rank)
        self.to_out = nn.ModuleList([nn.Linear(channels, channels)])

    def attend(self, x: Tensor, tokens: Tensor, adapter: Adapter | None = None) -> Tensor:
        """Queries ``B N C`` and tokens ``B T D`` or ``1 T D`` -> ``B N C``, before the output projection."""
        return _attend(self.to_q(x, adapter), self.to_k(tokens, adapter), self.to_v(tokens, adapter), self.heads)

    def forward(self, x: Tensor, attended: Attended) -> Tensor:
        """``B N C`` -> ``B N C``."""
        out: Tensor = self.to_out[0](attended.attend(self, x))
        return out


@dataclass(frozen=True)
class Remembered:
    """Tokens of another picture that a self-attention layer attends to beside its own.

    Attributes:
        tokens: ``B M C`` or ``1 M C``, normalized as the layer's own.
        plain: share of the answer that ignores them, 0 to 1.
    """

    tokens: Tensor
    plain: float = 0.0


class SelfAttention(nn.Module):
    """Attention among feature tokens.

    Args:
        channels: width of the tokens.
        heads: attention heads.
    """

    def __init__(self, channels: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.to_q = nn.Linear(channels, channels, bias=False)
        self.to_k = nn.Linear(channels, channels, bias=False)
        self.to_v = nn.Linear(channels, channels, bias=False)
        self.to_out = nn.ModuleList([nn.Linear(channels, channels)])

    def _attend(self, x: Tensor, keys: Tensor) -> Tensor:
        return _attend(self.to_q(x), self.to_k(keys), self.to_v(keys), self.heads)

    def forward(self, x: Tensor, remembered: Remembered | None = None) -> Tensor:
        """``B N C`` -> ``B N C``."""
        if remembered is None:
            y = self._attend(x, x)
        else:
            y = self._attend(x, torch.cat([x, remembered.tokens.expand(len(x), -1, -1)], dim=1))
            if remembered.plain:
                y = torch.lerp(y, self._attend(x, x), remembered.plain)
        out: Tensor = self.to_out[0](y)
        return out
