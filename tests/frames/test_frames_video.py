import struct
from fractions import Fraction

import av
import numpy as np
import pytest
from frame_files import cel, make_video
from hypothesis import given, settings
from hypothesis import strategies as st

from celpaint.errors import InputError
from celpaint.frames.read import VideoClip, open_clip
from celpaint.frames.video import explain_times
from celpaint.types import Frame, PixelFormat

KINDS = [
    ("a.mp4", "libx264", "yuv420p", {"g": "7", "bf": "2"}),
    ("a.mov", "prores_ks", "yuv422p10le", {}),
    ("a.mkv", "ffv1", "bgr0", {}),
    ("b.mkv", "libx264", "yuv420p", {"g": "9", "bf": "3", "x264-params": "open-gop=1"}),
    ("a.webm", "libvpx-vp9", "yuv420p", {"g": "8", "deadline": "realtime", "cpu-used": "8"}),
    ("b.webm", "libvpx", "yuv420p", {"g": "8", "deadline": "realtime", "cpu-used": "8"}),
    ("a.avi", "mpeg4", "yuv420p", {"g": "6"}),
]


@pytest.fixture(scope="module", params=KINDS, ids=[f"{k[1]}-{k[0]}" for k in KINDS])
def video(request, tmp_path_factory):
    name, codec, pixels, options = request.param
    path = tmp_path_factory.mktemp("video") / name
    make_video(path, 25, codec=codec, pixels=pixels, options=options, rate=Fraction(25))
    return path


def test_every_frame_once_and_in_any_order_the_same(video):
    clip = open_clip(video)
    assert isinstance(clip, VideoClip)
    assert (len(clip), clip.size, clip.rate, clip.times, clip.names) == (25, (72, 96), 25, None, None)
    forward = [frame.rgb for frame in clip]
    for index, rgb in enumerate(forward):
        assert np.abs(rgb - cel(index).rgb).mean() < 0.03, index
    order = np.random.default_rng(0).integers(-25, 25, 40).tolist()
    for index in [24, 0, 24, 12, 11, 12, 13, *order]:
        np.testing.assert_array_equal(clip[index].rgb, forward[index])
    with pytest.raises(IndexError):
        clip[25]
    again = open_clip(video)
    np.testing.assert_array_equal(again[19].rgb, forward[19])


def test_lossless_video_is_exact_and_known_to_be(tmp_path):
    make_video(tmp_path / "a.mkv", 5, codec="ffv1", pixels="bgr0")
    clip = open_clip(tmp_path / "a.mkv")
    assert not clip.lossy
    assert clip.format == PixelFormat(8, False)
    for index, frame in enumerate(clip):
        np.testing.assert_array_equal(frame.rgb, cel(index).rgb)
    make_video(tmp_path / "a.mp4", 5)
    assert open_clip(tmp_path / "a.mp4").lossy


@pytest.mark.parametrize("rate", [Fraction(24), Fraction(25, 2), *(Fraction(n, 1001) for n in (24000, 30000, 60000))])
@pytest.mark.parametrize("suffix", ["mp4", "mkv", "mov"])
def test_rates(tmp_path, rate, suffix):
    make_video(tmp_path / f"a.{suffix}", 13, rate=rate)
    clip = open_clip(tmp_path / f"a.{suffix}")
    assert clip.rate == rate
    assert clip.times is None


def test_variable_rate_keeps_every_time(tmp_path):
    ticks = [0, 42, 83, 250, 292, 500, 1000, 1042]
    for suffix in ("mkv", "mp4"):
        make_video(tmp_path / f"a.{suffix}", len(ticks), ticks=ticks)
        clip = open_clip(tmp_path / f"a.{suffix}")
        assert len(clip) == len(ticks)
        assert [round(time * 1000) for time in clip.times] == ticks
        assert clip.rate == pytest.approx(7 / 1.042, abs=0.01)


@given(st.sampled_from([Fraction(24000, 1001), Fraction(24), Fraction(15), Fraction(50)]), st.integers(3, 400))
@settings(max_examples=40, deadline=None)
def test_times_rounded_to_milliseconds_still_tell_the_rate(rate, count):
    times = [Fraction(round(1000 * i / rate), 1000) for i in range(count)]
    found, uneven = explain_times(times, Fraction(1, 1000), [rate])
    assert (found, uneven) == (rate, None)


def test_one_frame(tmp_path):
    make_video(tmp_path / "a.mp4", 1, rate=Fraction(12))
    clip = open_clip(tmp_path / "a.mp4")
    assert (len(clip), clip.rate) == (1, 12)
    assert clip[0].size == (72, 96)


