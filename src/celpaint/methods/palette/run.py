"""Palette: gray footage in the colors of a palette.

The whole video is denoised in windows that overlap and are fused (:mod:`celpaint.sampling.fusion`), every window told
the same palette. In one step the windows follow each other and frames come out as soon as no later window has them; in
several steps all windows make a step before any makes the next, and a stopped run goes on after the last whole step.

Networks work at a size near that of their training. What they give is chroma: it is brought to the footage's size along
the edges of its luma, and the luma is the footage's own.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from functools import lru_cache
from pathlib import Path
from typing import Self

import numpy as np
import torch
from torch import Tensor

from celpaint.conditions.luminance import luminance, with_luminance
from celpaint.conditions.palette.extraction import extract_kmeans
from celpaint.conditions.palette.value import Palette
from celpaint.device import resolve_device, resolve_dtype
from celpaint.errors import InputError, OptionError
from celpaint.frames.guided import guided_enlarge
from celpaint.frames.resize import resize
from celpaint.methods.base import Method
from celpaint.methods.palette import weights
from celpaint.methods.palette.denoiser import SmallDenoiser
from celpaint.methods.palette.spec import SPEC, PaletteOptions
from celpaint.models.palette.small import ANSWER_SIGMA, SmallPaletteModel
from celpaint.sampling.fusion import READINGS, FusionState, FusionWindow, frame_noise, fuse, plan_windows, sample_fused
from celpaint.sampling.sigmas import edm_sigmas
from celpaint.sampling.solvers import Denoise
from celpaint.types import Array, Chunk, ColorizedFrame, DrawingColored, Frame, Progress, Shot, State, StepDone, silent

__all__ = ["PaletteMethod", "working_size"]

AREA = 192 * 320
"""Pixels the small networks were trained with."""

DECODED = 16
"""Frames decoded together."""

KEPT = 64
"""Gray frames at the networks' size kept in memory."""


def working_size(size: tuple[int, int], options: PaletteOptions, factor: int) -> tuple[int, int]:
    """Height and width the networks work at, multiples of ``factor``: :data:`AREA` pixels in the footage's aspect.

    Args:
        size: (height, width) of the footage.
        options: ``size`` overrides.
        factor: pixels a latent.
    """
    height, width = size if options.size is None else options.size
    scale = (AREA / (height * width)) ** 0.5 if options.size is None else 1.0
    rows, columns = (max(4, round(side * scale / factor)) for side in (height, width))
    return rows * factor, columns * factor


class PaletteMethod(Method):
    """The palette method.

    Args:
        network: its weights loaded, in evaluation mode, on ``device`` in float32.
        options: of the method.
        dtype: what the networks compute in.

    Raises:
        OptionError: windows overlap wholly.
    """

    def __init__(
        self, network: SmallPaletteModel, options: PaletteOptions, device: torch.device, dtype: torch.dtype
    ) -> None:
        if options.overlap >= options.window:
            raise OptionError(
                f"--overlap is {options.overlap} with --window {options.window}", wanted="fewer than --window"
            )
        self.network, self.options, self.device, self.dtype = network, options, device, dtype
        self.sigmas = edm_sigmas(1 if options.preview else options.steps, sigma_max=ANSWER_SIGMA)

    @classmethod
    def load(cls, options: PaletteOptions) -> Self:
        """Find the weights and build the networks.

        Raises:
            WeightsError: missing, broken or of another network.
            DeviceError: no such device.
        """
        device = resolve_device(options.device)
        network = weights.load(Path(SPEC.find_weights(options.weights))).to(device)
        if options.compile:
            network.unet.compile()
        return cls(network, options, device, resolve_dtype(options.dtype, device))

    def palette(self, shot: Shot) -> Palette | None:
        """The palette that was given, or else that of the references, or none."""
        if shot.palette:
            return Palette(shot.palette)
        if shot.references:
            frames = [Frame(reference.rgb) for reference in shot.references]
            return extract_kmeans(frames, colors=self.network.unet.config.colors, seed=self.options.seed)
        return None

    @torch.inference_mode()
    def color(
        self, shot: Shot, *, done: int = 0, state: State | None = None, progress: Progress = silent
    ) -> Iterator[Chunk]:
        if shot.gray is None:
            raise InputError(
                "the shot is line art, and the method palette colors gray footage",
                wanted="footage with shades of gray",
                todo="If it is footage, add --lines extract; for line art use --method matcher.",
            )
        run = _Run(self, shot, shot.gray, progress)
        latents: FusionState | None = None
        if len(self.sigmas) > 2:
            for latents in run.sampled(state):
                if not done:
                    yield Chunk((), (), latents.arrays())
        yield from run.colored(done, latents)

    def precision(self) -> AbstractContextManager[None]:
        """The number format that the networks compute in."""
        return torch.autocast(self.device.type, self.dtype, enabled=self.dtype != torch.float32)


