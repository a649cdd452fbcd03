"""celpaint colors a whole animation shot from one painted frame.

>>> import celpaint
>>> for frame in celpaint.colorize("cut05/", reference="key.png"):  # doctest: +SKIP
...     show(frame.rgb)
"""

from __future__ import annotations

__version__ = "0.1.0"

from celpaint.colorize import colorize
from celpaint.errors import CelpaintError
from celpaint.methods.registry import method_names, method_spec
from celpaint.options import PathOptions
from celpaint.render import Summary, render
from celpaint.session import Colorizer
from celpaint.threads import wait_passively
from celpaint.types import Clip, Event, Frame, Progress

__all__ = [
    "CelpaintError",
    "Colorizer",
    "Event",
    "Frame",
    "PathOptions",
    "Progress",
    "Summary",
    "__version__",
    "colorize",
    "method_names",
    "method_spec",
    "open_clip",
    "render",
]


wait_passively()  # before anything loads torch; nothing above does


def open_clip(source: object) -> Clip:
    """Frames of a path, an array, a tensor or PIL pictures: see :func:`celpaint.frames.arrays.as_clip`."""
    from celpaint.frames.arrays import as_clip

    return as_clip(source)
