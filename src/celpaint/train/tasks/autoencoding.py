"""Training the line-aware autoencoder: L1, L1 of gradients, a little KL, and the line art for the decoder."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import torch
from msgspec import Meta
from torch import Tensor

from celpaint.data.clips import ClipBatch
from celpaint.models.line_vae import LineVAE, LineVAEConfig
from celpaint.train.engine.contact_sheet import psnr, sheet
from celpaint.train.engine.recipe import Recipe, from_table
from celpaint.train.engine.tables import Count, NonNegative
from celpaint.train.engine.task import Task
from celpaint.train.tasks.clips import Clips
from celpaint.weights.store import load_network, read_tensors

if TYPE_CHECKING:
    import numpy.typing as npt

__all__ = ["Autoencoding", "AutoencodingOptions", "gradient_l1"]


@dataclass(frozen=True, kw_only=True)
class AutoencodingOptions:
    """The ``[task]`` table of a recipe.

    Attributes:
        gradient_weight: weight of the L1 of differences between neighboring pixels.
        kl_weight: weight of the divergence of the latents from the standard normal.
        momentum: share of a batch in the latents' running mean and variance.
        validation_clips: clips for each line style.
    """

    gradient_weight: NonNegative = 0.5
    kl_weight: NonNegative = 1e-3
    momentum: Annotated[float, Meta(gt=0, le=1)] = 0.05
    validation_clips: Count = 6


class Autoencoding(Task[LineVAE, ClipBatch]):
    """Trains :class:`~celpaint.models.line_vae.LineVAE`; ``run.monitor`` may be ``psnr`` (highest)."""

    network: LineVAE

    def __init__(self, network: LineVAE, options: AutoencodingOptions, clips: Clips) -> None:
        self.network, self.options, self.clips = network, options, clips

    @classmethod
    def build(cls, recipe: Recipe, device: torch.device) -> Autoencoding:
        options = from_table(AutoencodingOptions, recipe.task, "task")
        network = LineVAE(from_table(LineVAEConfig, recipe.network, "network"))
        if recipe.init.weights:
            folder = Path(recipe.init.weights)
            load_network(network, read_tensors(folder), source=folder).requires_grad_(True)
        network.gradient_checkpointing = recipe.run.gradient_checkpointing
        # neighboring frames follow each other closely, as in the clips that are decoded
        clips = Clips(recipe.data, device, spec={"distance": (1, 2), "stride": (1, 2)}, distance=(1, 1))
        return cls(network.to(device), options, clips)

    def export_config(self) -> Mapping[str, Any]:
        return self.network.config.to_dict()

    def batches(self, seed: int, start: int) -> Iterator[ClipBatch]:
        return self.clips.batches(seed, start)

    def frames(self, batch: ClipBatch) -> int:
        return batch.color.shape[0] * batch.color.shape[1]

    def loss(self, batch: ClipBatch) -> tuple[Tensor, dict[str, Any]]:
        color, lines, frames = 2 * batch.color.flatten(0, 1) - 1, batch.lines.flatten(0, 1), batch.color.shape[1]
        latents = self.network.moments(color)
        self.network.measure(latents, self.options.momentum)
        rgb = self.network.decode_moments(latents.sample(), lines, frames)
        l1, gradient, kl = (rgb - color).abs().mean(), gradient_l1(rgb, color), latents.kl()
        loss = l1 + self.options.gradient_weight * gradient + self.options.kl_weight * kl
        return loss, {"l1": l1, "gradient": gradient, "kl": kl}

    def validate(self, network: LineVAE) -> dict[str, float]:
        """PSNR in dB by line style, with latents as encoded, and their mean."""
        figures = {}
        for line_style in ("soft", "binary", "thick"):
            found = [
                psnr(self._reconstruct(network, clip), clip.color)
                for clip in self.clips.validation(1, line_style, self.options.validation_clips)
            ]
            figures[f"psnr_{line_style}"] = float(np.mean(found))
        return {"psnr": float(np.mean(list(figures.values()))), **figures}

    def sample_sheet(self, network: LineVAE) -> npt.NDArray[np.uint8]:
        """Rows of line art, truth, result, their difference times four."""
        rows = []
        for line_style in ("soft", "binary", "pencil"):
            for clip in self.clips.validation(1, line_style, 1):
                rgb, truth = self._reconstruct(network, clip)[0, -1], clip.color[0, -1]
                rows.append([1 - clip.lines[0, -1], truth, rgb, (4 * (rgb - truth)).abs()])
        return sheet(rows)

    def _reconstruct(self, network: LineVAE, clip: ClipBatch) -> Tensor:
        """``B T 3 H W`` in [0, 1], from the likeliest latents."""
        size = clip.color.shape[:2]
        latents = network.encode(2 * clip.color.flatten(0, 1) - 1).mode()
        rgb = network.decode(latents, clip.lines.flatten(0, 1), size[1])
        clips: Tensor = (0.5 * rgb + 0.5).clamp(0, 1).unflatten(0, size)
        return clips


def gradient_l1(a: Tensor, b: Tensor) -> Tensor:
    """L1 between the differences of neighboring pixels of ``... H W`` pictures, both ways added."""
    d = a - b
    return d.diff(dim=-1).abs().mean() + d.diff(dim=-2).abs().mean()
