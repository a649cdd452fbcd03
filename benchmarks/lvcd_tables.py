"""What was measured of LVCD small, as tables, verdicts and choices: pure functions of numbers."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

__all__ = [
    "Estimate",
    "Score",
    "Setting",
    "Trial",
    "Verdict",
    "choose",
    "demo_table",
    "gain",
    "load",
    "mean",
    "preview",
    "quality_table",
    "steadiness_table",
    "steps_table",
    "store",
    "verdict_table",
    "verdicts",
]

OURS = "LVCD small"
DECIBELS, SHARE = 0.2, 0.05
"""A setting is as good as the best where it misses no more than this in PSNR, and this share in LPIPS."""


@dataclass(frozen=True)
class Score:
    """Figures of one clip as one method coloured it; NaN where there was nothing to measure."""

    method: str
    hand: str
    distance: int
    clip: int
    figures: dict[str, float]


@dataclass(frozen=True)
class Setting:
    """How LVCD is run.

    Attributes:
        name: as people call it; "" for one of the grid.
        steps: calls of the network a window.
        solver: one of `celpaint.sampling.solvers.SOLVERS`.
        draft: ``none`` or ``matcher``.
        sigma: noise level the draft is brought to; None: from noise alone.
    """

    name: str
    steps: int
    solver: str
    draft: str
    sigma: float | None


@dataclass(frozen=True)
class Trial:
    """A setting with its figures, clip by clip; all trials are of the same clips."""

    setting: Setting
    figures: list[dict[str, float]]

    def values(self, figure: str) -> list[float]:
        return [clip[figure] for clip in self.figures]

    def mean(self, figure: str) -> float:
        return estimate(self.values(figure)).value


@dataclass(frozen=True)
class Estimate:
    """Mean and its standard error, NaN of fewer than two clips."""

    value: float
    error: float

    def text(self, digits: int = 1) -> str:
        if math.isnan(self.value):
            return "-"
        return f"{self.value:.{digits}f}" + ("" if math.isnan(self.error) else f" ± {self.error:.{digits}f}")


@dataclass(frozen=True)
class Verdict:
    """A target beside what was measured; ``met`` is None where it was not."""

    target: str
    measured: str
    met: bool | None


def estimate(values: Iterable[float]) -> Estimate:
    """Of clips' figures; NaN are left out."""
    kept = np.array([v for v in values if not math.isnan(v)], np.float64)
    if len(kept) == 0:
        return Estimate(math.nan, math.nan)
    error = kept.std(ddof=1) / math.sqrt(len(kept)) if len(kept) > 1 else math.nan
    return Estimate(float(kept.mean()), float(error))


# -- quality -------------------------------------------------------------------------------------------------------


def _clips(scores: Sequence[Score], method: str, hand: str, distance: int, figure: str) -> dict[int, float]:
    found = [s for s in scores if (s.method, s.hand, s.distance) == (method, hand, distance)]
    return {s.clip: s.figures[figure] for s in found}


def mean(scores: Sequence[Score], method: str, hand: str, distance: int, figure: str) -> Estimate:
    """Over the clips of a cell."""
    return estimate(_clips(scores, method, hand, distance, figure).values())


def gain(scores: Sequence[Score], over: str, hand: str, distance: int, figure: str) -> Estimate:
    """Our figure less another method's, clip by clip: its error is that of the difference."""
    ours, others = (_clips(scores, method, hand, distance, figure) for method in (OURS, over))
    return estimate(ours[clip] - others[clip] for clip in ours)


def _axis(scores: Sequence[Score], name: str) -> list[Any]:
    """Methods, hands or distances, in the order they were measured."""
    return list(dict.fromkeys(getattr(score, name) for score in scores))


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


