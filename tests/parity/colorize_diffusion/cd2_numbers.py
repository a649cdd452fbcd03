"""Weights and numbers of the official ColorizeDiffusion v2 at toy size.

The weights follow from names and shapes. The numbers were computed with the official program, in float32 on a CPU. Of
large tensors every third value is stored, in the order of memory, under ``name@3``.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from math import prod
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor

HERE = Path(__file__).parent
STRIDE = 3


def official_weights() -> dict[str, Tensor]:
    """All tensors of the toy checkpoint and of its image tower under their official names."""
    rows = (line.split() for line in (HERE / "names.txt").read_text().splitlines())
    return {name: weight(name, tuple(map(int, sides))) for name, *sides in rows}


def weight(name: str, shape: tuple[int, ...]) -> Tensor:
    """Uniform values that keep activations in range, drawn from the name; float32 with values of float16."""
    random = np.random.RandomState(zlib.crc32(name.encode()) % 2**32)
    u = (2 * random.random_sample(prod(shape)) - 1) * np.sqrt(3)
    if len(shape) == 1:
        value = 1 + 0.1 * u if name.endswith(".weight") else 0.05 * u
    else:
        value = u * (1.5 if name.startswith("control_encoder.") else 1.0) / np.sqrt(prod(shape[1:]))
    return torch.from_numpy(value.reshape(shape).astype(np.float16).astype(np.float32))


class Numbers:
    """Expected tensors of one file."""

    def __init__(self, name: str) -> None:
        self.stored = load_file(HERE / f"{name}.safetensors")

    def __getitem__(self, name: str) -> Tensor:
        return self.stored[name]

    def __contains__(self, name: str) -> bool:
        return name in self.stored or f"{name}@{STRIDE}" in self.stored

    def names(self, prefix: str = "") -> set[str]:
        """Names of all tensors that begin so."""
        return {name.removesuffix(f"@{STRIDE}") for name in self.stored if name.startswith(prefix)}

    def check(self, name: str, seen: Tensor, *, atol: float | None = None, of_std: float | None = None) -> None:
        """``seen`` is the tensor of that name, up to an absolute error or one relative to its standard deviation."""
        wanted = self.stored.get(name)
        if wanted is None:
            wanted, seen = self.stored[f"{name}@{STRIDE}"], seen.flatten()[::STRIDE]
        if of_std is not None:
            atol = of_std * float(wanted.std())
        assert seen.shape == wanted.shape
        torch.testing.assert_close(seen.float(), wanted.float(), atol=atol, rtol=0, msg=lambda text: f"{name}: {text}")


def as_rgb(picture: Tensor) -> Tensor:
    """``H W 3`` uint8 -> ``1 3 H W`` in [-1, 1]."""
    return picture.permute(2, 0, 1)[None].float() / 127.5 - 1


def as_mask(mask: Tensor) -> Tensor:
    """``H W`` uint8 -> ``1 1 H W`` in [0, 1]."""
    return mask[None, None].float() / 255


def posterior_noise(inputs: Mapping[str, Tensor], picture: str, shape: tuple[int, ...]) -> Tensor:
    """The noise that the official run sampled the autoencoder's posterior with."""
    noise = inputs["eps_ref" if picture == "reference" else "eps_bg"]
    assert noise.shape == shape
    return noise
