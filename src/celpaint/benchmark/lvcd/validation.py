"""``celpaint benchmark validate-lvcd``: every measurement of LVCD small, as tables and sheets."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import get_args

import torch

from celpaint.atomic_write import write_text
from celpaint.benchmark.json_text import read_json, write_json
from celpaint.benchmark.lvcd.example_shot import example_shot
from celpaint.benchmark.lvcd.films import lvcd_options
from celpaint.benchmark.lvcd.parts import LVCDPart
from celpaint.benchmark.lvcd.quality import FRAMES, quality
from celpaint.benchmark.lvcd.report import report
from celpaint.benchmark.lvcd.sampler import TRIED, sampler_steps
from celpaint.benchmark.provenance import weights_digest
from celpaint.benchmark.study import Sheets, StudySettings, conditions, renew_document, require_art, save_sheet
from celpaint.benchmark.tables import Record
from celpaint.methods.lvcd.run import LVCD
from celpaint.sampling.segments import WINDOW

__all__ = ["validate_lvcd"]

SHEETS = {
    "soft": "Two films at three distances, soft lines: painting, lines, matcher, LVCD small, ground truth",
    "worst": "What fails: the worst case of each of six films",
    "demo": "The example shot: lines, matcher, LVCD small, ground truth",
}
"""Sheets that go into the document."""


def validate_lvcd(
    settings: StudySettings, parts: Sequence[LVCDPart] = (), *, out: Path, docs: Path | None = None
) -> str:
    """Measure LVCD small.

    Args:
        settings: how.
        parts: what; default: everything. Parts measured before are taken from ``out``.
        out: a folder for the tables (``figures.md``), the values of every film (a JSON file a part) and contact sheets.
        docs: a document to renew: the tables go between its markers ``<!-- figures -->`` and ``<!-- /figures -->``, the
            sheets into ``images`` beside it.

    Returns:
        The tables as Markdown.

    Raises:
        InputError: the drawings, the example shot or the document's markers are not there.
    """
    sheets: dict[str, Sheets] = {}
    if {*(parts or get_args(LVCDPart))} - {"demo"} and settings.art.name != "toy":
        require_art(settings.art)
    for part in parts or get_args(LVCDPart):
        records, sheets[part] = _measure(part, settings)
        write_json(out / f"{part}.json", {"about": _about(part, settings), "records": records})
        for name, sheet in sheets[part].items():
            save_sheet(sheet, out / f"{name}.webp")
    kept = {part: read_json(file) for part in get_args(LVCDPart) if (file := out / f"{part}.json").exists()}
    text = report({part: (found["about"], found["records"]) for part, found in kept.items()})
    write_text(out / "figures.md", text)
    if docs is not None:
        images = docs.parent / "images"
        for name, sheet in ((name, sheet) for some in sheets.values() for name, sheet in some.items()):
            if name in SHEETS:
                save_sheet(sheet, images / f"lvcd-small-{name}.webp")
        renew_document(docs, text + _gallery(images))
    return text


def _measure(part: LVCDPart, settings: StudySettings) -> tuple[list[Record], Sheets]:
    """The records of a part, and its sheets by name."""
    if part == "quality":
        return quality(settings)
    if part == "steps":
        return sampler_steps(settings), {}
    records, sheet = example_shot(settings)
    return records, {"demo": sheet}


def _gallery(images: Path) -> str:
    """The published sheets that are there, as Markdown for a document beside their folder."""
    there = {name: about for name, about in SHEETS.items() if (images / f"lvcd-small-{name}.webp").exists()}
    shown = [f"{about}:\n\n![{about}](images/lvcd-small-{name}.webp)\n" for name, about in there.items()]
    return "\n".join(["", "### In pictures\n", *shown]) if shown else ""


def _about(part: LVCDPart, settings: StudySettings) -> str:
    height, width = settings.size
    tried = " and ".join(f"{lines} lines {distance} frames away" for lines, distance in TRIED)
    films = f"Films of held-out drawings, {width}x{height}"
    what = {
        "quality": f"{films}, {FRAMES} frames in a row, {settings.films} films for each combination, mean ± standard "
        "error over them.",
        "steps": f"{films}, {WINDOW} frames in a row, {max(1, settings.films // 4)} of each of {tried}.",
        "demo": "`examples/dancer`, 36 frames on twos.",
    }
    options = lvcd_options(settings)
    threads = max((os.cpu_count() or 1) // settings.workers, 1) if part == "quality" else torch.get_num_threads()
    processes = f"{settings.workers} processes of {threads} threads" if part == "quality" else f"{threads} threads"
    return conditions(settings, what[part], weights_digest(options), str(LVCD.load(options).dtype), processes)
