"""Which files a user means, which number each frame has, and what is said where that can't be told."""

from __future__ import annotations

import logging
import os
from pathlib import Path

import pytest
from PIL import Image

from celpaint.conditions.reference_assignment import place_references
from celpaint.errors import InputError, ReferenceFrameError
from celpaint.frames.find import find_in_folder, find_matching
from celpaint.frames.read import open_clip, read_picture


def folder_of(folder: Path, *names: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        Image.new("L", (4, 4), 255).save(folder / name)
    return folder


def numbers(source: Path | str) -> list[str]:
    clip = open_clip(source)
    return [str(clip.number(i)) for i in range(len(clip))]


def refused(source: Path | str, *words: str) -> str:
    with pytest.raises(InputError) as caught:
        open_clip(source)
    for word in words:
        assert word in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    ("names", "pattern", "glob", "expected"),
    [
        (["r.-0002.png", "r.0000.png", "r.-0001.png"], "r.####.png", "r.*.png", "-2 -1 0"),
        (["A0001.png", "A0001a.png", "A0002.png", "A0003.png"], "A####*.png", "A*.png", "1 1a 2 3"),
        (["f_7_d0.04.png", "f_8_d0.08.png", "f_9_d0.04.png"], "f_#_*.png", "f_*.png", "7 8 9"),
        (["A_0003.PNG", "A_0004.png"], "A_####.png", "A_*.png", "3 4"),
        (["A_0003.png", "A_0007.png"], "A_%04d.png", "*.png", "3 7"),
    ],
)
def test_a_frame_has_one_number_by_folder_pattern_and_glob(tmp_path, names, pattern, glob, expected):
    folder = folder_of(tmp_path / "in", *names)
    assert numbers(folder) == numbers(folder / pattern) == numbers(folder / glob) == expected.split()


@pytest.mark.parametrize(
    ("frame", "index"), [("2", 2), ("1", 0), ("1a", 1), ("02", 2), ("-1", None), ("1b", None), ("A0001a", 1)]
)
@pytest.mark.parametrize("source", ["", "A*.png", "A####*.png"])
def test_references_are_placed_by_the_numbers_in_names(tmp_path, frame, index, source):
    clip = open_clip(folder_of(tmp_path / "in", "A0001.png", "A0001a.png", "A0002.png", "A0003.png") / source)
    folder_of(tmp_path, "key.png")
    reference = f"{tmp_path / 'key.png'}@{frame}"
    if index is None:
        with pytest.raises(ReferenceFrameError, match="from 1 to 3"):
            place_references([reference], clip)
    else:
        assert place_references([reference], clip)[0].frame == index


def test_before_frame_zero(tmp_path):
    clip = open_clip(folder_of(tmp_path / "in", "r.-0002.png", "r.-0001.png", "r.0000.png"))
    assert place_references(["key.png@-1"], clip)[0].frame == 1


def test_a_lone_frame_keeps_its_number_and_its_sequence_is_hinted_at(tmp_path, caplog):
    folder_of(tmp_path, "A_0003.png", "A_0004.png", "A_0005.png")
    with caplog.at_level(logging.INFO):
        assert numbers(tmp_path / "A_0004.png") == ["4"]
    assert f"one of 3 frames and is used alone; for all of them use '{tmp_path / 'A_####.png'}'" in caplog.text
    caplog.clear()
    with caplog.at_level(logging.INFO):
        read_picture(tmp_path / "A_0004.png")
        open_clip(folder_of(tmp_path / "one", "A_0001.png") / "A_0001.png")
    assert not caplog.text


def test_counting_is_said(tmp_path, caplog):
    folder_of(tmp_path, "walk.png", "run.png")
    with caplog.at_level(logging.INFO):
        assert numbers(tmp_path / "*.png") == ["1", "2"]
    assert "no number" in caplog.text
    assert "'run.png' is frame 1" in caplog.text


def test_two_readings_are_refused_with_patterns_that_both_work(tmp_path):
    folder = folder_of(tmp_path / "in", "f_1_31.png", "f_2_32.png", "f_3_33.png")
    for source in (folder, folder / "f_*.png"):
        refused(
            source, "f_#_*.png (frames 1-3)", "f_*_##.png (frames 31-33)", "several ways", str(folder / "f_#_*.png")
        )
    assert numbers(folder / "f_#_*.png") == ["1", "2", "3"]
    assert numbers(folder / "f_*_##.png") == ["31", "32", "33"]


def test_letters_on_every_number_are_refused_in_a_folder(tmp_path):
    folder = folder_of(tmp_path / "in", "A1.png", "A1a.png", "A2.png", "A2a.png")
    refused(folder, "A#*.png (frames 1, 1a, 2, 2a)", "A#.png (frames 1-2)", "A#a.png (frames 1-2)")
    assert [len(open_clip(folder / p)) for p in ("A#*.png", "A#.png", "A#a.png")] == [4, 2, 2]


def test_in_betweens_that_a_pattern_leaves_out_are_said(tmp_path, caplog):
    folder = folder_of(tmp_path / "in", "A1.png", "A1a.png", "A2.png")
    with caplog.at_level(logging.INFO):
        assert numbers(folder / "A#.png") == ["1", "2"]
    assert "'A1a.png', are left out; 'A#*.png' takes them" in caplog.text


def test_a_minus_that_may_be_a_hyphen_is_refused(tmp_path):
    folder = folder_of(tmp_path / "in", "r-0002.png", "r-0001.png", "r0000.png")
    refused(folder, "2 sequences", "r-####.png", "a dot before")
    refused(folder / "r*.png", "sign", "hyphen", "r.-0003.png")


