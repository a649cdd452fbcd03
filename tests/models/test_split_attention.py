from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from celpaint.models.colorize_diffusion.attention import (
    AdaptedLinear,
    CrossAttention,
    Remembered,
    SelfAttention,
    Split,
    Whole,
)

QUERY = torch.tensor([math.sqrt(2) * math.log(3), 0.0])
"""Against the keys (1, 0) and (0, 0) its logits are ln 3 and 0: weights 3/4 and 1/4."""
FOREGROUND = torch.tensor([[[1.0, 0.0], [0.0, 0.0]]])
BACKGROUND = torch.tensor([[[0.0, 1.0]]])
FIGURE = torch.tensor([[[True], [False]]])


def identity(rank: int = 0) -> CrossAttention:
    """One head of width 2 whose matrices are all the identity."""
    layer = CrossAttention(2, 2, 1, rank).requires_grad_(False)
    for linear in (layer.to_q, layer.to_k, layer.to_v, layer.to_out[0]):
        linear.weight.copy_(torch.eye(2))
    layer.to_out[0].bias.zero_()
    return layer


def split(**changes: object) -> Split:
    return replace(Split(FOREGROUND, BACKGROUND, FIGURE), **changes)  # type: ignore[arg-type]


X = QUERY.expand(1, 2, 2)


def near(seen: Tensor, wanted: list[list[float]]) -> None:
    torch.testing.assert_close(seen, torch.tensor([wanted]), atol=1e-6, rtol=0)


def test_whole_reference_is_plain_attention() -> None:
    near(identity()(X, Whole(FOREGROUND)), [[0.75, 0.0], [0.75, 0.0]])
    near(identity()(X, Whole(FOREGROUND, strength=0.5)), [[0.375, 0.0], [0.375, 0.0]])


def test_each_query_takes_the_answer_of_its_region() -> None:
    near(identity()(X, split()), [[0.75, 0.0], [0.0, 1.0]])


def test_strengths_act_before_merging() -> None:
    """Figure: 3/4 of 0.5 * (0.75, 0) and 1/4 of 0.8 * (0, 1); all of it halved."""
    given = split(foreground_strength=0.5, background_strength=0.8, merge=0.25, strength=0.5)
    near(identity()(X, given), [[0.75 * 0.5 * 0.75 / 2, 0.25 * 0.8 / 2], [0.0, 0.4]])


def test_strength_leaves_the_output_bias_alone() -> None:
    layer = identity()
    layer.to_out[0].bias.copy_(torch.tensor([0.0, 3.0]))
    near(layer(X, Whole(FOREGROUND, strength=0.0)), [[0.0, 3.0], [0.0, 3.0]])


def test_each_region_uses_its_own_lora() -> None:
    """Foreground values (x, y) become (x, y + x); background values become (x + 2y, y)."""
    layer = identity(rank=1)
    layer.to_v.lora_down_fg.weight.copy_(torch.tensor([[1.0, 0.0]]))
    layer.to_v.lora_up_fg.weight.copy_(torch.tensor([[0.0], [1.0]]))
    layer.to_v.lora_down_bg.weight.copy_(torch.tensor([[0.0, 2.0]]))
    layer.to_v.lora_up_bg.weight.copy_(torch.tensor([[1.0], [0.0]]))
    near(layer(X, split()), [[0.75, 0.75], [2.0, 1.0]])
    near(layer(X, split(adapted=False)), [[0.75, 0.0], [0.0, 1.0]])
    near(layer(X, Whole(FOREGROUND)), [[0.75, 0.0], [0.75, 0.0]])


def test_lora_equals_a_merged_matrix() -> None:
    torch.manual_seed(0)
    layer = AdaptedLinear(6, 5, rank=2).requires_grad_(False)
    for lora in (layer.lora_up_fg, layer.lora_up_bg):
        lora.weight.normal_()
    x = torch.randn(3, 6)
    for name in ("fg", "bg"):
        down, up = (layer.get_submodule(f"lora_{part}_{name}").weight for part in ("down", "up"))
        torch.testing.assert_close(layer(x, name), x @ (layer.weight + up @ down).T)


def test_lora_starts_without_effect() -> None:
    layer, x = AdaptedLinear(6, 5, rank=2), torch.randn(3, 6)
    torch.testing.assert_close(layer(x, "fg"), layer(x))
    torch.testing.assert_close(layer(x, "bg"), layer(x))


@pytest.mark.parametrize(("foreground", "background"), [(1, 1), (7, 3), (2, 300)])
def test_any_number_of_tokens(foreground: int, background: int) -> None:
    torch.manual_seed(0)
    layer = CrossAttention(32, 8, 2, rank=2).requires_grad_(False)
    x, fg, bg = torch.randn(2, 5, 32), torch.randn(1, foreground, 8), torch.randn(2, background, 8)
    figure = torch.tensor([True, False, True, False, False])[None, :, None]
    out = layer(x, Split(fg, bg, figure))
    torch.testing.assert_close(out[:, [0, 2]], layer(x[:, [0, 2]], Split(fg, fg, figure[:, [0, 2]])))
    torch.testing.assert_close(out[:, [1, 3, 4]], layer(x[:, [1, 3, 4]], Split(bg, bg, figure[:, [1, 3, 4]])))


def test_remembered_tokens_are_further_keys() -> None:
    torch.manual_seed(0)
    layer = SelfAttention(32, 2).requires_grad_(False)
    x, other = torch.randn(2, 5, 32), torch.randn(1, 4, 32)
    both = torch.cat([x, other.expand(2, -1, -1)], dim=1)
    with_memory, plain = layer(both)[:, :5], layer(x)
    torch.testing.assert_close(layer(x, Remembered(other)), with_memory)
    torch.testing.assert_close(layer(x, Remembered(other, plain=0.3)), 0.3 * plain + 0.7 * with_memory)