def show_by(path, a: int, b: int, c: int, d: int) -> None:
    """Write a display matrix into an MP4's track header: columns go along (a, b), rows along (c, d)."""
    one = 1 << 16
    data = bytearray(path.read_bytes())
    at = data.index(b"tkhd") + 4 + 40
    data[at : at + 36] = struct.pack(">9i", a * one, b * one, 0, c * one, d * one, 0, 0, 0, 1 << 30)
    path.write_bytes(data)


@pytest.mark.parametrize(
    ("matrix", "shown"),
    [
        ((1, 0, 0, 1), lambda p: p),
        ((0, 1, -1, 0), lambda p: np.rot90(p, -1)),  # clockwise: the upper left corner goes to the right
        ((-1, 0, 0, -1), lambda p: np.rot90(p, 2)),
        ((0, -1, 1, 0), lambda p: np.rot90(p, 1)),
        ((-1, 0, 0, 1), np.fliplr),
        ((1, 0, 0, -1), np.flipud),
        ((0, 1, 1, 0), lambda p: p.swapaxes(0, 1)),
        ((0, -1, -1, 0), lambda p: np.rot90(p.swapaxes(0, 1), 2)),
    ],
)
def test_every_display_matrix(tmp_path, matrix, shown):
    make_video(tmp_path / "a.mp4", 3, options={"crf": "10"})
    upright = open_clip(tmp_path / "a.mp4")[1]
    show_by(tmp_path / "a.mp4", *matrix)
    clip = open_clip(tmp_path / "a.mp4")
    turned = shown(upright.rgb)
    assert clip.size == turned.shape[:2]
    np.testing.assert_array_equal(clip[1].rgb, turned)


# ------------------------------------------------------------------------------------------------------------- AVI


def shows(clip, *drawings: int) -> None:
    """The clip's frames are these drawings of :func:`cel`, in this order and in any other."""
    assert len(clip) == len(drawings)
    for index in (*range(len(clip)), *np.random.default_rng(0).permutation(len(clip))):
        errors = [np.abs(clip[index].rgb - cel(other).rgb).mean() for other in range(max(drawings) + 1)]
        assert int(np.argmin(errors)) == drawings[index], index


@pytest.mark.parametrize("codec", ["libx264", "mpeg4"])
def test_avi_with_pictures_stored_out_of_order(tmp_path, codec):
    """AVI says of no picture when it shows."""
    options = {"bf": "2", "g": "8", **({"crf": "4"} if codec == "libx264" else {"qscale": "2"})}
    make_video(tmp_path / "a.avi", 20, codec=codec, options=options)
    clip = open_clip(tmp_path / "a.avi")
    shows(clip, *range(20))
    assert (clip.rate, clip.times) == (24, None)


def avi(path, chunks: list[bytes], *, rate: int = 24, announced: int | None = None) -> None:
    """An AVI of uncompressed frames with an index (Microsoft, Multimedia Programming Interface, 1991)."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return name + struct.pack("<I", len(data)) + data + b"\0" * (len(data) % 2)

    height, width = 72, 96
    count = len(chunks) if announced is None else announced
    main = struct.pack("<14I", 10**6 // rate, 0, 0, 0x10, count, 0, 1, 0, width, height, 0, 0, 0, 0)
    stream = struct.pack("<4s4sIHHIIIIIIII4H", b"vids", b"DIB ", 0, 0, 0, 0, 1, rate, 0, count, 0, 0, 0, 0, 0, 96, 72)
    form = struct.pack("<IiiHHIIiiII", 40, width, height, 1, 24, 0, 0, 0, 0, 0, 0)
    movi, index = b"movi", b""
    for data in chunks:
        index += struct.pack("<4sIII", b"00db", 0x10 if data else 0, len(movi), len(data))
        movi += chunk(b"00db", data)
    headers = b"hdrl" + chunk(b"avih", main) + chunk(b"LIST", b"strl" + chunk(b"strh", stream) + chunk(b"strf", form))
    path.write_bytes(chunk(b"RIFF", b"AVI " + chunk(b"LIST", headers) + chunk(b"LIST", movi) + chunk(b"idx1", index)))


def uncompressed(index: int) -> bytes:
    return np.ascontiguousarray(np.rint(cel(index).rgb * 255).astype(np.uint8)[::-1, :, ::-1]).tobytes()


@pytest.mark.parametrize(
    ("stored", "shown"),
    [
        ([0, 1, None, None, 2, 3], [0, 1, 1, 1, 2, 3]),
        ([0, None, 1, None, 2, None, None], [0, 0, 1, 1, 2, 2, 2]),
        ([0, 1, 2], [0, 1, 2]),
    ],
)
def test_empty_frames_of_avi_hold_the_picture_before(tmp_path, stored, shown):
    avi(tmp_path / "a.avi", [b"" if drawing is None else uncompressed(drawing) for drawing in stored])
    clip = open_clip(tmp_path / "a.avi")
    shows(clip, *shown)
    assert (clip.rate, clip.times) == (24, None)
    np.testing.assert_array_equal(clip[0].rgb, cel(0).rgb)


@pytest.mark.parametrize("share", [0.3, 0.7, 0.95])
def test_avi_cut_short(tmp_path, share):
    avi(tmp_path / "a.avi", [uncompressed(i) for i in range(6)])
    data = (tmp_path / "a.avi").read_bytes()
    (tmp_path / "a.avi").write_bytes(data[: int(len(data) * share)])
    refused(tmp_path / "a.avi", "a.avi", "cut short")


# ------------------------------------------------------------------------------------------------- cut without coding


def cut(source, target, first: int) -> int:
    """Copy a video's packets from the ``first`` on; the number of packets kept."""
    kept = 0
    with av.open(str(source)) as whole, av.open(str(target), "w") as part:
        stream = whole.streams.video[0]
        copy = part.add_stream_from_template(stream)
        for index, packet in enumerate(whole.demux(stream)):
            if packet.size and index >= first:
                packet.stream = copy
                part.mux(packet)
                kept += 1
    return kept


