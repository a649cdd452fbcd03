"""Layers of the networks of Shi et al. 2023: normalization, upsampling, gated temporal shift, spectral norm.

Source: Shi et al., "Reference-Based Deep Line Art Video Colorization", IEEE TVCG 29(6), 2023. AdaIN: Huang and
Belongie, ICCV 2017. Learnable gated temporal shift: Chang et al., BMVC 2019. Spectral norm: Miyato et al., ICLR 2018.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

__all__ = [
    "GatedShiftConv",
    "NormConv",
    "Residual",
    "TemporalShift",
    "UpsampleConv",
    "add_spectral_norm",
    "instance_norm",
    "join_channels",
    "pad_to_multiple",
    "plain_tensors",
    "signed",
    "unsigned",
]

Padding = Literal["zeros", "replicate"]

_EPS = 1e-5
_ORIGINAL, _LEFT, _RIGHT = (f".parametrizations.weight.{name}" for name in ("original", "0._u", "0._v"))


def signed(x: Tensor) -> Tensor:
    """[0, 1] -> [-1, 1]."""
    return 2 * x - 1


def unsigned(x: Tensor) -> Tensor:
    """[-1, 1] -> [0, 1]."""
    return 0.5 * (x + 1)


def pad_to_multiple(x: Tensor, multiple: int) -> Tensor:
    """``N C H W`` with the right and bottom border repeated until ``multiple`` divides both sides."""
    right, bottom = -x.shape[-1] % multiple, -x.shape[-2] % multiple
    return F.pad(x, (0, right, 0, bottom), mode="replicate") if right or bottom else x


# -- normalization ----------------------------------------------------------------------------------------------------


def instance_norm(x: Tensor, affine: Tensor | None = None) -> Tensor:
    """Instance normalization, adaptive (AdaIN) where ``affine`` is given: ``gamma * (x - mean) / std + beta``.

    The statistics are computed in float32. Two passes over ``x`` are as accurate as ``torch.var_mean`` and on a CPU
    several times as fast.

    Args:
        x: ``N C H W``.
        affine: ``N 2 C``, beta and gamma; None for 0 and 1.
    """
    centered = x.float()
    centered = centered - centered.mean((2, 3), keepdim=True)
    scale = (centered.square().mean((2, 3), keepdim=True) + _EPS).rsqrt()
    if affine is None:
        return (centered * scale).to(x.dtype)
    beta, gamma = affine.float()[..., None, None].unbind(1)
    return torch.addcmul(beta, centered, gamma * scale).to(x.dtype)


class NormConv(nn.Module):
    """Convolution, instance norm, ReLU.

    Args:
        conv: without bias, which the norm would remove.
    """

    def __init__(self, conv: nn.Conv2d) -> None:
        super().__init__()
        self.conv = conv

    def forward(self, x: Tensor) -> Tensor:
        """``N C H W`` -> ``N C' H' W'``."""
        return F.relu(instance_norm(self.conv(x)))


class Residual(nn.Module):
    """x + norm(conv(relu(norm(conv(x))))), 3 x 3 convolutions; with AdaIN the middle block of section 3.5."""

    def __init__(self, channels: int, *, dilation: int = 1) -> None:
        super().__init__()
        self.first, self.second = (
            nn.Conv2d(channels, channels, 3, padding=dilation, dilation=dilation, padding_mode="replicate", bias=False)
            for _ in range(2)
        )

    def forward(self, x: Tensor, affine: Tensor | None = None) -> Tensor:
        """``N C H W``, and for AdaIN ``N 2 2 C``: beta and gamma of the first norm, then of the second."""
        first, second = (None, None) if affine is None else affine.unbind(1)
        hidden = F.relu(instance_norm(self.first(x), first))
        return x + instance_norm(self.second(hidden), second)


# -- upsampling -------------------------------------------------------------------------------------------------------


