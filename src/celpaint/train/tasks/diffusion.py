"""Training LVCD: the small networks from nothing, or the full-size ones from Stable Video Diffusion's.

A clip's frame 0 is the reference, at a random distance from the others. Window, routing, conditions and guidance are
those of :mod:`celpaint.methods.lvcd`; the objective is in :mod:`celpaint.train.tasks.objective`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple, Self, cast

import numpy as np
import torch
from msgspec import Meta
from torch import Tensor, nn

from celpaint.data.clips import ClipBatch
from celpaint.data.prepared import LatentClipBatch
from celpaint.errors import MissingExtra
from celpaint.methods.lvcd.run import LVCD
from celpaint.methods.lvcd.spec import LVCDOptions
from celpaint.methods.lvcd.weights import DIFFUSERS, Card, Networks
from celpaint.models.attention import Routing, training_routing
from celpaint.models.blocks import SpatialBlock, TemporalBlock
from celpaint.models.image_encoder import ClipEmbedding, LatentEmbedding
from celpaint.models.line_vae import LineVAE, LineVAEConfig
from celpaint.models.lvcd.controlnet import SMALL_CONTROL, ControlNet, ControlNetConfig
from celpaint.models.lvcd.unet import UNet
from celpaint.models.vae import LineCodec, VideoVAE
from celpaint.sampling.segments import plan_segments
from celpaint.train.engine.contact_sheet import psnr, sheet
from celpaint.train.engine.recipe import Recipe, from_table, need
from celpaint.train.engine.tables import Count, Natural, NonNegative, Positive, Probability
from celpaint.train.engine.task import Part, Task
from celpaint.train.tasks.clips import Clips
from celpaint.train.tasks.coloring import color_clips
from celpaint.train.tasks.drafts import Drafter
from celpaint.train.tasks.objective import draw_sigma, grid, match_labels, matching_loss, noised, v_loss
from celpaint.weights.store import load_network, read_config, read_tensors

if TYPE_CHECKING:
    import numpy.typing as npt

__all__ = ["Diffusion", "DiffusionFineTune", "DiffusionOptions", "DiffusionSmall", "FineTuneOptions", "Window"]

OVERLAP = 4
"""Previous references in a window, as in long sampling."""


@dataclass(frozen=True, kw_only=True)
class DiffusionOptions:
    """The ``[task]`` table of a recipe.

    Attributes:
        autoencoder: folder of the autoencoder; empty: the one in ``init.weights``.
        sigma_mean, sigma_std: of ln(sigma).
        noise_levels: noise levels drawn for each clip of a step; more than one where clips are dear.
        cfg_dropout: share of clips without the reference's latents and token, for guidance.
        prev_reference_prob: share of batches whose window has reference positions that are not painted: frames made
            before, as in long sampling.
        draft: the matcher's weights (``small``: those in the package, or a folder) whose answers are refined: they are
            the frames' condition latents, and what is learnt is the difference to them. Empty: the reference is the
            condition, and the frames are learnt, as in the paper.
        matching_weight: weight of the cross-entropy on one head of the reference attention, where correspondences are
            known.
        matching_layer: which layer, counted in the order they run.
        sampling_steps: denoising steps of validation and of the exported card.
        sigma_max: their first noise level.
        distances: frames from the reference at which validation looks.
        line_styles: of the line art there.
        validation_clips: clips for each of them.
    """

    autoencoder: str = ""
    sigma_mean: float = 1.0
    sigma_std: Positive = 1.6
    noise_levels: Count = 1
    cfg_dropout: Probability = 0.1
    prev_reference_prob: Probability = 0.25
    draft: str = ""
    matching_weight: NonNegative = 0.2
    matching_layer: Natural = 5
    sampling_steps: Count = 10
    sigma_max: Annotated[float, Meta(gt=0.002)] = 700.0
    distances: Annotated[tuple[Count, ...], Meta(min_length=1)] = (1, 15, 45)
    line_styles: Annotated[tuple[str, ...], Meta(min_length=1)] = ("soft", "binary")
    validation_clips: Count = 2


@dataclass(frozen=True, kw_only=True)
class FineTuneOptions(DiffusionOptions):
    """Defaults are the paper's.

    Attributes:
        adapt: ``full``: the ControlNet and the UNet's self-attention; ``lora``: low-rank additions to both networks'
            attention, and the ControlNet's own layers.
        lora_rank: of the additions.
    """

    cfg_dropout: Probability = 0.0
    prev_reference_prob: Probability = 0.0
    matching_weight: NonNegative = 0.0
    adapt: Literal["full", "lora"] = "full"
    lora_rank: Count = 16


class Window(NamedTuple):
    """What the networks are given at once.

    Attributes:
        latents: ``B T C h w`` of all positions, clean, unit variance.
        concat: ``B T C h w`` condition latents.
        token: what the context token is made of: latents ``B C h w`` or a picture ``B 3 H W`` in [-1, 1].
        lines: ``B T 1 H W``.
        conditioned: ``B``, 1 where the network is given the reference, 0 where it is dropped.
        routing: T positions.
    """

    latents: Tensor
    concat: Tensor
    token: Tensor
    lines: Tensor
    conditioned: Tensor
    routing: Routing

    def repeated(self, times: int) -> Window:
        """The same clips several times over: ``times * B``."""

        def again(x: Tensor) -> Tensor:
            return x.repeat(times, *[1] * (x.ndim - 1))

        return Window(
            again(self.latents),
            again(self.concat),
            again(self.token),
            again(self.lines),
            again(self.conditioned),
            self.routing,
        )


class Denoising(nn.Module):
    """UNet, ControlNet and the maker of the context token: all that may be trained."""

    def __init__(self, unet: UNet, controlnet: ControlNet, embed: ClipEmbedding | LatentEmbedding) -> None:
        super().__init__()
        self.unet, self.controlnet, self.embed = unet, controlnet, embed

    def forward(
        self, x: Tensor, c_noise: Tensor, window: Window, micro: Tensor, matching: int | None
    ) -> tuple[Tensor, Tensor | None]:
        """``B T C h w`` scaled noisy latents -> the answer, and the logits of layer ``matching``."""
        context = self.embed(window.token.to(self.unet.dtype)) * window.conditioned[:, None, None]
        both = torch.cat([x, window.concat * window.conditioned[:, None, None, None, None]], dim=2)
        hint = self.controlnet.hint(window.lines)
        control = self.controlnet(both, c_noise, context, micro, window.routing, hint)
        out = self.unet(both, c_noise, context, micro, window.routing, control, matching=matching)
        return out.sample, out.matching


class Diffusion(Task[Denoising, ClipBatch]):
    """LVCD on clips; ``run.monitor`` may be ``loss`` (lowest) or ``psnr`` (highest)."""

    network: Denoising

    def __init__(self, networks: Networks, options: DiffusionOptions, clips: Clips, device: torch.device) -> None:
        self.options, self.clips, self.device, self.card = options, clips, device, networks.card
        self.codec = networks.codec.to(device).float().eval().requires_grad_(False)
        self.drafter = Drafter(options.draft, device) if options.draft else None
        self.network = Denoising(networks.unet, networks.controlnet, networks.embed).to(device)
        layers = networks.unet.attention_layers
        need(0 <= options.matching_layer < layers, "task.matching_layer", options.matching_layer, f"0 to {layers - 1}")

    # Data and loss

    def batches(self, seed: int, start: int) -> Iterator[ClipBatch]:
        return self.clips.batches(seed, start)

    def frames(self, batch: ClipBatch) -> int:
        return batch.color.shape[0] * batch.color.shape[1]

    def loss(self, batch: ClipBatch) -> tuple[Tensor, dict[str, Any]]:
        options = self.options
        previous = min(OVERLAP, batch.color.shape[1] - 3) if float(torch.rand(())) < options.prev_reference_prob else 0
        window = self.window(batch, max(previous, 0)).repeated(options.noise_levels)
        conditioned = torch.rand(len(window.latents), device=self.device) >= options.cfg_dropout
        window = window._replace(conditioned=conditioned.to(window.latents.dtype))
        sigma = draw_sigma(len(window.latents), self.device, options.sigma_mean, options.sigma_std)
        given = noised(self.residual(window), sigma, self.noise(window.latents))
        known = options.matching_weight > 0 and batch.drawing is not None and batch.point is not None
        layer = options.matching_layer if known else None
        answer, logits = self.network(given.x, given.c_noise, window, self.micro(sigma), layer)
        loss = v_loss(answer, given.v)
        figures: dict[str, Any] = {"v": loss}
        if logits is not None:
            frames = logits[: len(batch.color), -(batch.color.shape[1] - 1) :, 0]
            cells = grid(cast("tuple[int, int]", tuple(window.latents.shape[-2:])), logits.shape[-1])
            found, accuracy = matching_loss(frames, match_labels(batch, cells))
            loss = loss + options.matching_weight * found
            figures |= {"matching": found, "accuracy": accuracy}
        return loss, figures

    def micro(self, like: Tensor) -> Tensor:
        """Micro-conditions ``B M``."""
        return torch.tensor([self.card.micro], device=self.device).expand(like.shape[0], -1)

    @torch.no_grad()
    def window(self, clip: ClipBatch, previous: int = 0) -> Window:
        """The reference, ``previous`` of the frames as unpainted reference positions, the frames."""
        size = clip.color.shape[:2]
        rgb = 2 * clip.color - 1
        latents: Tensor
        if isinstance(clip, LatentClipBatch) and clip.mean is not None and clip.logvar is not None:
            mean = clip.mean
            latents = mean + (0.5 * clip.logvar).exp() * torch.randn_like(mean)
            reference = mean[:, 0]
        else:
            with torch.autocast(self.device.type, enabled=False):
                latents = self.encode(rgb.flatten(0, 1)).unflatten(0, size)
                reference = self.encode(rgb[:, 0], likeliest=True)
        condition = reference / self.codec.scale
        frames = size[1] - 1
        routing = training_routing(frames)
        order = list(range(size[1]))
        concat = condition[:, None].expand(-1, size[1], -1, -1, -1)
        if self.drafter is not None:
            with torch.autocast(self.device.type, enabled=False):
                drafts = self.codec.encode(2 * self.drafter(clip).flatten(0, 1) - 1).float()
            concat = torch.cat([condition[:, None], drafts.unflatten(0, (size[0], -1))], dim=1)
        if previous:
            routing = plan_segments(2 * frames, overlap=previous, window=frames)[1].routing
            order = [0, *range(1, 1 + previous), *range(1, size[1])]
            own = latents[:, 1 : 1 + previous] / self.codec.scale
            concat = torch.cat([concat[:, :1], own, concat[:, 1:]], dim=1)
        token = reference if isinstance(self.network.embed, LatentEmbedding) else rgb[:, 0]
        conditioned = torch.ones(size[0], device=latents.device)
        return Window(latents[:, order], concat, token, clip.lines[:, order], conditioned, routing)

    @torch.no_grad()
    def residual_std(self, seed: int, batches: int = 12) -> float:
        """Standard deviation of what drafts lack, over some batches far along the stream ``seed``."""
        squares = []
        for clip in islice(self.batches(seed, 1 << 40), batches):
            window = self.window(clip)
            frames = window.latents[:, 1:] - window.concat[:, 1:] * self.codec.scale
            squares.append(frames.square().mean())
        return float(torch.stack(squares).mean().sqrt())

    def residual(self, window: Window) -> Tensor:
        """``B T C h w`` of unit variance: what is learnt, the latents or what their draft lacks."""
        if self.drafter is None:
            return window.latents
        return (window.latents - window.concat * self.codec.scale) / (self.card.draft_spread or 1.0)

    def noise(self, latents: Tensor) -> Tensor:
        """For ``B T C h w``, as :mod:`celpaint.methods.lvcd` has it: one for all frames where a draft is refined."""
        like = latents if self.drafter is None else latents[:, :1]
        return torch.randn_like(like).expand_as(latents)

    def encode(self, rgb: Tensor, *, likeliest: bool = False) -> Tensor:
        """``N 3 H W`` in [-1, 1] -> latents ``N C h w`` of unit variance: the likeliest or a draw."""
        if likeliest:
            return self.codec.encode(rgb).float() * self.codec.scale
        if isinstance(self.codec, LineCodec):
            return self.codec.vae.encode(rgb.to(self.codec.dtype)).sample().float()
        channels, factor = self.codec.channels, self.codec.factor
        noise = torch.randn(len(rgb), channels, rgb.shape[-2] // factor, rgb.shape[-1] // factor, device=rgb.device)
        return self.codec.sample(rgb, noise).float() * self.codec.scale

    # Validation

    def validate(self, network: Denoising) -> dict[str, float]:
        """The loss on fixed clips and noise; PSNR of frames colored as in use, and of copied ones."""
        with torch.random.fork_rng([self.device] if self.device.type == "cuda" else []):
            torch.manual_seed(0)
            figures: dict[str, list[float]] = {}
            for line_style in self.options.line_styles:
                for distance in self.options.distances:
                    for clip in self.clips.validation(distance, line_style, self.options.validation_clips):
                        figures.setdefault("loss", []).append(self._loss_at_levels(network, clip))
                        score = psnr(self.sample(network, clip), clip.color[:, 1:])
                        for name in ("psnr", f"psnr_{line_style}_{distance}"):
                            figures.setdefault(name, []).append(score)
                        copied = psnr(clip.color[:, :1].expand_as(clip.color)[:, 1:], clip.color[:, 1:])
                        figures.setdefault("copy", []).append(copied)
        return {name: float(np.mean(values)) for name, values in figures.items()}

    def _loss_at_levels(self, network: Denoising, clip: ClipBatch) -> float:
        """The objective, at noise levels that stand for their distribution."""
        window = self.window(clip)
        found = []
        for place in (-1.0, 0.0, 1.0):
            sigma = torch.tensor([self.options.sigma_mean + place * self.options.sigma_std], device=self.device).exp()
            given = noised(self.residual(window), sigma, self.noise(window.latents))
            answer, _ = network(given.x, given.c_noise, window, self.micro(sigma), None)
            found.append(float(v_loss(answer, given.v)))
        return float(np.mean(found))

    def sample(self, network: Denoising, clip: ClipBatch) -> Tensor:
        """Frames 1 and later of a clip, ``B T-1 3 H W`` in [0, 1], colored as with the exported weights."""
        networks = Networks(network.unet, network.controlnet, self.codec, network.embed, self.card)
        drafter = self.drafter.method if self.drafter is not None else None
        options = LVCDOptions(size=(clip.lines.shape[-2], clip.lines.shape[-1]))
        return color_clips(LVCD(networks, options, self.device, network.unet.dtype, drafter), clip)

    def sample_sheet(self, network: Denoising) -> npt.NDArray[np.uint8]:
        """Rows of reference, line art, result, truth: a middle frame at every distance and line style."""
        rows = []
        with torch.random.fork_rng([self.device] if self.device.type == "cuda" else []):
            torch.manual_seed(0)
            for line_style in self.options.line_styles:
                for distance in self.options.distances:
                    for clip in self.clips.validation(distance, line_style, 1):
                        at = (clip.color.shape[1] + 1) // 2
                        made = self.sample(network, clip)
                        color = clip.color[0]
                        rows.append([color[0], 1 - clip.lines[0, at], made[0, at - 1], color[at]])
        return sheet(rows)

    # Export

    def export_config(self) -> Mapping[str, Any]:
        return self.network.unet.config.to_dict()

    def parts(self) -> Mapping[str, Part]:
        """The networks that may be trained; the rest comes with :meth:`complete_export`."""
        parts = {
            "unet": Part("unet", self.export_config(), DIFFUSERS),
            "controlnet": Part("controlnet", self.network.controlnet.config.to_dict(), DIFFUSERS),
        }
        if isinstance(self.network.embed, LatentEmbedding):
            parts["image_encoder"] = Part("embed", self.network.embed.to_dict(), DIFFUSERS)
        return parts

    def complete_export(self, folder: Path) -> None:
        """Add the parts that were not trained, and the card."""
        net = self.network
        written = Networks(net.unet, net.controlnet, self.codec, net.embed, self.card)
        names = ["line_vae"] if isinstance(self.codec, LineCodec) else ["vae", "first_stage_encoder"]
        if isinstance(self.network.embed, ClipEmbedding):
            names.append("image_encoder")
        written.save(folder, dtype=torch.float16, only=names)


class DiffusionSmall(Diffusion):
    """The small networks, from nothing or from weights exported before."""

    @classmethod
    def build(cls, recipe: Recipe, device: torch.device) -> Self:
        options = from_table(DiffusionOptions, recipe.task, "task")
        card = Card(
            steps=options.sampling_steps,
            sigma_max=options.sigma_max,
            area=recipe.data.size[0] * recipe.data.size[1],
        )
        if recipe.init.weights:
            networks = replace(Networks.load(Path(recipe.init.weights)), card=card)
            codec = _line_codec(options.autoencoder) if options.autoencoder else networks.codec
            networks = replace(networks, codec=codec)
        else:
            need(bool(options.autoencoder), "task.autoencoder", options.autoencoder, "the autoencoder's folder")
            networks = _new_networks(recipe.network, _line_codec(options.autoencoder), card)
        task = cls(networks, options, Clips(recipe.data, device), device)
        if options.draft:
            spread = task.residual_std(recipe.run.seed)
            task.card = replace(card, draft_spread=spread, draft_sigma=spread * options.sigma_max)
        task.network.float().train().requires_grad_(True)
        _freeze_unused(task.network)
        _set_gradient_checkpointing(task.network, recipe.run.gradient_checkpointing)
        return task


class DiffusionFineTune(Diffusion):
    """The full-size networks as the paper trains them (section 5.1), or with low-rank additions."""

    options: FineTuneOptions

    @classmethod
    def build(cls, recipe: Recipe, device: torch.device) -> Self:
        options = from_table(FineTuneOptions, recipe.task, "task")
        need(
            bool(recipe.init.weights),
            "init.weights",
            recipe.init.weights,
            "a folder of Stable Video Diffusion's weights",
        )
        need(not recipe.network, "[network]", dict(recipe.network), "none: the weights say the sizes")
        networks = Networks.load(Path(recipe.init.weights), begin=True)
        task = cls(networks, options, Clips(recipe.data, device, distance=None), device)
        half = device.type == "cuda" and torch.cuda.is_bf16_supported() and recipe.run.precision != "fp32"
        net = task.network.train().requires_grad_(False).to(torch.bfloat16 if half else torch.float32)
        if options.adapt == "lora":
            _add_lora(net, options.lora_rank)
        else:
            net.controlnet.requires_grad_(True)
            for block in net.unet.modules():
                if isinstance(block, SpatialBlock | TemporalBlock):
                    block.attn1.requires_grad_(True)
        _freeze_unused(net)
        for parameter in net.parameters():
            if parameter.requires_grad:
                parameter.data = parameter.data.float()
        _set_gradient_checkpointing(net, recipe.run.gradient_checkpointing)
        return task

    def plain(self, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Low-rank additions are added in."""
        return _merged(tensors, self.options.lora_rank) if self.options.adapt == "lora" else dict(tensors)


