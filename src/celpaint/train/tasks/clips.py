"""Where training clips come from: drawings animated on the spot, or films prepared on disk; both by number."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any, Protocol

import torch

from celpaint.data.clips import ClipBatch
from celpaint.data.film import Bank, FilmSpec, FilmSynthesizer, load_banks
from celpaint.data.prepared import PreparedClips
from celpaint.data.synthetic import Art, ClipSpec, Synthesizer, toy_art
from celpaint.train.engine.prefetch import to_device
from celpaint.train.engine.recipe import DataOptions
from celpaint.train.engine.seeding import derive_seed

__all__ = ["ClipSource", "Clips"]


class ClipSource(Protocol):
    """Anything that makes clips from a seed."""

    def batch(self, seed: int, clips: int) -> ClipBatch:
        """``clips`` clips, the same for the same seed."""


class Clips:
    """A recipe's films: endless ones to train on, a fixed few to validate on. Nothing is opened before it is needed.

    Args:
        data: the recipe's table.
        device: where batches are.
        spec: fields of :class:`~celpaint.data.synthetic.ClipSpec` besides size and frames, for synthetic films.
        distance: of prepared films, frames from the reference to the next frame, least and most; None: as LVCD was
            trained (see :class:`~celpaint.data.prepared.PreparedClips`).
    """

    def __init__(
        self,
        data: DataOptions,
        device: torch.device,
        *,
        spec: Mapping[str, Any] | None = None,
        distance: tuple[int, int] | None = (1, 60),
    ) -> None:
        self.data, self.device, self.distance = data, device, distance
        self.spec = dict(spec or {})
        self._art: Art | None = None
        self._train: ClipSource | None = None

    @property
    def art(self) -> Art:
        """The drawings of a synthetic source.

        Raises:
            InputError: no such file.
        """
        if self._art is None:
            self._art = toy_art() if self.data.source == "toy" else Art.load(Path(self.data.path))
        return self._art

    @property
    def train(self) -> ClipSource:
        """The films to train on."""
        if self._train is None:
            height, width = self.data.size
            if self.data.source == "prepared":
                self._train = PreparedClips(
                    Path(self.data.path), frames=self.data.frames, size=self.data.size, distance=self.distance
                )
            elif self.data.source == "film":
                self._train = FilmSynthesizer(self.banks[0], self.film_spec(self.data.size))
            else:
                spec = ClipSpec(height=height, width=width, frames=self.data.frames, **self.spec)
                self._train = Synthesizer(self.art.split("train"), spec, self.device)
        return self._train

    @property
    def banks(self) -> tuple[Bank, Bank]:
        """Cels to train on and cels held out, for clips composed on the device."""
        return load_banks(Path(self.data.path), str(self.device), self.data.drawings)

    def film_spec(self, size: tuple[int, int], **changes: Any) -> FilmSpec:
        """What kind of film-like clips."""
        distance = self.spec.get("distance", (1, 45))
        spec = FilmSpec(height=size[0], width=size[1], frames=self.data.frames, distance=distance)
        return replace(spec, **changes)

    def batches(self, seed: int, start: int) -> Iterator[ClipBatch]:
        """The stream ``seed`` of micro-batches from number ``start`` on."""
        return self._exact(self.train.batch(derive_seed(seed, number), self.data.clips) for number in count(start))

    def _exact(self, clips: Iterator[ClipBatch]) -> Iterator[ClipBatch]:
        """The clips on the device, made in full precision whatever the networks around are run in."""
        while True:
            with torch.autocast(self.device.type, enabled=False):
                clip = next(clips, None)
            if clip is None:
                return
            yield to_device(clip, self.device)

    def validation(
        self, distance: int, line_style: str, clips: int, size: tuple[int, int] | None = None
    ) -> Iterator[ClipBatch]:
        """Fixed clips nobody trains on, one a batch; frame 0 is the reference, ``distance`` frames from frame 1.

        Args:
            line_style: of the line art; prepared films have but their own.
            size: height and width, default the training's.
        """
        from celpaint.data.synthetic import validation_clips

        height, width = size or self.data.size
        if self.data.source == "prepared":
            held = PreparedClips(
                Path(self.data.path),
                frames=self.data.frames,
                size=(height, width),
                distance=(distance, distance),
                validation=True,
            )
            found: Iterator[ClipBatch] = (held.batch(number, 1) for number in range(clips))
        elif self.data.source == "film":
            spec = self.film_spec((height, width), distance=(distance, distance), line_styles={line_style: 1.0})
            films = FilmSynthesizer(self.banks[1], spec)
            found = (films.batch(1_000_000 + number, 1) for number in range(clips))
        else:
            found = validation_clips(
                self.art,
                distance,
                line_style,
                clips=clips,
                frames=self.data.frames,
                height=height,
                width=width,
                device=self.device,
            )
        return self._exact(found)
