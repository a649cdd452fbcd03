"""The matcher's network, at toy size."""

from __future__ import annotations

import math
from dataclasses import fields

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from celpaint.models.matcher.network import (
    Detail,
    Lines,
    Matcher,
    Offer,
    divide,
    move,
    paint_mean,
    positions,
    quarters,
    tokens,
    windows,
)

TOY = {
    "channels": (8, 8, 16),
    "width": 16,
    "layers": 2,
    "mend_layers": 1,
    "heads": 2,
    "key": 8,
    "fine_key": 8,
    "value": 8,
    "fine_value": 4,
}


@pytest.fixture(scope="module")
def net() -> Matcher:
    """Random weights everywhere: nothing is hidden behind branches that start at zero."""
    torch.manual_seed(0)
    network = Matcher(**TOY)  # type: ignore[arg-type]
    for parameter in network.parameters():
        if parameter.ndim > 1:
            torch.nn.init.normal_(parameter, std=parameter[0].numel() ** -0.5)
    return network.eval().requires_grad_(False)


def films(frames: int, height: int = 32, width: int = 48, clips: int = 1, seed: int = 1) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    lines = (torch.rand(clips, frames, 1, height, width, generator=generator) > 0.8).float()
    return lines, torch.rand(clips, frames, 3, height, width, generator=generator)


def offer_of(net: Matcher, lines: Tensor, rgb: Tensor, prior: Tensor | None = None) -> Offer:
    return net.encode_reference(net.encode_lines(lines), lines, rgb, prior)


def close(a: Tensor, b: Tensor, tolerance: float = 2e-5) -> None:
    torch.testing.assert_close(a, b, atol=tolerance, rtol=tolerance)


def test_matching_is_a_softmax_of_cosines_over_all_tokens_and_none(net: Matcher) -> None:
    lines, rgb = films(3)
    target = net.encode_lines(lines[:, :1])
    offer = offer_of(net, lines[:, 1:], rgb[:, 1:])
    matching = net.match(target, offer)
    q = tokens(net.query(matching.fused))[0]
    none = tokens(net.none(matching.fused))[0, :, 0]
    scale = float(net.log_scale.exp())
    height, width = 32 // 8, 48 // 8
    assert matching.logits is not None
    assert matching.logits.shape == (1, height * width, 2 * height * width + 1)
    for i in range(height * width):
        logits = [
            scale * float(q[i] @ offer.key[0, j]) / (float(q[i].norm()) * float(offer.key[0, j].norm()))
            for j in range(2 * height * width)
        ]
        logits.append(float(none[i]))
        total = math.fsum(math.exp(x) for x in logits)
        weights = torch.tensor([math.exp(x) / total for x in logits])
        close(matching.logits[0, i].softmax(0), weights)
        close(matching.found[0, i], 1 - weights[-1])
        close(matching.carried[0, i, -3:], weights[:-1] @ offer.value[0, :, -3:] / (1 - weights[-1]))
        assert int(matching.best[0, i]) == max(range(len(logits) - 1), key=logits.__getitem__)


def test_rows_may_be_matched_a_few_at_a_time(net: Matcher) -> None:
    lines, rgb = films(3, clips=2)
    target, reference = divide(net.encode_lines(lines), 2)
    offer = net.encode_reference(reference, lines[:, 2:], rgb[:, 2:])
    whole, parts = net.match(target, offer), net.match(target, offer, rows=7)
    assert parts.logits is None
    close(whole.carried, parts.carried)
    close(whole.found, parts.found)
    assert torch.equal(whole.best, parts.best)
    close(whole.fine, parts.fine)


