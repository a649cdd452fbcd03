"""What LVCD small can do: quality on held-out drawings, steps against time, the example shot; ``make validate-small``.

    python benchmarks/validate_lvcd.py
    python benchmarks/validate_lvcd.py --clips 2 --only quality --weights runs/lvcd_small/export

Writes into ``--out``: ``tables.md``, numbers as JSON, contact sheets. ``--page FILE`` puts the tables between
``<!-- figures -->`` and ``<!-- /figures -->`` of a document.

- *quality*: films of 8 frames in a row, the first of them 1, 15 or 45 frames from the painting, in four hands; the
  same films for all hands and methods.
- *steps*: settings of the sampler on some of these films; seconds are those of whole windows of 14 frames.
- *demo*: the example shot, finished as `celpaint colorize` finishes it.

What an earlier run wrote is kept for the parts that are not run again.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont

import celpaint
from celpaint.data.synthetic import HANDS, Art, toy_art, validation_clips
from celpaint.errors import CelpaintError, WeightsError
from celpaint.frames.colour import quantise
from celpaint.frames.read import open_clip, read_picture
from celpaint.methods.base import Method, load_method
from celpaint.methods.lvcd import LVCD
from celpaint.methods.options import ComputeOptions, LVCDOptions, MatcherOptions
from celpaint.metrics.base import Metric, Pair
from celpaint.metrics.baselines import ChainedFlow, CopyReference
from celpaint.metrics.frame import PSNR, psnr, squared_error
from celpaint.metrics.perceptual import LPIPSDistance
from celpaint.metrics.sums import Ratio
from celpaint.metrics.temporal import DIS, TemporalConsistency, WarpError
from celpaint.types import Array, Reference, Shot
from celpaint.weights.lvcd import Card
from celpaint.weights.registry import find_weights
from lvcd import processor
from lvcd_tables import (
    OURS,
    Score,
    Setting,
    Trial,
    choose,
    demo_table,
    load,
    preview,
    quality_table,
    steadiness_table,
    steps_table,
    store,
    verdict_table,
    verdicts,
)

PARTS = ("quality", "steps", "demo")
DISTANCES = (1, 15, 45)
TRIED = (("soft", 15), ("binary", 45))
"""Hands and distances that settings are tried on."""
WINDOW = 14
"""Frames LVCD makes at once, however many are asked for."""
SEEN = 8 / 255
"""A change of a channel that is seen."""
RIGHT = 0.08
"""A colour is right where no channel is further off."""


@dataclass(frozen=True)
class Film:
    """A shot with its truth."""

    shot: Shot
    truth: list[Array]


def films(
    art: Art, hand: str, distance: int, size: tuple[int, int], clips: int, frames: int
) -> Iterator[tuple[int, Film]]:
    """Held-out drawings: ``frames`` in a row, the first of them ``distance`` frames from the painting, numbered."""
    height, width = size
    found = validation_clips(art, distance, hand, clips=clips, frames=frames + 1, height=height, width=width)
    for number, clip in enumerate(found):
        colour = [np.ascontiguousarray(frame) for frame in clip.colour[0].permute(0, 2, 3, 1).numpy()]
        lines = list(clip.lines[0, :, 0].numpy())
        yield number, Film(Shot(lines[1:], (Reference(colour[0], lines[0], None),), size), colour[1:])


def colour(method: Method, shot: Shot) -> tuple[list[Array], float]:
    """The drawings coloured, and seconds a drawing."""
    began = time.perf_counter()
    result = [painted.rgb for chunk in method.colour(shot) for painted in chunk.painted]
    return result, (time.perf_counter() - began) / len(shot)


class Ruler:
    """Metrics at the films' own size. LPIPS needs a network that is fetched once; without it, it is NaN."""

    def __init__(self) -> None:
        self.flow = DIS()
        self.metrics: dict[str, Metric] = {
            "psnr": PSNR(), "tc": TemporalConsistency(self.flow), "warp": WarpError(self.flow)
        }  # fmt: skip
        try:
            self.metrics["lpips"] = LPIPSDistance("alex")
        except WeightsError as error:
            print(f"no LPIPS: {error}", file=sys.stderr)

    def measure(self, result: Sequence[Array], truth: Sequence[Array]) -> dict[str, float]:
        """Figures of a clip."""
        pairs: list[Pair] = []
        for index, (ours, true) in enumerate(zip(result, truth, strict=True)):
            pair = Pair(index, ours, true)
            if pairs:
                before = pairs[-1].original
                pair = replace(pair, back=self.flow.between(true, before), forth=self.flow.between(before, true))
            pairs.append(pair)
        figures = {"lpips": np.nan, "flicker": flicker(result, truth)}
        for name, metric in self.metrics.items():
            sums = [metric.measure(pairs[max(i - 1, 0) : i + 1]) for i in range(len(pairs))]
            counted = [s for s in sums if s is not None]
            values = metric.figures_of(sum(counted[1:], counted[0])) if counted else (np.nan, np.nan)
            figures[name] = float(values[0])
            if name == "warp":
                figures["warp_truth"] = float(values[1])
        return figures


