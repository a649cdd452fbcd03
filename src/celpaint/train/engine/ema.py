"""The moving average of the trained weights: what is validated and exported."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

__all__ = ["EMA"]


class EMA:
    """Exponential moving average of a network's trainable parameters, in float32.

    The decay rises with the number of updates n as ``(1 + n) / (10 + n)`` up to ``decay``, so that the random start
    is forgotten soon.

    Args:
        network: parameters may be sharded; the average is sharded alike.
        decay: 0 = follow the parameters exactly.
    """

    def __init__(self, network: nn.Module, decay: float) -> None:
        self.decay = decay
        self.updates = 0
        self._live = {n: p for n, p in network.named_parameters() if p.requires_grad}
        self._mean = {n: p.detach().float().clone() for n, p in self._live.items()}

    @torch.no_grad()
    def update(self) -> None:
        """Take in the parameters as they are now."""
        self.updates += 1
        weight = 1 - min(self.decay, (1 + self.updates) / (10 + self.updates))
        for name, mean in self._mean.items():
            mean.lerp_(self._live[name].detach().float(), weight)

    def state_dict(self) -> dict[str, Tensor]:
        """The average, whole, on the CPU. Every process must call it where parameters are sharded."""
        return {n: _whole(m).cpu() for n, m in self._mean.items()}

    @torch.no_grad()
    def load_state_dict(self, tensors: Mapping[str, Tensor], updates: int) -> None:
        """Take over an average saved by :meth:`state_dict` after ``updates`` updates."""
        self.updates = updates
        for name, mean in self._mean.items():
            source = tensors[name].to(mean.device)
            if hasattr(mean, "device_mesh"):
                from torch.distributed.tensor import DTensor, distribute_tensor

                assert isinstance(mean, DTensor)
                mean.copy_(distribute_tensor(source, mean.device_mesh, mean.placements))
            else:
                mean.copy_(source)


def _whole(tensor: Tensor) -> Tensor:
    """A sharded tensor gathered; any other as it is."""
    full = getattr(tensor, "full_tensor", None)
    return full() if full is not None else tensor
