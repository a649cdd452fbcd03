"""``render``: color a shot into files; an interrupted run resumes."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from fractions import Fraction
from functools import partial
from hashlib import sha256
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any, Literal

from celpaint.errors import CelpaintError, InputError, OptionError, WeightsError
from celpaint.methods.registry import (
    check_conditions,
    choose_method,
    given_conditions,
    method_name,
    spec_of,
    weight_files,
)
from celpaint.options import FPS_WANTED, ComputeOptions, PathOptions, flag, refuse
from celpaint.session import Colorizer, split_options
from celpaint.types import ColorHint, Progress, silent

if TYPE_CHECKING:
    from celpaint.conditions.reference_assignment import Place
    from celpaint.job import Inputs, Job
    from celpaint.result import Result
    from celpaint.shot import ShotContext

__all__ = ["Summary", "render"]

log = logging.getLogger("celpaint")


@dataclass(frozen=True)
class Summary:
    """The result of :func:`render`.

    Attributes:
        out: the result.
        frames: number of frames written; ``drawings`` of them were colored, the others are holds.
        method: the method's name.
        seconds: wall-clock time of this run, loading included.
        resumed: number of frames that an earlier, interrupted run had already colored.
        confidence: mean over what is drawn in all drawings, in [0, 1]; None if the method has no confidence.
        paint_next: the frames worth painting next as further references, best first.
        unsure: for each of ``paint_next``, its least certain region: ``upper left, x 12 to 80, y 4 to 60``.
        unpainted: first and last frame of every scene that has no painted frame and stayed uncolored.
        confidence_maps: the folder of the confidence maps.
    """

    out: Path
    frames: int
    drawings: int
    method: str
    seconds: float
    resumed: int = 0
    confidence: float | None = None
    paint_next: tuple[str, ...] = ()
    unsure: tuple[str, ...] = ()
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
    """Color a shot and write it. If a run is interrupted, the same call resumes it.

    Frames are staged beside ``out`` as they are colored, and moved into place when all are finished. On the same
    machine, a resumed run gives the same bytes as an uninterrupted one.

    Args:
        source, reference, method, palette, text, hints, progress, options: as in :func:`~celpaint.colorize.colorize`;
            ``source`` is a path.
        out: a folder, or a file whose suffix gives the format: see :func:`celpaint.frames.write.open_sink`.
        overwrite: replace an existing result.
        fps: frame rate of a video; default: that of the source, or 24.
        image_format: format of pictures in a folder; default: that of the source if it can be written, otherwise PNG.
        confidence_maps: a folder for gray pictures of the confidence, white where confident.

    Raises:
        OutputError: ``out`` is the source, exists already, can't be written, or is being written by another run.
        DiskFull: the disk is full; finished frames are kept for the next run.
        CelpaintError: as in :func:`~celpaint.colorize.colorize`.
    """
    from celpaint.conditions.judgement import judge, place_in_words
    from celpaint.conditions.reference_assignment import place_references
    from celpaint.frames.read import open_clip
    from celpaint.frames.selection import select
    from celpaint.job import Job
    from celpaint.result import Result
    from celpaint.shot import ShotContext, listed, palette_colors

    _check_types(source, out, overwrite, fps, image_format, confidence_maps)
    began = time.monotonic()
    by_name, own = split_options(options)
    path = PathOptions.of(by_name)
    given = given_conditions(reference=reference, palette=palette, text=text, hints=hints)
    chosen = _chosen(method, own, given, confidence=confidence_maps is not None)
    colors = palette_colors(palette)
    clip = select(open_clip(source), path.frames)
    places = place_references(listed(reference), clip)
    given_files = [*chosen.files(), *(place.path for place in places if place.path is not None)]
    files = _Files([*clip.files, *given_files])
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
        staged = partial(result.stage_in, job.folder)
        job.begin(_request(context, path, chosen, result), _inputs(context, files), staged)
        resumed = context.frames_of(job.drawings)
        with _saying_how_far(context, job):
            for chunk in colorizer.chunks(context.shot, done=job.scenes, progress=progress):
                for drawing, painted in zip(chunk.drawings, chunk.painted, strict=True):
                    result.put(drawing, context.finish(drawing, painted), painted.confidence)
                judged = [
                    None if painted.confidence is None else judge(context.shot.lines[drawing], painted.confidence)
                    for drawing, painted in zip(chunk.drawings, chunk.painted, strict=True)
                ]
                job.commit(chunk.drawings, chunk.state, judged, context.looked_at)
            result.publish(context.spans, progress)
        job.finish()
        judgements = [judged for _, judged in sorted(job.judged.items()) if judged is not None]
        sure = len(judgements) == len(context.spans)
        paint_next = colorizer.advise(context.shot, judgements) if sure else []
        files.note_changes()
    return Summary(
        out=Path(out),
        frames=len(clip),
        drawings=len(context.spans),
        method=method_name(chosen),
        seconds=time.monotonic() - began,
        resumed=resumed,
        confidence=fmean(judged.mean for judged in judgements) if sure else None,
        paint_next=tuple(map(context.label, paint_next)),
        unsure=tuple(place_in_words(judgements[drawing], clip.size) for drawing in paint_next),
        unpainted=tuple((context.label(scene[0]), context.label(scene[-1])) for scene in context.unpainted),
        confidence_maps=None if confidence_maps is None else Path(confidence_maps),
    )


def _check_types(source: Any, out: Any, overwrite: Any, fps: Any, image_format: Any, confidence_maps: Any) -> None:
    """What is not an option of a dataclass is checked here, with the sentences of those that are."""
    if not isinstance(source, str | Path):
        raise InputError(
            f"the frames to color are given as {type(source).__name__}",
            wanted="a path; celpaint.colorize takes pictures in memory",
        )
    for name, value in (("out", out), ("confidence_maps", confidence_maps)):
        if not isinstance(value, str | Path) and (value is not None or name == "out"):
            raise refuse(name, value, "a path")
    if not isinstance(overwrite, bool):
        raise refuse("overwrite", overwrite, "True or False")
    if fps is not None and (isinstance(fps, bool) or not isinstance(fps, int | float | Fraction) or not fps > 0):
        raise refuse("fps", str(fps), FPS_WANTED)
    if image_format not in (None, "png", "tif", "tga"):
        raise refuse("image_format", image_format, "png, tif or tga")


def _chosen(
    method: str | ComputeOptions | Colorizer, own: dict[str, Any], given: frozenset[Any], *, confidence: bool
) -> ComputeOptions:
    """The options of the method that colors, checked against what is known and what is wanted of it."""
    if isinstance(method, Colorizer):
        if method.options is None:
            raise OptionError("the session has a method without options", wanted="a session with a method by name")
        if own:
            raise OptionError(f"{flag(next(iter(own)))} can't be given with a loaded session", wanted="no options")
        chosen = method.options
    else:
        chosen = choose_method(method, own, given, confidence=confidence)
    spec = spec_of(chosen)
    if not isinstance(method, Colorizer):
        spec.check_extra()
    check_conditions(spec, given)
    if confidence and not spec.confidence:
        raise OptionError(
            f"--confidence-maps with the method {spec.name}, which reports no confidence",
            todo="Leave out --confidence-maps, or use another method.",
        )
    return chosen


def _request(context: ShotContext, path: PathOptions, chosen: ComputeOptions, result: Result) -> dict[str, str]:
    """All that decides the result's bytes, by names that people know."""
    import torch

    from celpaint import __version__
    from celpaint.device import resolve_device, resolve_dtype
    from celpaint.job import content_sum

    device = resolve_device(chosen.device)
    elsewhere = {"weights", "threads"}  # files count by their content; threads only bear on speed
    options = {flag(name): value for name, value in {**asdict(path), **asdict(chosen)}.items() if name not in elsewhere}
    options |= {"--method": method_name(chosen), "--device": device, "--dtype": resolve_dtype(chosen.dtype, device)}
    shot = context.shot
    return {
        "celpaint's version": __version__,
        "torch's version": torch.__version__,
        "what is written": result.kinds,
        **{name: _wherever_it_lies(value) for name, value in options.items()},
        "--palette": str(shot.palette),
        "--text": shot.text,
        "the color hints": str(shot.hints),
        "what the frames look like": f"{context.look.kind}, colored: {context.look.colored}",
        **{f"'{file.name}'": content_sum(file) for file in chosen.files() if file.is_file()},
        **{f"the weights' '{file.name}'": content_sum(file) for file in _weight_files(chosen)},
    }


