"""Figures of the matcher: quality on held-out drawings, steadiness in time, seconds and memory.

    python benchmarks/matcher.py quality build/art.safetensors
    python benchmarks/matcher.py time    build/art.safetensors
    python benchmarks/matcher.py speed

Tables are Markdown on stdout. ``--weights DIR`` takes other weights than the packaged ones, ``--sheet FILE`` keeps the
worst cases as a picture (reference, lines, result, truth, confidence).
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import resource
import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import torch
from PIL import Image

from celpaint.conditions.regions import label_regions
from celpaint.data.clips import ClipBatch
from celpaint.data.synthetic import Art, ClipSpec, Synthesizer
from celpaint.methods.base import load_method
from celpaint.methods.matcher import Matcher
from celpaint.methods.options import MatcherOptions
from celpaint.types import Array, Painted, Reference, Shot

DISTANCES = (1, 15, 45, 60)


@dataclass(frozen=True)
class Film:
    """A shot with its truth. References are ``shot.references``; ``regions`` are the flat parts, 0 = ink."""

    shot: Shot
    truth: list[Array]
    regions: list[np.ndarray]
    reference_regions: np.ndarray


def pictures(x: torch.Tensor) -> list[Array]:
    """``1 T C H W`` -> T arrays ``H W C``."""
    return [np.ascontiguousarray(p) for p in x[0].permute(0, 2, 3, 1).numpy()]


def film(clip: ClipBatch, references: list[int], targets: list[int]) -> Film:
    colour, lines = pictures(clip.colour), [p[..., 0] for p in pictures(clip.lines)]
    assert clip.region is not None
    regions = list(clip.region[0].numpy())
    painted = tuple(Reference(colour[i], lines[i], None) for i in references)
    shot = Shot([lines[i] for i in targets], painted, colour[0].shape[:2])
    return Film(shot, [colour[i] for i in targets], [regions[i] for i in targets], regions[references[0]])


def films(art: Art, hand: str, distance: int, size: tuple[int, int], count: int, references: int = 1) -> Iterator[Film]:
    """Held-out drawings, the target ``distance`` frames after the first reference; further ones as far beyond it."""
    spec = ClipSpec(
        height=size[0],
        width=size[1],
        frames=references + 1,
        distance=(distance, distance),
        stride=(distance, distance),
        backwards=0,
        hands={hand: 1.0},
        dancers=0.3,
    )
    synthesizer = Synthesizer(art.split("validation"), spec)
    for number in range(count):
        clip = synthesizer.batch(1_000_000 + number, 1)
        yield film(clip, [0, *range(2, references + 1)], [1])


def psnr(a: Array, b: Array) -> float:
    return float(-10 * np.log10(max(np.mean((a - b) ** 2), 1e-10)))


def colour(method: Matcher, shot: Shot) -> list[Painted]:
    return [painted for chunk in method.colour(shot) for painted in chunk.painted]


def flattened(f: Film) -> Film:
    """The same film with every part in one colour of its own; parts the reference does not show are left out (0)."""
    reference = f.shot.references[0]
    count = int(max(f.reference_regions.max(), *(r.max() for r in f.regions))) + 1
    table = np.zeros((count, 3), np.float32)
    for number in np.unique(f.reference_regions):
        table[number] = np.median(reference.rgb[f.reference_regions == number], axis=0)
    table = np.round(table * 255).astype(np.float32) / 255
    shown = np.isin(np.arange(count), f.reference_regions)
    flat = Reference(table[f.reference_regions], reference.line, None)
    return Film(
        Shot(f.shot.lines, (flat,), f.shot.size),
        [table[r] for r in f.regions],
        [np.where(shown[r], r, 0) for r in f.regions],
        f.reference_regions,
    )


def segments(result: Array, f: Film, drawn: Array) -> tuple[int, int]:
    """(right, all) closed regions of more than 10 pixels whose commonest colour is the truth's."""
    labels = label_regions(drawn, gap=0)
    right = total = 0
    for number in range(1, int(labels.max()) + 1):
        inside = (labels == number) & (f.regions[0] > 0)
        if inside.sum() <= 10:
            continue
        seen, counts = np.unique(f.truth[0][inside], axis=0, return_counts=True)
        wanted = seen[counts.argmax()]
        got, counts = np.unique(result[inside], axis=0, return_counts=True)
        total += 1
        right += int(np.abs(got[counts.argmax()] - wanted).max() < 1e-3)
    return right, total


