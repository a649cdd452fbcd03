"""Shi et al. 2023: every drawing colored in one pass from painted references, then refined in time.

A shot is split at its painted frames. A drawing is colored from the painted frames that bracket it
(:class:`celpaint.models.shi2023.transform.ColorTransform`); the drawings of a window are then refined together, with
the painted frames first and last in time (:class:`celpaint.models.shi2023.refinement.TemporalRefinement`). A window
depends on nothing but its own drawings and the references, so a stopped run goes on at any window. Where no reference
is a frame of the shot, refinement would have no ends, and is left out.

Networks work at the shot's own size if that has few enough positions, else at a smaller one; the result is brought to
the shot's size along the drawn lines. Painted frames come out as they were painted.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import lru_cache
from typing import Self

import numpy as np
import torch
from torch import Tensor

from celpaint.conditions.distance import distance_map
from celpaint.conditions.lines import working_lines
from celpaint.device import resolve_device, resolve_dtype
from celpaint.frames.resize import resize
from celpaint.methods.base import Method
from celpaint.methods.shi2023 import weights
from celpaint.methods.shi2023.spec import SPEC, Shi2023Options
from celpaint.methods.shi2023.windows import Window, plan_windows
from celpaint.methods.working_size import bounded_size
from celpaint.models.shi2023.refinement import in_time_order
from celpaint.models.shi2023.transform import STRIDE, ReferenceFeatures
from celpaint.types import (
    Array,
    Chunk,
    ColorizedFrame,
    DrawingColored,
    Progress,
    Reference,
    SegmentStarted,
    Shot,
    State,
    silent,
)

__all__ = ["Shi2023", "working_size"]

log = logging.getLogger("celpaint")

CELL = 4
"""Pixels across a position of the attention layer."""


def working_size(size: tuple[int, int], options: Shi2023Options) -> tuple[int, int]:
    """Height and width the networks work at: the shot's own if that has few enough positions, else smaller.

    Args:
        size: (height, width) of the shot.
        options: ``size`` overrides; ``max_positions`` bounds.
    """
    return bounded_size(options.size or size, most=options.max_positions, stride=STRIDE, cell=CELL)


class Shi2023(Method):
    """The method of Shi et al. 2023.

    Args:
        networks: their weights loaded, in evaluation mode, on ``device`` in float32.
        options: of the method.
        dtype: what the networks compute in.
    """

    def __init__(
        self, networks: weights.Networks, options: Shi2023Options, device: torch.device, dtype: torch.dtype
    ) -> None:
        self.networks, self.options, self.device, self.dtype = networks, options, device, dtype
        self.refines = options.refine == "on" and not options.preview

    @classmethod
    def load(cls, options: Shi2023Options) -> Self:
        """Find the weights and build the networks.

        Raises:
            WeightsError: missing, broken or of another network.
            DeviceError: no such device.
        """
        device = resolve_device(options.device)
        networks = weights.load(SPEC.find_weights(options.weights))
        for network in (networks.transform, networks.refinement):
            network.to(device)
        if options.compile:
            for part in (*networks.transform.children(), networks.refinement):
                part.compile()
        return cls(networks, options, device, resolve_dtype(options.dtype, device))

    @torch.inference_mode()
    def color(
        self, shot: Shot, *, done: int = 0, state: State | None = None, progress: Progress = silent
    ) -> Iterator[Chunk]:
        run = _Run(self, shot, progress)
        windows = plan_windows(len(shot), run.painted, self.options.refine_window - 2)
        for number, window in enumerate(windows, 1):
            if window.drawings[0] < done:
                continue
            progress(SegmentStarted(number, len(windows)))
            with self.precision():
                frames = run.frames(window)
            yield Chunk(window.drawings, frames)

    def conditions(self, line: Array) -> tuple[Array, Array]:
        """What the networks are shown of a drawing at their size: its lines and its distance field, ``h w`` each."""
        return line, distance_map(line)

    def precision(self) -> AbstractContextManager[None]:
        """The number format that the networks compute in."""
        return torch.autocast(self.device.type, self.dtype, enabled=self.dtype != torch.float32)


@dataclass(frozen=True)
class _Drawn:
    """A drawing at the networks' size: ``1 1 1 h w`` each, lines 1 where ink, distance in pixels."""

    lines: Tensor
    distance: Tensor


