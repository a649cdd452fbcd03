"""Records -> Markdown tables; and their place in a document."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from celpaint.errors import InputError
from matcher_figures.work import Record


def mean_and_error(values: Sequence[float], weights: Sequence[float] | None = None) -> tuple[float, float]:
    """Weighted mean and its standard error over films; NaN values are left out, the error of under two is NaN.

    The error is that of a ratio of sums, to first order (Cochran, "Sampling Techniques", 1977, chapter 6); with equal
    weights it is s / sqrt(n).
    """
    kept = np.isfinite(values)
    x = np.asarray(values, np.float64)[kept]
    w = np.ones(len(x)) if weights is None else np.asarray(weights, np.float64)[kept]
    if not len(x):
        return math.nan, math.nan
    mean = float((w * x).sum() / w.sum())
    if len(x) < 2:
        return mean, math.nan
    squares = float((np.square(w) * np.square(x - mean)).sum())
    return mean, math.sqrt(squares * len(x) / (len(x) - 1)) / float(w.sum())


def cell(records: Sequence[Record], figure: str, digits: int, weight: str = "") -> str:
    """``24.61 ± 1.20``, without the error where there is one film, - where nothing was measured."""
    values = [float(record.get(figure, math.nan)) for record in records]
    mean, error = mean_and_error(values, [record[weight] for record in records] if weight else None)
    if not math.isfinite(mean):
        return "-"
    return f"{mean:.{digits}f}" + (f" ± {error:.{digits}f}" if math.isfinite(error) else "")


def by_distance(records: Sequence[Record], rows: Sequence[str], figure: str, digits: int, weight: str = "") -> str:
    """One figure, a row for every combination of the keys ``rows``, a column a distance."""
    distances = sorted({record["distance"] for record in records})
    heads = ["1 frame" if distance == 1 else f"{distance} frames" for distance in distances]
    return grid(
        [*rows, *heads],
        [
            [*key, *(cell([r for r in some if r["distance"] == d], figure, digits, weight) for d in distances)]
            for key, some in _groups(records, rows)
        ],
        left=len(rows),
    )


def by_figure(records: Sequence[Record], rows: Sequence[str], figures: dict[str, tuple[str, int]]) -> str:
    """Several figures side by side, a row for every combination of the keys ``rows``.

    Args:
        figures: key of the records => heading, digits.
    """
    return grid(
        [*rows, *(head for head, _ in figures.values())],
        [
            [*key, *(cell(some, name, digits) for name, (_, digits) in figures.items())]
            for key, some in _groups(records, rows)
        ],
        left=len(rows),
    )


def grid(head: Sequence[str], rows: Iterable[Sequence[str]], left: int = 1) -> str:
    """A Markdown table, the first ``left`` columns words, the others numbers."""
    lines = [list(head), ["---"] * left + ["---:"] * (len(head) - left), *map(list, rows)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _groups(records: Sequence[Record], keys: Sequence[str]) -> list[tuple[tuple[str, ...], list[Record]]]:
    """Records of equal keys, in the order they come first."""
    groups: dict[tuple[str, ...], list[Record]] = {}
    for record in records:
        groups.setdefault(tuple(str(record[key]) for key in keys), []).append(record)
    return list(groups.items())


def insert(document: str, name: str, text: str) -> str:
    """``document`` with ``text`` between ``<!-- name -->`` and ``<!-- /name -->``, instead of what was there.

    Raises:
        InputError: the markers are not there once each, in order.
    """
    first, last = f"<!-- {name} -->", f"<!-- /{name} -->"
    if document.count(first) != 1 or document.count(last) != 1 or document.index(first) > document.index(last):
        raise InputError(
            f"the document has '{first}' {document.count(first)} times and '{last}' {document.count(last)} times",
            wanted="each once, in this order",
            todo="Put them where the figures belong.",
        )
    before, rest = document.split(first)
    return f"{before}{first}\n{text.strip()}\n{last}{rest.split(last)[1]}"


def store(path: Path, value: Any) -> None:
    """JSON, NaN as null."""
    path.write_text(json.dumps(_plain(value), indent=1) + "\n", encoding="utf-8")


def _plain(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: _plain(v) for key, v in value.items()}
    return [_plain(v) for v in value] if isinstance(value, list | tuple) else value
