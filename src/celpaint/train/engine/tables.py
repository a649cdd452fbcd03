"""Plain tables (TOML, JSON) become dataclasses, or one sentence that says which key is wrong and what to write.

Types and ranges stand in the annotations (``Annotated[float, msgspec.Meta(gt=0)]``); msgspec checks them.
"""

from __future__ import annotations

import dataclasses
import difflib
import re
import types
import typing
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin

import msgspec

from celpaint.errors import OptionError

__all__ = ["Count", "Natural", "NonNegative", "Positive", "Probability", "Side", "Sizes", "from_table", "need"]

D = TypeVar("D")

Count = Annotated[int, msgspec.Meta(ge=1)]
Natural = Annotated[int, msgspec.Meta(ge=0)]
Positive = Annotated[float, msgspec.Meta(gt=0)]
NonNegative = Annotated[float, msgspec.Meta(ge=0)]
Probability = Annotated[float, msgspec.Meta(ge=0, le=1)]
Side = Annotated[int, msgspec.Meta(ge=16, multiple_of=16)]
"""Height or width of training frames."""
Sizes = Annotated[tuple[tuple[Side, Side], ...], msgspec.Meta(min_length=1)]
"""Heights and widths, at least one pair."""

_WORDS = {
    "int": "a whole number",
    "float": "a number",
    "str": "text",
    "bool": "true or false",
    "array": "a list",
    "object": "a table",
    "null": "nothing",
}
"""What msgspec calls a type, and what a reader calls it."""


def need(ok: bool, key: str, seen: object, wanted: str) -> None:
    """Raise :class:`OptionError` naming the recipe's key unless ``ok``."""
    if not ok:
        raise OptionError(f"{key} is {seen!r}", wanted=wanted)


def from_table(cls: type[D], table: Mapping[str, Any], where: str) -> D:
    """Make dataclass ``cls`` from a table of plain values, checking every key, type and range.

    Args:
        where: dotted name of the table, for messages.

    Raises:
        OptionError: an unknown key, naming the nearest known one; a value of the wrong type or out of range; a
            missing key.
    """
    _check_keys(cls, table, where)
    try:
        return msgspec.convert(table, cls)
    except msgspec.ValidationError as error:
        raise _explained(error, cls, table, where) from None


def _check_keys(kind: Any, value: Any, where: str) -> None:
    """Refuse unknown keys here and in every table below: msgspec ignores them in dataclasses."""
    kind = _plain(kind)
    if get_origin(kind) in (dict, Mapping) and isinstance(value, Mapping):
        for key, inner in value.items():
            _check_keys(get_args(kind)[1], inner, _join(where, key))
    if not dataclasses.is_dataclass(kind) or not isinstance(value, Mapping):
        return
    hints = _hints(kind)
    for key, inner in value.items():
        if key not in hints:
            near = difflib.get_close_matches(key, hints, n=1, cutoff=0.4)
            known = near or hints
            wanted = ", ".join(f"'{_join(where, name)}'" for name in known)
            raise OptionError(f"the recipe has no '{_join(where, key)}'", wanted=wanted if near else f"one of {wanted}")
        _check_keys(hints[key], inner, _join(where, key))


def _explained(error: msgspec.ValidationError, cls: type, table: Mapping[str, Any], where: str) -> OptionError:
    """msgspec's message ("Expected `float` > 0.0 - at `$.optimizer.lr`") as an error of ours."""
    message, _, at = str(error).partition(" - at `$")
    kind: Any = cls
    seen: Any = table
    key = where
    for step in _steps(at.rstrip("`")):
        if step == "...":  # some entry of a mapping, which msgspec does not name
            for name, entry in seen.items():
                from_table(get_args(_plain(kind))[1], entry, _join(key, name))
        key = f"{key}[{step}]" if isinstance(step, int) else _join(key, step)
        kind, seen = _inside(kind, step), seen[step]
    missing = re.fullmatch(r"Object missing required field `(.+)`", message)
    if missing:
        return OptionError(f"the recipe has no '{_join(key, missing[1])}'", wanted="a value")
    if get_origin(_plain(kind)) is Literal:
        return OptionError(f"{key} is {seen!r}", wanted=" or ".join(map(str, get_args(_plain(kind)))))
    if not message.startswith("Expected "):  # what a dataclass itself refuses
        return OptionError(f"[{key}] does not fit together: {message}")
    wanted = message.removeprefix("Expected ").partition(", got")[0]
    wanted = re.sub(r"`([^`]+)`", lambda m: " or ".join(_WORDS.get(w, w) for w in m[1].split(" | ")), wanted)
    return OptionError(f"{key} is {seen!r}", wanted=wanted)


def _steps(path: str) -> Iterator[str | int]:
    """``.a.b[2][...]`` -> a, b, 2, '...'."""
    for name, index in re.findall(r"\.([^.\[]+)|\[(\d+|\.\.\.)\]", path):
        yield name or (int(index) if index.isdigit() else index)


def _inside(kind: Any, step: str | int) -> Any:
    """The type of one member."""
    kind = _plain(kind)
    if isinstance(step, str):
        return _hints(kind)[step] if dataclasses.is_dataclass(kind) else get_args(kind)[1]
    inner = get_args(kind)
    return inner[0] if inner[-1] is Ellipsis else inner[step]


def _plain(kind: Any) -> Any:
    """The type without its ranges and without None."""
    if get_origin(kind) is Annotated:
        return _plain(get_args(kind)[0])
    if get_origin(kind) in (Union, types.UnionType):
        (kind, *_) = (inner for inner in get_args(kind) if inner is not type(None))
        return _plain(kind)
    return kind


def _hints(kind: Any) -> dict[str, Any]:
    hints = typing.get_type_hints(kind, include_extras=True)
    return {f.name: hints[f.name] for f in dataclasses.fields(kind) if f.init}


def _join(where: str, key: str) -> str:
    return f"{where}.{key}" if where else key
