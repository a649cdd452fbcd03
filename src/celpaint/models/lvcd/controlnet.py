"""The sketch-guided ControlNet of LVCD (section 4.1): a second encoder that reads the line art.

Names follow diffusers' ``ControlNetModel``. The line art is encoded by a few convolutions and added after the first
convolution; every output passes a 1 x 1 convolution that starts at zero, so that an untrained ControlNet changes
nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from itertools import pairwise
from typing import Any, cast

import torch.nn.functional as F
from torch import Tensor, nn

from celpaint.models.attention import Routing
from celpaint.models.lvcd.unet import SMALL, UNet, UNetConfig, VideoEncoder

__all__ = ["SMALL_CONTROL", "ControlNet", "ControlNetConfig", "HintEncoder"]


@dataclass(frozen=True, kw_only=True)
class ControlNetConfig(UNetConfig):
    """Sizes of the ControlNet.

    Attributes:
        conditioning_channels: channels of the hint; line art is repeated to as many.
        conditioning_embedding_out_channels: widths of the hint encoder, each after the first at half the size of
            the one before; together they must halve as often as the VAE.
    """

    conditioning_channels: int = 3
    conditioning_embedding_out_channels: tuple[int, ...] = (16, 32, 96, 256)

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "conditioning_embedding_out_channels", tuple(self.conditioning_embedding_out_channels))

    @classmethod
    def from_dict(cls, config: Mapping[str, Any]) -> ControlNetConfig:
        return cls(**{f.name: config[f.name] for f in fields(cls) if f.name in config})

    def to_dict(self) -> dict[str, Any]:
        """JSON values."""
        return {"_class_name": "LVCDControlNet", **asdict(self)}

    @property
    def unet(self) -> UNetConfig:
        """Sizes of the UNet it controls."""
        return UNetConfig(**{f.name: getattr(self, f.name) for f in fields(UNetConfig)})


SMALL_CONTROL = ControlNetConfig(
    **{f.name: getattr(SMALL, f.name) for f in fields(SMALL)},
    conditioning_channels=1,
    conditioning_embedding_out_channels=(8, 24, 48, 96),
)
"""The ControlNet of the sizes the package ships."""


class HintEncoder(nn.Module):
    """Line art -> features at the latents' resolution; the last convolution starts at zero."""

    def __init__(self, inputs: int, widths: tuple[int, ...], outputs: int) -> None:
        super().__init__()
        self.conv_in = nn.Conv2d(inputs, widths[0], 3, padding=1)
        self.blocks = nn.ModuleList()
        for width, wider in pairwise(widths):
            self.blocks.append(nn.Conv2d(width, width, 3, padding=1))
            self.blocks.append(nn.Conv2d(width, wider, 3, padding=1, stride=2))
        self.conv_out = _zero(nn.Conv2d(widths[-1], outputs, 3, padding=1))

    def forward(self, hint: Tensor) -> Tensor:
        """``B C H W`` -> ``B C' h w``."""
        h = F.silu(self.conv_in(hint))
        for conv in self.blocks:
            h = F.silu(conv(h))
        return cast("Tensor", self.conv_out(h))


def _zero(conv: nn.Conv2d) -> nn.Conv2d:
    nn.init.zeros_(conv.weight)
    nn.init.zeros_(cast("Tensor", conv.bias))
    return conv


class ControlNet(VideoEncoder):
    """Reads the line art of a window; its outputs are added to the UNet's skip connections and middle."""

    config: ControlNetConfig

    def __init__(self, config: ControlNetConfig | None = None) -> None:
        config = config or ControlNetConfig()
        super().__init__(config)
        self.controlnet_cond_embedding = HintEncoder(
            config.conditioning_channels, config.conditioning_embedding_out_channels, config.block_out_channels[0]
        )
        self.controlnet_down_blocks = nn.ModuleList(_zero(nn.Conv2d(width, width, 1)) for width in config.skips)
        middle = config.block_out_channels[-1]
        self.controlnet_mid_block = _zero(nn.Conv2d(middle, middle, 1))

    @classmethod
    def from_unet(cls, unet: UNet, **hint: Any) -> ControlNet:
        """The start of training: the UNet's encoder copied, everything new at zero (section 4.1).

        Args:
            unet: whose weights are copied.
            hint: fields of :class:`ControlNetConfig` that the UNet has not.
        """
        own = {f.name: getattr(unet.config, f.name) for f in fields(UNetConfig)}
        net = cls(ControlNetConfig(**own, **hint))
        theirs, ours = unet.state_dict(), net.state_dict()
        net.load_state_dict({key: theirs.get(key, value) for key, value in ours.items()})
        return net

    def hint(self, lines: Tensor) -> Tensor:
        """Line maps ``B T 1 H W``, 1 = ink -> features ``(B T) C h w``; once a window, for any noise."""
        lines = lines.flatten(0, 1).to(self.dtype).expand(-1, self.config.conditioning_channels, -1, -1)
        return cast("Tensor", self.controlnet_cond_embedding(lines))

    def forward(
        self, x: Tensor, noise: Tensor, context: Tensor, micro: Tensor, routing: Routing, hint: Tensor
    ) -> list[Tensor]:
        """One pass; arguments as in :meth:`UNet.forward`, ``hint`` from :meth:`hint`.

        Returns:
            ``(B T) C H W``, one for every skip connection of the UNet and one for its middle.
        """
        h, skips, _, _ = self.encode(x, noise, context, micro, routing, hint=hint)
        out = [conv(skip) for conv, skip in zip(self.controlnet_down_blocks, skips, strict=True)]
        return [*out, self.controlnet_mid_block(h)]
