"""Frechet distances between the features of all result frames and those of all ground truth frames.

Only the published networks give FID and FVD; their files are the user's own. ``fvgg`` is the same distance on VGG16
features: it ranks results, but can't be compared with published numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import cv2
import numpy as np
import scipy.linalg

from celpaint.errors import WeightsError
from celpaint.frames.color import quantize
from celpaint.metrics.base import FramePair, Metric, MetricInfo
from celpaint.metrics.networks import load_lpips, own
from celpaint.metrics.perceptual import to_tensor
from celpaint.metrics.sums import Compared, Moments
from celpaint.types import Array

if TYPE_CHECKING:
    import torch

__all__ = ["FID", "FVD", "FVGG", "frechet_distance"]


def frechet_distance(first: Moments, second: Moments) -> float:
    """Squared Frechet distance of the Gaussians fitted to two sets of features (Dowson and Landau 1982):
    ``|m1 - m2|^2 + Tr(S1 + S2 - 2 (S1 S2)^(1/2))``. NaN where a set has fewer than two.
    """
    if min(first.count, second.count) < 2:
        return float("nan")
    one, two = first.covariance, second.covariance
    values, vectors = scipy.linalg.eigh(one)
    root = vectors * np.sqrt(np.maximum(values, 0))
    # The eigenvalues of S1 S2 are those of the symmetric root^T S2 root: real and not negative.
    mixed = scipy.linalg.eigvalsh(root.T @ two @ root)
    offset = first.mean - second.mean
    return float(offset @ offset + np.trace(one) + np.trace(two) - 2 * np.sqrt(np.maximum(mixed, 0)).sum())


class _Frechet(Metric[Compared[Moments]]):
    pooled: ClassVar[bool] = True

    def values(self, sums: Compared[Moments]) -> tuple[float, ...]:
        return (frechet_distance(sums.result, sums.ground_truth),)


class FVGG(_Frechet):
    """Frechet distance of mean VGG16 features (relu5_3, 512): a stand-in where Inception is not to be had.

    Raises:
        WeightsError: the network was not fetched.
    """

    outputs = (
        MetricInfo("fvgg", "lower", "Frechet distance of VGG16 relu5_3 means; not FID, compares with no FID", 3, True),
    )

    def __init__(self, device: str = "cpu") -> None:
        self.network = load_lpips("vgg").to(device)
        self.device = device

    def measure(self, window: Sequence[FramePair]) -> Compared[Moments] | None:
        import torch

        pair = window[-1]
        if not pair.scored:
            return None
        with torch.inference_mode():
            both = torch.cat([to_tensor(pair.result), to_tensor(pair.ground_truth)]).to(self.device)
            features = self.network.features(both)[-1].mean(dim=(2, 3)).cpu().numpy()
        return Compared(Moments.of(features[:1]), Moments.of(features[1:]))


class FID(_Frechet):
    """Frechet Inception distance (Heusel et al. 2017), 2048 features, all scored frames of all clips pooled.

    Args:
        path: the TorchScript file of Inception that published FID is computed with; default: the cache folder's.

    Raises:
        WeightsError: not there, or not that network.
    """

    outputs = (MetricInfo("fid", "lower", "Inception pool3, 2048 features, all frames pooled", 3, True),)

    def __init__(self, path: Path | None = None, device: str = "cpu") -> None:
        self.network = _load_script(path or own("inception"), device)
        self.device = device

    def measure(self, window: Sequence[FramePair]) -> Compared[Moments] | None:
        import torch

        pair = window[-1]
        if not pair.scored:
            return None
        both = np.stack([quantize(pair.result, 8), quantize(pair.ground_truth, 8)]).transpose(0, 3, 1, 2)
        with torch.inference_mode():
            pictures = torch.from_numpy(np.ascontiguousarray(both)).to(self.device)
            features = self.network(pictures, return_features=True).cpu().numpy()
        return Compared(Moments.of(features[:1]), Moments.of(features[1:]))


class FVD(_Frechet):
    """Frechet video distance (Unterthiner et al. 2018): I3D logits of 16-frame windows, stride 16, at 224x224; what
    remains of a clip is left out, painted frames are not.

    Args:
        path: the TorchScript file of I3D that published FVD is computed with; default: the cache folder's.

    Raises:
        WeightsError: not there, or not that network.
    """

    outputs = (MetricInfo("fvd", "lower", "I3D, 16-frame windows, stride 16, 224x224", 2, True),)
    history = 16

    def __init__(self, path: Path | None = None, device: str = "cpu") -> None:
        self.network = _load_script(path or own("i3d"), device)
        self.device = device

    def measure(self, window: Sequence[FramePair]) -> Compared[Moments] | None:
        import torch

        if window[-1].index % self.history != self.history - 1 or len(window) < self.history:
            return None
        sides: tuple[Callable[[FramePair], Array], ...] = (lambda pair: pair.result, lambda pair: pair.ground_truth)
        films = [np.stack([_square(quantize(side(pair), 8), 224) for pair in window]) for side in sides]
        with torch.inference_mode():
            batch = torch.from_numpy(np.stack(films).transpose(0, 4, 1, 2, 3).astype(np.float32)).to(self.device)
            logits = self.network(batch, rescale=True, resize=False, return_features=True).cpu().numpy()
        return Compared(Moments.of(logits[:1]), Moments.of(logits[1:]))


def _square(picture: np.ndarray, side: int) -> np.ndarray:
    squared: np.ndarray = cv2.resize(picture, (side, side), interpolation=cv2.INTER_LINEAR)
    return squared


def _load_script(path: Path, device: str) -> torch.nn.Module:
    import warnings

    import torch

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            network: torch.nn.Module = torch.jit.load(str(path), map_location=device).eval()
    except (RuntimeError, ValueError, OSError) as error:
        raise WeightsError(f"'{path}' is not a TorchScript network ({str(error).splitlines()[0]})") from None
    return network
