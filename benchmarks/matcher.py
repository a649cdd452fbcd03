"""Figures of the matcher: on held-out drawings, on the example shot, in time, in seconds and memory.

    make validate-matcher                                       everything, into build/validate/matcher
    python benchmarks/matcher.py quality segments --films 2     some parts, a quick look
    python benchmarks/matcher.py --out FOLDER --docs docs/matcher.md

Tables are Markdown on stdout. With ``--out`` they are kept as ``figures.md`` beside ``figures.json`` (every film's own
figures) and contact sheets: a film by distance, the worst cases, the example shot. ``--docs`` also puts the tables
between the markers ``<!-- figures -->`` and ``<!-- /figures -->`` of a document and the sheets into ``images`` beside
it. Needs the drawings, made by ``celpaint data art``; only speed and demo do without.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

import torch
from PIL import Image

from celpaint.benchmark.runner import commit, machine, weights_digest
from celpaint.errors import CelpaintError, InputError
from matcher_figures.demo import demo
from matcher_figures.quality import Case, quality, segments
from matcher_figures.report import report
from matcher_figures.sheets import distances, failures, save, shots
from matcher_figures.speed import speed
from matcher_figures.steadiness import steadiness
from matcher_figures.tables import insert, store
from matcher_figures.work import Record, Settings, matcher

# Speed comes first: a child process counts its peak memory from what its parent has at hand.
PARTS = ("speed", "demo", "quality", "segments", "steadiness")


def main() -> None:
    chosen = arguments()
    settings = Settings(
        chosen.art,
        chosen.weights,
        chosen.device,
        chosen.dtype,
        tuple(chosen.size),
        chosen.films,
        chosen.workers,
    )
    if not settings.art.is_file() and set(chosen.parts) - {"speed", "demo"}:
        raise InputError(
            f"'{settings.art}' does not exist",
            wanted="the file of drawings",
            todo=f"Make it: celpaint data art --out {settings.art}",
        )
    for folder in filter(None, (chosen.out, chosen.docs and chosen.docs.parent / "images")):
        folder.mkdir(parents=True, exist_ok=True)
    began = time.monotonic()
    records: list[Record] = []
    pictures: dict[str, Image.Image] = {}
    for part in (part for part in PARTS if part in chosen.parts):
        found, seen = measure(part, settings)
        records += found
        pictures |= seen
        minutes = (time.monotonic() - began) / 60
        text = report(records, conditions(settings, minutes))
        if chosen.out:
            keep(chosen.out, text, records, pictures, settings)
    print(text)
    if chosen.docs:
        chosen.docs.write_text(insert(chosen.docs.read_text(encoding="utf-8"), "figures", text), encoding="utf-8")
        for name, picture in pictures.items():
            save(picture, chosen.docs.parent / "images" / f"matcher-{name}.webp")


def measure(part: str, settings: Settings) -> tuple[list[Record], dict[str, Image.Image]]:
    """The records of a part, and its sheets by name."""
    if part == "speed":
        return speed(settings), {}
    if part == "demo":
        records, shown = demo(settings)
        return records, {"demo": shots(shown)}
    if part == "segments":
        return segments(settings), {}
    if part == "steadiness":
        return steadiness(settings), {}
    cases: list[Case]
    records, cases = quality(settings)
    return records, {"distance": distances(cases), "worst": failures(cases)}


def conditions(settings: Settings, minutes: float) -> str:
    """What was measured, on what, in one paragraph."""
    host, digest = machine(settings.device), weights_digest("matcher", settings.weights)[:12]
    threads = max((os.cpu_count() or 1) // settings.workers, 1)
    height, width = settings.size
    return (
        f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC, commit {commit() or 'unknown'}, weights '{settings.weights}' "
        f"({digest}), {str(matcher(settings).dtype).removeprefix('torch.')}. Films of held-out "
        f"drawings, {width}x{height}, {settings.films} a cell. {host['processor']}, GPU {host['GPU']}, torch "
        f"{host['torch']}, {settings.workers} processes of {threads} threads (speed: one of "
        f"{torch.get_num_threads()}), {minutes:.0f} minutes."
    )


def keep(out: Path, text: str, records: list[Record], pictures: dict[str, Image.Image], settings: Settings) -> None:
    """All that was measured so far."""
    (out / "figures.md").write_text(text, encoding="utf-8")
    asked = {name: str(value) if isinstance(value, Path) else value for name, value in asdict(settings).items()}
    store(
        out / "figures.json",
        {"commit": commit(), "machine": machine(settings.device), "settings": asked, "records": records},
    )
    for name, picture in pictures.items():
        save(picture, out / f"{name}.webp")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(PARTS)}; all of them by default")
    parser.add_argument("--art", type=Path, default=Path("build/art.safetensors"), help="the file of drawings")
    parser.add_argument("--films", type=int, default=8, help="a cell; the first 8 are those of the published figures")
    parser.add_argument("--size", type=int, nargs=2, default=(320, 576), metavar=("HEIGHT", "WIDTH"))
    parser.add_argument("--weights", default="small")
    parser.add_argument("--dtype", default="auto")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="processes; one a core by default")
    parser.add_argument("--out", type=Path, help="a folder for tables, raw figures and sheets")
    parser.add_argument("--docs", type=Path, help="a document to renew")
    chosen = parser.parse_args()
    if unknown := sorted(set(chosen.parts) - set(PARTS)):
        parser.error(f"there is no part '{unknown[0]}'; there are {', '.join(PARTS)}")
    if any(side % 16 for side in chosen.size) or min(chosen.films, chosen.workers) < 1:
        parser.error("sides are multiples of 16; films and workers are 1 or more")
    chosen.parts = chosen.parts or PARTS
    return chosen


if __name__ == "__main__":
    try:
        main()
    except CelpaintError as error:
        sys.exit(f"matcher.py: {error}")
