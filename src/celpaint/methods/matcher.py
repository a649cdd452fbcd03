"""The matcher: every drawing coloured in one pass, by matching its lines with those of painted pictures.

Our own method; the network is :class:`celpaint.models.matcher.Matcher`. Correspondence of line drawings by attention
follows Shi et al. ("Deep line art video colorization with a few references", 2020) and LoFTR (Sun et al., CVPR 2021).

A drawing is matched with all painted references and with the drawings coloured just before it. The references always
stay; what was coloured only helps where it is more alike, so that errors do not pile up.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from celpaint.conditions.lines import working_lines
from celpaint.conditions.regions import enclosed
from celpaint.methods.base import Method, silent
from celpaint.methods.calm import calm
from celpaint.methods.compute import resolve_device, resolve_dtype
from celpaint.methods.exact import Drawing, ExactFill, Known
from celpaint.methods.options import MatcherOptions
from celpaint.models.matcher import STRIDE, Lines, Matching, Offer, pixels
from celpaint.models.matcher import Matcher as Network
from celpaint.types import Array, Chunk, Event, Painted, Progress, Reference, Shot, State
from celpaint.weights.registry import find_weights
from celpaint.weights.store import load_network, read_config, read_tensors

if TYPE_CHECKING:
    import numpy.typing as npt

__all__ = ["Matcher", "working_size"]

CHUNK = 4
"""Drawings a chunk."""

MEMORY_PRIOR = math.log(0.3)
"""What a place of a drawing just coloured weighs against one of a painted reference, before its own confidence."""

ROWS = 1024
"""Rows of the matching matrix in memory at a time."""

TOKEN = 8
"""Pixels a token at 1/8."""


def working_size(size: tuple[int, int], options: MatcherOptions) -> tuple[int, int]:
    """Height and width the network works at: the shot's own if that has few enough tokens, else smaller.

    Args:
        size: (height, width) of the shot.
        options: ``size`` (WIDTH, HEIGHT) overrides; ``tokens`` bounds.
    """
    height, width = size if options.size is None else options.size[::-1]

    def count(h: int, w: int) -> int:
        return -(-h // STRIDE) * -(-w // STRIDE) * (STRIDE // TOKEN) ** 2

    scale = 1.0
    while count(math.ceil(height * scale), math.ceil(width * scale)) > options.tokens:
        scale *= 0.99
    return max(STRIDE, math.ceil(height * scale)), max(STRIDE, math.ceil(width * scale))


class Matcher(Method):
    """See the module.

    Args:
        network: its weights loaded, in evaluation mode, on ``device`` in ``dtype``.
        options: of the method.
    """

    def __init__(self, network: Network, options: MatcherOptions, device: torch.device, dtype: torch.dtype) -> None:
        self.network, self.options, self.device, self.dtype = network, options, device, dtype

    @classmethod
    def load(cls, options: MatcherOptions) -> Matcher:
        """Find the weights and build the network.

        Raises:
            WeightsError: missing, broken or of another network.
            DeviceError: no such device.
        """
        device = resolve_device(options.device)
        dtype = resolve_dtype(options, device)
        folder = find_weights("matcher", options.weights)
        network = load_network(Network(**read_config(folder)), read_tensors(folder), source=folder)
        network = network.to(device=device, dtype=dtype, memory_format=torch.channels_last)  # type: ignore[call-overload]
        if options.compile:
            network.compile()
        return cls(network, options, device, dtype)

    @torch.inference_mode()
    def colour(
        self, shot: Shot, *, start: int = 0, state: State | None = None, progress: Progress = silent
    ) -> Iterator[Chunk]:
        work = working_size(shot.size, self.options)
        exact = ExactFill([(r.rgb, r.line) for r in shot.references], work) if self.options.exact else None
        drawings = [None] * len(shot.references) if exact is None else [k.drawing for k in exact.known]
        painted = Offer.join([self._reference(r, work, d) for r, d in zip(shot.references, drawings, strict=True)])
        memory = _Memory.resume(state)
        filled = [Known(Drawing.of(shot.lines[i], work), paint) for i, paint in memory.paint.items()]
        recent: list[Offer] = []
        for place, i in enumerate(memory.index):
            small = self._lines(shot.lines[i], work)
            features = self._encode(small, self._regions(small, filled[place].drawing if filled else None))
            recent.append(self._remember(small, *memory.get(i), features))
        for begin in range(start, len(shot), CHUNK):
            done: list[Painted] = []
            for index in range(begin, min(begin + CHUNK, len(shot))):
                line = shot.lines[index]
                small = self._lines(line, work)
                drawing = None if exact is None else Drawing.of(line, work)
                regions = self._regions(small, drawing)
                features = self._encode(small, regions)
                rgb, confidence, matching = self._paint(features, Offer.join([painted, *recent]))
                rgb = self._calm(rgb, confidence, small, regions)
                full = self._full(line, small, rgb, confidence)
                if exact is not None and drawing is not None:
                    full, known = self._fill(exact, drawing, full, [*exact.known, *filled], matching)
                    rgb = _fit(torch.from_numpy(full.rgb).permute(2, 0, 1)[None], work)
                    filled = [*filled, known][-self.options.memory :] if self.options.memory else []
                if self.options.memory:
                    memory.push(index, rgb, confidence, self.options.memory)
                    memory.paint = dict(zip(memory.index, [k.paint for k in filled], strict=False))
                    recent = [*recent, self._remember(small, rgb, confidence, features)][-self.options.memory :]
                done.append(full)
                progress(Event("frame", index + 1, len(shot)))
            yield Chunk(begin, tuple(done), memory.state())

    # -- one drawing ------------------------------------------------------------------------------------------

    def _regions(self, lines: Tensor, drawing: Drawing | None) -> npt.NDArray[np.int64]:
        """What a drawing ``1 1 1 h w`` encloses, ``h w``, as given or seen at that size."""
        return enclosed(lines[0, 0, 0].float().cpu().numpy()) if drawing is None else drawing.small.astype(np.int64)

    def _encode(self, lines: Tensor, regions: npt.NDArray[np.int64]) -> Lines:
        """Features of a drawing, ``1 1 1 h w``, and of the regions it encloses."""
        return self.network.encode_lines(lines, torch.from_numpy(regions)[None, None].to(self.device))

    def _paint(self, features: Lines, offer: Offer) -> tuple[Tensor, Tensor, Matching]:
        """RGB ``1 3 h w`` and confidence ``1 1 h w`` in [0, 1], and the matching they come from."""
        matching = self.network.match(features, offer, rows=ROWS)
        decoded = self.network.decode(features, matching, offer)
        rgb, confidence = decoded.rgb[0].float().clamp(0, 1), decoded.confidence[0].float().sigmoid()
        return rgb.cpu(), confidence.cpu(), matching

    def _calm(self, rgb: Tensor, confidence: Tensor, lines: Tensor, regions: npt.NDArray[np.int64]) -> Tensor:
        """What was painted, ``1 3 h w``, without noise where it is unsure."""
        line = lines[0, 0, 0].float().cpu().numpy()
        calmed = calm(rgb[0].permute(1, 2, 0).numpy(), confidence[0, 0].numpy(), line, regions)
        return torch.from_numpy(calmed).permute(2, 0, 1)[None]

    def _fill(
        self, exact: ExactFill, drawing: Drawing, full: Painted, known: list[Known], matching: Matching
    ) -> tuple[Painted, Known]:
        """The drawing in the references' own colours, and what is known of it then."""
        assert full.confidence is not None
        assert matching.votes is not None
        height = -(-exact.work[0] // STRIDE) * STRIDE
        x, y = (axis[0].cpu().numpy() for axis in pixels(matching.place, height))
        votes = matching.votes[0].cpu().numpy()
        rgb, coloured = exact.fill(drawing, known, full.confidence, x, y, votes)
        return Painted(rgb, full.confidence), coloured

    def _full(self, line: Array, small: Tensor, rgb: Tensor, confidence: Tensor) -> Painted:
        """At the shot's own size."""
        if small.shape[-2:] != line.shape:
            both = torch.cat([rgb, confidence], 1).to(self.device, self.dtype)
            both = self.network.detail(both, small[0], self._tensor(line)[None, None]).float().cpu()
            rgb, confidence = both[:, :3], both[:, 3:]
        return Painted(
            np.ascontiguousarray(rgb[0].clamp(0, 1).permute(1, 2, 0).numpy()),
            np.ascontiguousarray(confidence[0, 0].clamp(0, 1).numpy()),
        )

    # -- references -------------------------------------------------------------------------------------------

    def _reference(self, reference: Reference, work: tuple[int, int], drawing: Drawing | None) -> Offer:
        lines = self._lines(reference.line, work)
        features = self._encode(lines, self._regions(lines, drawing))
        return self.network.encode_reference(features, lines, self._image(reference.rgb, work))

    def _remember(self, lines: Tensor, rgb: Tensor, confidence: Tensor, features: Lines) -> Offer:
        """A drawing coloured before, as a reference trusted as far as its colours were sure."""
        prior = (confidence.clamp(min=1e-3).log() + MEMORY_PRIOR).to(self.device, self.dtype)
        return self.network.encode_reference(features, lines, rgb[None].to(self.device, self.dtype), prior[None])

    # -- arrays -> tensors ------------------------------------------------------------------------------------

    def _tensor(self, x: Array) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(x)).to(self.device, self.dtype)

    def _lines(self, line: Array, work: tuple[int, int]) -> Tensor:
        """``H W`` -> ``1 1 1 h w``; a line one pixel thin is still one where it shrinks."""
        return self._tensor(working_lines(line, work))[None, None, None]

    def _image(self, rgb: Array, work: tuple[int, int]) -> Tensor:
        """``H W 3`` -> ``1 1 3 h w``."""
        return _fit(self._tensor(rgb).permute(2, 0, 1)[None], work)[None]

    # -- advice -----------------------------------------------------------------------------------------------

    @torch.inference_mode()
    def advise(self, shot: Shot, confidence: list[float]) -> list[int]:
        """The drawings worth painting next, best first.

        Greedy: each is the one that would raise the shot's confidence most, going by how much of the other drawings
        it shows. Looked at in small, and at no more than 24 drawings of which 8 may be chosen, so the cost is bounded.
        """
        if not confidence or min(confidence) >= 0.9:
            return []
        judged = sorted({round(i) for i in np.linspace(0, len(shot) - 1, min(24, len(shot)))})
        spread = np.array_split(np.arange(len(shot)), min(8, len(shot)))
        candidates = [int(part[np.argmin(np.array(confidence)[part])]) for part in spread]
        work = working_size(shot.size, MatcherOptions(tokens=240))
        drawn = {i: self._lines(shot.lines[i], work) for i in {*judged, *candidates}}
        features = {i: self.network.encode_lines(lines) for i, lines in drawn.items()}
        shows = np.zeros((len(candidates), len(judged)))
        for row, c in enumerate(candidates):
            offer = self.network.encode_reference(features[c], drawn[c], drawn[c].expand(-1, -1, 3, -1, -1))
            for column, j in enumerate(judged):
                shows[row, column] = float(self.network.match(features[j], offer, rows=ROWS).found.float().mean())
        now = np.array([confidence[j] for j in judged])
        chosen: list[int] = []
        for _ in range(3):
            gain = np.maximum(shows - now, 0).mean(1)
            best = int(gain.argmax())
            if gain[best] < 0.01:
                break
            chosen.append(candidates[best])
            now = np.maximum(now, shows[best])
        return chosen


