"""What LVCD small can do: quality on held-out drawings, steps against time, the example shot.

    make validate-small                                          everything, into build/validate/small
    python benchmarks/validate_lvcd.py quality --films 2         a part, a quick look
    python benchmarks/validate_lvcd.py --weights DIR --out FOLDER --docs docs/lvcd_small.md

- *quality*: films of 8 frames in a row, the first of them 1, 15 or 45 frames from the painting, in four hands; the
  same films for all hands and methods.
- *steps*: settings of the sampler on a few films of 14 frames, which is a whole window.
- *demo*: the example shot, finished as ``celpaint colorize`` finishes it.

``--out`` gets the tables (``figures.md``), every film's own figures (a JSON a part) and contact sheets; parts that are
not run again are taken from there. ``--docs`` also puts the tables between the markers ``<!-- figures -->`` and
``<!-- /figures -->`` of a document and the sheets into ``images`` beside it.
"""

from __future__ import annotations

import argparse
import math
import os
import runpy
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cache, partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

import celpaint
from celpaint.benchmark.baselines import ChainedFlow, CopyReference
from celpaint.benchmark.runner import commit, machine, weights_digest
from celpaint.conditions.lines import flatten
from celpaint.data.synthetic import Art, toy_art, validation_clips
from celpaint.errors import CelpaintError, WeightsError
from celpaint.frames.color import quantize, to_float
from celpaint.frames.read import open_clip, read_picture
from celpaint.methods.base import Method
from celpaint.methods.lvcd.run import LVCD
from celpaint.methods.lvcd.spec import LVCDOptions
from celpaint.methods.lvcd.weights import Card
from celpaint.methods.matcher.spec import MatcherOptions
from celpaint.methods.registry import load_method
from celpaint.metrics.base import Metric, Pair
from celpaint.metrics.frame import psnr, squared_error
from celpaint.metrics.temporal import DIS, TemporalConsistency, WarpError
from celpaint.options import ComputeOptions
from celpaint.sampling.segments import WINDOW
from celpaint.types import Array, Reference, Shot
from celpaint.weights.registry import find_weights
from lvcd_tables import OURS, choose, load, report, trials
from matcher_figures.demo import EXAMPLES, flicker
from matcher_figures.sheets import Row, save, sheet
from matcher_figures.tables import insert, store
from matcher_figures.work import Record, Settings, matcher, scores, spread

PARTS = ("quality", "steps", "demo")
HANDS = ("soft", "clean", "binary", "thick")
DISTANCES = (1, 15, 45)
FRAMES = 8
"""Of a film."""
TRIED = (("soft", 15), ("binary", 45))
"""Hands and distances that settings are tried on."""
VIEWS = ("painting", "lines", "matcher", OURS, "truth")
PICTURES = {
    "soft": "Two films at three distances, soft lines: painting, lines, matcher, LVCD small, truth",
    "worst": "What fails: the worst case of each of six films",
    "demo": "The example shot: lines, matcher, LVCD small, original",
}
"""Sheets that go into the document."""
RIGHT = 0.08
"""A color is right where no channel is further off."""


@dataclass(frozen=True)
class Film:
    """A shot with its truth, ``H W 3`` a frame; the painting belongs to no frame of it."""

    shot: Shot
    truth: list[Array]


@cache
def drawings(file: Path) -> Art:
    """The whole collection; ``toy`` is one made on the spot."""
    return toy_art() if file.name == "toy" else Art.load(file)


def films(settings: Settings, lines: str, distance: int, count: int, frames: int) -> list[Film]:
    """Held-out drawings: ``frames`` in a row, the first of them ``distance`` frames from the painting."""
    height, width = settings.size
    clips = validation_clips(
        drawings(settings.art), distance, lines, clips=count, frames=frames + 1, height=height, width=width
    )
    made = []
    for clip in clips:
        color = [np.ascontiguousarray(frame) for frame in clip.color[0].permute(0, 2, 3, 1).numpy()]
        drawn = list(clip.lines[0, :, 0].numpy())
        made.append(Film(Shot(drawn[1:], (Reference(color[0], drawn[0], None),), settings.size), color[1:]))
    return made


