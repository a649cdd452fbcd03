"""Chroma follows the edges of the luma when it is enlarged."""

from __future__ import annotations

import numpy as np

from celpaint.frames.guided import guided_enlarge
from celpaint.frames.resize import resize


def test_the_same_size_changes_nothing() -> None:
    picture = np.random.default_rng(0).random((8, 9, 3), dtype=np.float32)
    assert guided_enlarge(picture, picture[..., 0]) is picture


def test_edges_become_as_sharp_as_the_guide_s() -> None:
    guide = np.full((64, 96), 0.2, np.float32)
    guide[:, 50:] = 0.8
    sharp = np.stack([guide * 0.5, 1 - guide, guide * 0], axis=-1)
    small = resize(sharp, (16, 24))
    plain = np.abs(resize(small, (64, 96)) - sharp).mean()
    guided = np.abs(guided_enlarge(small, guide) - sharp).mean()
    assert guided < plain / 10


def test_a_linear_function_of_the_guide_is_found_again() -> None:
    y, x = np.mgrid[:80, :120].astype(np.float32)
    guide = (0.5 + 0.4 * np.sin(x / 9) * np.cos(y / 11)).astype(np.float32)
    picture = np.stack([0.1 + 0.5 * guide, 0.9 - 0.7 * guide], axis=-1)
    found = guided_enlarge(resize(picture, (40, 60)), guide)
    assert np.abs(found - picture)[4:-4, 4:-4].max() < 0.02


def test_a_flat_guide_leaves_plain_enlarging() -> None:
    small = np.random.default_rng(0).random((6, 6, 2), dtype=np.float32)
    found = guided_enlarge(small, np.full((24, 24), 0.5, np.float32))
    assert found.shape == (24, 24, 2)
    assert small.min() - 1e-3 <= found.min() <= found.max() <= small.max() + 1e-3
