"""An option says its range once; one validator and every text are made from it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from celpaint.errors import OptionError
from celpaint.methods.registry import method_specs
from celpaint.options import (
    ComputeOptions,
    OptionInfo,
    Options,
    PathOptions,
    Size,
    from_text,
    option,
    option_fields,
    option_info,
    parse_size,
    size_text,
)


@dataclass(frozen=True, kw_only=True)
class Sample(Options):
    """One option of every type."""

    count: int = option(3, "a count", ge=1, le=16)
    share: float = option(0.5, "a share", gt=0, le=1)
    level: float | None = option(None, "a level", gt=0.002)
    name: str = option("a", "a name")
    on: bool = option(False, "a switch")
    kind: Literal["x", "y"] = option("x", "a kind")
    pick: int = option(8, "a pick", choices=(8, 16))
    size: Size | None = option(None, "a size", ge=32, le=64, unit="pixels")


@pytest.mark.parametrize(
    ("bounds", "said"),
    [
        ({}, ""),
        ({"ge": 0, "le": 16}, "0 to 16"),
        ({"gt": 0}, "more than 0"),
        ({"ge": 1}, "1 or more"),
        ({"gt": 0, "le": 1}, "more than 0 and 1 or less"),
        ({"lt": 2.5}, "less than 2.5"),
        ({"ge": 32, "le": 8192, "unit": "pixels"}, "32 to 8192 pixels"),
        ({"choices": (8, 16, 32)}, "8, 16 or 32"),
    ],
)
def test_a_range_in_words(bounds: dict[str, Any], said: str) -> None:
    assert OptionInfo(help="", **bounds).range == said


@pytest.mark.parametrize(
    ("name", "value", "seen", "wanted"),
    [
        ("count", 0, "--count is 0", "1 to 16"),
        ("count", 17, "--count is 17", "1 to 16"),
        ("count", 2.0, "--count is 2.0", "a whole number, 1 to 16"),
        ("count", True, "--count is True", "a whole number, 1 to 16"),
        ("count", "2", "--count is '2'", "a whole number, 1 to 16"),
        ("share", 0, "--share is 0", "more than 0 and 1 or less"),
        ("share", float("nan"), "--share is nan", "more than 0 and 1 or less"),
        ("share", None, "--share is None", "a number, more than 0 and 1 or less"),
        ("level", 0.002, "--level is 0.002", "more than 0.002"),
        ("name", 3, "--name is 3", "text"),
        ("on", 1, "--on is 1", "True or False"),
        ("kind", "z", "--kind is 'z'", "x or y"),
        ("pick", 9, "--pick is 9", "8 or 16"),
        ("size", (16, 64), "--size is 64x16", "sides of 32 to 64 pixels"),
        ("size", (64,), "--size is (64,)", "WIDTHxHEIGHT as text, or the tuple (height, width)"),
    ],
)
def test_a_wrong_value_names_the_option_the_value_and_the_range(name: str, value: Any, seen: str, wanted: str) -> None:
    with pytest.raises(OptionError) as error:
        Sample(**{name: value})
    assert (error.value.seen, error.value.wanted) == (seen, wanted)


@given(st.integers(-50, 50))
def test_the_range_and_the_validator_agree(count: int) -> None:
    try:
        Sample(count=count)
    except OptionError:
        assert not 1 <= count <= 16
    else:
        assert 1 <= count <= 16


def test_an_integer_is_a_number() -> None:
    assert Sample(share=1, level=2).level == 2


def test_plain_values_become_options() -> None:
    assert Sample.of({"size": "64x32", "count": 2}) == Sample(size=(32, 64), count=2)
    assert Sample.of({"size": [32, 64]}) == Sample(size=(32, 64))
    with pytest.raises(OptionError) as error:
        Sample.of({"cuont": 2})
    assert (error.value.seen, error.value.wanted) == ("there is no option 'cuont'", "'count'")


@given(st.integers(1, 9999), st.integers(1, 9999))
def test_a_size_survives_as_text(height: int, width: int) -> None:
    assert parse_size(size_text((height, width))) == (height, width)


@pytest.mark.parametrize("text", ["576", "576x", "x320", "576x320x3", "-576x320", "576 by 320", ""])
def test_a_size_is_width_x_height(text: str) -> None:
    with pytest.raises(OptionError) as error:
        parse_size(text)
    assert error.value.seen == f"--size is {text!r}"


@pytest.mark.parametrize("options", [PathOptions, ComputeOptions, *(spec.options for spec in method_specs().values())])
def test_every_number_has_a_range_and_every_option_a_help(options: type[Options]) -> None:
    for name, (field, kind) in option_fields(options).items():
        info = option_info(field)
        assert info.help, name
        if kind in (int, float, int | None, float | None):
            assert info.range, name


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [("seed", "7", 7), ("seed", "x", "x"), ("seed", "1.5", "1.5"), ("seed", "-1", -1), ("dtype", "double", "double")],
)
def test_text_and_value_get_the_same_answer(name: str, text: str, value: object) -> None:
    """The command line has text, Python has values."""
    field, kind = option_fields(ComputeOptions)[name]

    def answer(make: Callable[[], object]) -> object:
        try:
            return make()
        except OptionError as error:
            return str(error)

    of_text = answer(lambda: from_text(name, text, kind, option_info(field)))
    assert of_text == answer(lambda: getattr(ComputeOptions.of({name: value}), name))