def lvcd_options(settings: Settings, **options: Any) -> LVCDOptions:
    chosen: dict[str, Any] = {"weights": settings.weights, "device": settings.device, "dtype": settings.dtype}
    return LVCDOptions(**chosen, **options)


@cache
def painters(settings: Settings) -> dict[str, Method]:
    """Everything that colors films, loaded once a process."""
    return {
        OURS: load_method(lvcd_options(settings, size=settings.size)),
        "matcher": matcher(replace(settings, weights="small")),
        "flow-chained": ChainedFlow(),
        "copy": CopyReference(),
    }


def color(method: Method, shot: Shot) -> list[Array]:
    """Every drawing of the shot.

    Raises:
        WeightsError: what comes out is no number.
    """
    result = [painted.rgb for chunk in method.color(shot) for painted in chunk.painted]
    if not all(np.isfinite(rgb).all() for rgb in result):
        raise WeightsError("the networks' pictures hold values that are no numbers", wanted="weights that are sound")
    return result


def measure(result: Sequence[Array], truth: Sequence[Array]) -> Record:
    """PSNR, LPIPS, TC, warp error and flicker of a film; NaN where there is nothing to measure."""
    flow = DIS()
    pairs: list[Pair] = []
    for index, (ours, true) in enumerate(zip(result, truth, strict=True)):
        pair = Pair(index, ours, true)
        if pairs:
            before = pairs[-1].original
            pair = replace(pair, back=flow.between(true, before), forth=flow.between(before, true))
        pairs.append(pair)

    def over(metric: Metric[Any]) -> tuple[float, ...]:
        sums = [s for i in range(1, len(pairs)) if (s := metric.measure(pairs[i - 1 : i + 1])) is not None]
        return metric.figures_of(sum(sums[1:], sums[0])) if sums else (math.nan, math.nan)

    each = [scores(pair.result, pair.original) for pair in pairs]
    warped, of_truth = over(WarpError(flow))
    still = any((a.original == b.original).all(-1).any() for a, b in pairwise(pairs))
    return {
        **{name: float(np.mean([one[name] for one in each])) for name in ("psnr", "lpips")},
        "tc": over(TemporalConsistency(flow))[0],
        "warp": warped,
        "warp_truth": of_truth,
        "flicker": 100 * flicker(list(result), list(truth)) if still else math.nan,
    }


# -- quality -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Case:
    """The last frame of a film, to be looked at; ``psnr`` is LVCD's of the whole film."""

    lines: str
    distance: int
    film: int
    psnr: float
    row: Row


def quality(settings: Settings) -> tuple[list[Record], dict[str, Image.Image]]:
    """Every method on every hand and distance; sheets by hand, and the worst cases."""
    jobs = [partial(_cell, settings, lines, distance) for lines in HANDS for distance in DISTANCES]
    found = spread("quality", jobs, settings.workers)
    cases = [case for _, some in found for case in some]
    sheets = {lines: [c.row for c in cases if c.lines == lines and c.film < 2] for lines in HANDS}
    worst = {case.film: case for case in sorted(cases, key=lambda c: -c.psnr)}  # of every film its worst
    sheets["worst"] = [case.row for case in sorted(worst.values(), key=lambda c: c.psnr)[:6]]
    records = [record for some, _ in found for record in some]
    return records, {name: sheet(VIEWS, rows) for name, rows in sheets.items()}


