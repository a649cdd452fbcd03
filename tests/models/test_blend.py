"""The blend of what was painted and what was moved."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from celpaint.models.matcher.blend import SHARPNESS, Aligned, Blend, told_of


@pytest.fixture(scope="module")
def blend() -> Blend:
    torch.manual_seed(0)
    network = Blend(channels=8, deep=12)
    torch.nn.init.normal_(network.leave.weight, std=0.3)
    return network.eval()


def given(height: int, width: int, count: int = 2) -> tuple[Tensor, Tensor, Tensor, Aligned]:
    lines, rgb, sure = torch.rand(1, 1, height, width), torch.rand(1, 3, height, width), torch.rand(1, 1, height, width)
    maps = torch.rand(count, 5, height, width).split([3, 1, 1], 1)
    aligned = Aligned(*maps, 3 * torch.randn(count, 2, height, width), torch.ones(count, 1, height, width))
    return lines, rgb, sure, aligned


@pytest.mark.parametrize(("height", "width"), [(32, 48), (37, 51), (5, 90)])
@torch.no_grad()
def test_any_size_and_nothing_but_a_convex_combination(blend: Blend, height: int, width: int) -> None:
    lines, rgb, sure, aligned = given(height, width)
    mixed = blend(lines, rgb, sure, aligned)
    assert mixed.rgb.shape == (1, 3, height, width)
    assert mixed.confidence.shape == (1, 1, height, width)
    assert mixed.share.shape == mixed.logit.shape == (2, 1, height, width)
    among = torch.cat([rgb, aligned.rgb])
    assert bool((mixed.rgb <= among.amax(0) + 1e-6).all())
    assert bool((mixed.rgb >= among.amin(0) - 1e-6).all())
    assert float(mixed.confidence.min()) >= 0
    assert float(mixed.confidence.max()) <= 1
    shares = (SHARPNESS * torch.cat([torch.zeros(1, 1, height, width), mixed.logit])).softmax(0)
    torch.testing.assert_close(mixed.share, shares[1:])
    torch.testing.assert_close(mixed.rgb, (shares * among).sum(0, keepdim=True))


@torch.no_grad()
def test_moved_pictures_are_a_set(blend: Blend) -> None:
    lines, rgb, sure, aligned = given(32, 48, 3)
    order = [2, 0, 1]
    other = Aligned(**{name: maps[order] for name, maps in vars(aligned).items()})
    a, b = blend(lines, rgb, sure, aligned), blend(lines, rgb, sure, other)
    torch.testing.assert_close(a.rgb, b.rgb)
    torch.testing.assert_close(a.confidence, b.confidence)
    torch.testing.assert_close(a.share[order], b.share)


@torch.no_grad()
def test_a_whole_share_is_a_copy_even_in_bfloat16() -> None:
    blend = Blend(channels=8, deep=12).bfloat16()
    assert blend.leave.bias is not None
    torch.nn.init.constant_(blend.leave.bias[: 4 * 4], 40.0)
    lines, rgb, sure, aligned = given(32, 48, 1)
    mixed = blend(lines, rgb, sure, aligned)
    torch.testing.assert_close(mixed.rgb, aligned.rgb, atol=0, rtol=0)
    assert bool((mixed.confidence <= aligned.trust + 1e-6).all())  # no surer than the picture was


@torch.no_grad()
def test_what_has_learnt_nothing_leaves_the_painting_nearly_as_it_is() -> None:
    lines, rgb, sure, aligned = given(32, 48)
    mixed = Blend()(lines, rgb, sure, aligned)
    assert float(mixed.share.sum(0).max()) < 0.1
    assert float((mixed.rgb - rgb).abs().max()) < 0.1


@torch.no_grad()
def test_what_has_lost_its_outline_is_not_there(blend: Blend) -> None:
    lines, rgb, sure, aligned = given(32, 48)
    gone = torch.ones(2, 1, 32, 48)
    gone[0, :, :, :24] = 0
    a, b = blend(lines, rgb, sure, aligned), blend(lines, rgb, sure, replace(aligned, outline=gone))
    assert float(b.share[0, :, :, :24].max()) < 1e-3
    torch.testing.assert_close(a.share[..., 24:], b.share[..., 24:])
    half = blend(lines, rgb, sure, replace(aligned, outline=torch.full_like(gone, 0.5)))
    torch.testing.assert_close(a.share, half.share)


def test_flow_is_told_by_length_and_tears() -> None:
    flow = torch.zeros(1, 2, 40, 60)
    flow[:, 0] = 5.0
    far, torn = told_of(flow)[0]
    torch.testing.assert_close(far, torch.full((40, 60), 0.5))
    assert float(torn.max()) == 0
    flow[:, :, :, 30:] = 0
    assert torch.nonzero(told_of(flow)[0, 1].sum(0)).flatten().tolist() == [29]
    torch.testing.assert_close(told_of(flow.flip(3))[0, 0], told_of(flow)[0, 0].flip(1))