def quality_table(scores: Sequence[Score]) -> str:
    """PSNR and LPIPS of every method, a row a hand and distance."""
    methods = _axis(scores, "method")
    head = ["lines", "frames away", *(f"{m}, dB" for m in methods), *(f"{m}, LPIPS" for m in methods)]
    rows = [
        [
            hand,
            str(distance),
            *(mean(scores, m, hand, distance, "psnr").text() for m in methods),
            *(mean(scores, m, hand, distance, "lpips").text(3) for m in methods),
        ]
        for hand in _axis(scores, "hand")
        for distance in _axis(scores, "distance")
    ]
    return _table(head, rows)


def steadiness_table(scores: Sequence[Score]) -> str:
    """Neighbouring frames: TC (the truth's is 1), warp error beside the truth's, and flicker (the truth's is 0)."""
    methods = _axis(scores, "method")

    def over(method: str, distance: int, figure: str) -> Estimate:
        chosen = [s for s in scores if s.method == method and s.distance == distance]
        return estimate(s.figures[figure] for s in chosen)

    head = ["frames away", "figure", *methods, "truth"]
    rows = []
    for distance in _axis(scores, "distance"):
        truth = over(methods[0], distance, "warp_truth").text(1)
        for name, figure, digits, own in (
            ("TC", "tc", 2, "1"),
            ("warp error, 1e-4", "warp", 1, truth),
            ("flicker, % of still pixels", "flicker", 2, "0"),
        ):
            rows.append([str(distance), name, *(over(m, distance, figure).text(digits) for m in methods), own])
    return _table(head, rows)


# -- steps ---------------------------------------------------------------------------------------------------------


def _fault(trial: Trial, trials: Sequence[Trial]) -> float:
    """How far a trial is from the best; up to 1 is as good."""
    sharpest = min((t.mean("lpips") for t in trials if not math.isnan(t.mean("lpips"))), default=math.nan)
    behind = (max(t.mean("psnr") for t in trials) - trial.mean("psnr")) / DECIBELS
    unlike = (trial.mean("lpips") / sharpest - 1) / SHARE
    return behind if math.isnan(unlike) else max(behind, unlike)


def choose(trials: Sequence[Trial]) -> Trial:
    """The quickest that is as good as the best by PSNR and by LPIPS; where none is, the one that misses least."""
    bound = max(1.0, min(_fault(t, trials) for t in trials))
    return min((t for t in trials if _fault(t, trials) <= bound), key=lambda t: t.mean("seconds"))


def preview(trials: Sequence[Trial]) -> Trial | None:
    """Of those with one step, the one that misses least."""
    single = [t for t in trials if t.setting.steps == 1]
    return min(single, key=lambda t: _fault(t, single), default=None)


def steps_table(trials: Sequence[Trial]) -> str:
    """A row a setting; the error is that of the difference to the best PSNR, the clips being the same."""
    best = max(trials, key=lambda t: t.mean("psnr"))
    chosen, quick = choose(trials), preview(trials)
    rows = []
    for trial in trials:
        s = trial.setting
        behind = estimate(a - b for a, b in zip(best.values("psnr"), trial.values("psnr"), strict=True))
        note = [s.name, *(["**chosen**"] if trial is chosen else []), *(["**preview**"] if trial is quick else [])]
        rows.append(
            [
                s.draft,
                "noise" if s.sigma is None else f"{s.sigma:g}",
                s.solver,
                str(s.steps),
                f"{trial.mean('psnr'):.2f}",
                behind.text(2),
                _number(trial.mean("lpips"), 4),
                _number(trial.mean("flicker"), 2),
                f"{trial.mean('seconds'):.2f}",
                ", ".join(filter(None, note)),
            ]
        )
    head = ["draft", "start", "solver", "steps", "dB", "behind the best", "LPIPS", "flicker, %", "s a frame", ""]
    return _table(head, rows)


def _number(value: float, digits: int) -> str:
    return "-" if math.isnan(value) else f"{value:.{digits}f}"


# -- the example shot ----------------------------------------------------------------------------------------------


