"""Learned perceptual distance (LPIPS, Zhang et al., CVPR 2018, version 0.1) on AlexNet or VGG16."""

from __future__ import annotations

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["LPIPS"]

_ALEX = ((3, 64, 11), (64, 192, 5), (192, 384, 3), (384, 256, 3), (256, 256, 3))
"""In, out, kernel of every convolution; max pooling 3x3 by 2 before the second and third, stride 4 in the first."""

_VGG = (64, 64, 128, 128, 256, 256, 256, 512, 512, 512, 512, 512, 512)
"""Channels of every 3x3 convolution; max pooling 2x2 wherever a stage of :data:`_VGG_STAGES` ends."""

_VGG_STAGES = (2, 4, 7, 10, 13)


class LPIPS(nn.Module):
    """Distance of picture pairs: weighted squared differences of unit-length features of five layers.

    Args:
        net: ``alex`` (what its authors recommend for measuring) or ``vgg``.
    """

    shift: Tensor
    scale: Tensor

    def __init__(self, *, net: str) -> None:
        super().__init__()
        if net == "alex":
            self.convs = nn.ModuleList(
                nn.Conv2d(i, o, k, stride=4 if k == 11 else 1, padding=2 if k == 11 else k // 2) for i, o, k in _ALEX
            )
            widths: tuple[int, ...] = tuple(o for _, o, _ in _ALEX)
        else:
            self.convs = nn.ModuleList(nn.Conv2d(i, o, 3, padding=1) for i, o in pairwise((3, *_VGG)))
            widths = tuple(_VGG[stage - 1] for stage in _VGG_STAGES)
        for weight in self.convs.parameters():  # convolutions on a CPU are a fifth quicker so
            if weight.ndim == 4:
                weight.data = weight.data.contiguous(memory_format=torch.channels_last)
        self.net = net
        self.heads = nn.ParameterList(torch.zeros(width) for width in widths)
        self.register_buffer("shift", torch.tensor([-0.030, -0.088, -0.188])[:, None, None], persistent=False)
        self.register_buffer("scale", torch.tensor([0.458, 0.448, 0.450])[:, None, None], persistent=False)

    def features(self, picture: Tensor) -> list[Tensor]:
        """``B 3 H W`` in [0, 1] -> the five layers the distance is made of, after their ReLU."""
        x = (2 * picture - 1 - self.shift) / self.scale
        layers = []
        for i, conv in enumerate(self.convs, 1):
            x = F.relu(conv(x), inplace=True)
            if self.net == "alex":
                layers.append(x)
                x = F.max_pool2d(x, 3, 2) if i <= 2 else x
            elif i in _VGG_STAGES:
                layers.append(x)
                x = F.max_pool2d(x, 2, 2)
        return layers

    def forward(self, result: Tensor, ground_truth: Tensor) -> Tensor:
        """Two batches ``B 3 H W`` in [0, 1] -> ``B`` distances, 0 = alike."""
        total = result.new_zeros(len(result))
        both = self.features(torch.cat([result, ground_truth]))
        for layer, head in zip(both, self.heads, strict=True):
            unit = layer / (torch.linalg.vector_norm(layer, dim=1, keepdim=True) + 1e-10)
            difference = unit[: len(result)] - unit[len(result) :]
            total = total + torch.einsum("bchw,c->b", difference.square(), head) / difference[0, 0].numel()
        return total
