"""Consistency in time: optical flow, warping, TC and warp error.

One flow, estimated on the **originals**, judges both films, so a method can't gain by moving less.
"""

from __future__ import annotations

import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import cv2
import numpy as np
import numpy.typing as npt

from celpaint.conditions.flow import warp
from celpaint.errors import MissingExtra, OptionError
from celpaint.metrics import networks
from celpaint.metrics.base import Figure, Metric, Pair
from celpaint.metrics.perceptual import to_tensor
from celpaint.metrics.sums import Mean, Ratio
from celpaint.types import Array

__all__ = ["DIS", "RAFT", "Flow", "GMFlow", "TemporalConsistency", "WarpError", "best_flow", "visible"]

HELD = 0.005
"""Originals that differ by a smaller RMSE show one drawing held: grain and compression, not motion."""


class Flow(ABC):
    """An optical flow estimator.

    Attributes:
        name: part of the names of the figures made with it.
        about: which one exactly.
    """

    name: ClassVar[str]
    about: ClassVar[str]

    @abstractmethod
    def between(self, here: Array, there: Array) -> Array:
        """Where each pixel of ``here`` lies in ``there``: ``H W 2`` float32, (dx, dy) in pixels.

        Args:
            here, there: ``H W 3`` in [0, 1].
        """


class DIS(Flow):
    """Dense inverse search (Kroeger et al. 2016) as in OpenCV: no weights, milliseconds."""

    name = "dis"
    about = "OpenCV DIS, medium preset"

    def between(self, here: Array, there: Array) -> Array:
        estimator = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
        return np.asarray(estimator.calc(_gray(here), _gray(there), None), np.float32)


class GMFlow(Flow):
    """GMFlow (Xu et al. 2022), fetched once; about 5 s a frame of 512x320 on one core.

    Raises:
        WeightsError: not fetched.
    """

    name = "gmflow"
    about = "GMFlow, two scales"

    def __init__(self, device: str = "cpu") -> None:
        self.network = networks.load_gmflow().to(device)
        self.device = device

    def between(self, here: Array, there: Array) -> Array:
        import torch
        import torch.nn.functional as F

        height, width = here.shape[:2]
        padding = (0, -width % 64, 0, -height % 64)
        padded = [F.pad(to_tensor(picture).to(self.device), padding, mode="replicate") for picture in (here, there)]
        with torch.inference_mode(), warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="torch.meshgrid", category=UserWarning)
            flow = self.network(*padded)[0, :, :height, :width]
        return np.ascontiguousarray(flow.cpu().numpy().transpose(1, 2, 0))


class RAFT(Flow):
    """RAFT (Teed and Deng 2020), large, from the user's own torchvision: the flow of the LVCD paper.

    Raises:
        MissingExtra: torchvision is not installed.
    """

    name = "raft"
    about = "RAFT large, torchvision's default weights"

    def __init__(self, device: str = "cpu") -> None:
        try:
            from torchvision.models.optical_flow import (  # type: ignore[import-not-found,unused-ignore]
                Raft_Large_Weights,
                raft_large,
            )
        except (ImportError, RuntimeError):  # a torchvision of another torch raises the latter
            raise MissingExtra("torchvision", "metrics") from None
        self.network: Any = raft_large(weights=Raft_Large_Weights.DEFAULT).eval().to(device)
        self.device = device

    def between(self, here: Array, there: Array) -> Array:
        import torch
        import torch.nn.functional as F

        height, width = here.shape[:2]
        padding = (0, -width % 8, 0, -height % 8)
        padded = [
            F.pad(to_tensor(picture).to(self.device) * 2 - 1, padding, mode="replicate") for picture in (here, there)
        ]
        with torch.inference_mode():
            flow = self.network(*padded)[-1][0, :, :height, :width]
        return np.ascontiguousarray(flow.cpu().numpy().transpose(1, 2, 0))


def best_flow(name: str = "auto", device: str = "cpu") -> Flow:
    """The estimator of that name; ``auto`` takes RAFT where torchvision is there, else DIS.

    GMFlow is for those who ask for it: it holds large motions well, but matches at a quarter of the resolution and
    misses a pan by 3 pixels by one or two (docs/metrics.md).

    Raises:
        OptionError: no such estimator.
        MissingExtra, WeightsError: the one asked for by name is not there.
    """
    known: dict[str, Callable[[], Flow]] = {
        "raft": lambda: RAFT(device),
        "gmflow": lambda: GMFlow(device),
        "dis": DIS,
    }
    if name != "auto":
        if name not in known:
            raise OptionError(f"flow {name!r} is not known", wanted=f"auto, {', '.join(known)}")
        return known[name]()
    try:
        return RAFT(device)
    except MissingExtra:
        return DIS()


