"""Pictures -> a palette: by k-means, or by sampling a Gaussian mixture.

Source: Wang et al., "Consistent Video Colorization via Palette Guidance", 2025, section III-B and III-C. The paper does
not state picture sizes, numbers of components, seeds, or what is done with ink; those are this project's.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import repeat
from typing import Any, Protocol, cast

import cv2
import numpy as np
import numpy.typing as npt

from celpaint.conditions.palette.value import MAX_COLORS, PAPER_COLORS, Palette, luma_order
from celpaint.conditions.regions import INK_THRESHOLD
from celpaint.errors import InputError, OptionError
from celpaint.frames.resize import resize
from celpaint.types import Array, Frame

__all__ = ["COMPONENTS", "ColorMixture", "Frames", "extract_gmm", "extract_kmeans", "has_saturation"]

Levels = npt.NDArray[np.float64]
"""Colors ``N 3`` on the scale of 8 bits, 0 to 255."""

WIDTH = 160
"""Pictures are reduced to at most this width before k-means, by averaging areas."""

FRAMES = 10
"""Frames that are looked at, drawn at random where there are more (section III-C)."""

PIXELS = 2000
"""Pixels a frame that a mixture is fitted to, drawn at random."""

MIN_VARIANCE = 50.0
"""Pixels whose red, green and blue, on 0 to 255, vary less are too gray for a mixture (section III-C)."""

COMPONENTS = 32
"""Gaussians of a mixture."""

BIC_COMPONENTS = (8, 16, 32, 64)
"""Numbers of Gaussians to choose from by the Bayesian information criterion."""

REGULARIZATION = 1e-3
"""Added to the variances of a mixture, in squared levels of 255."""

MIN_DISTANCE = 20.0
"""Two drawn colors are at least so far apart in RGB on 0 to 255."""

DRAWS = 4096
"""Colors drawn from a mixture before the search for distant ones ends."""


class Frames(Protocol):
    """What a clip and a list of frames have in common."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> Frame: ...


def extract_kmeans(
    frames: Frames, *, colors: int = PAPER_COLORS, lines: Sequence[Array] | None = None, seed: int = 0
) -> Palette:
    """The means of k clusters in RGB, from dark to light, rounded to 8 bits.

    k-means++ and Lloyd's algorithm from 10 starts (Wang et al. 2025, section III-B). Pixels of all frames looked at are
    clustered together; each counts by how opaque it is and by how much of it is free of ink.

    Args:
        frames: at least one, of any sizes; of more than 10, 10 are drawn at random.
        colors: k, 1 to 32. Pictures of fewer colors give fewer.
        lines: the line maps ``H W`` of the same frames, 1 where ink; ink and the pixels next to it are left out.
        seed: of the frames drawn and of the starts.

    Raises:
        InputError: no frame, or nothing in them but ink and transparency.
        OptionError: ``colors`` is out of range.
    """
    _check_count(colors)
    from sklearn.cluster import KMeans

    reduced = [_reduce(frame.rgb, _weights(frame, line)) for frame, line in _some(frames, lines, seed)]
    levels = np.concatenate([rgb for rgb, _ in reduced])
    weight = np.concatenate([w for _, w in reduced])
    points, index = np.unique(np.rint(levels), axis=0, return_inverse=True)
    if not len(points):
        raise InputError(
            "the frames have no colors to extract: everything is ink or transparent",
            wanted="painted frames",
            todo="Give colored pictures.",
        )
    count = np.bincount(index.reshape(-1), weights=weight, minlength=len(points))
    means = KMeans(min(colors, len(points)), n_init=10, random_state=seed).fit(points, sample_weight=count)
    return _palette(means.cluster_centers_)


def extract_gmm(
    frames: Frames, *, colors: int = PAPER_COLORS, lines: Sequence[Array] | None = None, seed: int = 0
) -> Palette:
    """Colors drawn from a mixture fitted to the frames themselves; see :class:`ColorMixture`."""
    return ColorMixture.fit([frames], lines=None if lines is None else [lines], seed=seed).sample(colors, seed=seed)


