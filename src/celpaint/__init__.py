"""celpaint colors a whole animation shot from one painted frame.

>>> import celpaint
>>> for frame in celpaint.colorize("cut05/", reference="key.png"):  # doctest: +SKIP
...     show(frame.rgb)
"""

from __future__ import annotations

__version__ = "0.1.0"

from celpaint.colorize import Summary, colorize, render
from celpaint.errors import CelpaintError
from celpaint.methods.registry import method_names, method_spec
from celpaint.options import PathOptions
from celpaint.types import Event, Frame, Progress

__all__ = [
    "CelpaintError",
    "Event",
    "Frame",
    "PathOptions",
    "Progress",
    "Summary",
    "__version__",
    "colorize",
    "method_names",
    "method_spec",
    "render",
]