def _gray(picture: Array) -> npt.NDArray[np.uint8]:
    gray: npt.NDArray[np.uint8] = cv2.cvtColor(np.rint(picture * 255).astype(np.uint8), cv2.COLOR_RGB2GRAY)
    return gray


@dataclass(frozen=True)
class _ConsistencySums:
    errors: Ratio
    ratios: Mean
    pairs: int
    held: int

    def __add__(self, other: _ConsistencySums) -> _ConsistencySums:
        return _ConsistencySums(
            self.errors + other.errors, self.ratios + other.ratios, self.pairs + other.pairs, self.held + other.held
        )


class TemporalConsistency(Metric[_ConsistencySums]):
    """TC (LVCD, eq. 9): the relative warping error of the result over that of the original; 1 = as consistent.

    The sum of the result's errors over the sum of the originals', as a mean of ratios would be ruled by the stillest
    pairs. On held drawings both errors vanish: those pairs are left out and counted; warp error does see them.
    """

    history = 2
    needs = frozenset({"back"})

    def __init__(self, flow: Flow) -> None:
        self.figures = (
            Figure(f"tc_{flow.name}", "one", f"LVCD eq. 9, flow of the originals by {flow.about}", 3, True),
            Figure(f"tc_{flow.name}_ratios", "one", "mean of the pairs' ratios, errors of originals over 0.01 only"),
            Figure("pairs", "original", "pairs of neighbors measured", 0),
            Figure("held", "original", f"pairs left out: the drawing is held (RMSE under {HELD})", 0),
        )

    def measure(self, window: Sequence[Pair]) -> _ConsistencySums | None:
        if len(window) < 2 or not (window[0].scored or window[1].scored):
            return None
        before, now = window
        if now.back is None:
            return None
        if np.sqrt(np.mean(np.square(now.original - before.original))) < HELD:
            return _ConsistencySums(Ratio(), Mean(), 0, 1)
        result = _relative_error(before.result, now.result, now.back)
        original = _relative_error(before.original, now.original, now.back)
        ratio = Mean(result / original, 1) if original > 0.01 else Mean()
        return _ConsistencySums(Ratio(result, original), ratio, 1, 0)

    def figures_of(self, sums: _ConsistencySums) -> tuple[float, ...]:
        return sums.errors.value, sums.ratios.value, float(sums.pairs), float(sums.held)


def _relative_error(before: Array, now: Array, back: Array) -> float:
    """``||W(before) - now|| / ||now||``, in float64."""
    norm = float(np.linalg.norm(now.astype(np.float64)))
    return float(np.linalg.norm((warp(before, back) - now).astype(np.float64))) / max(norm, 1e-8)


@dataclass(frozen=True)
class _WarpSums:
    result: Mean
    original: Mean

    def __add__(self, other: _WarpSums) -> _WarpSums:
        return _WarpSums(self.result + other.result, self.original + other.original)


class WarpError(Metric[_WarpSums]):
    """Warping error (Lai et al., ECCV 2018): mean squared difference, summed over RGB, of a frame and its warped
    predecessor, over pixels that neither appear nor lie on a motion boundary (Ruder et al. 2016, eq. 5 and 6). Held
    drawings count: there, any flicker is an error.
    """

    history = 2
    needs = frozenset({"back", "forth"})

    def __init__(self, flow: Flow) -> None:
        about = f"in units of 1e-4, Lai et al. 2018, flow of the originals by {flow.about}"
        self.figures = (
            Figure(f"warp_{flow.name}", "lower", about, 2, True),
            Figure(f"warp_{flow.name}_original", "original", "the same of the original", 2),
        )

    def measure(self, window: Sequence[Pair]) -> _WarpSums | None:
        if len(window) < 2 or not (window[0].scored or window[1].scored):
            return None
        before, now = window
        if now.back is None or now.forth is None:
            return None
        mask = visible(now.back, now.forth)
        if not mask.any():
            return None
        result = np.square(warp(before.result, now.back) - now.result).sum(2)[mask].mean(dtype=np.float64)
        original = np.square(warp(before.original, now.back) - now.original).sum(2)[mask].mean(dtype=np.float64)
        return _WarpSums(Mean(1e4 * float(result), 1), Mean(1e4 * float(original), 1))

    def figures_of(self, sums: _WarpSums) -> tuple[float, ...]:
        return sums.result.value, sums.original.value


def visible(back: Array, forth: Array) -> npt.NDArray[np.bool_]:
    """Pixels that were there one frame before: flow forth and back cancel out, and no motion boundary runs through."""
    returned = warp(forth, back)
    squares = np.square(back).sum(2)
    occluded = np.square(back + returned).sum(2) > 0.01 * (squares + np.square(returned).sum(2)) + 0.5
    gradient = sum(np.square(np.gradient(back[..., c], axis=a)) for c in (0, 1) for a in (0, 1))
    shown: npt.NDArray[np.bool_] = ~(occluded | (gradient > 0.01 * squares + 0.002))
    return shown