@dataclass(frozen=True, eq=False)
class ColorMixture:
    """Gaussians in RGB, on the scale of 0 to 255: what colors a collection of videos has.

    Attributes:
        weights: ``K``, sum 1.
        means: ``K 3``.
        covariances: ``K 3 3``.
    """

    weights: Levels
    means: Levels
    covariances: Levels

    @classmethod
    def fit(
        cls,
        videos: Iterable[Frames],
        *,
        lines: Iterable[Sequence[Array]] | None = None,
        components: int | None = COMPONENTS,
        seed: int = 0,
    ) -> ColorMixture:
        """Fit to 10 random frames of each video, without what is nearly gray (Wang et al. 2025, section III-C).

        Args:
            videos: each at least one frame.
            lines: the line maps of every video, as for :func:`extract_kmeans`.
            components: Gaussians; None: of 8, 16, 32 and 64 whatever the Bayesian information criterion prefers. Never
                more than there are different pixels.
            seed: of frames, pixels and the fit.

        Raises:
            InputError: no frame, or all of them nearly gray.
        """
        from sklearn.mixture import GaussianMixture

        random = np.random.default_rng(seed)
        maps = repeat(None) if lines is None else lines
        rows = [
            _saturated(frame, line, random)
            for video, video_lines in zip(videos, maps, strict=lines is not None)
            for frame, line in _some(video, video_lines, seed)
        ]
        pixels = np.concatenate(rows) if rows else np.empty((0, 3))
        if not len(pixels):
            raise InputError(
                "no pixel of the frames has any color: red, green and blue are nearly equal everywhere",
                wanted="colored frames",
                todo="Extract by k-means, which keeps grays, or give colored pictures.",
            )
        pixels = np.repeat(pixels, 2, axis=0) if len(pixels) == 1 else pixels  # no fit to a single one
        most = len(np.unique(pixels, axis=0))
        sizes = sorted({min(k, most) for k in (BIC_COMPONENTS if components is None else (components,))})
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a fit that has not quite settled serves as well
            fits = [
                GaussianMixture(k, reg_covar=REGULARIZATION, max_iter=200, random_state=seed).fit(pixels) for k in sizes
            ]
        best = fits[0] if len(fits) == 1 else min(fits, key=lambda fit: float(fit.bic(pixels)))
        return cls(best.weights_, best.means_, best.covariances_)

    def sample(self, colors: int = PAPER_COLORS, *, seed: int = 0) -> Palette:
        """Draw a palette: independent colors, except that one closer than 20 levels to an earlier one is drawn again.

        Args:
            colors: how many, 1 to 32. A mixture too narrow for so many distant colors gives fewer.
            seed: one for a whole video, so that all of its windows have the same palette.

        Returns:
            From dark to light, clipped to RGB and rounded to 8 bits.

        Raises:
            OptionError: ``colors`` is out of range.
        """
        _check_count(colors)
        random = np.random.default_rng(seed)
        which = random.choice(len(self.weights), DRAWS, p=self.weights / self.weights.sum())
        factors = np.linalg.cholesky(self.covariances)[which]
        drawn = self.means[which] + np.einsum("nij,nj->ni", factors, random.standard_normal((DRAWS, 3)))
        kept: list[npt.NDArray[np.float64]] = []
        for color in np.rint(np.clip(drawn, 0, 255)):
            if all(np.linalg.norm(color - other) >= MIN_DISTANCE for other in kept):
                kept.append(color)
            if len(kept) == colors:
                break
        return _palette(np.stack(kept))

    def to_dict(self) -> dict[str, Any]:
        """JSON values."""
        return {name: getattr(self, name).tolist() for name in ("weights", "means", "covariances")}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> ColorMixture:
        """From JSON values.

        Raises:
            InputError: they are no mixture.
        """
        try:
            weights, means, covariances = (np.array(values[n], float) for n in ("weights", "means", "covariances"))
            np.linalg.cholesky(covariances)
            fits = (means.shape, covariances.shape) == ((len(weights), 3), (len(weights), 3, 3))
            good = fits and bool(np.isfinite(means).all()) and bool((weights >= 0).all()) and weights.sum() > 0
        except (KeyError, TypeError, ValueError, np.linalg.LinAlgError):
            good = False
        if not good:
            raise InputError(
                "these are not the parameters of a mixture of colors",
                wanted="weights K, means K 3 and covariances K 3 3",
            )
        return cls(weights, means, covariances)


def has_saturation(levels: Levels) -> npt.NDArray[np.bool_]:
    """Which of ``N 3`` colors on 0 to 255 are not nearly gray: the variance of their three values is 50 or more."""
    return cast("npt.NDArray[np.bool_]", levels.var(axis=-1) >= MIN_VARIANCE)


def _check_count(colors: int) -> None:
    if not 1 <= colors <= MAX_COLORS:
        raise OptionError(f"a palette of {colors} colors", wanted=f"1 to {MAX_COLORS}")


def _some(frames: Frames, lines: Sequence[Array] | None, seed: int) -> Iterator[tuple[Frame, Array | None]]:
    """At most 10 frames and their line maps, in order, read one at a time."""
    if len(frames) == 0:
        raise InputError("there are no frames to extract colors from", wanted="at least one")
    count = min(len(frames), FRAMES)
    chosen = sorted(np.random.default_rng(seed).choice(len(frames), count, replace=False).tolist())
    return ((frames[i], None if lines is None else lines[i]) for i in chosen)


def _weights(frame: Frame, line: Array | None) -> Array:
    """``H W`` in [0, 1]: how much every pixel counts; 0 on ink and on the pixels around it."""
    weight = np.ones(frame.size, np.float32) if frame.alpha is None else frame.alpha
    if line is None:
        return weight
    ink = cv2.dilate((line >= INK_THRESHOLD).astype(np.uint8), np.ones((3, 3), np.uint8))
    free: Array = weight * (ink == 0)
    return free


def _reduce(rgb: Array, weight: Array) -> tuple[Levels, Levels]:
    """``N 3`` colors on 0 to 255 and ``N`` weights above 0, of the picture at 160 pixels of width or its own."""
    height, width = weight.shape
    if width > WIDTH:
        size = (max(round(height * WIDTH / width), 1), WIDTH)
        total, summed = resize(weight, size), resize(rgb * weight[..., None], size)
        rgb, weight = np.divide(summed, np.maximum(total, 1e-6)[..., None], dtype=np.float32), total
    free = weight > 1e-3
    return np.clip(rgb[free].astype(np.float64), 0, 1) * 255, weight[free].astype(np.float64)


def _saturated(frame: Frame, line: Array | None, random: np.random.Generator) -> Levels:
    """At most 2,000 random pixels ``N 3`` of a frame that are neither nearly gray, ink nor mostly transparent."""
    levels = frame.rgb[_weights(frame, line) >= 0.5].astype(np.float64) * 255
    levels = levels[has_saturation(levels)]
    return levels[random.permutation(len(levels))[:PIXELS]]


def _palette(levels: Levels) -> Palette:
    rgb = (np.rint(np.clip(levels, 0, 255)) / 255).astype(np.float32)
    return Palette.from_array(rgb[luma_order(rgb)]).distinct()
