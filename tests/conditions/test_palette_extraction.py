from __future__ import annotations

import json

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from celpaint.conditions.palette.extraction import ColorMixture, extract_gmm, extract_kmeans, has_saturation
from celpaint.conditions.palette.value import Palette
from celpaint.errors import InputError, OptionError
from celpaint.types import Frame

WALL, FLOOR, SKIN, RED, INK = (214, 206, 170), (96, 132, 74), (236, 188, 160), (200, 40, 48), (20, 16, 24)


def frame(pixels: np.ndarray, alpha: np.ndarray | None = None) -> Frame:
    return Frame((pixels / 255).astype(np.float32), alpha)


def cel(width: int = 96, height: int = 72) -> tuple[Frame, np.ndarray]:
    """A flat picture of four colors with inked outlines, and its line map."""
    pixels = np.full((height, width, 3), WALL, np.uint8)
    pixels[height * 2 // 3 :] = FLOOR
    line = np.zeros((height, width), np.uint8)
    center, radius = (width // 3, height // 2), height // 4
    cv2.circle(pixels, center, radius, SKIN, -1)
    pixels[height // 8 : height // 3, width * 5 // 8 : width * 7 // 8] = RED
    cv2.circle(line, center, radius, 1, max(width // 48, 3))
    pixels[line > 0] = INK
    return frame(pixels), line.astype(np.float32)


def levels(palette: Palette) -> set[tuple[int, ...]]:
    return {tuple(round(255 * v) for v in color) for color in palette.colors}


@pytest.mark.parametrize("colors", [1, 2, 3])
def test_k_means_finds_the_least_squared_error(colors: int) -> None:
    """Against all ways to cut a row of gray levels into k, which for numbers on a line are cuts between neighbors."""
    values = np.array([0, 6, 20, 90, 100, 130, 250], float)
    picture = frame(np.repeat(values[None, :, None], 3, axis=-1))
    from itertools import combinations

    def error(cuts: tuple[int, ...]) -> float:
        return sum(float(((part - part.mean()) ** 2).sum()) for part in np.split(values, cuts))

    best = min(combinations(range(1, len(values)), colors - 1), key=error)
    wanted = {(round(float(part.mean())),) * 3 for part in np.split(values, best)}
    assert levels(extract_kmeans([picture], colors=colors)) == wanted


def test_flat_colors_are_found_exactly_and_from_dark_to_light() -> None:
    picture, line = cel()
    palette = extract_kmeans([picture], colors=4, lines=[line])
    assert levels(palette) == {WALL, FLOOR, SKIN, RED}
    lumas = palette.rgb @ np.array([0.299, 0.587, 0.114])
    assert (np.diff(lumas) > 0).all()


@pytest.mark.parametrize("width", [96, 640])
def test_ink_is_no_color_of_the_palette_where_lines_are_known(width: int) -> None:
    """At any size: reducing the picture must not mix ink into its neighbors."""
    picture, line = cel(width, width * 3 // 4)
    without = extract_kmeans([picture], colors=5, lines=[line])
    with_ink = extract_kmeans([picture], colors=5)
    ink = np.array(INK) / 255
    assert np.abs(with_ink.rgb - ink).sum(1).min() < 0.2
    assert np.abs(without.rgb - ink).sum(1).min() > 0.5


def test_pictures_of_fewer_colors_give_fewer() -> None:
    assert levels(extract_kmeans([frame(np.full((9, 9, 3), RED, np.uint8))], colors=5)) == {RED}


def test_transparent_pixels_do_not_count() -> None:
    pixels = np.full((300, 400, 3), RED, np.uint8)
    pixels[:, 201:] = SKIN
    alpha = np.ones((300, 400), np.float32)
    alpha[:, 201:] = 0
    assert levels(extract_kmeans([frame(pixels, alpha)], colors=5)) == {RED}


def test_all_frames_looked_at_count() -> None:
    frames = [frame(np.full((8, 8, 3), color, np.uint8)) for color in (WALL, FLOOR, RED)]
    assert levels(extract_kmeans(frames, colors=3)) == {WALL, FLOOR, RED}


def test_of_many_frames_ten_are_read() -> None:
    class Counted:
        read: list[int] = []  # noqa: RUF012

        def __len__(self) -> int:
            return 1000

        def __getitem__(self, index: int) -> Frame:
            self.read.append(index)
            return frame(np.full((4, 4, 3), index % 256, np.uint8))

    extract_kmeans(Counted(), colors=2)
    assert len(Counted.read) == 10
    assert Counted.read == sorted(set(Counted.read))


def test_same_seed_same_palette() -> None:
    noisy = frame(np.random.default_rng(0).integers(0, 256, (60, 80, 3)))
    assert extract_kmeans([noisy], seed=3) == extract_kmeans([noisy], seed=3)
    assert extract_gmm([noisy], seed=3) == extract_gmm([noisy], seed=3)
    assert extract_gmm([noisy], seed=3) != extract_gmm([noisy], seed=4)


def test_nothing_to_extract_from_is_said() -> None:
    picture = frame(np.full((9, 9, 3), RED, np.uint8))
    with pytest.raises(InputError, match="no frames"):
        extract_kmeans([])
    with pytest.raises(InputError, match="everything is ink or transparent"):
        extract_kmeans([picture], lines=[np.ones((9, 9), np.float32)])
    for colors in (0, 33):
        with pytest.raises(OptionError, match=f"a palette of {colors} colors"):
            extract_kmeans([picture], colors=colors)
        with pytest.raises(OptionError, match=f"a palette of {colors} colors"):
            extract_gmm([picture], colors=colors)


def test_pixels_are_too_gray_where_the_variance_of_their_channels_is_below_50() -> None:
    """(100, 100, 100 + d) has the variance 2 d^2 / 9: 50 at d = 15."""
    colors = np.array([[100, 100, 114], [100, 100, 115], [100, 100, 116], [255, 255, 255], [200, 40, 48]], float)
    assert has_saturation(colors).tolist() == [False, True, True, False, True]


def test_mixture_finds_the_colors_a_video_was_made_of() -> None:
    random = np.random.default_rng(0)
    centers, shares = np.array([RED, FLOOR, (40, 60, 200)], float), (0.5, 0.3, 0.2)
    which = random.choice(3, (40, 100), p=shares)
    pixels = np.clip(centers[which] + 4 * random.standard_normal((40, 100, 3)), 0, 255)
    mixture = ColorMixture.fit([[frame(pixels)]], components=3)
    order = [int(np.abs(mixture.means - c).sum(1).argmin()) for c in centers]
    np.testing.assert_allclose(mixture.means[order], centers, atol=1)
    np.testing.assert_allclose(mixture.weights[order], shares, atol=0.04)
    for covariance in mixture.covariances:
        np.testing.assert_allclose(covariance, 16 * np.eye(3), atol=4)


def test_information_criterion_prefers_few_gaussians_for_few_colors() -> None:
    random = np.random.default_rng(0)
    which = random.choice(3, (60, 100))
    pixels = np.array([RED, FLOOR, (40, 60, 200)], float)[which] + 4 * random.standard_normal((60, 100, 3))
    assert len(ColorMixture.fit([[frame(np.clip(pixels, 0, 255))]], components=None).weights) == 8


def test_grays_are_no_part_of_a_mixture() -> None:
    pixels = np.full((20, 20, 3), 128, np.uint8)
    with pytest.raises(InputError, match="no pixel of the frames has any color"):
        ColorMixture.fit([[frame(pixels)]])
    with pytest.raises(InputError, match="no pixel of the frames has any color"):
        ColorMixture.fit([])
    pixels[0, 0] = RED
    assert levels(extract_gmm([frame(pixels)], colors=1)) == {RED}


def test_ink_is_no_part_of_a_mixture() -> None:
    pixels = np.full((20, 20, 3), RED, np.uint8)
    line = np.zeros((20, 20), np.float32)
    pixels[10], line[10] = (0, 0, 200), 1
    assert levels(extract_gmm([frame(pixels)], colors=3, lines=[line])) == {RED}
    assert len(extract_gmm([frame(pixels)], colors=3)) == 2


MIXTURE = ColorMixture(
    np.array([0.7, 0.3]), np.array([[60.0, 80, 120], [220, 120, 60]]), np.stack([400 * np.eye(3), 900 * np.eye(3)])
)


@settings(max_examples=50)
@given(st.integers(0, 10_000), st.integers(1, 32))
def test_drawn_colors_are_apart_and_in_range(seed: int, colors: int) -> None:
    palette = MIXTURE.sample(colors, seed=seed)
    assert palette == MIXTURE.sample(colors, seed=seed)
    rgb = palette.rgb * 255
    apart = np.linalg.norm(rgb[:, None] - rgb, axis=-1) + 1000 * np.eye(len(rgb))
    assert len(palette) == colors
    assert apart.min() > 20 - 1e-3


def test_draws_follow_the_mixture() -> None:
    firsts = np.concatenate([MIXTURE.sample(1, seed=seed).rgb for seed in range(400)]) * 255
    near = np.linalg.norm(firsts[:, None] - MIXTURE.means, axis=-1).argmin(1)
    assert (near == 0).mean() == pytest.approx(0.7, abs=0.07)
    np.testing.assert_allclose(firsts[near == 0].mean(0), MIXTURE.means[0], atol=5)
    np.testing.assert_allclose(firsts[near == 0].std(0), 20, atol=3)


def test_a_mixture_too_narrow_gives_fewer_colors() -> None:
    narrow = ColorMixture(np.ones(1), np.array([[100.0, 50, 20]]), 1e-3 * np.eye(3)[None])
    assert levels(narrow.sample(5)) == {(100, 50, 20)}


def test_mixture_survives_json() -> None:
    copy = ColorMixture.from_dict(json.loads(json.dumps(MIXTURE.to_dict())))
    assert copy.sample(5, seed=7) == MIXTURE.sample(5, seed=7)


@pytest.mark.parametrize(
    "change",
    [
        {"weights": [1.0]},
        {"weights": [-1.0, 2.0]},
        {"means": "red"},
        {"covariances": [[[0.0] * 3] * 3] * 2},
        {"means": [[float("nan")] * 3] * 2},
    ],
)
def test_what_is_no_mixture_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(InputError, match="mixture of colors"):
        ColorMixture.from_dict(MIXTURE.to_dict() | change)
    with pytest.raises(InputError, match="mixture of colors"):
        ColorMixture.from_dict({})
