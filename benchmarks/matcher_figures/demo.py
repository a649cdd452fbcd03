"""The example shot, through the whole path, beside the baselines."""

from __future__ import annotations

import runpy
import time
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from pathlib import Path

import numpy as np

from celpaint.benchmark.baselines import BASELINES
from celpaint.conditions.lines import flatten
from celpaint.conditions.reference_assignment import Place
from celpaint.frames.color import Pixels, quantize, to_float
from celpaint.frames.read import open_clip
from celpaint.options import PathOptions
from celpaint.shot import Scene
from celpaint.types import Array
from matcher_figures.work import Record, Settings, matcher, scores, spread

EXAMPLES = Path(__file__).parents[2] / "examples"
VISIBLE = 8 / 255
"""A change of a channel that is seen."""


@dataclass(frozen=True)
class Shown:
    """Frames to be shown, ``H W 3`` uint8 each."""

    name: str
    frames: list[Pixels]

    @classmethod
    def of(cls, name: str, frames: list[Array]) -> Shown:
        """From frames in [0, 1]."""
        return cls(name, [quantize(frame, 8) for frame in frames])


def demo(settings: Settings, shot: Path = EXAMPLES / "dancer") -> tuple[list[Record], list[Shown]]:
    """PSNR of the moving parts, LPIPS, flicker and seconds; and the frames by name.

    Args:
        shot: a folder with ``lines``, ``original`` and ``reference.png``, the first frame painted.
    """
    names = ("matcher", "matcher, `--flat`", "copy", "flow", "flow-chained", "segments")
    found = spread("example shot", [partial(_paint, settings, shot, name) for name in names], settings.workers)
    original, lines = _frames(shot / "original"), _frames(shot / "lines")
    shown = [Shown.of("lines", lines), *(s for _, views in found for s in views), Shown.of("original", original)]
    truth = {"part": "demo", "method": "original", "flicker": flicker(original, original)}
    return [*(record for record, _ in found), truth], shown


def _frames(folder: Path) -> list[Array]:
    return [flatten(frame) for frame in open_clip(folder)]


def _paint(settings: Settings, shot: Path, name: str) -> tuple[Record, list[Shown]]:
    method = matcher(settings, exact="flat" in name) if name.startswith("matcher") else BASELINES[name]()
    original = _frames(shot / "original")
    scene = Scene(open_clip(shot / "lines"), [Place(shot / "reference.png", 0)], PathOptions())
    frames: list[Array] = []
    sure: list[Array] = []
    began = time.perf_counter()
    for chunk in method.color(scene.shot):
        for drawing, painted in enumerate(chunk.painted, chunk.start):
            finished = to_float(quantize(flatten(scene.finish(drawing, painted.rgb)), 8))
            count = len(scene.spans[drawing])
            frames += [finished] * count
            if painted.confidence is not None:
                sure += [np.repeat(painted.confidence[..., None], 3, -1)] * count
    seconds = time.perf_counter() - began

    told = runpy.run_path(str(EXAMPLES / "demo.py"))
    moves = np.any([np.abs(frame - original[0]).max(-1) > told["MOVES"] for frame in original], axis=0)
    clip = open_clip(shot / "original")
    perceived = [scores(a, b)["lpips"] for a, b in zip(frames[1:], original[1:], strict=True)]
    record = {
        "part": "demo",
        "method": name,
        "psnr": told["psnr"](frames, clip, moves),
        "lpips": float(np.mean(perceived)),
        "flicker": flicker(frames, original),
        "seconds": seconds / len(scene.shot),
    }
    views = [Shown.of(name, frames)]
    if name == "matcher":
        views.append(Shown.of("confidence", sure))
    return record, views


def flicker(result: list[Array], original: list[Array]) -> float:
    """Visible flicker: of the pixels that stay exactly as they are from one original frame to the next, the share that
    change by more than 8/255 in any channel of the result.

    Args:
        result, original: at least two frames ``H W 3`` each.
    """
    still = changed = 0
    for (a, b), (before, now) in zip(pairwise(result), pairwise(original), strict=True):
        stays = (before == now).all(-1)
        still += int(stays.sum())
        changed += int((np.abs(b - a).max(-1) > VISIBLE)[stays].sum())
    return changed / max(still, 1)
