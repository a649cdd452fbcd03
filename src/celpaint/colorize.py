"""The path on one page: read, conditions, method, finish, write.

:func:`colorize` yields the frames; :func:`render` writes them, and goes on where a stopped run left off.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, fields
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from celpaint.errors import OutOfMemory, WeightsError
from celpaint.methods.base import Method
from celpaint.methods.registry import choose_method, load_method, method_name, spec_of, weight_files
from celpaint.options import ComputeOptions, PathOptions, refuse
from celpaint.types import Array, Chunk, Clip, Frame, Progress, Shot, State, silent

if TYPE_CHECKING:
    from celpaint.job import Job
    from celpaint.result import Result
    from celpaint.shot import Scene

__all__ = ["Summary", "colorize", "render"]

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
    confidence_maps: Path | None = None


def colorize(
    source: str | Path,
    /,
    *,
    reference: str | Path | Sequence[str | Path],
    method: str | ComputeOptions = "auto",
    progress: Progress = silent,
    **options: Any,
) -> Iterator[Frame]:
    """Color a shot and yield its frames, every one, at the source's own size.

    Inputs are checked and networks loaded at once; frames are colored as they are taken.

    Args:
        source: line art: a folder, a pattern such as ``cut05/A_####.png``, or a video.
        reference: painted pictures, each ``PICTURE`` (of the first frame), ``PICTURE@FRAME`` or ``PICTURE@none``.
            Frames are called by the numbers in their names, frames of a video by their place, the first being 1.
        method: ``auto``, a method's name, or its options.
        progress: told of every step.
        options: fields of :class:`PathOptions` and of the method's options, by name.

    Raises:
        InputError: a file is missing, broken or does not fit.
        OptionError: an option has a value it can't have, or belongs to another method.
        WeightsError, ResourceError: the networks can't be loaded, or the machine has too little for them.
    """
    from celpaint.conditions.reference_assignment import place_references
    from celpaint.frames.read import open_clip
    from celpaint.shot import Scene

    path, chosen = _sort(options, method)
    clip = open_clip(source)
    scene = Scene(clip, place_references(_several(reference), clip), path, progress)
    painter = _load(chosen, clip)
    return (
        frame
        for chunk in _color(painter, chosen, scene.shot, progress)
        for drawing, painted in enumerate(chunk.painted, chunk.start)
        for frame in [scene.finish(drawing, painted.rgb)] * len(scene.spans[drawing])
    )


def render(
    source: str | Path,
    /,
    out: str | Path,
    *,
    reference: str | Path | Sequence[str | Path],
    method: str | ComputeOptions = "auto",
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
        source, reference, method, progress, options: as in :func:`colorize`.
        out: a folder, or a file whose suffix says which kind: see :func:`celpaint.frames.write.open_sink`.
        overwrite: replace an existing result.
        fps: frames a second of a video; default: the source's own, or 24.
        image_format: kind of pictures in a folder; default: the source's own where it can be written, else PNG.
        confidence_maps: a folder for gray pictures of how sure the method was, white where sure.

    Raises:
        OutputError: ``out`` is the source, exists already, can't be written, or is being written by another run.
        DiskFull: no room; what is colored is kept for the next run.
        CelpaintError: as in :func:`colorize`.
    """
    from celpaint.conditions.reference_assignment import place_references
    from celpaint.frames.read import open_clip
    from celpaint.job import Job
    from celpaint.result import Result
    from celpaint.shot import Scene

    if fps is not None and fps <= 0:
        raise refuse("fps", str(fps), "more than 0")
    began = time.monotonic()
    path, chosen = _sort(options, method)
    clip = open_clip(source)
    places = place_references(_several(reference), clip)
    inputs = [source, *(place.path for place in places if place.path.exists())]
    with Job(Path(out)) as job:
        result = Result(
            out, clip, maps=confidence_maps, inputs=inputs, overwrite=overwrite, rate=fps, picture=image_format
        )
        scene = Scene(clip, places, path, progress)
        painter = _load(chosen, clip)
        job.begin(_request(scene, path, chosen, result))
        result.stage_in(job.folder)
        resumed = scene.frames_until(job.done)
        with _saying_how_far(scene, job):
            for chunk in _color(painter, chosen, scene.shot, progress, job.done, job.state):
                for drawing, painted in enumerate(chunk.painted, chunk.start):
                    result.put(drawing, scene.finish(drawing, painted.rgb), painted.confidence)
                job.commit(chunk.start + len(chunk.painted), chunk.state, [_mean(p.confidence) for p in chunk.painted])
            result.publish(scene.spans, progress)
        job.finish()
    known = [float(c) for c in job.confidence if not math.isnan(c)]
    sure = len(known) == len(scene.spans)
    painted_already = {reference.frame for reference in scene.shot.references}
    paint_next = [d for d in painter.advise(scene.shot, known) if d not in painted_already] if sure else []
    return Summary(
        out=Path(out),
        frames=len(clip),
        drawings=len(scene.spans),
        method=method_name(chosen),
        seconds=time.monotonic() - began,
        resumed=resumed,
        confidence=sum(known) / len(known) if sure else None,
        paint_next=tuple(map(scene.label, paint_next)),
        confidence_maps=None if confidence_maps is None else Path(confidence_maps),
    )


