from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from celpaint.models.attention import (
    ReferenceAttention,
    Routing,
    TemporalAttention,
    TokenCrossAttention,
    _with_gain,
    training_routing,
)

CHANNELS, HEADS, TOKENS = 32, 2, 6


def dense(layer: ReferenceAttention, x: Tensor, routing: Routing) -> Tensor:
    """Every position's keys side by side with a bias, as written in the paper (eq. 5, 7, 8)."""
    q, k, v = (to(x).unflatten(-1, (HEADS, -1)).transpose(2, 3) for to in (layer.to_q, layer.to_k, layer.to_v))
    rows = []
    for t in range(len(routing)):
        keys = (routing.own[t], *routing.others[t])
        logits = torch.cat([q[:, t] @ k[:, p].transpose(-1, -2) for p in keys], -1) / math.sqrt(CHANNELS // HEADS)
        logits[..., x.shape[2] :] += math.log(routing.gain[t])
        rows.append(logits.softmax(-1) @ torch.cat([v[:, p] for p in keys], -2))
    out: Tensor = layer.to_out[0](torch.stack(rows, 1).transpose(2, 3).flatten(3))
    return out


@st.composite
def routings(draw: st.DrawFn) -> Routing:
    size = draw(st.integers(2, 7))
    position = st.integers(0, size - 1)

    def each(what: st.SearchStrategy[object]) -> tuple[object, ...]:
        return tuple(draw(st.lists(what, min_size=size, max_size=size)))

    others = each(st.lists(position, max_size=2).map(tuple))
    gain = each(st.sampled_from([1.0, 10.0, 0.3]))
    return Routing(draw(st.integers(0, size - 1)), each(position), others, gain)  # type: ignore[arg-type]


@settings(deadline=None, max_examples=60)
@given(routings())
def test_any_routing_equals_the_dense_computation(routing: Routing) -> None:
    torch.manual_seed(0)
    layer = ReferenceAttention(CHANNELS, HEADS)
    x = torch.randn(2, len(routing), TOKENS, CHANNELS)
    torch.testing.assert_close(layer(x, routing), dense(layer, x, routing), atol=1e-5, rtol=1e-4)


@given(routings())
def test_groups_hold_every_position_once(routing: Routing) -> None:
    assert sorted(t for group in routing.groups for t in group.positions) == list(range(len(routing)))


def test_own_tokens_twice_cost_nothing_more() -> None:
    twice = Routing(1, (0, 1), ((0,), (0,)), (1.0, 1.0))
    assert twice.groups[0].keys == ((0,),)
    assert twice.groups[1].keys == ((1, 0),)


def test_long_sampling_takes_three_attention_calls() -> None:
    routing = Routing(
        5,
        (*range(9), *range(6, 16)),
        ((),) * 5 + ((1,), (2,), (3,), (4,)) + ((0,),) * 10,
        (1.0,) * 5 + (10.0,) * 4 + (1.0,) * 10,
    )
    assert [group.positions for group in routing.groups] == [tuple(range(5)), tuple(range(5, 9)), tuple(range(9, 19))]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("width", [16, 40, 64, 80, 62])
def test_gain_is_exact_in_half_precision(dtype: torch.dtype, width: int) -> None:
    q, k, v = (torch.randn(1, 1, 4, width, dtype=dtype) for _ in range(3))
    scale = width**-0.5
    wide_q, wide_k, wide_v = _with_gain(q, k, v, 10.0, 2, scale)
    assert wide_q.shape[-1] % 8 == 0
    assert wide_v.shape == wide_k.shape
    added = (wide_q[..., width:].double() @ wide_k[..., width:].double().transpose(-1, -2)) * scale
    wanted = torch.tensor([0, 0, math.log(10), math.log(10)], dtype=torch.float64).expand(1, 1, 4, 4)
    torch.testing.assert_close(added, wanted, atol=2e-6, rtol=0)


def test_even_has_no_gain() -> None:
    assert Routing(0, (0, 1), ((1,), (0,)), (10.0, 2.0)).even.gain == (1.0, 1.0)


@pytest.mark.parametrize(
    ("routing", "message"),
    [
        ((0, (0, 1), ((),), (1.0, 1.0)), "differ in length"),
        ((2, (0, 1), ((), ()), (1.0, 1.0)), "leave no frame"),
        ((0, (0, 2), ((), ()), (1.0, 1.0)), "outside the window"),
        ((0, (0, 1), ((), (-1,)), (1.0, 1.0)), "outside the window"),
        ((0, (0, 1), ((), ()), (1.0, 0.0)), "above 0"),
    ],
)
def test_impossible_routings_are_refused(routing: tuple[object, ...], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Routing(*routing)  # type: ignore[arg-type]


def test_references_are_alone_in_time() -> None:
    torch.manual_seed(0)
    layer = TemporalAttention(CHANNELS, HEADS)
    x = torch.randn(2, 7, TOKENS, CHANNELS)
    out = layer(x, 3)
    torch.testing.assert_close(out[:, :1], layer(x[:, :1], 0))
    torch.testing.assert_close(out[:, 1:2], layer(x[:, 1:2], 0))
    torch.testing.assert_close(out[:, 3:], layer(x[:, 3:], 0))


def test_one_token_needs_no_softmax() -> None:
    torch.manual_seed(0)
    layer = TokenCrossAttention(CHANNELS, 8)
    context, x = torch.randn(2, 1, 8), torch.randn(2, 3, TOKENS, CHANNELS)
    q, k, v = layer.to_q(x).flatten(1, 2), layer.to_k(context), layer.to_v(context)
    full = torch.nn.functional.scaled_dot_product_attention(q, k, v).unflatten(1, (3, TOKENS))
    torch.testing.assert_close(layer(context).expand_as(x), layer.to_out[0](full))
    with pytest.raises(ValueError, match="2 tokens"):
        layer(torch.randn(2, 2, 8))


def test_matching_logits_are_those_of_the_attention() -> None:
    torch.manual_seed(0)
    layer = ReferenceAttention(CHANNELS, HEADS)
    x = torch.randn(1, 4, TOKENS, CHANNELS)
    logits = layer.matching(x, 3)
    q = layer.to_q(x[0, 2]).unflatten(-1, (HEADS, -1))
    k = layer.to_k(x[0, 0]).unflatten(-1, (HEADS, -1))
    wanted = torch.einsum("nhd,mhd->hnm", q, k) / math.sqrt(CHANNELS // HEADS)
    torch.testing.assert_close(logits[0, 1], wanted)


def test_training_routing_is_equation_5() -> None:
    routing = training_routing(3)
    assert routing.own == (0, 1, 2, 3)
    assert routing.others == ((), (0,), (0,), (0,))
    assert routing.times(torch.device("cpu")).tolist() == [0, 0, 1, 2]
