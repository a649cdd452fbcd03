"""Attention of a video network, told from outside who attends to whom.

A window holds T positions: first the references, then the video frames. A :class:`Routing` says, in integers, which
positions every position takes its keys and values from. Training (1 reference, 14 frames) and long sampling
(1 reference, the overlapping frames of the segment before, 14 frames) are two routings of the same layers.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["ReferenceAttention", "Routing", "TemporalAttention", "TokenCrossAttention", "training_routing"]


class Group(NamedTuple):
    """Positions that can be attended together: equally many keys, the same gain."""

    positions: tuple[int, ...]
    keys: tuple[tuple[int, ...], ...]
    gain: float


@dataclass(frozen=True)
class Routing:
    """Who attends to whom in a window of T positions.

    In space (:class:`ReferenceAttention`) position t's keys are the tokens of position ``own[t]`` and those of the
    positions ``others[t]``, the latter with ``gain[t]`` times the weight (LVCD, eq. 5, 7, 8). In time
    (:class:`TemporalAttention`, temporal convolutions) the first ``references`` positions are alone, each for itself,
    and the frames after them see one another.

    Attributes:
        references: how many positions in front are references; at least one frame follows.
        own: T positions.
        others: T tuples of positions; an empty one means plain self-attention.
        gain: T factors above 0.
        groups: the window cut into as few attention calls as possible, in order of first position.
        even: the same without gains.

    Raises:
        ValueError: lengths differ or a position is outside the window.
    """

    references: int
    own: tuple[int, ...]
    others: tuple[tuple[int, ...], ...]
    gain: tuple[float, ...]
    groups: tuple[Group, ...] = field(init=False, repr=False, compare=False)
    even: Routing = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        size = len(self.own)
        if not len(self.others) == len(self.gain) == size:
            raise ValueError(f"own, others and gain differ in length: {size}, {len(self.others)}, {len(self.gain)}")
        if not 0 <= self.references < size:
            raise ValueError(f"{self.references} references leave no frame in a window of {size}")
        if any(not 0 <= p < size for p in (*self.own, *(p for row in self.others for p in row))):
            raise ValueError(f"a position is outside the window of {size}")
        if any(g <= 0 for g in self.gain):
            raise ValueError("gains are above 0")
        flat = (1.0,) * size
        object.__setattr__(self, "groups", self._grouped())
        object.__setattr__(self, "even", self if self.gain == flat else replace(self, gain=flat))

    def __len__(self) -> int:
        return len(self.own)

    def times(self, device: torch.device) -> Tensor:
        """The temporal place of every position, ``T``: 0 for references, 0, 1, 2 ... for frames."""
        return F.pad(torch.arange(len(self) - self.references, device=device), (self.references, 0))

    def _grouped(self) -> tuple[Group, ...]:
        """Keys that all are the position's own (own tokens twice) weigh the same as own tokens once."""
        found: dict[tuple[int, float], list[tuple[int, tuple[int, ...]]]] = {}
        for t, (own, others, gain) in enumerate(zip(self.own, self.others, self.gain, strict=True)):
            keys = (own,) if set(others) <= {own} else (own, *others)
            found.setdefault((len(keys), gain if len(keys) > 1 else 1.0), []).append((t, keys))
        return tuple(
            Group(tuple(t for t, _ in rows), tuple(keys for _, keys in rows), gain) for (_, gain), rows in found.items()
        )


def training_routing(frames: int, references: int = 1) -> Routing:
    """Reference Attention as trained (LVCD, eq. 5): every frame sees itself and the first reference.

    Args:
        frames: video frames after the references.
        references: reference positions; each sees itself alone.
    """
    size = references + frames
    others: tuple[tuple[int, ...], ...] = ((),) * references + ((0,),) * frames
    return Routing(references, tuple(range(size)), others, (1.0,) * size)


def _pick(x: Tensor, positions: Sequence[int]) -> Tensor:
    """``B T ...`` -> ``B len(positions) ...``; a view where the positions follow one another."""
    first = positions[0]
    if tuple(positions) == tuple(range(first, first + len(positions))):
        return x.narrow(1, first, len(positions))
    return torch.cat([x.narrow(1, p, 1) for p in positions], dim=1)


def _with_gain(q: Tensor, k: Tensor, v: Tensor, gain: float, own: int, scale: float) -> tuple[Tensor, Tensor, Tensor]:
    """Add ln(gain) to the logits of all keys after the first ``own`` by further dimensions of queries and keys.

    No bias matrix is needed, so fused attention stays possible. The constant is spread over three dimensions of 8
    bits each, so that bfloat16 has it to 24 bits as well; zeros fill up to a multiple of 8.
    """
    parts, rest = [], math.log(gain) / scale
    for _ in range(3):
        mantissa, exponent = math.frexp(rest)
        parts.append(math.ldexp(round(mantissa * 256), exponent - 8))
        rest -= parts[-1]
    more = 8 - q.shape[-1] % 8
    more += 8 if more < len(parts) else 0
    q, k, v = (F.pad(x, (0, more)) for x in (q, k, v))
    width = q.shape[-1] - more
    for i, part in enumerate(parts):
        q[..., width + i] = 1.0
        k[..., own:, width + i] = part
    return q, k, v


