"""Markdown tables of what was measured, and their place in a document."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from celpaint.errors import InputError
from celpaint.metrics.statistics import Estimate

__all__ = [
    "Record",
    "by_columns",
    "by_distance",
    "cell",
    "insert",
    "interval",
    "markdown_table",
    "mean_and_error",
    "number",
]

Record = dict[str, Any]
"""One film under one method: what it was, and what was measured."""


def number(value: float, digits: int) -> str:
    """``24.61``; - where nothing was measured."""
    return f"{value:.{digits}f}" if math.isfinite(value) else "-"


def interval(estimate: Estimate, digits: int) -> str:
    """``24.61 [23.40, 25.80]``, without the interval where there is none."""
    text = number(estimate.value, digits)
    if math.isfinite(estimate.low):
        text += f" [{number(estimate.low, digits)}, {number(estimate.high, digits)}]"
    return text


def mean_and_error(values: Sequence[float], weights: Sequence[float] | None = None) -> tuple[float, float]:
    """Weighted mean and its standard error over films; NaN values are left out; with fewer than two the error is NaN.

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


def cell(records: Sequence[Record], key: str, digits: int, weight: str = "") -> str:
    """``24.61 ± 1.20``, without the error where there is one film, - where nothing was measured."""
    values = [float(record.get(key, math.nan)) for record in records]
    mean, error = mean_and_error(values, [record[weight] for record in records] if weight else None)
    return number(mean, digits) + (f" ± {error:.{digits}f}" if math.isfinite(error) else "")


def by_distance(records: Sequence[Record], rows: Sequence[str], key: str, digits: int, weight: str = "") -> str:
    """One measured value, a row for every combination of the keys ``rows``, a column a distance."""
    distances = sorted({record["distance"] for record in records})
    heads = ["1 frame" if distance == 1 else f"{distance} frames" for distance in distances]
    return markdown_table(
        [*rows, *heads],
        [
            [*group, *(cell([r for r in some if r["distance"] == d], key, digits, weight) for d in distances)]
            for group, some in _groups(records, rows)
        ],
        left=len(rows),
    )


def by_columns(records: Sequence[Record], rows: Sequence[str], columns: dict[str, tuple[str, int]]) -> str:
    """Several measured values side by side, a row for every combination of the keys ``rows``.

    Args:
        columns: key of the records => heading, digits.
    """
    return markdown_table(
        [*rows, *(head for head, _ in columns.values())],
        [
            [*key, *(cell(some, name, digits) for name, (_, digits) in columns.items())]
            for key, some in _groups(records, rows)
        ],
        left=len(rows),
    )


def markdown_table(head: Sequence[str], rows: Iterable[Sequence[str]], left: int = 1) -> str:
    """A Markdown table; the first ``left`` columns are aligned left, the others right."""
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
