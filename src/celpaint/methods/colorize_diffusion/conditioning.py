"""Pictures and a mode -> what the UNet is told. A pure function of its arguments."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum

import torch
from torch import Tensor

from celpaint.methods.colorize_diffusion.networks import Networks
from celpaint.methods.colorize_diffusion.pictures import (
    Pictures,
    blank_sketch,
    fit_picture,
    latent_mask,
    without_figure,
)
from celpaint.methods.colorize_diffusion.semantics import AttentionScales, Encoded, Intended, Semantics
from celpaint.models.colorize_diffusion.conditions import (
    Conditions,
    Context,
    Figure,
    Injected,
    ReferenceContext,
    SplitContext,
    StyleVectors,
)
from celpaint.models.colorize_diffusion.encoders import size_label

__all__ = ["Controls", "Mode", "blank_hints", "condition", "sketch_hints"]


class Mode(Enum):
    """Which parts are used (section 3.5): whether the style encoder, whether the background encoder."""

    VANILLA = (False, False)
    STYLE = (True, False)
    BACKGROUND = (False, True)
    FULL = (True, True)

    @property
    def style(self) -> bool:
        """Whether style vectors modulate the features."""
        return self.value[0]

    @property
    def background(self) -> bool:
        """Whether figure and background are treated apart."""
        return self.value[1]


@dataclass(frozen=True, kw_only=True)
class Controls:
    """Strengths and thresholds; the defaults change nothing.

    Attributes:
        attention: how strongly the reference acts.
        sketch: strength of the sketch, 0 to 3.
        foreground: strength of the reference in the figure, 0 to 1; background modes only.
        background: strength of the background's tokens, 0 to 1; background modes only.
        background_features: factor of the background encoder's features, 0 to 2.
        merge: share of the background that is mixed into the figure, 0 to 1. It acts in the split cross-attention and,
            where there is a background picture, in the style.
        figure_threshold: mask value above which the sketch counts as figure, 0 to 1 (ts_s of the paper).
        reference_threshold: mask value from which the reference counts as figure, 0 to 1 (ts_r of the paper).
    """

    attention: AttentionScales = field(default_factory=AttentionScales)
    sketch: float = 1.0
    foreground: float = 1.0
    background: float = 1.0
    background_features: float = 1.0
    merge: float = 0.0
    figure_threshold: float = 0.05
    reference_threshold: float = 0.5


def sketch_hints(networks: Networks, sketch: Tensor, strength: float = 1.0) -> tuple[Tensor, ...]:
    """Hints of a sketch ``1 3 H W`` from :func:`~celpaint.methods.colorize_diffusion.pictures.fit_sketch`."""
    return tuple(hint * strength for hint in networks.sketch_encoder(sketch.to(networks.device)))


def blank_hints(networks: Networks, size: tuple[int, int], strength: float = 1.0) -> tuple[Tensor, ...]:
    """Hints of an empty sketch, for sketch guidance."""
    return sketch_hints(networks, blank_sketch(size), strength)


@dataclass(frozen=True)
class _Shown:
    """A picture and its tokens."""

    rgb: Tensor
    tokens: Tensor


def condition(
    networks: Networks,
    pictures: Pictures,
    mode: Mode = Mode.VANILLA,
    controls: Controls | None = None,
    semantics: Semantics | None = None,
) -> Conditions:
    """Encode all pictures that the mode needs.

    A missing sketch is empty paper; a missing reference gives no tokens, and a background picture takes its place
    where the mode needs a picture.

    Args:
        networks: the networks.
        pictures: what the result is made from.
        mode: which parts are used.
        controls: strengths and thresholds; None: the defaults.
        semantics: how options are understood; None: as they say.
    """
    return _Conditioning(networks, pictures, mode, controls or Controls(), semantics or Intended()).conditions()


@dataclass(frozen=True)
class _Conditioning:
    networks: Networks
    pictures: Pictures
    mode: Mode
    controls: Controls
    semantics: Semantics

    def conditions(self) -> Conditions:
        pictures, controls = self.pictures, self.controls
        reference = self._reference()
        background = None if self.mode is Mode.VANILLA else self._background()
        tokens = reference.tokens if reference else self._no_tokens(background)
        figure = self._figure()
        sketch = blank_sketch(pictures.size) if pictures.sketch is None else pictures.sketch
        behind = (background or self._masked_reference(reference)) if self.mode.background else None
        strengths = self.semantics.strengths(controls.attention, self.networks.config)
        context: Context = ReferenceContext(tokens, strengths)
        injected = None
        if self.mode.background:
            context = SplitContext(
                tokens,
                behind.tokens if behind else tokens,
                figure,
                strengths,
                controls.foreground,
                controls.background,
                controls.merge,
            )
            if behind:
                injected = Injected(self._background_features(behind, tokens, background), figure)
        return Conditions(
            sketch_hints(self.networks, sketch, controls.sketch),
            context,
            injected,
            self._style(reference, background) if self.mode.style else None,
        )

    def _shown(self, rgb: Tensor) -> _Shown:
        rgb = rgb.to(self.networks.device)
        return _Shown(rgb, self.networks.image_encoder(rgb).to(self.networks.unet.dtype))

    def _reference(self) -> _Shown | None:
        rgb = self.pictures.reference
        return None if rgb is None else self._shown(rgb)

    def _background(self) -> _Shown | None:
        rgb, mask = self.pictures.background, self.pictures.background_mask
        if rgb is None:
            return None
        return self._shown(rgb if mask is None else without_figure(rgb, mask, self.controls.reference_threshold))

    def _masked_reference(self, reference: _Shown | None) -> _Shown | None:
        mask = self.pictures.reference_mask
        if reference is None or mask is None:
            return reference
        return self._shown(without_figure(reference.rgb, mask, self.controls.reference_threshold))

    def _no_tokens(self, like: _Shown | None) -> Tensor:
        if like:
            return torch.zeros_like(like.tokens)
        networks = self.networks
        return torch.zeros(1, 1, networks.config.context_width, dtype=networks.unet.dtype, device=networks.device)

    def _figure(self) -> Figure:
        config, size = self.networks.config, self.pictures.size
        mask = torch.zeros(1, 1, *size) if self.pictures.figure is None else self.pictures.figure
        mask = latent_mask(mask.to(self.networks.device), config.factor)
        return Figure.from_mask(mask, self.controls.figure_threshold, len(config.widths))

    def _latents(self, shown: _Shown, picture: Encoded) -> Tensor:
        vae, size = self.networks.vae, self.pictures.size
        shape = (1, vae.channels, size[0] // vae.factor, size[1] // vae.factor)
        return vae.encode(fit_picture(shown.rgb, size), self.semantics.posterior_noise(picture, shape))

    def _label(self, shown: _Shown) -> Tensor:
        height, width = shown.rgb.shape[-2:]
        return size_label((height, width), self.pictures.size, self.networks.config.ratio_width)

    def _background_features(self, behind: _Shown, tokens: Tensor, background: _Shown | None) -> tuple[Tensor, ...]:
        attended = self.semantics.encoder_tokens(tokens, background.tokens if background else None, self.mode.style)
        features = self.networks.background_encoder(self._latents(behind, "background"), self._label(behind), attended)
        return tuple(feature * self.controls.background_features for feature in features)

    def _style(self, reference: _Shown | None, background: _Shown | None) -> StyleVectors | None:
        merge = self.controls.merge
        if reference is None:
            return self._style_of(background, "background") if background else None
        vectors = self._style_of(reference, "reference")
        if background is None or not merge:
            return vectors
        others = self._style_of(background, "background")
        return tuple(torch.lerp(own, other, merge) for own, other in zip(vectors, others, strict=True))

    def _style_of(self, shown: _Shown, picture: Encoded) -> StyleVectors:
        vectors: StyleVectors = self.networks.style_encoder(
            self._latents(shown, picture), self._label(shown), shown.tokens
        )
        return vectors
