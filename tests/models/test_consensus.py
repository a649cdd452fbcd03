"""Regions that agree on where they are, against plain loops, and in the matcher at toy size."""

from __future__ import annotations

import math
from collections import Counter

import pytest
import torch
from torch import Tensor

from celpaint.models.matcher.network import Matcher, divide
from celpaint.models.matcher.region_voting import DOUBT, SIZE, STRENGTH, Agreement, Regions, by_region, preference


def labels(seed: int, drawings: int, height: int = 40, width: int = 52, most: int = 4) -> Tensor:
    """Blobs, so that cells have a commonest number."""
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.randint(0, most, (2, drawings, -(-height // 7), -(-width // 7)), generator=generator)
    return coarse.repeat_interleave(7, 2).repeat_interleave(7, 3)[..., :height, :width]


@pytest.mark.parametrize(("size", "name"), [(8, "eighth"), (4, "quarter")])
def test_a_cell_belongs_to_the_region_most_of_its_pixels_belong_to(size: int, name: str) -> None:
    pixels = labels(0, 3)
    cells = getattr(Regions.of(pixels, 16), name)
    assert cells.shape == (2, 3, 48 // size, 64 // size)
    each = int(pixels.max()) + 1
    for clip in range(2):
        for drawing in range(3):
            for y in range(cells.shape[2]):
                for x in range(cells.shape[3]):
                    inside = [
                        int(pixels[clip, drawing, min(size * y + i, 39), min(size * x + j, 51)])
                        for i in range(size)
                        for j in range(size)
                    ]
                    count = Counter(inside)
                    number = int(cells[clip, drawing, y, x]) - each * drawing
                    assert count[number] == max(count.values())


def test_drawings_share_no_number() -> None:
    joined = Regions.join([Regions.of(labels(1, 2), 16), Regions.of(labels(2, 1), 16)])
    assert joined is not None
    seen = [set(joined.quarter[:, t].flatten().tolist()) for t in range(3)]
    assert not (seen[0] & seen[1] | seen[0] & seen[2] | seen[1] & seen[2])
    assert max(map(max, seen)) < joined.count


def test_what_is_unknown_stays_unknown() -> None:
    assert Regions.join([Regions.of(labels(1, 2), 16), None]) is None


def test_votes_and_preferences_are_those_of_plain_loops() -> None:
    own, theirs = Regions.of(labels(3, 1), 16), Regions.of(labels(4, 2), 16)
    rows, columns = own.tokens, theirs.tokens
    weight = torch.rand(2, rows.shape[1], columns.shape[1], generator=torch.Generator().manual_seed(5)).softmax(-1)
    votes = by_region(iter([weight[:, :10], weight[:, 10:]]), own, theirs)
    wanted = torch.zeros(2, own.count, theirs.count)
    for clip in range(2):
        for n, row in enumerate(rows[clip].tolist()):
            wanted[clip, row].index_add_(0, columns[clip], weight[clip, n])
    torch.testing.assert_close(votes, wanted)
    spread = Agreement(preference(votes, own, theirs), own, theirs).rows(7, 5)
    for clip in range(2):
        for n in range(5):
            mine = int(rows[clip, 7 + n])
            total = float(wanted[clip, mine].sum())
            liked = []
            for region in range(theirs.count):
                apart = abs(math.log(max(1, own.area[clip, mine])) - math.log(max(1, theirs.area[clip, region])))
                liked.append(STRENGTH * (math.log(float(wanted[clip, mine, region]) / total + DOUBT) - SIZE * apart))
            wanted_row = [liked[int(region)] - max(liked) for region in columns[clip]]
            torch.testing.assert_close(spread[clip, n], torch.tensor(wanted_row), atol=1e-4, rtol=1e-4)


def test_areas_are_those_of_the_pixels() -> None:
    regions = Regions.of(labels(3, 2, 32, 48), 16)
    assert regions.area.sum(1).tolist() == [2 * 32 * 48] * 2
    joined = Regions.join([regions, Regions.of(labels(4, 1, 32, 48), 16)])
    assert joined is not None
    assert joined.area.shape == (2, joined.count)


def test_quarters_prefer_places_of_the_regions_their_region_prefers() -> None:
    own, theirs = Regions.of(labels(6, 1), 16), Regions.of(labels(7, 2), 16)
    preferred = torch.rand(2, own.count, theirs.count, generator=torch.Generator().manual_seed(8))
    h, w = own.eighth.shape[2:]
    best = torch.randint(0, 2 * h * w, (2, h * w), generator=torch.Generator().manual_seed(9))
    found = Agreement(preferred, own, theirs).windows(best)
    assert found.shape == (2, h * w, 4, 36)
    for clip, token, quarter, place in ((0, 0, 0, 0), (0, 5, 3, 35), (1, h * w - 1, 2, 17), (1, 9, 1, 6)):
        y, x = 2 * (token // w) + quarter // 2, 2 * (token % w) + quarter % 2
        which, at = divmod(int(best[clip, token]), h * w)
        v = min(max(2 * (at // w) - 2 + place // 6, 0), 2 * h - 1)
        u = min(max(2 * (at % w) - 2 + place % 6, 0), 2 * w - 1)
        value = preferred[clip, own.quarter[clip, 0, y, x], theirs.quarter[clip, which, v, u]]
        assert found[clip, token, quarter, place] == value


def halves(at: int) -> Tensor:
    """Two regions side by side, ``1 1 32 48``."""
    regions = torch.zeros(1, 1, 32, 48, dtype=torch.int64)
    regions[..., at:] = 1
    return regions


@pytest.fixture(scope="module")
def net() -> Matcher:
    torch.manual_seed(0)
    return Matcher(channels=(8, 8, 16), width=16, layers=1, mend_layers=1, heads=2, key=8, fine_key=8, value=8).eval()


@torch.no_grad()
def test_a_region_keeps_together_in_the_matcher(net: Matcher) -> None:
    generator = torch.Generator().manual_seed(1)
    lines = (torch.rand(1, 2, 1, 32, 48, generator=generator) > 0.8).float()
    rgb = torch.rand(1, 1, 3, 32, 48, generator=generator)
    regions = torch.cat([halves(16), halves(32)], 1)

    def share_of_commonest(told: Tensor | None) -> float:
        target, reference = divide(net.encode_lines(lines, told), 1)
        best = net.match(target, net.encode_reference(reference, lines[:, 1:], rgb)).best[0]
        side = best % 6 >= 4
        left = torch.arange(24) % 6 < 2
        parts = (side[left].float().mean(), side[~left].float().mean())
        return float(sum(max(p, 1 - p) for p in parts)) / 2

    assert share_of_commonest(regions) > share_of_commonest(None)


@torch.no_grad()
def test_blocks_of_rows_change_nothing_with_regions(net: Matcher) -> None:
    generator = torch.Generator().manual_seed(2)
    lines = (torch.rand(1, 3, 1, 40, 52, generator=generator) > 0.8).float()
    rgb = torch.rand(1, 2, 3, 40, 52, generator=generator)
    target, reference = divide(net.encode_lines(lines, labels(3, 3)[:1]), 1)
    offer = net.encode_reference(reference, lines[:, 1:], rgb)
    whole, parts = net.match(target, offer), net.match(target, offer, rows=7)
    for name in ("carried", "found", "fine", "moved"):
        torch.testing.assert_close(getattr(whole, name), getattr(parts, name), atol=2e-5, rtol=2e-5)


@torch.no_grad()
def test_one_region_alone_changes_nothing(net: Matcher) -> None:
    generator = torch.Generator().manual_seed(3)
    lines = (torch.rand(1, 2, 1, 32, 48, generator=generator) > 0.8).float()
    rgb = torch.rand(1, 1, 3, 32, 48, generator=generator)
    plain, _ = net(lines[:, :1], lines[:, 1:], rgb)
    told, _ = net(lines[:, :1], lines[:, 1:], rgb, torch.zeros(1, 2, 32, 48, dtype=torch.int64))
    torch.testing.assert_close(plain.rgb, told.rgb, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(plain.confidence, told.confidence, atol=1e-5, rtol=1e-5)