def flicker(result: Sequence[Array], truth: Sequence[Array]) -> float:
    """Per cent of the pixels that stand still in the truth from one frame to the next and visibly change in the result;
    NaN where nothing stands still.
    """
    total = Ratio()
    for (a, b), (x, y) in zip(pairwise(result), pairwise(truth), strict=True):
        still = np.abs(x - y).max(-1) < 1 / 255
        total += Ratio(float((np.abs(a - b).max(-1)[still] > SEEN).sum()), float(still.sum()))
    return 100 * total.value


# -- the parts -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Row:
    """A row of a contact sheet: pictures ``H W 3`` uint8, and what is to be known of it."""

    hand: str
    distance: int
    clip: int
    psnr: float
    caption: str
    pictures: list[np.ndarray]


def quality(given: argparse.Namespace, ruler: Ruler) -> list[Score]:
    """Every method on every hand and distance; contact sheets beside."""
    art = drawings(given.art)
    height, width = given.size
    methods: dict[str, Method] = {
        OURS: load_method(LVCDOptions(size=(width, height), **compute(given))),
        "matcher": load_method(MatcherOptions(device=given.device, dtype=given.dtype)),
        "flow": ChainedFlow(),
        "copy": CopyReference(),
    }
    scores: list[Score] = []
    rows: list[Row] = []
    for hand in given.hands:
        for distance in DISTANCES:
            for number, film in films(art, hand, distance, given.size, given.clips, given.frames):
                results = {}
                for name, method in methods.items():
                    results[name], seconds = colour(method, film.shot)
                    figures = ruler.measure(results[name], film.truth) | {"seconds": seconds}
                    scores.append(Score(name, hand, distance, number, figures))
                rows.append(row(hand, distance, number, film, results, scores[-len(methods) :]))
            print(f"{hand} lines, {distance} frames away: done", file=sys.stderr, flush=True)
    head = ("painting", "lines", "matcher", OURS, "truth")
    for hand in given.hands:
        shown = [r for r in rows if r.hand == hand and r.clip < 2]
        write_sheet(given.out / f"{hand}.png", head, [(r.caption, r.pictures) for r in shown])
    worst = {r.clip: r for r in sorted(rows, key=lambda r: -r.psnr)}  # of every film its worst
    kept = sorted(worst.values(), key=lambda r: r.psnr)[:6]
    write_sheet(given.out / "worst.png", head, [(r.caption, r.pictures) for r in kept])
    return scores


