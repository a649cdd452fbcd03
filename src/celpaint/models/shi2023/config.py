"""Sizes of the two networks of Shi et al. 2023: the paper's, and small ones for a CPU."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Literal, Self

from celpaint.errors import OptionError

__all__ = ["RefinementConfig", "TransformConfig"]


def _need(valid: bool, name: str, seen: object, wanted: str) -> None:
    if not valid:
        raise OptionError(f"{name} is {seen!r}", wanted=wanted)


class _Config:
    """Lists, as JSON has them, become tuples."""

    def __post_init__(self) -> None:
        for field in fields(self):  # type: ignore[arg-type]
            value = getattr(self, field.name)
            if isinstance(value, list):
                object.__setattr__(self, field.name, tuple(value))


@dataclass(frozen=True, kw_only=True)
class TransformConfig(_Config):
    """Sizes of the color transform network; the defaults are the paper's where it states them.

    All values are JSON values: a configuration is ``config.json`` beside the weights.

    Raises:
        OptionError: a value is out of range.
    """

    widths: tuple[int, ...] = (64, 128, 256)
    """Channels at full, half and quarter size, of the encoders and, in reverse, the decoder."""
    context: tuple[int, ...] = ()
    """Dilations of residual blocks at the end of the distance-field encoder, which let a position see more of the
    drawing before it is matched. The paper has none: there a position sees 16 x 16 pixels."""
    key: int = 32
    """Channels that positions are matched by (C/8 in the paper)."""
    value: int = 32
    """Channels of color that matching transfers."""
    scale: float = 1.0
    """Factor of the similarities before the softmax."""
    embedder: tuple[int, ...] = (64, 128, 256, 256, 256)
    """Channels of the embedder's convolutions; the last is the length of the style vector."""
    blocks: int = 8
    """Residual blocks with AdaIN."""
    entry_kernel: int = 7
    """Kernel size of the first convolution of encoders and embedder."""
    upsample_kernel: int = 5
    """Kernel size of the decoder's convolutions after upsampling."""
    exit_kernel: int = 7
    """Kernel size of the decoder's last convolution."""
    reach: float = 64.0
    """Pixels from the nearest line at which the distance field saturates."""

    def __post_init__(self) -> None:
        super().__post_init__()
        _need(len(self.widths) == 3 and min(self.widths) >= 1, "widths", self.widths, "three numbers, 1 or more each")
        _need(all(d >= 1 for d in self.context), "context", self.context, "dilations, 1 or more each")
        _need(self.key >= 1, "key", self.key, "1 or more")
        _need(self.value >= 1, "value", self.value, "1 or more")
        _need(self.scale > 0, "scale", self.scale, "more than 0")
        _need(len(self.embedder) >= 1 and min(self.embedder) >= 1, "embedder", self.embedder, "numbers, 1 or more each")
        _need(len(self.embedder) <= 5, "embedder", self.embedder, "at most five numbers")
        _need(self.blocks >= 1, "blocks", self.blocks, "1 or more")
        for name in ("entry_kernel", "upsample_kernel", "exit_kernel"):
            size = getattr(self, name)
            _need(size >= 1 and size % 2 == 1, name, size, "an odd number, 1 or more")
        _need(self.reach > 0, "reach", self.reach, "more than 0")

    @classmethod
    def small(cls) -> Self:
        """Narrow layers for a CPU, and a distance-field encoder that sees 240 x 240 pixels.

        The scale keeps the wider encoder's similarities at first about as large as the paper's encoder has them.
        """
        return cls(
            widths=(16, 48, 80),
            context=(2, 4, 8),
            value=31,
            scale=0.2,
            embedder=(32, 64, 128, 256, 256),
            exit_kernel=3,
        )


@dataclass(frozen=True, kw_only=True)
class RefinementConfig(_Config):
    """Sizes of the temporal refinement network; the defaults are for the paper's layers.

    All values are JSON values.

    Raises:
        OptionError: a value is out of range.
    """

    widths: tuple[int, ...] = (64, 128, 256)
    """Channels at half, quarter and eighth size."""
    dilations: tuple[int, ...] = (2, 4, 8, 16)
    """Of the layers at eighth size."""
    output: Literal["color", "correction"] = "color"
    """Whether the network paints the frames anew, as in the paper, or adds a correction to them."""

    def __post_init__(self) -> None:
        super().__post_init__()
        _need(len(self.widths) == 3 and min(self.widths) >= 4, "widths", self.widths, "three numbers, 4 or more each")
        _need(all(d >= 1 for d in self.dilations), "dilations", self.dilations, "1 or more each")
        _need(self.output in ("color", "correction"), "output", self.output, "color or correction")

    @classmethod
    def small(cls) -> Self:
        """Narrow layers for a CPU, which correct the frames rather than paint them anew."""
        return cls(widths=(16, 32, 64), output="correction")