def _line_codec(folder: str) -> LineCodec:
    path = Path(folder)
    config = read_config(path)
    need(config.get("_class_name") == "LineVAE", "task.autoencoder", folder, "the folder of a line-aware autoencoder")
    return LineCodec(load_network(LineVAE(LineVAEConfig.from_dict(config)), read_tensors(path), source=path).float())


def _new_networks(table: Mapping[str, Any], codec: LineCodec | VideoVAE, card: Card) -> Networks:
    """The small networks with random weights; ``table`` replaces some of their sizes."""
    channels = {"in_channels": 2 * codec.channels, "out_channels": codec.channels}
    sizes = from_table(ControlNetConfig, {**asdict(SMALL_CONTROL), **channels, **table}, "network")
    unet = UNet(sizes.unet)
    for parameter in unet.conv_out.parameters():  # the first answer is no answer
        nn.init.zeros_(parameter)
    hints = sizes.conditioning_embedding_out_channels
    controlnet = ControlNet.from_unet(
        unet, conditioning_channels=sizes.conditioning_channels, conditioning_embedding_out_channels=hints
    )
    # nothing that was learnt is to be kept from harm here, so that lines need not wait behind two zero layers
    controlnet.controlnet_cond_embedding.conv_out.reset_parameters()
    return Networks(unet, controlnet, codec, LatentEmbedding(codec.channels, sizes.cross_attention_dim), card)


