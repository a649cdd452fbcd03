"""What ``celpaint benchmark validate-lvcd`` can measure."""

from typing import Literal

__all__ = ["LVCDPart"]

LVCDPart = Literal["quality", "steps", "demo"]
