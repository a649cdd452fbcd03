"""The smallest adversarial task: a generator imitates numbers, a discriminator tells them apart, a teacher helps."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from celpaint.train.engine.engine import Engine
from celpaint.train.engine.recipe import Recipe, load_recipe
from celpaint.train.engine.task import Part, Task

RECIPE = """
[task]
kind = "duel_task:Duel"
[data]
prefetch = 0
[optimizer]
lr = 0.01
gradient_accumulation_steps = 2
ema_decay = 0.5
[optimizers.discriminator]
lr = 0.002
ema_decay = 0.0
[schedule]
steps = 12
warmup_steps = 0
shape = "constant"
[run]
validate_every = 4
sheet_every = 100
checkpoint_every = 3
log_every = 2
device = "cpu"
"""

STAGES = """
[stages.fight]
train = ["generator", "discriminator"]
schedule = {steps = 5, warmup_steps = 0, shape = "constant"}
[stages.polish]
train = ["polisher"]
schedule = {steps = 4, warmup_steps = 0, shape = "constant"}
"""


class Players(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.generator = nn.Sequential(nn.Linear(2, 4), nn.Tanh(), nn.Linear(4, 2))
        self.discriminator = nn.Sequential(nn.Linear(2, 4), nn.Tanh(), nn.Linear(4, 1))
        self.polisher = nn.Linear(2, 2)


class Duel(Task[Players, Tensor]):
    def __init__(self) -> None:
        self.network = Players()
        self.teacher = nn.Linear(2, 2).requires_grad_(False)
        self.stages: list[str] = []

    @classmethod
    def build(cls, recipe: Recipe, device: torch.device) -> Duel:
        torch.manual_seed(recipe.run.seed)
        return cls()

    def optimizers(self) -> Mapping[str, Sequence[str]]:
        return {name: [name] for name in ("generator", "discriminator", "polisher")}

    def begin_stage(self, stage: str) -> None:
        self.stages.append(stage)

    def batches(self, seed: int, start: int) -> Iterator[Tensor]:
        k = start
        while True:
            yield torch.randn(8, 2, generator=torch.Generator().manual_seed(seed + k))
            k += 1

    def step(self, batches: Sequence[Tensor], engine: Engine) -> None:
        engine.update("discriminator", self.discriminator_loss, batches)
        engine.update("generator", self.generator_loss, batches)
        engine.update("polisher", self.polisher_loss, batches)

    def _made(self, real: Tensor) -> Tensor:
        return self.network.generator(torch.randn_like(real))

    def discriminator_loss(self, real: Tensor) -> tuple[Tensor, dict[str, Any]]:
        judge = self.network.discriminator
        true, false = judge(real), judge(self._made(real).detach())
        return F.softplus(-true).mean() + F.softplus(false).mean(), {"true": true.mean()}

    def generator_loss(self, real: Tensor) -> tuple[Tensor, dict[str, Any]]:
        made = self._made(real)
        taught = (made - self.teacher(real)).square().mean()
        return F.softplus(-self.network.discriminator(made)).mean() + 0.1 * taught, {"taught": taught}

    def polisher_loss(self, real: Tensor) -> tuple[Tensor, dict[str, Any]]:
        return (self.network.polisher(self._made(real)) - real).square().mean(), {}

    def validate(self, network: Players) -> dict[str, float]:
        made = network.polisher(network.generator(torch.linspace(-1, 1, 8).reshape(4, 2)))
        return {"loss": float(made.square().mean())}

    def export_config(self) -> Mapping[str, Any]:
        return {}

    def parts(self) -> Mapping[str, Part]:
        return {"generator": Part("generator", {"in": 2}), "polisher": Part("polisher", {})}


def recipe(folder: Path, *overrides: str, stages: bool = False) -> Recipe:
    path = folder / "duel.toml"
    path.write_text(RECIPE + (STAGES if stages else ""))
    return load_recipe(path, overrides)


if __name__ == "__main__":  # trains in a process of its own, to be killed
    from celpaint.train.engine.loop import train

    folder = Path(sys.argv[1])
    r = recipe(folder, *sys.argv[2:], stages=True)
    train(Duel.build(r, torch.device("cpu")), r, folder / "run")
