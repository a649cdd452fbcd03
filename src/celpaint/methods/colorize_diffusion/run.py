"""ColorizeDiffusion v2: one drawing colored from a reference of any pose and framing (Yan et al., 2025).

A drawing's latents are denoised by Stable Diffusion's UNet, told the lines by a sketch encoder and the colors by
attention to the reference. Figure and background may look at different parts of the reference, and a style encoder may
modulate all layers (section 3). Every drawing of a shot is colored by itself, with the same noise.

The drawing is put on a canvas of whole latents, as large as fits, and cut out of the result. A drawing that was given
painted comes out as it was painted.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import cast

import numpy as np
import torch
from torch import Tensor, nn

from celpaint.conditions.lines import classify, flatten, working_lines
from celpaint.conditions.reference import fit_reference
from celpaint.device import resolve_device, resolve_dtype
from celpaint.errors import InputError, OptionError, ReferenceFrameError
from celpaint.frames.read import read_picture
from celpaint.frames.resize import resize_tensor
from celpaint.methods.base import Method
from celpaint.methods.colorize_diffusion.conditioning import Controls, Mode, blank_hints, condition, sketch_hints
from celpaint.methods.colorize_diffusion.denoising import AttentionInjection, Denoiser, Guidance, guided
from celpaint.methods.colorize_diffusion.masks import (
    drawing_figure,
    mask_for_drawing,
    open_masks,
    read_mask,
    reference_figure,
    sized,
)
from celpaint.methods.colorize_diffusion.networks import Networks
from celpaint.methods.colorize_diffusion.pictures import (
    Box,
    Pictures,
    fit_picture,
    fit_sketch,
    pad_sides,
    place,
    sketch_box,
)
from celpaint.methods.colorize_diffusion.semantics import AttentionScales, Encoded, Intended, Official, Semantics
from celpaint.methods.colorize_diffusion.spec import SPEC, ColorizeDiffusionOptions
from celpaint.models.colorize_diffusion.conditions import Conditions
from celpaint.sampling.discrete import DiscreteLevels, scaled_linear
from celpaint.sampling.parameterization import PREDICTIONS, Parameterization
from celpaint.sampling.samplers import SAMPLERS, Sampler
from celpaint.sampling.stochastic import Noise, seeded_noise
from celpaint.types import (
    Array,
    Chunk,
    ColorizedFrame,
    DrawingColored,
    Frame,
    Progress,
    Reference,
    SegmentStarted,
    Shot,
    State,
    StepDone,
    silent,
)

__all__ = ["Canvas", "ColorizeDiffusion"]

log = logging.getLogger("celpaint")


@dataclass(frozen=True)
class Canvas:
    """How a drawing is brought to the networks' size: resized, then filled up with paper on all sides.

    Attributes:
        size: (height, width) of the canvas, multiples of what the networks can halve.
        box: where the drawing lies in it.
    """

    size: tuple[int, int]
    box: Box

    @classmethod
    def choose(cls, drawing: tuple[int, int], wanted: tuple[int, int] | None, area: int, unit: int) -> Canvas:
        """A canvas for a drawing.

        Args:
            drawing: (height, width).
            wanted: (height, width) to work at; None: about ``area`` pixels in the drawing's aspect.
            area: pixels.
            unit: sides are multiples of it, twice as long at least: group norms need more than one place.
        """
        if wanted is None:
            scale = (area / (drawing[0] * drawing[1])) ** 0.5
            height, width = (max(round(side * scale / unit), 2) * unit for side in drawing)
        else:
            height, width = (max(-(-side // unit), 2) * unit for side in wanted)
        return cls((height, width), sketch_box(drawing, (height, width)))

    def enter(self, picture: Array, around: float) -> Tensor:
        """``h w`` of any size -> ``1 1 H W`` float32, ``around`` outside the drawing."""
        x = torch.from_numpy(np.ascontiguousarray(picture, np.float32))[None, None]
        return place(resize_tensor(x, (self.box.height, self.box.width)), self.box, self.size, around)

    def leave(self, rgb: Tensor) -> Array:
        """``1 3 H W`` in [-1, 1] -> the drawing's part ``h w 3`` in [0, 1]."""
        box = self.box
        part = rgb[0, :, box.top : box.top + box.height, box.left : box.left + box.width].float().cpu()
        return np.ascontiguousarray(((part + 1) / 2).clamp(0, 1).permute(1, 2, 0).numpy())


