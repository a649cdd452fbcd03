"""Training the matcher's blend: where pictures moved by optical flow are better than what the matcher paints.

A sample is a film's drawing, painted by a matcher that stays as it is, and two pictures, as they are and moved onto it:
the painted reference, and an earlier drawing as the matcher painted it. Preparing one takes most of the time, so each
is used again, in other colors.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, replace
from functools import cached_property
from inspect import signature
from typing import TYPE_CHECKING, Annotated, Any, Self

import numpy as np
import torch
import torch.nn.functional as F
from msgspec import Meta
from torch import Tensor

from celpaint.data.synthetic import Art, ClipSpec, Synthesizer, toy_art, validation_clips
from celpaint.methods.matcher.alignment import Sketch, Source, align
from celpaint.metrics.frame import COLOR_TOLERANCE
from celpaint.models.matcher.blend import Aligned, Blended
from celpaint.models.matcher.network import Matcher
from celpaint.train.engine.contact_sheet import sheet
from celpaint.train.engine.recipe import Recipe, from_table, need
from celpaint.train.engine.tables import Count, NonNegative, Positive, Sizes
from celpaint.train.engine.task import Task
from celpaint.train.tasks.matching import gradient, psnr, regions_of, turn
from celpaint.weights.registry import find_weights
from celpaint.weights.store import load_network, read_config, read_tensors

if TYPE_CHECKING:
    import numpy.typing as npt

    from celpaint.data.clips import ClipBatch
    from celpaint.types import Array

__all__ = ["Blending", "BlendingOptions", "Sample", "choice_loss"]


TIE = 1.5 / 255
"""What a painted picture is better by where it is as good as what the matcher paints."""


@dataclass(frozen=True, kw_only=True)
class BlendingOptions:
    """The ``[task]`` table of a recipe.

    Attributes:
        sizes: heights and widths trained at; size_probs: how often each is drawn.
        distance: frames from the reference to the earlier drawing, from and to.
        stride: frames from there to the drawing, from and to.
        pool_size: samples kept for use again.
        new_samples_per_batch: new samples a batch.
        gradient_weight: weight of the L1 of the colors' gradients.
        mse_weight: weight of the mean squared error, so that what is far off counts.
        choice_weight: weight of the choices' cross-entropy.
        confidence_weight: weight of the confidence's cross-entropy.
        color_tolerance: largest error of a channel that counts as the right color.
        validation_clips: films at every distance.
        distances: of validation.
    """

    sizes: Sizes = ((160, 288), (224, 384), (320, 576))
    size_probs: tuple[NonNegative, ...] = (0.4, 0.3, 0.3)
    distance: tuple[Count, Count] = (1, 60)
    stride: tuple[Count, Count] = (1, 3)
    pool_size: Count = 400
    new_samples_per_batch: Annotated[float, Meta(gt=0, le=1)] = 0.3
    gradient_weight: NonNegative = 0.3
    mse_weight: NonNegative = 1.0
    choice_weight: NonNegative = 1.0
    confidence_weight: NonNegative = 0.02
    color_tolerance: Positive = COLOR_TOLERANCE
    validation_clips: Count = 6
    distances: Annotated[tuple[Count, ...], Meta(min_length=1)] = (2, 15, 45)

    def __post_init__(self) -> None:
        count = len(self.sizes)
        need(len(self.size_probs) == count, "task.size_probs", self.size_probs, f"{count} numbers, one per size")


@dataclass(frozen=True)
class Sample:
    """One drawing and what may become of it; pictures are uint8, the rest float16.

    Attributes:
        lines: ``1 1 H W``; truth, painted, reference: ``1 3 H W``; confidence: ``1 1 H W``.
        moved: ``K 3 H W``; moved_lines, trust: ``K 1 H W``; flow: ``K 2 H W`` in pixels.
        outline: ``K 1 H W``, see :class:`celpaint.models.matcher.blend.Aligned`.
    """

    lines: Tensor
    truth: Tensor
    painted: Tensor
    confidence: Tensor
    moved: Tensor
    moved_lines: Tensor
    trust: Tensor
    flow: Tensor
    outline: Tensor
    reference: Tensor

    def unpacked(self, device: torch.device) -> Sample:
        """In float32, pictures in [0, 1], on ``device``."""
        maps = {f.name: getattr(self, f.name).to(device) for f in fields(self)}
        return Sample(**{k: x.float() / 255 if x.dtype == torch.uint8 else x.float() for k, x in maps.items()})

    def packed(self) -> Sample:
        """The other way, on the CPU."""
        maps = {f.name: getattr(self, f.name).cpu() for f in fields(self)}
        small = {k: x.half() if k == "flow" else (255 * x).round().to(torch.uint8) for k, x in maps.items()}
        return Sample(**small)


class Blending(Task[Matcher, Sample]):
    """Trains :attr:`celpaint.models.matcher.network.Matcher.blend`; ``run.monitor`` may be ``psnr``."""

    network: Matcher

    def __init__(self, network: Matcher, config: Mapping[str, Any], options: BlendingOptions, art: Art) -> None:
        self.network, self.config, self.options, self.art = network, dict(config), options, art
        self.device = next(network.parameters()).device
        drawings = art.split("train")
        self.synthesizers = [
            Synthesizer(
                drawings,
                ClipSpec(height=h, width=w, frames=3, distance=options.distance, stride=options.stride, backwards=0),
            )
            for h, w in options.sizes
        ]

    @classmethod
    def build(cls, recipe: Recipe, device: torch.device) -> Self:
        options = from_table(BlendingOptions, recipe.task, "task")
        need(recipe.data.source != "prepared", "data.source", recipe.data.source, "toy or synthetic")
        need(not recipe.network, "[network]", dict(recipe.network), "none: the matcher's weights say the sizes")
        need(
            bool(recipe.init.weights), "init.weights", recipe.init.weights, "'small' or a folder of a matcher's weights"
        )
        art = toy_art() if recipe.data.source == "toy" else Art.load(recipe.data.path)
        folder = find_weights("matcher", recipe.init.weights)
        config = read_config(folder)
        known = {p.name: config[p.name] for p in signature(Matcher).parameters.values()}
        network = load_network(Matcher(**known), read_tensors(folder), source=folder)
        network = network.to(device=device, dtype=torch.float32).train().requires_grad_(False)
        network.blend.requires_grad_(True)
        return cls(network, known, options, art)

    def export_config(self) -> Mapping[str, Any]:
        return self.config

    # Samples

    def batches(self, seed: int, start: int) -> Iterator[Sample]:
        o = self.options
        share = np.array(o.size_probs) / sum(o.size_probs)
        kept: dict[int, Sample] = {}

        def sample(number: int) -> Sample:
            if number not in kept:
                which = np.random.default_rng((seed, number, 0)).choice(len(o.sizes), p=share)
                clip = self.synthesizers[int(which)].batch(seed * 1_000_003 % 2**31 + number, 1)
                kept[number] = self.prepare(clip).packed()
            return kept[number]

        for k in itertools.count(start):
            end = 1 + int(o.new_samples_per_batch * k)
            first = max(0, end - o.pool_size)
            for number in [n for n in kept if n < first]:
                del kept[number]
            rng = np.random.default_rng((seed, k, 1))
            yield _turned(sample(int(rng.integers(first, end))).unpacked(self.device), rng)

    @torch.no_grad()
    def prepare(self, clip: ClipBatch) -> Sample:
        """Paint frames 1 and 2 of a film from its frame 0, and move frames 0 and 1 onto frame 2."""
        lines, color = clip.lines.to(self.device), clip.color.to(self.device)
        regions = regions_of(clip.lines[:, [1, 2, 0]]).to(self.device)
        decoded, _ = self.network(lines[:, 1:], lines[:, :1], color[:, :1], regions)
        drawn = [_plain(line)[..., 0] for line in lines[0]]
        sure = [_plain(c)[..., 0] for c in decoded.confidence[0].sigmoid()]
        painted = [_plain(rgb.clamp(0, 1)) for rgb in decoded.rgb[0]]
        whole = np.ones_like(drawn[0])
        sources = [
            Source(Sketch.of(drawn[0]), _plain(color[0, 0]), whole),
            Source(Sketch.of(drawn[1]), painted[0], sure[0]),
        ]
        aligned = align(Sketch.of(drawn[2]), sources)
        return Sample(
            lines=clip.lines[:, 2],
            truth=clip.color[:, 2],
            painted=torch.from_numpy(painted[1]).permute(2, 0, 1)[None],
            confidence=torch.from_numpy(sure[1])[None, None],
            moved=aligned.rgb,
            moved_lines=aligned.lines,
            trust=aligned.trust,
            flow=aligned.flow,
            outline=aligned.outline,
            reference=clip.color[:, 0],
        )

    def frames(self, batch: Sample) -> int:
        return 1

    # Loss and validation

    def loss(self, batch: Sample) -> tuple[Tensor, dict[str, Any]]:
        o = self.options
        mixed = mix(self.network, batch)
        error = mixed.rgb - batch.truth
        right = (error.detach().abs().amax(1, keepdim=True) < o.color_tolerance).float()
        figures = {
            "color": error.abs().mean(),
            "gradient": gradient(mixed.rgb, batch.truth),
            "square": error.square().mean(),
            "choice": choice_loss(mixed.logit, batch.painted, batch.moved, batch.trust, batch.truth),
            "sure": F.binary_cross_entropy(mixed.confidence.clamp(1e-4, 1 - 1e-4), right),
        }
        loss = figures["color"] + o.gradient_weight * figures["gradient"]
        loss = loss + o.mse_weight * figures["square"] + o.choice_weight * figures["choice"]
        loss = loss + o.confidence_weight * figures["sure"]
        return loss, {**figures, "painted": (batch.painted - batch.truth).abs().mean()}

    @torch.no_grad()
    def validate(self, network: Matcher) -> dict[str, float]:
        """PSNR in dB of held-out drawings: the mixture, what was painted, the reference moved and as it is."""
        figures: dict[str, list[float]] = {}
        for number, kept in enumerate(self.held_out):
            sample = kept.unpacked(self.device)
            distance = self.options.distances[number // self.options.validation_clips]
            score = psnr(mix(network, sample).rgb, sample.truth)
            for name, value in (
                ("psnr", score),
                (f"psnr_{distance}", score),
                ("painted", psnr(sample.painted, sample.truth)),
                (f"painted_{distance}", psnr(sample.painted, sample.truth)),
                ("moved", psnr(sample.moved[1:2], sample.truth)),
                ("copy", psnr(sample.reference, sample.truth)),
            ):
                figures.setdefault(name, []).append(value)
        return {name: float(np.mean(values)) for name, values in figures.items()}

    @cached_property
    def held_out(self) -> list[Sample]:
        """Films nobody trained on, soft and clean lines; the matcher never changes, so once is enough."""
        o = self.options
        height, width = o.sizes[-1]
        return [
            self.prepare(film).packed()
            for distance in o.distances
            for line_style, many in (("clean", -(-o.validation_clips // 2)), ("soft", o.validation_clips // 2))
            for film in validation_clips(
                self.art, distance, line_style, clips=many, frames=3, height=height, width=width
            )
        ]

    @torch.no_grad()
    def sample_sheet(self, network: Matcher) -> npt.NDArray[np.uint8]:
        """Rows of reference, lines, what was painted, the reference moved, the mixture, truth, share moved."""
        rows = []
        for kept in self.held_out[:: max(1, self.options.validation_clips // 2)]:
            sample = kept.unpacked(self.device)
            mixed = mix(network, sample)
            share = mixed.share.sum(0).expand(3, -1, -1)
            views = (sample.reference, 1 - sample.lines, sample.painted, sample.moved[1:], mixed.rgb, sample.truth)
            rows.append([*(view[0] for view in views), share])
        return sheet(rows)


def choice_loss(logit: Tensor, painted: Tensor, moved: Tensor, trust: Tensor, truth: Tensor) -> Tensor:
    """Cross-entropy of what is better, each pixel weighed by how much is at stake.

    The mixture's own loss has no slope left where a share is small, and small shares are ghosts; this one has. Where
    both are equally good, the picture is better by :data:`TIE`: paintings have texture that films made on the spot
    have not.

    Args:
        logit: ``K 1 H W``, of the moved pictures against what was painted.
        painted, truth: ``1 3 H W``; moved: ``K 3 H W``; trust: ``K 1 H W``.
    """
    gain = (painted - truth).abs().mean(1, keepdim=True) - (moved - truth).abs().mean(1, keepdim=True) + TIE * trust
    wrong = F.binary_cross_entropy_with_logits(logit, (gain > 0).to(logit.dtype), reduction="none")
    return (gain.abs() * wrong).mean()


def mix(network: Matcher, sample: Sample) -> Blended:
    """What the blend makes of a sample."""
    aligned = Aligned(sample.moved, sample.moved_lines, sample.trust, sample.flow, sample.outline)
    mixed: Blended = network.blend(sample.lines, sample.painted, sample.confidence, aligned)
    return mixed


def _turned(sample: Sample, rng: np.random.Generator) -> Sample:
    """The sample in other colors, half of the time in a mirror."""
    turned = turn(torch.cat([sample.truth, sample.painted, sample.reference, sample.moved])[None], rng)[0]
    truth, painted, reference, moved = turned.split([1, 1, 1, len(sample.moved)])
    sample = replace(sample, truth=truth, painted=painted, reference=reference, moved=moved)
    if rng.random() < 0.5:
        sample = Sample(**{f.name: getattr(sample, f.name).flip(-1) for f in fields(sample)})
        sample = replace(sample, flow=sample.flow * sample.flow.new_tensor([-1.0, 1.0])[:, None, None])
    return sample


def _plain(x: Tensor) -> Array:
    """``C H W`` -> ``H W C``."""
    return np.ascontiguousarray(x.detach().float().cpu().permute(1, 2, 0).numpy())