def demo_table(found: dict[str, dict[str, float]]) -> str:
    """A row a method."""
    columns = {"psnr": 2, "psnr_moving": 2, "right_moving": 1, "flicker": 3, "seconds": 2}
    head = ["method", "dB", "dB, moving parts", "colours right there, %", "flicker, % of still pixels", "s a frame"]
    return _table(head, [[m, *(_number(f[c], digits) for c, digits in columns.items())] for m, f in found.items()])


# -- targets -------------------------------------------------------------------------------------------------------


def verdicts(scores: Sequence[Score], demo: dict[str, dict[str, float]]) -> list[Verdict]:
    """Every target, met only where every hand and distance that was measured meets it."""
    hands, distances = _axis(scores, "hand"), _axis(scores, "distance")
    at = [h for h in hands if 15 in distances]

    def ours(hand: str, distance: int, figure: str = "psnr") -> float:
        return mean(scores, OURS, hand, distance, figure).value

    def judge(target: str, found: dict[str, float], good: Callable[[float], bool], digits: int = 1) -> Verdict:
        known = {name: value for name, value in found.items() if not math.isnan(value)}
        text = ", ".join(f"{name} {value:.{digits}f}" for name, value in known.items())
        return Verdict(target, text or "not measured", all(map(good, known.values())) if known else None)

    lpips = {h: ours(h, 15, "lpips") / mean(scores, "copy", h, 15, "lpips").value for h in at}
    apart = {f"{d} frames" if d > 1 else "1 frame": ours("soft", d) - ours("binary", d) for d in distances}
    drop = {h: ours(h, 1) - ours(h, 45) for h in hands if {1, 45} <= set(distances)}
    own, copied = demo.get(OURS, {}), demo.get("copy", {})
    shot = {"the shot": own.get("flicker", math.nan)}
    parts = {"the shot": own.get("psnr_moving", math.nan) - copied.get("psnr_moving", math.nan)}
    right = {"the shot": own.get("right_moving", math.nan)}
    return [
        judge(
            "15 frames away: 6 dB or more over copying",
            {h: gain(scores, "copy", h, 15, "psnr").value for h in at},
            lambda x: x >= 6,
        ),
        judge("15 frames away: 22 dB or more", {h: ours(h, 15) for h in at}, lambda x: x >= 22),
        judge(
            "binary lines within 1 dB of soft ones (soft less binary)",
            apart if {"soft", "binary"} <= set(hands) else {},
            lambda x: x <= 1,
        ),
        judge("45 frames away within 1.5 dB of 1 frame (1 less 45)", drop, lambda x: x <= 1.5),
        judge("15 frames away: LPIPS under half of copying's (ratio)", lpips, lambda x: x < 0.5, 2),
        judge("example shot: under 0.1 % of still pixels flicker", shot, lambda x: x < 0.1, 3),
        judge("example shot, moving parts: 6 dB or more over copying", parts, lambda x: x >= 6),
        judge("example shot, moving parts: 90 % of the pixels in the right colour", right, lambda x: x >= 90),
    ]


def verdict_table(found: Sequence[Verdict]) -> str:
    words = {True: "met", False: "**missed**", None: "not measured"}
    return _table(["target", "measured", ""], [[v.target, v.measured, words[v.met]] for v in found])


# -- files ---------------------------------------------------------------------------------------------------------


def store(path: Path, found: object) -> None:
    """As JSON, which has no NaN."""
    path.write_text(json.dumps(_plain(found), indent=1, allow_nan=False) + "\n", encoding="utf-8")


def load(path: Path) -> Any:
    """What :func:`store` wrote, None being NaN again where a figure was."""
    return json.loads(path.read_text(encoding="utf-8"), object_hook=_whole)


def _plain(value: Any) -> Any:
    if isinstance(value, Score | Trial):
        return _plain(asdict(value))
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {str(k): _plain(v) for k, v in value.items()}
    return [_plain(v) for v in value] if isinstance(value, list | tuple) else value


def _whole(table: dict[str, Any]) -> dict[str, Any]:
    return {k: math.nan if v is None and k != "sigma" else v for k, v in table.items()}