class _Run:
    """One shot on its way."""

    def __init__(self, method: Shi2023, shot: Shot, progress: Progress) -> None:
        self.method, self.shot, self.progress = method, shot, progress
        self.references = shot.references
        self.painted = {r.frame: i for i, r in enumerate(shot.references) if r.frame is not None}
        self.anywhere = tuple(i for i, r in enumerate(shot.references) if r.frame is None)
        self.work = working_size(shot.size, method.options)
        self.encoded = lru_cache(1)(self._encoded)
        for number, reference in enumerate(shot.references, 1):
            if reference.line.max() < 0.5:
                log.warning(
                    "painted picture %d of %d shows no lines, so its colors can't be matched with any drawing",
                    number,
                    len(shot.references),
                )

    def frames(self, window: Window) -> tuple[ColorizedFrame, ...]:
        """A window's drawings, colored."""
        if window.drawings[0] in self.painted:
            reference = self.references[self.painted[window.drawings[0]]]
            self.progress(DrawingColored(window.drawings[0] + 1, len(self.shot)))
            return (ColorizedFrame(reference.rgb, np.ones(self.shot.size, np.float32), reference.alpha),)
        references = self.encoded(self._attended(window))
        drawn = [self.drawn(self.shot.lines[drawing]) for drawing in window.drawings]
        rgb, confidence = [], []
        for drawing, each in zip(window.drawings, drawn, strict=True):
            colored = self.method.networks.transform.color(each.lines, each.distance, references)
            rgb.append(colored.rgb.float())
            confidence.append(colored.confidence[0, 0, 0].float().clamp(0, 1).cpu().numpy())
            self.progress(DrawingColored(drawing + 1, len(self.shot)))
        pictures = torch.cat(rgb, 1)
        if self.method.refines and window.ends:
            pictures = self._refined(torch.cat([each.lines for each in drawn], 1), pictures, window.ends)
        plain = np.ascontiguousarray(pictures[0].float().clamp(0, 1).permute(0, 2, 3, 1).cpu().numpy())
        return tuple(
            ColorizedFrame(picture, resize(sure, self.shot.size))
            for picture, sure in zip(plain, confidence, strict=True)
        )

    def _attended(self, window: Window) -> tuple[int, ...]:
        """The references that a window's drawings are colored from; those of frames in time order."""
        frames = sorted(self.painted) if self.method.options.attend == "all" else window.ends
        return (*(self.painted[frame] for frame in frames), *self.anywhere)

    def _encoded(self, which: tuple[int, ...]) -> ReferenceFeatures:
        """References as the color transform network knows them, encoded one by one to save memory."""
        encode, parts = self.method.networks.transform.encode_references, []
        for reference in (self.references[i] for i in which):
            drawn = self.drawn(reference.line)
            parts.append(encode(drawn.lines, drawn.distance, self.colors(reference)))
        return ReferenceFeatures.join(parts)

    def _refined(self, lines: Tensor, rgb: Tensor, ends: tuple[int, ...]) -> Tensor:
        """``1 T 3 h w`` made to agree in time, between the painted frames ``ends``."""
        references = [self.references[self.painted[end]] for end in ends]
        end_lines = torch.cat([self.drawn(reference.line).lines for reference in references], 1)
        end_rgb = torch.cat([self.colors(reference) for reference in references], 1)
        refined: Tensor = self.method.networks.refinement(in_time_order(lines, end_lines), in_time_order(rgb, end_rgb))
        return refined[:, 1:-1]

    def drawn(self, line: Array) -> _Drawn:
        """Lines ``H W`` at the networks' size; one a pixel thin is still one where they shrink."""
        lines, distance = self.method.conditions(working_lines(line, self.work))
        return _Drawn(self._tensor(lines)[None, None, None], self._tensor(distance)[None, None, None])

    def colors(self, reference: Reference) -> Tensor:
        """``1 1 3 h w`` in [0, 1] at the networks' size."""
        return self._tensor(resize(reference.rgb, self.work)).permute(2, 0, 1)[None, None]

    def _tensor(self, x: Array) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(x)).to(self.method.device)
