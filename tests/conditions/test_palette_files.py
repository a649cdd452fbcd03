from __future__ import annotations

import io
import json
import logging
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from celpaint.conditions.palette.files import MAX_BYTES, palette_of_swatches, read_palette, read_swatches, write_palette
from celpaint.conditions.palette.formats import WRITERS, Swatch
from celpaint.conditions.palette.value import Palette
from celpaint.errors import InputError, OptionError, OutputError

SEA = Palette(((0x1D / 255, 0x35 / 255, 0x57 / 255), (0xE6 / 255, 0x39 / 255, 0x46 / 255)))


def grays(count: int) -> str:
    return ",".join(f"#{i:02x}{i:02x}{i:02x}" for i in range(count))


def test_colors_on_the_command_line() -> None:
    assert read_palette("#1d3557,#e63946") == SEA
    assert read_palette("1d3557 , E63946") == SEA
    assert read_palette("#1d3557") == Palette(SEA.colors[:1])
    assert read_palette("navy,#fff").names == ("navy", "")


def test_tags_on_the_command_line() -> None:
    palette = read_palette("tags:sky,skin,night")
    assert palette.names[:3] == ("sky", "skin", "night")
    assert len(palette) == 5


@pytest.mark.parametrize("suffix", WRITERS)
def test_palette_files(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"sea{suffix.upper()}"
    write_palette(SEA, path)
    for source in (path, str(path)):
        np.testing.assert_allclose(read_palette(source).rgb, SEA.rgb, atol=1e-6)
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize("suffix", WRITERS)
def test_standard_input(suffix: str) -> None:
    np.testing.assert_allclose(read_palette("-", stdin=io.BytesIO(WRITERS[suffix](SEA))).rgb, SEA.rgb, atol=1e-6)


def test_list_of_a_language_model_on_standard_input() -> None:
    answer = json.dumps(["#87CEEB", "#F4C2A1", "#228B22", "#8B4513", "#FFD700"])
    assert str(read_palette("-", stdin=io.BytesIO(answer.encode()))) == answer.lower().replace('"', "").replace(
        " ", ""
    ).strip("[]")


def test_picture(tmp_path: Path) -> None:
    pixels = np.zeros((20, 30, 3), np.uint8)
    pixels[:, :10], pixels[:, 10:] = (200, 40, 48), (20, 16, 24)
    Image.fromarray(pixels).save(tmp_path / "key.png")
    assert str(read_palette(tmp_path / "key.png")) == "#141018,#c82830"
    assert len(read_palette(str(tmp_path / "key.png"), colors=1)) == 1


def test_a_color_name_is_preferred_to_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_palette(SEA, tmp_path / "red.gpl")
    assert read_palette("red").colors == ((1, 0, 0),)
    assert read_palette("red.gpl") == SEA


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("", "'' has no color; wanted 1 to 32"),
        ("blurple", "'blurple' is no color and no file; wanted colors"),
        ("#12345", "'#12345' has '#12345' for a color"),
        ("#123456,", None),
        (",", "',' has no color; wanted 1 to 32"),
        ("#1d3557,sea.gpl", "has 'sea.gpl' for a color"),
        ("sea.gpl", "the palette 'sea.gpl' can't be read"),
        ("sea\0.gpl", "is not a file name"),
        ("sea.png", "'sea.png' does not exist"),
        ("tags:", "none of the tags is known"),
        (grays(33), "has 33 colors; wanted 1 to 32"),
        (grays(100), "has 100 colors; wanted 1 to 32. Delete those that matter least"),
    ],
)
def test_what_is_no_palette_is_said(
    source: str, message: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    if message is None:
        assert len(read_palette(source)) == 1
        return
    with pytest.raises(InputError, match=message):
        read_palette(source)


def test_folder_and_foreign_files_are_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("hello")
    with pytest.raises(InputError, match=r"notes\.txt' is not a palette file of a known kind; wanted colors"):
        read_palette(tmp_path / "notes.txt")
    (tmp_path / "folder.gpl").mkdir()
    with pytest.raises(InputError, match="can't be read"):
        read_palette(tmp_path / "folder.gpl")


def test_files_too_large_to_be_palettes_are_refused(tmp_path: Path) -> None:
    (tmp_path / "huge.hex").write_bytes(b"ffffff\n" * (MAX_BYTES // 7 + 1))
    with pytest.raises(InputError, match="more than 4 MiB"):
        read_palette(tmp_path / "huge.hex")


def test_equal_colors_are_left_out_with_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "celpaint"):
        assert read_palette("#1d3557,#e63946,#1d3557") == SEA
    assert caplog.messages == ["'#1d3557,#e63946,#1d3557': 1 color(s) equal to an earlier one are left out"]


def test_a_hundred_entries_of_a_few_colors_are_a_palette() -> None:
    assert len(read_palette(",".join([grays(10)] * 10))) == 10


def test_transparency_is_ignored_or_leaves_colors_out_with_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "celpaint"):
        assert read_palette("#1d355780,#00ff0000,#e63946") == SEA
    assert [m.partition(": ")[2] for m in caplog.messages] == [
        "1 fully transparent color(s) are left out",
        "the transparency of 1 color(s) is ignored; they count as opaque",
    ]
    with pytest.raises(InputError, match="has no color"):
        read_palette("#0000")


def test_inks_are_converted_with_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "celpaint"):
        palette_of_swatches([Swatch((1, 0, 0), converted="CMYK")], "'press.ase'")
    assert "CMYK colors are converted to sRGB without the press's profile" in caplog.text


def test_files_of_any_number_of_colors_can_be_read_as_swatches(tmp_path: Path) -> None:
    (tmp_path / "web.hex").write_text(grays(216))
    assert len(read_swatches(tmp_path / "web.hex")) == 216


@pytest.mark.parametrize("colors", [0, 33])
def test_number_of_colors_is_checked(colors: int, tmp_path: Path) -> None:
    Image.new("RGB", (4, 4)).save(tmp_path / "a.png")
    for source in (str(tmp_path / "a.png"), "tags:sky"):
        with pytest.raises(OptionError, match=f"a palette of {colors} colors; wanted 1 to 32"):
            read_palette(source, colors=colors)


def test_unwritable_places_are_said(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"wanted a name that ends in \.gpl"):
        write_palette(SEA, tmp_path / "sea.txt")
    with pytest.raises(OutputError, match="can't be written"):
        write_palette(SEA, tmp_path / "missing" / "sea.gpl")


def outcome(source: str, stdin: bytes = b"") -> Palette | str:
    """The palette, or what the user is told."""
    try:
        return read_palette(source, stdin=io.BytesIO(stdin))
    except InputError as error:
        return str(error)


@given(st.text(max_size=40).filter(lambda text: text != "-"))
def test_any_source_gives_a_palette_or_a_sentence(source: str) -> None:
    found = outcome(source)
    assert isinstance(found, Palette) or found.endswith(".")


@given(st.binary(max_size=80))
def test_any_standard_input_gives_a_palette_or_a_sentence(data: bytes) -> None:
    found = outcome("-", data)
    assert isinstance(found, Palette) or "standard input" in found
