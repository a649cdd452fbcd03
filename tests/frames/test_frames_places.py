"""Where results go: folders that exist are filled, links are followed, and what can't work is refused at once."""

from __future__ import annotations

import errno
import os
import stat
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from frame_files import cel
from PIL import Image

from celpaint import atomic_write
from celpaint.errors import OutputError
from celpaint.frames.read import open_clip
from celpaint.frames.video import exact_rate
from celpaint.frames.write import missing_numbers, open_sink
from celpaint.types import FrameNumber, PixelFormat

SIZE = (72, 96)
NAMES = ("A_0001.png", "A_0002.png")


def put(out: Path | str, names: tuple[str, ...] | None = NAMES, **how: object) -> None:
    sink = open_sink(out, size=SIZE, names=names, **how)
    for index in range(len(names or NAMES)):
        sink.write(cel(index), index)
    sink.commit()


def listing(folder: Path) -> list[str]:
    return sorted(file.name for file in folder.iterdir())


# ------------------------------------------------------------------------------------------------ folders that exist


def test_an_existing_folder_stays_the_same_folder(tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    out.chmod(0o2775)
    before = out.stat()
    put(out)
    after = out.stat()
    assert (after.st_ino, after.st_mode, after.st_gid) == (before.st_ino, before.st_mode, before.st_gid)
    assert listing(out) == list(NAMES)
    if os.name == "posix":  # files take the folder's group, as its set-group-id bit asks
        assert all((out / name).stat().st_gid == before.st_gid for name in NAMES)


def test_all_is_prepared_inside_a_folder_that_exists(tmp_path):
    """It may be a drive of its own, and its parent may not be written to."""
    out = tmp_path / "out"
    out.mkdir()
    sink = open_sink(out, size=SIZE, names=NAMES)
    sink.write(cel(0), 0)
    assert listing(tmp_path) == ["out"]
    assert all(name.startswith(".") for name in listing(out))
    sink.abort()
    assert listing(out) == []


def test_the_folder_one_stands_in(tmp_path, monkeypatch):
    (tmp_path / "out").mkdir()
    monkeypatch.chdir(tmp_path / "out")
    put(".")
    put("../out", overwrite=True)
    assert listing(Path()) == list(NAMES)


@pytest.mark.parametrize("there", ["filled", "empty", "missing"])
def test_a_link_to_a_folder_is_followed(tmp_path, there):
    target = tmp_path / "big" / "out"
    target.parent.mkdir()
    if there != "missing":
        target.mkdir()
    if there == "filled":
        (target / "A_0001.png").write_bytes(b"old")
    (tmp_path / "out").symlink_to(target)
    put(f"{tmp_path / 'out'}/", overwrite=True)
    assert (tmp_path / "out").is_symlink()
    assert listing(target) == list(NAMES)
    assert listing(tmp_path) == ["big", "out"]
    assert listing(tmp_path / "big") == ["out"]
    assert len(open_clip(tmp_path / "out")) == 2


@pytest.mark.parametrize("name", ["a.png", "a.mp4", "a.gif"])
@pytest.mark.parametrize("exists", [True, False])
def test_a_link_to_a_file_is_written_behind(tmp_path, name, exists):
    target = tmp_path / "there" / name
    target.parent.mkdir()
    if exists:
        target.write_bytes(b"old")
    (tmp_path / name).symlink_to(target)
    sink = open_sink(tmp_path / name, size=SIZE, overwrite=True)
    sink.write(cel(0), 0)
    sink.commit()
    assert (tmp_path / name).is_symlink()
    assert len(open_clip(target)) == 1
    assert listing(tmp_path / "there") == [name]


def test_a_replaced_file_keeps_its_permissions(tmp_path):
    for out in ("a.png", "a.mp4"):
        (tmp_path / out).write_bytes(b"old")
        (tmp_path / out).chmod(0o664)
        sink = open_sink(tmp_path / out, size=SIZE, overwrite=True)
        sink.write(cel(0), 0)
        sink.commit()
        assert stat.S_IMODE((tmp_path / out).stat().st_mode) == 0o664


@pytest.mark.parametrize("name", ["lost+found", "System Volume Information", ".Trash-1000", ".DS_Store", "Thumbs.db"])
def test_what_systems_put_into_a_drive_leaves_it_empty(tmp_path, name):
    (tmp_path / "out" / name).mkdir(parents=True)
    put(tmp_path / "out")
    assert listing(tmp_path / "out") == sorted([*NAMES, name])


def test_a_folder_in_the_way_of_a_frame_is_refused_at_once(tmp_path):
    (tmp_path / "out" / "A_0002.png").mkdir(parents=True)
    with pytest.raises(OutputError, match=r"A_0002\.png' is a folder"):
        open_sink(tmp_path / "out", size=SIZE, names=NAMES, overwrite=True)
    assert listing(tmp_path / "out") == ["A_0002.png"]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs pipes")
def test_a_pipe_is_no_result(tmp_path):
    os.mkfifo(tmp_path / "a.mp4")
    with pytest.raises(OutputError, match="is not a file"):
        open_sink(tmp_path / "a.mp4", size=SIZE, overwrite=True)


# --------------------------------------------------------------------------------------------------------- long names


@pytest.mark.parametrize("name", ["線" * 80 + "_{:03d}_ok.png", "x" * 247 + "_{:03d}.png"])
def test_names_as_long_as_a_disk_takes(tmp_path, name):
    names = tuple(name.format(i) for i in (1, 2))
    put(tmp_path / "out", names)
    put(tmp_path / "out", names, overwrite=True)
    assert listing(tmp_path / "out") == sorted(names)
    assert listing(tmp_path) == ["out"]


@pytest.mark.parametrize("suffix", ["", ".mp4", ".gif", ".png"])
def test_a_result_with_the_longest_name(tmp_path, suffix):
    out = tmp_path / ("x" * (255 - len(suffix)) + suffix)
    sink = open_sink(out, size=SIZE)
    sink.write(cel(0), 0)
    sink.commit()
    assert listing(tmp_path) == [out.name]


def test_names_that_a_disk_does_not_take_are_refused_before_work(tmp_path):
    names = ("a1.jpg", "x" * 252 + "2.jp")
    with pytest.raises(OutputError, match="too long"):
        open_sink(tmp_path / "out", size=SIZE, names=names)
    assert listing(tmp_path) == []


def test_hidden_neighbors_are_short_and_apart(tmp_path):
    long = [tmp_path / ("線" * 80 + end) for end in ("1", "2")]
    hidden = [atomic_write.hidden_neighbor(path, "part").name for path in long]
    assert hidden[0] != hidden[1]
    assert all(len(name) < 30 and name.startswith(".") for name in hidden)
    assert atomic_write.hidden_neighbor(tmp_path / "out.mp4", "part") == tmp_path / ".out.mp4.part"


# ------------------------------------------------------------------------------------------------------ drives


@pytest.mark.parametrize("code", [errno.EINVAL, errno.ENOTSUP, errno.ENOSYS])
@pytest.mark.parametrize("out", ["out", "there", "out.png", "out.mp4", "out.gif"])
def test_a_drive_that_cannot_flush_folders_is_no_error(tmp_path, monkeypatch, code, out):
    (tmp_path / "there").mkdir()
    sync = os.fsync

    def refuse(descriptor):
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(code, os.strerror(code))
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", refuse)
    put(tmp_path / out, NAMES[:1])
    assert len(open_clip(tmp_path / out)) == 1


def test_a_drive_that_fails_is_an_error(tmp_path, monkeypatch):
    def fail(descriptor):
        raise OSError(errno.EIO, "broken")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OutputError, match="can't be written"):
        put(tmp_path / "out")
    assert not (tmp_path / "out").exists()