def _cell(settings: Settings, lines: str, distance: int) -> tuple[list[Record], list[Case]]:
    records: list[Record] = []
    cases = []
    for number, film in enumerate(films(settings, lines, distance, settings.films, FRAMES)):
        results = {name: color(method, film.shot) for name, method in painters(settings).items()}
        place = {"lines": lines, "distance": distance, "film": number}
        some = [{"method": name, **place, **measure(result, film.truth)} for name, result in results.items()]
        records += some
        last = {name: psnr(squared_error(frames[-1], film.truth[-1])) for name, frames in results.items()}
        told = ", ".join(f"{name} {value:.1f}" for name, value in last.items())
        caption = f"film {number}, {lines} lines, {distance + FRAMES - 1} frames away: {told} dB"
        drawn = np.repeat(1 - film.shot.lines[-1][..., None], 3, -1)
        painting = film.shot.references[0].rgb
        views = [painting, drawn, results["matcher"][-1], results[OURS][-1], film.truth[-1]]
        row = Row(caption, [quantize(view, 8) for view in views])
        cases.append(Case(lines, distance, number, some[0]["psnr"], row))
    return records, cases


# -- steps ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Setting:
    """How LVCD is run.

    Attributes:
        steps: calls of the network a window.
        solver: one of `celpaint.sampling.solvers.SOLVERS`.
        draft: ``none`` or ``matcher``.
        sigma: noise level the draft is brought to; None: from noise alone.
    """

    steps: int
    solver: str
    draft: str
    sigma: float | None = None


