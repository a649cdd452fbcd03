"""The clips of a benchmark: on disk, or made from films into folders of PNG files.

A film source is any function from a :class:`~celpaint.benchmark.suite.FilmSpec` and a seed to an iterable of
:class:`Film`. :data:`FILM_SOURCES` names those that suites may ask for.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import cast

import cv2
import numpy as np
import numpy.typing as npt

from celpaint.atomic_write import replacing, write_text
from celpaint.benchmark.provenance import code_digest, digest_of, files_digest
from celpaint.benchmark.suite import FilmSpec, Suite
from celpaint.conditions.lines import extract_lines
from celpaint.errors import InputError, OptionError
from celpaint.frames.color import quantize
from celpaint.types import Array
from celpaint.weights.kinds import load_object

__all__ = [
    "FILM_SOURCES",
    "WHOLE_SHOT",
    "BenchmarkClip",
    "Film",
    "FilmSource",
    "benchmark_clips",
    "synthetic_films",
    "write_frame",
]


@dataclass(frozen=True)
class Film:
    """A painted film whose line art is known.

    Attributes:
        name: unique among the films of a source and seed.
        frames: ``T H W 3`` in [0, 1].
        lines: by line style, ``T H W`` in [0, 1], 1 = ink; styles the source does not draw are derived.
        drawing: ``T H W``, which drawing shows at a pixel, 0 = background; None where it is not known.
        point: ``T 2 H W``, the point (x, y) of that drawing, in units of the frame's height. Two pixels of two frames
            correspond where ``drawing`` is equal and ``point`` is (nearly) equal.
    """

    name: str
    frames: Array
    lines: Mapping[str, Array]
    drawing: npt.NDArray[np.int64] | None = None
    point: Array | None = None

    def line_art(self, style: str) -> Array:
        """The lines in a style: one that the source drew, ``extracted`` or ``binary``.

        Raises:
            OptionError: no such style.
        """
        if style in self.lines:
            return self.lines[style]
        if style == "extracted":
            return np.stack([extract_lines(frame) for frame in self.frames])
        if style == "binary" and self.lines:
            return (next(iter(self.lines.values())) >= 0.5).astype(np.float32)
        raise OptionError(f"line style {style!r} of film '{self.name}'", wanted=f"one of {', '.join(self.lines)}")


WHOLE_SHOT = "whole shot"
"""The axis ``window`` of a clip that is not a window."""

FilmSource = Callable[[FilmSpec, int, Path], Iterable[Film]]
"""(what is wanted, seed, folder that paths are relative to) -> films."""

FILM_SOURCES: dict[str, str] = {
    "film": "celpaint.benchmark.film:film_like_films",
    "synthetic": "celpaint.benchmark.films:synthetic_films",
    "turning": "celpaint.benchmark.film:turning_films",
}
"""Film sources by name, as ``module:function``. Others are added here, or given to the benchmark."""


@dataclass(frozen=True)
class BenchmarkClip:
    """A clip to color.

    Attributes:
        name: unique in the benchmark.
        group: clips of one group are also averaged by themselves.
        lines, ground_truth: folders of frames, or what :func:`celpaint.frames.read.open_clip` opens.
        references: 0-based indices of the frames given painted.
        digest: of all that decides its bytes.
        axes: what distinguishes it from other clips of its film: ``lines``, ``paintings``, ``window``, ``seed``.
    """

    name: str
    group: str
    lines: Path
    ground_truth: Path
    references: tuple[int, ...]
    digest: str
    axes: Mapping[str, str] = field(default_factory=dict)


def benchmark_clips(
    suite: Suite, out: Path, root: Path, sources: Mapping[str, FilmSource] | None = None
) -> Iterator[BenchmarkClip]:
    """The clips of a suite; films are made into ``out`` unless they are there, with a manifest for other programs.

    Args:
        suite: what is wanted.
        out: folder of the films.
        root: what the suite's paths are relative to.
        sources: film sources beside those of :data:`FILM_SOURCES`.

    Raises:
        InputError: a clip or the art is not there.
        OptionError: a film source or line style that is not known.
    """
    for clip in suite.clips:
        lines, ground_truth = root / clip.lines, root / clip.ground_truth
        digest = files_digest([lines, ground_truth])
        yield BenchmarkClip(clip.name, clip.group or "clips", lines, ground_truth, clip.references, digest)
    made = [
        clip
        for spec in suite.films
        for seed in spec.seeds
        for clip in _films(spec, seed, out, root, _source(spec.source, sources or {}))
    ]
    if made:
        write_text(out / "manifest.toml", _manifest(made, out))
    names = [clip.name for clip in made]
    if doubled := next((name for name in names if names.count(name) > 1), None):
        raise OptionError(f"two films are named '{doubled}'", wanted="[[films]] that differ in lines or in first")
    yield from made


def _source(name: str, sources: Mapping[str, FilmSource]) -> FilmSource:
    if name in sources:
        return sources[name]
    if name in FILM_SOURCES:
        return cast("FilmSource", load_object(FILM_SOURCES[name]))
    raise OptionError(f"film source {name!r} is not known", wanted=f"one of {', '.join({**FILM_SOURCES, **sources})}")


def _films(spec: FilmSpec, seed: int, out: Path, root: Path, source: FilmSource) -> Iterator[BenchmarkClip]:
    """The clips of one seed, from folders that a finished earlier run may have left."""
    art = root / spec.art
    if spec.art and not art.is_file():
        raise InputError(
            f"'{art}' does not exist", wanted="a file of drawings", todo=f"Make it: celpaint data art --out {art}"
        )
    wanted = {key: value for key, value in asdict(spec).items() if key not in ("group", "seeds", "art")}
    key = digest_of([wanted, seed, files_digest([art]) if spec.art else "", code_digest("films")])[:12]
    folder = out / f"{spec.source}-{seed}-{key}"
    if not folder.exists():
        with replacing(folder) as part:
            for film in source(spec, seed, root):
                _write_film(film, spec, part / film.name)
    for film_folder in sorted(path for path in folder.iterdir() if path.is_dir()):
        for style in spec.lines:
            for window in spec.windows:
                yield from _clips_of(spec, seed, film_folder, style, window, key)


def _clips_of(
    spec: FilmSpec, seed: int, film: Path, style: str, window: str | int, key: str
) -> Iterator[BenchmarkClip]:
    """One film in one line style: the shot with every number of paintings, or one window with one painting."""
    place = film / _window_name(window)
    for count in spec.references if window == "shot" else (1,):
        axes = {"lines": style}
        if len(spec.windows) > 1 or len(spec.references) > 1:
            axes["window"] = WHOLE_SHOT if window == "shot" else f"{window} frame" + "s" * (window != 1)
            axes["paintings"] = str(count)
        if len(spec.seeds) > 1:
            axes["seed"] = str(seed)
        name = "-".join([style, film.name, *_suffix(spec, window, count, seed)])
        yield BenchmarkClip(
            name=name,
            group=spec.group or _group(axes),
            lines=place / f"lines-{style}",
            ground_truth=place / "color",
            references=tuple(round(i * spec.frames / count) for i in range(count)) if window == "shot" else (0,),
            digest=digest_of([key, film.name, style, str(window)]),
            axes=axes,
        )


def _suffix(spec: FilmSpec, window: str | int, count: int, seed: int) -> list[str]:
    words = []
    if len(spec.windows) > 1 or len(spec.references) > 1:
        words.append(f"k{count}" if window == "shot" else f"at{window}")
    if len(spec.seeds) > 1:
        words.append(f"s{seed}")
    return words


def _group(axes: Mapping[str, str]) -> str:
    """``clean, whole shot, 2 paintings``."""
    words = [axes["lines"]]
    if "window" in axes:
        away = "" if axes["window"] == WHOLE_SHOT else " away"
        words.append(axes["window"] + away)
        words.append(axes["paintings"] + (" painting" if axes["paintings"] == "1" else " paintings"))
    return ", ".join(words)


def _window_name(window: str | int) -> str:
    return str(window) if window == "shot" else f"window-{window}"


def _write_film(film: Film, spec: FilmSpec, folder: Path) -> None:
    """Every frame as PNG files by kind, and for each window a folder of links to its frames."""
    kinds = {"color": film.frames} | {
        f"lines-{style}": np.repeat(1 - film.line_art(style)[..., None], 3, -1) for style in spec.lines
    }
    for kind, frames in kinds.items():
        for index, frame in enumerate(frames):
            write_frame(folder / "shot" / kind / f"{index:04d}.png", frame)
        for window in spec.windows:
            if isinstance(window, int):
                place = folder / _window_name(window) / kind
                place.mkdir(parents=True)
                for index in (0, *range(window, window + spec.window_frames)):
                    os.link(folder / "shot" / kind / f"{index:04d}.png", place / f"{index:04d}.png")


def write_frame(path: Path, rgb: Array) -> None:
    """``H W 3`` in [0, 1] as an 8-bit PNG file; its folder is made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.ascontiguousarray(quantize(rgb, 8)[..., ::-1])
    cv2.imwrite(str(path), pixels, [cv2.IMWRITE_PNG_COMPRESSION, 1])


