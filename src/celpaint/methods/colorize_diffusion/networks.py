"""All networks of ColorizeDiffusion v2, loaded together from a folder.

unet  sketch_encoder  background_encoder  style_encoder    config.json: ColorizeDiffusionConfig
vae                                                        config.json: diffusers' AutoencoderKL, or LineVAE
image_encoder                                              config.json: transformers' CLIP tower, or PatchTokens
model_index.json                                           what the weights recommend
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Literal, cast, get_args

import torch
from torch import nn

from celpaint.atomic_write import write_text
from celpaint.errors import WeightsError
from celpaint.models.colorize_diffusion.config import ColorizeDiffusionConfig
from celpaint.models.colorize_diffusion.encoders import BackgroundEncoder, SketchEncoder, StyleEncoder
from celpaint.models.colorize_diffusion.image_encoder import ClipTokens, PatchTokens
from celpaint.models.colorize_diffusion.unet import UNet
from celpaint.models.colorize_diffusion.vae import ImageVAE, LineImageVAE
from celpaint.models.line_vae import LineVAE, LineVAEConfig
from celpaint.sampling.parameterization import PREDICTIONS
from celpaint.sampling.samplers import SAMPLERS
from celpaint.weights.store import load_network, read_config, read_tensors, write_network

__all__ = ["PARTS", "Card", "Networks", "ReferenceFit", "build_part", "read_card"]

ReferenceFit = Literal["own", "drawing"]
"""At which size references were shown in training: their own, or fitted into the drawing's frame."""


@dataclass(frozen=True, kw_only=True)
class Card:
    """What the weights recommend.

    Attributes:
        prediction: what the UNet predicts, a name of :data:`~celpaint.sampling.parameterization.PREDICTIONS`.
        sampler: a name of :data:`~celpaint.sampling.samplers.SAMPLERS`.
        steps: sampling steps.
        guidance: scale of the reference guidance.
        area: pixels of the working size.
        figure_threshold: mask value above which a place of the drawing counts as figure, 0 to 1.
        reference_fit: see :data:`ReferenceFit`.
    """

    prediction: str = "v"
    sampler: str = "dpmpp_2m"
    steps: int = 20
    guidance: float = 4.0
    area: int = 512 * 512
    figure_threshold: float = 0.05
    reference_fit: ReferenceFit = "own"

    @classmethod
    def read(cls, folder: Path) -> Card:
        """Read ``model_index.json``; without one, the official defaults.

        Raises:
            WeightsError: it is no JSON object, or names what is not known.
        """
        path = folder / "model_index.json"
        if not path.exists():
            return cls()
        try:
            found = json.loads(path.read_text(encoding="utf-8"))
            card = cls(**{f.name: found[f.name] for f in fields(cls) if f.name in found})
        except (OSError, ValueError, TypeError) as error:
            raise WeightsError(f"'{path}' cannot be read ({error})", wanted="a JSON object") from None
        known: dict[str, Collection[str]] = {
            "prediction": PREDICTIONS,
            "sampler": SAMPLERS,
            "reference_fit": get_args(ReferenceFit),
        }
        for name, values in known.items():
            if getattr(card, name) not in values:
                raise WeightsError(f"'{path}' names the {name} {getattr(card, name)!r}", wanted=" or ".join(values))
        return card

    def write(self, folder: Path, **more: object) -> None:
        """Write ``model_index.json``.

        Args:
            folder: must exist.
            more: further entries, such as where the weights are from.
        """
        text = json.dumps({"_class_name": "ColorizeDiffusion", **asdict(self), **more}, indent=2) + "\n"
        write_text(folder / "model_index.json", text)


def read_card(folder: Path) -> Mapping[str, object]:
    """What the weights in a folder recommend, by name."""
    return asdict(Card.read(folder))


def _vae(config: Mapping[str, Any]) -> nn.Module:
    if config.get("_class_name") == "LineVAE":
        return LineVAE(LineVAEConfig.from_dict(config))
    from diffusers import AutoencoderKL

    return cast("nn.Module", AutoencoderKL(**{k: v for k, v in config.items() if not k.startswith("_")}))


def _image_encoder(config: Mapping[str, Any]) -> nn.Module:
    if config.get("_class_name") == "PatchTokens":
        return PatchTokens.from_dict(config)
    from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

    return cast("nn.Module", CLIPVisionModelWithProjection(CLIPVisionConfig.from_dict(dict(config))))


PARTS: dict[str, Callable[[Mapping[str, Any]], nn.Module]] = {
    "unet": lambda config: UNet(ColorizeDiffusionConfig.from_dict(config)),
    "sketch_encoder": lambda config: SketchEncoder(ColorizeDiffusionConfig.from_dict(config)),
    "background_encoder": lambda config: BackgroundEncoder(ColorizeDiffusionConfig.from_dict(config)),
    "style_encoder": lambda config: StyleEncoder(ColorizeDiffusionConfig.from_dict(config)),
    "vae": _vae,
    "image_encoder": _image_encoder,
}
"""Folders that hold a network each, and how one is built from its config."""