# ------------------------------------------------------------------------------------------------------- patterns


@pytest.mark.parametrize("mark", ["####", "%04d"])
def test_a_pattern_as_a_result(tmp_path, mark):
    """The frames' numbers, whatever the inputs are called; the folder may hold other things."""
    (tmp_path / "x").mkdir()
    (tmp_path / "x" / "notes.txt").write_text("mine")
    numbers = [FrameNumber(n) for n in (-2, 0, 17)]
    put(tmp_path / "x" / f"B_{mark}.png", ("r.-2.png", "r.0.png", "r.17.png"), numbers=numbers)
    assert listing(tmp_path / "x") == ["B_-0002.png", "B_0000.png", "B_0017.png", "notes.txt"]
    assert open_clip(tmp_path / "x" / "B_0000.png").names == ("B_0000.png",)


def test_a_pattern_counts_what_has_no_numbers(tmp_path):
    put(tmp_path / "x" / "B_##.tif", None, count=2)
    assert listing(tmp_path / "x") == ["B_01.tif", "B_02.tif"]


def test_a_pattern_keeps_the_letters_of_in_betweens(tmp_path):
    put(tmp_path / "x" / "B_##.png", numbers=[FrameNumber(1), FrameNumber(1, "a")])
    assert listing(tmp_path / "x") == ["B_01.png", "B_01a.png"]


