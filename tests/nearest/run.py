"""Coloring by ``nearest``, its network and what converts to it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from celpaint.methods.base import Method
from celpaint.types import Chunk, ColorizedFrame, DrawingColored, Progress, Shot, State, silent
from celpaint.weights.convert.files import read_checkpoint
from celpaint.weights.inspect import Check
from celpaint.weights.store import check_fit, load_network, read_config, read_tensors, write_network
from nearest.spec import SPEC, NearestOptions


class Tint(nn.Module):
    """Multiplies RGB by three numbers."""

    def __init__(self) -> None:
        super().__init__()
        self.tint = nn.Parameter(torch.ones(3))


def build(part: str, config: Mapping[str, Any], source: object) -> nn.Module:
    with torch.device("meta"):
        return Tint()


def check(tensors: Mapping[str, Tensor], path: Path) -> Iterator[Check]:
    yield Check.of("tint: names and shapes", lambda: check_fit(Tint(), _ours(tensors), source=path))


def convert(tint: Path, out: Path, *, dtype: str, say: Callable[[str], None]) -> Path:
    write_network(out, {"_class_name": "Tint"}, _ours(read_checkpoint(tint)))
    return out


def _ours(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix("foreign."): value for name, value in tensors.items()}


class Nearest(Method):
    """Every drawing like the nearest painting; odd drawings first, so that the order is not the shot's."""

    def __init__(self, tint: np.ndarray) -> None:
        self.tint = tint

    @classmethod
    def load(cls, options: NearestOptions) -> Nearest:
        folder = SPEC.find_weights(options.weights)
        read_config(folder)
        network = load_network(Tint(), read_tensors(folder), source=folder)
        return cls(1 + options.tint * (network.tint.numpy() - 1))

    def color(
        self, shot: Shot, *, done: int = 0, state: State | None = None, progress: Progress = silent
    ) -> Iterator[Chunk]:
        order = [*range(1, len(shot), 2), *range(0, len(shot), 2)]
        total = np.array(0.0) if state is None else state["total"]
        for begin in range(done, len(order), 3):
            chunk, frames = order[begin : begin + 3], []
            for count, drawing in enumerate(chunk, begin + 1):
                nearest = min(
                    shot.references, key=lambda r: (r.frame is None, abs((r.frame or 0) - drawing), r.frame or 0)
                )
                total = np.asarray(total + shot.lines[drawing].mean(dtype=np.float64))
                rgb = np.clip(nearest.rgb * self.tint * (0.5 + 0.5 / (1 + total)), 0, 1).astype(np.float32)
                frames.append(ColorizedFrame(rgb, np.full(shot.size, 0.5, np.float32)))
                progress(DrawingColored(count, len(shot)))
            yield Chunk(tuple(chunk), tuple(frames), {"total": total})


class Untinted(Nearest):
    """The same without its network."""

    @classmethod
    def load(cls, options: NearestOptions) -> Untinted:
        return cls(np.ones(3, np.float32))