def _manifest(clips: Iterable[BenchmarkClip], out: Path) -> str:
    """What ``celpaint evaluate`` reads to measure results that another program put into ``results/NAME``."""
    lines = [
        "# Color the lines of every clip given the frames listed as references (0-based, taken from ground_truth),",
        "# write all frames to the folder named result, then run: celpaint evaluate manifest.toml",
    ]
    for clip in clips:
        lines += [
            "",
            "[[clip]]",
            f'name = "{clip.name}"',
            f'lines = "{clip.lines.relative_to(out).as_posix()}"',
            f'ground_truth = "{clip.ground_truth.relative_to(out).as_posix()}"',
            f'result = "results/{clip.name}"',
            f"references = {list(clip.references)}",
        ]
    return "\n".join(lines) + "\n"


def synthetic_films(spec: FilmSpec, seed: int, root: Path) -> Iterator[Film]:
    """The synthesizer's validation films: held-out drawings, the same films for every line style."""
    from celpaint.data.synthetic import HANDS, Art, validation_clips

    art = Art.load(root / spec.art)
    styles = [style for style in spec.lines if style in HANDS] or ["clean"]
    drawn = [
        validation_clips(
            art,
            1,
            style,
            first=10_000 * seed + spec.first,
            clips=spec.films,
            frames=spec.frames,
            height=spec.height,
            width=spec.width,
        )
        for style in styles
    ]
    for number, batches in enumerate(zip(*drawn, strict=True), spec.first):
        frames = np.ascontiguousarray(batches[0].color[0].permute(0, 2, 3, 1).numpy())
        lines = {style: batch.lines[0, :, 0].numpy() for style, batch in zip(styles, batches, strict=True)}
        yield Film(f"{number:02d}", frames, lines)
