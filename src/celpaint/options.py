"""Options: frozen dataclasses whose fields say their own ranges.

    steps: int | None = option(None, "denoising steps a segment", ge=1, le=1000)

Validation, error messages, the command line, sliders and the documentation are all made from the field's
:class:`OptionInfo`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import Field, dataclass, field, fields
from difflib import get_close_matches
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from celpaint.errors import OptionError

__all__ = [
    "FPS_WANTED",
    "ComputeOptions",
    "OptionInfo",
    "Options",
    "PathOptions",
    "Size",
    "alternatives",
    "flag",
    "from_text",
    "option",
    "option_fields",
    "option_info",
    "parse_numbers",
    "parse_size",
    "refuse",
    "size_text",
]

FPS_WANTED = "a number or a fraction, more than 0, such as 24 or 24000/1001"
"""What a rate of a video may be."""

T = TypeVar("T", bound="Options")

Size = tuple[int, int]
"""(height, width) in pixels. As text, and only as text, it is ``WIDTHxHEIGHT``."""


@dataclass(frozen=True, kw_only=True)
class OptionInfo:
    """What is known about an option besides its type and default.

    Attributes:
        help: one line that explains it, without the range.
        ge, gt, le, lt: bounds of a number, or of every number of a tuple; ``ge`` and ``le`` are inclusive.
        step: of a slider.
        choices: all allowed values; those of a ``Literal`` type need not be repeated.
        unit: of the number, such as ``pixels``.
    """

    help: str
    ge: float | None = None
    gt: float | None = None
    le: float | None = None
    lt: float | None = None
    step: float | None = None
    choices: tuple[Any, ...] = ()
    unit: str = ""

    @property
    def range(self) -> str:
        """The range in words, such as ``0 to 16`` or ``more than 0``; empty where there is none."""
        if self.choices:
            return alternatives(self.choices)
        if self.ge is not None and self.le is not None:
            said = f"{self.ge} to {self.le}"
        else:
            bounds = {
                "more than {}": self.gt,
                "{} or more": self.ge,
                "less than {}": self.lt,
                "{} or less": self.le,
            }
            said = " and ".join(text.format(bound) for text, bound in bounds.items() if bound is not None)
        return f"{said} {self.unit}".strip() if said else ""

    def allows(self, value: float) -> bool:
        """Whether a number is in the range; NaN never is."""
        return (
            value == value
            and (self.ge is None or value >= self.ge)
            and (self.gt is None or value > self.gt)
            and (self.le is None or value <= self.le)
            and (self.lt is None or value < self.lt)
        )


def option(
    default: Any,
    help: str,
    *,
    ge: float | None = None,
    gt: float | None = None,
    le: float | None = None,
    lt: float | None = None,
    step: float | None = None,
    choices: tuple[Any, ...] = (),
    unit: str = "",
) -> Any:
    """A field of an :class:`Options` dataclass; the arguments are those of :class:`OptionInfo`."""
    info = OptionInfo(help=help, ge=ge, gt=gt, le=le, lt=lt, step=step, choices=choices, unit=unit)
    return field(default=default, metadata={"option": info})


def option_info(field: Field[Any]) -> OptionInfo:
    """What a field made by :func:`option` carries."""
    info: OptionInfo = field.metadata["option"]
    return info


def option_fields(options: type[Options]) -> dict[str, tuple[Field[Any], Any]]:
    """Name -> (field, resolved type) of every option."""
    kinds = get_type_hints(options)
    return {each.name: (each, kinds[each.name]) for each in fields(options)}


def flag(name: str) -> str:
    """The name of a field on the command line: ``max_tokens`` -> ``--max-tokens``."""
    return f"--{name.replace('_', '-')}"


def refuse(name: str, seen: object, wanted: str) -> OptionError:
    """The error for an option with a value that is not allowed.

    Args:
        name: the field's.
        seen: the value that was given.
        wanted: the values that are allowed.
    """
    return OptionError(f"{flag(name)} is {seen!r}", wanted=wanted)


def parse_size(text: str, name: str = "size") -> Size:
    """``WIDTHxHEIGHT`` -> (height, width).

    Raises:
        OptionError: the text is something else; the error calls the option ``name``.
    """
    found = re.fullmatch(r"(\d+)[xX×](\d+)", text.strip())
    if found is None:
        raise refuse(name, text, "WIDTHxHEIGHT, for example 576x320")
    return int(found[2]), int(found[1])


def parse_numbers(text: str, name: str) -> tuple[float, ...]:
    """``1,0.5,1`` -> the numbers.

    Raises:
        OptionError: the text is something else; the error calls the option ``name``.
    """
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError:
        raise refuse(name, text, "numbers with commas between them, such as 1,0.5,1") from None


def size_text(size: Size) -> str:
    """(height, width) -> ``WIDTHxHEIGHT``."""
    return f"{size[1]}x{size[0]}"


@dataclass(frozen=True, kw_only=True)
class Options:
    """Base of all options: every field is checked against its type and its :class:`OptionInfo`.

    Raises:
        OptionError: a value has the wrong type or is out of range.
    """

    def __post_init__(self) -> None:
        for name, (each, kind) in option_fields(type(self)).items():
            value = getattr(self, name)
            if _is_optional(kind):
                if value is None:
                    continue
                kind = next(inner for inner in get_args(kind) if inner is not NoneType)
            _check(name, value, kind, option_info(each))

    @classmethod
    def of(cls: type[T], given: Mapping[str, Any]) -> T:
        """Options from plain values, as a TOML file, a JSON request or keyword arguments hold them.

        Sizes may be text (``576x320``), and tuples may be lists.

        Raises:
            OptionError: an option does not exist, or a value is not allowed.
        """
        known = option_fields(cls)
        for name in given:
            if name not in known:
                close = get_close_matches(name, known, n=1)
                raise OptionError(
                    f"there is no option {name!r}", wanted=repr(close[0]) if close else ", ".join(sorted(known))
                )
        return cls(**{name: _from_plain(name, value, known[name][1]) for name, value in given.items()})


def from_text(name: str, text: str, kind: Any, info: OptionInfo) -> Any:
    """The value of an option that is written as text, as on a command line.

    Args:
        name: the option's field.
        kind: its type: a whole number, a number, text, one of some words, or a size.

    Raises:
        OptionError: the same as where the wrong value is given in Python.
    """
    if _is_optional(kind):
        kind = next(inner for inner in get_args(kind) if inner is not NoneType)
    value: Any = text
    if kind in (int, float):
        with suppress(ValueError):
            value = kind(text)
    elif kind == Size:
        value = parse_size(text, name)
    _check(name, value, kind, info)
    return value


def _is_optional(kind: Any) -> bool:
    return get_origin(kind) in (Union, UnionType)


def _from_plain(name: str, value: Any, kind: Any) -> Any:
    if isinstance(value, str) and Size in (kind, *get_args(kind)):
        return parse_size(value, name)
    if isinstance(value, str) and get_origin(kind) is tuple:
        return parse_numbers(value, name)
    return tuple(value) if isinstance(value, list) else value


def _check(name: str, value: Any, kind: Any, info: OptionInfo) -> None:
    choices = get_args(kind) if get_origin(kind) is Literal else info.choices
    if choices:
        if (type(value), value) not in {(type(choice), choice) for choice in choices}:
            raise refuse(name, value, alternatives(choices))
    elif kind == Size:
        if not (isinstance(value, tuple) and len(value) == 2 and all(map(_is_whole, value))):
            raise refuse(name, value, "WIDTHxHEIGHT as text, or the tuple (height, width)")
        if not all(map(info.allows, value)):
            raise OptionError(f"{flag(name)} is {size_text(value)}", wanted=f"sides of {info.range}")
    elif kind == tuple[float, ...]:
        if not (isinstance(value, tuple) and all(_is_whole(each) or isinstance(each, float) for each in value)):
            raise refuse(name, value, "numbers, such as 1,0.5,1")
        if not all(map(info.allows, value)):
            raise refuse(name, value, info.range or "numbers")
    elif kind in (int, float):
        if not (_is_whole(value) or (kind is float and isinstance(value, float))):
            what = "a whole number" if kind is int else "a number"
            raise refuse(name, value, ", ".join(filter(None, (what, info.range))))
        if not info.allows(value):
            raise refuse(name, value, info.range or "a number")
    elif kind in (bool, str):
        if not isinstance(value, kind):
            raise refuse(name, value, "True or False" if kind is bool else "text")
    else:
        raise TypeError(f"the option {name} has the type {kind}, which cannot be validated")


def _is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def alternatives(choices: Sequence[Any]) -> str:
    """``a, b or c``."""
    *others, last = map(str, choices)
    return f"{', '.join(others)} or {last}" if others else last


@dataclass(frozen=True, kw_only=True)
class PathOptions(Options):
    """How a shot is read and finished, with any method."""

    frames: str | None = option(
        None, "only these frames, by the numbers in their names (of a video, counted from 1): 12-24, 12- or 1-8,15"
    )
    lines: Literal["auto", "keep", "extract"] = option(
        "auto", "keep: use line art as drawn; extract: find the lines of colored pictures; auto: detect which"
    )
    ink: Literal["keep", "model"] = option(
        "keep", "keep: the artist's own lines over the colors; model: keep the lines that the method painted"
    )
    holds: Literal["auto", "off"] = option(
        "auto", "auto: a drawing that is held for several frames is colored once; off: every frame"
    )
    cuts: Literal["auto", "off"] = option(
        "auto", "auto: find the cuts inside a clip; each scene is colored from its own painted frames. off: one scene"
    )


@dataclass(frozen=True, kw_only=True)
class ComputeOptions(Options):
    """Options of every method: which weights, where and how to compute."""

    weights: str = option("small", "'small' (packaged), a folder, or a Hugging Face hub id")
    seed: int = option(0, "random seed", ge=0, le=2**63 - 1)
    size: Size | None = option(
        None,
        "working size of the networks; default: from the shot's aspect ratio",
        ge=32,
        le=8192,
        step=16,
        unit="pixels",
    )
    device: str = option("auto", "auto, cpu, cuda, cuda:N, mps")
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = option("auto", "number format of the networks")
    offload: bool = option(False, "keep networks that are not in use in main memory")
    threads: int | None = option(
        None, "CPU threads; default: one per core, or 1 if torch was imported first", ge=1, le=512, step=1
    )
    compile: bool = option(False, "compile the networks with torch.compile")
    preview: bool = option(False, "a single denoising step, for a quick look")

    def inner(self) -> tuple[ComputeOptions, ...]:
        """Options of other methods that this method may run; their weights also decide its results."""
        return ()

    def files(self) -> tuple[Path, ...]:
        """Pictures that these options name; they also decide the results."""
        return ()