class ReferenceAttention(nn.Module):
    """Spatial self-attention whose keys come from where the routing says (LVCD, section 4.1 and 4.2).

    Args:
        channels: width of the tokens.
        heads: attention heads; the head width is ``channels // heads``.
    """

    def __init__(self, channels: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.to_q = nn.Linear(channels, channels, bias=False)
        self.to_k = nn.Linear(channels, channels, bias=False)
        self.to_v = nn.Linear(channels, channels, bias=False)
        self.to_out = nn.ModuleList([nn.Linear(channels, channels)])

    def forward(self, x: Tensor, routing: Routing) -> Tensor:
        """Tokens ``B T N C`` -> ``B T N C``."""
        batch, _, tokens, channels = x.shape
        q, k, v = (to(x).unflatten(-1, (self.heads, -1)) for to in (self.to_q, self.to_k, self.to_v))  # B T N h d
        scale = (channels // self.heads) ** -0.5
        outputs: list[Tensor] = []
        for positions, keys, gain in routing.groups:
            flat = [p for row in keys for p in row]
            size = len(positions)
            gq = _pick(q, positions).reshape(batch * size, tokens, self.heads, -1).transpose(1, 2)
            gk, gv = (
                _pick(y, flat).reshape(batch * size, tokens * len(keys[0]), self.heads, -1).transpose(1, 2)
                for y in (k, v)
            )
            if gain != 1.0:
                gq, gk, gv = _with_gain(gq, gk, gv, gain, tokens, scale)
            y = F.scaled_dot_product_attention(gq, gk, gv, scale=scale)[..., : channels // self.heads]
            outputs.append(y.transpose(1, 2).reshape(batch, size, tokens, channels))
        order = [t for group in routing.groups for t in group.positions]
        out = outputs[0] if len(outputs) == 1 else torch.cat(outputs, dim=1)
        if order != sorted(order):
            out = _pick(out, [order.index(t) for t in range(len(order))])
        projected: Tensor = self.to_out[0](out)
        return projected

    def matching(self, x: Tensor, frames: int) -> Tensor:
        """How every place of the last ``frames`` positions is matched to the places of position 0.

        What training may supervise where the true correspondence is known.

        Args:
            x: tokens ``B T N C``, as given to :meth:`forward`.
            frames: how many positions at the end ask.

        Returns:
            ``B frames heads N N`` logits, queries before keys.
        """
        q = self.to_q(x[:, -frames:]).unflatten(-1, (self.heads, -1)).transpose(2, 3)
        k = self.to_k(x[:, :1]).unflatten(-1, (self.heads, -1)).transpose(2, 3)
        logits: Tensor = q @ k.transpose(-1, -2) * q.shape[-1] ** -0.5
        return logits


class TemporalAttention(nn.Module):
    """Self-attention along time at every place; references are alone.

    A position that sees only itself gets its own value back, so references need no attention at all.

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

    def forward(self, x: Tensor, references: int) -> Tensor:
        """Tokens ``B T N C`` -> ``B T N C``; the first ``references`` positions see only themselves."""
        batch, size, tokens, channels = x.shape
        frames = size - references
        video = x[:, references:]
        v = self.to_v(x)
        # B T N C -> (B N) h T d
        q, k, own = (
            y.unflatten(-1, (self.heads, -1)).permute(0, 2, 3, 1, 4).reshape(batch * tokens, self.heads, frames, -1)
            for y in (self.to_q(video), self.to_k(video), v[:, references:])
        )
        y = F.scaled_dot_product_attention(q, k, own)
        y = y.unflatten(0, (batch, tokens)).permute(0, 3, 1, 2, 4).reshape(batch, frames, tokens, channels)
        out: Tensor = self.to_out[0](torch.cat([v[:, :references], y], dim=1) if references else y)
        return out


class TokenCrossAttention(nn.Module):
    """Cross-attention to a single token.

    With one key every softmax is 1, so that the result is the token's projected value at every place. Queries, keys
    and the norm in front have no effect; their weights are kept because checkpoints have them.

    Args:
        channels: width of the queries.
        context: width of the token.
    """

    def __init__(self, channels: int, context: int) -> None:
        super().__init__()
        self.to_q = nn.Linear(channels, channels, bias=False)
        self.to_k = nn.Linear(context, channels, bias=False)
        self.to_v = nn.Linear(context, channels, bias=False)
        self.to_out = nn.ModuleList([nn.Linear(channels, channels)])

    def forward(self, context: Tensor) -> Tensor:
        """Token ``B 1 D`` -> ``B 1 1 C``, to be added to tokens ``B T N C``."""
        if context.shape[1] != 1:
            raise ValueError(f"the context has {context.shape[1]} tokens, wanted 1")
        out: Tensor = self.to_out[0](self.to_v(context))
        return out[:, None]
