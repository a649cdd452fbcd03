"""The matcher: every drawing colored in one pass, by matching its lines with those of painted pictures.

Our own method; the network is :class:`celpaint.models.matcher.network.Matcher`. Correspondence of line drawings by
attention follows Shi et al. ("Deep line art video colorization with a few references", 2020) and LoFTR (Sun et al.,
CVPR 2021).

Drawings are colored outward from the painted ones, forwards and backwards. Each is matched with all painted references
and with the nearest drawings colored before, on both sides. The references always stay; what was colored only helps
where it is more alike, so that errors do not pile up. Painted frames come out as they were painted.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar, Self

import numpy as np
import torch
from torch import Tensor

from celpaint.conditions.lines import working_lines
from celpaint.conditions.palette.matching import snapped
from celpaint.conditions.palette.value import Palette
from celpaint.conditions.regions import enclosed
from celpaint.device import resolve_device, resolve_dtype
from celpaint.errors import OptionError
from celpaint.frames.resize import resize, resize_tensor
from celpaint.methods.base import UNSURE, Method
from celpaint.methods.matcher import weights
from celpaint.methods.matcher.alignment import Sketch, Source, align, enlarge
from celpaint.methods.matcher.flat_fill import Drawing, FlatFill, Found, Known
from celpaint.methods.matcher.spec import SPEC, MatcherOptions
from celpaint.methods.matcher.surface_smoothing import calm
from celpaint.methods.matcher.transparency import propagate_alpha
from celpaint.methods.propagation import needed_later, plan_propagation
from celpaint.methods.working_size import bounded_size
from celpaint.models.matcher.blend import Aligned, Blended
from celpaint.models.matcher.network import STRIDE, Lines, Matching, Offer, pixels
from celpaint.models.matcher.network import Matcher as Network
from celpaint.types import (
    Array,
    Background,
    Chunk,
    ColorizedFrame,
    DrawingColored,
    Judgement,
    Progress,
    Reference,
    Shot,
    State,
    silent,
)

if TYPE_CHECKING:
    import numpy.typing as npt

__all__ = ["Matcher", "working_size"]

log = logging.getLogger("celpaint")

CHUNK = 4
"""Drawings a chunk."""

MEMORY_PRIOR = math.log(0.3)
"""What a place of a drawing just colored weighs against one of a painted reference, before its own confidence."""

ROWS = 1024
"""Rows of the matching matrix in memory at a time."""

TOKEN = 8
"""Pixels a token at 1/8."""

WORTH = 0.005
"""How much a painting must raise the least sure regions, on average over the drawings, to be worth painting."""

MOVED = 2
"""Painted references that are moved onto a drawing by optical flow."""


def working_size(size: tuple[int, int], options: MatcherOptions) -> tuple[int, int]:
    """Height and width the network works at: the shot's own if that has few enough tokens, else smaller.

    Args:
        size: (height, width) of the shot.
        options: ``size`` overrides; ``max_tokens`` bounds.
    """
    return bounded_size(options.size or size, most=options.max_tokens, stride=STRIDE, cell=TOKEN)


class Matcher(Method):
    """The matcher method.

    Args:
        network: its weights loaded, in evaluation mode, on ``device`` in ``dtype``.
        options: of the method.

    Attributes:
        memory_prior: logarithm of what a drawing just colored weighs, see :data:`MEMORY_PRIOR`.
    """

    memory_prior: ClassVar[float] = MEMORY_PRIOR

    def __init__(self, network: Network, options: MatcherOptions, device: torch.device, dtype: torch.dtype) -> None:
        self.network, self.options, self.device, self.dtype = network, options, device, dtype

    @classmethod
    def load(cls, options: MatcherOptions) -> Self:
        """Find the weights and build the network.

        Raises:
            WeightsError: missing, broken or of another network.
            DeviceError: no such device.
        """
        device = resolve_device(options.device)
        dtype = resolve_dtype(options.dtype, device)
        network = weights.load(SPEC.find_weights(options.weights))
        network = network.to(device=device, dtype=dtype, memory_format=torch.channels_last)  # type: ignore[call-overload]
        if options.compile:
            network.compile()
        return cls(network, options, device, dtype)

    @torch.inference_mode()
    def color(
        self, shot: Shot, *, done: int = 0, state: State | None = None, progress: Progress = silent
    ) -> Iterator[Chunk]:
        if shot.palette:
            shot = self._snapped(shot)
        work = working_size(shot.size, self.options)
        flat = self._flat(shot, work)
        fills = [None] * len(shot.references) if flat is None else flat.known
        painted = [self._reference(r, work, fill) for r, fill in zip(shot.references, fills, strict=True)]
        given = {r.frame: r for r in shot.references if r.frame is not None}
        steps = plan_propagation(len(shot), given, self.options.memory_frames)
        background = None if shot.background is None else shot.background.at(work)
        recent = self._resume(shot, work, state, flat)
        for begin in range(done, len(steps), CHUNK):
            chunk = steps[begin : begin + CHUNK]
            frames: list[ColorizedFrame] = []
            for count, step in enumerate(chunk, begin + 1):
                if step.drawing in given:
                    reference = given[step.drawing]
                    frames.append(ColorizedFrame(reference.rgb, np.ones(shot.size, np.float32), reference.alpha))
                else:
                    memory = [recent[i] for i in step.memory]
                    line = shot.lines[step.drawing]
                    finished, colored = self._color(line, work, flat, painted, memory, background)
                    frames.append(finished)
                    needed = needed_later(steps, count)
                    if step.drawing in needed:
                        recent[step.drawing] = self._remember(colored)
                    recent = {i: known for i, known in recent.items() if i in needed}
                progress(DrawingColored(count, len(shot)))
            yield Chunk(tuple(step.drawing for step in chunk), tuple(frames), _state(recent))

    def _flat(self, shot: Shot, work: tuple[int, int]) -> FlatFill | None:
        """Flat fills if they are asked for, or if the references are flat themselves."""
        if self.options.flat == "off":
            return None
        flat = FlatFill([(r.rgb, r.line) for r in shot.references], work)
        wanted = self.options.flat == "on" or bool(shot.palette) or flat.suitable
        if wanted:
            flat.report()
        if self.options.flat == "auto":
            log.info(*flat.reason)
        return flat if wanted else None

    def _snapped(self, shot: Shot) -> Shot:
        """The shot with its references in the colors of the palette, of which flat fills then take theirs."""
        if self.options.flat == "off":
            raise OptionError(
                "--palette is given, and the method matcher uses a palette for flat fills only",
                todo="Leave out --flat off, or --palette.",
            )
        palette = Palette(shot.palette)
        return replace(shot, references=tuple(replace(r, rgb=snapped(r.rgb, palette)) for r in shot.references))

    # -- one drawing ------------------------------------------------------------------------------------------

    def _color(
        self,
        line: Array,
        work: tuple[int, int],
        flat: FlatFill | None,
        painted: list[_Painting],
        recent: list[_Painting],
        background: Background | None = None,
    ) -> tuple[ColorizedFrame, _Colored]:
        """A drawing colored: at the shot's size, and as it may be remembered."""
        drawing = None if flat is None else flat.enclose(line)
        drawn = self._draw(line, work, drawing)
        known = [*painted, *recent]
        rgb, confidence, matching = self._paint(drawn.features, Offer.join([k.offer for k in known]))
        chosen = [*_most_matched(matching, painted), *range(len(known) - len(recent[-1:]), len(known))]
        sources = [known[i].source for i in chosen]
        aligned = align(drawn.sketch, sources)
        blended = _discounted(self._blend(drawn, rgb, confidence, aligned), confidence, _trust(known, matching, work))
        mixed = _with_background(self._calm(blended, drawn), background, drawn.sketch.line)
        found = [_found(matching, work, mixed), *_carried(aligned, mixed, chosen)]
        alpha = _alpha(known, found, drawn.sketch.regions)
        full = replace(self._full(line, drawn, mixed, aligned, sources), alpha=alpha)
        if flat is None or drawing is None:
            return full, _Colored(drawn, mixed.rgb, mixed.confidence, alpha=alpha)
        assert matching.votes is not None
        fills = [k.fill for k in known if k.fill is not None]
        filled, fill = flat.fill(drawing, fills, found, matching.votes[0].cpu().numpy())
        rgb = resize_tensor(torch.from_numpy(filled).permute(2, 0, 1)[None], work)
        return replace(full, rgb=filled), _Colored(drawn, rgb, mixed.confidence, fill, alpha)

    def _draw(self, line: Array, work: tuple[int, int], drawing: Drawing | None = None) -> _Drawn:
        """A drawing at the network's size; a line one pixel thin is still one where it shrinks.

        Args:
            line: at the shot's size.
            drawing: what it encloses, seen at that size; None: seen at the network's.
        """
        small = working_lines(line, work)
        regions = enclosed(small) if drawing is None else drawing.small.astype(np.int64)
        features = self.network.encode_lines(
            self._tensor(small)[None, None, None], torch.from_numpy(regions)[None, None].to(self.device)
        )
        return _Drawn(Sketch.of(small, regions), features)

    def _paint(self, features: Lines, offer: Offer) -> tuple[Tensor, Tensor, Matching]:
        """RGB ``1 3 h w`` and confidence ``1 1 h w`` in [0, 1], and the matching they come from."""
        matching = self.network.match(features, offer, rows=ROWS)
        decoded = self.network.decode(features, matching, offer)
        rgb, confidence = decoded.rgb[0].float().clamp(0, 1), decoded.confidence[0].float().sigmoid()
        return rgb.cpu(), confidence.cpu(), matching

    def _blend(self, drawn: _Drawn, rgb: Tensor, confidence: Tensor, aligned: Aligned) -> Blended:
        """What was painted, mixed with pictures moved onto the drawing; all on the CPU."""
        given = [x.to(self.device) for x in (torch.from_numpy(drawn.sketch.line)[None, None], rgb, confidence)]
        mixed: Blended = self.network.blend(*given, aligned.to(self.device))
        return mixed.cpu()

    def _calm(self, mixed: Blended, drawn: _Drawn) -> Blended:
        """The same without noise where it is unsure."""
        plain, sure = _plain(mixed.rgb), _plain(mixed.confidence)[..., 0]
        copied = mixed.share.sum(0)[0].numpy()
        calmed = calm(plain, sure, drawn.sketch.line, drawn.sketch.regions, copied)
        return replace(mixed, rgb=torch.from_numpy(calmed).permute(2, 0, 1)[None])

    def _full(
        self, line: Array, drawn: _Drawn, mixed: Blended, aligned: Aligned, sources: list[Source]
    ) -> ColorizedFrame:
        """At the shot's own size."""
        small = drawn.sketch.line
        if small.shape == line.shape:
            return ColorizedFrame(_plain(mixed.rgb), _plain(mixed.confidence)[..., 0])
        both = torch.cat([mixed.rgb, mixed.confidence], 1).to(self.device, self.dtype)
        both = self.network.detail(both, self._tensor(small)[None, None], self._tensor(line)[None, None]).float().cpu()
        rgb = enlarge(_plain(both[:, :3]), aligned, mixed.share, sources)
        return ColorizedFrame(rgb, _plain(both[:, 3:])[..., 0])

    # -- paintings --------------------------------------------------------------------------------------------

    def _reference(self, reference: Reference, work: tuple[int, int], fill: Known | None) -> _Painting:
        drawn = self._draw(reference.line, work, None if fill is None else fill.drawing)
        rgb = resize_tensor(torch.from_numpy(reference.rgb).permute(2, 0, 1)[None], work)
        lines = self._tensor(drawn.sketch.line)[None, None, None]
        offer = self.network.encode_reference(drawn.features, lines, rgb[None].to(self.device, self.dtype))
        whole = None if reference.line.shape == work else reference.rgb
        source = Source(drawn.sketch, _plain(rgb), np.ones(work, np.float32), whole)
        return _Painting(offer, source, fill, None if reference.alpha is None else resize(reference.alpha, work))

    def _remember(self, colored: _Colored) -> _Painting:
        """A drawing colored before, as a reference trusted as far as its colors were sure."""
        drawn, rgb, confidence = colored.drawn, colored.rgb, colored.confidence
        prior = (confidence.clamp(min=1e-3).log() + self.memory_prior).to(self.device, self.dtype)
        lines = self._tensor(drawn.sketch.line)[None, None, None]
        offer = self.network.encode_reference(drawn.features, lines, rgb[None].to(self.device, self.dtype), prior[None])
        source = Source(drawn.sketch, _plain(rgb), _plain(confidence)[..., 0])
        return _Painting(offer, source, colored.fill, colored.alpha)

    def _resume(
        self, shot: Shot, work: tuple[int, int], state: State | None, flat: FlatFill | None
    ) -> dict[int, _Painting]:
        """The drawings colored last, by index, as :func:`_state` kept them."""
        if not state:
            return {}
        recent: dict[int, _Painting] = {}
        paints: Sequence[npt.NDArray[np.int64] | None] = [None] * len(state["index"])
        if "paint" in state:
            paints = np.split(state["paint"], np.cumsum(state["regions"])[:-1])
        alphas: Sequence[Array | None] = list(state["alpha"]) if "alpha" in state else [None] * len(state["index"])
        kept = zip(state["index"], state["rgb"], state["confidence"], paints, alphas, strict=True)
        for i, rgb, confidence, paint, alpha in kept:
            line = shot.lines[int(i)]
            fill = None if paint is None or flat is None else Known(flat.enclose(line), paint)
            drawn = self._draw(line, work, None if fill is None else fill.drawing)
            colors, sure = (torch.from_numpy(np.array(x)) for x in (rgb, confidence))
            colored = _Colored(drawn, colors.permute(2, 0, 1)[None], sure[None, None], fill, alpha)
            recent[int(i)] = self._remember(colored)
        return recent

    def _tensor(self, x: Array) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(x)).to(self.device, self.dtype)

    # -- advice -----------------------------------------------------------------------------------------------

    @torch.inference_mode()
    def advise(self, shot: Shot, judged: Sequence[Judgement]) -> list[int]:
        """The drawings worth painting next, best first.

        Greedy: each is the one that would raise most what the method is least sure of, going by how much it shows of
        the other drawings' least sure regions. Looked at in small, and at no more than 24 drawings of which 8 may be
        chosen, so the cost is bounded.
        """
        least = np.array([each.least for each in judged])
        if not len(least) or least.min() >= UNSURE:
            return []
        spread = np.array_split(np.arange(len(shot)), min(8, len(shot)))
        candidates = [int(part[np.argmin(least[part])]) for part in spread]
        looked_at = sorted({*candidates, *(round(i) for i in np.linspace(0, len(shot) - 1, min(24, len(shot))))})
        work = working_size(shot.size, MatcherOptions(max_tokens=240))
        lines = {i: self._tensor(working_lines(shot.lines[i], work))[None, None, None] for i in looked_at}
        features = {i: self.network.encode_lines(line) for i, line in lines.items()}
        shows = np.zeros((len(candidates), len(looked_at)))
        for row, c in enumerate(candidates):
            offer = self.network.encode_reference(features[c], lines[c], lines[c].expand(-1, -1, 3, -1, -1))
            for column, j in enumerate(looked_at):
                found = self.network.match(features[j], offer, rows=ROWS).found
                shows[row, column] = float(_region(found, work, judged[j]).float().mean())
        now = least[looked_at]
        chosen: list[int] = []
        for _ in range(3):
            gain = np.maximum(shows - now, 0).mean(1)
            best = int(gain.argmax())
            if gain[best] < WORTH or least[candidates[best]] >= UNSURE:
                break
            chosen.append(candidates[best])
            now = np.maximum(now, shows[best])
        return chosen


