"""A folder of LVCD's weights <-> its networks.

DIR/model_index.json     the card: steps, solver, noise level, micro-conditions, working size
DIR/unet/                as diffusers' UNetSpatioTemporalConditionModel
DIR/controlnet/
DIR/vae/                 as diffusers' AutoencoderKLTemporalDecoder, or
DIR/line_vae/            the line-aware autoencoder
DIR/first_stage_encoder/ the first stage's own encoder, where it differs from the VAE's
DIR/image_encoder/       CLIP's image half as transformers has it, or a LatentEmbedding
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Literal, TypeVar, cast

import torch
from torch import nn

from celpaint.atomic_write import write_text
from celpaint.errors import MissingExtra, WeightsError
from celpaint.models.line_vae import LineVAE, LineVAEConfig
from celpaint.sampling.solvers import SOLVERS
from celpaint.weights.store import load_network, read_config, read_tensors, write_network

try:
    from diffusers import AutoencoderKLTemporalDecoder

    from celpaint.models.image_encoder import ClipEmbedding, LatentEmbedding
    from celpaint.models.lvcd.controlnet import ControlNet, ControlNetConfig
    from celpaint.models.lvcd.unet import UNet, UNetConfig
    from celpaint.models.vae import LineCodec, VideoVAE, first_stage_encoder
except ModuleNotFoundError:
    raise MissingExtra("diffusers", "diffusion") from None

__all__ = ["Card", "Networks", "build_line_vae", "build_part", "read_card"]

N = TypeVar("N", bound=nn.Module)

DIFFUSERS = "diffusion_pytorch_model"


@dataclass(frozen=True, kw_only=True)
class Card:
    """What weights recommend. Defaults are SVD's and LVCD's.

    Attributes:
        steps: denoising steps a segment.
        solver: one of :data:`~celpaint.sampling.solvers.SOLVERS`.
        sigma_max: noise level to start from.
        micro: micro-conditions (SVD's: frames per second, motion bucket, noise augmentation).
        area: pixels of the working size.
        draft_sigma: noise level to bring a draft to, where sampling starts from one.
        draft_spread: for weights that refine a draft: the standard deviation of what the draft lacks, in latents of
            unit variance. None: these weights color by themselves, as the paper's.
    """

    steps: int = 25
    solver: Literal["euler", "dpmpp_2m"] = "euler"
    sigma_max: float = 700.0
    micro: tuple[float, ...] = (6.0, 160.0, 0.0)
    area: int = 576 * 320
    draft_sigma: float = 10.0
    draft_spread: float | None = None

    @classmethod
    def read(cls, folder: Path) -> Card:
        """From ``model_index.json``; what it does not say (as diffusers' do not) is the default.

        Raises:
            WeightsError: no JSON object, or no such solver.
        """
        path = folder / "model_index.json"
        if not path.exists():
            return cls()
        try:
            found = json.loads(path.read_text(encoding="utf-8"))
            card = cls(**{f.name: found[f.name] for f in fields(cls) if f.name in found})
        except (OSError, ValueError, TypeError) as error:
            raise WeightsError(f"'{path}' can't be read ({error})", wanted="a JSON object") from None
        if card.solver not in SOLVERS:
            raise WeightsError(f"'{path}' asks for the solver {card.solver!r}", wanted=" or ".join(SOLVERS))
        return replace(card, micro=tuple(card.micro))


@dataclass(frozen=True)
class Networks:
    """All of LVCD that has weights.

    Attributes:
        unet, controlnet: the denoiser's two halves.
        codec: pixels to latents and back.
        embed: the reference -> the context token.
        card: what the weights recommend.
    """

    unet: UNet
    controlnet: ControlNet
    codec: VideoVAE | LineCodec
    embed: ClipEmbedding | LatentEmbedding
    card: Card = field(default_factory=Card)

    @classmethod
    def load(cls, folder: Path, *, begin: bool = False) -> Networks:
        """Every part, strictly, in evaluation mode, on the CPU in the stored number format.

        Args:
            folder: see the module.
            begin: for training: a ControlNet that is not there is made from the UNet.

        Raises:
            WeightsError: a part is missing, broken or does not fit the others.
        """
        alone = (folder / "unet").is_dir() and not (folder / "controlnet").is_dir()
        if alone and not begin:
            raise WeightsError(
                f"'{folder}' has no ControlNet: these are Stable Video Diffusion's weights alone",
                wanted="LVCD's weights",
                todo="Make them with: celpaint weights convert --svd svd.safetensors --lvcd lvcd.ckpt --out DIR",
            )
        unet = _read(folder / "unet", UNet)
        if alone:
            controlnet = ControlNet.from_unet(unet)
        else:
            controlnet = _read(folder / "controlnet", ControlNet)
        codec: VideoVAE | LineCodec
        if (folder / "line_vae").is_dir():
            codec = LineCodec(_read(folder / "line_vae", LineVAE))
        else:
            codec = _read_video_vae(folder)
        loaded = cls(unet, controlnet, codec, _read_embedding(folder / "image_encoder"), Card.read(folder))
        loaded._check(folder)
        return loaded

    def _check(self, folder: Path) -> None:
        sizes, hints = self.unet.config, self.controlnet.config.conditioning_embedding_out_channels
        if self.controlnet.config.unet != replace(sizes, norm_eps=self.controlnet.config.norm_eps):
            raise WeightsError(f"unet and controlnet in '{folder}' differ in size", wanted="parts made together")
        factor = 2 ** (len(hints) - 1)
        channels = self.codec.channels
        if (sizes.out_channels, sizes.in_channels, self.codec.factor) != (channels, 2 * channels, factor):
            raise WeightsError(
                f"in '{folder}' the autoencoder has {channels} channels at 1/{self.codec.factor} of the size, "
                f"the UNet {sizes.out_channels} at 1/{factor}",
                wanted="parts made together",
            )
        micro = sizes.projection_class_embeddings_input_dim // sizes.addition_time_embed_dim
        if len(self.card.micro) != micro:
            raise WeightsError(f"the card in '{folder}' has {len(self.card.micro)} micro-conditions", wanted=str(micro))

    def save(self, folder: Path, dtype: torch.dtype | None = None, *, only: Collection[str] | None = None) -> None:
        """Write a folder that :meth:`load` reads.

        Args:
            folder: made if missing.
            dtype: number format on disk; None: as in memory.
            only: names of the parts to write beside the card; None: all.
        """
        parts: list[tuple[str, Mapping[str, Any], nn.Module, str]] = [
            ("unet", self.unet.config.to_dict(), self.unet, DIFFUSERS),
            ("controlnet", self.controlnet.config.to_dict(), self.controlnet, DIFFUSERS),
        ]
        if isinstance(self.codec, LineCodec):
            parts.append(("line_vae", self.codec.vae.config.to_dict(), self.codec.vae, DIFFUSERS))
        else:
            parts.append(("vae", dict(self.codec.vae.config), self.codec.vae, DIFFUSERS))
            if self.codec.first_stage is not None:
                parts.append(("first_stage_encoder", dict(self.codec.vae.config), self.codec.first_stage, DIFFUSERS))
        if isinstance(self.embed, ClipEmbedding):
            parts.append(("image_encoder", self.embed.model.config.to_dict(), self.embed.model, "model"))
        else:
            parts.append(("image_encoder", self.embed.to_dict(), self.embed, DIFFUSERS))
        for name, config, network, stem in parts:
            if only is None or name in only:
                write_network(folder / name, config, network.state_dict(), dtype=dtype, name=stem)
        card = {"_class_name": "LVCD", **asdict(self.card)}
        write_text(folder / "model_index.json", json.dumps(card, indent=2) + "\n")


_VAE = (
    "in_channels",
    "out_channels",
    "down_block_types",
    "block_out_channels",
    "layers_per_block",
    "latent_channels",
    "scaling_factor",
)


def _clip(config: Mapping[str, Any]) -> nn.Module:
    from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

    return cast("nn.Module", CLIPVisionModelWithProjection(CLIPVisionConfig.from_dict(dict(config))))


_BUILDERS: dict[str, Callable[[Mapping[str, Any]], nn.Module]] = {
    "unet": lambda config: UNet(UNetConfig.from_dict(config)),
    "controlnet": lambda config: ControlNet(ControlNetConfig.from_dict(config)),
    "vae": lambda config: cast(
        "nn.Module", AutoencoderKLTemporalDecoder(**{name: config[name] for name in _VAE if name in config})
    ),
    "line_vae": lambda config: LineVAE(LineVAEConfig.from_dict(config)),
    "first_stage_encoder": first_stage_encoder,
    "image_encoder": lambda config: (
        LatentEmbedding.from_dict(config) if config.get("_class_name") == "LatentEmbedding" else _clip(config)
    ),
}


def read_card(folder: Path) -> Mapping[str, object]:
    """The settings stored with a folder of weights."""
    return vars(Card.read(folder))


def build_line_vae(part: str, config: Mapping[str, Any], source: object) -> nn.Module:
    """As :func:`build_part`, for a folder that is the line-aware autoencoder alone."""
    return build_part("line_vae", config, source)


def build_part(part: str, config: Mapping[str, Any], source: object, *, device: str = "meta") -> nn.Module:
    """An empty network.

    Args:
        part: one of :data:`~celpaint.methods.lvcd.spec.PARTS`.
        config: its ``config.json``.
        source: what to call it in errors.
        device: on ``meta`` its first weights are not even drawn.

    Raises:
        WeightsError: the config does not describe such a network.
    """
    try:
        with torch.device(device):
            return _BUILDERS[part](config)
    except (KeyError, TypeError, ValueError) as error:
        raise WeightsError(
            f"'{source}' does not describe such a network ({error})",
            wanted="the config the weights were made with",
        ) from None


def _read(folder: Path, kind: type[N], *, device: str = "meta") -> N:
    """A network from its config and tensors."""
    network = cast("N", build_part(folder.name, read_config(folder), folder / "config.json", device=device))
    return load_network(network, read_tensors(folder), source=folder)


def _read_video_vae(folder: Path) -> VideoVAE:
    own = folder / "first_stage_encoder"
    return VideoVAE(
        _read(folder / "vae", AutoencoderKLTemporalDecoder), _read(own, nn.Module) if own.is_dir() else None
    )


def _read_embedding(folder: Path) -> ClipEmbedding | LatentEmbedding:
    if read_config(folder).get("_class_name") == "LatentEmbedding":
        return _read(folder, LatentEmbedding)
    return ClipEmbedding(_read(folder, nn.Module, device="cpu"))  # it has buffers that no file holds