def quality(options: argparse.Namespace) -> None:
    art, size = Art.load(options.art), tuple(options.size)
    method = matcher(options)
    exact = matcher(options, exact=True)
    print(f"PSNR in dB / copying the reference, {options.clips} films of held-out drawings, {size[1]}x{size[0]}\n")
    print("| lines | references | " + " | ".join(f"{d} frames" for d in DISTANCES) + " |")
    print("|---|---|" + "---|" * len(DISTANCES))
    worst: list[tuple[float, Array]] = []
    calibration = np.zeros((10, 3))
    for hand, references in [*((hand, 1) for hand in options.hands), *(("clean", n) for n in (2, 4))]:
        cells = []
        for distance in DISTANCES:
            own, copied = [], []
            for f in films(art, hand, distance, size, options.clips, references):
                (painted,) = colour(method, f.shot)
                own.append(psnr(painted.rgb, f.truth[0]))
                copied.append(psnr(f.shot.references[0].rgb, f.truth[0]))
                assert painted.confidence is not None
                right = np.abs(painted.rgb - f.truth[0]).max(-1) < 0.08
                place = np.minimum((painted.confidence * 10).astype(int), 9)
                calibration += np.stack(
                    [np.bincount(place.ravel(), w, 10) for w in (right.ravel(), painted.confidence.ravel(), None)], 1
                )
                worst.append((own[-1] - copied[-1], sheet_row(f, painted)))
            cells.append(f"{np.mean(own):.1f} / {np.mean(copied):.1f}")
        print(f"| {hand} | {references} | " + " | ".join(cells) + " |", flush=True)
    print("\nConfidence said / colours right (all channels within 0.08) / share of pixels\n")
    for right_sum, said, count in calibration[calibration[:, 2] > 0]:
        print(f"- {said / count:.2f} / {right_sum / count:.2f} / {count / calibration[:, 2].sum():.3f}")
    print("\nSegments with exactly the right colour, flat cels, `--exact`\n")
    for hand in ("clean", "binary"):
        for distance in DISTANCES:
            sums = np.zeros(2)
            for f in map(flattened, films(art, hand, distance, size, options.clips)):
                sums += segments(colour(exact, f.shot)[0].rgb, f, f.shot.lines[0])
            print(f"- {hand}, {distance} frames: {sums[0] / sums[1]:.3f} of {int(sums[1])}", flush=True)
    if options.sheet:
        worst.sort(key=lambda item: item[0])
        rows = np.concatenate([row for _, row in worst[:12]])
        Image.fromarray((rows * 255).round().astype(np.uint8)).save(options.sheet)


def sheet_row(f: Film, painted: Painted) -> Array:
    sure = np.zeros(f.shot.size, np.float32) if painted.confidence is None else painted.confidence
    grey = [np.repeat(x[..., None], 3, -1) for x in (1 - f.shot.lines[0], sure)]
    row = np.concatenate([f.shot.references[0].rgb, grey[0], painted.rgb, f.truth[0], grey[1]], 1)
    return cv2.resize(row.clip(0, 1), None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA).astype(np.float32)