def _region(tokens: Tensor, work: tuple[int, int], judged: Judgement) -> Tensor:
    """The tokens ``1 N`` of a drawing's least sure region, one at least."""
    rows, columns = (-(-side // STRIDE) * (STRIDE // TOKEN) for side in work)
    grid = tokens.view(rows, columns)
    down, across = work[0] / TOKEN, work[1] / TOKEN
    top, left = min(int(judged.top * down), rows - 1), min(int(judged.left * across), columns - 1)
    bottom, right = math.ceil(judged.bottom * down), math.ceil(judged.right * across)
    return grid[top : max(bottom, top + 1), left : max(right, left + 1)]


@dataclass(frozen=True)
class _Drawn:
    """A drawing at the network's size, and its features."""

    sketch: Sketch
    features: Lines


@dataclass(frozen=True)
class _Colored:
    """A drawing colored, at the network's size: RGB ``1 3 h w``, confidence ``1 1 h w``, alpha of its fills ``h w``."""

    drawn: _Drawn
    rgb: Tensor
    confidence: Tensor
    fill: Known | None = None
    alpha: Array | None = None


@dataclass(frozen=True)
class _Painting:
    """A painted picture.

    Attributes:
        offer: what the network may take from it.
        source: what may be moved onto a drawing.
        fill: its regions' colors, where fills are flat.
        alpha: ``h w`` of its fills; None where it is opaque.
    """

    offer: Offer
    source: Source
    fill: Known | None = None
    alpha: Array | None = None


def _most_matched(matching: Matching, painted: list[_Painting]) -> list[int]:
    """The painted references that most places of the drawing match, :data:`MOVED` at most, best first."""
    tokens = painted[0].offer.key.shape[1]
    count = torch.bincount(matching.best.flatten().cpu() // tokens, minlength=len(painted))[: len(painted)]
    return [int(i) for i in count.argsort(descending=True, stable=True)[:MOVED]]


def _places(matching: Matching, work: tuple[int, int]) -> tuple[Array, Array]:
    """Where the network finds a drawing's pixels: x and y, ``h w`` each, as :class:`Found` has them."""
    height = -(-work[0] // STRIDE) * STRIDE
    x, y = (axis[0, : work[0], : work[1]].float().cpu().numpy() for axis in pixels(matching.place, height))
    return x, y


def _found(matching: Matching, work: tuple[int, int], mixed: Blended) -> Found:
    """Where the network finds a drawing's pixels, as far as the mixture is what it painted."""
    x, y = _places(matching, work)
    weight = mixed.confidence[0, 0] * (1 - mixed.share.sum(0)[0]).clamp(min=0)
    return Found(x, y, weight.numpy())


def _trust(known: list[_Painting], matching: Matching, work: tuple[int, int]) -> Tensor:
    """How sure the colors are at the places that the network finds a drawing's pixels at, ``1 1 h w``."""
    pad = [(0, -work[0] % STRIDE), (0, -work[1] % STRIDE)]
    tall = np.concatenate([np.pad(k.source.trust, pad, mode="edge") for k in known])
    x, y = _places(matching, work)
    return torch.from_numpy(tall[y.astype(int), x.astype(int)])[None, None]


def _discounted(mixed: Blended, confidence: Tensor, trust: Tensor) -> Blended:
    """A mixture whose painted part is no surer than what its colors were taken from.

    Args:
        confidence: of what was painted, taken by itself; trust: in the places it was taken from, ``1 1 h w`` each.
    """
    painted = (1 - mixed.share.sum(0, keepdim=True)).clamp(min=0)
    return replace(mixed, confidence=(mixed.confidence - painted * confidence * (1 - trust)).clamp(0, 1))


def _with_background(mixed: Blended, background: Background | None, line: Array) -> Blended:
    """A drawing with the painted background behind it, at the network's size."""
    if background is None:
        return mixed
    rgb, confidence = background.behind(_plain(mixed.rgb), _plain(mixed.confidence)[..., 0], line)
    fields = torch.from_numpy(rgb).permute(2, 0, 1)[None], torch.from_numpy(confidence)[None, None]
    return replace(mixed, rgb=fields[0], confidence=fields[1])


def _alpha(known: list[_Painting], found: list[Found], regions: npt.NDArray[np.int64]) -> Array | None:
    """The alpha of a drawing's fills, ``h w``; None where no painting has any."""
    if all(k.alpha is None for k in known):
        return None
    alphas = [np.ones(regions.shape, np.float32) if k.alpha is None else k.alpha for k in known]
    return propagate_alpha(alphas, found, regions)


def _carried(aligned: Aligned, mixed: Blended, chosen: list[int]) -> list[Found]:
    """Where flow carries a drawing's pixels, for each of the pictures moved, as far as the mixture is that picture.

    Args:
        chosen: which of all that is known they are, each as it is and moved.
    """
    height, width = mixed.rgb.shape[-2:]
    tall = -(-height // STRIDE) * STRIDE
    y, x = np.indices((height, width), np.float32) + 0.5
    found = []
    for k, (flow, share) in enumerate(zip(aligned.flow.numpy(), mixed.share, strict=True)):
        which = chosen[k // 2]
        weight = (share[0] * mixed.confidence[0, 0]).numpy()
        there = np.clip(x + flow[0], 0.5, width - 0.5), np.clip(y + flow[1], 0.5, height - 0.5) + which * tall
        found.append(Found(*there, weight))
    return found


def _plain(x: Tensor) -> Array:
    """``1 C h w`` -> ``h w C``."""
    return np.ascontiguousarray(x[0].clamp(0, 1).permute(1, 2, 0).numpy())


def _state(recent: dict[int, _Painting]) -> State:
    """Drawings colored, by index, as arrays that survive a stop."""
    if not recent:
        return {}
    sources, fills = [p.source for p in recent.values()], [p.fill for p in recent.values() if p.fill is not None]
    state = {
        "index": np.array(list(recent)),
        "rgb": np.stack([source.rgb for source in sources]),
        "confidence": np.stack([source.trust for source in sources]),
    }
    if all(p.alpha is not None for p in recent.values()):
        state["alpha"] = np.stack([p.alpha for p in recent.values() if p.alpha is not None])
    if fills:
        state["paint"] = np.concatenate([fill.paint for fill in fills])
        state["regions"] = np.array([len(fill.paint) for fill in fills])
    return state
