"""Bytes of palette files, made by hand after the formats' descriptions, and every other bytes as well."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from celpaint.conditions.palette.formats import READERS, WRITERS, Swatch, parse_color, parse_colors, sniff
from celpaint.conditions.palette.value import MAX_COLORS, Palette
from celpaint.errors import InputError

NAVY, CRIMSON = (0x1D / 255, 0x35 / 255, 0x57 / 255), (0xE6 / 255, 0x39 / 255, 0x46 / 255)


def read(suffix: str, data: bytes) -> tuple[Swatch, ...]:
    return READERS[suffix](data, "the file")


def ase(*blocks: bytes, count: int | None = None) -> bytes:
    return struct.pack(">4sHHI", b"ASEF", 1, 0, len(blocks) if count is None else count) + b"".join(blocks)


def ase_color(name: str, model: bytes, *values: float) -> bytes:
    text = name.encode("utf-16-be") + b"\0\0"
    body = struct.pack(">H", len(text) // 2) + text + model + struct.pack(f">{len(values)}fH", *values, 2)
    return struct.pack(">HI", 1, len(body)) + body


def aco(version: int, *colors: tuple[int, ...], names: tuple[str, ...] = ()) -> bytes:
    data = struct.pack(">HH", version, len(colors))
    for i, color in enumerate(colors):
        data += struct.pack(">5H", *color)
        if version == 2:
            text = names[i].encode("utf-16-be") + b"\0\0"
            data += struct.pack(">I", len(text) // 2) + text
    return data


@pytest.mark.parametrize(
    ("text", "rgb", "alpha"),
    [
        ("#1d3557", NAVY, 1),
        ("1D3557", NAVY, 1),
        ("#f00", (1, 0, 0), 1),
        ("#f008", (1, 0, 0), 0x88 / 255),
        ("#1d355780", NAVY, 0x80 / 255),
        ("navy", (0, 0, 128 / 255), 1),
        ("RebeccaPurple", (0x66 / 255, 0x33 / 255, 0x99 / 255), 1),
    ],
)
def test_colors_as_css_writes_them(text: str, rgb: tuple[float, ...], alpha: float) -> None:
    swatch = parse_color(text)
    assert swatch is not None
    assert swatch.rgb == pytest.approx(rgb)
    assert swatch.alpha == pytest.approx(alpha)


@pytest.mark.parametrize("text", ["", "#", "#12", "#12345", "#1234567", "#gggggg", "blurple", "rgb(1,2,3)", "ａｂｃ"])
def test_what_is_no_color(text: str) -> None:
    assert parse_color(text) is None


def test_lists_of_colors_with_any_separator() -> None:
    swatches = parse_colors(" #1d3557, e63946;\nred ,", "it")
    assert [s.rgb for s in swatches] == [pytest.approx(NAVY), pytest.approx(CRIMSON), (1, 0, 0)]
    with pytest.raises(InputError, match="it has '#12345' for a color; wanted hexadecimal digits"):
        parse_colors("#1d3557,#12345", "it")


def test_gimp_palette() -> None:
    text = "GIMP Palette\nName: Sea\nColumns: 4\n#\n 29  53  87\tnight sea\n230 57 70\tUntitled\n\n  0 0 0\n"
    text = text.replace("\n", "\r\n")
    assert read(".gpl", text.encode()) == (Swatch(NAVY, "night sea"), Swatch(CRIMSON), Swatch((0, 0, 0)))


def test_gimp_palette_with_the_alpha_of_aseprite() -> None:
    text = "GIMP Palette\nChannels: RGBA\n#\n29 53 87 51 sea\n1 2 3 255 Untitled\n"
    assert [(s.name, s.alpha) for s in read(".gpl", text.encode())] == [("sea", 0.2), ("", 1.0)]


def test_gimp_palette_of_an_old_program_in_latin_1() -> None:
    assert read(".gpl", b"GIMP Palette\n1 2 3 caf\xe9\n")[0].name == "café"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "begins with ''; wanted a first line 'GIMP Palette'"),
        ("JASC-PAL\n0100\n", "begins with 'JASC-PAL'"),
        ("GIMP Palette\n1 2\n", "line 2 of the file is '1 2'; wanted three numbers"),
        ("GIMP Palette\n#\n1 2 256 x\n", "line 3 of the file has the number 256; wanted 0 to 255"),
        ("GIMP Palette\n-1 2 3\n", "three numbers"),
        ("GIMP Palette\n" + "9" * 5000 + " 0 0\n", "three numbers"),
    ],
)
def test_broken_gimp_palettes_say_where(text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        read(".gpl", text.encode())


def test_hex_file_with_comments() -> None:
    assert read(".hex", b"; sea\n1d3557\n\n// more\n#e63946\n") == (Swatch(NAVY), Swatch(CRIMSON))


@pytest.mark.parametrize(
    "value",
    [
        ["#1d3557", "e63946"],
        [[29, 53, 87], [230, 57, 70]],
        {"colors": ["1d3557", "e63946"], "name": "Sea", "author": "nobody"},
        [{"color": "#1d3557"}, {"hex": "#e63946"}],
    ],
)
def test_json_of_several_kinds(value: object) -> None:
    assert read(".json", json.dumps(value).encode()) == (Swatch(NAVY), Swatch(CRIMSON))


def test_json_with_names() -> None:
    wanted = (Swatch(NAVY, "sea"), Swatch(CRIMSON, "flag"))
    assert read(".json", json.dumps({"sea": "#1d3557", "flag": [230, 57, 70]}).encode()) == wanted
    named = [{"name": "sea", "color": "#1d3557"}, {"name": "flag", "color": "#e63946"}]
    assert read(".json", json.dumps({"colors": named}).encode()) == wanted


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is not JSON"),
        ("[", "is not JSON"),
        ("[" * 100_000, "is not JSON"),
        ("7", "holds 7; wanted a list of colors"),
        ("[7]", "has 7 for a color"),
        ("[[0.5, 1.0, 0.0]]", "three whole numbers from 0 to 255"),
        ("[[1, 2, 300]]", "three whole numbers"),
        ("[[true, 0, 0]]", "three whole numbers"),
        ("[[NaN, 0, 0]]", "three whole numbers"),
        ('[{"color": null}]', "has None for a color"),
        ('{"sea": "wet"}', "has 'wet' for a color"),
    ],
)
def test_broken_json_says_what_is_wrong(text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        read(".json", text.encode())


def test_adobe_swatch_exchange() -> None:
    group = struct.pack(">HIH4s", 0xC001, 6, 2, "G\0".encode("utf-16-be"))
    end = struct.pack(">HI", 0xC002, 0)
    data = ase(
        group,
        ase_color("navy", b"RGB ", *NAVY),
        ase_color("half", b"Gray", 0.5),
        struct.pack(">HI3s", 0x7777, 3, b"???"),
        end,
        ase_color("", b"CMYK", 0.0, 1.0, 1.0, 0.5),
        ase_color("too bright", b"RGB ", 1.5, -0.5, 0.0),
    )
    navy, half, ink, bright = read(".ase", data)
    assert navy.name == "navy"
    assert navy.rgb == pytest.approx(NAVY, abs=1e-7)
    assert (half.name, half.rgb) == ("half", (0.5, 0.5, 0.5))
    assert (ink.name, ink.rgb, ink.converted) == ("", (0.5, 0, 0), "CMYK")
    assert bright.rgb == (1, 0, 0)


@pytest.mark.parametrize(
    ("lab", "rgb"),  # as CSS Color 4 has them, whose Lab is under D50 as well
    [
        ((100, 0, 0), (1, 1, 1)),
        ((0, 0, 0), (0, 0, 0)),
        ((54.29, 80.81, 69.89), (1, 0, 0)),
        ((87.82, -79.27, 80.99), (0, 1, 0)),
        ((29.57, 68.29, -112.03), (0, 0, 1)),
    ],
)
def test_lab_is_under_d50(lab: tuple[float, float, float], rgb: tuple[float, float, float]) -> None:
    lightness, a, b = lab
    (swatch,) = read(".ase", ase(ase_color("lab", b"LAB ", lightness / 100, a, b)))
    np.testing.assert_allclose(swatch.rgb, rgb, atol=1 / 255)
    hundredths = (round(100 * value) % 65536 for value in lab)
    (swatch,) = read(".aco", aco(1, (7, *hundredths, 0)))
    np.testing.assert_allclose(swatch.rgb, rgb, atol=1 / 255)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "does not begin with 'ASEF'"),
        (b"ASEF", "is cut short"),
        (ase(count=3), "is cut short"),
        (ase(ase_color("x", b"RGB ", 0, 0, 0))[:-9], "is cut short"),
        (ase(struct.pack(">HI", 1, 2) + b"\xff\xff"), "is cut short"),
        (ase(ase_color("x", b"HSV ", 0, 0, 0)), "in the model b'HSV '; wanted RGB"),
        (ase(ase_color("x", b"RGB ", float("nan"), 0, 0)), "not a number"),
        (ase(ase_color("x", b"LAB ", 0.5, float("inf"), 0)), "not a number"),
        (struct.pack("<IHHHH", 1000, 0xA5E0, 1, 16, 16), "a sprite of Aseprite"),
    ],
)
def test_broken_swatch_exchange_files_say_what_is_wrong(data: bytes, message: str) -> None:
    with pytest.raises(InputError, match=message):
        read(".ase", data)


def test_photoshop_swatches_of_all_color_spaces() -> None:
    data = aco(
        1,
        (0, 65535, 0, 32768, 0),
        (1, 21845, 65535, 65535, 0),  # hue 120 degrees
        (2, 65535, 0, 65535, 32768),  # magenta under half black
        (8, 2500, 0, 0, 0),  # a quarter of ink
    )
    rgb, hsb, cmyk, gray = read(".aco", data)
    assert rgb.rgb == pytest.approx((1, 0, 32768 / 65535))
    assert hsb.rgb == pytest.approx((0, 1, 0), abs=1e-4)
    assert cmyk.rgb == pytest.approx((0.5, 0, 0.5), abs=1e-4)
    assert cmyk.converted == "CMYK"
    assert gray.rgb == pytest.approx((0.75, 0.75, 0.75))


def test_second_version_of_photoshop_swatches_has_names() -> None:
    colors = ((0, 65535, 0, 0, 0), (0, 0, 0, 65535, 0))
    both = aco(1, *colors) + aco(2, *colors, names=("rouge", "bleu nuit"))
    wanted = (Swatch((1, 0, 0), "rouge"), Swatch((0, 0, 1), "bleu nuit"))
    assert read(".aco", both) == wanted
    assert read(".aco", aco(2, *colors, names=("rouge", "bleu nuit"))) == wanted
    assert [s.name for s in read(".aco", aco(1, *colors) + b"8BIM and more")] == ["", ""]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "is cut short"),
        (aco(3), "of version 3"),
        (aco(1, (0, 0, 0, 0, 0))[:-1], "is cut short"),
        (aco(2, (0, 0, 0, 0, 0), names=("x",))[:-6] + b"\xff\xff\xff\xff", "is cut short"),
        (aco(1, (0, 0, 0, 0, 0), (3, 0, 0, 0, 0)), "color 2 of the file is in the color book Pantone; wanted RGB"),
        (aco(1, (77, 0, 0, 0, 0)), "the color space number 77"),
    ],
)
def test_broken_photoshop_swatches_say_what_is_wrong(data: bytes, message: str) -> None:
    with pytest.raises(InputError, match=message):
        read(".aco", data)


CHANNEL = st.integers(0, 255).map(lambda v: v / 255)
NAME = st.text(max_size=12).map(lambda text: " ".join(text.replace("\0", "").split())).filter(lambda n: n != "Untitled")
NAMED = st.lists(st.tuples(st.tuples(CHANNEL, CHANNEL, CHANNEL), NAME), min_size=1, max_size=MAX_COLORS).map(
    lambda rows: Palette(tuple(color for color, _ in rows), tuple(name for _, name in rows))
)


@pytest.mark.parametrize("suffix", WRITERS)
@given(NAMED)
@example(Palette((NAVY,), ("\ud800 half a surrogate pair",)))
@example(Palette((NAVY,), ("x" * 70_000,)))
def test_what_is_written_is_read_again(suffix: str, palette: Palette) -> None:
    swatches = read(suffix, WRITERS[suffix](palette))
    np.testing.assert_allclose([s.rgb for s in swatches], palette.colors, atol=1e-6)
    assert {s.alpha for s in swatches} == {1.0}


@pytest.mark.parametrize("suffix", [".gpl", ".ase", ".aco", ".json"])
@given(NAMED)
def test_names_are_kept(suffix: str, palette: Palette) -> None:
    swatches = read(suffix, WRITERS[suffix](palette))
    for swatch, (_, name) in zip(swatches, palette.named, strict=True):
        assert swatch.name == name or (suffix == ".ase" and not name)


@pytest.mark.parametrize("suffix", WRITERS)
def test_standard_input_is_recognized_by_its_beginning(suffix: str) -> None:
    assert sniff(WRITERS[suffix](Palette((NAVY, CRIMSON), ("a", "b")))) == suffix


def test_text_with_a_byte_order_mark_is_recognized() -> None:
    assert sniff("\ufeff  GIMP Palette".encode()) == ".gpl"
    assert sniff(b'\n["#123456"]') == ".json"
    assert sniff(b"") == ".hex"


def cut_and_changed(valid: bytes) -> st.SearchStrategy[bytes]:
    """A valid file with some bytes replaced, cut off or added: what a fuzzer reaches the inner parts with."""

    def change(edits: list[tuple[int, int]], end: int, tail: bytes) -> bytes:
        data = bytearray(valid)
        for at, value in edits:
            data[at % len(data)] = value
        return bytes(data[: end % (len(data) + 1) or None]) + tail

    byte = st.integers(0, 255)
    return st.builds(
        change,
        st.lists(st.tuples(st.integers(0, 10_000), byte), max_size=6),
        st.integers(0, 10_000),
        st.binary(max_size=4),
    )


SAMPLE = Palette((NAVY, CRIMSON, (0.5, 0.5, 0.5)), ("navy", "crimson", ""))
VALID: dict[str, Callable[[], bytes]] = {
    ".gpl": lambda: WRITERS[".gpl"](SAMPLE).replace(b"#\n", b"Channels: RGBA\n#\n"),
    ".ase": lambda: ase(*(ase_color("c", m, *[0.5] * n) for m, n in ((b"RGB ", 3), (b"LAB ", 3), (b"CMYK", 4)))),
    ".aco": lambda: WRITERS[".aco"](SAMPLE),
    ".hex": lambda: WRITERS[".hex"](SAMPLE),
    ".json": lambda: WRITERS[".json"](SAMPLE),
}


def outcome(reader: Callable[[], tuple[Swatch, ...]]) -> tuple[Swatch, ...] | str:
    """The swatches, or what the user is told."""
    try:
        return reader()
    except InputError as error:
        return str(error)


def check(outcome: tuple[Swatch, ...] | str, source: str) -> None:
    if isinstance(outcome, str):
        assert source in outcome
        assert outcome.endswith(".")
    else:
        assert all(0 <= value <= 1 for swatch in outcome for value in (*swatch.rgb, swatch.alpha))


@pytest.mark.parametrize("suffix", READERS)
@given(st.data())
def test_any_bytes_give_swatches_or_a_sentence(suffix: str, data: st.DataObject) -> None:
    some = data.draw(st.one_of(st.binary(max_size=200), cut_and_changed(VALID[suffix]())))
    check(outcome(lambda: read(suffix, some)), "the file")


@given(st.text(max_size=60))
def test_any_text_gives_colors_or_a_sentence(text: str) -> None:
    check(outcome(lambda: parse_colors(text, "the text")), "the text")