OPEN_GOPS = [
    ("libx264", {"crf": "4", "x264-params": "keyint=6:min-keyint=6:bframes=2:open-gop=1:scenecut=0"}),
    ("libx265", {"x265-params": "crf=4:keyint=6:min-keyint=6:bframes=2:open-gop=1:scenecut=0:log-level=none:pools=1"}),
    ("mpeg2video", {"qscale": "2", "g": "6", "bf": "2"}),
]


@pytest.mark.parametrize(("codec", "options"), OPEN_GOPS, ids=[codec for codec, _ in OPEN_GOPS])
def test_pictures_that_need_what_was_cut_away_are_left_out_and_said(tmp_path, codec, options, caplog):
    """The first pictures of an open group lean on the group before."""
    make_video(tmp_path / "whole.mkv", 24, codec=codec, options=options)
    with av.open(str(tmp_path / "whole.mkv")) as whole:
        packets = [p for p in whole.demux(whole.streams.video[0]) if p.size]
    keys = [i for i, p in enumerate(packets) if p.is_keyframe]
    kept = cut(tmp_path / "whole.mkv", tmp_path / "cut.mkv", keys[2])
    key = packets[keys[2]].pts
    leading = sum(p.pts < key for p in packets[keys[2] :])
    first = sum(p.pts < key for p in packets)
    clip = open_clip(tmp_path / "cut.mkv")
    assert leading > 0
    assert f"are left out: {leading}" in caplog.text
    assert len(clip) == kept - leading
    for index in (0, 1, len(clip) - 1, 3, 0):
        assert np.abs(clip[index].rgb - cel(first + index).rgb).mean() < 0.03
    caplog.clear()
    assert len(open_clip(tmp_path / "whole.mkv")) == 24
    assert not caplog.text


def test_a_video_that_begins_between_keyframes(tmp_path, caplog):
    make_video(tmp_path / "whole.mkv", 24, options={"crf": "4", "g": "8", "bf": "0"})
    cut(tmp_path / "whole.mkv", tmp_path / "cut.mkv", 5)
    clip = open_clip(tmp_path / "cut.mkv")
    shows_from = 24 - len(clip)
    assert shows_from == 8
    assert "are left out: 3" in caplog.text
    assert np.abs(clip[0].rgb - cel(8).rgb).mean() < 0.03
    assert np.abs(clip[-1].rgb - cel(23).rgb).mean() < 0.03


@pytest.mark.parametrize(("codec", "pixels"), [("prores_ks", "yuv422p10le"), ("mpeg2video", "yuv420p")])
def test_interlaced_video_is_said(tmp_path, codec, pixels, caplog):
    with av.open(str(tmp_path / "a.mov"), "w") as container:
        stream = container.add_stream(codec, rate=25)
        stream.height, stream.width, stream.pix_fmt = 72, 96, pixels
        stream.codec_context.flags |= av.codec.context.Flags.interlaced_dct
        for index in range(3):
            image = np.rint(cel(2 * index).rgb * 255).astype(np.uint8)
            image[1::2] = np.rint(cel(2 * index + 1).rgb * 255).astype(np.uint8)[1::2]
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24").reformat(format=pixels)))
        container.mux(stream.encode(None))
    list(open_clip(tmp_path / "a.mov"))
    assert caplog.text.count("interlaced: if edges") == 1
    assert "bwdif" in caplog.text


