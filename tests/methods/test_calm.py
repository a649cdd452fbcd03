from __future__ import annotations

import numpy as np
import pytest

from celpaint.methods.matcher.surface_smoothing import calm
from celpaint.types import Array

SIZE = (40, 60)
LEFT, RIGHT = np.array([0.8, 0.2, 0.1], np.float32), np.array([0.1, 0.3, 0.9], np.float32)


def halves() -> tuple[Array, np.ndarray, Array]:
    """A picture of two flat halves, their numbers, and the line between them."""
    regions = np.zeros(SIZE, np.int64)
    regions[:, 30:] = 1
    line = np.zeros(SIZE, np.float32)
    line[:, 29:31] = 1
    return np.where(regions[..., None] == 0, LEFT, RIGHT), regions, line


def test_what_is_sure_stays_as_painted() -> None:
    rgb = np.random.default_rng(0).random((*SIZE, 3)).astype(np.float32)
    _, regions, line = halves()
    assert np.array_equal(calm(rgb, np.ones(SIZE, np.float32), line, regions), rgb)


def test_noise_gives_way_to_the_regions_own_color() -> None:
    flat, regions, line = halves()
    noise = np.random.default_rng(0).random((10, 20, 3)).astype(np.float32)
    rgb, confidence = flat.copy(), np.full(SIZE, 0.97, np.float32)
    rgb[5:15, 5:25], confidence[5:15, 5:25] = noise, 0.2
    rgb[5:15, 35:55], confidence[5:15, 35:55] = noise, 0.2
    out = calm(rgb, confidence, line, regions)
    paper = line == 0
    assert np.abs(out - flat)[paper].max() < 0.02
    assert np.abs(rgb - flat)[paper].max() > 0.5


def test_what_was_copied_is_kept_where_it_is_sure() -> None:
    flat, regions, line = halves()
    rgb, confidence, copied = flat.copy(), np.full(SIZE, 0.95, np.float32), np.zeros(SIZE, np.float32)
    rgb[5:15, 5:25] += 0.05
    rgb[20:30, 5:25] += 0.05
    confidence[20:30, 5:25] = 0.5
    copied[5:30, 5:25] = 1
    out = calm(rgb, confidence, line, regions, copied)
    np.testing.assert_array_equal(out[5:15, 5:25], rgb[5:15, 5:25])
    assert np.abs(out - rgb)[20:30, 5:25].min() > 0.02
    assert np.abs(calm(rgb, confidence, line, regions) - rgb)[5:15, 5:25].min() > 0.01


def test_soft_shades_go_on_across_what_is_unsure() -> None:
    y, x = np.mgrid[: SIZE[0], : SIZE[1]].astype(np.float32)
    shade = np.stack([0.2 + y / 80, 0.9 - x / 100, 0.3 + (y / 80) ** 2], -1)
    rgb, confidence = shade.copy(), np.full(SIZE, 0.97, np.float32)
    rgb[10:20, 10:30], confidence[10:20, 10:30] = 0.0, 0.1
    nothing = np.zeros(SIZE, np.float32)
    out = calm(rgb, confidence, nothing, np.zeros(SIZE, np.int64))
    assert np.abs(out - shade).max() < 0.03


def test_ink_is_left() -> None:
    rgb, regions, line = halves()
    rgb = rgb * (1 - line[..., None])
    out = calm(rgb, np.zeros(SIZE, np.float32), line, regions)
    assert np.array_equal(out[line == 1], rgb[line == 1])


def test_a_region_of_more_than_one_color_is_left() -> None:
    checks = (np.indices(SIZE).sum(0) // 4 % 2).astype(np.float32)[..., None].repeat(3, -1)
    confidence = np.full(SIZE, 0.9, np.float32)
    out = calm(checks, confidence, np.zeros(SIZE, np.float32), np.zeros(SIZE, np.int64))
    assert np.abs(out - checks).max() < 0.05


@pytest.mark.parametrize("size", [(1, 1), (3, 2), (1, 50)])
def test_regions_no_pixel_was_looked_at_in_are_left(size: tuple[int, int]) -> None:
    rgb = np.random.default_rng(1).random((*size, 3)).astype(np.float32)
    regions = np.arange(size[0] * size[1]).reshape(size)
    out = calm(rgb, np.zeros(size, np.float32), np.zeros(size, np.float32), regions)
    assert np.abs(out - rgb).max() < 1e-3
