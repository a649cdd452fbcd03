"""The smallest real task: a network learns a curve. Noise in data and loss, so that random numbers matter."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from celpaint.train.engine.recipe import Recipe, load_recipe
from celpaint.train.engine.task import Task

RECIPE = """
[task]
kind = "curve_task:Curve"
[network]
width = 8
[optimizer]
lr = 0.01
gradient_accumulation_steps = 2
ema_decay = 0.9
[schedule]
steps = 20
warmup_steps = 2
[run]
validate_every = 5
sheet_every = 10
checkpoint_every = 5
log_every = 2
device = "cpu"
"""


class Curve(Task[nn.Module, tuple[Tensor, Tensor]]):
    def __init__(self, width: int, poison: frozenset[int], freeze: bool) -> None:
        self.width, self.poison = width, poison
        self.network = nn.Sequential(nn.Linear(1, width), nn.BatchNorm1d(width), nn.GELU(), nn.Linear(width, 1))
        self.network[0].requires_grad_(not freeze)

    @classmethod
    def build(cls, recipe: Recipe, device: torch.device) -> Curve:
        torch.manual_seed(1)
        task = cls(recipe.network["width"], frozenset(recipe.task.get("poison", ())), recipe.task.get("freeze", False))
        task.network.to(device)
        return task

    def batches(self, seed: int, start: int) -> Iterator[tuple[Tensor, Tensor]]:
        k = start
        while True:
            g = torch.Generator().manual_seed(seed + 100_003 * k)
            x = torch.rand(16, 1, generator=g)
            y = torch.sin(6 * x) + (torch.nan if k in self.poison else 0)
            k += 1
            yield x, y

    def loss(self, batch: tuple[Tensor, Tensor]) -> tuple[Tensor, dict[str, Any]]:
        x, y = batch
        error = self.network(x + 0.01 * torch.randn_like(x)) - y
        return error.square().mean(), {"error": error.detach().abs().mean(), "two": 2.0}

    def validate(self, network: nn.Module) -> dict[str, float]:
        x = torch.linspace(0, 1, 64)[:, None]
        return {"loss": float((network(x) - torch.sin(6 * x)).square().mean())}

    def sample_sheet(self, network: nn.Module) -> np.ndarray:
        return np.full((8, 8, 3), 128, np.uint8)

    def export_config(self) -> Mapping[str, Any]:
        return {"width": self.width}

    def frames(self, batch: tuple[Tensor, Tensor]) -> int:
        return len(batch[0])


def recipe(folder: Path, *overrides: str) -> Recipe:
    path = folder / "curve.toml"
    path.write_text(RECIPE)
    return load_recipe(path, overrides)
