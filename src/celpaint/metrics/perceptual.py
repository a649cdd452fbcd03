"""Distances that a network sees: LPIPS and CLIP similarity."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from celpaint.errors import MissingExtra, WeightsError
from celpaint.frames.resize import resize
from celpaint.metrics.base import FrameMetric, FramePair, MetricInfo
from celpaint.metrics.networks import load_lpips, own
from celpaint.types import Array

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["CLIPSimilarity", "LPIPSDistance", "to_tensor"]


def to_tensor(picture: Array) -> Tensor:
    """``H W 3`` -> ``1 3 H W``, channels last in memory, which convolutions are quicker with."""
    import torch

    return torch.from_numpy(np.ascontiguousarray(picture)[None]).permute(0, 3, 1, 2)


class LPIPSDistance(FrameMetric):
    """LPIPS 0.1 (Zhang et al. 2018).

    Args:
        net: ``alex`` or ``vgg``; outputs of the two do not compare.
        device: where the network runs.

    Raises:
        WeightsError: the network was not fetched.
    """

    def __init__(self, net: Literal["alex", "vgg"], device: str = "cpu") -> None:
        self.network = load_lpips(net).to(device)
        self.device = device
        backbone = {"alex": "AlexNet", "vgg": "VGG16"}[net]
        self.outputs = (MetricInfo(f"lpips_{net}", "lower", f"LPIPS 0.1 on {backbone} (Zhang et al. 2018)", 4, True),)

    def of(self, pair: FramePair) -> float:
        import torch

        with torch.inference_mode():
            result, ground_truth = to_tensor(pair.result).to(self.device), to_tensor(pair.ground_truth).to(self.device)
            return float(self.network(result, ground_truth))


class CLIPSimilarity(FrameMetric):
    """Cosine of the CLIP image embeddings of result and ground truth.

    Args:
        source: a folder in the layout of transformers, or a hub id; by default ``clip`` in the cache folder.
        device: where the network runs.

    Raises:
        MissingExtra: transformers is not installed.
        WeightsError: no such folder, or not CLIP.
    """

    _MEAN = np.array([0.48145466, 0.4578275, 0.40821073], np.float32)
    _DEVIATION = np.array([0.26862954, 0.26130258, 0.27577711], np.float32)

    def __init__(self, source: str | Path | None = None, device: str = "cpu") -> None:
        source = own("clip") if source is None else source
        try:
            from transformers import CLIPVisionModelWithProjection
        except ImportError:
            raise MissingExtra("transformers", "diffusion") from None
        try:
            self.network = CLIPVisionModelWithProjection.from_pretrained(str(source)).eval().to(device)
        except (OSError, ValueError) as error:
            raise WeightsError(f"'{source}' is not a CLIP model ({error})", wanted="a folder or hub id") from None
        self.side = int(self.network.config.image_size)
        self.device = device
        name = Path(str(source)).name
        self.outputs = (MetricInfo("clip", "higher", f"cosine of CLIP image embeddings ({name})", 4, True),)

    def of(self, pair: FramePair) -> float:
        import torch
        import torch.nn.functional as F

        both = torch.cat([self._prepare(pair.result), self._prepare(pair.ground_truth)]).to(self.device)
        with torch.inference_mode():
            result, ground_truth = self.network(pixel_values=both).image_embeds
        return float(F.cosine_similarity(result, ground_truth, dim=0))

    def _prepare(self, picture: Array) -> Tensor:
        """Whole picture to the network's square, so that nothing at the sides is cropped away."""
        square = resize(picture, (self.side, self.side), "cubic")
        return to_tensor((square - self._MEAN) / self._DEVIATION)
