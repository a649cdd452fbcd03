"""celpaint colours a whole animation shot from one painted frame."""

from __future__ import annotations

__version__ = "0.1.0"