def _freeze_unused(network: Denoising) -> None:
    """Freeze what has no effect on the answer: with a single token, queries, keys and their norm (the weights remain
    because checkpoints have them)."""
    for block in network.modules():
        if isinstance(block, SpatialBlock | TemporalBlock):
            for layer in (block.norm2, block.attn2.to_q, block.attn2.to_k):
                layer.requires_grad_(False)


def _set_gradient_checkpointing(network: Denoising, on: bool) -> None:
    network.unet.gradient_checkpointing = network.controlnet.gradient_checkpointing = on


_LORA = r".*\.attn1\.(to_q|to_k|to_v|to_out\.0)"
"""Layers that get low-rank additions."""


def _add_lora(network: Denoising, rank: int) -> None:
    """Low-rank additions to all self-attention; of the ControlNet, what is new is trained whole."""
    try:
        from peft import LoraConfig, inject_adapter_in_model
    except ImportError:
        raise MissingExtra("peft", "train") from None
    inject_adapter_in_model(LoraConfig(r=rank, lora_alpha=rank, target_modules=_LORA), network)
    control = network.controlnet
    for part in (control.controlnet_cond_embedding, control.controlnet_down_blocks, control.controlnet_mid_block):
        part.requires_grad_(True)


def _merged(tensors: Mapping[str, Tensor], rank: int) -> dict[str, Tensor]:
    """Tensors with low-rank additions -> the plain network's; the additions' factor is 1."""
    plain: dict[str, Tensor] = {}
    for key, tensor in tensors.items():
        if ".lora_" in key:
            continue
        found = re.fullmatch(r"(.*)\.base_layer\.(weight|bias)", key)
        if found is None:
            plain[key] = tensor
            continue
        layer, name = found.groups()
        if name == "weight":
            up, down = (tensors[f"{layer}.lora_{side}.default.weight"].float() for side in "BA")
            tensor = (tensor.float() + up @ down).to(tensor.dtype)
        plain[f"{layer}.{name}"] = tensor
    return plain