class UpsampleConv(nn.Conv2d):
    """Nearest-neighbor upsampling by 2, then a convolution of odd kernel size k: both in one, exactly.

    In an upsampled picture a kernel sees every small pixel several times. Adding up the weights that fall on the same
    pixel gives one smaller kernel for each of the four output phases: for k = 5 four of 3 x 3, which is 36
    multiplications a small pixel instead of 100.

    Args:
        padding_mode: ``zeros`` or ``replicate``, of the upsampled picture.
    """

    phases: Tensor

    def __init__(self, inputs: int, outputs: int, kernel: int, *, padding_mode: Padding, bias: bool = True) -> None:
        super().__init__(inputs, outputs, kernel, padding_mode=padding_mode, bias=bias)
        self.crop = kernel // 2 % 2
        """Pixels that the phase kernels compute too many at every side."""
        self.register_buffer("phases", _phases(kernel), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """``N C h w`` -> ``N C' 2h 2w``."""
        phases = self.phases.to(self.weight.dtype)
        weight = torch.einsum("auk,bvl,oikl->oabiuv", phases, phases, self.weight).flatten(0, 2)
        bias = None if self.bias is None else self.bias.repeat_interleave(4)
        border = phases.shape[1] // 2
        if self.padding_mode == "replicate":
            x, border = F.pad(x, (border,) * 4, mode="replicate"), 0
        out = F.pixel_shuffle(F.conv2d(x, weight, bias, padding=border), 2)
        return out[..., self.crop : out.shape[-2] - self.crop, self.crop : out.shape[-1] - self.crop]


def _phases(kernel: int) -> Tensor:
    """Which small pixel each weight of a kernel falls on: 0 and 1, ``2 (k+1)//2 k`` by phase, pixel and weight.

    Weight j of phase a (0 or 1) meets the upsampled pixel 2i + a + j - reach, which shows the small pixel half of that.
    Where ``reach`` is odd, the window of phase 1 starts one small pixel later than that of phase 0: then phase 1 comes
    first, as the second pixel of the window before.
    """
    reach = kernel // 2
    phases = torch.zeros(2, (kernel + 1) // 2, kernel)
    for slot in range(2):
        phase = slot ^ (reach % 2)
        for j in range(kernel):
            phases[slot, (phase + j - reach) // 2 - (phase - reach) // 2, j] = 1
    return phases


def join_channels(first: Tensor, second: Tensor) -> Tensor:
    """``B T C H W`` and ``B T C' H W`` -> ``B T C+C' H W``, keeping channels last in memory where they are."""
    frames: Tensor = torch.cat([first.flatten(0, 1), second.flatten(0, 1)], 1).unflatten(0, first.shape[:2])
    return frames


# -- temporal shift ---------------------------------------------------------------------------------------------------


class TemporalShift(nn.Module):
    """Learnable temporal shift: two groups of a quarter of the channels each pass a filter over time.

    The filters have three taps (previous, this, next frame), shared by all channels and positions of their group, and
    start as shifts: the first group shows the next frame, the second the previous one. Before the first and after the
    last frame there are zeros.

    Args:
        channels: of the input; the first two quarters are filtered.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.group = channels // 4
        self.taps = nn.Parameter(torch.tensor([[0.0, 0.0, 1.0], [1.0, 0.0, 0.0]]))

    def forward(self, x: Tensor) -> Tensor:
        """``B T C H W`` -> ``B T C H W``; ``x`` itself is left as it is."""
        moving, rest = x[:, :, : 2 * self.group], x[:, :, 2 * self.group :]
        previous, this, following = self.taps.to(x.dtype).repeat_interleave(self.group, 0)[..., None, None].unbind(1)
        out = this * moving
        out[:, 1:].addcmul_(previous, moving[:, :-1])
        out[:, :-1].addcmul_(following, moving[:, 1:])
        return join_channels(out, rest)


class GatedShiftConv(nn.Module):
    """Learnable gated temporal shift: ``activation(feature(shift(x))) * sigmoid(gate(x))``.

    With the shift, two-dimensional convolutions stand for the three-dimensional ones of the paper (section 3.2).

    Args:
        feature: the convolution whose outputs pass.
        gate: one of the same shape, which weights them and sees the frames unshifted.
        shift: ``nn.Identity`` for none.
        activation: ``nn.Identity`` for none.
    """

    def __init__(self, feature: nn.Conv2d, gate: nn.Conv2d, *, shift: nn.Module, activation: nn.Module) -> None:
        super().__init__()
        self.feature, self.gate, self.shift, self.activation = feature, gate, shift, activation

    def forward(self, x: Tensor) -> Tensor:
        """``B T C H W`` -> ``B T C' H' W'``."""
        feature = self.activation(self.feature(self.shift(x).flatten(0, 1)))
        gated: Tensor = (feature * self.gate(x.flatten(0, 1)).sigmoid()).unflatten(0, x.shape[:2])
        return gated


# -- spectral norm ----------------------------------------------------------------------------------------------------


def add_spectral_norm(modules: Iterable[nn.Module]) -> None:
    """Divide the weight of every convolution in ``modules`` by its largest singular value, from now on."""
    for module in modules:
        convs = [layer for layer in module.modules() if isinstance(layer, nn.Conv2d)]
        for conv in convs:
            spectral_norm(conv)


def plain_tensors(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The state dict of the same network without spectral norm, whose weights are those that it computed with.

    Args:
        tensors: a state dict; tensors without spectral norm are returned as they are.
    """
    plain = {}
    for name, tensor in tensors.items():
        if name.endswith(_ORIGINAL):
            stem = name.removesuffix(_ORIGINAL)
            left, right = tensors[stem + _LEFT], tensors[stem + _RIGHT]
            plain[f"{stem}.weight"] = tensor / torch.vdot(left, tensor.flatten(1) @ right)
        elif not name.endswith((_LEFT, _RIGHT)):
            plain[name] = tensor
    return plain
