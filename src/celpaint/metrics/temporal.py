"""Consistency in time: optical flow, warping, TC and warp error.

One flow, estimated on the **ground truth**, judges both clips, so a method can't gain by moving less.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, ClassVar

import cv2
import numpy as np
import numpy.typing as npt

from celpaint.conditions.flow import warp
from celpaint.errors import MissingExtra, OptionError
from celpaint.metrics.base import FramePair, Metric, MetricInfo
from celpaint.metrics.frame import VISIBLE
from celpaint.metrics.perceptual import to_tensor
from celpaint.metrics.sums import Compared, Mean, Ratio
from celpaint.types import Array

__all__ = [
    "DIS",
    "RAFT",
    "Flow",
    "TemporalConsistency",
    "WarpError",
    "best_flow",
    "visible",
    "visible_flicker",
    "warp_error",
]

HELD = 0.005
"""Ground truth frames that differ by a smaller RMSE show one drawing held: grain and compression, not motion."""


class Flow(ABC):
    """An optical flow estimator.

    Attributes:
        name: part of the names of the outputs made with it.
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

    Raises:
        OptionError: no such estimator.
        MissingExtra: torchvision is not installed, and RAFT was asked for by name.
    """
    known: dict[str, Callable[[], Flow]] = {
        "raft": lambda: RAFT(device),
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
    return np.asarray(cv2.cvtColor(np.rint(picture * 255).astype(np.uint8), cv2.COLOR_RGB2GRAY), np.uint8)


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
    """TC (LVCD, eq. 9): the relative warping error of the result over that of the ground truth; 1 = as consistent.

    The sum of the result's errors over the sum of the ground truth's: the stillest pairs would dominate a mean of
    ratios. On held drawings both errors vanish: those pairs are left out and counted. Warp error does see them.
    """

    history = 2
    requires = frozenset({"backward_flow"})

    def __init__(self, flow: Flow) -> None:
        self.outputs = (
            MetricInfo(f"tc_{flow.name}", "one", f"LVCD eq. 9, flow of the ground truth by {flow.about}", 3, True),
            MetricInfo(
                f"tc_{flow.name}_ratios",
                "one",
                "mean of the pairs' ratios, where the ground truth's error is over 0.01",
            ),
            MetricInfo("pairs", "ground_truth", "pairs of neighbors measured", 0),
            MetricInfo("held", "ground_truth", f"pairs left out: the drawing is held (RMSE under {HELD})", 0),
        )

    def measure(self, window: Sequence[FramePair]) -> _ConsistencySums | None:
        if len(window) < 2 or not (window[0].scored or window[1].scored):
            return None
        before, now = window
        if now.backward_flow is None:
            return None
        if np.sqrt(np.mean(np.square(now.ground_truth - before.ground_truth))) < HELD:
            return _ConsistencySums(Ratio(), Mean(), 0, 1)
        result = _relative_error(before.result, now.result, now.backward_flow)
        ground_truth = _relative_error(before.ground_truth, now.ground_truth, now.backward_flow)
        ratio = Mean(result / ground_truth, 1) if ground_truth > 0.01 else Mean()
        return _ConsistencySums(Ratio(result, ground_truth), ratio, 1, 0)

    def values(self, sums: _ConsistencySums) -> tuple[float, ...]:
        return sums.errors.value, sums.ratios.value, float(sums.pairs), float(sums.held)


def _relative_error(before: Array, now: Array, backward_flow: Array) -> float:
    """``||W(before) - now|| / ||now||``, in float64."""
    norm = float(np.linalg.norm(now.astype(np.float64)))
    return float(np.linalg.norm((warp(before, backward_flow) - now).astype(np.float64))) / max(norm, 1e-8)


class WarpError(Metric[Compared[Mean]]):
    """Warping error (Lai et al., ECCV 2018): mean squared difference, summed over RGB, of a frame and its warped
    predecessor, over pixels that neither appear nor lie on a motion boundary (Ruder et al. 2016, eq. 5 and 6). Held
    drawings count: there, any flicker is an error.
    """

    history = 2
    requires = frozenset({"backward_flow", "forward_flow"})

    def __init__(self, flow: Flow) -> None:
        about = f"in units of 1e-4, Lai et al. 2018, flow of the ground truth by {flow.about}"
        self.outputs = (
            MetricInfo(f"warp_{flow.name}", "lower", about, 2, True),
            MetricInfo(f"warp_{flow.name}_ground_truth", "ground_truth", "the same of the ground truth", 2),
        )

    def measure(self, window: Sequence[FramePair]) -> Compared[Mean] | None:
        if len(window) < 2 or not (window[0].scored or window[1].scored):
            return None
        before, now = window
        if now.backward_flow is None or now.forward_flow is None:
            return None
        mask = visible(now.backward_flow, now.forward_flow)
        if not mask.any():
            return None
        result = warp_error(before.result, now.result, now.backward_flow, mask)
        ground_truth = warp_error(before.ground_truth, now.ground_truth, now.backward_flow, mask)
        return Compared(Mean(result, 1), Mean(ground_truth, 1))

    def values(self, sums: Compared[Mean]) -> tuple[float, ...]:
        return sums.result.value, sums.ground_truth.value


def warp_error(before: Array, now: Array, backward_flow: Array, where: npt.NDArray[np.bool_]) -> float:
    """Squared difference of a frame and the warped one before, summed over RGB, mean over ``where``, in units of 1e-4.

    Args:
        before, now: ``H W 3``.
        backward_flow: ``H W 2``, where in ``before`` each pixel of ``now`` was.
        where: ``H W``, at least one True.
    """
    return 1e4 * float(np.square(warp(before, backward_flow) - now).sum(2)[where].mean(dtype=np.float64))


def visible_flicker(result: Sequence[Array], ground_truth: Sequence[Array]) -> float:
    """Of the pixels that stay exactly as they are from one frame of the ground truth to the next, the share that
    changes visibly in the result: by more than :data:`~celpaint.metrics.frame.VISIBLE` in a channel. 0 if none stays.

    Args:
        result, ground_truth: as many frames ``H W 3``, at least two.
    """
    still = changed = 0
    for (a, b), (before, now) in zip(pairwise(result), pairwise(ground_truth), strict=True):
        stays = (before == now).all(-1)
        still += int(stays.sum())
        changed += int((np.abs(b - a).max(-1) > VISIBLE)[stays].sum())
    return changed / max(still, 1)


def visible(backward_flow: Array, forward_flow: Array) -> npt.NDArray[np.bool_]:
    """``H W``, pixels already seen one frame before: the two flows cancel out, and no motion boundary is near."""
    returned = warp(forward_flow, backward_flow)
    squares = np.square(backward_flow).sum(2)
    occluded = np.square(backward_flow + returned).sum(2) > 0.01 * (squares + np.square(returned).sum(2)) + 0.5
    gradient = sum(np.square(np.gradient(backward_flow[..., c], axis=a)) for c in (0, 1) for a in (0, 1))
    return np.asarray(~(occluded | (gradient > 0.01 * squares + 0.002)), bool)