def steps(settings: Settings) -> list[Record]:
    """Settings of the sampler, all on the same films, in this process alone so that the clock tells."""
    each = max(1, settings.films // 4)
    tried = [film for lines, distance in TRIED for film in films(settings, lines, distance, each, WINDOW)]
    named = {recommended(settings): "recommended by the weights", recommended(settings, preview=True): "--preview"}
    draft = next(iter(named)).draft
    color(configured(settings, Setting(1, "euler", draft)), tried[0].shot)  # warms up
    wanted = [Setting(n, "euler", draft) for n in (1, 2, 4, 6, 10, 16)]
    wanted += [Setting(n, "dpmpp_2m", draft) for n in (2, 4, 6, 10)]

    def attempt(setting: Setting) -> list[Record]:
        start = "noise" if setting.sigma is None else f"{setting.sigma:g}"
        told = {"draft": setting.draft, "start": start, "solver": setting.solver, "steps": setting.steps}
        print(f"steps: {told}", file=sys.stderr)
        return timed(configured(settings, setting), tried, {"name": named.get(setting, ""), **told})

    records = [record for setting in wanted for record in attempt(setting)]
    solver = choose(trials(records)).solver
    rest = [Setting(n, solver, "matcher", sigma) for sigma in (0.5, 1.0, 2.0, 5.0, 10.0) for n in (1, 2, 4)]
    rest += [setting for setting in named if setting not in {*wanted, *rest}]
    records += [record for setting in rest for record in attempt(setting)]
    alone = {"name": "the matcher alone", "draft": "matcher", "start": "-", "solver": "-", "steps": 0}
    return records + timed(painters(settings)["matcher"], tried, alone)


def timed(method: Method, tried: Sequence[Film], told: Record) -> list[Record]:
    """Figures and seconds a frame, film by film."""
    records = []
    for number, film in enumerate(tried):
        began = time.perf_counter()
        result = color(method, film.shot)
        seconds = (time.perf_counter() - began) / len(film.truth)
        records.append({**told, "film": number, "seconds": seconds, **measure(result, film.truth)})
    return records


def configured(settings: Settings, setting: Setting) -> LVCD:
    """LVCD under a setting."""
    card = Card.read(find_weights("lvcd", settings.weights))
    sigma = setting.sigma or card.sigma_max  # at the highest level a draft is drowned in noise
    method = LVCD.load(
        lvcd_options(settings, size=settings.size, steps=setting.steps, draft=setting.draft, draft_sigma=sigma)
    )
    solver: Any = setting.solver
    method.networks = replace(method.networks, card=replace(method.networks.card, solver=solver))
    return method


def recommended(settings: Settings, **options: Any) -> Setting:
    """How LVCD is run where nothing is said; a single step is the same with every solver."""
    method = LVCD.load(lvcd_options(settings, size=settings.size, **options))
    card, count, start = method.networks.card, len(method.sigmas) - 1, method.sigmas[0]
    from_noise = method.drafter is None or math.isclose(start, card.sigma_max, rel_tol=1e-6)
    draft = "none" if method.drafter is None else "matcher"
    return Setting(count, card.solver if count > 1 else "euler", draft, None if from_noise else float(f"{start:g}"))


# -- the example shot ----------------------------------------------------------------------------------------------


def demo(settings: Settings, shot: Path) -> tuple[list[Record], Image.Image]:
    """The shot colored from end to end, beside the matcher and copying.

    Args:
        shot: a folder with ``lines``, ``original`` and ``reference.png``, the first frame painted.
    """
    original = [flatten(frame) for frame in open_clip(shot / "original")]
    drawn = [flatten(frame) for frame in open_clip(shot / "lines")]
    moves = runpy.run_path(str(EXAMPLES / "demo.py"))["MOVES"]
    moving = np.any([np.abs(frame - original[0]).max(-1) > moves for frame in original], axis=0)
    methods: dict[str, ComputeOptions] = {
        OURS: lvcd_options(settings),
        "matcher": MatcherOptions(device=settings.device),
    }
    results: dict[str, list[Array]] = {}
    records: list[Record] = []
    for name, options in methods.items():
        began = time.perf_counter()
        frames = celpaint.colorize(shot / "lines", reference=shot / "reference.png", method=options)
        results[name] = [to_float(quantize(flatten(frame), 8)) for frame in frames]
        seconds = (time.perf_counter() - began) / len(original)
        records.append({"method": name, "seconds": seconds, **shot_figures(results[name], original, moving)})
    copied = [flatten(read_picture(shot / "reference.png")[0])] * len(original)
    records.append({"method": "copy", "seconds": math.nan, **shot_figures(copied, original, moving)})
    errors = [squared_error(a[moving], b[moving]) for a, b in zip(results[OURS], original, strict=True)]
    worst = int(np.argmax(errors))
    chosen = sorted({*np.linspace(0, len(original) - 1, 5).round().astype(int).tolist(), worst})
    rows = [
        Row(
            f"frame {i + 1}, moving parts {psnr(errors[i]):.1f} dB" + ", the worst" * (i == worst),
            [quantize(clip[i], 8) for clip in (drawn, results["matcher"], results[OURS], original)],
        )
        for i in chosen
    ]
    return records, sheet(("lines", "matcher", OURS, "original"), rows)


def shot_figures(result: Sequence[Array], original: Sequence[Array], moving: np.ndarray) -> Record:
    """Figures pooled over all frames but the first, which was given painted; flicker over all.

    Args:
        result, original: ``H W 3``.
        moving: ``H W``, the pixels that ever change.
    """
    pairs = list(zip(result, original, strict=True))[1:]
    right = [np.abs(a - b).max(-1)[moving] < RIGHT for a, b in pairs]
    return {
        "psnr": psnr(float(np.mean([squared_error(a, b) for a, b in pairs]))),
        "psnr_moving": psnr(float(np.mean([squared_error(a[moving], b[moving]) for a, b in pairs]))),
        "right": 100 * float(np.mean(right)),
        "flicker": 100 * flicker(list(result), list(original)),
    }


# -- the command ---------------------------------------------------------------------------------------------------


def main() -> None:
    chosen = arguments()
    settings = Settings(
        chosen.art, chosen.weights, chosen.device, chosen.dtype, tuple(chosen.size), chosen.films, chosen.workers
    )
    for folder in filter(None, (chosen.out, chosen.docs and chosen.docs.parent / "images")):
        folder.mkdir(parents=True, exist_ok=True)
    pictures: dict[str, Image.Image] = {}
    for part in chosen.parts:
        records, seen = run(part, settings, chosen.shot)
        store(chosen.out / f"{part}.json", {"about": about(part, settings), "records": records})
        for name, picture in seen.items():
            save(picture, chosen.out / f"{name}.webp")
        pictures |= seen
    kept = {part: load(chosen.out / f"{part}.json") for part in PARTS if (chosen.out / f"{part}.json").exists()}
    text = report({part: (found["about"], found["records"]) for part, found in kept.items()})
    (chosen.out / "figures.md").write_text(text, encoding="utf-8")
    print(text)
    if chosen.docs:
        images = chosen.docs.parent / "images"
        for name in PICTURES.keys() & pictures.keys():
            save(pictures[name], images / f"lvcd-small-{name}.webp")
        text += gallery(images)
        chosen.docs.write_text(insert(chosen.docs.read_text(encoding="utf-8"), "figures", text), encoding="utf-8")


def run(part: str, settings: Settings, shot: Path) -> tuple[list[Record], dict[str, Image.Image]]:
    """The records of a part, and its sheets by name."""
    if part == "quality":
        return quality(settings)
    if part == "steps":
        return steps(settings), {}
    records, picture = demo(settings, shot)
    return records, {"demo": picture}


def gallery(images: Path) -> str:
    """The published sheets that are there, as Markdown for a document beside their folder."""
    there = {name: about for name, about in PICTURES.items() if (images / f"lvcd-small-{name}.webp").exists()}
    shown = [f"{about}:\n\n![{about}](images/lvcd-small-{name}.webp)\n" for name, about in there.items()]
    return "\n".join(["", "### In pictures\n", *shown]) if shown else ""


def about(part: str, settings: Settings) -> str:
    """What was measured, on what."""
    host, height, width = machine(settings.device), *settings.size
    cells = " and ".join(f"{lines} lines {distance} frames away" for lines, distance in TRIED)
    held = f"Films of held-out drawings, {width}x{height}"
    what = {
        "quality": f"{held}, {FRAMES} frames in a row, {settings.films} films a cell, mean ± standard error over them.",
        "steps": f"{held}, {WINDOW} frames in a row, {max(1, settings.films // 4)} of each of {cells}.",
        "demo": "`examples/dancer`, 36 frames on twos.",
    }
    method, digest = LVCD.load(lvcd_options(settings)), weights_digest(lvcd_options(settings))[:12]
    dtype = str(method.dtype).removeprefix("torch.")
    threads = max((os.cpu_count() or 1) // settings.workers, 1) if part == "quality" else torch.get_num_threads()
    workers = f"{settings.workers} processes of {threads}" if part == "quality" else f"{threads}"
    return (
        f"{what[part]} {datetime.now(UTC):%Y-%m-%d %H:%M} UTC, commit {commit() or 'unknown'}, weights "
        f"'{settings.weights}' ({digest}), {dtype}. {host['processor']}, GPU {host['GPU']}, torch "
        f"{host['torch']}, {workers} threads."
    )


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(PARTS)}; all of them by default")
    parser.add_argument("--art", type=Path, default=Path("build/art.safetensors"), help="the file of drawings, or toy")
    parser.add_argument("--films", type=int, default=8, help="a hand and distance; a quarter of them for steps")
    parser.add_argument("--size", type=int, nargs=2, default=(192, 320), metavar=("HEIGHT", "WIDTH"))
    parser.add_argument("--weights", default="small")
    parser.add_argument("--dtype", default="auto")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--shot", type=Path, default=EXAMPLES / "dancer")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="processes; one a core by default")
    parser.add_argument("--out", type=Path, default=Path("build/validate/small"))
    parser.add_argument("--docs", type=Path, help="a document to renew")
    chosen = parser.parse_args()
    if unknown := sorted(set(chosen.parts) - set(PARTS)):
        parser.error(f"there is no part '{unknown[0]}'; there are {', '.join(PARTS)}")
    chosen.parts = chosen.parts or PARTS
    return chosen


if __name__ == "__main__":
    try:
        main()
    except CelpaintError as error:
        sys.exit(f"validate_lvcd.py: {error}")