def steadiness(options: argparse.Namespace) -> None:
    """Frame-to-frame changes that the truth does not have, with and without the frames just coloured as references."""
    art, size = Art.load(options.art), tuple(options.size)
    spec = ClipSpec(height=size[0], width=size[1], frames=13, distance=(5, 5), stride=(1, 1), backwards=0)
    spec = ClipSpec(**{**vars(spec), "hands": {"clean": 0.5, "pencil": 0.2, "jitter": 0.3}})
    synthesizer = Synthesizer(art.split("validation"), spec)
    clips = [film(synthesizer.batch(2_000_000 + n, 1), [0], list(range(1, 13))) for n in range(options.clips)]
    print("| memory | PSNR | change of the error from frame to frame (1/255) |")
    print("|---|---|---|")
    for memory in (0, 1, 2, 4):
        method = matcher(options, memory=memory)
        score, change = [], []
        for f in clips:
            error = [p.rgb - t for p, t in zip(colour(method, f.shot), f.truth, strict=True)]
            score += [float(-10 * np.log10(np.mean(e**2))) for e in error]
            change += [float(np.abs(a - b).mean()) * 255 for a, b in pairwise(error)]
        print(f"| {memory} | {np.mean(score):.2f} | {np.mean(change):.3f} |", flush=True)


def speed(options: argparse.Namespace) -> None:
    """Every size in a process of its own, so that peak memory is that size's."""
    print(f"{os.cpu_count()} cores, {torch.get_num_threads()} threads, torch {torch.__version__}\n")
    print("| size | references + memory | s / reference | s / drawing | peak memory |")
    print("|---|---|---|---|---|")
    for width, height in ((256, 256), (576, 320), (1920, 1080)):
        for memory in (0, 2):
            context = multiprocessing.get_context("spawn")
            with context.Pool(1) as pool:
                loading, drawing, peak = pool.apply(measure, (options, width, height, memory))
            print(
                f"| {width}x{height} | 1 + {memory} | {loading:.2f} | {drawing:.2f} | {peak / 2**30:.2f} GiB |",
                flush=True,
            )


def measure(options: argparse.Namespace, width: int, height: int, memory: int) -> tuple[float, float, int]:
    """Seconds before the first drawing that later ones don't take, median seconds a drawing, peak bytes."""
    method = matcher(options, memory=memory)
    rng = np.random.default_rng(0)
    line = (cv2.GaussianBlur(rng.standard_normal((height, width), np.float32), None, height / 40) > 0).astype(
        np.float32
    )
    line = np.abs(cv2.Laplacian(line, cv2.CV_32F)).clip(0, 1)
    rgb = cv2.GaussianBlur(rng.random((height, width, 3), np.float32), None, height / 40)
    shot = Shot([line] * 9, (Reference(rgb, line),), (height, width))
    stamps = [time.perf_counter()]
    list(method.colour(shot, progress=lambda event: stamps.append(time.perf_counter())))
    each = np.diff(stamps)
    drawing = float(np.median(each[3:]))
    return float(each[0]) - drawing, drawing, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def matcher(options: argparse.Namespace, **settings: object) -> Matcher:
    chosen = MatcherOptions(weights=options.weights, dtype=options.dtype, device=options.device, **settings)  # type: ignore[arg-type]
    method = load_method(chosen)
    assert isinstance(method, Matcher)
    return method


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("quality", "time", "speed"))
    parser.add_argument("art", nargs="?", help="the file of drawings, made by `celpaint data art`")
    parser.add_argument("--weights", default="small")
    parser.add_argument("--dtype", default="auto")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--size", type=int, nargs=2, default=(320, 576), metavar=("HEIGHT", "WIDTH"))
    parser.add_argument("--clips", type=int, default=16)
    parser.add_argument("--hands", nargs="+", default=["soft", "clean", "binary"])
    parser.add_argument("--sheet", type=Path)
    options = parser.parse_args()
    if options.what != "speed" and options.art is None:
        parser.error("the file of drawings is missing")
    {"quality": quality, "time": steadiness, "speed": speed}[options.what](options)


if __name__ == "__main__":
    main()
