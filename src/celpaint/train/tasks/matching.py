"""Training the matcher: color from references, with matching taught directly.

The synthesizer knows which point of which drawing every pixel shows, so for every token of a target it is known which
tokens of the references are right, or that none is. One cross-entropy on the matching matrix teaches correspondence;
L1 on colors and on their gradients teaches the rest.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from inspect import signature
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import torch
import torch.nn.functional as F
from msgspec import Meta
from torch import Tensor, nn

from celpaint.conditions.regions import enclosed
from celpaint.data.clips import ClipBatch
from celpaint.data.film import Bank, FilmSpec, FilmSynthesizer, load_banks
from celpaint.data.synthetic import Art, ClipSpec, Synthesizer, toy_art, validation_clips
from celpaint.frames.resize import resize_tensor
from celpaint.metrics import frame
from celpaint.metrics.frame import COLOR_TOLERANCE
from celpaint.models.matcher.network import Matcher, paint_mean, quarters, tokens, windows
from celpaint.models.matcher.network import Matching as Matched
from celpaint.train.engine.recipe import Recipe, from_table, need
from celpaint.train.engine.tables import Count, Natural, NonNegative, Positive, Probability, Sizes
from celpaint.train.engine.task import Task
from celpaint.weights.registry import find_weights
from celpaint.weights.store import load_network, read_tensors

if TYPE_CHECKING:
    import numpy.typing as npt

__all__ = ["Labels", "Matching", "MatchingOptions", "Pool", "Step", "label", "matching_loss"]

Source = Callable[[tuple[int, int], int], ClipBatch]
"""(size, number) -> one clip, ``B`` = 1."""


@dataclass(frozen=True, kw_only=True)
class MatchingOptions:
    """Settings of the task: the ``[task]`` table of a recipe.

    Attributes:
        sizes: heights and widths trained at.
        clips: clips a batch at each of them.
        size_probs: how often each of them is drawn.
        first_size_batches: batches at the first size alone, before the others join in.
        targets: drawings colored a clip and batch.
        reference_count_probs: how often 1, 2, 3, ... references are given.
        first_reference_prob: how often the clip's frame 0, the far one, is a reference.
        pool_size: clips of each size kept for use again.
        new_clips_per_batch: new clips a batch.
        line_augmentation_prob: how often the references' lines are extracted from their
            colors, so that they are drawn in another style than the targets'.
        detail_prob: how often the network works at a smaller size than its lines.
        region_prob: how often the network is given the regions that the lines enclose.
        matching_weight: weight of the matching cross-entropies.
        gradient_weight: weight of the L1 of the colors' gradients.
        propagation_weight: weight of the L1 of the colors carried over by matching alone.
        confidence_weight: weight of the confidence's cross-entropy.
        color_tolerance: largest error of a channel that counts as the right color.
        validation_clips: clips for each line style and distance.
    """

    sizes: Sizes = ((96, 160), (160, 288), (224, 384), (320, 576))
    clips: tuple[Count, ...] = (6, 2, 1, 1)
    size_probs: tuple[NonNegative, ...] = (0.55, 0.25, 0.15, 0.05)
    first_size_batches: Natural = 0
    targets: Count = 3
    reference_count_probs: Annotated[tuple[NonNegative, ...], Meta(min_length=1)] = (0.5, 0.25, 0.15, 0.1)
    first_reference_prob: Probability = 0.7
    pool_size: Count = 200
    new_clips_per_batch: Positive = 2.0
    line_augmentation_prob: Probability = 0.2
    detail_prob: Probability = 0.12
    region_prob: Probability = 0.9
    matching_weight: NonNegative = 0.05
    gradient_weight: NonNegative = 0.3
    propagation_weight: NonNegative = 0.1
    confidence_weight: NonNegative = 0.02
    color_tolerance: Positive = COLOR_TOLERANCE
    validation_clips: Count = 12

    def __post_init__(self) -> None:
        count = len(self.sizes)
        need(len(self.clips) == count, "task.clips", self.clips, f"{count} numbers, one per size")
        need(len(self.size_probs) == count, "task.size_probs", self.size_probs, f"{count} numbers, one per size")

    @property
    def frames(self) -> int:
        """Frames a clip must have."""
        return self.targets + len(self.reference_count_probs)


@dataclass(frozen=True)
class Step:
    """One batch: targets and references of the same clips.

    Attributes:
        lines: ``B T 1 H W`` the targets' drawings; ``color`` ``B T 3 H W`` what they should become.
        reference_lines: ``B R 1 H W``; ``reference_color`` ``B R 3 H W``.
        drawing: ``B T+R H W`` and ``point`` ``B T+R 2 H W``, targets first; None for films without.
        regions: ``B T+R h w``, what the lines enclose at the working size, targets first; None where the network is not
            given them.
        work: height and width the network works at, None for the lines' own.
    """

    lines: Tensor
    color: Tensor
    reference_lines: Tensor
    reference_color: Tensor
    drawing: Tensor | None
    point: Tensor | None
    regions: Tensor | None = None
    work: tuple[int, int] | None = None


# -- labels ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Labels:
    """What the matching matrix should be.

    Attributes:
        positive: ``B N M`` bool, the reference tokens that show what a target token shows.
        matchable: ``B N`` bool, at least one reference token is positive.
        unmatchable: ``B N`` bool, certainly no reference token is. Tokens that are neither are not supervised.
    """

    positive: Tensor
    matchable: Tensor
    unmatchable: Tensor


def label(drawing: Tensor, point: Tensor, other_drawing: Tensor, other_point: Tensor, spacing: float) -> Labels:
    """Compare what tokens show.

    Args:
        drawing: ``... N`` the drawing at each target token; point: ``... N 2`` where on it. Where points are NaN, as in
            drawings animated by hand, every place of the same drawing (there: of the same part) is right.
        other_drawing: ``... M``; other_point: ``... M 2``, the candidates.
        spacing: distance of neighboring tokens, in the unit of the points.

    A candidate is right within three quarters of a token, or the nearest within one and a half; beyond four tokens
    a target is certainly not there.
    """
    known, other_known = point.isfinite().all(-1), other_point.isfinite().all(-1)
    apart = torch.cdist(point.nan_to_num(), other_point.nan_to_num(), compute_mode="donot_use_mm_for_euclid_dist")
    both, neither = known[..., None] & other_known[..., None, :], ~known[..., None] & ~other_known[..., None, :]
    same = drawing[..., None] == other_drawing[..., None, :]
    apart = apart.masked_fill(neither, 0.0).masked_fill(~same | ~(both | neither), math.inf)
    nearest = apart.amin(-1)
    found = nearest < 1.5 * spacing
    right = (apart <= nearest.clamp(min=0.75 * spacing)[..., None]) & found[..., None]
    return Labels(right, found, nearest > 4 * spacing)


def _nll(logits: Tensor, right: Tensor) -> Tensor:
    """-log of the probability of all right columns together."""
    return logits.logsumexp(-1) - logits.masked_fill(~right, -1e4).logsumexp(-1)


def matching_loss(drawing: Tensor, point: Tensor, targets: int, matched: Matched) -> tuple[Tensor, Tensor, Tensor]:
    """Cross-entropy of both matchings, and the shares of tokens matched rightly.

    Args:
        drawing: ``B T+R H W``, point: ``B T+R 2 H W``, at the network's working size, targets first.
        targets: T.

    Returns:
        the loss (coarse + fine), coarse accuracy, fine accuracy.
    """
    assert matched.logits is not None
    height = drawing.shape[-2]

    def at(stride: int) -> tuple[Tensor, Tensor]:
        center = stride // 2
        return drawing[..., center::stride, center::stride], point[..., center::stride, center::stride]

    d8, p8 = at(8)
    d8, p8 = d8.flatten(2), p8.flatten(3).transpose(2, 3)
    coarse = label(
        d8[:, :targets].flatten(1),
        p8[:, :targets].flatten(1, 2),
        d8[:, targets:].flatten(1),
        p8[:, targets:].flatten(1, 2),
        8 / height,
    )
    right = torch.cat([coarse.positive, coarse.unmatchable[..., None]], -1)
    used = coarse.matchable | coarse.unmatchable
    loss = (_nll(matched.logits, right) * used).sum() / used.sum().clamp(min=1)
    hit = coarse.positive.gather(2, matched.best[..., None]).squeeze(-1)
    accuracy = (hit & coarse.matchable).sum() / coarse.matchable.sum().clamp(min=1)

    d4, p4 = at(4)
    clips = drawing.shape[0]
    rows = torch.arange(clips, device=drawing.device)[:, None]
    around = torch.cat([d4[:, targets:, None].to(p4.dtype), p4[:, targets:]], 2).flatten(0, 1)
    seen = windows(around).unflatten(0, (clips, -1)).flatten(1, 2)[rows, matched.best]
    own = torch.cat([d4[:, :targets, None].to(p4.dtype), p4[:, :targets]], 2).flatten(0, 1)
    own = quarters(own).unflatten(0, (clips, -1)).flatten(1, 2)
    fine = label(own[..., 0], own[..., 1:], seen[..., 0], seen[..., 1:], 4 / height)
    inside = fine.matchable
    loss = loss + (_nll(matched.fine_logits, fine.positive) * inside).sum() / inside.sum().clamp(min=1)
    fine_hit = fine.positive.gather(3, matched.fine_logits.argmax(-1, keepdim=True)).squeeze(-1)
    return loss, accuracy, (fine_hit & inside).sum() / inside.sum().clamp(min=1)


# -- data -----------------------------------------------------------------------------------------------------


class Pool:
    """Clips of one size, each used several times before a new one takes its place.

    What batch ``k`` may draw from depends on ``k`` alone, not on where the stream began: clips
    ``fresh * k - pool`` to ``fresh * k``.
    """

    def __init__(self, make: Callable[[int], ClipBatch], size: int, fresh: float, least: int) -> None:
        self.make, self.size, self.fresh, self.least = make, size, fresh, least
        self.clips: dict[int, ClipBatch] = {}

    def draw(self, k: int, count: int, rng: np.random.Generator) -> list[ClipBatch]:
        """``count`` clips for batch ``k``, which must not fall."""
        end = self.least + int(self.fresh * k)
        first = max(0, end - self.size)
        for number in [n for n in self.clips if n < first]:
            del self.clips[number]
        chosen = rng.choice(np.arange(first, end), count, replace=end - first < count)
        for number in chosen:
            if int(number) not in self.clips:
                self.clips[int(number)] = _pack(self.make(int(number)))
        return [self.clips[int(n)] for n in chosen]


def _pack(clip: ClipBatch) -> ClipBatch:
    """The clip in a third of the memory; `_unpack` brings it back."""
    return replace(
        clip,
        color=(clip.color * 255).round().to(torch.uint8),
        lines=(clip.lines * 255).round().to(torch.uint8),
        drawing=None if clip.drawing is None else clip.drawing.to(torch.int16),
        point=None if clip.point is None else clip.point.to(torch.float16),
        region=None,
    )


def turn(color: Tensor, rng: np.random.Generator) -> Tensor:
    """``B F 3 H W``: hues turned, saturation and gamma changed, each clip its own way, all its frames alike."""
    yiq = np.array([[0.299, 0.587, 0.114], [0.596, -0.274, -0.322], [0.211, -0.523, 0.312]])
    turns, gammas = [], []
    for _ in range(color.shape[0]):
        angle, vivid = rng.uniform(-math.pi, math.pi), rng.uniform(0.6, 1.15)
        cos, sin = vivid * math.cos(angle), vivid * math.sin(angle)
        turns.append(np.linalg.inv(yiq) @ np.array([[1, 0, 0], [0, cos, -sin], [0, sin, cos]]) @ yiq)
        gammas.append(math.exp(rng.normal(0, 0.25)))
    turn = torch.tensor(np.stack(turns), dtype=color.dtype, device=color.device)
    gamma = torch.tensor(gammas, dtype=color.dtype, device=color.device)[:, None, None, None, None]
    return torch.einsum("bij,bfjhw->bfihw", turn, color).clamp(0, 1).pow(gamma)


def resize(x: Tensor, size: tuple[int, int]) -> Tensor:
    """``B F C H W``, to another size."""
    return resize_tensor(x.flatten(0, 1), size).view(*x.shape[:3], *size)


def nearest(x: Tensor, size: tuple[int, int]) -> Tensor:
    """The nearest pixels of ``... H W``."""
    y = ((torch.arange(size[0]) + 0.5) * x.shape[-2] / size[0]).long().to(x.device)
    z = ((torch.arange(size[1]) + 0.5) * x.shape[-1] / size[1]).long().to(x.device)
    return x[..., y, :][..., z]


class Batches:
    """The task's batches: see :meth:`celpaint.train.engine.task.Task.batches`."""

    def __init__(self, options: MatchingOptions, source: Source, seed: int) -> None:
        self.options, self.seed = options, seed
        self.size_probs = np.array(options.size_probs) / sum(options.size_probs)
        self.pools = [
            Pool(
                lambda n, size=size: source(size, seed * 1_000_003 % 2**31 + n),  # type: ignore[misc]
                options.pool_size,
                options.new_clips_per_batch * count / max(options.clips) * p,
                4 * count,
            )
            for i, (size, count, p) in enumerate(zip(options.sizes, options.clips, self.size_probs, strict=True))
        ]

    def __call__(self, k: int) -> Step:
        from celpaint.data.synthetic.lines import Drawn, draw

        o = self.options
        rng = np.random.default_rng((self.seed, k))
        which = int(rng.choice(len(o.sizes), p=self.size_probs)) if k >= o.first_size_batches else 0
        counts = np.array(o.reference_count_probs) / sum(o.reference_count_probs)
        many = 1 + int(rng.choice(len(counts), p=counts))
        clips = self.pools[which].draw(k, o.clips[which], rng)
        frames = []
        for clip in clips:
            order = rng.permutation(clip.color.shape[1])
            if rng.random() < o.first_reference_prob:
                order = np.concatenate([order[order != 0], [0]])
            frames.append(np.concatenate([order[: o.targets], order[len(order) - many :]]))

        def gather(name: str) -> Tensor | None:
            maps = [getattr(c, name) for c in clips]
            return (
                None
                if any(m is None for m in maps)
                else torch.cat([m[:, torch.from_numpy(f)] for m, f in zip(maps, frames, strict=True)])
            )

        color, lines = gather("color"), gather("lines")
        assert color is not None
        assert lines is not None
        color, lines = color.float() / 255, lines.float() / 255
        drawing, point = gather("drawing"), gather("point")
        if rng.random() < 0.5:
            color, lines = color.flip(-1), lines.flip(-1)
            drawing = None if drawing is None else drawing.flip(-1)
            point = None if point is None else point.flip(-1)
        if rng.random() < o.line_augmentation_prob:
            paint = color[:, o.targets :].flatten(0, 1)
            blank = torch.zeros_like(paint[:, :1])
            redrawn = draw(Drawn(paint, blank, blank), "soft", int(rng.integers(2**31)))
            lines = torch.cat([lines[:, : o.targets], redrawn.unflatten(0, (len(clips), many))], 1)
        color = turn(color, rng)
        work = None
        height, width = color.shape[-2:]
        if rng.random() < o.detail_prob and min(height, width) >= 160:
            factor = rng.uniform(1.3, 2.5)
            work = (max(64, round(height / factor / 16) * 16), max(64, round(width / factor / 16) * 16))
        with_regions = rng.random() < o.region_prob
        t = o.targets
        return Step(
            lines[:, :t],
            color[:, :t],
            lines[:, t:],
            color[:, t:],
            None if drawing is None else drawing.long(),
            None if point is None else point.float(),
            regions_of(lines if work is None else resize(lines, work)) if with_regions else None,
            work,
        )


