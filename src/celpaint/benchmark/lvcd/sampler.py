"""Settings of the sampler on the same films: steps, solver, and what sampling starts from."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from celpaint.benchmark.lvcd.films import film_scores, films, lvcd_options, methods
from celpaint.benchmark.lvcd.report import choose, trials
from celpaint.benchmark.matcher.films import KnownFilm
from celpaint.benchmark.study import StudySettings, color
from celpaint.benchmark.tables import Record
from celpaint.methods.base import Method
from celpaint.methods.lvcd.run import LVCD
from celpaint.methods.lvcd.weights import Card
from celpaint.sampling.segments import WINDOW
from celpaint.weights.registry import find_weights

__all__ = ["TRIED", "sampler_steps"]

TRIED = (("soft", 15), ("binary", 45))
"""Line styles and distances that settings are tried on."""


@dataclass(frozen=True)
class SamplerSetting:
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


def sampler_steps(settings: StudySettings) -> list[Record]:
    """Every setting on the same films, in this process alone so that times compare."""
    each = max(1, settings.films // 4)
    tried = [film for lines, distance in TRIED for film in films(settings, lines, distance, each, WINDOW)]
    named = {_recommended(settings): "recommended by the weights", _recommended(settings, preview=True): "--preview"}
    draft = next(iter(named)).draft
    color(_configured(settings, SamplerSetting(1, "euler", draft)), tried[0].shot)  # warms up
    wanted = [SamplerSetting(n, "euler", draft) for n in (1, 2, 4, 6, 10, 16)]
    wanted += [SamplerSetting(n, "dpmpp_2m", draft) for n in (2, 4, 6, 10)]

    def attempt(setting: SamplerSetting) -> list[Record]:
        start = "noise" if setting.sigma is None else f"{setting.sigma:g}"
        place = {"draft": setting.draft, "start": start, "solver": setting.solver, "steps": setting.steps}
        print(f"steps: {place}", file=sys.stderr)
        return _timed(_configured(settings, setting), tried, {"name": named.get(setting, ""), **place})

    records = [record for setting in wanted for record in attempt(setting)]
    solver = choose(trials(records)).solver
    rest = [SamplerSetting(n, solver, "matcher", sigma) for sigma in (0.5, 1.0, 2.0, 5.0, 10.0) for n in (1, 2, 4)]
    rest += [setting for setting in named if setting not in {*wanted, *rest}]
    records += [record for setting in rest for record in attempt(setting)]
    alone = {"name": "the matcher alone", "draft": "matcher", "start": "-", "solver": "-", "steps": 0}
    return records + _timed(methods(settings)["matcher"], tried, alone)


def _timed(method: Method, tried: Sequence[KnownFilm], place: Record) -> list[Record]:
    """Scores and seconds per frame, film by film."""
    records = []
    for number, film in enumerate(tried):
        began = time.perf_counter()
        result = [painted.rgb for painted in color(method, film.shot)]
        seconds = (time.perf_counter() - began) / len(film.truth)
        records.append({**place, "film": number, "seconds": seconds, **film_scores(result, film.truth)})
    return records


def _configured(settings: StudySettings, setting: SamplerSetting) -> LVCD:
    """LVCD under a setting."""
    card = Card.read(find_weights("lvcd", settings.weights))
    sigma = setting.sigma or card.sigma_max  # at the highest level a draft is drowned in noise
    method = LVCD.load(
        lvcd_options(settings, size=settings.size, steps=setting.steps, draft=setting.draft, draft_sigma=sigma)
    )
    solver: Any = setting.solver
    method.networks = replace(method.networks, card=replace(method.networks.card, solver=solver))
    return method


def _recommended(settings: StudySettings, **options: Any) -> SamplerSetting:
    """How LVCD is run by default; a single step is the same with every solver."""
    method = LVCD.load(lvcd_options(settings, size=settings.size, **options))
    card, count, start = method.networks.card, len(method.sigmas) - 1, method.sigmas[0]
    from_noise = method.drafter is None or math.isclose(start, card.sigma_max, rel_tol=1e-6)
    draft = "none" if method.drafter is None else "matcher"
    solver = card.solver if count > 1 else "euler"
    return SamplerSetting(count, solver, draft, None if from_noise else float(f"{start:g}"))
