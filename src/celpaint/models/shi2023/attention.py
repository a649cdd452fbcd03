"""The distance attention layer (Shi et al. 2023, section 3.3, equations 3 to 5).

    distance features of the drawing and of K references   -> masks m_i, n_i           (equations 3, 4)
    color features of the references, masked by m_i        -> values
    one softmax over all positions of all references       -> f_mat, the matched colors
    f_mat and the masked colors in place, mixed by n_i     -> f_sim                    (equation 5)

References are a set: their order does not matter. Memory grows with the number of positions of a drawing times those of
the references only up to a bound, see :data:`BLOCK`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["BLOCK", "Attended", "AttentionReferences", "DistanceAttention"]

BLOCK = 2**25
"""Similarities computed at a time, at most, unless a single row has more: 128 MB in float32, where they are stored."""


@dataclass(frozen=True)
class AttentionReferences:
    """K references, as far as they can be encoded before the drawing is known.

    A convolution of two concatenated inputs is the sum of a convolution of each, so the references' half of the masks'
    convolutions is here.

    Attributes:
        key: ``B K N d``, what positions are matched by.
        color: ``B K C h w``, the color features f_yi.
        mask: ``B K C h w``, the references' half of the logits of m_i.
        share: ``B K C h w``, the references' half of the logits of n_i.
    """

    key: Tensor
    color: Tensor
    mask: Tensor
    share: Tensor

    @classmethod
    def join(cls, parts: Sequence[AttentionReferences]) -> AttentionReferences:
        """The references of all parts."""
        return cls(
            key=torch.cat([part.key for part in parts], 1),
            color=torch.cat([part.color for part in parts], 1),
            mask=torch.cat([part.mask for part in parts], 1),
            share=torch.cat([part.share for part in parts], 1),
        )


@dataclass(frozen=True)
class Attended:
    """What the layer found.

    Attributes:
        features: ``B T C h w``, f_sim of equation 5.
        confidence: ``B T 1 h w`` in [0, 1]: equation 5 applied to the masks m_i in place of the colors they mask, as
            the mean over channels. It is high where matching or position leads to colors that the masks let through.
    """

    features: Tensor
    confidence: Tensor


class DistanceAttention(nn.Module):
    """The layer.

    Args:
        channels: C, of the encoders' features.
        key: d, channels that positions are matched by.
        value: channels of color that matching transfers.
        scale: factor of the similarities before the softmax (the paper: 1).
    """

    def __init__(self, channels: int, *, key: int, value: int, scale: float = 1.0) -> None:
        super().__init__()
        self.scale = scale

        def half(*, bias: bool) -> nn.Conv2d:
            return nn.Conv2d(channels, channels, 3, padding=1, padding_mode="replicate", bias=bias)

        self.mask_reference, self.mask_target = half(bias=True), half(bias=False)
        self.share_reference, self.share_target = half(bias=True), half(bias=False)
        self.to_query = nn.Conv2d(channels, key, 1)
        self.to_key = nn.Conv2d(channels, key, 1, bias=False)  # a bias would cancel in the softmax
        self.to_value = nn.Conv2d(channels, value, 1)
        self.to_color = nn.Conv2d(value, channels, 1)

    def encode_references(self, distance: Tensor, color: Tensor) -> AttentionReferences:
        """Encode references once, for any number of drawings.

        Args:
            distance: ``B K C h w``, distance features f_di.
            color: ``B K C h w``, color features f_yi.
        """
        clips, flat = len(distance), distance.flatten(0, 1)

        def by_clip(x: Tensor) -> Tensor:
            split: Tensor = x.unflatten(0, (clips, -1))
            return split

        return AttentionReferences(
            key=by_clip(_positions(self.to_key(flat))),
            color=color,
            mask=by_clip(self.mask_reference(flat)),
            share=by_clip(self.share_reference(flat)),
        )

    def similarity(self, distance: Tensor, references: AttentionReferences) -> Tensor:
        """The logits of the matching matrix, all at once: its softmax over the last axis is M.

        Args:
            distance: ``B T C h w``, distance features f_d of drawings.

        Returns:
            ``B T N K*N``; positions row by row, references one after another.
        """
        query = _positions(self.to_query(distance.flatten(0, 1))).unflatten(0, distance.shape[:2])
        return torch.matmul(self.scale * query, references.key.flatten(1, 2)[:, None].transpose(-1, -2))

    def forward(self, distance: Tensor, references: AttentionReferences, *, rows: int | None = None) -> Attended:
        """Transfer the references' colors to drawings.

        Args:
            distance: ``B T C h w``, distance features f_d of drawings.
            references: of the same B clips.
            rows: positions of a drawing matched at a time; None for as many as :data:`BLOCK` allows. The result does
                not depend on it.
        """
        flat, frames = distance.flatten(0, 1), distance.shape[:2]
        target_mask = self.mask_target(flat).unflatten(0, frames)
        target_share = self.share_target(flat).unflatten(0, frames)
        count = references.key.shape[1]
        values = []
        share = in_place = trust_in_place = torch.zeros_like(target_mask)
        for i in range(count):
            m = (references.mask[:, i, None] + target_mask).sigmoid()  # equation 3
            n = (references.share[:, i, None] + target_share).sigmoid()  # equation 4
            masked = references.color[:, i, None] * m
            trust = m.mean(2, keepdim=True).flatten(0, 1)
            values.append(_positions(torch.cat([self.to_value(masked.flatten(0, 1)), trust], 1)))
            share, in_place, trust_in_place = share + n, in_place + n * masked, trust_in_place + n * m

        key = references.key.flatten(1, 2).repeat_interleave(frames[1], 0)
        matched = self._match(_positions(self.to_query(flat)), key, torch.cat(values, 1), rows)
        matched = matched.transpose(1, 2).unflatten(2, flat.shape[2:])
        color, trust = self.to_color(matched[:, :-1]).unflatten(0, frames), matched[:, -1:].unflatten(0, frames)

        def mixed(moved: Tensor, kept: Tensor) -> Tensor:  # equation 5
            return (1 - share / count) * moved + kept / count

        confidence = mixed(trust, trust_in_place).mean(2, keepdim=True).clamp(0, 1)
        return Attended(features=mixed(color, in_place), confidence=confidence)

    def _match(self, query: Tensor, key: Tensor, value: Tensor, rows: int | None) -> Tensor:
        """softmax(scale * query key^T) value, ``N Q d``, ``N P d``, ``N P v`` -> ``N Q v``, in blocks of rows.

        Keys and values are filled up with zeros to one width, which PyTorch's fused kernels need.
        """
        width = max(key.shape[2], value.shape[2])
        width += -width % 8
        query, key, padded = (F.pad(x, (0, width - x.shape[2]))[:, None] for x in (query, key, value))
        rows = rows or max(1, BLOCK // (len(key) * key.shape[2]))
        blocks = [
            F.scaled_dot_product_attention(block, key, padded, scale=self.scale) for block in query.split(rows, 2)
        ]
        return torch.cat(blocks, 2)[:, 0, :, : value.shape[2]]


def _positions(x: Tensor) -> Tensor:
    """``N C h w`` -> ``N h*w C``."""
    return x.flatten(2).transpose(1, 2)