def _sort(options: Mapping[str, Any], method: str | ComputeOptions) -> tuple[PathOptions, ComputeOptions]:
    """Options by name -> the path's and the method's."""
    of_path = {field.name for field in fields(PathOptions)}
    path = PathOptions.of({name: value for name, value in options.items() if name in of_path})
    return path, choose_method(method, {name: value for name, value in options.items() if name not in of_path})


def _several(reference: str | Path | Sequence[str | Path]) -> list[str | Path]:
    return [reference] if isinstance(reference, str | Path) else list(reference)


def _load(chosen: ComputeOptions, clip: Clip) -> Method:
    with _enough_memory(clip.size, chosen):
        return load_method(chosen)


def _color(
    painter: Method,
    chosen: ComputeOptions,
    shot: Shot,
    progress: Progress,
    start: int = 0,
    state: State | None = None,
) -> Iterator[Chunk]:
    with _enough_memory(shot.size, chosen):
        yield from painter.color(shot, start=start, state=state, progress=progress)


@contextmanager
def _enough_memory(size: tuple[int, int], chosen: ComputeOptions) -> Iterator[None]:
    """A machine without enough memory gets a sentence that says what to lower."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        text = str(error).lower()
        if not isinstance(error, MemoryError) and "out of memory" not in text and "allocate memory" not in text:
            raise
        raise OutOfMemory(
            f"not enough memory to color frames of {size[1]} x {size[0]} pixels with these settings",
            todo=spec_of(chosen).save_memory,
        ) from error


def _request(scene: Scene, path: PathOptions, chosen: ComputeOptions, result: Result) -> dict[str, str]:
    """All that decides the result's bytes, by names that people know."""
    import torch

    from celpaint import __version__
    from celpaint.device import resolve_device, resolve_dtype
    from celpaint.job import file_identity

    device = resolve_device(chosen.device)
    options = {f"--{name.replace('_', '-')}": value for name, value in {**asdict(path), **asdict(chosen)}.items()}
    options |= {"--method": method_name(chosen), "--device": device, "--dtype": resolve_dtype(chosen.dtype, device)}
    return {
        "celpaint's version": __version__,
        "torch's version": torch.__version__,
        "what is written": result.kinds,
        **{name: str(value) for name, value in options.items()},
        **{f"the frame of '{place.path}'": str(place.frame) for place in scene.places},
        **{f"'{file}'": file_identity(file) for file in [*scene.files, *_weight_files(chosen)]},
    }


def _weight_files(chosen: ComputeOptions) -> list[Path]:
    """Those that decide the result; empty for a method without weights."""
    with suppress(WeightsError):
        return weight_files(chosen)
    return []


@contextmanager
def _saying_how_far(scene: Scene, job: Job) -> Iterator[None]:
    """Say what is there of an earlier run, and when the user stops this one, what the next will find."""
    total = len(scene.clip)
    if job.done:
        log.info("an earlier run was stopped: going on after %d of %d frames", scene.frames_until(job.done), total)
    try:
        yield
    except KeyboardInterrupt:
        done = scene.frames_until(job.done)
        kept = f" after {done} of {total} frames; the same command goes on from there" if done else ""
        raise KeyboardInterrupt(f"stopped{kept}") from None


def _mean(confidence: Array | None) -> float:
    return math.nan if confidence is None else float(confidence.mean(dtype=np.float64))
