import os
import shutil
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from frame_files import cel, frame_of, noise
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from celpaint.errors import DiskFull, InputError, OutputError
from celpaint.frames.names import Pattern
from celpaint.frames.read import open_clip, read_picture
from celpaint.frames.stage import Stage
from celpaint.frames.write import open_sink
from celpaint.types import Frame, PixelFormat

SIZE = (72, 96)
VIDEOS = (".mp4", ".m4v", ".mov", ".mkv", ".webm", ".webp", ".apng", ".gif")


def put(out, frames, **how):
    """Write frames as a run does."""
    sink = open_sink(out, size=frames[0].size, **how)
    try:
        for index, frame in enumerate(frames):
            sink.write(frame, index)
        sink.commit()
    except BaseException:
        sink.abort()
        nothing_left(Path(out).parent)
        raise
    return open_clip(out)


def same(a: Frame, b: Frame, bits: int = 8) -> None:
    top = 2**bits - 1
    np.testing.assert_array_equal(np.rint(a.rgb * top), np.rint(b.rgb * top))
    assert (a.alpha is None) == (b.alpha is None)
    if a.alpha is not None and b.alpha is not None:
        np.testing.assert_array_equal(np.rint(a.alpha * top), np.rint(b.alpha * top))


def nothing_left(folder: Path) -> None:
    assert [f.name for f in folder.iterdir() if f.name.startswith(".")] == []


# ------------------------------------------------------------------------------------------------- lossless round trips