@pytest.mark.parametrize(
    "placeholder",
    [
        ".A_0003.png.icloud",
        ".syncthing.A_0003.png.tmp",
        "~syncthing~A_0003.png.tmp",
        ".A_0003.png.x7Qk2f",  # rsync
        "A_0003.png.part",
        "A_0003.png.filepart",
        "A_0003.PNG.crdownload",
        ".unison.A_0003.png.6ad0.unison.tmp",
    ],
)
@pytest.mark.parametrize("source", ["", "A_####.png", "A_*.png"])
def test_a_frame_on_its_way_is_refused_by_name(tmp_path, placeholder, source):
    folder = folder_of(tmp_path / "in", "A_0001.png", "A_0002.png", "A_0004.png")
    (folder / placeholder).write_bytes(b"half")
    refused(folder / source, "A_0003.", "not complete yet", placeholder)


@pytest.mark.parametrize(
    "beside", ["._A_0003.png", ".A_0003.png", "A_0003.png.xmp", ".A_0001.png.icloud", "B_0003.png.part", ".DS_Store"]
)
def test_what_lies_beside_frames_is_passed_over(tmp_path, beside):
    folder = folder_of(tmp_path / "in", "A_0001.png", "A_0002.png")
    (folder / beside).write_bytes(b"half")
    assert numbers(folder) == numbers(folder / "A_*.png") == ["1", "2"]


@pytest.mark.parametrize("source", ["", "A_####.png", "A_*.png"])
def test_a_link_that_leads_nowhere_is_refused_by_name(tmp_path, source):
    folder = folder_of(tmp_path / "in", "A_0001.png", "A_0003.png")
    (folder / "A_0002.png").symlink_to("../v003/A_0002.png")
    refused(folder / source, "A_0002.png", "../v003/A_0002.png", "does not exist")
    refused(folder / "A_0002.png", "is a link to")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs pipes")
def test_pipes_are_refused_by_name_and_never_waited_for(tmp_path):
    folder = folder_of(tmp_path / "in", "A_0001.png")
    os.mkfifo(folder / "A_0002.png")
    for source in (folder, folder / "A_####.png", folder / "A_0002.png"):
        refused(source, "A_0002.png", "is a pipe", "in a file")
    with pytest.raises(InputError, match="is a pipe"):
        read_picture(folder / "A_0002.png")
    os.mkfifo(tmp_path / "film.mp4")
    refused(tmp_path / "film.mp4", "is a pipe")
    os.mkfifo(tmp_path / "nameless")
    refused(tmp_path / "nameless", "is a pipe")


@pytest.mark.parametrize(
    ("name", "start", "kind"),
    [
        ("a.exr", b"\x76\x2f\x31\x01\x02\0\0\0", "an OpenEXR picture"),
        ("a.psd", b"8BPS\0\1", "a Photoshop document"),
        ("a.kra", b"PK\3\4", "Krita"),
        ("a.dpx", b"SDPX", "a DPX picture"),
        ("a.heic", b"\0\0\0\x18ftypheic", "an HEIC picture"),
        ("a.tlv", b"TLV15B1a", "an OpenToonz level"),
        ("a.hdr", b"#?RADIANCE\n", "a Radiance HDR picture"),
    ],
)
def test_other_kinds_are_called_by_name(tmp_path, name, start, kind):
    (tmp_path / name).write_bytes(start + bytes(200))
    assert "damaged" not in refused(tmp_path / name, kind)
    (tmp_path / "a.png").write_bytes(start + bytes(200))
    assert "damaged" not in refused(tmp_path / "a.png", kind)
    with pytest.raises(InputError, match=kind.split()[-1]):
        read_picture(tmp_path / name)


def test_hidden_frames_and_suffixes_before_numbers_are_named(tmp_path):
    hidden = tmp_path / "hidden"
    hidden.mkdir()
    for name in (".png0001.png", ".png0002.png", ".DS_Store"):
        (hidden / name).write_bytes(b"x")
    refused(hidden, "2 hidden (such as '.png0001.png')", "do not begin with a dot")
    after = tmp_path / "after"
    after.mkdir()
    (after / "walk.bmp0001").write_bytes(b"x")
    refused(after, "'walk.bmp0001' to 'walk0001.bmp'")


def test_misspelled_names_are_suggested(tmp_path):
    folder_of(tmp_path / "cut #05", "A_0001.png")
    folder_of(tmp_path, "my@key.png")
    refused(tmp_path / "cut #06", "Did you mean", "cut #05")
    clip = open_clip(tmp_path / "cut #05")
    with pytest.raises(ReferenceFrameError, match=r"Did you mean '.*my@key\.png'"):
        place_references([str(tmp_path / "my@kye.png")], clip)
    with pytest.raises(InputError, match="Did you mean"):
        read_picture(tmp_path / "my@kye.png")


def test_a_hash_in_a_glob_may_be_a_hash(tmp_path):
    folder_of(tmp_path, "cut #05 1.png", "cut #05 2.png")
    assert numbers(tmp_path / "cut #05*.png") == ["1", "2"]


def test_files_and_numbers_are_found_together(tmp_path):
    folder = folder_of(tmp_path / "in", "A_10.png", "A_9.png")
    for found in (find_in_folder(folder), find_matching(folder / "A_#.png")):
        assert [file.name for file in found.files] == ["A_9.png", "A_10.png"]
        assert [number.value for number in found.numbers] == [9, 10]
