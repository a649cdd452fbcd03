"""What was measured of LVCD small -> tables, verdicts and choices: the Markdown that goes into its document."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from celpaint.benchmark.tables import Record, by_columns, by_distance, cell, markdown_table, mean_and_error

__all__ = ["OURS", "Trial", "Verdict", "aims", "choose", "preview", "report", "trials", "verdicts"]


OURS = "LVCD small"
NAMES = {"flow-chained": "optical flow, chained", "copy": "copying"}
"""Of the baselines; see docs/guide/benchmark.md."""
DECIBELS, SHARE = 0.2, 0.05
"""A setting is as good as the best where it misses no more than this in PSNR, and this share in LPIPS."""


def report(found: dict[str, tuple[str, list[Record]]]) -> str:
    """Markdown.

    Args:
        found: by part, how it was measured and the records.
    """
    records = {part: [{**r, "method": NAMES.get(r.get("method", ""), r.get("method", ""))} for r in some]
               for part, (_, some) in found.items()}  # fmt: skip
    written = {"quality": _quality, "steps": _steps, "demo": _demo}
    sections = ["### Targets", aims(records.get("quality", []), records.get("demo", []))]
    for part, write in written.items():
        if part in found:
            head, *rest = write(records[part])
            sections += [head, found[part][0], *rest]
    return "\n\n".join(sections) + "\n"


def mean(records: Sequence[Record], figure: str, **wanted: object) -> float:
    """Over the films of the records that have these values; NaN if there are none."""
    return mean_and_error([r[figure] for r in records if all(r[key] == value for key, value in wanted.items())])[0]


# -- quality and the example shot ----------------------------------------------------------------------------------


def _quality(records: Sequence[Record]) -> list[str]:
    ours, drafts = ([r for r in records if r["method"] == method] for method in (OURS, "matcher"))
    gained = [
        {**r, "psnr": r["psnr"] - other["psnr"], "lpips": r["lpips"] - other["lpips"]}
        for r, other in zip(ours, drafts, strict=True)
    ]
    truth = [{**r, "method": "ground truth", "tc": 1.0, "warp": r["warp_truth"], "flicker": 0.0} for r in ours]
    moving = sorted([*records, *truth], key=lambda r: int(r["distance"]))
    return [
        "### Quality",
        "PSNR in dB, as the networks paint, without the artist's lines laid over. One frame away most drawings are "
        "held still, and copying them is nearly exact.",
        by_distance(records, ("lines", "method"), "psnr", 1),
        "LPIPS (AlexNet), lower is better:",
        by_distance(records, ("lines", "method"), "lpips", 3),
        "LVCD small minus the matcher, by film, with the standard error of the difference; PSNR in dB, then LPIPS:",
        by_distance(gained, ("lines",), "psnr", 2),
        by_distance(gained, ("lines",), "lpips", 4),
        "From each frame to the next, all line styles together. TC: 1 = as consistent as the ground truth. Warp error "
        "in units of 1e-4. Flicker: of the pixels that stay exactly as they are in the ground truth, those that change "
        "by more than 8/255.",
        by_columns(
            [{**r, "frames away": r["distance"]} for r in moving],
            ("frames away", "method"),
            {"tc": ("TC", 2), "warp": ("warp error", 1), "flicker": ("flicker, %", 2)},
        ),
    ]


def _demo(records: Sequence[Record]) -> list[str]:
    return [
        "### Example shot",
        "Colored as a user would, with the artist's lines laid over. PSNR in dB; *right*: of the pixels of moving "
        "parts, those with all channels within 0.08.",
        by_columns(
            records,
            ("method",),
            {
                "psnr": ("PSNR", 1),
                "psnr_moving": ("PSNR, moving parts", 1),
                "right": ("right, %", 1),
                "flicker": ("flicker, %", 3),
                "seconds": ("s per frame", 2),
            },
        ),
    ]


# -- steps ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Trial:
    """The records of one setting, film by film; all trials are of the same films.

    Attributes:
        draft: ``none`` or ``matcher``.
        start: ``noise``, or the noise level the draft is brought to.
        solver: one of `celpaint.sampling.solvers.SOLVERS`.
        steps: calls of the network a window; 0: the draft itself.
        records: of the films.
    """

    draft: str
    start: str
    solver: str
    steps: int
    records: list[Record]

    def values(self, figure: str) -> list[float]:
        return [record[figure] for record in self.records]

    def mean(self, figure: str) -> float:
        return mean_and_error(self.values(figure))[0]

    def shown(self, figure: str, digits: int) -> str:
        return "-" if math.isnan(self.mean(figure)) else f"{self.mean(figure):.{digits}f}"

    def __str__(self) -> str:
        start = "noise" if self.start == "noise" else f"sigma {self.start}"
        draft = "no draft" if self.draft == "none" else f"the {self.draft}'s draft"
        return f"{self.steps} step{'s' * (self.steps > 1)} of `{self.solver}` from {start}, {draft}"


def trials(records: Sequence[Record]) -> list[Trial]:
    """By setting, in the order they were tried."""
    groups: dict[tuple[str, str, str, int], list[Record]] = {}
    for r in records:
        groups.setdefault((r["draft"], r["start"], r["solver"], r["steps"]), []).append(r)
    return [Trial(*setting, some) for setting, some in groups.items()]


def fault(trial: Trial, others: Sequence[Trial]) -> float:
    """How far a trial is from the best of all; up to 1 is as good."""
    sharpest = min((t.mean("lpips") for t in others if not math.isnan(t.mean("lpips"))), default=math.nan)
    behind = (max(t.mean("psnr") for t in others) - trial.mean("psnr")) / DECIBELS
    unlike = (trial.mean("lpips") / sharpest - 1) / SHARE
    return behind if math.isnan(unlike) else max(behind, unlike)


def choose(tried: Sequence[Trial]) -> Trial:
    """The quickest that is as good as the best by PSNR and by LPIPS, of those as quick within a tenth the best; where
    none is as good, the one that misses least.
    """
    bound = max(1.0, min(fault(t, tried) for t in tried))
    good = [t for t in tried if fault(t, tried) <= bound]
    quickest = min(t.mean("seconds") for t in good)
    return min((t for t in good if t.mean("seconds") <= 1.1 * quickest), key=lambda t: fault(t, tried))


def preview(tried: Sequence[Trial]) -> Trial | None:
    """Of those with one step, the one that misses least."""
    single = [t for t in tried if t.steps == 1]
    return min(single, key=lambda t: fault(t, single), default=None)


def _steps(records: Sequence[Record]) -> list[str]:
    shown = trials(records)
    tried = [t for t in shown if t.steps]
    best = max(tried, key=lambda t: t.mean("psnr"))
    chosen, quick = choose(tried), preview(tried)
    rows = []
    for t in shown:
        behind = [{"behind": a - b} for a, b in zip(best.values("psnr"), t.values("psnr"), strict=True)]
        notes = [t.records[0].get("name", ""), "**default**" * (t is chosen), "**preview**" * (t is quick)]
        rows.append(
            [
                t.draft,
                t.start,
                t.solver,
                str(t.steps or "-"),
                t.shown("psnr", 2),
                cell(behind, "behind", 2),
                *(t.shown(name, digits) for name, digits in (("lpips", 4), ("flicker", 2), ("seconds", 2))),
                ", ".join(filter(None, notes)),
            ]
        )
    heads = ["draft", "start", "solver", "steps", "PSNR", "behind the best", "LPIPS", "flicker, %", "s per frame", ""]
    picked = f"Default: {chosen}." + ("" if quick is None else f" Preview: {quick}.")
    for draft in (t for t in shown if not t.steps):
        better = {"PSNR": chosen.mean("psnr") > draft.mean("psnr"), "LPIPS": chosen.mean("lpips") < draft.mean("lpips")}
        named = [figure for figure, held in better.items() if held]
        picked += (
            f" The result is better than the draft in {' and '.join(named) if named else 'neither PSNR nor LPIPS'}."
        )
    return [
        "### Steps, solver and start",
        "Seconds are those of whole windows. Films are the same for all settings, so *behind the best*, with the "
        "standard error of the difference, is more precise than the PSNR. A setting counts as good as the best if it "
        f"loses at most {DECIBELS} dB and {SHARE:.0%} of LPIPS; the fastest of these is the default.",
        markdown_table(heads, rows, left=3),
        picked,
    ]


# -- what was aimed at ---------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Verdict:
    """A target beside what was measured; ``met`` is None where it was not."""

    target: str
    measured: str
    met: bool | None


def verdicts(quality: Sequence[Record], demo: Sequence[Record]) -> list[Verdict]:
    """Every target, met only where every line style and distance that was measured meets it."""
    styles = list(dict.fromkeys(r["lines"] for r in quality))
    distances = list(dict.fromkeys(r["distance"] for r in quality))

    def at(lines: str, distance: int, figure: str = "psnr", method: str = OURS) -> float:
        return mean(quality, figure, lines=lines, distance=distance, method=method)

    def judge(target: str, found: dict[str, float], good: Callable[[float], bool], digits: int = 1) -> Verdict:
        known = {name: value for name, value in found.items() if not math.isnan(value)}
        text = ", ".join(f"{name} {value:.{digits}f}" for name, value in known.items())
        return Verdict(target, text or "not measured", all(map(good, known.values())) if known else None)

    def shot(figure: str, method: str = OURS) -> float:
        return mean(demo, figure, method=method)

    copied = {lines: at(lines, 15, method=NAMES["copy"]) for lines in styles}
    alike = {lines: at(lines, 15, "lpips") / at(lines, 15, "lpips", NAMES["copy"]) for lines in styles}
    apart = {f"{d} frame{'s' * (d > 1)}": at("soft", d) - at("binary", d) for d in distances}
    return [
        judge("15 frames away: 6 dB over copying", {s: at(s, 15) - copied[s] for s in styles}, lambda x: x >= 6),
        judge("15 frames away: 22 dB", {s: at(s, 15) for s in styles}, lambda x: x >= 22),
        judge("binary lines no more than 1 dB below soft ones", apart, lambda x: x <= 1),
        judge(
            "45 frames away no more than 1.5 dB below 1 frame",
            {s: at(s, 1) - at(s, 45) for s in styles},
            lambda x: x <= 1.5,
        ),
        judge("15 frames away: LPIPS under half of copying's", alike, lambda x: x < 0.5, 2),
        judge("example shot: under 0.1 % flicker", {"": shot("flicker")}, lambda x: x < 0.1, 3),
        judge(
            "example shot: moving parts 6 dB over copying",
            {"": shot("psnr_moving") - shot("psnr_moving", NAMES["copy"])},
            lambda x: x >= 6,
        ),
        judge("example shot: 90 % of the moving parts right", {"": shot("right")}, lambda x: x >= 90),
    ]


def aims(quality: Sequence[Record], demo: Sequence[Record]) -> str:
    """The verdicts as a table."""
    words = {True: "met", False: "**missed**", None: ""}
    found = verdicts(quality, demo)
    return markdown_table(
        ["target", "reached", ""], [[v.target, v.measured.strip(), words[v.met]] for v in found], left=3
    )
