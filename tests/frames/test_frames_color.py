import io

import imagecodecs
import numpy as np
import pytest
from frame_files import frame_of, noise
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms

from celpaint.frames import color
from celpaint.types import Frame


@pytest.mark.parametrize(("dtype", "bits"), [(np.uint8, 8), (np.uint16, 16)])
def test_every_integer_survives(dtype, bits):
    every = np.arange(2**bits).astype(dtype)
    floats = color.to_float(every)
    assert floats.dtype == np.float32
    assert floats[0] == 0
    assert floats[-1] == 1
    back = color.quantize(floats, bits)
    assert back.dtype == dtype
    np.testing.assert_array_equal(back, every)


@given(st.floats(width=32, allow_nan=True), st.sampled_from([8, 16]))
@settings(deadline=None)
def test_quantize_takes_any_float(value, bits):
    (out,) = color.quantize(np.array([value], np.float32), bits)
    top = 2**bits - 1
    if np.isnan(value):
        assert out == 0
    else:
        assert abs(int(out) - min(max(value, 0), 1) * top) <= 0.51


def test_over_paper():
    frame = Frame(np.zeros((1, 3, 3), np.float32), np.array([[0, 0.25, 1]], np.float32))
    np.testing.assert_allclose(color.over_paper(frame).rgb[0, :, 0], [1, 0.75, 0])
    assert color.over_paper(frame).alpha is None
    opaque = Frame(frame.rgb)
    assert color.over_paper(opaque) is opaque


def profile_bytes(name: str) -> bytes:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile(name)).tobytes()


def adobe_like(gamma: float = 2.2) -> bytes:
    """A wide RGB profile, made with the primaries of Adobe RGB (1998)."""
    primaries = [0.64, 0.33, 1.0, 0.21, 0.71, 1.0, 0.15, 0.06, 1.0]
    return imagecodecs.cms_profile("rgb", whitepoint=[0.3127, 0.329, 1.0], primaries=primaries, gamma=gamma)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_srgb_profiles_change_nothing(dtype):
    pixels = noise(9, 11, 3, dtype)
    assert color.to_srgb(pixels, profile_bytes("sRGB")) is pixels


def test_other_profiles_are_converted_as_littlecms_does():
    pixels = noise(9, 11, 3, np.uint8)
    profile = adobe_like()
    ours = color.to_srgb(pixels, profile)
    source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
    theirs = ImageCms.profileToProfile(
        Image.fromarray(pixels),
        source,
        ImageCms.createProfile("sRGB"),
        renderingIntent=ImageCms.Intent.RELATIVE_COLORIMETRIC,
        flags=ImageCms.Flags.BLACKPOINTCOMPENSATION,
    )
    assert np.abs(ours.astype(int) - np.asarray(theirs)).max() <= 1
    assert np.abs(ours.astype(int) - pixels).max() > 20
    deep = color.to_srgb(pixels.astype(np.uint16) * 257, profile)
    assert np.abs(deep / 257 - ours).max() <= 1


def test_ink_and_paper_stay_black_and_white_in_gray_profiles():
    gray = np.arange(256, dtype=np.uint8).reshape(16, 16, 1)
    out = color.to_srgb(gray, imagecodecs.cms_profile("gray", gamma=1.8, whitepoint=[0.3457, 0.3585, 1.0]))
    assert out.shape == (16, 16, 3)
    assert out[0, 0].tolist() == [0, 0, 0]
    assert out[-1, -1].tolist() == [255, 255, 255]
    assert out[8, 0, 0] > gray[8, 0, 0]


def test_profiles_that_do_not_fit_are_passed_over(caplog):
    pixels = noise(3, 3, 3, np.uint8)
    assert color.to_srgb(pixels, imagecodecs.cms_profile("gray", gamma=1.8)) is pixels
    assert color.to_srgb(pixels, b"nonsense") is pixels
    broken = adobe_like()[:150]
    assert color.to_srgb(pixels, broken) is pixels
    assert "profile" in caplog.text


@pytest.mark.parametrize(
    ("pixel_format", "bits", "most"),
    [("yuv420p", 8, 2), ("yuv444p10le", 16, 0.4), ("yuva444p10le", 16, 0.4), ("gbrp16le", 16, 0), ("bgr0", 8, 0)],
)
def test_known_colors_through_video_pixels(pixel_format, bits, most):
    """Patches of 16 x 16; 8-bit limited range can't keep every color: 2/255 is the best that rounding allows."""
    patches = np.kron(noise(12, 12, 3, np.uint8), np.ones((16, 16, 1), np.uint8))
    video = color.to_video(frame_of(patches), pixel_format, bits)
    back = color.from_video(video, bits=bits, alpha=False)
    error = np.abs(back.rgb - patches / 255)[8::16, 8::16] * 255
    assert error.max() <= most + 1e-3
    assert abs((back.rgb - patches / 255)[8::16, 8::16].mean()) < 0.001  # no cast


def test_limited_range_bt709_by_its_definition():
    """BT.709 table: black 16, white 235, and 100 % primaries as in ITU-R BT.709-6, 8 bits."""
    ink, paper, red, green = (16, 128, 128), (235, 128, 128), (63, 102, 240), (173, 42, 26)
    for rgb, yuv in {(0, 0, 0): ink, (1, 1, 1): paper, (1, 0, 0): red, (0, 1, 0): green}.items():
        frame = Frame(np.tile(np.array(rgb, np.float32), (16, 16, 1)))
        video = color.to_video(frame, "yuv444p", 8)
        assert (int(video.color_range), int(video.colorspace)) == (1, 1)
        planes = video.to_ndarray()
        assert np.abs(planes[:, 8, 8].astype(int) - yuv).max() <= 1


def test_untagged_video_is_read_by_its_size():
    """The same bytes are BT.601 when small and BT.709 when large."""
    import av

    def read(height: int, width: int) -> np.ndarray:
        video = av.VideoFrame.from_ndarray(np.full((height * 3 // 2, width), 81, np.uint8), format="yuv420p")
        return color.from_video(video, bits=8, alpha=False).rgb[4, 4]

    assert np.abs(read(480, 640) - read(720, 1280)).max() > 0.02
    np.testing.assert_array_equal(read(720, 1280), read(1080, 1920))