@given(
    bits=st.sampled_from([8, 16]),
    alpha=st.booleans(),
    suffix=st.sampled_from(["png", "tif", "mkv", "apng"]),
    height=st.integers(1, 40),
    width=st.integers(2, 40),
    seed=st.integers(0, 2**31),
)
@settings(max_examples=24, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_every_value_survives_lossless_kinds(tmp_path, bits, alpha, suffix, height, width, seed):
    pixels = [noise(height, width, 4 if alpha else 3, np.uint8 if bits == 8 else np.uint16, seed + i) for i in range(2)]
    form = PixelFormat(bits, alpha)
    out = tmp_path / ("o" if suffix in ("png", "tif") else f"o.{suffix}")
    names = [f"A_{i}.{suffix}" for i in range(2)] if suffix in ("png", "tif") else None
    clip = put(out, [frame_of(p) for p in pixels], names=names, format=form, overwrite=True)
    assert len(clip) == 2
    read_bits = 8 if suffix == "apng" else bits  # animations are read with 8 bits
    assert clip.format == PixelFormat(read_bits, alpha and clip.format.alpha)
    for frame, stored in zip(clip, pixels, strict=True):
        if suffix == "apng":
            np.testing.assert_allclose(frame.rgb, frame_of(stored).rgb, atol=1.01 / 255)
        else:
            same(frame, frame_of(stored), bits)
    shutil.rmtree(out) if out.is_dir() else out.unlink()


@pytest.mark.parametrize("alpha", [False, True])
def test_tga(tmp_path, alpha):
    pixels = noise(7, 5, 4 if alpha else 3, np.uint8)
    clip = put(tmp_path / "o", [frame_of(pixels)], names=["A_1.tga"], format=PixelFormat(8, alpha))
    same(clip[0], frame_of(pixels))
    assert (tmp_path / "o" / "A_1.tga").exists()


@pytest.mark.parametrize("suffix", ["png", "tif", "tga"])
def test_other_programs_read_what_is_written(tmp_path, suffix):
    pixels = noise(7, 5, 4, np.uint8)
    put(tmp_path / f"o.{suffix}", [frame_of(pixels)], format=PixelFormat(8, True))
    with Image.open(tmp_path / f"o.{suffix}") as image:
        np.testing.assert_array_equal(np.asarray(image), pixels)
    if suffix != "tga":
        deep = noise(7, 5, 4, np.uint16)
        put(tmp_path / f"o.{suffix}", [frame_of(deep)], format=PixelFormat(16, True), overwrite=True)
        seen = cv2.imread(str(tmp_path / f"o.{suffix}"), cv2.IMREAD_UNCHANGED)
        np.testing.assert_array_equal(seen[..., [2, 1, 0, 3]], deep)


# ------------------------------------------------------------------------------------------------------------ folders


@given(
    prefix=st.text(alphabet="aB_-. é線", max_size=5).filter(lambda text: not text.endswith("-")),
    width=st.integers(1, 5),
    counts=st.lists(st.integers(0, 2000), min_size=1, max_size=4, unique=True),
)
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_names_padding_and_gaps_come_back(tmp_path, prefix, width, counts):
    pattern = Pattern("x" + prefix, width, ".png")
    names = tuple(pattern.format(n) for n in sorted(counts))
    frames = [frame_of(np.full((2, 2, 3), i, np.uint8)) for i in range(len(names))]
    clip = put(tmp_path / "o", frames, names=names)
    assert clip.names == names
    for a, b in zip(clip, frames, strict=True):
        same(a, b)
    shutil.rmtree(tmp_path / "o")


def test_kinds_of_pictures_in_a_folder(tmp_path):
    frame = [cel(0)]
    cases = {"a_1.jpg": "a_1.png", "a_1.webp": "a_1.png", "a_1.TGA": "a_1.TGA", "a_1.tiff": "a_1.tiff"}
    for index, (name, written) in enumerate(cases.items()):
        assert put(tmp_path / str(index), frame, names=[name]).names == (written,)
    assert put(tmp_path / "t", frame, names=["a_1.png"], picture="tif").names == ("a_1.tif",)
    assert put(tmp_path / "v", [cel(0), cel(1)], picture="tga").names == ("0001.tga", "0002.tga")


def test_frames_without_alpha_are_opaque_and_with_alpha_laid_on_white(tmp_path):
    half = Frame(np.zeros((2, 2, 3), np.float32), np.full((2, 2), 0.5, np.float32))
    clip = put(tmp_path / "a", [Frame(half.rgb)], names=["1.png"], format=PixelFormat(8, True))
    assert clip[0].alpha.min() == 1
    clip = put(tmp_path / "b", [half], names=["1.png"], format=PixelFormat(8, False))
    assert clip[0].alpha is None
    np.testing.assert_allclose(clip[0].rgb, 0.5, atol=0.003)


def test_a_folder_takes_frames_in_any_order_and_wants_them_all(tmp_path):
    names = ("A_1.png", "A_2.png", "A_5.png")
    (tmp_path / ".o.part").mkdir()
    (tmp_path / ".o.part" / "A_9.png").write_bytes(b"left by a run that was killed")
    sink = open_sink(tmp_path / "o", size=SIZE, names=names)
    for index in (2, 0):
        sink.write(cel(index), index)
    with pytest.raises(ValueError, match=r"\[1\]"):
        sink.commit()
    assert not (tmp_path / "o").exists()
    sink.write(cel(1), 1)
    sink.commit()
    assert open_clip(tmp_path / "o").names == names
    nothing_left(tmp_path)


def test_overwriting_a_folder_touches_only_its_own_names(tmp_path):
    put(tmp_path / "o", [cel(0), cel(1)], names=["A_1.png", "A_2.png"])
    (tmp_path / "o" / "notes.txt").write_text("mine")
    with pytest.raises(OutputError, match="not empty"):
        open_sink(tmp_path / "o", size=SIZE, names=["A_1.png"])
    clip = put(tmp_path / "o", [cel(7)], names=["A_1.png"], overwrite=True)
    same(clip[0], cel(7))
    same(clip[1], cel(1))
    assert (tmp_path / "o" / "notes.txt").read_text() == "mine"
    nothing_left(tmp_path)


def test_an_empty_folder_is_used(tmp_path):
    (tmp_path / "o.v2").mkdir()
    assert len(put(tmp_path / "o.v2", [cel(0)], names=["1.png"])) == 1


def test_a_trailing_slash_makes_a_folder(tmp_path):
    sink = open_sink(f"{tmp_path}/cut.05/", size=SIZE, names=["1.png"])
    sink.write(cel(0), 0)
    sink.commit()
    assert (tmp_path / "cut.05" / "1.png").exists()


# ------------------------------------------------------------------------------------------------------------- videos


@pytest.mark.parametrize("suffix", VIDEOS)
@pytest.mark.parametrize("rate", [Fraction(24), Fraction(24000, 1001), Fraction(25, 2)])
def test_videos_keep_count_rate_and_size(tmp_path, suffix, rate):
    clip = put(tmp_path / f"o{suffix}", [cel(i) for i in range(9)], rate=rate)
    assert (len(clip), clip.size, clip.times) == (9, SIZE, None)
    exact = suffix not in (".gif", ".webp")  # these keep hundredths and thousandths of a second
    assert clip.rate == rate if exact else float(clip.rate) == pytest.approx(float(rate), rel=0.04)
    nothing_left(tmp_path)


@pytest.mark.parametrize(
    ("suffix", "flat", "mean"),
    [
        (".mp4", 2.1, 3),
        (".webm", 2.1, 3),
        (".mov", 1, 0.5),
        (".mkv", 0, 0),
        (".webp", 0, 0),
        (".apng", 0, 0),
        (".gif", 0, 0),
    ],
)
def test_known_colors_come_back(tmp_path, suffix, flat, mean):
    """Levels of 255: the wall's and the ground's flat colors, and the mean over a picture with edges."""
    clip = put(tmp_path / f"o{suffix}", [cel(i) for i in range(6)])
    for index, frame in enumerate(clip):
        error = np.abs(frame.rgb - cel(index).rgb) * 255
        assert error[4:8, 2:50].max() <= flat + 1e-3
        assert error[64:, 4:-4].max() <= flat + 1e-3
        assert error.mean() <= mean


@pytest.mark.parametrize(("suffix", "most"), [(".mov", 1), (".mkv", 0), (".webm", 2), (".apng", 0), (".webp", 0)])
def test_alpha_comes_back(tmp_path, suffix, most):
    ramp = np.linspace(0, 1, SIZE[1], dtype=np.float32)[None].repeat(SIZE[0], 0)
    ramp = np.rint(ramp * 255) / np.float32(255)
    frames = [Frame(cel(i).rgb, ramp) for i in range(4)]
    clip = put(tmp_path / f"o{suffix}", frames, format=PixelFormat(8, True))
    assert clip.format.alpha
    for frame, source in zip(clip, frames, strict=True):
        assert np.abs(frame.alpha - ramp).max() * 255 <= most + 1e-3
        solid = ramp > 0.9
        assert np.abs(frame.rgb - source.rgb)[solid].mean() * 255 < 3


def test_transparent_gif(tmp_path):
    """A disc cut out: its edge and its movement leave no trail."""
    frames = []
    for index in range(5):
        rgb = cel(index).rgb
        alpha = (np.hypot(*(np.indices(SIZE) - np.array([36, 20 + 3 * index])[:, None, None])) < 14).astype(np.float32)
        frames.append(Frame(rgb, alpha))
    clip = put(tmp_path / "o.gif", frames, format=PixelFormat(8, True))
    for frame, source in zip(clip, frames, strict=True):
        np.testing.assert_array_equal(frame.alpha, source.alpha)
        np.testing.assert_array_equal(frame.rgb[source.alpha == 1], source.rgb[source.alpha == 1])


def test_mp4_is_what_players_want(tmp_path):
    put(tmp_path / "o.mp4", [cel(i) for i in range(5)])
    data = (tmp_path / "o.mp4").read_bytes()
    assert data.index(b"moov") < data.index(b"mdat")
    with av.open(str(tmp_path / "o.mp4")) as container:
        context = container.streams.video[0].codec_context
        assert (context.name, context.pix_fmt) == ("h264", "yuv420p")
        assert (context.colorspace, context.color_primaries, context.color_trc, context.color_range) == (1, 1, 1, 1)


@pytest.mark.parametrize(
    ("suffix", "alpha", "codec", "pixels"),
    [
        (".mov", True, "prores", "yuva444p"),
        (".mov", False, "prores", "yuv444p"),
        (".mkv", False, "ffv1", "bgr0"),
        (".webm", True, "vp9", "yuv"),
    ],
)
def test_codecs(tmp_path, suffix, alpha, codec, pixels):
    put(tmp_path / f"o{suffix}", [cel(i) for i in range(3)], format=PixelFormat(8, alpha))
    with av.open(str(tmp_path / f"o{suffix}")) as container:
        context = container.streams.video[0].codec_context
        assert context.name == codec
        assert context.pix_fmt.startswith(pixels)


@pytest.mark.parametrize("size", [(1, 1), (1, 6), (2, 2), (33, 35), (35, 34)])
@pytest.mark.parametrize("suffix", VIDEOS)
def test_odd_sizes(tmp_path, suffix, size):
    frames = [cel(i, *size) for i in range(3)]
    clip = put(tmp_path / f"o{suffix}", frames)
    height, width = size
    even = suffix in (".mp4", ".m4v")
    assert clip.size == ((height + height % 2, width + width % 2) if even else size)
    if even:  # the last row and column are doubled, none is cut
        rgb = clip[0].rgb
        assert np.abs(rgb[:height, :width] - frames[0].rgb).mean() < 0.12


@pytest.mark.parametrize(("out", "size"), [("o.mkv", (5, 1)), ("o.mp4", (2, 20_000)), ("o.gif", (5, 1))])
def test_sizes_that_a_codec_refuses_are_known_before_work_starts(tmp_path, out, size):
    with pytest.raises(OutputError, match=f"{out}.* refuses these frames"):
        open_sink(tmp_path / out, size=size)
    nothing_left(tmp_path)


def test_a_size_that_is_refused_late(tmp_path):
    with pytest.raises(OutputError, match="refuses these frames"):
        put(tmp_path / "o.webp", [cel(0, 2, 20_000)])


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".mov", ".webm", ".webp", ".apng", ".gif"])
def test_uneven_times_are_kept(tmp_path, suffix):
    times = [Fraction(t, 100) for t in (0, 4, 8, 25, 29, 50, 100, 104)]
    clip = put(tmp_path / f"o{suffix}", [cel(i) for i in range(8)], times=times, rate=Fraction(8))
    assert [round(t * 100) for t in clip.times] == [round(t * 100) for t in times]