class ColorizeDiffusion(Method):
    """The ColorizeDiffusion v2 method.

    Args:
        networks: their weights loaded, on ``device`` (with ``options.offload``: on the CPU).
        options: of the method.
        device: where the networks are run.

    Raises:
        InputError: a mask or a background picture can't be read, or a mask is empty.
        OptionError: the weights can't do what the options want.
    """

    def __init__(self, networks: Networks, options: ColorizeDiffusionOptions, device: torch.device) -> None:
        self.networks, self.options, self.device = networks, options, device
        card = networks.card
        self.mode = Mode[options.mode.upper()]
        self.semantics: Semantics = Official(partial(_posterior_noise, options.seed))
        if not options.match_official:
            self.semantics = Intended()
        self.controls = _controls(options, card.figure_threshold)
        try:
            self.semantics.strengths(self.controls.attention, networks.config)
        except ValueError as error:
            raise OptionError(
                f"{'--layer-scales' if options.layer_scales else '--match-official'} with these weights: {error}",
                wanted="what fits the weights",
            ) from None
        self.levels = scaled_linear()
        self.parameterization = Parameterization(PREDICTIONS[card.prediction], self.levels)
        self.guidance = Guidance(options.reference_guidance or card.guidance, options.sketch_guidance)
        self.sampler, self.sigmas = self._schedule(self.levels)
        self.masks = open_masks(Path(options.mask).expanduser()) if options.mask else None
        self.reference_mask = _read_mask(options.reference_mask)
        self.background = read_picture(Path(options.background).expanduser())[0] if options.background else None
        self.background_mask = _read_mask(options.background_mask)

    @classmethod
    def load(cls, options: ColorizeDiffusionOptions) -> ColorizeDiffusion:
        """Find the weights and build the networks.

        Raises:
            WeightsError: missing, broken or of another network.
            DeviceError: no such device.
            InputError, OptionError: see :class:`ColorizeDiffusion`.
        """
        device = resolve_device(options.device)
        dtype = resolve_dtype(options.dtype, device)
        networks = Networks.load(SPEC.find_weights(options.weights))
        home = torch.device("cpu") if options.offload else device
        for network in (
            networks.unet,
            networks.sketch_encoder,
            networks.background_encoder,
            networks.style_encoder,
        ):
            network.to(home, dtype)
        for seeing in _seeing(networks):  # small beside the others, and colors suffer first
            seeing.to(home, torch.float32)
        if options.compile:
            networks.unet.compile()
        return cls(networks, options, device)

    def _schedule(self, levels: DiscreteLevels) -> tuple[Sampler, tuple[float, ...]]:
        options, card = self.options, self.networks.card
        if options.preview:
            sampler = SAMPLERS["euler"]
            return sampler, sampler.sigmas(levels, 1)
        sampler = SAMPLERS[options.sampler or card.sampler]
        return sampler, sampler.sigmas(levels, options.steps or card.steps, options.schedule)

    @property
    def unit(self) -> int:
        """Sides of the canvas are multiples of it: pixels a latent at the UNet's coarsest level."""
        config = self.networks.config
        return config.factor << len(config.widths) - 1

    # -- the shot -------------------------------------------------------------------------------------------------

    @torch.inference_mode()
    def color(
        self, shot: Shot, *, done: int = 0, state: State | None = None, progress: Progress = silent
    ) -> Iterator[Chunk]:
        _check_references(shot)
        canvas = Canvas.choose(shot.size, self.options.size, self.networks.card.area, self.unit)
        painted = {reference.frame: reference for reference in shot.references if reference.frame is not None}
        shown: dict[int, tuple[Tensor, Tensor | None]] = {}
        for drawing in range(done, len(shot)):
            progress(SegmentStarted(drawing + 1, len(shot)))
            if drawing in painted:
                rgb = painted[drawing].rgb
            else:
                nearest = _nearest(shot.references, drawing)
                if nearest not in shown:
                    shown = {nearest: self._reference(shot.references[nearest], shot.size, canvas)}
                steps = len(self.sigmas) - 1
                tell = _counted(progress, drawing * steps, len(shot) * steps)
                rgb = self._paint(shot, drawing, shown[nearest], canvas, tell)
            progress(DrawingColored(drawing + 1, len(shot)))
            yield Chunk((drawing,), (ColorizedFrame(rgb),))

    def _paint(
        self,
        shot: Shot,
        drawing: int,
        reference: tuple[Tensor, Tensor | None],
        canvas: Canvas,
        tell: Callable[[int], None],
    ) -> Array:
        """One drawing at the canvas's scale, ``h w 3``."""
        line = shot.lines[drawing]
        lines = canvas.enter(working_lines(line, (canvas.box.height, canvas.box.width)), 0.0)
        background, background_mask = self._background(shot.size, canvas)
        pictures = Pictures(
            size=canvas.size,
            sketch=self._sketch(line, lines, canvas),
            figure=self._figure(shot, drawing, lines, canvas) if self.mode.background else None,
            reference=reference[0],
            reference_mask=reference[1],
            background=background,
            background_mask=background_mask,
        )
        noise = seeded_noise(self.options.seed)
        with self._at_work(*_encoders(self.networks)):
            given = condition(self.networks, pictures, self.mode, self.controls, self.semantics)
            blank = blank_hints(self.networks, canvas.size, self.controls.sketch)
            vae = self.networks.vae
            start = torch.zeros(1, vae.channels, *(side // vae.factor for side in canvas.size), device=self.device)
            start = noise(start) * (1 + self.sigmas[0] ** 2) ** 0.5
            injection = None
            if self.options.attention_injection:
                injection = self._injection(reference[0], canvas, noise, start)
        with self._at_work(self.networks.unet):
            latents = self._sample(given, blank, injection, start, noise, tell)
        with self._at_work(self.networks.vae):
            return canvas.leave(self.networks.vae.decode(latents, lines.to(self.device)))

    def _sample(
        self,
        given: Conditions,
        blank: tuple[Tensor, ...],
        injection: AttentionInjection | None,
        start: Tensor,
        noise: Noise,
        tell: Callable[[int], None],
    ) -> Tensor:
        options = self.options
        denoiser = Denoiser(self.networks.unet, self.parameterization, given, injection)
        denoise = guided(denoiser, self.guidance, blank)
        denoise = self.semantics.limit(denoise, denoiser, self.levels, options.guidance_start, options.guidance_end)
        return self.sampler.solver(noise)(denoise, start, self.sigmas, tell)

    def _injection(self, rgb: Tensor, canvas: Canvas, noise: Noise, like: Tensor) -> AttentionInjection:
        options, networks = self.options, self.networks
        seen = fit_picture(rgb.to(self.device), canvas.size)
        posterior = self.semantics.posterior_noise("reference", tuple(like.shape))
        return AttentionInjection(
            latents=networks.vae.encode(seen, posterior),
            hints=sketch_hints(networks, -seen, options.injection_sketch),
            noise=cache(lambda sigma: noise(like)),
            highest=self.levels.sigma((len(self.levels) - 1) * (1 - options.injection_start)),
            fidelity=options.injection_plain,
        )

    # -- pictures -------------------------------------------------------------------------------------------------

    def _sketch(self, line: Array, lines: Tensor, canvas: Canvas) -> Tensor:
        """``1 3 H W``: lines that stay visible when they shrink, where the official program lets them fade."""
        if self.options.match_official:
            return fit_sketch(torch.from_numpy(np.ascontiguousarray(line, np.float32))[None, None], canvas.size)
        return (2 * lines - 1).expand(-1, 3, -1, -1)

    def _figure(self, shot: Shot, drawing: int, lines: Tensor, canvas: Canvas) -> Tensor | None:
        """``1 1 H W``, or None where the drawing has no figure."""
        if self.masks is not None:
            return canvas.enter(mask_for_drawing(self.masks, drawing, len(shot), shot.size), 0.0)
        box = canvas.box
        line = lines[0, 0, box.top : box.top + box.height, box.left : box.left + box.width].numpy()
        found = drawing_figure(line, None if shot.alpha is None else shot.alpha[drawing])
        return None if found is None else canvas.enter(found, 0.0)

    def _reference(self, reference: Reference, size: tuple[int, int], canvas: Canvas) -> tuple[Tensor, Tensor | None]:
        """RGB ``1 3 h w`` in [-1, 1] and the mask ``1 1 h w`` of its figure, as the networks were shown references."""
        picture = reference.picture or Frame(reference.rgb)
        mask = None
        if self.mode.background:
            if self.reference_mask is not None:
                mask = sized(self.reference_mask, picture.size, f"'{self.options.reference_mask}'", "the reference")
            else:
                mask = reference_figure(picture)
        rgb, shown = self._shown(picture, mask, size)
        padding = self.options.reference_padding
        rgb = pad_sides(rgb, padding)
        if shown is not None:
            shown = pad_sides(shown, padding, 0.0)
        if self._fits_references:
            rgb = fit_picture(rgb, canvas.size)
            shown = None if shown is None else fit_picture(shown, canvas.size)
        return rgb, shown

    def _background(self, size: tuple[int, int], canvas: Canvas) -> tuple[Tensor | None, Tensor | None]:
        """The other background as :meth:`_reference` gives the reference, or None twice."""
        if self.background is None:
            return None, None
        mask = self.background_mask
        if mask is not None:
            mask = sized(mask, self.background.size, f"'{self.options.background_mask}'", "the background")
        rgb, shown = self._shown(self.background, mask, size)
        if self._fits_references:
            rgb = fit_picture(rgb, canvas.size)
            shown = None if shown is None else fit_picture(shown, canvas.size)
        return rgb, shown

    @property
    def _fits_references(self) -> bool:
        return self.networks.card.reference_fit == "drawing"

    def _shown(self, picture: Frame, mask: Array | None, size: tuple[int, int]) -> tuple[Tensor, Tensor | None]:
        """A picture and its mask as tensors, at their own size or in the drawing's frame."""
        rgb = flatten(picture)
        if self._fits_references:
            rgb = fit_reference(picture, size)[0]
            if mask is not None:
                mask = fit_reference(Frame(np.repeat(mask[..., None], 3, axis=2)), size)[0][..., 0]
        return 2 * _tensor(rgb) - 1, None if mask is None else _tensor(mask[..., None])

    @contextmanager
    def _at_work(self, *networks: nn.Module) -> Iterator[None]:
        """The networks on the device while they are used, and in main memory afterwards where that is wished."""
        if not self.options.offload:
            yield
            return
        for network in networks:
            network.to(self.device)
        try:
            yield
        finally:
            for network in networks:
                network.to("cpu")


# -- what is given ------------------------------------------------------------------------------------------------


def _check_references(shot: Shot) -> None:
    """Look whether every drawing has one reference, and whether it is a painting.

    Raises:
        ReferenceFrameError: several that belong to no drawing.
        InputError: drawing and reference are swapped.
    """
    loose = [reference for reference in shot.references if reference.frame is None]
    if loose and len(shot.references) > 1:
        raise ReferenceFrameError(
            f"{len(shot.references)} references are given, {len(loose)} of them for no frame",
            wanted="one that belongs to no frame, or any number that belong to frames, of which a drawing takes the "
            "nearest",
        )
    line_art = [r for r in shot.references if classify(r.picture or Frame(r.rgb)).kind != "painting"]
    if not line_art:
        return
    if shot.gray is not None:
        raise InputError(
            "the drawing is a painting and the reference is line art",
            wanted="line art to color, and a painting as its reference",
            todo="Swap the two.",
        )
    log.warning("the reference looks like line art; the result takes its colors, so it will have almost none")


def _nearest(references: tuple[Reference, ...], drawing: int) -> int:
    """The reference nearest in time, by index, the earlier of two; one that belongs to no drawing is the only one."""
    frames = [reference.frame or 0 for reference in references]
    return min(range(len(frames)), key=lambda i: (abs(frames[i] - drawing), frames[i]))


def _controls(options: ColorizeDiffusionOptions, figure_threshold: float) -> Controls:
    return Controls(
        attention=AttentionScales(
            reference=options.reference_strength,
            encoder=options.encoder_scale,
            semantics=options.semantics_scale,
            color=options.color_scale,
            layers=options.layer_scales,
        ),
        sketch=options.sketch_strength,
        foreground=options.foreground_strength,
        background=options.background_strength,
        background_features=options.background_factor,
        merge=options.merging_scale,
        figure_threshold=figure_threshold if options.figure_threshold is None else options.figure_threshold,
        reference_threshold=options.reference_threshold,
    )


def _read_mask(path: str) -> Array | None:
    return read_mask(Path(path).expanduser()) if path else None


def _tensor(picture: Array) -> Tensor:
    """``h w C`` -> ``1 C h w``."""
    return torch.from_numpy(np.ascontiguousarray(picture, np.float32)).permute(2, 0, 1)[None].contiguous()


def _posterior_noise(seed: int, picture: Encoded, shape: tuple[int, ...]) -> Tensor:
    """Unit noise of its own for each of the two pictures."""
    random = torch.Generator().manual_seed((seed + {"reference": 1, "background": 2}[picture]) % 2**63)
    return torch.randn(shape, generator=random)


def _encoders(networks: Networks) -> tuple[nn.Module, ...]:
    """All networks that run once a drawing."""
    return (
        networks.sketch_encoder,
        networks.background_encoder,
        networks.style_encoder,
        *_seeing(networks),
    )


def _seeing(networks: Networks) -> tuple[nn.Module, ...]:
    """Those that are given pictures."""
    return cast("nn.Module", networks.vae), cast("nn.Module", networks.image_encoder)


def _counted(progress: Progress, before: int, total: int) -> Callable[[int], None]:
    """A solver's callback that counts steps over all drawings."""
    return lambda step: progress(StepDone(before + step, total))