# -- the task -------------------------------------------------------------------------------------------------


class Matching(Task[Matcher, Step]):
    """Trains :class:`celpaint.models.matcher.network.Matcher`; ``run.monitor`` may be ``psnr``."""

    every_parameter_used = False  # the detail network only where the lines are larger than the working size

    def __init__(
        self,
        network: Matcher,
        config: Mapping[str, Any],
        options: MatchingOptions,
        art: Art,
        banks: tuple[Bank, Bank] | None = None,
    ) -> None:
        self.network, self.config, self.options, self.art = network, dict(config), options, art
        self.device, self.banks = next(network.parameters()).device, banks
        train_art = art.split("train")
        self.synthesizers = {
            size: Synthesizer(train_art, ClipSpec(height=size[0], width=size[1], frames=options.frames, stride=(1, 4)))
            for size in options.sizes
        }

    @classmethod
    def build(cls, recipe: Recipe, device: torch.device) -> Matching:
        options = from_table(MatchingOptions, recipe.task, "task")
        need(recipe.data.source != "prepared", "data.source", recipe.data.source, "toy or synthetic")
        art = toy_art() if recipe.data.source == "toy" else Art.load(recipe.data.path)
        config = {p.name: p.default for p in signature(Matcher).parameters.values()} | dict(recipe.network)
        need(config.keys() == signature(Matcher).parameters.keys(), "network", list(recipe.network), "its arguments")
        network = Matcher(**config)
        if recipe.init.weights:
            folder = find_weights("matcher", recipe.init.weights)
            load_network(network, read_tensors(folder), source=folder)
        network = network.to(device=device, memory_format=torch.channels_last).train().requires_grad_(True)  # type: ignore[call-overload]
        network.blend.requires_grad_(False)  # a task of its own
        data, banks = recipe.data, None
        if data.source == "film":
            banks = load_banks(Path(data.path), str(device), data.drawings)
        return cls(network, config, options, art, banks)

    def export_config(self) -> Mapping[str, Any]:
        return self.config

    def frames(self, batch: Step) -> int:
        return batch.color.shape[0] * batch.color.shape[1]

    def batches(self, seed: int, start: int) -> Iterator[Step]:
        if self.banks is not None:
            from celpaint.train.tasks.film_batches import FilmBatches

            on_device = FilmBatches(self.options, self.banks[0], seed, FilmSpec())
            return (on_device(k) for k in itertools.count(start))
        batches = Batches(self.options, lambda size, n: self.synthesizers[size].batch(n, 1), seed)
        return (self._here(batches(k)) for k in itertools.count(start))

    def _here(self, step: Step) -> Step:
        def here(x: Tensor) -> Tensor:
            return x.to(self.device)

        return replace(
            step,
            lines=here(step.lines),
            color=here(step.color),
            reference_lines=here(step.reference_lines),
            reference_color=here(step.reference_color),
            drawing=None if step.drawing is None else here(step.drawing),
            point=None if step.point is None else here(step.point),
            regions=None if step.regions is None else here(step.regions),
        )

    def loss(self, batch: Step) -> tuple[Tensor, dict[str, Any]]:
        network = self.network
        assert isinstance(network, Matcher)
        return train_loss(network, batch, self.options)

    @torch.no_grad()
    def validate(self, network: nn.Module) -> dict[str, float]:
        """PSNR at two distances and line styles, of the network and of copying the reference; matching accuracy."""
        assert isinstance(network, Matcher)
        figures: dict[str, list[float]] = {}
        for line_style, distance in (("soft", 15), ("clean", 15), ("binary", 45)):
            for clip in self._films(line_style, distance, self.options.validation_clips):
                step = self._here(as_step(clip, with_regions=self.banks is None))
                decoded, matched = network(step.lines, step.reference_lines, step.reference_color, step.regions)
                assert step.drawing is not None
                assert step.point is not None
                accuracy = float(matching_loss(step.drawing, step.point, 1, matched)[1])
                score = psnr(decoded.rgb, step.color)
                figures.setdefault(f"psnr_{line_style}_{distance}", []).append(score)
                figures.setdefault("psnr", []).append(score)
                figures.setdefault("copy", []).append(psnr(step.reference_color, step.color))
                figures.setdefault("accuracy", []).append(accuracy)
        return {name: float(np.mean(values)) for name, values in figures.items()}

    def _films(self, line_style: str, distance: int, clips: int) -> Iterator[ClipBatch]:
        height, width = self.options.sizes[min(1, len(self.options.sizes) - 1)]
        if self.banks is not None:
            spec = FilmSpec(
                height=height, width=width, frames=2, distance=(distance, distance), line_styles={line_style: 1.0}
            )
            films = FilmSynthesizer(self.banks[1], spec)
            return (films.batch(1_000_000 + number, 1) for number in range(clips))
        return validation_clips(self.art, distance, line_style, clips=clips, height=height, width=width)

    @torch.no_grad()
    def sample_sheet(self, network: nn.Module) -> npt.NDArray[np.uint8]:
        """Rows of reference, lines, colors carried over by matching, result, truth, confidence."""
        assert isinstance(network, Matcher)
        rows = []
        for line_style, distance in (("soft", 5), ("clean", 15), ("binary", 45), ("broken", 30)):
            for clip in self._films(line_style, distance, clips=2):
                step = self._here(as_step(clip))
                decoded, matched = network(step.lines, step.reference_lines, step.reference_color, step.regions)
                size = step.color.shape[-2:]
                carried = F.interpolate(matched.fine[:, -3:], size=matched_size(matched), mode="nearest")
                views = [
                    step.reference_color[0, 0],
                    1 - step.lines[0, 0].expand(3, -1, -1),
                    carried[0, :, : size[0], : size[1]],
                    decoded.rgb[0, 0],
                    step.color[0, 0],
                    decoded.confidence[0, 0].sigmoid().expand(3, -1, -1),
                ]
                rows.append(torch.cat(views, -1))
        sheet = torch.cat(rows, -2).clamp(0, 1).permute(1, 2, 0).cpu().numpy()
        return (sheet * 255).round().astype(np.uint8)


