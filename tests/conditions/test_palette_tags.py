from __future__ import annotations

import json
import logging
import re
from pathlib import Path

import pytest

from celpaint.conditions.palette.tags import common_tags, palette_of_tags, read_tags
from celpaint.errors import InputError


def test_common_words_are_known_by_their_usual_colors() -> None:
    table = common_tags()
    assert len(table) > 100
    red, green, blue = table["sky"][0].rgb
    assert blue > green > red
    red, green, blue = table["foliage"][0].rgb
    assert green > max(red, blue)
    red, green, blue = table["skin"][0].rgb
    assert red > green > blue
    assert sum(table["night"][0].rgb) < 1
    assert all(re.fullmatch(r"[a-z]+( [a-z]+)*", word) for word in table)


def test_first_colors_of_all_words_come_before_second_ones() -> None:
    table = common_tags()
    palette = palette_of_tags(["sky", "skin"], colors=3)
    assert palette.colors == (table["sky"][0].rgb, table["skin"][0].rgb, table["sky"][1].rgb)
    assert palette.names == ("sky", "skin", "sky")


def test_words_in_any_case_plural_and_repeated() -> None:
    assert palette_of_tags([" Trees ", "tree", "TREE"], colors=5) == palette_of_tags(["tree"])


def test_unknown_words_are_left_out_with_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "celpaint"):
        assert palette_of_tags(["sky", "flibbertigibbet"]) == palette_of_tags(["sky"])
    assert caplog.messages == ["tags that are not known are left out: flibbertigibbet"]


def test_only_unknown_words_suggest_known_ones() -> None:
    with pytest.raises(InputError, match="none of the tags is known: folliage; wanted words such as foliage"):
        palette_of_tags(["folliage"])
    with pytest.raises(InputError, match="there are none; wanted words such as sky"):
        palette_of_tags(["", "  "])


def test_a_file_adds_words_and_replaces_others(tmp_path: Path) -> None:
    path = tmp_path / "mine.json"
    path.write_text(json.dumps({"Hero Hair": "#123456", "sky": ["#ff0000", "navy"]}))
    table = read_tags(path)
    assert palette_of_tags(["hero hair", "sky"], colors=2, table=table).colors == (
        (0x12 / 255, 0x34 / 255, 0x56 / 255),
        (1, 0, 0),
    )
    assert table["grass"] == common_tags()["grass"]
    assert common_tags()["sky"] != table["sky"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[", "is not JSON"),
        ("[]", "is a JSON list; wanted"),
        ('{"sky": "wet"}', "for 'sky'"),
        ('{"sky": []}', "for 'sky'"),
        ('{"sky": ["#123456", 7]}', "for 'sky'"),
    ],
)
def test_broken_tables_say_what_is_wrong(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "mine.json").write_text(text)
    with pytest.raises(InputError, match=message):
        read_tags(tmp_path / "mine.json")


def test_missing_table_is_said(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="can't be read"):
        read_tags(tmp_path / "mine.json")
