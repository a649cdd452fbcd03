"""``celpaint benchmark validate-matcher``: every measurement of the matcher, as tables and sheets."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import get_args

import numpy as np
import numpy.typing as npt
import torch

from celpaint.atomic_write import write_text
from celpaint.benchmark.json_text import write_json
from celpaint.benchmark.matcher.consistency import consistency
from celpaint.benchmark.matcher.example_shot import example_shot, shot_sheet
from celpaint.benchmark.matcher.flat_cels import flat_cels
from celpaint.benchmark.matcher.method import load_matcher
from celpaint.benchmark.matcher.parts import MatcherPart
from celpaint.benchmark.matcher.quality import quality
from celpaint.benchmark.matcher.report import report
from celpaint.benchmark.matcher.sheets import distance_sheet, worst_sheet
from celpaint.benchmark.matcher.speed import speed
from celpaint.benchmark.provenance import commit, machine, weights_digest
from celpaint.benchmark.study import Sheets, StudySettings, conditions, renew_document, require_art, save_sheet
from celpaint.benchmark.tables import Record
from celpaint.methods.matcher.spec import MatcherOptions

__all__ = ["validate_matcher"]


def validate_matcher(
    settings: StudySettings, parts: Sequence[MatcherPart] = (), *, out: Path | None = None, docs: Path | None = None
) -> str:
    """Measure the matcher.

    Args:
        settings: how.
        parts: what; default: everything.
        out: a folder for the tables (``figures.md``), the values of every film (``figures.json``) and contact sheets.
        docs: a document to renew: the tables go between its markers ``<!-- figures -->`` and ``<!-- /figures -->``, the
            sheets into ``images`` beside it.

    Returns:
        The tables as Markdown.

    Raises:
        InputError: the drawings, the example shot or the document's markers are not there.
    """
    chosen = [part for part in get_args(MatcherPart) if part in (parts or get_args(MatcherPart))]
    if {*chosen} - {"speed", "demo"}:
        require_art(settings.art)
    began = time.monotonic()
    records: list[Record] = []
    sheets: dict[str, npt.NDArray[np.uint8]] = {}
    text = ""
    for part in chosen:
        found, seen = _measure(part, settings)
        records += found
        sheets |= seen
        text = report(records, _conditions(settings, (time.monotonic() - began) / 60))
        if out is not None:
            _keep(out, text, records, sheets, settings)
    if docs is not None:
        renew_document(docs, text)
        for name, sheet in sheets.items():
            save_sheet(sheet, docs.parent / "images" / f"matcher-{name}.webp")
    return text


def _measure(part: MatcherPart, settings: StudySettings) -> tuple[list[Record], Sheets]:
    """The records of a part, and its sheets by name."""
    if part == "speed":
        return speed(settings), {}
    if part == "demo":
        records, shown = example_shot(settings)
        return records, {"demo": shot_sheet(shown)}
    if part == "segments":
        return flat_cels(settings), {}
    if part == "consistency":
        return consistency(settings), {}
    records, cases = quality(settings)
    return records, {"distance": distance_sheet(cases), "worst": worst_sheet(cases)}


def _conditions(settings: StudySettings, minutes: float) -> str:
    height, width = settings.size
    threads = max((os.cpu_count() or 1) // settings.workers, 1)
    return conditions(
        settings,
        f"Films of held-out drawings, {width}x{height}, {settings.films} for each combination.",
        weights_digest(MatcherOptions(weights=settings.weights)),
        str(load_matcher(settings).dtype),
        f"{settings.workers} processes of {threads} threads (speed: one of {torch.get_num_threads()}), "
        f"{minutes:.0f} minutes",
    )


def _keep(out: Path, text: str, records: list[Record], sheets: Sheets, settings: StudySettings) -> None:
    """Everything measured so far."""
    out.mkdir(parents=True, exist_ok=True)
    write_text(out / "figures.md", text)
    asked = {name: str(value) if isinstance(value, Path) else value for name, value in asdict(settings).items()}
    found = {"commit": commit(), "machine": machine(settings.device), "settings": asked, "records": records}
    write_json(out / "figures.json", found)
    for name, sheet in sheets.items():
        save_sheet(sheet, out / f"{name}.webp")