def test_a_pattern_replaces_nothing_unasked_and_never_an_input(tmp_path):
    put(tmp_path / "x" / "B_#.png", None, count=2)
    with pytest.raises(OutputError, match=r"B_1\.png' exists.*--overwrite"):
        put(tmp_path / "x" / "B_#.png", None, count=2)
    put(tmp_path / "x" / "B_#.png", None, count=2, overwrite=True)
    with pytest.raises(OutputError, match="is an input"):
        put(tmp_path / "x" / "B_#.png", None, count=2, overwrite=True, inputs=[tmp_path / "x" / "B_2.png"])
    assert listing(tmp_path / "x") == ["B_1.png", "B_2.png"]


def test_a_hash_in_the_name_of_one_picture_is_a_hash(tmp_path):
    put(tmp_path / "take #1.png", ("a.png",))
    assert listing(tmp_path) == ["take #1.png"]


def test_frames_without_names_are_called_by_their_numbers(tmp_path):
    put(tmp_path / "x", None, count=2, numbers=[FrameNumber(12), FrameNumber(13)])
    assert listing(tmp_path / "x") == ["0012.png", "0013.png"]


def test_missing_numbers(tmp_path):
    for number in (1, 3, 5, 9, 10):
        Image.new("L", (2, 2)).save(tmp_path / f"A_{number:04d}.png")
    assert missing_numbers(open_clip(tmp_path)) == "2, 4, 6-8"
    assert missing_numbers(open_clip(tmp_path / "A_0001.png")) == ""


# ------------------------------------------------------------------------------------------------ resolution and rate


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("alpha", [False, True])
@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_resolution_goes_into_the_result(tmp_path, suffix, bits, alpha):
    form = PixelFormat(bits, alpha, (144.0, 72.0))
    put(tmp_path / f"a{suffix}", ("a.png",), format=form)
    with Image.open(tmp_path / f"a{suffix}") as image:
        assert tuple(np.round(np.float64(image.info["dpi"]), 1)) == (144, 72)
    clip = open_clip(tmp_path / f"a{suffix}")
    assert clip.format == form
    np.testing.assert_array_equal(clip[0].rgb, cel(0).rgb)


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("23.976", Fraction(24000, 1001)),
        ("23.98", Fraction(24000, 1001)),
        ("29.97", Fraction(30000, 1001)),
        ("59.94", Fraction(60000, 1001)),
        ("119.88", Fraction(120000, 1001)),
        ("47.952", Fraction(48000, 1001)),
        ("24", Fraction(24)),
        ("25", Fraction(25)),
        ("12.5", Fraction(25, 2)),
        ("30000/1001", Fraction(30000, 1001)),
        ("8", Fraction(8)),
    ],
)
def test_rates_as_people_write_them(tmp_path, written, meant):
    assert exact_rate(Fraction(written)) == meant
    put(tmp_path / "a.mp4", rate=Fraction(written))
    assert open_clip(tmp_path / "a.mp4").rate == meant
