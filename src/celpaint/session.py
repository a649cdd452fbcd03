"""A session: networks loaded once, many shots colored.

>>> colorizer = celpaint.Colorizer(method="matcher")                # doctest: +SKIP
>>> for frame in colorizer.colorize("cut05/", reference="key.png"): # doctest: +SKIP
...     show(frame.rgb)

Everything that colors goes through it: :meth:`Colorizer.chunks` is the one loop over a method's chunks.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import fields, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np

from celpaint.errors import Cancelled, DiskFull, OptionError, OutOfMemory, ReferenceFrameError
from celpaint.frames.cache import Spill
from celpaint.methods.base import Method
from celpaint.methods.registry import check_conditions, choose_method, load_method, spec_of
from celpaint.methods.spec import DEFAULT_REQUIRES
from celpaint.options import ComputeOptions, PathOptions
from celpaint.threads import use_threads
from celpaint.types import (
    Chunk,
    ColorHint,
    ColorizedFrame,
    Condition,
    DrawingColored,
    Event,
    Frame,
    Judgement,
    Progress,
    Shot,
    State,
    silent,
)

if TYPE_CHECKING:
    from celpaint.shot import ShotContext

__all__ = ["Colorizer", "split_options"]

_BLANK = 4
"""Drawings a chunk in a scene that stays uncolored."""


class Colorizer:
    """Colors shots with networks that are loaded once, when it is created.

    Args:
        method: ``auto``, a method's name, its options, or a method already loaded.
        options: fields of the method's options, by name: ``weights``, ``device``, ``size`` ...

    Attributes:
        name: the method's name.
        options: of the method; None for a loaded method.
        method: the loaded method.

    Raises:
        OptionError: an option has a value that is not allowed, or belongs to another method.
        WeightsError, ResourceError: the networks can't be loaded, or the machine lacks memory or a device.
    """

    def __init__(self, method: str | ComputeOptions | Method = "auto", **options: Any) -> None:
        self._cancelled = threading.Event()
        self.options: ComputeOptions | None = None
        self.name = "own"
        self._save_memory = "Color smaller frames."
        self._requires: frozenset[Condition] = DEFAULT_REQUIRES
        if isinstance(method, Method):
            if options:
                raise OptionError("options can't be given with a loaded method", wanted="none")
            self.method = method
            return
        self.options = choose_method(method, options)
        spec = spec_of(self.options)
        self.name, self._save_memory, self._requires = spec.name, spec.save_memory, spec.requires
        with self._enough_memory():
            self.method = load_method(self.options)
        use_threads(self.options.threads)

    def colorize(
        self,
        source: Any,
        /,
        *,
        reference: Any = (),
        palette: Any = None,
        text: str = "",
        hints: Sequence[ColorHint] = (),
        progress: Progress = silent,
        **options: Any,
    ) -> Iterator[Frame]:
        """Color a shot and yield all of its frames, in order, at the size of the source.

        Inputs are checked at once; frames are colored as they are requested. Frames that are finished
        early wait in memory and, beyond a limit, on disk.

        Args:
            source: a path, a clip, NumPy ``T H W C``, torch ``B H W C`` or ``B C H W``, PIL pictures, or a
                :class:`~celpaint.shot.ShotContext`, which already has all of the following except ``progress``.
            reference: painted frames: paths ``PICTURE[@FRAME]``, pictures, or pairs ``(picture, frame)``; any number.
            palette: colors to paint with: see :func:`~celpaint.shot.palette_colors`.
            text: a description or tags.
            hints: colors at points or regions.
            progress: called with every event.
            options: fields of :class:`~celpaint.options.PathOptions`, by name.

        Raises:
            InputError: a file is missing, broken or does not fit, or something that the method requires is missing.
            OptionError: an option has a value that is not allowed.
            Cancelled: :meth:`cancel` was called.
        """
        from celpaint.shot import ShotContext, open_shot

        if isinstance(source, ShotContext):
            context = source
        else:
            path = PathOptions.of(options)
            context = open_shot(source, reference, path, palette=palette, text=text, hints=hints, progress=progress)
        self.check(context.shot)
        return self._frames(context, progress)

    def check(self, shot: Shot) -> None:
        """Check that a shot has what the method requires, and nothing that it does not use.

        Raises:
            InputError: something is missing.
            OptionError: the method does not use something that was given.
        """
        if self.options is not None:
            check_conditions(spec_of(self.options), shot.given, opened=True)
        elif "references" in self._requires and not shot.references:
            raise ReferenceFrameError("no painted frame was given", wanted="at least one")

    def cancel(self) -> None:
        """Stop the shot that is being colored, from any thread or from its progress callback, before the next network
        call. Its iterator raises :class:`~celpaint.errors.Cancelled`; the session can be used again.
        """
        self._cancelled.set()

    def chunks(
        self, shot: Shot, *, done: Mapping[int, Chunk] = MappingProxyType({}), progress: Progress = silent
    ) -> Iterator[Chunk]:
        """Color a shot scene by scene, so that nothing reaches across a cut.

        A scene that lacks what the method requires is returned white, with confidence 0.

        Args:
            shot: with its cuts.
            done: what an earlier run did of each scene, by the scene's first drawing: all drawings that it colored,
                without the pictures, and the state of its last chunk.
            progress: called with every event; drawings are counted over all scenes.

        Raises:
            OutOfMemory: the machine has too little memory.
            Cancelled: :meth:`cancel` was called.
        """
        self._cancelled.clear()
        before = 0
        for scene in shot.scenes:
            earlier = done.get(scene.start, Chunk((), ()))
            skip = len(earlier.drawings)
            if skip < len(scene):
                part = shot.part(scene) if shot.cuts else shot
                tell = self._telling(progress, before, len(shot))
                with self._enough_memory(shot.size):
                    colored = skip
                    for chunk in self._scene(part, skip, earlier.state or None, tell):
                        colored += len(chunk.drawings)
                        # after a scene's last drawing nothing goes on
                        after = chunk.state if colored < len(scene) else {}
                        yield replace(chunk, drawings=tuple(scene[drawing] for drawing in chunk.drawings), state=after)
                        self._stop_if_cancelled()
            before += len(scene)

    def drawings(self, shot: Shot, *, progress: Progress = silent) -> Iterator[tuple[int, ColorizedFrame]]:
        """Yield each drawing of a shot with its index when it is finished, in any order; errors: see :meth:`chunks`."""
        for chunk in self.chunks(shot, progress=progress):
            yield from zip(chunk.drawings, chunk.painted, strict=True)

    def advise(self, shot: Shot, judged: Sequence[Judgement]) -> list[int]:
        """The drawings worth painting next, best first: of scenes without a painted frame the first one, then what the
        method says of each other scene."""
        bare: list[int] = []
        wanted: list[int] = []
        for scene in shot.scenes:
            part = shot.part(scene)
            if not self._can_color(part):
                bare.append(scene.start)
                continue
            painted = {reference.frame for reference in part.references}
            advised = self.method.advise(part, [judged[drawing] for drawing in scene])
            wanted += [scene[drawing] for drawing in advised if drawing not in painted]
        return [*bare, *wanted]

    def _can_color(self, part: Shot) -> bool:
        return bool(part.references) or "references" not in self._requires

    def _scene(self, part: Shot, done: int, state: State | None, progress: Progress) -> Iterator[Chunk]:
        if self._can_color(part):
            yield from self.method.color(part, done=done, state=state, progress=progress)
            return
        for begin in range(done, len(part), _BLANK):
            drawings = tuple(range(begin, min(begin + _BLANK, len(part))))
            blank = ColorizedFrame(np.ones((*part.size, 3), np.float32), np.zeros(part.size, np.float32))
            yield Chunk(drawings, (blank,) * len(drawings))
            progress(DrawingColored(drawings[-1] + 1, len(part)))

    def _frames(self, context: ShotContext, progress: Progress) -> Iterator[Frame]:
        waiting = Spill(disk=2**62, reserve=0)
        ready: set[int] = set()
        turn = 0
        for drawing, painted in self.drawings(context.shot, progress=progress):
            finished = context.finish(drawing, painted)
            waiting.put(drawing, (finished.rgb, finished.alpha))
            ready.add(drawing)
            while turn in ready:
                yield from [_frame(waiting, turn)] * len(context.spans[turn])
                waiting.drop(turn)
                turn += 1

    def _telling(self, progress: Progress, before: int, total: int) -> Progress:
        """The progress, counting drawings over all scenes, and stopping a run that was cancelled."""

        def tell(event: Event, /) -> None:
            self._stop_if_cancelled()
            progress(DrawingColored(before + event.index, total) if isinstance(event, DrawingColored) else event)
            self._stop_if_cancelled()

        return tell

    def _stop_if_cancelled(self) -> None:
        if self._cancelled.is_set():
            raise Cancelled("the shot was canceled")

    @contextmanager
    def _enough_memory(self, size: tuple[int, int] | None = None) -> Iterator[None]:
        """A machine without enough memory gets a sentence that says what to lower."""
        try:
            yield
        except (MemoryError, RuntimeError) as error:
            text = str(error).lower()
            if not isinstance(error, MemoryError) and "out of memory" not in text and "allocate memory" not in text:
                raise
            what = "load the networks" if size is None else f"color frames of {size[1]} x {size[0]} pixels"
            raise OutOfMemory(f"not enough memory to {what} with these settings", todo=self._save_memory) from error


def _frame(waiting: Spill, drawing: int) -> Frame:
    kept = waiting.get(drawing)
    if kept is None or kept[0] is None:
        raise DiskFull(
            "the disk has no room for frames that are waiting to be written",
            todo="Make room in the folder for temporary files.",
        )
    return Frame(kept[0], kept[1])


def split_options(options: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Options by name -> those of :class:`~celpaint.options.PathOptions` and those of the method."""
    of_path = {field.name for field in fields(PathOptions)}
    return (
        {name: value for name, value in options.items() if name in of_path},
        {name: value for name, value in options.items() if name not in of_path},
    )
