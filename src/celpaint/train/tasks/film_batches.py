"""Batches of the matcher's training made where it trains: film-like clips, composed on the device."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from celpaint.conditions.regions import enclosed
from celpaint.data.clips import ClipBatch
from celpaint.data.film import Bank, FilmSpec, FilmSynthesizer
from celpaint.data.synthetic.lines import Drawn, draw
from celpaint.train.tasks.matching import MatchingOptions, Pool, Step, resize, turn

__all__ = ["FilmBatches"]


@dataclass(frozen=True)
class _Size:
    height: int
    width: int
    clips: int
    pool: Pool


class FilmBatches:
    """Micro-batches by number, see :meth:`celpaint.train.engine.task.Task.batches`.

    Args:
        options: sizes, clips of a batch at each, how often each comes; ``pool_size`` batches of each size are kept and
            ``new_clips_per_batch`` new ones made a batch.
        bank: cels on the device.
        seed: of the stream.
        spec: what kind of clips, sizes and frames aside.
    """

    def __init__(self, options: MatchingOptions, bank: Bank, seed: int, spec: FilmSpec) -> None:
        self.options, self.seed = options, seed
        self.sizes = []
        share = np.array(options.size_probs) / sum(options.size_probs)
        for (height, width), clips, often in zip(options.sizes, options.clips, share, strict=True):
            sized = replace(spec, height=height, width=width, frames=options.frames)
            films = FilmSynthesizer(bank, sized)

            def make(number: int, films: FilmSynthesizer = films, clips: int = clips) -> ClipBatch:
                return films.batch(seed * 1_000_003 % 2**31 + number, clips)

            self.sizes.append(
                _Size(height, width, clips, Pool(make, options.pool_size, options.new_clips_per_batch * often, 2))
            )
        self.share = share
        self.workers = ThreadPoolExecutor(4)

    def __call__(self, k: int) -> Step:
        o = self.options
        rng = np.random.default_rng((self.seed, k))
        which = int(rng.choice(len(self.sizes), p=self.share)) if k >= o.first_size_batches else 0
        many = 1 + int(
            rng.choice(len(o.reference_count_probs), p=np.array(o.reference_count_probs) / sum(o.reference_count_probs))
        )
        clip = self.sizes[which].pool.draw(k, 1, rng)[0]
        device, clips = clip.color.device, len(clip.color)
        order = np.stack([_order(rng, clip.color.shape[1], o, many) for _ in range(clips)])
        frames = torch.from_numpy(order).to(device)
        row = torch.arange(clips, device=device)[:, None]
        color, lines = clip.color[row, frames].float() / 255, clip.lines[row, frames].float() / 255
        assert clip.drawing is not None
        assert clip.point is not None
        drawing, point = clip.drawing[row, frames].long(), clip.point[row, frames].float()
        if rng.random() < 0.5:
            color, lines, drawing, point = (x.flip(-1) for x in (color, lines, drawing, point))
        if rng.random() < o.line_augmentation_prob:
            paint = color[:, o.targets :].flatten(0, 1)
            blank = torch.zeros_like(paint[:, :1])
            redrawn = draw(Drawn(paint, blank, blank), "soft", int(rng.integers(2**31)))
            lines = torch.cat([lines[:, : o.targets], redrawn.unflatten(0, (clips, many))], 1)
        color = turn(color, rng)
        work = None
        if rng.random() < o.detail_prob and self.sizes[which].height >= 160:
            factor = rng.uniform(1.3, 2.5)
            sides = self.sizes[which].height, self.sizes[which].width
            work = (max(64, round(sides[0] / factor / 16) * 16), max(64, round(sides[1] / factor / 16) * 16))
        with_regions = self.sizes[which].height >= 160 and rng.random() < o.region_prob
        t = o.targets
        return Step(
            lines[:, :t],
            color[:, :t],
            lines[:, t:],
            color[:, t:],
            drawing,
            point,
            self.regions(lines if work is None else resize(lines, work)) if with_regions else None,
            work,
        )

    def regions(self, lines: Tensor) -> Tensor:
        """The closed region of every pixel, ``B T 1 H W`` -> ``B T H W``; a few frames at a time."""
        found = self.workers.map(enclosed, lines.flatten(0, 2).cpu().numpy())
        labels = torch.from_numpy(np.stack(list(found))).to(lines.device)
        return torch.unflatten(labels, 0, lines.shape[:2])


def _order(rng: np.random.Generator, frames: int, options: MatchingOptions, many: int) -> np.ndarray:
    """Targets first, then references; frame 0, the far one, is mostly a reference."""
    order = rng.permutation(frames)
    if rng.random() < options.first_reference_prob:
        order = np.concatenate([order[order != 0], [0]])
    return np.concatenate([order[: options.targets], order[len(order) - many :]])
