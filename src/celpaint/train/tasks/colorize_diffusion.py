"""Training ColorizeDiffusion v2 in the three stages of its paper, the small networks from nothing.

    base        UNet, sketch encoder, image encoder                          vanilla mode
    background  LoRA, background encoder, injection; the rest stays          background mode
    style       style encoder, modulation; the rest stays                    style enhancement, and full mode

With few steps a denoiser makes poor pictures. So most samples of a batch are pure noise at the highest level, where
the network's answer is the whole picture: the same weights color in one step, and can be sampled in more.
Source: Yan et al., ColorizeDiffusion v2, 2025, sections 3 and 4.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, cast

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from celpaint.data.clips import ClipBatch
from celpaint.errors import OptionError
from celpaint.methods.colorize_diffusion.conditioning import Mode
from celpaint.methods.colorize_diffusion.networks import Card, Networks
from celpaint.methods.colorize_diffusion.pictures import latent_mask, without_figure
from celpaint.models.colorize_diffusion.attention import Attended, CrossAttention
from celpaint.models.colorize_diffusion.conditions import (
    Conditions,
    Context,
    Figure,
    Injected,
    ReferenceContext,
    SplitContext,
)
from celpaint.models.colorize_diffusion.config import SMALL, ColorizeDiffusionConfig
from celpaint.models.colorize_diffusion.encoders import (
    BackgroundEncoder,
    LabeledEncoder,
    SketchEncoder,
    StyleEncoder,
    size_label,
)
from celpaint.models.colorize_diffusion.image_encoder import PatchTokens
from celpaint.models.colorize_diffusion.unet import UNet
from celpaint.models.colorize_diffusion.vae import LineImageVAE
from celpaint.models.line_vae import LineVAE, LineVAEConfig
from celpaint.sampling.discrete import scaled_linear
from celpaint.train.engine.contact_sheet import sheet
from celpaint.train.engine.recipe import Recipe
from celpaint.train.engine.seeding import derive_seed
from celpaint.train.engine.tables import Count, NonNegative, Probability, from_table, need
from celpaint.train.engine.task import Part, Task
from celpaint.train.tasks.clips import Clips
from celpaint.train.tasks.matching import label
from celpaint.train.tasks.objective import matching_loss
from celpaint.train.tasks.reference_pairs import PairOptions, Pairs, ReferencePairs, pairs_of
from celpaint.weights.registry import find_weights
from celpaint.weights.store import load_network, read_config, read_tensors

if TYPE_CHECKING:
    import numpy.typing as npt

    from celpaint.train.engine.engine import Engine

__all__ = ["ColorizeDiffusionOptions", "ColorizeDiffusionTraining", "leakage"]

MODES: Mapping[str, tuple[Mode, ...]] = {
    "base": (Mode.VANILLA,),
    "background": (Mode.BACKGROUND,),
    "style": (Mode.STYLE, Mode.FULL),
}
"""Stage => modes it trains."""


@dataclass(frozen=True, kw_only=True)
class ColorizeDiffusionOptions:
    """The ``[task]`` table of a recipe; shares are 0 to 1.

    Attributes:
        autoencoder: folder of a line-aware autoencoder; empty: the one in ``init.weights``, else the package's.
        image_size: side of the square that references are squeezed to.
        one_step: share of samples at the highest noise level; the others' timesteps are uniform.
        reference_drop: share of samples without reference, for guidance; 0.8, then 0.5 in the paper.
        noisy: share of samples whose reference tokens get noise, as in the paper's noisy training.
        pixel_weight: weight of the L1 of the decoded picture.
        matching_weight: weight of the cross-entropy on one head of the layers ``matching_layers``, in the base stage.
        matching_layers: cross-attention layers by number, in running order.
        figure_threshold: mask value above which a place counts as figure.
        pairs: how references are made.
        distances: frames from the reference at which validation looks.
        line_styles: of the line art there.
        validation_clips: clips for each of them.
    """

    autoencoder: str = ""
    image_size: Count = 384
    one_step: Probability = 0.75
    reference_drop: Probability = 0.05
    noisy: Probability = 0.0
    pixel_weight: NonNegative = 1.0
    matching_weight: NonNegative = 0.1
    matching_layers: tuple[int, ...] = (6, 8)
    figure_threshold: Probability = 0.5
    pairs: PairOptions = field(default_factory=PairOptions)
    distances: tuple[Count, ...] = (15, 45)
    line_styles: tuple[str, ...] = ("soft", "binary")
    validation_clips: Count = 4

    def __post_init__(self) -> None:
        need(bool(self.distances), "task.distances", self.distances, "at least one")
        need(bool(self.line_styles), "task.line_styles", self.line_styles, "at least one")


class Trained(nn.Module):
    """All networks, under the names of their folders; the autoencoder stays as it is."""

    def __init__(self, networks: Networks) -> None:
        super().__init__()
        self.unet, self.sketch_encoder = networks.unet, networks.sketch_encoder
        self.background_encoder, self.style_encoder = networks.background_encoder, networks.style_encoder
        self.image_encoder = cast("PatchTokens", networks.image_encoder)
        self.vae = cast("LineImageVAE", networks.vae)


class ColorizeDiffusionTraining(Task[Trained, ReferencePairs]):
    """The stages named in the recipe; ``run.monitor`` may be ``psnr`` (highest), of the stage's last mode."""

    every_parameter_used = False

    def __init__(
        self, networks: Networks, options: ColorizeDiffusionOptions, clips: Clips, device: torch.device
    ) -> None:
        self.options, self.clips, self.device, self.card = options, clips, device, networks.card
        self.network = Trained(networks).to(device).float().train().requires_grad_(True)
        self.vae = self.network.vae.eval().requires_grad_(False)
        self.config = networks.config
        layers = self.config.transformers
        need(
            all(0 <= n < layers for n in options.matching_layers),
            "task.matching_layers",
            options.matching_layers,
            f"0 to {layers - 1}",
        )
        self.sigmas = torch.tensor(scaled_linear().log_sigmas, device=device).exp()
        self.stage = "base"

    @classmethod
    def build(cls, recipe: Recipe, device: torch.device) -> Self:
        options = from_table(ColorizeDiffusionOptions, recipe.task, "task")
        need(
            len(recipe.stages) > 0 and recipe.stages.keys() <= MODES.keys(),
            "stages",
            [*recipe.stages],
            f"some of {', '.join(MODES)}",
        )
        height, width = recipe.data.size
        card = Card(
            prediction="v",
            sampler="euler",
            steps=1,
            guidance=1.0,
            area=height * width,
            figure_threshold=options.figure_threshold,
            reference_fit="drawing",
        )
        if recipe.init.weights:
            networks = replace(Networks.load(Path(recipe.init.weights)), card=card)
            if options.autoencoder:
                networks = replace(networks, vae=_autoencoder(options.autoencoder))
            small = isinstance(networks.image_encoder, PatchTokens) and isinstance(networks.vae, LineImageVAE)
            need(small, "init.weights", recipe.init.weights, "weights of the small networks")
        else:
            networks = _fresh(recipe.network, options, card)
        return cls(networks, options, Clips(recipe.data, device), device)

    # Stages

    def optimizers(self) -> Mapping[str, Sequence[str]]:
        names = [f"unet.{name}" for name, _ in self.network.unet.named_parameters()]
        lora = [name for name in names if ".lora_" in name]
        later = ("unet.warp_modules.", "unet.style_modules.")
        base = [name for name in names if name not in lora and not name.startswith(later)]
        return {
            "base": ["sketch_encoder", "image_encoder", *base],
            "background": ["background_encoder", "unet.warp_modules", *lora],
            "style": ["style_encoder", "unet.style_modules"],
        }

    def begin_stage(self, stage: str) -> None:
        """The encoders of the background and the style start as copies of the UNet's."""
        self.stage, net = stage, self.network
        encoder, gate = {
            "background": (net.background_encoder, net.unet.warp_modules),
            "style": (net.style_encoder, net.unet.style_modules),
        }.get(stage, (None, None))
        if encoder is not None and gate is not None and _closed(gate):
            _begin(encoder, net.unet)

    @property
    def modes(self) -> tuple[Mode, ...]:
        """What the current stage trains."""
        return MODES[self.stage]

    def step(self, batches: Sequence[ReferencePairs], engine: Engine) -> None:
        engine.update(tuple(MODES), self.loss, batches)

    # Data

    @property
    def set_drawings(self) -> int:
        """Drawings of a clip up to this number belong to the set."""
        data = self.clips.data
        return self.clips.film_spec(data.size).props[1] if data.source == "film" else 0

    def batches(self, seed: int, start: int) -> Iterator[ReferencePairs]:
        def clips(number: int) -> ClipBatch:
            return next(self.clips.batches(seed, number))

        pairs = Pairs(clips, self.options.pairs, self.set_drawings, derive_seed(seed, 1))
        return (pairs(number) for number in count(start))

    def frames(self, batch: ReferencePairs) -> int:
        return len(batch.color)

    # Loss

    def loss(self, batch: ReferencePairs) -> tuple[Tensor, dict[str, Any]]:
        options, size, device = self.options, len(batch.color), self.device
        mode = self.modes[int(batch.apart) % len(self.modes)]
        latents = self.encode(batch.color)
        last = len(self.sigmas) - 1
        t = torch.where(
            torch.rand(size, device=device) < options.one_step, last, torch.randint(0, last, (size,), device=device)
        )
        sigma = self.sigmas[t][:, None, None, None]
        root, noise = (sigma.square() + 1).sqrt(), torch.randn_like(latents)
        x, v = (latents + sigma * noise) / root, (noise - sigma * latents) / root
        watch = _Watch(options.matching_layers if self.stage == "base" and options.matching_weight else ())
        conditions = self.conditions(self.network, batch, mode, t)
        conditions = replace(conditions, context=_Watched(conditions.context, watch))
        answer = self.network.unet(x, t.float(), conditions).sample.float()
        weight = torch.ones_like(batch.told) if mode.background else batch.told
        loss = _mean((answer - v).square(), F.interpolate(weight, latents.shape[-2:], mode="area"))
        figures: dict[str, Any] = {"v": loss}
        if options.pixel_weight:
            rgb = self.vae.decode(x / root - sigma / root * answer, batch.lines).float()
            pixel = _mean((0.5 * rgb + 0.5 - batch.color).abs(), weight)
            loss = loss + options.pixel_weight * pixel
            figures["pixel"] = pixel
        if watch.seen:
            found, accuracy = self.matching(batch, watch, latents.shape[-2:])
            loss = loss + options.matching_weight * found
            figures |= {"matching": found, "accuracy": accuracy}
        return loss, figures

    def encode(self, rgb: Tensor) -> Tensor:
        """``B 3 H W`` in [0, 1] -> latents, in full precision."""
        with torch.no_grad(), torch.autocast(self.device.type, enabled=False):
            return self.vae.encode(2 * rgb.float() - 1)

    def conditions(self, network: Trained, batch: ReferencePairs, mode: Mode, t: Tensor | None = None) -> Conditions:
        """What the UNet is told in a mode; with the timesteps ``t`` of training, references are dropped or noisy."""
        size = tuple(batch.color.shape[-2:])
        hints = network.sketch_encoder((2 * batch.lines - 1).expand(-1, 3, -1, -1))
        tokens = self._tokens(network, batch.reference, t)
        mask = latent_mask(batch.figure, self.config.factor)
        figure = Figure.from_mask(mask, self.options.figure_threshold, len(self.config.widths))
        pixels = (int(size[0]), int(size[1]))
        labels = size_label(pixels, pixels, self.config.ratio_width).to(self.device).expand(len(tokens), -1)
        context: Context = ReferenceContext(tokens)
        injected = style = None
        if mode.background:
            bleached = without_figure(batch.background, batch.reference_figure, 0.5)
            behind = self._tokens(network, bleached, t)
            context = SplitContext(tokens, behind, figure)
            whole = (batch.told.amin((1, 2, 3)) > 0)[:, None, None]  # the reference has the drawing's background
            attended = torch.where(whole, tokens, behind)
            injected = Injected(network.background_encoder(self.encode(bleached), labels, attended), figure)
        if mode.style:
            style = network.style_encoder(self.encode(batch.reference), labels, tokens)
        return Conditions(hints, context, injected, style)

    def _tokens(self, network: Trained, rgb: Tensor, t: Tensor | None) -> Tensor:
        tokens: Tensor = network.image_encoder(2 * rgb - 1)
        if t is None:
            return tokens
        options, size = self.options, len(tokens)
        if options.noisy:
            # noise of the timestep; near the end of the levels, where it would leave nothing, of the mirrored one
            level = self.sigmas[torch.where(t >= 900, len(self.sigmas) - 1 - t, t)][:, None, None]
            noised = (tokens + level * torch.randn_like(tokens)) / (level.square() + 1).sqrt()
            noisy = torch.rand(size, 1, 1, device=self.device) < options.noisy
            tokens = torch.where(noisy, noised, tokens)
        return tokens * (torch.rand(size, 1, 1, device=self.device) >= options.reference_drop)

    def matching(self, batch: ReferencePairs, watch: _Watch, latents: torch.Size) -> tuple[Tensor, Tensor]:
        """Cross-entropy of watched attention against the known correspondences, and the share that is right."""
        side = self.options.image_size // 2 ** len(self.network.image_encoder.stem)
        other = _at(batch.reference_drawing, batch.reference_point, (side, side))
        spacing = (batch.color.shape[-1] / batch.color.shape[-2]) ** 0.5 / side
        losses, accuracies = [], []
        for level, logits in watch.seen:
            cells = int(latents[0]), int(latents[1])
            for _ in range(level):
                cells = -(-cells[0] // 2), -(-cells[1] // 2)
            labels = label(*_at(batch.drawing, batch.point, cells), *other, spacing)
            found, accuracy = matching_loss(logits, labels)
            losses.append(found)
            accuracies.append(accuracy)
        return torch.stack(losses).mean(), torch.stack(accuracies).mean()

    # Validation

    def colored(self, network: Trained, batch: ReferencePairs, mode: Mode) -> Tensor:
        """The pictures in one step, ``B 3 H W`` in [0, 1]; the same noise for all."""
        sigma = self.sigmas[-1]
        root = (sigma.square() + 1).sqrt()
        size = (self.config.latent_channels, *(side // self.config.factor for side in batch.color.shape[-2:]))
        noise = torch.randn(size, generator=torch.Generator().manual_seed(0)).to(self.device)
        x = (noise * sigma / root).expand(len(batch.color), -1, -1, -1)
        t = x.new_full((1,), len(self.sigmas) - 1)
        answer = network.unet(x, t, self.conditions(network, batch, mode)).sample.float()
        rgb = self.vae.decode(x / root - sigma / root * answer, batch.lines).float()
        return (0.5 * rgb + 0.5).clamp(0, 1)

    def held_out(self) -> Iterator[ReferencePairs]:
        """Fixed pairs nobody trains on, a batch for every distance and line style."""
        cases = [(distance, style) for style in self.options.line_styles for distance in self.options.distances]
        for number, (distance, style) in enumerate(cases):
            clips = list(self.clips.validation(distance, style, self.options.validation_clips))
            with torch.autocast(self.device.type, enabled=False):
                yield pairs_of(
                    _joined(clips), self.options.pairs, self.set_drawings, np.random.default_rng((number, 0xC2))
                )

    def validate(self, network: Trained) -> dict[str, float]:
        """Per mode PSNR, color error and leakage where the reference tells the colors, beside two plain ways."""
        figures: dict[str, list[float]] = {}
        for batch in self.held_out():
            results = {
                mode.name.lower(): self.colored(network, batch, mode)
                for mode in dict.fromkeys((*self.modes[::-1], Mode.VANILLA))
            }
            results |= {"copy": batch.reference, "histogram": histogram_transfer(batch.lines, batch.reference)}
            for name, rgb in results.items():
                told = _mean((rgb - batch.color).square(), batch.told)
                found = {
                    f"psnr_{name}": -10 * float(told.clamp(min=1e-10).log10()),
                    f"error_{name}": float(_mean((rgb - batch.color).abs(), batch.told)),
                    f"leak_{name}": float(leakage(rgb, batch)),
                }
                for key, value in found.items():
                    figures.setdefault(key, []).append(value)
        means = {name: float(np.mean(values)) for name, values in figures.items()}
        return {"psnr": means[f"psnr_{self.modes[-1].name.lower()}"], **means}

    def sample_sheet(self, network: Trained) -> npt.NDArray[np.uint8]:
        """Rows of reference, background, line art, results of the stage's modes, truth."""
        rows = []
        for batch in self.held_out():
            views = [batch.reference, without_figure(batch.background, batch.reference_figure, 0.5), 1 - batch.lines]
            views += [self.colored(network, batch, mode) for mode in self.modes] + [batch.color]
            rows += [[view[n] for view in views] for n in range(min(4, len(batch.color)))]
        return sheet(rows)

    # Export

    def export_config(self) -> Mapping[str, Any]:
        return self.config.to_dict()

    def parts(self) -> Mapping[str, Part]:
        sizes = self.config.to_dict()
        parts = {name: Part(name, sizes) for name in ("unet", "sketch_encoder", "background_encoder", "style_encoder")}
        parts["image_encoder"] = Part("image_encoder", self.network.image_encoder.to_dict())
        return {**parts, "vae": Part("vae.vae", self.vae.vae.config.to_dict())}

    def complete_export(self, folder: Path) -> None:
        """Add the card."""
        self.card.write(folder)


# Building


def _fresh(table: Mapping[str, Any], options: ColorizeDiffusionOptions, card: Card) -> Networks:
    """The small networks with random weights; ``table`` replaces some of their sizes."""
    vae = _autoencoder(options.autoencoder)
    try:
        config = from_table(
            ColorizeDiffusionConfig, {**asdict(SMALL), "latent_channels": vae.channels, **table}, "network"
        )
    except ValueError as error:
        raise OptionError(f"[network] does not fit together: {error}") from None
    sketch_encoder = SketchEncoder(config)
    for layer in (sketch_encoder.zero_layer, *sketch_encoder.zero_blocks):
        # nothing that was learned is to be kept from harm here, so lines need not wait behind zeros
        cast("nn.Conv2d", cast("nn.Sequential", layer)[0]).reset_parameters()
    return Networks(
        UNet(config),
        sketch_encoder,
        BackgroundEncoder(config),
        StyleEncoder(config),
        vae,
        PatchTokens(config.context_width, size=options.image_size),
        card,
    )


def _autoencoder(folder: str) -> LineImageVAE:
    path = Path(folder) if folder else find_weights("lvcd", "small") / "line_vae"
    config = read_config(path)
    need(config.get("_class_name") == "LineVAE", "task.autoencoder", folder, "the folder of a line-aware autoencoder")
    return LineImageVAE(load_network(LineVAE(LineVAEConfig.from_dict(config)), read_tensors(path), source=path))


def _begin(encoder: LabeledEncoder, unet: UNet) -> None:
    """Start an encoder as a copy of the UNet's."""
    encoder.input_blocks.load_state_dict(unet.input_blocks.state_dict())
    encoder.time_embed.load_state_dict(unet.time_embed.state_dict())


def _closed(gate: nn.Module) -> bool:
    """Whether some layer of a part that starts as nothing still is nothing, so that it was not trained yet."""
    return any(name.endswith("weight") and not p.any() for name, p in gate.named_parameters())


def _joined(clips: list[ClipBatch]) -> ClipBatch:
    """Several batches as one."""

    def join(name: str) -> Tensor:
        return torch.cat([cast("Tensor", getattr(clip, name)) for clip in clips])

    return ClipBatch(join("color"), join("lines"), join("times"), join("drawing"), join("point"))


# Watching cross-attention


@dataclass(frozen=True)
class _Watch:
    """Which cross-attention layers are watched, and what was seen: level and logits ``B N T`` of the first head."""

    layers: tuple[int, ...]
    seen: list[tuple[int, Tensor]] = field(default_factory=list)


@dataclass(frozen=True)
class _Watched:
    """A context that lets some layers be watched; see :class:`Context`."""

    context: Context
    watch: _Watch

    def at(self, level: int, place: int) -> Attended:
        attended = self.context.at(level, place)
        if place not in self.watch.layers or not isinstance(self.context, ReferenceContext):
            return attended
        return _WatchedLayer(attended, self.context.tokens, level, self.watch)

    def dropped(self) -> Context:
        return self.context.dropped()


@dataclass(frozen=True)
class _WatchedLayer:
    attended: Attended
    tokens: Tensor
    level: int
    watch: _Watch

    def attend(self, layer: CrossAttention, x: Tensor) -> Tensor:
        width = layer.to_q.out_features // layer.heads
        q, k = layer.to_q(x)[..., :width], layer.to_k(self.tokens)[..., :width]
        self.watch.seen.append((self.level, q @ k.transpose(1, 2) / width**0.5))
        return self.attended.attend(layer, x)


def _at(drawing: Tensor, point: Tensor, cells: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """Maps ``B H W`` and ``B 2 H W`` at the centers of cells -> ``B N``, ``B N 2``."""
    rows, columns = (
        ((torch.arange(n, device=drawing.device) + 0.5) * side / n).long()
        for n, side in zip(cells, drawing.shape[-2:], strict=True)
    )
    return drawing[:, rows][:, :, columns].flatten(1), point[:, :, rows][..., columns].flatten(2).transpose(1, 2)


# Figures


def _mean(values: Tensor, weight: Tensor) -> Tensor:
    """Mean of ``B C H W`` by ``B 1 H W`` weights."""
    return (values.mean(1, keepdim=True) * weight).sum() / weight.sum().clamp(min=1)


def leakage(rgb: Tensor, batch: ReferencePairs, samples: int = 256) -> Tensor:
    """Share of figure pixels that take a background color of the reference, the truth being none.

    A color is one of the background where the nearest of ``samples`` random pixels of the reference's background is
    nearer than the nearest of as many of its figure.

    Args:
        rgb: ``B 3 H W`` results in [0, 1].
        batch: what they were made from.
    """
    draw = torch.Generator(rgb.device).manual_seed(0)
    figure = batch.reference_figure.flatten(1)
    palettes = []
    for mask in (figure, 1 - figure):
        at = torch.multinomial(mask + 1e-6, samples, replacement=True, generator=draw)
        palettes.append(batch.reference.flatten(2).gather(2, at[:, None].expand(-1, 3, -1)).transpose(1, 2))
    of_drawing = torch.multinomial(batch.figure.flatten(1) + 1e-6, 2048, replacement=True, generator=draw)

    def strange(pictures: Tensor) -> Tensor:
        colors = pictures.flatten(2).gather(2, of_drawing[:, None].expand(-1, 3, -1)).transpose(1, 2).float()
        own, other = (torch.cdist(colors, palette).amin(-1) for palette in palettes)
        return other < own

    both = (batch.reference_figure.mean((1, 2, 3)) > 0.02) & (batch.figure.mean((1, 2, 3)) > 0.02)
    fit = ~strange(batch.color) & both[:, None]
    return (strange(rgb) & fit).sum() / fit.sum().clamp(min=1)


def histogram_transfer(lines: Tensor, reference: Tensor) -> Tensor:
    """Each channel's values of the reference, given to the drawing's pixels in order of how dark they are.

    Args:
        lines: ``B 1 H W``, 1 = ink.
        reference: ``B 3 H W``.
    """
    gray = 1 - F.avg_pool2d(lines, 9, stride=1, padding=4)
    rank = gray.flatten(2).argsort(dim=2, stable=True).expand(-1, 3, -1)
    values = reference.flatten(2).sort(dim=2).values
    return torch.empty_like(values).scatter_(2, rank, values).view_as(reference)
