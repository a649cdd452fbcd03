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


def rotate(path, degrees: int, size: tuple[int, int]) -> None:
    """Write a display matrix into an MP4's track header, as phones do."""
    height, width = size
    one = 1 << 16
    matrix = {
        90: (0, one, 0, -one, 0, 0, height << 16, 0, 1 << 30),
        180: (-one, 0, 0, 0, -one, 0, width << 16, height << 16, 1 << 30),
        270: (0, -one, 0, one, 0, 0, 0, width << 16, 1 << 30),
    }[degrees]
    data = bytearray(path.read_bytes())
    at = data.index(b"tkhd") + 4 + 40
    data[at : at + 36] = struct.pack(">9i", *matrix)
    path.write_bytes(data)


@pytest.mark.parametrize("degrees", [90, 180, 270])
def test_rotation(tmp_path, degrees):
    """Turned clockwise by the file's matrix: the upper left corner goes to the right, and so on."""
    make_video(tmp_path / "a.mp4", 3, options={"crf": "10"})
    upright = open_clip(tmp_path / "a.mp4")[1]
    rotate(tmp_path / "a.mp4", degrees, (72, 96))
    clip = open_clip(tmp_path / "a.mp4")
    turned = np.rot90(upright.rgb, -degrees // 90)
    assert clip.size == turned.shape[:2]
    np.testing.assert_array_equal(clip[1].rgb, turned)


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
