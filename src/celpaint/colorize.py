"""``colorize``: one shot, in one call."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from celpaint.errors import OptionError
from celpaint.methods.registry import check_conditions, choose_method, given_conditions, spec_of
from celpaint.options import ComputeOptions, PathOptions, flag
from celpaint.session import Colorizer, split_options
from celpaint.types import ColorHint, Frame, Progress, silent

__all__ = ["colorize"]


def colorize(
    source: Any,
    /,
    *,
    reference: Any = (),
    method: str | ComputeOptions | Colorizer = "auto",
    palette: Any = None,
    text: str = "",
    hints: Sequence[ColorHint] = (),
    progress: Progress = silent,
    **options: Any,
) -> Iterator[Frame]:
    """Color a shot and yield all of its frames, in order, at the size of the source.

    Inputs are checked and networks are loaded at once; frames are colored as they are requested.

    Args:
        source: line art: a folder, a pattern such as ``cut05/A_####.png``, a video, a clip, NumPy ``T H W C``, torch
            ``B H W C`` or ``B C H W``, or PIL pictures.
        reference: painted frames, one or a list: paths ``PICTURE`` (of the first frame), ``PICTURE@FRAME`` or
            ``PICTURE@none``; pictures in memory; or pairs ``(picture, frame)``. A frame is the number in its
            file name; frames of a video or an array are counted from 1.
        method: ``auto``, a method's name, its options, or a :class:`~celpaint.session.Colorizer` to color with.
        palette, text, hints: further conditions; see :class:`~celpaint.types.Shot`.
        progress: called with every event.
        options: fields of :class:`~celpaint.options.PathOptions` and of the method's options, by name.

    Raises:
        InputError: a file is missing, broken or does not fit, or something that the method requires is missing.
        OptionError: an option has a value that is not allowed, belongs to another method, or is not used by the method.
        WeightsError, ResourceError: the networks can't be loaded, or the machine lacks memory or a device.
    """
    from celpaint.shot import open_shot

    path, own = split_options(options)
    if isinstance(method, Colorizer):
        if own:
            raise OptionError(f"{flag(next(iter(own)))} can't be given with a loaded session", wanted="no options")
    else:
        given = given_conditions(reference=reference, palette=palette, text=text, hints=hints)
        method = choose_method(method, own, given)
        check_conditions(spec_of(method), given)
    checked = PathOptions.of(path)
    context = open_shot(source, reference, checked, palette=palette, text=text, hints=hints, progress=progress)
    colorizer = method if isinstance(method, Colorizer) else Colorizer(method)
    return colorizer.colorize(context, progress=progress)
