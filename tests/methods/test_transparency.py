"""Transparency is carried from paintings to drawings region by region."""

from __future__ import annotations

import numpy as np

from celpaint.methods.matcher.flat_fill import Found
from celpaint.methods.matcher.transparency import propagate_alpha

SIZE = (32, 48)


def in_place(weight: float = 1.0, down: int = 0) -> Found:
    y, x = np.indices(SIZE, np.float32) + 0.5
    return Found(x, y + down, np.full(SIZE, weight, np.float32))


def halves(left: float, right: float) -> np.ndarray:
    alpha = np.full(SIZE, right, np.float32)
    alpha[:, :24] = left
    return alpha


REGIONS = (np.indices(SIZE)[1] >= 24).astype(np.int64)


def test_regions_take_the_alpha_they_are_found_at() -> None:
    np.testing.assert_array_equal(propagate_alpha([halves(0, 1)], [in_place()], REGIONS), halves(0, 1))


def test_a_few_wrong_votes_do_not_tear_holes() -> None:
    alpha = halves(0, 1)
    alpha[10:14, 30:36] = 0
    alpha[20:24, 4:10] = 1
    np.testing.assert_array_equal(propagate_alpha([alpha], [in_place()], REGIONS), halves(0, 1))


def test_a_region_that_is_partly_transparent_all_over_stays_so() -> None:
    carried = propagate_alpha([halves(0.4, 1)], [in_place()], REGIONS)
    np.testing.assert_allclose(carried, halves(0.4, 1), atol=1e-6)


def test_a_region_that_paintings_split_keeps_its_border() -> None:
    one_region = np.zeros(SIZE, np.int64)
    np.testing.assert_array_equal(propagate_alpha([halves(0, 1)], [in_place()], one_region), halves(0, 1))


def test_the_second_of_two_paintings_lies_below_the_first() -> None:
    alphas = [np.zeros(SIZE, np.float32), halves(1, 0)]
    carried = propagate_alpha(alphas, [in_place(down=SIZE[0])], REGIONS)
    np.testing.assert_array_equal(carried, halves(1, 0))


def test_votes_count_by_their_weight() -> None:
    alphas = [np.zeros(SIZE, np.float32), np.ones(SIZE, np.float32)]
    carried = propagate_alpha(alphas, [in_place(0.1), in_place(0.9, down=SIZE[0])], REGIONS)
    np.testing.assert_array_equal(carried, np.ones(SIZE, np.float32))
