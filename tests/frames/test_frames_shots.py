import itertools

import numpy as np
import pytest
from frame_files import cel
from hypothesis import given, settings
from hypothesis import strategies as st

from celpaint.frames.shots import find_cuts, split_shots


def shot(seed: int, count: int):
    """A wall with a few discs of one palette that move a little."""
    rng = np.random.default_rng(seed)
    colors = rng.random((6, 3)).astype(np.float32)
    rows, columns = np.indices((90, 160))
    for index in range(count):
        frame = np.broadcast_to(colors[0], (90, 160, 3)).copy()
        for k in range(1, 6):
            center = (20 + 12 * k, 20 + 22 * k + index)
            frame[np.hypot(rows - center[0], columns - center[1]) < 14] = colors[k]
        yield frame


def test_cuts_between_shots_and_none_within():
    frames = [f for seed, count in [(1, 5), (2, 1), (3, 7)] for f in shot(seed, count)]
    assert find_cuts(frames) == [5, 6]
    assert find_cuts(iter(frames[:5])) == []
    assert find_cuts([]) == []
    assert find_cuts(frames[:1]) == []


def test_the_measure_by_hand():
    """All pixels of one bin, then n of them in another: RMSE = sqrt(2 n^2 / 1000)."""
    n = 1024
    a = np.zeros((128, 128, 3), np.float32)
    b = a.copy()
    b[: n // 128] = 1
    rmse = np.sqrt(2 * n**2 / 1000)
    assert find_cuts([a, b], limit=rmse - 0.01) == [1]
    assert find_cuts([a, b], limit=rmse + 0.01) == []


def test_sizes_do_not_matter():
    small, large = cel(0, 72, 96).rgb, cel(0, 72, 96).rgb.repeat(4, 0).repeat(4, 1)
    assert find_cuts([small, large, np.clip(small + 1e-6, 0, 1)]) == []
    assert find_cuts([small, 1 - large]) == [1]


@pytest.mark.parametrize(
    ("cuts", "length", "bounds", "spans"),
    [
        ([], 58, (15, 200), [(0, 58)]),
        ([20, 30], 58, (15, 200), [(0, 20), (30, 58)]),
        ([], 14, (15, 200), []),
        ([], 401, (15, 200), [(0, 133), (133, 267), (267, 401)]),
        ([5], 1000, (1, None), [(0, 5), (5, 1000)]),
        ([], 0, (1, None), []),
    ],
)
def test_split(cuts, length, bounds, spans):
    assert split_shots(cuts, length, *bounds) == [range(a, b) for a, b in spans]


@given(st.integers(0, 2000), st.sets(st.integers(1, 1999)), st.integers(1, 60), st.integers(60, 300))
@settings(deadline=None)
def test_split_keeps_within_its_bounds(length, cuts, shortest, longest):
    cuts = sorted(cut for cut in cuts if cut < length)
    shots = split_shots(cuts, length, shortest, longest)
    edges = [0, *cuts, length]
    for part in shots:
        assert shortest <= len(part) <= longest
        assert not any(part.start < cut < part.stop for cut in cuts)
    kept = sum(len(part) for part in shots)
    long_enough = sum(b - a for a, b in itertools.pairwise(edges) if 2 * shortest - 1 <= b - a)
    if shortest <= longest // 2:
        assert kept >= long_enough
    assert split_shots(cuts, length, 1, None) == [range(a, b) for a, b in itertools.pairwise(edges) if b > a]
