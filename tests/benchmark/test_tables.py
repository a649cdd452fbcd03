"""Tables of what was measured, and their place in documents and files."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from celpaint.benchmark import tables
from celpaint.benchmark.json_text import from_json, to_json, write_json
from celpaint.errors import InputError


def test_mean_and_standard_error_equal_the_textbook() -> None:
    assert tables.mean_and_error([1, 2, 3, math.nan]) == pytest.approx((2, 1 / math.sqrt(3)))
    mean, error = tables.mean_and_error([0.5, 1.0], [30, 10])
    assert mean == pytest.approx(25 / 40)  # 15 + 10 right of 40
    assert error == pytest.approx(math.sqrt(2 * ((15 - 18.75) ** 2 + (10 - 6.25) ** 2)) / 40)


def test_mean_of_one_value_has_no_error_and_of_none_is_nan() -> None:
    assert tables.mean_and_error([4])[0] == 4
    assert math.isnan(tables.mean_and_error([4])[1])
    assert math.isnan(tables.mean_and_error([])[0])


def test_by_distance_has_a_column_for_every_distance() -> None:
    records = [
        {"lines": "soft", "distance": 15, "psnr": 20.0},
        {"lines": "soft", "distance": 1, "psnr": 30.0},
        {"lines": "soft", "distance": 15, "psnr": 22.0},
        {"lines": "clean", "distance": 1, "psnr": math.nan},
    ]
    assert tables.by_distance(records, ("lines",), "psnr", 1).splitlines() == [
        "| lines | 1 frame | 15 frames |",
        "| --- | ---: | ---: |",
        "| soft | 30.0 | 21.0 ± 1.0 |",
        "| clean | - | - |",
    ]


def test_by_columns_has_a_column_for_every_value() -> None:
    records = [{"method": "copy", "psnr": 20.0, "s": 0.123}, {"method": "truth", "psnr": math.nan}]
    assert tables.by_columns(records, ("method",), {"psnr": ("PSNR", 1), "s": ("seconds", 2)}).splitlines() == [
        "| method | PSNR | seconds |",
        "| --- | ---: | ---: |",
        "| copy | 20.0 | 0.12 |",
        "| truth | - | - |",
    ]


def test_insert_replaces_the_text_between_the_markers() -> None:
    document = "# M\n<!-- figures -->\nold\n<!-- /figures -->\nrest\n"
    once = tables.insert(document, "figures", "new\n")
    assert once == "# M\n<!-- figures -->\nnew\n<!-- /figures -->\nrest\n"
    assert tables.insert(once, "figures", "new") == once


@pytest.mark.parametrize("document", ["", "<!-- figures -->", "<!-- /figures --><!-- figures -->"])
def test_a_document_without_markers_is_refused(document: str) -> None:
    with pytest.raises(InputError) as caught:
        tables.insert(document, "figures", "new")
    assert caught.value.wanted == "each once, in this order"


def test_json_has_null_for_nan_and_back(tmp_path: Path) -> None:
    value = {"records": [{"lpips": math.nan, "psnr": 1.5, "psnr_inf": math.inf}], "size": (1, 2)}
    write_json(tmp_path / "new" / "a.json", value)
    text = (tmp_path / "new" / "a.json").read_text()
    assert json.loads(text) == {"records": [{"lpips": None, "psnr": 1.5, "psnr_inf": None}], "size": [1, 2]}
    assert math.isnan(from_json(to_json(value))["records"][0]["lpips"])