class _Run:
    """One shot on its way."""

    def __init__(self, method: PaletteMethod, shot: Shot, gray: Sequence[Array], progress: Progress) -> None:
        self.method, self.shot, self.gray, self.progress = method, shot, gray, progress
        self.options, self.network, self.device = method.options, method.network, method.device
        self.work = working_size(shot.size, method.options, method.network.line_vae.factor)
        palette = method.palette(shot)
        self.vector = None
        if palette is not None:
            vector = palette.vector(method.network.unet.config.colors)
            self.vector = torch.from_numpy(vector).to(method.device)[None]
        self.windows = plan_windows(len(gray), window=method.options.window, overlap=method.options.overlap)
        self.small = lru_cache(KEPT)(self._small)

    def _small(self, drawing: int) -> Tensor:
        """``1 h w`` luma at the networks' size."""
        return torch.from_numpy(resize(self.gray[drawing], self.work))[None]

    def luma(self, drawings: Sequence[int]) -> Tensor:
        """``1 T 1 h w`` at the networks' size, on the device."""
        return torch.stack([self.small(drawing) for drawing in drawings])[None].to(self.device)

    def noise(self, drawings: Sequence[int]) -> Tensor:
        """``T C h w`` at the first noise level."""
        config, factor = self.network.line_vae.config, self.network.line_vae.factor
        shape = (config.latent_channels, self.work[0] // factor, self.work[1] // factor)
        return frame_noise(drawings, shape, seed=self.options.seed) * self.method.sigmas[0]

    def denoiser(self, window: FusionWindow) -> Denoise:
        """Of one window: noisy latents ``T C h w`` -> what their condition lacks."""
        precision = self.method.precision
        with precision():
            luma = self.luma(window.frames)
            plain = SmallDenoiser(self.network, luma, self.vector, guidance=self.options.guidance)

        def denoise(x: Tensor, sigma: float, /) -> Tensor:
            with precision():
                return plain(x, sigma)

        return denoise

    def sampled(self, state: State | None) -> Iterator[FusionState]:
        """The latents of the whole video after every step that is left, or the last of an earlier run."""
        start = FusionState.from_arrays(state) if state else None
        if start is not None and start.step == len(self.method.sigmas) - 1:
            yield start
            return
        fusion = READINGS[self.options.fusion](self.windows)
        total = len(self.method.sigmas) - 1
        yield from sample_fused(
            fusion,
            self.denoiser,
            self.method.sigmas,
            start or self.noise,
            device=self.device,
            callback=lambda step: self.progress(StepDone(step, total)),
        )

    def answers(self, first: int) -> Iterator[Tensor]:
        """The latents of all frames from ``first`` on, some at a time, in one step."""
        windows = [window for window in self.windows if window.frames[-1] >= first]
        sigma = self.method.sigmas[0]
        made = (self.denoiser(window)(self.noise(window.frames).to(self.device), sigma) for window in windows)
        skipped = first - windows[0].frames[0]
        for rows in fuse(windows, made):
            yield rows[skipped:]
            skipped = max(skipped - len(rows), 0)

    def colored(self, done: int, latents: FusionState | None) -> Iterator[Chunk]:
        """The frames from ``done`` on, given the latents of the video, or else made now."""
        reach, length = self.network.line_vae.reach, len(self.gray)
        first = max(done - reach, 0)
        if latents is None:
            found = self.answers(first)
        else:
            fusion = READINGS[self.options.fusion](self.windows)
            found = _from(fusion.result(latents.latents), first)
        rows = _Rows(found, first)
        for begin in range(done, length, DECODED):
            end = min(begin + DECODED, length)
            seen = range(max(begin - reach, 0), min(end + reach, length))
            luma = self.luma(seen)
            lacking = rows.take(seen).to(self.device)[None]
            with self.method.precision():
                whole = self.network.decode(self.network.condition(luma, self.vector) + lacking, luma)
            rgb = whole[0, begin - seen.start : end - seen.start]
            painted = []
            for drawing, small in enumerate(rgb.permute(0, 2, 3, 1).float().contiguous().cpu().numpy(), begin):
                painted.append(ColorizedFrame(self.enlarged(small, self.gray[drawing])))
                self.progress(DrawingColored(drawing + 1, length))
            yield Chunk(tuple(range(begin, end)), tuple(painted), {} if latents is None else latents.arrays())

    def enlarged(self, rgb: Array, luma: Array) -> Array:
        """The chroma of ``h w 3`` on the luma ``H W``."""
        chroma = guided_enlarge(rgb - luminance(rgb)[..., None], luma)
        colored = luma[..., None] + chroma
        if self.options.keep_luminance:
            return with_luminance(colored, luma)
        clipped: Array = np.clip(colored, 0, 1)
        return clipped


class _Rows:
    """Latents of frames that come in order; those before the last frames taken are forgotten."""

    def __init__(self, parts: Iterator[Tensor], first: int) -> None:
        self._parts, self._next = parts, first
        self._rows: dict[int, Tensor] = {}

    def take(self, frames: range) -> Tensor:
        """``T C h w`` of frames in a row, none of them before the first taken last."""
        while self._next < frames.stop:
            for row in next(self._parts):
                self._rows[self._next] = row
                self._next += 1
        self._rows = {frame: row for frame, row in self._rows.items() if frame >= frames.start}
        return torch.stack([self._rows[frame] for frame in frames])


def _from(parts: Iterator[Tensor], first: int) -> Iterator[Tensor]:
    """All rows but the first ones."""
    for part in parts:
        yield part[first:]
        first = max(first - len(part), 0)