@pytest.mark.parametrize("suffix", VIDEOS)
def test_names_that_people_give(tmp_path, monkeypatch, suffix):
    monkeypatch.chdir(tmp_path)
    name = f"cut:05 – 線 50%d #1 [final]{suffix}"
    assert len(put(name, [cel(0), cel(1)])) == 2
    assert [file.name for file in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize("suffix", VIDEOS)
def test_held_frames_last_as_long(tmp_path, suffix):
    clip = put(tmp_path / f"o{suffix}", [cel(i // 3) for i in range(9)], rate=Fraction(25))
    if suffix == ".webp":  # equal neighbors become one longer picture
        assert (len(clip), clip.rate) == (3, Fraction(25, 3))
    else:
        assert (len(clip), clip.rate) == (9, 25)


def test_a_gif_of_many_colors_stays_near_and_still(tmp_path):
    """A sky of 300 colors behind a moving disc: near to its colors, and the sky does not crawl."""
    rows = np.linspace(0, 1, 300, dtype=np.float32)[:, None]
    sky = np.rint(np.dstack([0.3 + 0.4 * rows, 0.5 + 0.4 * rows, 0.9 - 0.1 * rows]) * 255).repeat(96, 1) / 255
    frames = []
    for index in range(4):
        disc = np.hypot(*(np.indices((300, 96)) - np.array([150, 20 + 9 * index])[:, None, None])) < 14
        frames.append(Frame(np.where(disc[..., None], np.float32(0.2), sky).astype(np.float32)))
    clip = put(tmp_path / "o.gif", frames)
    for frame, source in zip(clip, frames, strict=True):
        assert np.abs(frame.rgb - source.rgb).mean() * 255 < 1
    np.testing.assert_array_equal(clip[0].rgb[:120], clip[3].rgb[:120])


def test_videos_take_frames_in_order(tmp_path):
    for suffix in (".mp4", ".gif"):
        sink = open_sink(tmp_path / f"o{suffix}", size=SIZE)
        sink.write(cel(0), 0)
        with pytest.raises(ValueError, match="in order"):
            sink.write(cel(2), 2)
        with pytest.raises(ValueError, match="frame of"):
            sink.write(cel(1, 8, 8), 1)
        sink.abort()
    nothing_left(tmp_path)


# ------------------------------------------------------------------------------------------ whole, apart, or not at all


@pytest.mark.parametrize("out", ["o", "o.png", *(f"o{s}" for s in VIDEOS)])
def test_nothing_bears_the_name_before_commit_and_abort_leaves_nothing(tmp_path, out):
    sink = open_sink(tmp_path / out, size=SIZE)
    sink.write(cel(0), 0)
    assert not (tmp_path / out).exists()
    sink.abort()
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(ValueError, match="written"):
        open_sink(tmp_path / out, size=SIZE).commit()


@pytest.mark.parametrize("out", ["o.png", "o.mp4", "o.gif"])
def test_an_existing_result_stays_until_the_new_one_is_whole(tmp_path, out):
    (tmp_path / out).write_bytes(b"precious")
    with pytest.raises(OutputError, match="--overwrite"):
        open_sink(tmp_path / out, size=SIZE)
    sink = open_sink(tmp_path / out, size=SIZE, overwrite=True)
    sink.write(cel(0), 0)
    assert (tmp_path / out).read_bytes() == b"precious"
    sink.abort()
    assert (tmp_path / out).read_bytes() == b"precious"
    put(tmp_path / out, [cel(0)], overwrite=True)
    assert (tmp_path / out).read_bytes() != b"precious"


@pytest.mark.parametrize(
    ("given", "out", "how"),
    [
        ("cut/lines", "cut/lines", "is the input"),
        ("cut/lines", "cut/lines/../lines", "is the input"),
        ("cut/lines", "cut/lines/painted", "lies in"),
        ("cut/lines", "cut/lines/painted.mp4", "lies in"),
        ("cut/lines/A_####.png", "cut/lines/painted", "lies in"),
        ("cut/lines", "cut", "holds"),
        ("cut/take.mp4", "cut/take.mp4", "is the input"),
        ("cut/take.mp4", "cut", "holds"),
        ("cut/link", "cut/lines", "is the input"),
    ],
)
def test_never_over_the_input(tmp_path, given, out, how):
    (tmp_path / "cut" / "lines").mkdir(parents=True)
    (tmp_path / "cut" / "take.mp4").write_bytes(b"take")
    (tmp_path / "cut" / "link").symlink_to(tmp_path / "cut" / "lines")
    before = sorted(str(p) for p in tmp_path.rglob("*"))
    with pytest.raises(OutputError, match=how):
        open_sink(tmp_path / out, size=SIZE, inputs=[tmp_path / given], overwrite=True)
    assert sorted(str(p) for p in tmp_path.rglob("*")) == before


def test_beside_the_input_is_fine(tmp_path):
    (tmp_path / "lines").mkdir()
    (tmp_path / "take.mp4").write_bytes(b"take")
    for out in ("painted", "painted.mp4", "lines-painted"):
        open_sink(tmp_path / out, size=SIZE, inputs=[tmp_path / "lines", tmp_path / "take.mp4"]).abort()


def refused(out, **how) -> str:
    with pytest.raises(OutputError) as caught:
        put(out, [cel(index) for index in range(3)], **how)
    assert caught.value.todo
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_unknown_suffix(tmp_path):
    text = refused(tmp_path / "o.mpg")
    for word in ("'.mpg'", ".mp4", ".mov", ".webm", ".gif", "folder", f"{tmp_path / 'o.mpg'}/"):
        assert word in text
    assert list(tmp_path.iterdir()) == []


def test_missing_folders_are_made(tmp_path):
    put(tmp_path / "a" / "b" / "o.mp4", [cel(0)])
    put(tmp_path / "c" / "d" / "o", [cel(0)], names=["1.png"])


def test_a_picture_holds_one_frame(tmp_path):
    assert "3 frames" in refused(tmp_path / "o.png", count=3)
    assert "2 frames" in refused(tmp_path / "o.png", names=["a1.png", "a2.png"])
    assert "one picture" in refused(tmp_path / "o.png")


def test_two_inputs_of_one_name(tmp_path):
    assert "'a1.png'" in refused(tmp_path / "o", names=["a1.png", "a1.jpg"])


@pytest.mark.parametrize("out", ["file/o", "file/o.mp4", "file/o.png", "file/o.gif", "file"])
def test_a_file_where_a_folder_is_wanted(tmp_path, out):
    (tmp_path / "file").write_text("mine")
    refused(tmp_path / out)
    assert (tmp_path / "file").read_text() == "mine"


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs a file system that nobody may write to")
@pytest.mark.parametrize("out", ["o", "o.mp4", "o.png", "o.gif"])
def test_a_place_that_may_not_be_written_to(out):
    names = ["1.png", "2.png", "3.png"] if out == "o" else None
    assert "can't be written" in refused(Path("/proc/self") / out, names=names)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write anywhere")
def test_read_only(tmp_path):
    (tmp_path / "o.mp4").write_bytes(b"precious")
    (tmp_path / "o.mp4").chmod(0o444)
    assert "read-only" in refused(tmp_path / "o.mp4", overwrite=True)
    tmp_path.chmod(0o555)
    assert "can't be written" in refused(tmp_path / "p.mp4")
    tmp_path.chmod(0o755)


@pytest.fixture
def little_room():
    """Files may grow to 4,000 bytes, as on a disk that is nearly full."""
    resource = pytest.importorskip("resource")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4000, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("out", ["o", "o.png", *(f"o{s}" for s in VIDEOS)])
def test_disk_full(tmp_path, out, little_room):
    frames = [frame_of(noise(*SIZE, 3, np.uint8, i)) for i in range(1 if out == "o.png" else 8)]
    with pytest.raises(DiskFull, match=f"no room for .*{out}"):
        put(tmp_path / out, frames)


# ---------------------------------------------------------------------------------------------------------------- stage


@given(st.sampled_from([8, 16]), st.booleans(), st.integers(0, 10**5))
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_staged_frames_come_back(tmp_path, bits, alpha, index):
    frame = frame_of(noise(5, 7, 4 if alpha else 3, np.uint8 if bits == 8 else np.uint16, index))
    stage = Stage(tmp_path / "stage", bits)
    stage.put(index, frame)
    assert index in Stage(tmp_path / "stage", bits).done()
    same(stage.get(index), frame, bits)


def test_a_stage_knows_only_whole_frames(tmp_path):
    stage = Stage(tmp_path / "stage")
    stage.put(3, cel(3))
    (stage.folder / ".000004.0123456789abcdef.png.part").write_bytes(b"half")
    assert stage.done() == Stage(tmp_path / "stage").done() == {3}
    (file,) = stage.folder.glob("*.png")
    assert read_picture(file)[1] == PixelFormat(16, False)
    with pytest.raises(InputError):
        stage.get(4)


def flip_a_bit(files: list[Path]) -> None:
    data = bytearray(files[2].read_bytes())
    data[len(data) // 2] ^= 1
    files[2].write_bytes(data)


def exchange(files: list[Path]) -> None:
    """The second and third frame, under each other's whole names but for the index."""
    names = [file.name for file in files]
    contents = [file.read_bytes() for file in files]
    for at, other in ((1, 2), (2, 1)):
        files[at].unlink()
        (files[at].parent / (names[at][:6] + names[other][6:])).write_bytes(contents[other])


@pytest.mark.parametrize(
    ("harm", "damaged"),
    [
        (flip_a_bit, [2]),
        (exchange, [1, 2]),
        (lambda files: files[2].write_bytes(files[1].read_bytes()), [2]),
        (lambda files: files[2].write_bytes(files[2].read_bytes()[:-30]), [2]),
        (lambda files: files[2].write_bytes(b""), [2]),
        (lambda files: files[2].unlink(), [2]),
        (lambda files: None, []),
    ],
)
def test_frames_that_are_not_as_they_were_staged_are_known_and_made_again(tmp_path, harm, damaged):
    stage = Stage(tmp_path / "stage", 8)
    for index in range(4):
        stage.put(index, cel(index))
    harm(sorted(stage.folder.glob("*.png")))
    again = Stage(tmp_path / "stage", 8)
    assert again.damaged(range(4)) == damaged
    for index in damaged:
        with pytest.raises(InputError):
            again.get(index)
        again.put(index, cel(index))
    assert again.damaged(range(4)) == Stage(tmp_path / "stage", 8).damaged(range(4)) == []
    for index in range(4):
        same(again.get(index), cel(index))
    assert len(list(stage.folder.iterdir())) == 4
