"""The weights of the parity numbers, made again from their names and shapes."""

from __future__ import annotations

import zlib
from math import prod
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

HERE = Path(__file__).parent


def weights(prefix: str, seed: int = 0) -> dict[str, Tensor]:
    """All official tensors whose name begins with ``prefix``, which is taken off; float32 with values of float16."""
    made = {}
    for line in (HERE / "names.txt").read_text().splitlines():
        name, *sides = line.split()
        if name.startswith(prefix):
            made[name.removeprefix(prefix)] = weight(name, tuple(map(int, sides)), seed)
    return made


def weight(name: str, shape: tuple[int, ...], seed: int = 0) -> Tensor:
    """Uniform values of a variance that keeps activations in range, drawn from the name."""
    random = np.random.RandomState((zlib.crc32(name.encode()) + 1000003 * seed) % 2**32)
    u = (2 * random.random_sample(prod(shape)) - 1) * np.sqrt(3)
    last = name.rpartition(".")[2]
    if last in ("mix_factor", "embedding"):
        value = u
    elif len(shape) == 1:
        value = 1 + 0.1 * u if last == "weight" else 0.05 * u
    else:
        value = u / np.sqrt(prod(shape[1:]))
    return torch.from_numpy(value.reshape(shape).astype(np.float16).astype(np.float32))