def test_fine_matching_looks_around_the_best_match(net: Matcher) -> None:
    lines, rgb = films(2)
    target = net.encode_lines(lines[:, :1])
    offer = offer_of(net, lines[:, 1:], rgb[:, 1:])
    matching = net.match(target, offer)
    reference = net.encode_lines(lines[:, 1:])
    mean = F.pad(paint_mean(rgb[0, 1:], lines[0, 1:], 4), (2, 2, 2, 2), mode="replicate")
    assert reference.quarter.shape[-2:] == (8, 12)
    for row in range(8):
        for column in range(12):
            token, quarter = (row // 2) * 6 + column // 2, 2 * (row % 2) + column % 2
            y, x = divmod(int(matching.best[0, token]), 6)
            window = mean[0, :, 2 * y : 2 * y + 6, 2 * x : 2 * x + 6].flatten(1)
            weight = matching.fine_logits[0, token, quarter].softmax(0)
            close(matching.fine[0, -3:, row, column], window @ weight)


def test_pixels_are_moved_from_where_the_second_matching_says(net: Matcher) -> None:
    lines, rgb = films(3)
    offer = offer_of(net, lines[:, 1:], rgb[:, 1:])
    generator = torch.Generator().manual_seed(0)
    best = torch.randint(0, 2 * 24, (1, 24), generator=generator)
    chosen = torch.randint(0, 36, (1, 24, 4), generator=generator)
    place = positions(best, F.one_hot(chosen, 36).float(), (4, 6), 2)
    moved = move(offer, place.view(1, 4, 6, 2, 2, 2).permute(0, 5, 1, 3, 2, 4).reshape(1, 2, 8, 12))
    for y in range(32):
        for x in range(48):
            token, quarter = (y // 8) * 6 + x // 8, 2 * (y // 4 % 2) + x // 4 % 2
            which, at = divmod(int(best[0, token]), 24)
            row, column = divmod(int(chosen[0, token, quarter]), 6)
            # the center of the chosen quarter, kept inside the picture, and from there as far as here
            cy = min(max(8 * (at // 6) - 6 + 4 * row, 0.5), 31.5) + y % 4 - 1.5
            cx = min(max(8 * (at % 6) - 6 + 4 * column, 0.5), 47.5) + x % 4 - 1.5
            fy, fx = min(max(cy, 0.5), 31.5) - 0.5, min(max(cx, 0.5), 47.5) - 0.5
            rows, columns = [math.floor(fy), math.ceil(fy)], [math.floor(fx), math.ceil(fx)]
            four = rgb[0, 1 + which][:, rows][:, :, columns]  # half-way between pixels at the border, else one pixel
            close(moved[0, :, y, x], four.mean((1, 2)), 1e-4)


def test_the_order_of_references_does_not_matter(net: Matcher) -> None:
    lines, rgb = films(4)
    target, others, colors = lines[:, :1], lines[:, 1:], rgb[:, 1:]
    order = [2, 0, 1]
    one, _ = net(target, others, colors)
    two, _ = net(target, others[:, order], colors[:, order])
    close(one.rgb, two.rgb)
    close(one.confidence, two.confidence)


def test_references_joined_are_references_given_together(net: Matcher) -> None:
    lines, rgb = films(3)
    together = offer_of(net, lines, rgb)
    apart = Offer.join([offer_of(net, lines[:, i : i + 1], rgb[:, i : i + 1]) for i in range(3)])
    for f in fields(Offer):
        a, b = getattr(together, f.name), getattr(apart, f.name)
        if isinstance(a, Tensor):
            close(a, b)
        elif isinstance(a, int):
            assert a == b == 3
        elif a is None:
            assert b is None
        else:
            for pair_a, pair_b in zip(a, b, strict=True):
                close(pair_a[0], pair_b[0])
                close(pair_a[1], pair_b[1])


def test_clips_and_targets_of_a_batch_do_not_meet(net: Matcher) -> None:
    lines, rgb = films(4, clips=2)
    batch, _ = net(lines[:, :2], lines[:, 2:], rgb[:, 2:])
    for clip in range(2):
        for frame in range(2):
            alone, _ = net(
                lines[clip : clip + 1, frame : frame + 1], lines[clip : clip + 1, 2:], rgb[clip : clip + 1, 2:]
            )
            close(batch.rgb[clip, frame], alone.rgb[0, 0])


@settings(max_examples=12, deadline=None)
@given(height=st.integers(9, 70), width=st.integers(9, 70))
def test_any_size_is_the_padded_picture_cropped(net: Matcher, height: int, width: int) -> None:
    lines, rgb = films(2, height, width)
    below, right = -height % 16, -width % 16

    def padded(x: Tensor) -> Tensor:
        return F.pad(x.flatten(0, 1), (0, right, 0, below), mode="replicate")[None]

    small, _ = net(lines[:, :1], lines[:, 1:], rgb[:, 1:])
    large, _ = net(padded(lines[:, :1]), padded(lines[:, 1:]), padded(rgb[:, 1:]))
    assert small.rgb.shape == (1, 1, 3, height, width)
    assert small.confidence.shape == (1, 1, 1, height, width)
    close(small.rgb, large.rgb[..., :height, :width])


def test_a_prior_moves_the_matching_away(net: Matcher) -> None:
    lines, rgb = films(3)
    features = net.encode_lines(lines)
    target, reference = divide(features, 1)
    assert isinstance(target, Lines)
    low = torch.zeros(1, 2, 1, 32, 48)
    low[:, 1] = math.log(0.1)
    even = net.match(target, net.encode_reference(reference, lines[:, 1:], rgb[:, 1:]))
    offer = net.encode_reference(reference, lines[:, 1:], rgb[:, 1:], low)
    lower = net.match(target, offer)
    assert even.logits is not None
    assert lower.logits is not None
    count = even.logits.shape[2] // 2
    close(lower.logits[..., :count], even.logits[..., :count])
    close(lower.logits[..., count : 2 * count], even.logits[..., count : 2 * count] + math.log(0.1))
    assert float(lower.logits.softmax(-1)[..., count:-1].sum()) < float(even.logits.softmax(-1)[..., count:-1].sum())


def test_windows_and_quarters_are_what_they_say() -> None:
    x = torch.arange(2 * 8 * 12).float().view(1, 2, 8, 12)
    q, w = quarters(x), windows(x)
    edge = F.pad(x, (2, 2, 2, 2), mode="replicate")
    for row in range(4):
        for column in range(6):
            n = row * 6 + column
            cell = x[0, :, 2 * row : 2 * row + 2, 2 * column : 2 * column + 2]
            close(q[0, n], cell.flatten(1).T)
            close(w[0, n], edge[0, :, 2 * row : 2 * row + 6, 2 * column : 2 * column + 6].flatten(1).T)


def test_paint_mean_leaves_ink_out() -> None:
    rgb = torch.full((1, 3, 8, 8), 0.75)
    lines = torch.zeros(1, 1, 8, 8)
    lines[..., 3] = 1
    rgb[..., 3] = 0
    close(paint_mean(rgb, lines, 8), torch.full((1, 3, 1, 1), 0.75), 0.01)
    close(paint_mean(rgb * 0 + 0.3, torch.ones_like(lines), 8), torch.full((1, 3, 1, 1), 0.3))


@settings(max_examples=20, deadline=None)
@given(small=st.tuples(st.integers(2, 9), st.integers(2, 9)), factor=st.tuples(st.floats(1, 3), st.floats(1, 3)))
def test_detail_stays_within_the_colors_around(small: tuple[int, int], factor: tuple[float, float]) -> None:
    torch.manual_seed(0)
    net = Detail(channels=4)
    rgb = torch.rand(1, 4, *small)
    size = (round(small[0] * factor[0]), round(small[1] * factor[1]))
    with torch.no_grad():
        full = net(rgb, torch.rand(1, 1, *small), torch.rand(1, 1, *size))
    assert full.shape == (1, 4, *size)
    high = F.max_pool2d(rgb, 3, 1, 1)
    low = -F.max_pool2d(-rgb, 3, 1, 1)
    y = ((torch.arange(size[0]) + 0.5) * small[0] / size[0]).long()
    x = ((torch.arange(size[1]) + 0.5) * small[1] / size[1]).long()
    assert bool((full <= high[:, :, y][..., x] + 1e-5).all())
    assert bool((full >= low[:, :, y][..., x] - 1e-5).all())
