"""Files and folders are replaced whole or not at all."""

from __future__ import annotations

import errno
import os

import pytest

from celpaint.atomic_write import disk_errors, replacing, write_file, write_text
from celpaint.errors import DiskFull, OutputError


def names(folder):
    return [path.name for path in folder.iterdir()]


def test_replacing_gives_the_new_file_its_name(tmp_path):
    path = tmp_path / "a.bin"
    path.write_bytes(b"old")
    with replacing(path) as part:
        part.write_bytes(b"new")
        assert path.read_bytes() == b"old"
    assert path.read_bytes() == b"new"
    assert names(tmp_path) == ["a.bin"]


def test_replacing_keeps_the_old_file_when_writing_fails(tmp_path):
    path = tmp_path / "a.bin"
    path.write_bytes(b"old")

    def fail():
        with replacing(path) as part:
            part.write_bytes(b"half")
            raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        fail()
    assert path.read_bytes() == b"old"
    assert names(tmp_path) == ["a.bin"]


def test_replacing_replaces_a_folder_with_everything_in_it(tmp_path):
    path = tmp_path / "run"
    (path / "inner").mkdir(parents=True)
    (path / "inner" / "old.txt").write_text("old")
    with replacing(path) as part:
        (part / "inner").mkdir(parents=True)
        (part / "inner" / "new.txt").write_text("new")
    assert [file.name for file in path.rglob("*.txt")] == ["new.txt"]
    assert names(tmp_path) == ["run"]


def test_replacing_flushes_before_it_renames(tmp_path, monkeypatch):
    order = []
    sync = os.fsync
    monkeypatch.setattr(os, "fsync", lambda descriptor: (order.append((tmp_path / "a").exists()), sync(descriptor)))
    with replacing(tmp_path / "a") as part:
        part.write_text("x")
    assert order == [False, True]  # the file before it has its name, the folder after


def test_write_text_is_utf8(tmp_path):
    write_text(tmp_path / "a.txt", "Süß\n")
    assert (tmp_path / "a.txt").read_bytes() == "Süß\n".encode()


def test_write_file_removes_its_part_when_the_disk_is_full(tmp_path, monkeypatch):
    def full(descriptor):
        raise OSError(errno.ENOSPC, "full")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(DiskFull) as caught, disk_errors(tmp_path / "a"):
        write_file(tmp_path / "a", b"data")
    assert str(tmp_path / "a") in caught.value.seen
    assert names(tmp_path) == []


def test_a_missing_folder_is_an_output_error(tmp_path):
    with pytest.raises(OutputError) as caught, disk_errors(tmp_path / "no" / "a"):
        write_file(tmp_path / "no" / "a", b"data")
    assert "No such file" in caught.value.seen