def as_step(clip: ClipBatch, references: int = 1, *, with_regions: bool = True) -> Step:
    """Frame ``references`` of a film as the target, those before it as references."""
    order = [references, *range(references)]
    drawing, point = clip.drawing, clip.point
    return Step(
        lines=clip.lines[:, references : references + 1],
        color=clip.color[:, references : references + 1],
        reference_lines=clip.lines[:, :references],
        reference_color=clip.color[:, :references],
        drawing=None if drawing is None else drawing[:, order],
        point=None if point is None else point[:, order],
        regions=regions_of(clip.lines[:, order]) if with_regions else None,
    )


def regions_of(lines: Tensor) -> Tensor:
    """The closed region of every pixel of drawings, ``B T 1 H W`` -> ``B T H W`` int64."""
    labels = [torch.from_numpy(enclosed(line.cpu().numpy())) for line in lines.flatten(0, 2)]
    regions: Tensor = torch.stack(labels).unflatten(0, (lines.shape[0], -1))
    return regions


def matched_size(matched: Matched) -> tuple[int, int]:
    """Height and width of the padded picture."""
    return 8 * matched.fused.shape[2], 8 * matched.fused.shape[3]


def psnr(a: Tensor, b: Tensor) -> float:
    """Peak signal-to-noise ratio in dB of colors in [0, 1]."""
    return frame.psnr(float(F.mse_loss(a.clamp(0, 1), b)))


