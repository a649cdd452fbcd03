"""The moving average of trained weights: what is validated and exported."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.distributed.tensor import DTensor, distribute_tensor

__all__ = ["EMA"]


class EMA:
    """Exponential moving average of parameters, in float32.

    The decay rises with the number of updates n as ``(1 + n) / (10 + n)`` up to ``decay``, so that the random start
    is forgotten soon.

    Args:
        parameters: by name; they may be sharded, the average is sharded alike.
        decay: 0 = follow the parameters exactly.
    """

    def __init__(self, parameters: Mapping[str, nn.Parameter], decay: float) -> None:
        self.decay = decay
        self.updates = 0
        self._live = dict(parameters)
        self._mean = {name: p.detach().float().clone() for name, p in parameters.items()}

    @torch.no_grad()
    def update(self) -> None:
        """Take in the parameters as they are now."""
        self.updates += 1
        weight = 1 - min(self.decay, (1 + self.updates) / (10 + self.updates))
        live = [p.detach().float() for p in self._live.values()]
        torch._foreach_lerp_(list(self._mean.values()), live, weight)

    @torch.no_grad()
    def copy_to_parameters(self) -> None:
        """Give the parameters their averages."""
        for name, mean in self._mean.items():
            self._live[name].copy_(mean)

    def state_dict(self) -> dict[str, Tensor]:
        """The average, whole, on the CPU. Every process must call it where parameters are sharded."""
        return {name: _whole(mean).cpu() for name, mean in self._mean.items()}

    @torch.no_grad()
    def load_state_dict(self, tensors: Mapping[str, Tensor], updates: int) -> None:
        """Take over an average saved by :meth:`state_dict` after ``updates`` updates."""
        self.updates = updates
        for name, mean in self._mean.items():
            source = tensors[name].to(mean.device)
            if isinstance(mean, DTensor):
                source = distribute_tensor(source, mean.device_mesh, mean.placements)
            mean.copy_(source)


def _whole(tensor: Tensor) -> Tensor:
    """A sharded tensor gathered; any other as it is."""
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor
