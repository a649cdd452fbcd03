"""Regions that lines enclose."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from celpaint.conditions.regions import grow_regions, label_regions
from celpaint.types import Array


def box(gap: int = 0, width: int = 2) -> Array:
    """A box in the middle of paper, open at its upper side by ``gap`` pixels."""
    line = np.zeros((90, 120), np.float32)
    line[20:70, 30:90] = 1
    line[20 + width : 70 - width, 30 + width : 90 - width] = 0
    line[20 : 20 + width, 58 : 58 + gap] = 0
    return line


def test_a_box_is_two_regions() -> None:
    labels = label_regions(box())
    assert labels.dtype == np.int32
    assert set(np.unique(labels)) == {0, 1, 2}
    assert labels[45, 60] != labels[2, 2]
    assert np.array_equal(labels == 0, box() > 0)


def test_a_gap_does_not_join_regions_until_it_is_wide() -> None:
    tight = label_regions(box(4), gap=6)
    assert tight[45, 60] != tight[2, 2]
    wide = label_regions(box(16), gap=6)
    assert wide[45, 60] == wide[2, 2]


def test_narrow_regions_are_regions() -> None:
    line = np.zeros((60, 90), np.float32)
    line[:, 40] = line[:, 43] = 1
    labels = label_regions(line, gap=6)
    assert len({labels[30, 10], labels[30, 41], labels[30, 80]} - {0}) == 3


def test_ink_everywhere_and_nowhere() -> None:
    assert label_regions(np.ones((20, 30), np.float32)).max() == 0
    assert grow_regions(label_regions(np.ones((20, 30), np.float32))).max() == 0
    assert set(np.unique(label_regions(np.zeros((20, 30), np.float32)))) == {1}


def test_ink_takes_the_nearest_region() -> None:
    labels = label_regions(box())
    grown = grow_regions(labels)
    assert grown.min() > 0
    assert np.array_equal(grown[labels > 0], labels[labels > 0])
    assert grown[20, 60] == labels[2, 2]
    assert grown[21, 60] == labels[45, 60]


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 1000), size=st.tuples(st.integers(1, 60), st.integers(1, 60)), share=st.floats(0, 0.6))
def test_all_paper_has_a_region_and_no_ink_has(seed: int, size: tuple[int, int], share: float) -> None:
    line = (np.random.default_rng(seed).random(size) < share).astype(np.float32)
    labels = label_regions(line, gap=4)
    assert np.array_equal(labels > 0, line == 0)