def _fit(x: Tensor, size: tuple[int, int]) -> Tensor:
    """``B C H W`` to another size: averaged where it shrinks."""
    if x.shape[-2:] == size:
        return x
    if x.shape[-2] >= size[0] and x.shape[-1] >= size[1]:
        return F.interpolate(x.float(), size=size, mode="area").to(x.dtype)
    return F.interpolate(x.float(), size=size, mode="bilinear", align_corners=False, antialias=True).to(x.dtype)


class _Memory:
    """The last drawings coloured, at the network's size, as bytes that survive a stop."""

    def __init__(
        self,
        index: list[int],
        rgb: list[Tensor],
        confidence: list[Tensor],
        paint: dict[int, npt.NDArray[np.int64]],
    ) -> None:
        self.index, self.rgb, self.confidence, self.paint = index, rgb, confidence, paint

    @classmethod
    def resume(cls, state: State | None) -> _Memory:
        if not state:
            return cls([], [], [], {})
        rgb, confidence = (list(torch.from_numpy(np.array(state[name]))[:, None]) for name in ("rgb", "confidence"))
        index = [int(i) for i in state["index"]]
        paint = {}
        if "paint" in state:
            paint = dict(zip(index, np.split(state["paint"], np.cumsum(state["regions"])[:-1]), strict=True))
        return cls(index, rgb, confidence, paint)

    def push(self, index: int, rgb: Tensor, confidence: Tensor, keep: int) -> None:
        self.index, self.rgb = [*self.index, index][-keep:], [*self.rgb, rgb][-keep:]
        self.confidence = [*self.confidence, confidence][-keep:]

    def get(self, index: int) -> tuple[Tensor, Tensor]:
        at = self.index.index(index)
        return self.rgb[at], self.confidence[at]

    def state(self) -> State:
        if not self.index:
            return {}
        state = {
            "index": np.array(self.index),
            "rgb": torch.cat(self.rgb).numpy(),
            "confidence": torch.cat(self.confidence).numpy(),
        }
        if self.paint:
            state["paint"] = np.concatenate(list(self.paint.values()))
            state["regions"] = np.array([len(paint) for paint in self.paint.values()])
        return state
