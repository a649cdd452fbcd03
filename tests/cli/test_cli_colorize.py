"""``celpaint colorize`` as a user meets it: odd input works, bad input ends in one sentence and leaves nothing."""

from __future__ import annotations

import json
import os
import re
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from celpaint.cli.app import run
from celpaint.frames.read import open_clip
from celpaint.frames.write import open_sink
from shots import SIZE, draw_line, make_shot, paint_key

Shot = tuple[Path, Path]


def colorize(lines: Path | str, key: Path | str, out: Path | str, *extra: str, method: str = "copycat") -> int:
    return run(["colorize", str(lines), "-r", str(key), "-o", str(out), "--method", method, *extra])


def video(path: Path, frames: int = 6, times: list[Fraction] | None = None, size: tuple[int, int] = SIZE) -> Path:
    sink = open_sink(path, size=size[::-1], rate=12, times=times)
    for i in range(frames):
        picture = path.with_suffix(".frame.png")
        draw_line(i, size).convert("RGB").save(picture)
        sink.write(open_clip(picture)[0], i)
        picture.unlink()
    sink.commit()
    return path


# --------------------------------------------------------------------------------------------------- what is said


def test_a_person_is_told_the_figures(shot: Shot, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert colorize(*shot, tmp_path / "out") == 0
    said = capsys.readouterr()
    assert "10 frames in" in said.out
    assert "paint next, where the colors are least certain: A_0010.png (" in said.out
    assert re.search(r"A_0009.png \(upper center, x \d+ to \d+, y \d+ to \d+\)", said.out)
    assert said.out.strip().endswith(f"result: {tmp_path / 'out'}")
    assert "coloring, segment 3/3: 10/10" in said.err
    assert "\x1b" not in said.err + said.out


def test_quiet_says_nothing(shot: Shot, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert colorize(*shot, tmp_path / "out", "--quiet") == 0
    assert capsys.readouterr() == ("", "")


def test_json_says_everything_line_by_line(shot: Shot, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    paint_key(size=(192, 128)).save(shot[1])
    assert colorize(*shot, tmp_path / "out.mp4", "--json", "--confidence-maps", str(tmp_path / "maps")) == 0
    said = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [s["index"] for s in said if s["event"] == "frame"] == list(range(1, 11))
    assert [s["index"] for s in said if s["event"] == "segment"] == [1, 2, 3]
    assert any(s["event"] == "note" and "192x128" in s["message"] for s in said)
    assert said[-1]["event"] == "done"
    assert (said[-1]["frames"], said[-1]["out"]) == (10, str(tmp_path / "out.mp4"))
    assert said[-1]["confidence_maps"] == str(tmp_path / "maps")


def test_an_error_is_json_too_and_goes_to_standard_error(
    shot: Shot, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert colorize(shot[0], tmp_path / "none.png", tmp_path / "out", "--json") == 2
    said = capsys.readouterr()
    last = json.loads(said.out.splitlines()[-1])
    assert (last["event"], last["exit_code"]) == ("error", 2)
    assert "none.png" in last["message"]
    assert last["message"] in said.err


def test_a_bar_on_a_terminal(shot: Shot, tmp_path: Path) -> None:
    import pty

    parent, child = pty.openpty()
    command = [sys.executable, str(Path(__file__).parents[1] / "copycat.py"), "colorize", str(shot[0])]
    command += ["-r", str(shot[1]), "-o", str(tmp_path / "out"), "--method", "copycat", "--pause", "0.05"]
    environment = {**os.environ, "TERM": "xterm-256color", "COLUMNS": "100"}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=child, env=environment)
    os.close(child)
    shown = b""
    while True:
        try:
            piece = os.read(parent, 4096)
        except OSError:
            break
        if not piece:
            break
        shown += piece
    os.close(parent)
    assert process.stdout is not None
    summary = process.stdout.read()
    process.stdout.close()
    assert process.wait() == 0
    assert b"s/frame" in shown
    assert b"segment" in shown
    assert b"\x1b[" in shown
    assert b"result:" in summary


def test_debug_shows_the_traceback(shot: Shot, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert colorize(shot[0], tmp_path / "none.png", tmp_path / "out", "--debug") == 2
    assert "Traceback" in capsys.readouterr().err


# ------------------------------------------------------------------------------------------------ odd, and it works


def one_frame(folder: Path) -> Path:
    return make_shot(folder, 1)[0]


def gaps(folder: Path) -> Path:
    lines, _ = make_shot(folder, 8)
    for number in (2, 3, 6):
        (lines / f"A_{number:04d}.png").unlink()
    return lines


def sixteen_bits(folder: Path) -> Path:
    folder.mkdir(parents=True)
    for i in range(3):
        gray = np.asarray(draw_line(i), np.uint16) * 257
        Image.fromarray(gray).save(folder / f"{i}.png")
    return folder


def cmyk(folder: Path) -> Path:
    folder.mkdir(parents=True)
    for i in range(3):
        draw_line(i).convert("RGB").convert("CMYK").save(folder / f"{i}.tif")
    return folder


def palette_with_transparency(folder: Path) -> Path:
    folder.mkdir(parents=True)
    for i in range(3):
        picture = draw_line(i).convert("RGB").quantize(8)
        picture.save(folder / f"{i}.png", transparency=picture.getpixel((0, 0)))
    return folder


def strange_names(folder: Path) -> Path:
    lines = folder / "カット 05, line art"
    lines.mkdir(parents=True)
    for i in range(3):
        draw_line(i).save(lines / f"線画 {i}.png")
    return lines


def portrait_and_odd(folder: Path) -> Path:
    folder.mkdir(parents=True)
    for i in range(3):
        draw_line(i, (51, 97)).save(folder / f"{i}.png")
    return folder


def variable_rate(folder: Path) -> Path:
    folder.mkdir(parents=True)
    return video(folder / "vfr.mkv", 4, times=[Fraction(0), Fraction(1, 24), Fraction(1, 6), Fraction(1, 2)])


@pytest.mark.parametrize(
    ("make", "count"),
    [
        (one_frame, 1),
        (gaps, 5),
        (sixteen_bits, 3),
        (cmyk, 3),
        (palette_with_transparency, 3),
        (strange_names, 3),
        (portrait_and_odd, 3),
        (variable_rate, 4),
    ],
)
def test_odd_input_works(make: Callable[[Path], Path], count: int, tmp_path: Path) -> None:
    lines = make(tmp_path / "in")
    paint_key().save(tmp_path / "key.png")
    assert colorize(lines, tmp_path / "key.png", tmp_path / "aus gabe", "--quiet") == 0
    source, result = open_clip(lines), open_clip(tmp_path / "aus gabe")
    assert (len(result), result.size) == (count, source.size)
    assert result.format.bits == source.format.bits
    if source.names and source.names[0].endswith((".png", ".tif")):
        assert result.names == source.names


def test_the_times_of_a_video_are_kept(tmp_path: Path) -> None:
    source = variable_rate(tmp_path / "in")
    paint_key().save(tmp_path / "key.png")
    assert colorize(source, tmp_path / "key.png", tmp_path / "out.mkv", "--quiet") == 0
    assert open_clip(tmp_path / "out.mkv").times == open_clip(source).times


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv", ".webm", ".gif", ".webp"])
def test_every_kind_of_video(shot: Shot, tmp_path: Path, suffix: str) -> None:
    out = tmp_path / f"out{suffix}"
    assert colorize(*shot, out, "--fps", "12", "--quiet") == 0
    clip = open_clip(out)
    assert (len(clip), clip.size) == (10, (64, 96))
    assert clip.rate is not None
    assert float(clip.rate) == pytest.approx(12, rel=0.05)


@pytest.mark.parametrize("size", [(192, 128), (96, 96), (31, 77)])
def test_a_reference_of_any_size(
    shot: Shot, tmp_path: Path, size: tuple[int, int], capsys: pytest.CaptureFixture[str]
) -> None:
    paint_key(size=size).save(tmp_path / "other.png")
    assert colorize(shot[0], tmp_path / "other.png", tmp_path / "out") == 0
    assert f"The reference is {size[0]}x{size[1]}, the shot 96x64" in capsys.readouterr().err


def test_pictures_of_another_kind(shot: Shot, tmp_path: Path) -> None:
    assert colorize(*shot, tmp_path / "out", "--image-format", "tga", "--quiet") == 0
    assert sorted(file.name for file in (tmp_path / "out").iterdir())[0] == "A_0001.tga"


def test_one_frame_may_become_one_picture(tmp_path: Path) -> None:
    lines, key = make_shot(tmp_path / "shot", 1)
    assert colorize(lines / "A_0001.png", key, tmp_path / "painted.png", "--quiet") == 0
    assert open_clip(tmp_path / "painted.png").size == SIZE[::-1]


def test_overwrite_replaces(shot: Shot, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert colorize(*shot, tmp_path / "out.mp4", "--quiet") == 0
    first = (tmp_path / "out.mp4").read_bytes()
    assert colorize(*shot, tmp_path / "out.mp4", "--seed", "1") == 2
    assert "Add --overwrite" in capsys.readouterr().err
    assert (tmp_path / "out.mp4").read_bytes() == first
    assert colorize(*shot, tmp_path / "out.mp4", "--seed", "1", "--overwrite", "--quiet") == 0
    assert (tmp_path / "out.mp4").read_bytes() != first


# ----------------------------------------------------------------------------------- bad: one sentence, nothing left


class Bad:
    """A good command line to spoil."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.lines, self.key = make_shot(folder / "shot", 4)
        self.reference = str(self.key)
        self.out = folder / "results" / "out"
        self.out.parent.mkdir()
        self.method = "copycat"
        self.extra: list[str] = []
        self.kept: dict[str, bytes] = {}


def empty_folder(bad: Bad) -> str:
    bad.lines = bad.folder / "empty"
    bad.lines.mkdir()
    return "'.*empty' is empty"


def no_such_file(bad: Bad) -> str:
    bad.lines = bad.folder / "shott" / "lines"
    return "'.*shott/lines' does not exist"


def no_pictures(bad: Bad) -> str:
    bad.lines = bad.folder / "texts"
    bad.lines.mkdir()
    (bad.lines / "notes.txt").write_text("hello")
    return "holds no pictures, only 1 .txt"


def nothing_fits_the_pattern(bad: Bad) -> str:
    bad.lines = bad.lines / "B_####.png"
    return "no picture fits .*There is: A_####.png"


def mixed_sizes(bad: Bad) -> str:
    draw_line(0, (97, 64)).save(bad.lines / "A_0003.png")
    return r"'.*A_0001\.png' is 96 x 64 pixels and '.*A_0003\.png' is 97 x 64"


def corrupt_picture(bad: Bad) -> str:
    (bad.lines / "A_0003.png").write_bytes(b"this is no picture at all, though its name says so")
    return r"'.*A_0003\.png' can't be read"


def truncated_picture(bad: Bad) -> str:
    file = bad.lines / "A_0003.png"
    file.write_bytes(file.read_bytes()[:-60])
    return r"'.*A_0003\.png' can't be read"


def zero_byte_picture(bad: Bad) -> str:
    (bad.lines / "A_0003.png").write_bytes(b"")
    return r"'.*A_0003\.png' is empty \(0 bytes\)"


def corrupt_video(bad: Bad) -> str:
    bad.lines = bad.folder / "film.mp4"
    bad.lines.write_bytes(os.urandom(5000))
    return r"'.*film\.mp4' can't be read"


def truncated_video(bad: Bad) -> str:
    bad.lines = video(bad.folder / "film.mp4")
    bad.lines.write_bytes(bad.lines.read_bytes()[:-400])
    return r"film\.mp4'"


def zero_byte_video(bad: Bad) -> str:
    bad.lines = bad.folder / "film.mp4"
    bad.lines.write_bytes(b"")
    return r"film\.mp4' is empty \(0 bytes\)"


def bomb(bad: Bad) -> str:
    def piece(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", 40_000, 40_000, 8, 0, 0, 0, 0)
    data = piece(b"IHDR", header) + piece(b"IDAT", zlib.compress(b"")) + piece(b"IEND", b"")
    (bad.lines / "A_0001.png").write_bytes(b"\x89PNG\r\n\x1a\n" + data)
    return r"A_0001\.png' says it has more than \d+ million pixels"


def output_is_input(bad: Bad) -> str:
    bad.out = bad.lines
    bad.extra = ["--overwrite"]
    return "is the input"


def output_suffix(bad: Bad) -> str:
    bad.out = bad.out.with_suffix(".docx")
    return r"has the unknown suffix '\.docx'; wanted a folder, or a file of \.mp4"


def output_exists(bad: Bad) -> str:
    bad.out = bad.out.with_suffix(".mp4")
    bad.out.write_bytes(b"older")
    return "exists; wanted a new name. Add --overwrite"


def output_folder_full(bad: Bad) -> str:
    bad.out.mkdir()
    (bad.out / "mine.png").write_bytes(b"older")
    return "is not empty"


def several_frames_in_one_picture(bad: Bad) -> str:
    bad.out = bad.out.with_suffix(".png")
    return "4 frames"


def unknown_method(bad: Bad) -> str:
    bad.method = "magic"
    return "--method is 'magic'; wanted auto, lvcd"


def unknown_option_value(bad: Bad) -> str:
    bad.extra = ["--ink", "purple"]
    return "--ink is 'purple'; wanted keep or model"


def frame_outside(bad: Bad) -> str:
    bad.reference = f"{bad.key}@9"
    return "belongs to no frame of the shot; wanted @FRAME from 1 to 4"


def no_such_reference(bad: Bad) -> str:
    bad.reference = str(bad.folder / "none.png")
    return r"'.*none\.png' does not exist"


def reference_is_a_folder(bad: Bad) -> str:
    bad.reference = str(bad.lines)
    return "is a folder; wanted one picture"


def corrupt_reference(bad: Bad) -> str:
    bad.key.write_bytes(bad.key.read_bytes()[:50])
    return r"'.*key\.png' can't be read"


def weights_missing(bad: Bad) -> str:
    bad.method = "matcher"
    bad.extra = ["--weights", str(bad.folder / "nowhere")]
    return "there are no weights '.*nowhere' for the method matcher"


def weights_folder_empty(bad: Bad) -> str:
    bad.method = "matcher"
    (bad.folder / "weights").mkdir()
    bad.extra = ["--weights", str(bad.folder / "weights")]
    return "no config.json in '.*weights'"


TINY = {"channels": [8, 8, 16], "width": 24, "layers": 1, "mend_layers": 1, "heads": 2}
TINY |= {"key": 8, "fine_key": 8, "value": 8, "fine_value": 8}


def write_tiny_matcher(folder: Path, spoil: Callable[[dict[str, object]], None]) -> None:
    import torch

    from celpaint.models.matcher.network import Matcher
    from celpaint.weights.store import write_network

    torch.manual_seed(0)
    tensors = Matcher(**TINY).state_dict()
    spoil(tensors)
    write_network(folder, TINY, tensors)


def weights_of_another_network(bad: Bad) -> str:
    bad.method = "matcher"
    write_tiny_matcher(bad.folder / "weights", lambda tensors: tensors.update(extra=tensors.popitem()[1]))
    bad.extra = ["--weights", str(bad.folder / "weights")]
    return "does not fit Matcher: 1 missing .*1 unexpected"


def nan_in_weights(bad: Bad) -> str:
    def spoil(tensors: dict[str, object]) -> None:
        next(iter(tensors.values())).view(-1)[0] = float("nan")  # type: ignore[attr-defined]

    bad.method = "matcher"
    write_tiny_matcher(bad.folder / "weights", spoil)
    bad.extra = ["--weights", str(bad.folder / "weights")]
    return "contains NaN or infinity"


def no_cuda(bad: Bad) -> str:
    import torch

    if torch.cuda.is_available():
        pytest.skip("this machine has CUDA")
    bad.method = "matcher"
    bad.extra = ["--device", "cuda"]
    return "device 'cuda' is not on this machine; wanted one of: cpu"


def out_of_memory(bad: Bad) -> str:
    bad.extra = ["--fail-at", "0"]
    return "not enough memory .*Lower --size"


@pytest.mark.parametrize(
    "spoil",
    [
        empty_folder,
        no_such_file,
        no_pictures,
        nothing_fits_the_pattern,
        mixed_sizes,
        corrupt_picture,
        truncated_picture,
        zero_byte_picture,
        corrupt_video,
        truncated_video,
        zero_byte_video,
        bomb,
        output_is_input,
        output_suffix,
        output_exists,
        output_folder_full,
        several_frames_in_one_picture,
        unknown_method,
        unknown_option_value,
        frame_outside,
        no_such_reference,
        reference_is_a_folder,
        corrupt_reference,
        weights_missing,
        weights_folder_empty,
        weights_of_another_network,
        nan_in_weights,
        no_cuda,
        out_of_memory,
    ],
)
def test_bad_input_ends_in_one_sentence(
    spoil: Callable[[Bad], str], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    import re

    bad = Bad(tmp_path)
    wanted = spoil(bad)
    before = {file: file.read_bytes() if file.is_file() else None for file in tmp_path.rglob("*")}
    capfd.readouterr()
    code = colorize(bad.lines, bad.reference, bad.out, *bad.extra, "--quiet", method=bad.method)
    said = capfd.readouterr()
    assert code == 2
    assert said.out == ""
    assert len(said.err.splitlines()) == 1
    assert re.search(wanted, said.err), said.err
    assert {file: file.read_bytes() if file.is_file() else None for file in tmp_path.rglob("*")} == before


def test_no_reference_at_all(shot: Shot, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["colorize", str(shot[0]), "-o", str(tmp_path / "out")]) == 2
    assert "--reference" in capsys.readouterr().err


@pytest.mark.skipif(os.name == "nt", reason="permissions of POSIX")
def test_read_only_output(shot: Shot, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The superuser may write anywhere, so it steps down for this."""
    assert colorize(*shot, tmp_path / "out", "--quiet") == 0
    home = tmp_path / "theirs"
    home.mkdir()
    home.chmod(0o555)
    for path in [tmp_path, *tmp_path.parents]:
        if path.stat().st_uid == os.getuid() and path != Path("/"):
            path.chmod(path.stat().st_mode | 0o055)
    user = os.geteuid()
    try:
        os.seteuid(65534 if user == 0 else user)
        assert colorize(*shot, home / "out", "--quiet") == 2
    finally:
        os.seteuid(user)
    assert "can't be written (Permission denied)" in capsys.readouterr().err
    assert list(home.iterdir()) == []


def test_the_video_plays_at_the_rate_of_the_source(tmp_path: Path) -> None:
    source = video(tmp_path / "in.mp4")
    paint_key().save(tmp_path / "key.png")
    assert colorize(source, tmp_path / "key.png", tmp_path / "out.mp4", "--quiet") == 0
    with av.open(str(tmp_path / "out.mp4")) as container:
        stream = container.streams.video[0]
        assert (stream.codec_context.name, stream.codec_context.pix_fmt) == ("h264", "yuv420p")
        assert (stream.average_rate, stream.frames) == (12, 6)
