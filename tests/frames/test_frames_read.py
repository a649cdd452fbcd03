import struct
import unicodedata
import zlib
from fractions import Fraction

import imagecodecs
import numpy as np
import pytest
import tifffile
from frame_files import cel, noise, png_chunks, raw_png
from PIL import Image, ImageCms, ImageOps

from celpaint.errors import InputError
from celpaint.frames import pictures
from celpaint.frames.read import AnimationClip, PictureClip, open_clip, read_picture
from celpaint.types import PixelFormat


def integers(values: np.ndarray, bits: int = 8) -> np.ndarray:
    return np.rint(values * (2**bits - 1)).astype(np.int64)


def save(path, pixels, **how):
    Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels).save(path, **how)
    return path


def sequence(folder, names, size=(6, 8)):
    folder.mkdir(exist_ok=True)
    for index, name in enumerate(names):
        save(folder / name, np.full((*size, 3), index, np.uint8))
    return folder


# ------------------------------------------------------------------------------------------- one picture, of every kind


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_png(tmp_path, channels, dtype):
    pixels = noise(7, 5, channels, dtype)
    (tmp_path / "a.png").write_bytes(raw_png(pixels))
    frame, form = read_picture(tmp_path / "a.png")
    bits = 8 * pixels.itemsize
    assert form == PixelFormat(bits, channels in (2, 4))
    colors = pixels[..., :1].repeat(3, -1) if channels < 3 else pixels[..., :3]
    np.testing.assert_array_equal(integers(frame.rgb, bits), colors)
    if form.alpha:
        np.testing.assert_array_equal(integers(frame.alpha, bits), pixels[..., -1])
    else:
        assert frame.alpha is None


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("channels", [1, 3])
def test_png_with_one_transparent_color(tmp_path, dtype, channels):
    pixels = noise(4, 4, channels, dtype)
    key = pixels[2, 1].astype(">u2").tobytes()
    (tmp_path / "a.png").write_bytes(raw_png(pixels, extra=((b"tRNS", key),)))
    frame, form = read_picture(tmp_path / "a.png")
    assert form.alpha
    assert frame.alpha[2, 1] == 0
    assert frame.alpha[0, 0] == 1
    assert frame.rgb.shape == (4, 4, 3)


def test_palette_with_transparency(tmp_path):
    image = Image.new("P", (3, 1))
    image.putpalette([255, 0, 0, 0, 255, 0, 0, 0, 255])
    image.putdata([0, 1, 2])
    image.save(tmp_path / "a.png", transparency=bytes([0, 128, 255]))
    frame, form = read_picture(tmp_path / "a.png")
    assert form == PixelFormat(8, True)
    np.testing.assert_array_equal(integers(frame.rgb)[0], [[255, 0, 0], [0, 255, 0], [0, 0, 255]])
    assert integers(frame.alpha)[0].tolist() == [0, 128, 255]