def build_part(part: str, config: Mapping[str, Any], source: object) -> nn.Module:
    """An empty network.

    Args:
        part: one of :data:`PARTS`.
        config: its ``config.json``.
        source: what to call it in errors.

    Raises:
        WeightsError: the config does not describe such a network.
    """
    # CLIP has buffers that no file holds, so it is built on the CPU; the others take their tensors from the files.
    device = "cpu" if part == "image_encoder" else "meta"
    try:
        with torch.device(device):
            return PARTS[part](config)
    except (KeyError, TypeError, ValueError) as error:
        raise WeightsError(
            f"'{source}' does not describe such a network ({error})",
            wanted="the config the weights were made with",
        ) from None


@dataclass(frozen=True)
class Networks:
    """All networks of ColorizeDiffusion v2.

    Attributes:
        unet, sketch_encoder, background_encoder, style_encoder: of one size.
        vae: pictures to latents and back.
        image_encoder: a picture -> reference tokens.
        card: what the weights recommend.
    """

    unet: UNet
    sketch_encoder: SketchEncoder
    background_encoder: BackgroundEncoder
    style_encoder: StyleEncoder
    vae: ImageVAE | LineImageVAE
    image_encoder: ClipTokens | PatchTokens
    card: Card = field(default_factory=Card)

    @property
    def config(self) -> ColorizeDiffusionConfig:
        """Sizes of the UNet."""
        return self.unet.config

    @property
    def device(self) -> torch.device:
        """Where the encoders are."""
        return next(self.sketch_encoder.parameters()).device

    @classmethod
    def load(cls, folder: Path) -> Networks:
        """Load every part strictly, in evaluation mode, on the CPU, in the stored number format.

        Args:
            folder: see the module.

        Raises:
            WeightsError: a part is missing, broken or does not fit the others.
        """
        if not (folder / "image_encoder").is_dir():
            raise WeightsError(
                f"'{folder}' has no image_encoder: official checkpoints come without the CLIP image tower",
                wanted="the image half of OpenCLIP ViT-H-14 (laion2b_s32b_b79k)",
                todo="Download open_clip_model.safetensors of laion/CLIP-ViT-H-14-laion2B-s32B-b79K and convert again "
                "with --clip open_clip_model.safetensors.",
            )
        parts = {part: _read(folder / part) for part in PARTS}
        encoder, vae = parts["image_encoder"], parts["vae"]
        loaded = cls(
            cast("UNet", parts["unet"]),
            cast("SketchEncoder", parts["sketch_encoder"]),
            cast("BackgroundEncoder", parts["background_encoder"]),
            cast("StyleEncoder", parts["style_encoder"]),
            LineImageVAE(vae) if isinstance(vae, LineVAE) else ImageVAE(cast("Any", vae)),
            encoder if isinstance(encoder, PatchTokens) else ClipTokens(cast("Any", encoder)),
            Card.read(folder),
        )
        loaded._check(folder)
        return loaded

    def _check(self, folder: Path) -> None:
        sizes = {part.config for part in (self.sketch_encoder, self.background_encoder, self.style_encoder)}
        if sizes != {self.config}:
            raise WeightsError(f"the parts in '{folder}' differ in size", wanted="parts made together")
        found, wanted = (self.vae.channels, self.vae.factor), (self.config.latent_channels, self.config.factor)
        if found != wanted:
            raise WeightsError(
                f"in '{folder}' the autoencoder has {found[0]} channels at 1/{found[1]} of the size, the UNet "
                f"{wanted[0]} at 1/{wanted[1]}",
                wanted="parts made together",
            )
        if isinstance(self.image_encoder, PatchTokens):
            width = self.image_encoder.width
        else:
            width = self.image_encoder.model.config.projection_dim
        if width != self.config.context_width:
            raise WeightsError(
                f"in '{folder}' the image encoder's tokens have {width} channels", wanted=str(self.config.context_width)
            )

    def save(
        self, folder: Path, dtype: torch.dtype | None = None, only: Collection[str] = tuple(PARTS), **more: object
    ) -> None:
        """Write a folder that :meth:`load` reads.

        Args:
            folder: made if missing.
            dtype: number format on disk; None: as in memory.
            only: which of :data:`PARTS`; the card is always written.
            more: further entries of the card.
        """
        sizes = self.config.to_dict()
        encoder = self.image_encoder
        parts: dict[str, tuple[Mapping[str, Any], nn.Module]] = {
            "unet": (sizes, self.unet),
            "sketch_encoder": (sizes, self.sketch_encoder),
            "background_encoder": (sizes, self.background_encoder),
            "style_encoder": (sizes, self.style_encoder),
            "vae": (
                self.vae.vae.config.to_dict() if isinstance(self.vae, LineImageVAE) else dict(self.vae.vae.config),
                self.vae.vae,
            ),
            "image_encoder": (
                (encoder.to_dict(), encoder)
                if isinstance(encoder, PatchTokens)
                else (encoder.model.config.to_dict(), encoder.model)
            ),
        }
        for name in only:
            config, network = parts[name]
            write_network(folder / name, config, network.state_dict(), dtype=dtype)
        self.card.write(folder, **more)


def _read(folder: Path) -> nn.Module:
    network = build_part(folder.name, read_config(folder), source=folder / "config.json")
    return load_network(network, read_tensors(folder), source=folder)
