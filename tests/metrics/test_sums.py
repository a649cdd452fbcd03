"""Sums merge, whatever the order and wherever a film is cut."""

from __future__ import annotations

import math
import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from celpaint.metrics.statistics import bootstrap, paired_bootstrap
from celpaint.metrics.sums import Mean, Moments, Ratio


@given(st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=30), st.data())
def test_merged_means_equal_the_mean_of_all(values, data):
    cut = data.draw(st.integers(1, len(values) - 1))
    parts = [sum((Mean(v, 1) for v in part), Mean()) for part in (values[:cut], values[cut:])]
    merged = pickle.loads(pickle.dumps(parts[0])) + parts[1]  # as if another process had measured it
    assert merged.value == pytest.approx(np.mean(values), abs=1e-6)


@given(st.integers(2, 12), st.integers(1, 5), st.integers(0, 2**32 - 1), st.data())
def test_merged_moments_equal_numpys_mean_and_covariance(count, width, seed, data):
    features = np.random.default_rng(seed).normal(3, 2, (count, width)).astype(np.float32)
    cut = data.draw(st.integers(0, count))
    merged = Moments.of(features[:cut]) + Moments.of(features[cut:]) if 0 < cut < count else Moments.of(features)
    wide = features.astype(np.float64)
    assert merged.count == count
    np.testing.assert_allclose(merged.mean, wide.mean(0), atol=1e-9)
    np.testing.assert_allclose(merged.covariance, np.cov(wide.T).reshape(width, width), atol=1e-8)


def test_empty_sums_are_nan():
    assert math.isnan(Mean().value)
    assert math.isnan(Ratio().value)
    some = Moments.of(np.ones((2, 3)))
    assert Moments() + some is some
    assert some + Moments() is some


def test_ratio_divides_the_sums():
    assert (Ratio(1, 1) + Ratio(1, 3)).value == 0.5


def test_bootstrap_covers_the_mean_of_a_known_distribution():
    # 95 % intervals of means of 40 draws should cover the true mean in about 95 of 100 trials.
    rng = np.random.default_rng(1)
    covered = [e.low <= 5 <= e.high for e in (bootstrap(list(rng.normal(5, 2, 40))) for _ in range(100))]
    assert 88 <= sum(covered) <= 99


def test_bootstrap_of_few_clips_has_no_interval():
    assert math.isnan(bootstrap([1.0, 2.0]).low)
    assert bootstrap([1.0, math.nan, 3.0]).value == 2
    assert bootstrap([]).count == 0


def test_paired_bootstrap_of_a_constant_difference_has_no_spread():
    estimate = paired_bootstrap([2, 5, 9, 1], [1, 4, 8, 0])
    assert (estimate.value, estimate.low, estimate.high) == (1, 1, 1)
