"""JSON of measured numbers: NaN and infinity, which JSON does not have, are written as null; null is read as NaN."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from celpaint.atomic_write import write_text

__all__ = ["from_json", "read_json", "to_json", "write_json"]


def to_json(value: Any) -> str:
    """Mappings, lists, tuples, text and numbers as indented JSON."""
    return json.dumps(_finite(value), indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def from_json(text: str) -> Any:
    """The inverse of :func:`to_json`, but for tuples and infinities."""
    return _numbers(json.loads(text))


def write_json(path: Path, value: Any) -> None:
    """Write :func:`to_json`, the whole file or none; its folder is made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, to_json(value))


def read_json(path: Path) -> Any:
    """Read what :func:`write_json` wrote."""
    return from_json(path.read_text(encoding="utf-8"))


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): _finite(each) for key, each in value.items()}
    return [_finite(each) for each in value] if isinstance(value, list | tuple) else value


def _numbers(value: Any) -> Any:
    if value is None:
        return math.nan
    if isinstance(value, dict):
        return {key: _numbers(each) for key, each in value.items()}
    return [_numbers(each) for each in value] if isinstance(value, list) else value
