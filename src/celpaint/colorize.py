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
    """Color a shot and yield its frames, every one, in order, at the source's own size.

    Inputs are checked and networks loaded at once; frames are colored as they are taken.

    Args:
        source: line art: a folder, a pattern such as ``cut05/A_####.png``, a video, a clip, NumPy ``T H W C``, torch
            ``B H W C`` or ``B C H W``, or PIL pictures.
        reference: painted frames, one or a list: paths ``PICTURE`` (of the first frame), ``PICTURE@FRAME`` or
            ``PICTURE@none``; pictures in memory; or pairs ``(picture, frame)``. Frames are called by the numbers in
            their names, frames of a video or an array by their place, the first being 1.
        method: ``auto``, a method's name, its options, or a :class:`~celpaint.session.Colorizer` to color with.
        palette, text, hints: what else is known; see :class:`~celpaint.types.Shot`.
        progress: told of every event.
        options: fields of :class:`~celpaint.options.PathOptions` and of the method's options, by name.

    Raises:
        InputError: a file is missing, broken or does not fit, or the method needs what is not given.
        OptionError: an option has a value it can't have, belongs to another method, or is of no use to the method.
        WeightsError, ResourceError: the networks can't be loaded, or the machine has too little for them.
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