def train_loss(network: Matcher, step: Step, options: MatchingOptions) -> tuple[Tensor, dict[str, Any]]:
    """The loss of one batch and its figures."""
    lines, color = step.lines, step.color
    small = lines
    inputs = lines, step.reference_lines, step.reference_color
    drawing, point = step.drawing, step.point
    if step.work is not None:
        inputs = resize(lines, step.work), resize(inputs[1], step.work), resize(inputs[2], step.work)
        small = inputs[0]
        drawing = None if drawing is None else nearest(drawing, step.work)
        point = None if point is None else nearest(point, step.work)
    decoded, matched = network(*inputs, step.regions)
    rgb, confidence = decoded.rgb, decoded.confidence
    small_color = color if step.work is None else resize(color, step.work)
    loss_color = (rgb - small_color).abs().mean()
    loss_gradient = gradient(rgb, small_color)
    figures: dict[str, Any] = {"color": loss_color, "gradient": loss_gradient}
    if step.work is not None:
        full = network.detail(rgb.flatten(0, 1), small.flatten(0, 1), lines.flatten(0, 1)).view_as(color)
        fine_color, fine_gradient = (full - color).abs().mean(), gradient(full, color)
        figures["detail"] = fine_color
        loss_color, loss_gradient = loss_color + fine_color, loss_gradient + fine_gradient

    h, w = matched.fused.shape[2:]
    carried = matched.carried[..., -3:].reshape(-1, h * w, 3)
    flat_color, flat_lines = small_color.flatten(0, 1), small.flatten(0, 1)
    mean8, mean4 = paint_mean(flat_color, flat_lines, 8), paint_mean(flat_color, flat_lines, 4)
    shown = matched.found.detach().reshape(-1, h * w, 1)
    loss_carry = ((carried - tokens(mean8)).abs() * shown).mean() + (matched.fine[:, -3:] - mean4).abs().mean()

    right = ((rgb.detach() - small_color).abs().amax(2, keepdim=True) < options.color_tolerance).to(rgb.dtype)
    loss_sure = F.binary_cross_entropy_with_logits(confidence, right)
    loss = loss_color + options.gradient_weight * loss_gradient + options.propagation_weight * loss_carry
    loss = loss + options.confidence_weight * loss_sure
    figures |= {"carry": loss_carry, "sure": loss_sure, "right": right.mean()}
    if drawing is not None and point is not None:
        loss_match, accuracy, fine_accuracy = matching_loss(drawing, point, lines.shape[1], matched)
        loss = loss + options.matching_weight * loss_match
        figures |= {"match": loss_match, "accuracy": accuracy, "fine_accuracy": fine_accuracy}
    return loss, figures


def gradient(a: Tensor, b: Tensor) -> Tensor:
    d = a - b
    return (d[..., 1:] - d[..., :-1]).abs().mean() + (d[..., 1:, :] - d[..., :-1, :]).abs().mean()