def row(
    hand: str, distance: int, number: int, film: Film, results: dict[str, list[Array]], scores: Sequence[Score]
) -> Row:
    """The last frame of a clip."""
    reference, line = film.shot.references[0], film.shot.lines[-1]
    shown = [reference.rgb, np.repeat(1 - line[..., None], 3, -1), results["matcher"][-1], results[OURS][-1]]
    found = {name: psnr(squared_error(frames[-1], film.truth[-1])) for name, frames in results.items()}
    told = ", ".join(f"{name} {value:.1f}" for name, value in found.items())
    caption = f"film {number}, {hand} lines, {distance + len(film.truth) - 1} frames away: {told} dB"
    pictures = [quantise(picture, 8) for picture in (*shown, film.truth[-1])]
    return Row(hand, distance, number, scores[0].figures["psnr"], caption, pictures)


def steps(given: argparse.Namespace, ruler: Ruler) -> list[Trial]:
    """Settings of the sampler, all on the same films."""
    art = drawings(given.art)
    each = max(1, given.clips // 4)
    tried = [film for hand, away in TRIED for _, film in films(art, hand, away, given.size, each, WINDOW)]

    def trial(setting: Setting) -> Trial:
        method = lvcd(given, setting)
        figures = []
        for film in tried:
            result, seconds = colour(method, film.shot)
            figures.append(ruler.measure(result, film.truth) | {"seconds": seconds})
        done = Trial(setting, figures)
        print(f"{setting}: {done.mean('psnr'):.2f} dB, {done.mean('seconds'):.2f} s", file=sys.stderr, flush=True)
        return done

    known = [lvcd(given, None), lvcd(given, None, preview=True)]
    colour(known[1], tried[0].shot)  # warms up
    recommended, quick = (own_setting(m, n) for m, n in zip(known, ("the default", "--preview"), strict=True))
    draft = recommended.draft
    wanted = [Setting("", n, "euler", draft, None) for n in (1, 2, 4, 6, 10, 16)]
    wanted += [Setting("", n, "dpmpp_2m", draft, None) for n in (2, 4, 6, 10)]
    trials = [trial(s) for s in wanted]
    solver = choose(trials).setting.solver
    wanted = [Setting("", n, solver, "matcher", sigma) for sigma in (0.5, 1.0, 2.0, 5.0, 10.0) for n in (1, 2, 4)]
    if draft != "none":
        wanted += [Setting("", n, solver, "none", None) for n in (4, 10)]
    trials += [trial(s) for s in wanted]
    for named in (recommended, quick):
        alike = [i for i, t in enumerate(trials) if replace(t.setting, name="") == replace(named, name="")]
        if alike:
            trials[alike[0]] = replace(trials[alike[0]], setting=named)
        else:
            trials.append(trial(named))
    return trials


def lvcd(given: argparse.Namespace, setting: Setting | None, **options: Any) -> LVCD:
    """LVCD under a setting, None: as its card has it."""
    height, width = given.size
    base = LVCDOptions(size=(width, height), **options, **compute(given))
    if setting is None:
        method = load_method(base)
    else:
        card = Card.read(find_weights("lvcd", given.weights))
        sigma = setting.sigma or card.sigma_max  # at the highest level a draft is drowned in noise
        method = load_method(replace(base, steps=setting.steps, draft=setting.draft, draft_sigma=sigma))
    assert isinstance(method, LVCD)
    if setting is not None:
        card = replace(method.networks.card, solver=setting.solver)
        method.networks = replace(method.networks, card=card)
    return method


def own_setting(method: LVCD, name: str) -> Setting:
    """How a method is run."""
    card, start = method.networks.card, method.sigmas[0]
    return Setting(
        name,
        len(method.sigmas) - 1,
        card.solver if len(method.sigmas) > 2 else "euler",  # one step is the same with both
        "none" if method.drafter is None else "matcher",
        None if start >= card.sigma_max else start,
    )


def demo(given: argparse.Namespace) -> dict[str, dict[str, float]]:
    """The example shot, coloured from end to end and finished."""
    shot = Path(given.shot)
    original = [frame.rgb for frame in open_clip(shot / "original")]
    painted = read_picture(shot / "reference.png")[0].rgb
    moving = np.zeros(original[0].shape[:2], bool)
    for frame in original:
        moving |= np.abs(frame - original[0]).max(-1) > SEEN
    methods: dict[str, ComputeOptions] = {
        OURS: LVCDOptions(**compute(given)),
        "matcher": MatcherOptions(device=given.device, dtype=given.dtype),
    }
    results, found = {}, {}
    for name, options in methods.items():
        began = time.perf_counter()
        frames = celpaint.colorize(shot / "lines", reference=shot / "reference.png", method=options)
        results[name] = [frame.rgb for frame in frames]
        seconds = (time.perf_counter() - began) / len(original)
        found[name] = shot_figures(results[name], original, moving) | {"seconds": seconds}
    found["copy"] = shot_figures([painted] * len(original), original, moving) | {"seconds": np.nan}
    lines = [frame.rgb for frame in open_clip(shot / "lines")]
    errors = [squared_error(a[moving], b[moving]) for a, b in zip(results[OURS], original, strict=True)]
    chosen = sorted({*np.linspace(0, len(original) - 1, 5).round().astype(int).tolist(), int(np.argmax(errors))})
    rows = [
        (
            f"frame {i + 1}, moving parts {psnr(errors[i]):.1f} dB" + (", the worst" if i == np.argmax(errors) else ""),
            [quantise(clip[i], 8) for clip in (lines, results["matcher"], results[OURS], original)],
        )
        for i in chosen
    ]
    write_sheet(given.out / "demo.png", ("lines", "matcher", OURS, "original"), rows)
    return found


def shot_figures(result: Sequence[Array], original: Sequence[Array], moving: np.ndarray) -> dict[str, float]:
    """Figures of a shot, pooled over all frames but the first, which was given painted.

    Args:
        result, original: ``H W 3``.
        moving: ``H W``, the pixels that ever change.
    """
    pairs = list(zip(result, original, strict=True))[1:]
    right = [np.abs(a - b).max(-1)[moving] < RIGHT for a, b in pairs]
    return {
        "psnr": psnr(float(np.mean([squared_error(a, b) for a, b in pairs]))),
        "psnr_moving": psnr(float(np.mean([squared_error(a[moving], b[moving]) for a, b in pairs]))),
        "right_moving": 100 * float(np.mean(right)),
        "flicker": flicker(result, original),
    }


# -- what is written -----------------------------------------------------------------------------------------------


def write_sheet(path: Path, head: Sequence[str], rows: Sequence[tuple[str, Sequence[np.ndarray]]]) -> None:
    """Rows of pictures of one size, each under its caption, the columns named above."""
    height, width = rows[0][1][0].shape[:2]
    gap, text = 4, 22
    whole = Image.new("RGB", (len(head) * (width + gap), text + len(rows) * (height + text + gap)), "white")
    pen, font = ImageDraw.Draw(whole), ImageFont.load_default(14)
    for column, name in enumerate(head):
        pen.text((column * (width + gap) + width // 2, text // 2), name, fill="black", font=font, anchor="mm")
    for number, (caption, pictures) in enumerate(rows):
        top = text + number * (height + text + gap)
        pen.text((4, top + text // 2), caption, fill="black", font=font, anchor="lm")
        for column, picture in enumerate(pictures):
            whole.paste(Image.fromarray(picture), (column * (width + gap), top + text))
    whole.save(path, optimize=True)


def tables(out: Path) -> str:
    """All that is there of this and earlier runs, as Markdown."""
    found = {part: load(out / f"{part}.json") for part in PARTS if (out / f"{part}.json").exists()}
    about = {part: f"{kept['about']}\n" for part, kept in found.items()}
    scores = [Score(**s) for s in found.get("quality", {}).get("found", [])]
    trials = [Trial(Setting(**t["setting"]), t["figures"]) for t in found.get("steps", {}).get("found", [])]
    shot = found.get("demo", {}).get("found", {})
    pieces = ["### Targets\n", verdict_table(verdicts(scores, shot))]
    if scores:
        pieces += ["### Quality\n", about["quality"], quality_table(scores)]
        pieces += ["### From frame to frame\n", "Mean over all hands.\n", steadiness_table(scores)]
    if trials:
        pieces += ["### Steps, solver and start\n", about["steps"], steps_table(trials), picked(trials)]
    if shot:
        pieces += ["### The example shot\n", about["demo"], demo_table(shot)]
    return "\n".join(pieces)


def picked(trials: Sequence[Trial]) -> str:
    """The choice in words."""
    best, quick = choose(trials), preview(trials)
    told = [f"Default: {said(best.setting)}."]
    if quick is not None:
        told.append(f"Preview: {said(quick.setting)}.")
    return " ".join(told) + "\n"


def said(s: Setting) -> str:
    start = "from noise" if s.sigma is None else f"from sigma {s.sigma:g}"
    return f"{s.steps} step{'s' * (s.steps > 1)} of `{s.solver}` {start}, draft {s.draft}"


# -- the command ---------------------------------------------------------------------------------------------------


def compute(given: argparse.Namespace) -> dict[str, Any]:
    """Which weights, where and how."""
    return {"weights": given.weights, "device": given.device, "dtype": given.dtype}


def drawings(path: str) -> Art:
    """The whole collection."""
    return toy_art() if path == "toy" else Art.load(Path(path))


def machine(given: argparse.Namespace, what: str) -> str:
    """How figures were made."""
    method = lvcd(given, None)
    gpu = method.device.type == "cuda"
    where = torch.cuda.get_device_name(method.device) if gpu else f"{processor()}, {torch.get_num_threads()} threads"
    dtype = str(method.dtype).removeprefix("torch.")
    return f"{what}. {where}, {dtype}, torch {torch.__version__}, {datetime.now(UTC):%Y-%m-%d}."


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", default="small")
    parser.add_argument("--art", default="build/art.safetensors", help="a file of drawings, or toy")
    parser.add_argument("--shot", default="examples/dancer")
    parser.add_argument("--out", type=Path, default=Path("build/validate/small"))
    parser.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--clips", type=int, default=8, help="films a hand and distance; a quarter of it for steps")
    parser.add_argument("--frames", type=int, default=8, help="frames a film")
    parser.add_argument("--hands", nargs="+", choices=HANDS, default=["soft", "clean", "binary", "thick"])
    parser.add_argument("--size", default="320x192", metavar="WIDTHxHEIGHT")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--dtype", default="auto")
    given = parser.parse_args()
    width, height = map(int, given.size.split("x"))
    given.size = height, width
    given.out.mkdir(parents=True, exist_ok=True)
    ruler = Ruler()
    at = f"{width}x{height}"
    if "quality" in given.only:
        found = quality(given, ruler)
        what = f"{given.clips} held-out films of {given.frames} frames a row, {at}, mean ± standard error"
        store(given.out / "quality.json", {"about": machine(given, what), "found": found})
    if "steps" in given.only:
        trials = steps(given, ruler)
        cells = " and ".join(f"{hand} lines {distance} frames away" for hand, distance in TRIED)
        what = f"{len(trials[0].figures)} held-out films of {WINDOW} frames, {cells}, {at}"
        store(given.out / "steps.json", {"about": machine(given, what), "found": trials})
    if "demo" in given.only:
        store(given.out / "demo.json", {"about": machine(given, f"`{given.shot}`"), "found": demo(given)})
    text = tables(given.out)
    (given.out / "tables.md").write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    try:
        main()
    except (CelpaintError, KeyboardInterrupt) as error:
        sys.exit(f"celpaint: {error}")
