"""Training the small palette video model: autoencoder and UNet together, on clips turned gray.

A clip's own colors are the truth, a palette of one of its frames is the condition. Most noise levels drawn are the
highest, at which the network has to answer in one step; the others are those of EDM, for sampling in many. Beside the
error of the latents there is that of the decoded colors, through which the decoder learns what answers look like.

Source: Wang et al., "Consistent Video Colorization via Palette Guidance", 2025, section III. The one-step answers, the
error of decoded colors and training both networks together are this project's.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from celpaint.conditions.palette.matching import palette_distance
from celpaint.conditions.palette.transfer import histogram_transfer, luma_mapped
from celpaint.conditions.palette.value import Palette
from celpaint.data.clips import ClipBatch
from celpaint.errors import OptionError
from celpaint.frames.oklab import srgb_to_oklab
from celpaint.methods.lvcd.weights import DIFFUSERS
from celpaint.metrics.frame import colorfulness
from celpaint.models.palette.small import ANSWER_SIGMA, MICRO, SmallPaletteModel, denoised, luma
from celpaint.models.palette.training import LOG_SIGMA, PALETTE_DROPOUT
from celpaint.models.palette.unet import SMALL, SMALL_AUTOENCODER, PaletteConfig
from celpaint.train.engine.contact_sheet import psnr, sheet
from celpaint.train.engine.recipe import Recipe, from_table, need
from celpaint.train.engine.task import Part, Task
from celpaint.train.tasks.autoencoding import gradient_l1
from celpaint.train.tasks.clip_palettes import clip_palettes, jittered, k_means, vectors
from celpaint.train.tasks.clips import Clips
from celpaint.train.tasks.objective import noised, v_loss
from celpaint.types import Array
from celpaint.weights.store import load_network, read_tensors

if TYPE_CHECKING:
    import numpy.typing as npt

__all__ = ["PaletteNetworkSizes", "PaletteOptions", "PaletteVideo"]


@dataclass(frozen=True, kw_only=True)
class PaletteOptions:
    """The ``[task]`` table of a recipe.

    Attributes:
        answer_share: share of clips at the highest noise level, to be answered in one step.
        sigma_mean, sigma_std: of ln(sigma) of the others.
        palette_dropout: share of clips whose palette is not told.
        jitter: share of palettes whose colors are changed.
        channel_shuffle: share of clips whose red, green and blue are interchanged, so that what things usually look
            like counts for less, and the palette for more.
        answer_weight: weight of the error of decoded answers; ``latent_weight``: of the latents' v.
        gradient_weight: weight of the L1 of differences between neighboring pixels, in both pictures.
        kl_weight: weight of the divergence of the latents from the standard normal.
        momentum: share of a batch in the latents' running mean and variance.
        validation_clips: clips that figures are the mean of.
    """

    answer_share: float = 0.6
    sigma_mean: float = LOG_SIGMA[0]
    sigma_std: float = LOG_SIGMA[1]
    palette_dropout: float = PALETTE_DROPOUT
    jitter: float = 0.3
    channel_shuffle: float = 0.3
    answer_weight: float = 2.0
    latent_weight: float = 0.1
    gradient_weight: float = 0.5
    kl_weight: float = 1e-3
    momentum: float = 0.05
    validation_clips: int = 6

    def __post_init__(self) -> None:
        for name in ("answer_share", "palette_dropout", "jitter", "channel_shuffle"):
            need(0 <= getattr(self, name) <= 1, f"task.{name}", getattr(self, name), "0 to 1")
        for name in ("answer_weight", "latent_weight", "gradient_weight", "kl_weight"):
            need(getattr(self, name) >= 0, f"task.{name}", getattr(self, name), "0 or more")
        need(self.sigma_std > 0, "task.sigma_std", self.sigma_std, "more than 0")
        need(0 < self.momentum <= 1, "task.momentum", self.momentum, "more than 0, at most 1")
        need(self.validation_clips >= 1, "task.validation_clips", self.validation_clips, "1 or more")


@dataclass(frozen=True, kw_only=True)
class PaletteNetworkSizes:
    """The ``[network]`` table of a recipe; what is not given is as packaged.

    Attributes:
        block_out_channels, num_attention_heads: of the UNet.
        lookup_heads: of the attention over the palette.
        widths: of the autoencoder.
    """

    block_out_channels: tuple[int, ...] = SMALL.unet.block_out_channels
    num_attention_heads: tuple[int, ...] = SMALL.unet.num_attention_heads
    lookup_heads: int = SMALL.lookup_heads
    widths: tuple[int, int, int, int] = SMALL_AUTOENCODER.widths

    def build(self) -> SmallPaletteModel:
        """The model with random weights.

        Raises:
            OptionError: the sizes contradict one another.
        """
        try:
            unet = replace(
                SMALL.unet,
                block_out_channels=self.block_out_channels,
                num_attention_heads=self.num_attention_heads,
            )
            autoencoder = replace(SMALL_AUTOENCODER, widths=self.widths)
        except ValueError as error:
            raise OptionError(f"[network]: {error}") from None
        return SmallPaletteModel(PaletteConfig(unet=unet, lookup_heads=self.lookup_heads), autoencoder)


class PaletteVideo(Task[SmallPaletteModel, ClipBatch]):
    """Trains :class:`~celpaint.models.palette.small.SmallPaletteModel`; ``run.monitor`` may be ``psnr`` (highest)."""

    def __init__(self, network: SmallPaletteModel, options: PaletteOptions, clips: Clips) -> None:
        self.network, self.options, self.clips = network, options, clips
        self.colors = network.unet.config.colors

    @classmethod
    def build(cls, recipe: Recipe, device: torch.device) -> PaletteVideo:
        options = from_table(PaletteOptions, recipe.task, "task")
        network = from_table(PaletteNetworkSizes, recipe.network, "network").build()
        if recipe.init.weights:
            for name, part in network.named_children():
                folder = Path(recipe.init.weights) / name
                load_network(part, read_tensors(folder), source=folder)
        network.train().requires_grad_(True)
        network.line_vae.gradient_checkpointing = recipe.run.gradient_checkpointing
        network.unet.unet.gradient_checkpointing = recipe.run.gradient_checkpointing
        clips = Clips(recipe.data, device, spec={"distance": (1, 2), "stride": (1, 2)}, distance=(1, 1))
        return cls(network.to(device), options, clips)

    def export_config(self) -> Mapping[str, Any]:
        return self.network.unet.config.to_dict()

    def parts(self) -> Mapping[str, Part]:
        return {name: Part(name, config, DIFFUSERS) for name, config in self.network.configs.items()}

    def batches(self, seed: int, start: int) -> Iterator[ClipBatch]:
        return self.clips.batches(seed, start)

    def frames(self, batch: ClipBatch) -> int:
        return batch.color.shape[0] * batch.color.shape[1]

    # Loss

    def loss(self, batch: ClipBatch) -> tuple[Tensor, dict[str, Any]]:
        options, net = self.options, self.network
        color = _shuffled(batch.color.float(), options.channel_shuffle)
        gray = luma(color)
        with torch.no_grad():
            palette = vectors(jittered(clip_palettes(color, self.colors), options.jitter))
        raw = net.line_vae.moments((2 * color - 1).flatten(0, 1))
        net.line_vae.measure(raw, options.momentum)
        own = net.line_vae.in_units(raw).sample().float().unflatten(0, color.shape[:2])
        dropped = torch.rand(len(color), device=color.device) < options.palette_dropout
        sigma = self._sigmas(len(color), color.device)
        condition = net.condition(gray, palette, dropped)
        given = noised((own - condition).detach(), sigma, torch.randn_like(own))
        v = net(given.x, condition, given.c_noise, _micro(sigma), palette, dropped)
        answer = net.decode(condition + denoised(given.x, sigma, v), gray)
        rebuilt = net.decode(own, gray)
        found = {"v": v_loss(v, given.v), "kl": raw.kl().float()}
        for name, picture in (("answer", answer), ("rebuilt", rebuilt)):
            found[name] = (picture - color).abs().mean() + options.gradient_weight * gradient_l1(picture, color)
        loss = (
            options.latent_weight * found["v"]
            + options.kl_weight * found["kl"]
            + options.answer_weight * found["answer"]
            + found["rebuilt"]
        )
        return loss, {name: value.detach() for name, value in found.items()}

    def _sigmas(self, clips: int, device: torch.device) -> Tensor:
        """``B`` noise levels."""
        options = self.options
        drawn = (options.sigma_mean + options.sigma_std * torch.randn(clips, device=device)).exp()
        at_once = torch.rand(clips, device=device) < options.answer_share
        return torch.where(at_once, ANSWER_SIGMA, drawn.clamp(max=ANSWER_SIGMA))

    # Validation

    def validate(self, network: SmallPaletteModel) -> dict[str, float]:
        """Figures of one-step answers to held-out clips, beside those of coloring by luma alone; all means.

        Histogram transfer is given the whole first frame in color, and not five colors of it. ``psnr`` in dB;
        ``chroma``, ``flicker``: see :func:`_figures`; ``to_palette``, ``to_picture``: distances in OKLab;
        ``colorfulness``. ``other_*``: given a palette with red, green and blue interchanged.
        """
        found: dict[str, list[float]] = {}
        for shot in self.held_out:
            made = _frames(self.answer(network, shot.gray, shot.palette))
            shown = _frames(self.answer(network, shot.gray, shot.other))
            figures = {
                **_figures(made, shot.truth),
                **_distances(made, shot.palette, ""),
                **_distances(shown, shot.other, "other_"),
                **shot.baselines,
            }
            for key, value in figures.items():
                found.setdefault(key, []).append(value)
        return {key: float(np.mean(values)) for key, values in found.items()}

    def sample_sheet(self, network: SmallPaletteModel) -> npt.NDArray[np.uint8]:
        """Rows of gray, answer, answer to another palette, luma mapping, truth."""
        rows = []
        for shot in self.held_out:
            answers = [self.answer(network, shot.gray, palette)[0, -1] for palette in (shot.palette, shot.other)]
            mapped = luma_mapped(shot.levels[-1], shot.palette)
            rows.append([shot.gray[0, -1], *answers, *(_picture(x) for x in (mapped, shot.truth[-1]))])
        return sheet(rows)

    @cached_property
    def held_out(self) -> list[HeldOut]:
        """The clips to validate on."""
        clips = self.clips.validation(1, "soft", self.options.validation_clips)
        return [HeldOut.of(clip.color.float(), self.colors) for clip in clips]

    @torch.no_grad()
    def answer(self, network: SmallPaletteModel, gray: Tensor, palette: Palette) -> Tensor:
        """Gray frames ``1 T 1 H W`` -> color ``1 T 3 H W`` in [0, 1], in one step from fixed noise."""
        device = gray.device
        sigma = torch.tensor([ANSWER_SIGMA], device=device)
        vector = torch.from_numpy(palette.vector(self.colors)).to(device)[None]
        condition = network.condition(gray, vector)
        x = torch.randn(condition.shape, generator=torch.Generator().manual_seed(0)).to(device)
        v = network(x, condition, 0.25 * sigma.log(), _micro(sigma), vector)
        return network.decode(condition + denoised(x, sigma, v), gray).clamp(0, 1)


@dataclass(frozen=True, eq=False)
class HeldOut:
    """A clip to validate on.

    Attributes:
        gray: ``1 T 1 H W`` in [0, 1].
        truth: ``T H W 3``; ``levels``: its luma, ``T H W``.
        palette: of its first frame; ``other``: the same with red, green and blue interchanged.
        baselines: figures of coloring by luma alone, and of the truth.
    """

    gray: Tensor
    truth: Array
    palette: Palette
    other: Palette
    baselines: Mapping[str, float]

    @property
    def levels(self) -> Array:
        levels: Array = self.gray[0, :, 0].cpu().numpy()
        return levels

    @classmethod
    def of(cls, color: Tensor, colors: int) -> HeldOut:
        """From a clip ``1 T 3 H W`` in [0, 1]."""
        with torch.random.fork_rng([color.device] if color.is_cuda else []):
            torch.manual_seed(0)
            means = k_means(color[:, 0, :, ::4, ::4].flatten(2).transpose(1, 2), colors)[0].clamp(0, 1).cpu().numpy()
        palette, other = Palette.from_array(means), Palette.from_array(means[:, [1, 2, 0]])
        shot = cls(luma(color), _frames(color), palette, other, {})
        made = {
            "luma_mapped_": np.stack([luma_mapped(frame, palette) for frame in shot.levels]),
            "histogram_transfer_": np.stack([histogram_transfer(frame, shot.truth[0]) for frame in shot.levels]),
        }
        figures = {f"{name}{key}": v for name, x in made.items() for key, v in _figures(x, shot.truth).items()}
        figures["truth_colorfulness"] = float(np.mean([colorfulness(frame) for frame in shot.truth]))
        return replace(shot, baselines=figures)


def _shuffled(color: Tensor, share: float) -> Tensor:
    """``B T 3 H W`` with the channels of a share of the clips interchanged."""
    clips, device = len(color), color.device
    order = torch.rand(clips, 3, device=device).argsort(dim=1)
    order = torch.where(torch.rand(clips, 1, device=device) < share, order, torch.arange(3, device=device))
    return color.gather(2, order[:, None, :, None, None].expand_as(color))


def _micro(like: Tensor) -> Tensor:
    """Micro-conditions ``B M``."""
    return torch.tensor(MICRO, device=like.device).expand(len(like), -1)


def _frames(clip: Tensor) -> Array:
    """``1 T 3 H W`` -> ``T H W 3`` on the CPU."""
    frames: Array = clip[0].float().permute(0, 2, 3, 1).cpu().numpy()
    return frames


def _picture(rgb: Array) -> Tensor:
    """``H W 3`` -> ``3 H W``."""
    return torch.from_numpy(rgb).permute(2, 0, 1)


def _distances(frames: Array, palette: Palette, prefix: str) -> dict[str, float]:
    """How far ``T H W 3`` is from a palette, and the palette from it, in OKLab."""
    found = palette_distance(frames[:, ::4, ::4], palette)
    return {f"{prefix}to_palette": found.to_palette, f"{prefix}to_picture": found.to_picture}


def _figures(made: Array, truth: Array) -> dict[str, float]:
    """Of frames ``T H W 3``: PSNR in dB; mean distance of OKLab's a and b; the mean change of that error from frame to
    frame, so that 0 is as stable as the truth; colorfulness."""
    error = srgb_to_oklab(made)[..., 1:] - srgb_to_oklab(truth)[..., 1:]
    return {
        "psnr": psnr(torch.from_numpy(made), torch.from_numpy(truth)),
        "chroma": float(np.linalg.norm(error, axis=-1).mean()),
        "flicker": float(np.linalg.norm(np.diff(error, axis=0), axis=-1).mean()) if len(made) > 1 else 0.0,
        "colorfulness": float(np.mean([colorfulness(frame) for frame in made])),
    }