@pytest.mark.parametrize("bits", [1, 2, 4])
def test_gray_of_few_bits(tmp_path, bits):
    header = struct.pack(">IIBBBBB", 8 // bits, 1, bits, 0, 0, 0, 0)
    (tmp_path / "a.png").write_bytes(png_chunks((b"IHDR", header), (b"IDAT", zlib.compress(b"\0\xc0")), (b"IEND", b"")))
    frame, form = read_picture(tmp_path / "a.png")
    assert form == PixelFormat(8, False)
    assert frame.rgb[0, 0, 0] == (0xC0 >> (8 - bits)) / (2**bits - 1)


@pytest.mark.parametrize("suffix", ["bmp", "tga", "webp", "tif"])
def test_other_lossless_kinds(tmp_path, suffix):
    pixels = noise(7, 5, 3, np.uint8)
    path = save(tmp_path / f"a.{suffix}", pixels, **({"lossless": True} if suffix == "webp" else {}))
    frame, form = read_picture(path)
    assert form == PixelFormat(8, False)
    np.testing.assert_array_equal(integers(frame.rgb), pixels)


@pytest.mark.parametrize("suffix", ["tga", "webp", "tif"])
def test_alpha_of_other_kinds(tmp_path, suffix):
    pixels = noise(7, 5, 4, np.uint8)
    how = {"lossless": True, "exact": True} if suffix == "webp" else {}
    frame, form = read_picture(save(tmp_path / f"a.{suffix}", pixels, **how))
    assert form == PixelFormat(8, True)
    np.testing.assert_array_equal(integers(frame.rgb), pixels[..., :3])
    np.testing.assert_array_equal(integers(frame.alpha), pixels[..., 3])


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("compression", [None, "lzw", "zlib", "packbits"])
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_tiff(tmp_path, dtype, compression, channels):
    pixels = noise(7, 5, channels, dtype)
    tifffile.imwrite(
        tmp_path / "a.tif",
        pixels[..., 0] if channels == 1 else pixels,
        photometric="minisblack" if channels == 1 else "rgb",
        extrasamples=["unassalpha"] if channels == 4 else None,
        compression=compression,
    )
    frame, form = read_picture(tmp_path / "a.tif")
    bits = 8 * pixels.itemsize
    assert form == PixelFormat(bits, channels == 4)
    colors = pixels[..., :1].repeat(3, -1) if channels == 1 else pixels[..., :3]
    np.testing.assert_array_equal(integers(frame.rgb, bits), colors)
    if channels == 4:
        np.testing.assert_array_equal(integers(frame.alpha, bits), pixels[..., 3])


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_tiff_of_odd_layouts(tmp_path, dtype):
    pixels = noise(6, 5, 3, dtype)
    bits = 8 * pixels.itemsize
    tifffile.imwrite(tmp_path / "planar.tif", np.moveaxis(pixels, -1, 0), photometric="rgb", planarconfig="separate")
    np.testing.assert_array_equal(integers(read_picture(tmp_path / "planar.tif")[0].rgb, bits), pixels)
    tifffile.imwrite(tmp_path / "white.tif", pixels[..., 0], photometric="miniswhite")
    inverted = np.iinfo(dtype).max - pixels[..., 0].astype(int)
    np.testing.assert_array_equal(integers(read_picture(tmp_path / "white.tif")[0].rgb, bits)[..., 0], inverted)
    turned = [(274, "H", 1, 6, True)]
    tifffile.imwrite(tmp_path / "turned.tif", pixels, photometric="rgb", extratags=turned)
    np.testing.assert_array_equal(integers(read_picture(tmp_path / "turned.tif")[0].rgb, bits), np.rot90(pixels, -1))


def test_a_fourth_channel_that_tiff_does_not_explain(tmp_path):
    """What the header says of alpha is what the pixels have."""
    for name, extra in {"tagged.tif": ["unspecified"], "untagged.tif": None}.items():
        pixels = noise(6, 5, 4, np.uint8)
        tifffile.imwrite(tmp_path / name, pixels, photometric="rgb", extrasamples=extra)
        if extra is None:
            with tifffile.TiffFile(tmp_path / name, mode="r+") as tiff:
                tiff.pages[0].tags["ExtraSamples"].overwrite(0)
        frame, form = read_picture(tmp_path / name)
        assert form.alpha == (frame.alpha is not None)
        np.testing.assert_array_equal(integers(frame.rgb), pixels[..., :3])


def test_tiff_scanned_in_black_and_white(tmp_path):
    ink = noise(16, 24, 1, np.uint8)[..., 0] > 127
    Image.fromarray(ink).save(tmp_path / "scan.tif", compression="group4")
    frame, form = read_picture(tmp_path / "scan.tif")
    assert form == PixelFormat(8, False)
    np.testing.assert_array_equal(frame.rgb[..., 0], ink)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_tiff_with_colors_multiplied_by_alpha(tmp_path, dtype):
    top = np.iinfo(dtype).max
    straight = np.array([[[0.8, 0.4, 0.2, 0.5], [0.1, 0.2, 0.3, 1.0], [0, 0, 0, 0]]])
    stored = np.rint(np.dstack([straight[..., :3] * straight[..., 3:], straight[..., 3]]) * top).astype(dtype)
    tifffile.imwrite(tmp_path / "a.tif", stored, photometric="rgb", extrasamples=["assocalpha"])
    frame, form = read_picture(tmp_path / "a.tif")
    assert form.alpha
    np.testing.assert_allclose(frame.rgb, straight[..., :3], atol=2.5 / top)
    np.testing.assert_allclose(frame.alpha, straight[..., 3], atol=1 / top)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", ["jpg", "webp", "png"])
def test_orientation_as_pillow_shows_it(tmp_path, orientation, suffix):
    pixels = np.kron(noise(3, 2, 3, np.uint8), np.ones((8, 8, 1), np.uint8))
    exif = Image.Exif()
    exif[0x0112] = orientation
    how = {"quality": 100, "subsampling": 0} if suffix == "jpg" else {"lossless": True} if suffix == "webp" else {}
    path = save(tmp_path / f"a.{suffix}", pixels, exif=exif, **how)
    with Image.open(path) as image:
        shown = np.asarray(ImageOps.exif_transpose(image))
    frame, _ = read_picture(path)
    assert pictures.header(path).size == shown.shape[:2]
    np.testing.assert_array_equal(integers(frame.rgb), shown)


def test_cmyk_jpeg(tmp_path):
    ink = np.zeros((16, 16, 4), np.uint8)
    ink[:8, :, 0] = 255  # cyan above, white below
    Image.fromarray(ink, "CMYK").save(tmp_path / "a.jpg", quality=100)
    frame, form = read_picture(tmp_path / "a.jpg")
    assert form == PixelFormat(8, False)
    np.testing.assert_allclose(frame.rgb[2, 8], [0, 1, 1], atol=0.02)
    np.testing.assert_allclose(frame.rgb[13, 8], [1, 1, 1], atol=0.02)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_an_embedded_profile_is_converted(tmp_path, dtype):
    linear = imagecodecs.cms_profile("rgb", whitepoint=[0.3127, 0.329, 1.0],
        primaries=[0.64, 0.33, 1.0, 0.3, 0.6, 1.0, 0.15, 0.06, 1.0], gamma=1.0)  # fmt: skip
    top = np.iinfo(dtype).max
    pixels = np.full((2, 2, 3), round(0.2140 * top), dtype)
    chunk = b"linear\0\0" + zlib.compress(linear)
    (tmp_path / "a.png").write_bytes(raw_png(pixels, extra=((b"iCCP", chunk),)))
    frame, _ = read_picture(tmp_path / "a.png")
    np.testing.assert_allclose(frame.rgb, 0.5, atol=0.004)  # sRGB codes 21.4 % of the light as one half


def test_an_srgb_profile_leaves_every_value(tmp_path):
    pixels = noise(8, 8, 3, np.uint8)
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    frame, _ = read_picture(save(tmp_path / "a.png", pixels, icc_profile=profile))
    np.testing.assert_array_equal(integers(frame.rgb), pixels)


# ------------------------------------------------------------------------------------------------------- sequences


def test_a_folder_in_natural_order_with_gaps(tmp_path):
    names = ["A_1.png", "A_2.png", "A_10.png", "A_40.png"]
    folder = sequence(tmp_path / "Schnitt 05 線", names)
    (folder / "._A_1.png").write_bytes(b"resource fork")
    (folder / ".A_3.png").write_bytes(b"hidden")
    (folder / "notes.txt").write_text("twos")
    clip = open_clip(folder)
    assert isinstance(clip, PictureClip)
    assert clip.names == tuple(names)
    assert (len(clip), clip.size, clip.rate, clip.times, clip.lossy) == (4, (6, 8), None, None, False)
    assert [int(integers(f.rgb)[0, 0, 0]) for f in clip] == [0, 1, 2, 3]
    assert integers(clip[-1].rgb).max() == 3
    with pytest.raises(IndexError):
        clip[4]


@pytest.mark.parametrize(
    ("pattern", "wanted"),
    [
        ("A_####.png", ["A_0001.png", "A_0002.png"]),
        ("A_%04d.png", ["A_0001.png", "A_0002.png"]),
        ("B_#.png", ["B_0001.png"]),
        ("*_0001.png", ["A_0001.png", "B_0001.png"]),
        ("?_0002.png", ["A_0002.png"]),
        ("A_0001.png", ["A_0001.png"]),
    ],
)
def test_patterns(tmp_path, pattern, wanted):
    folder = sequence(tmp_path / "cut 05", ["A_0001.png", "A_0002.png", "B_0001.png"])
    clip = open_clip(str(folder / pattern))
    assert list(clip.names) == wanted


def test_a_file_name_that_looks_like_a_pattern_is_a_file_first(tmp_path):
    save(tmp_path / "take[1]#.png", np.zeros((2, 2, 3), np.uint8))
    assert open_clip(tmp_path / "take[1]#.png").names == ("take[1]#.png",)


def test_names_in_decomposed_unicode(tmp_path):
    name = unicodedata.normalize("NFD", "é_01.png")
    folder = sequence(tmp_path / "ü", [name])
    assert open_clip(folder).names == (name,)
    assert open_clip(folder / name).names == (name,)


def test_mixed_depths_take_the_deepest(tmp_path):
    (tmp_path / "a1.png").write_bytes(raw_png(noise(4, 4, 3, np.uint16)))
    (tmp_path / "a2.png").write_bytes(raw_png(noise(4, 4, 4, np.uint8)))
    clip = open_clip(tmp_path)
    assert clip.format == PixelFormat(16, True)
    assert clip[0].alpha is None
    assert clip[1].alpha is not None


# ------------------------------------------------------------------------------------------------------ animations


@pytest.mark.parametrize("suffix", ["gif", "png", "webp"])
def test_animations(tmp_path, suffix):
    images = [Image.fromarray(np.rint(cel(i).rgb * 255).astype(np.uint8)) for i in range(6)]
    how = {"lossless": True} if suffix == "webp" else {}
    images[0].save(tmp_path / f"a.{suffix}", save_all=True, append_images=images[1:], duration=40, loop=0, **how)
    clip = open_clip(tmp_path / f"a.{suffix}")
    assert isinstance(clip, AnimationClip)
    assert (len(clip), clip.size, clip.rate, clip.names, clip.format) == (6, (72, 96), 25, None, PixelFormat(8, False))
    for index in (0, 3, 1, 5, 5, 2):
        np.testing.assert_array_equal(integers(clip[index].rgb), np.asarray(images[index]))
        assert clip[index].alpha is None


def test_uneven_animation_keeps_its_times(tmp_path):
    images = [Image.fromarray(np.rint(cel(i).rgb * 255).astype(np.uint8)) for i in range(4)]
    images[0].save(tmp_path / "a.gif", save_all=True, append_images=images[1:], duration=[100, 50, 300, 100])
    clip = open_clip(tmp_path / "a.gif")
    assert clip.times == (0, Fraction(1, 10), Fraction(15, 100), Fraction(45, 100))
    assert clip.rate == pytest.approx(3 / 0.45, abs=0.01)


def test_transparent_gif(tmp_path):
    images = [Image.new("RGBA", (8, 8), (255, 0, 0, 0)) for _ in range(3)]
    for index, image in enumerate(images):
        image.paste((0, 0, 255, 255), (index, 0, index + 2, 4))
    images[0].save(tmp_path / "a.gif", save_all=True, append_images=images[1:], duration=100, disposal=2)
    clip = open_clip(tmp_path / "a.gif")
    assert clip.format.alpha
    for index, frame in enumerate(clip):
        np.testing.assert_array_equal(frame.alpha, np.asarray(images[index])[..., 3] / 255)


def test_the_still_of_an_apng_is_no_frame(tmp_path):
    still = Image.new("RGB", (4, 4), "white")
    images = [Image.new("RGB", (4, 4), (i, 0, 0)) for i in (10, 20)]
    still.save(tmp_path / "a.png", save_all=True, append_images=images, default_image=True, duration=100)
    clip = open_clip(tmp_path / "a.png")
    assert [int(integers(f.rgb)[0, 0, 0]) for f in clip] == [10, 20]


def test_a_folder_of_one_animation_is_that_animation(tmp_path):
    images = [Image.new("RGB", (4, 4), (i, 0, 0)) for i in range(3)]
    images[0].save(tmp_path / "a.gif", save_all=True, append_images=images[1:], duration=100)
    assert len(open_clip(tmp_path)) == 3


# ----------------------------------------------------------------------------------------------------------- bad input


def refused(source, *words) -> str:
    with pytest.raises(InputError) as caught:
        list(open_clip(source))
    text = str(caught.value)
    for word in words:
        assert str(word) in text
    assert caught.value.seen
    assert caught.value.todo.endswith((".", "?"))
    assert "\n" not in text
    return text


def test_no_such_file(tmp_path):
    sequence(tmp_path / "lines", ["A_1.png"])
    refused(tmp_path / "line", "does not exist", "Did you mean", "lines")
    refused(tmp_path / "nowhere" / "A_####.png", "nowhere", "does not exist")
    refused(tmp_path / "lines" / "B_####.png", "no picture fits", "A_#.png")


def test_empty_folder(tmp_path):
    refused(tmp_path, "is empty", "png")


def test_folder_without_pictures(tmp_path):
    (tmp_path / "a.psd").write_bytes(b"8BPS")
    (tmp_path / "b.psd").write_bytes(b"8BPS")
    refused(tmp_path, "holds no pictures", "2 .psd")


def test_folder_with_a_video_or_folders_in_it_says_so(tmp_path):
    sequence(tmp_path / "A", ["1.png"])
    refused(tmp_path, "Give a folder in it", tmp_path / "A")
    (tmp_path / "take.mp4").write_bytes(b"")
    refused(tmp_path, "take.mp4")


def test_several_sequences(tmp_path):
    folder = sequence(tmp_path / "cut", ["A_0001.png", "A_0002.png", "B_0001.png", "bg.png"])
    refused(folder, "3 sequences", "A_####.png (2 pictures)", "B_####.png", "bg.png", folder / "A_####.png")


def test_one_number_twice(tmp_path):
    folder = sequence(tmp_path / "cut", ["A_1.png", "A_01.png"])
    refused(folder, "same number", "A_1.png", "A_01.png")
    refused(folder / "A_#.png", "same number")


def test_mixed_sizes(tmp_path):
    sequence(tmp_path, ["A_1.png", "A_2.png"], (6, 8))
    sequence(tmp_path, ["A_3.png"], (8, 6))
    text = refused(tmp_path, "A_1.png", "8 x 6", "A_3.png", "6 x 8")
    assert text.count(".png'") >= 2


def test_an_animation_among_pictures(tmp_path):
    images = [Image.new("RGB", (4, 4), (i, 0, 0)) for i in range(3)]
    images[0].save(tmp_path / "a1.gif", save_all=True, append_images=images[1:], duration=100)
    images[0].save(tmp_path / "a2.gif")
    refused(tmp_path, "a1.gif", "animation of 3 pictures")


@pytest.mark.parametrize("suffix", ["png", "tif", "tga", "webp", "jpg", "bmp", "gif"])
def test_zero_bytes(tmp_path, suffix):
    (tmp_path / f"a1.{suffix}").write_bytes(b"")
    refused(tmp_path, f"a1.{suffix}", "0 bytes")
    refused(tmp_path / f"a1.{suffix}", "0 bytes")


@pytest.mark.parametrize("suffix", ["png", "tif", "tga", "webp", "jpg", "bmp", "gif"])
def test_cut_short(tmp_path, suffix):
    save(tmp_path / f"a.{suffix}", noise(40, 40, 3, np.uint8))
    data = (tmp_path / f"a.{suffix}").read_bytes()
    (tmp_path / f"a.{suffix}").write_bytes(data[: len(data) // 2])
    refused(tmp_path / f"a.{suffix}", f"a.{suffix}", "can't be read")


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_deep_png_cut_short_or_damaged(tmp_path, channels):
    data = raw_png(noise(40, 40, channels, np.uint16))
    for broken in (data[: len(data) // 2], data[:-20], data[:200] + bytes(40) + data[240:]):
        (tmp_path / "a.png").write_bytes(broken)
        refused(tmp_path / "a.png", "a.png", "can't be read")


@pytest.mark.parametrize("suffix", ["png", "tif", "webp", "jpg", "bmp", "gif"])
def test_not_what_the_suffix_says(tmp_path, suffix):
    (tmp_path / f"a.{suffix}").write_bytes(b"this is no picture at all, but a long enough text" * 10)
    refused(tmp_path / f"a.{suffix}", f"a.{suffix}", "can't be read")


def test_bombs(tmp_path):
    header = struct.pack(">IIBBBBB", 40_000, 40_000, 8, 2, 0, 0, 0)
    (tmp_path / "a.png").write_bytes(png_chunks((b"IHDR", header), (b"IDAT", b"\0"), (b"IEND", b"")))
    refused(tmp_path / "a.png", "million pixels")
    header = struct.pack(">IIBBBBB", 13_000, 13_000, 8, 2, 0, 0, 0)
    (tmp_path / "a.png").write_bytes(png_chunks((b"IHDR", header), (b"IDAT", b"\0"), (b"IEND", b"")))
    refused(tmp_path / "a.png", "13000 x 13000 pixels", "at most")
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((4, 4, 3), np.uint8), photometric="rgb")
    with tifffile.TiffFile(tmp_path / "a.tif", mode="r+") as tiff:
        for tag in ("ImageWidth", "ImageLength"):
            tiff.pages[0].tags[tag].overwrite(40_000)
    refused(tmp_path / "a.tif", "40000 x 40000 pixels")


def test_float_and_32_bit_pictures(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((4, 4, 3), np.float32), photometric="rgb")
    refused(tmp_path / "a.tif", "32 bits", "8 or 16 bits")


def test_a_deep_tiff_under_another_name(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", noise(4, 4, 1, np.uint16)[..., 0])
    (tmp_path / "a.tif").rename(tmp_path / "a.png")
    refused(tmp_path / "a.png", "I;16", "8 or 16 bits")


def test_unknown_suffix(tmp_path):
    (tmp_path / "a.psd").write_bytes(b"8BPS")
    refused(tmp_path / "a.psd", "'.psd'", "png", "mp4")


def test_reading_one_picture_refuses_folders_and_videos(tmp_path):
    with pytest.raises(InputError, match="is a folder"):
        read_picture(tmp_path)
    (tmp_path / "a.mp4").write_bytes(b"0")
    with pytest.raises(InputError, match="is a video"):
        read_picture(tmp_path / "a.mp4")
    with pytest.raises(InputError, match="does not exist"):
        read_picture(tmp_path / "a.png")