def _wherever_it_lies(value: object) -> str:
    """An option's value; of a path the name alone."""
    return Path(value).name if isinstance(value, str) and Path(value).expanduser().exists() else str(value)


class _Files:
    """Files that are read, and a sum of each as it was at the start.

    A file that can't be read now is left to those who read it, who say what is wrong with it.
    """

    def __init__(self, files: Sequence[Path]) -> None:
        self._sums = {file: self._sum(file) for file in files}

    def __getitem__(self, file: Path) -> str:
        return f"{file.name} {self._sums[file]}"

    @staticmethod
    def _sum(file: Path) -> str:
        from celpaint.job import content_sum

        try:
            return content_sum(file)
        except OSError:
            return ""

    def note_changes(self) -> None:
        """Say which files were changed while the run read them."""
        changed = [file for file, earlier in self._sums.items() if self._sum(file) not in ("", earlier)]
        if changed:
            log.warning(
                "'%s'%s changed during this run, and the result may show what it was before; to be sure of the new "
                "state, run the command again with --overwrite",
                *(changed[0].name, f" and {len(changed) - 1} more files" if len(changed) > 1 else ""),
            )


def _inputs(context: ShotContext, files: _Files) -> Inputs:
    """What every drawing is made from: contents and names, wherever the files lie."""
    from celpaint.job import Inputs

    clip, starts = context.clip, [span.start for span in context.spans]
    if len(clip.files) == len(clip):
        drawings = [files[clip.files[start]] for start in starts]
    else:
        whole = ", ".join(files[file] for file in clip.files)
        drawings = [f"frame {clip.number(start)} of {whole}" for start in starts]
    paintings = [
        "; ".join(sorted(_painting(place, starts[scene.start], files) for place in context.places_of(scene)))
        for scene in context.shot.scenes
    ]
    names = map(context.label, range(len(starts)))
    return Inputs(context.shot.scenes, tuple(paintings), tuple(drawings), tuple(names))


def _painting(place: Place, first: int, files: _Files) -> str:
    """A painting and where it belongs, counted from the first frame of its scene."""
    picture = place.picture
    content = files[picture] if isinstance(picture, Path) else sha256(picture.rgb.tobytes()).hexdigest()
    return f"{content} at {'no frame' if place.frame is None else place.frame - first}"


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
        log.info("resuming an interrupted run after %d of %d frames", context.frames_of(job.drawings), total)
    try:
        yield
    except KeyboardInterrupt:
        done = context.frames_of(job.drawings)
        kept = f" after {done} of {total} frames; run the same command again to resume" if done else ""
        raise KeyboardInterrupt(f"stopped{kept}") from None
    except CelpaintError:
        if job.drawings:
            done = context.frames_of(job.drawings)
            log.info("%d of %d frames are colored and kept; run the same command again to resume", done, total)
        raise