def test_deep_video_keeps_its_depth(tmp_path):
    """A ramp finer than 8 bits."""
    ramp = np.linspace(0.2, 0.8, 512, dtype=np.float32)[None, :, None].repeat(16, 0).repeat(3, 2)
    with av.open(str(tmp_path / "a.mkv"), "w") as container:
        stream = container.add_stream("ffv1", rate=24)
        stream.height, stream.width, stream.pix_fmt = 16, 512, "gbrp16le"
        pixels = np.rint(ramp * 65535).astype(np.uint16)
        frame = av.VideoFrame.from_ndarray(pixels, format="rgb48le").reformat(format="gbrp16le")
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    clip = open_clip(tmp_path / "a.mkv")
    assert clip.format == PixelFormat(16, False)
    np.testing.assert_array_equal(np.rint(clip[0].rgb * 65535), pixels)


def refused(path, *words) -> None:
    with pytest.raises(InputError) as caught:
        list(open_clip(path))
    for word in words:
        assert word in str(caught.value)
    assert "\n" not in str(caught.value)
    assert caught.value.todo


@pytest.mark.parametrize("suffix", ["mp4", "mov", "mkv", "webm", "avi"])
def test_zero_bytes_and_nonsense(tmp_path, suffix):
    path = tmp_path / f"a.{suffix}"
    path.write_bytes(b"")
    refused(path, "0 bytes", f"a.{suffix}")
    path.write_bytes(b"no video, " * 500)
    refused(path, "can't be read", f"a.{suffix}")


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
@pytest.mark.parametrize("faststart", [True, False])
def test_mp4_cut_short(tmp_path, share, faststart):
    path = tmp_path / "a.mp4"
    with av.open(str(path), "w", options={"movflags": "faststart"} if faststart else {}) as container:
        stream = container.add_stream("libx264", rate=24, options={"crf": "1"})
        stream.height, stream.width, stream.pix_fmt = 72, 96, "yuv420p"
        for seed in range(20):
            noise = np.random.default_rng(seed).integers(0, 256, (72, 96, 3)).astype(np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(noise, format="rgb24")))
        container.mux(stream.encode(None))
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    refused(path, "a.mp4", "cut short")


@pytest.mark.parametrize("share", [0.2, 0.4, 0.6])
def test_damaged_mp4(tmp_path, share):
    path = tmp_path / "a.mp4"
    make_video(path, 24, options={"crf": "5"})
    data = bytearray(path.read_bytes())
    at = int(len(data) * share)
    data[at : at + 24] = np.random.default_rng(0).bytes(24)
    path.write_bytes(data)
    refused(path, "a.mp4", "Export")


def test_sound_alone(tmp_path):
    with av.open(str(tmp_path / "a.mp4"), "w") as container:
        stream = container.add_stream("aac", rate=48_000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        frame.sample_rate = 48_000
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    refused(tmp_path / "a.mp4", "no video")


def test_high_dynamic_range(tmp_path):
    with av.open(str(tmp_path / "a.mp4"), "w") as container:
        stream = container.add_stream("libx264", rate=24)
        stream.height, stream.width, stream.pix_fmt = 72, 96, "yuv420p10le"
        stream.codec_context.color_trc = 16
        frame = av.VideoFrame.from_ndarray(np.zeros((72, 96, 3), np.uint8), format="rgb24")
        container.mux(stream.encode(frame.reformat(format="yuv420p10le")))
        container.mux(stream.encode(None))
    refused(tmp_path / "a.mp4", "high dynamic range", "Tone-map")


def test_frames_keep_no_link_to_the_decoder(tmp_path):
    make_video(tmp_path / "a.mp4", 4)
    clip = open_clip(tmp_path / "a.mp4")
    first: Frame = clip[0]
    kept = first.rgb.copy()
    list(clip)
    np.testing.assert_array_equal(first.rgb, kept)


def test_pixels_that_are_not_square_are_said(tmp_path, caplog):
    with av.open(str(tmp_path / "a.mkv"), "w") as container:
        stream = container.add_stream("libx264", rate=24)
        stream.height, stream.width, stream.pix_fmt = 72, 96, "yuv420p"
        stream.codec_context.sample_aspect_ratio = Fraction(16, 15)
        container.mux(stream.encode(av.VideoFrame.from_ndarray(np.zeros((72, 96, 3), np.uint8), format="rgb24")))
        container.mux(stream.encode(None))
    assert open_clip(tmp_path / "a.mkv").size == (72, 96)
    assert "16 : 15" in caplog.text
