"""``render``: a shot colored into files; a stopped run goes on where it stopped."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from celpaint.errors import OptionError, WeightsError
from celpaint.methods.registry import (
    check_conditions,
    choose_method,
    given_conditions,
    method_name,
    spec_of,
    weight_files,
)
from celpaint.options import ComputeOptions, PathOptions, flag, refuse
from celpaint.session import Colorizer, split_options
from celpaint.threads import default_threads
from celpaint.types import Array, ColorHint, Progress, silent

if TYPE_CHECKING:
    from celpaint.job import Job
    from celpaint.result import Result
    from celpaint.shot import ShotContext

__all__ = ["Summary", "render"]

log = logging.getLogger("celpaint")


@dataclass(frozen=True)
class Summary:
    """What a run of :func:`render` came to.

    Attributes:
        out: the result.
        frames: frames written; ``drawings`` of them colored, the others being held.
        method: the method's name.
        seconds: wall-clock time of this run, loading included.
        resumed: frames that an earlier, stopped run had colored already.
        confidence: mean over all drawings, in [0, 1]; None where the method can't tell.
        paint_next: the frames worth painting next as further references, best first.
        unpainted: first and last frame of every scene that has no painted frame and stayed uncolored.
        confidence_maps: where the confidence maps lie.
    """

    out: Path
    frames: int
    drawings: int
    method: str
    seconds: float
    resumed: int = 0
    confidence: float | None = None
    paint_next: tuple[str, ...] = ()
    unpainted: tuple[tuple[str, str], ...] = ()
    confidence_maps: Path | None = None


def render(
    source: str | Path,
    /,
    out: str | Path,
    *,
    reference: Any = (),
    method: str | ComputeOptions | Colorizer = "auto",
    palette: Any = None,
    text: str = "",
    hints: Sequence[ColorHint] = (),
    overwrite: bool = False,
    fps: Fraction | int | None = None,
    image_format: Literal["png", "tif", "tga"] | None = None,
    confidence_maps: str | Path | None = None,
    progress: Progress = silent,
    **options: Any,
) -> Summary:
    """Color a shot and write it; a stopped run goes on where it stopped when the same call is made again.

    Frames are staged beside ``out`` as they are colored and put in their place when all are there. However often the
    run was stopped, on the same machine the result has the same bytes.

    Args:
        source, reference, method, palette, text, hints, progress, options: as in :func:`~celpaint.colorize.colorize`;
            ``source`` is a path.
        out: a folder, or a file whose suffix says which kind: see :func:`celpaint.frames.write.open_sink`.
        overwrite: replace an existing result.
        fps: frames a second of a video; default: the source's own, or 24.
        image_format: kind of pictures in a folder; default: the source's own where it can be written, else PNG.
        confidence_maps: a folder for gray pictures of how sure the method was, white where sure.

    Raises:
        OutputError: ``out`` is the source, exists already, can't be written, or is being written by another run.
        DiskFull: no room; what is colored is kept for the next run.
        CelpaintError: as in :func:`~celpaint.colorize.colorize`.
    """
    from celpaint.conditions.reference_assignment import place_references
    from celpaint.frames.read import open_clip
    from celpaint.frames.selection import select
    from celpaint.job import Job
    from celpaint.result import Result
    from celpaint.shot import ShotContext, listed, palette_colors

    if fps is not None and fps <= 0:
        raise refuse("fps", str(fps), "more than 0")
    began = time.monotonic()
    by_name, own = split_options(options)
    path = PathOptions.of(by_name)
    given = given_conditions(reference=reference, palette=palette, text=text, hints=hints)
    chosen = _chosen(method, own, given, confidence=confidence_maps is not None)
    colors = palette_colors(palette)
    clip = select(open_clip(source), path.frames)
    places = place_references(listed(reference), clip)
    given_files = [*chosen.files(), *(place.path for place in places if place.path is not None)]
    inputs = [source, *(file for file in given_files if file.exists())]
    with Job(Path(out)) as job:
        result = Result(
            out,
            clip,
            alpha=True if any(place.transparent for place in places if place.exists) else None,
            maps=confidence_maps,
            inputs=inputs,
            overwrite=overwrite,
            rate=fps,
            picture=image_format,
        )
        context = ShotContext(
            clip,
            places,
            path,
            palette=colors,
            text=text,
            hints=hints,
            cache=job.cache,
            progress=progress,
        )
        colorizer = method if isinstance(method, Colorizer) else Colorizer(chosen)
        colorizer.check(context.shot)
        job.begin(_request(context, path, chosen, result))
        result.stage_in(job.folder)
        damaged = result.damaged(job.drawings)
        if damaged:
            log.warning(
                "%d frames that an earlier run left are not as it wrote them, such as %s: coloring begins anew",
                *(len(damaged), context.label(damaged[0])),
            )
            job.restart()
        resumed = context.frames_of(job.drawings)
        with _saying_how_far(context, job):
            for chunk in colorizer.chunks(context.shot, done=len(job.drawings), state=job.state, progress=progress):
                for drawing, painted in zip(chunk.drawings, chunk.painted, strict=True):
                    result.put(drawing, context.finish(drawing, painted), painted.confidence)
                job.commit(chunk.drawings, chunk.state, [_mean(painted.confidence) for painted in chunk.painted])
            result.publish(context.spans, progress)
        job.finish()
        confidence = np.empty(len(context.spans), np.float32)
        confidence[list(job.drawings)] = job.confidence
        sure = not np.isnan(confidence).any()
        paint_next = colorizer.advise(context.shot, confidence.tolist()) if sure else []
    return Summary(
        out=Path(out),
        frames=len(clip),
        drawings=len(context.spans),
        method=method_name(chosen),
        seconds=time.monotonic() - began,
        resumed=resumed,
        confidence=float(confidence.mean(dtype=np.float64)) if sure else None,
        paint_next=tuple(map(context.label, paint_next)),
        unpainted=tuple((context.label(scene[0]), context.label(scene[-1])) for scene in context.unpainted),
        confidence_maps=None if confidence_maps is None else Path(confidence_maps),
    )


def _chosen(
    method: str | ComputeOptions | Colorizer, own: dict[str, Any], given: frozenset[Any], *, confidence: bool
) -> ComputeOptions:
    """The options of the method that colors, checked against what is known and what is wanted of it."""
    if isinstance(method, Colorizer):
        if method.options is None:
            raise OptionError("the session has a method without options", wanted="a session with a method by name")
        if own:
            raise OptionError(f"{flag(next(iter(own)))} is given for a session that is loaded", wanted="no options")
        chosen = method.options
    else:
        chosen = choose_method(method, own, given, confidence=confidence)
    spec = spec_of(chosen)
    check_conditions(spec, given)
    if confidence and not spec.confidence:
        raise OptionError(
            f"--confidence-maps with the method {spec.name}, which does not say how sure it is",
            todo="Leave out --confidence-maps, or take another method.",
        )
    return chosen


def _request(context: ShotContext, path: PathOptions, chosen: ComputeOptions, result: Result) -> dict[str, str]:
    """All that decides the result's bytes, by names that people know."""
    import torch

    from celpaint import __version__
    from celpaint.device import resolve_device, resolve_dtype
    from celpaint.job import file_identity

    device = resolve_device(chosen.device)
    options = {flag(name): value for name, value in {**asdict(path), **asdict(chosen)}.items()}
    options |= {"--method": method_name(chosen), "--device": device, "--dtype": resolve_dtype(chosen.dtype, device)}
    options |= {"--threads": default_threads() if chosen.threads is None else chosen.threads}
    shot = context.shot
    return {
        "celpaint's version": __version__,
        "torch's version": torch.__version__,
        "what is written": result.kinds,
        **{name: str(value) for name, value in options.items()},
        "--palette": str(shot.palette),
        "--text": shot.text,
        "the color hints": str(shot.hints),
        **{f"the frame of {place.name}": str(place.frame) for place in context.places},
        **{f"'{file}'": file_identity(file) for file in [*context.files, *chosen.files(), *_weight_files(chosen)]},
    }


def _weight_files(chosen: ComputeOptions) -> list[Path]:
    """Those that decide the result; empty for a method without weights."""
    with suppress(WeightsError):
        return weight_files(chosen)
    return []


@contextmanager
def _saying_how_far(context: ShotContext, job: Job) -> Iterator[None]:
    """Say what is there of an earlier run, and when the user stops this one, what the next will find."""
    total = len(context.clip)
    if job.drawings:
        log.info("an earlier run was stopped: going on after %d of %d frames", context.frames_of(job.drawings), total)
    try:
        yield
    except KeyboardInterrupt:
        done = context.frames_of(job.drawings)
        kept = f" after {done} of {total} frames; the same command goes on from there" if done else ""
        raise KeyboardInterrupt(f"stopped{kept}") from None


def _mean(confidence: Array | None) -> float:
    return math.nan if confidence is None else float(confidence.mean(dtype=np.float64))
