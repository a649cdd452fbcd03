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
from celpaint.frames.read import AnimationClip, PagesClip, PictureClip, open_clip, read_picture
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
    assert (form.bits, form.alpha) == (8, False)
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


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_of_tiff_and_deep_png(tmp_path, orientation, dtype):
    """As EXIF defines it: which row and column of the stored picture is at the top and at the left (CIPA DC-008)."""
    pixels = noise(3, 2, 3, dtype)
    shown = {
        1: pixels,
        2: pixels[:, ::-1],
        3: pixels[::-1, ::-1],
        4: pixels[::-1],
        5: pixels.swapaxes(0, 1),
        6: pixels.swapaxes(0, 1)[:, ::-1],
        7: pixels.swapaxes(0, 1)[::-1, ::-1],
        8: pixels.swapaxes(0, 1)[::-1],
    }[orientation]
    bits = 8 * pixels.itemsize
    tifffile.imwrite(tmp_path / "a.tif", pixels, photometric="rgb", extratags=[(274, "H", 1, orientation, True)])
    exif = Image.Exif()
    exif[0x0112] = orientation
    (tmp_path / "a.png").write_bytes(raw_png(pixels, extra=((b"eXIf", exif.tobytes().removeprefix(b"Exif\0\0")),)))
    for name in ("a.tif", "a.png"):
        assert pictures.header(tmp_path / name).size == shown.shape[:2]
        np.testing.assert_array_equal(integers(read_picture(tmp_path / name)[0].rgb, bits), shown)


# ------------------------------------------------------------------------------------- good pictures in odd packages


def tga(pixels: np.ndarray, kind: int, packets: list[bytes], flags: int = 0x20) -> bytes:
    """A TGA of run-length packets, stored from the top."""
    height, width, channels = pixels.shape
    return (
        struct.pack("<BBBHHBHHHHBB", 3, 0, kind, 0, 0, 0, 0, 0, width, height, 8 * channels, flags)
        + b"abc"
        + b"".join(packets)
    )


@pytest.mark.parametrize(("channels", "kind"), [(1, 11), (3, 10), (4, 10)])
def test_tga_runs_that_cross_the_ends_of_rows(tmp_path, channels, kind):
    """Three rows of four pixels as a run of five, five pixels as they are, and a run of two."""
    values = np.array([9] * 5 + [1, 2, 3, 4, 5] + [7] * 2, np.uint8)
    pixels = (values[:, None] + np.arange(channels, dtype=np.uint8) * 20).reshape(3, 4, channels)
    stored = [p.tobytes() for p in pixels[..., [2, 1, 0, 3][:channels] if channels > 1 else [0]].reshape(12, channels)]
    packets = [bytes([0x84]) + stored[0], bytes([4]) + b"".join(stored[5:10]), bytes([0x81]) + stored[10]]
    for index in (1, 2):
        data = tga(pixels, kind, packets, 0x28 if channels == 4 else 0x20)
        (tmp_path / f"a{index}.tga").write_bytes(data)
    frame = open_clip(tmp_path)[1]
    np.testing.assert_array_equal(integers(frame.rgb), pixels[..., :3] if channels > 1 else pixels.repeat(3, -1))
    if channels == 4:
        np.testing.assert_array_equal(integers(frame.alpha), pixels[..., 3])
    (tmp_path / "a2.tga").write_bytes(data[:-6])
    refused(tmp_path, "a2.tga", "cut short")


def packed(kind: bytes, name: bytes, data: bytes) -> tuple[bytes, bytes]:
    return kind, name + b"\0\0" + zlib.compress(data, 9)


SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
LARGE = struct.pack(">I", len(SRGB) + 3_000_000) + SRGB[4:] + bytes(3_000_000)
TURNED = b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0"


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize(
    "beside",
    [
        packed(b"zTXt", b"note", b"a long story " * 400_000),
        (b"iTXt", b"note\0\1\0\0\0" + zlib.compress(bytes(5_000_000))),
        (b"tEXt", b"x" * 5_000_000),
        packed(b"iCCP", b"scanner", LARGE),
        (b"iCCP", b"scanner\0\0no profile"),
        (b"iCCP", b"x"),
        (b"eXIf", b"this is no exif"),
        (b"eXIf", b"II*\0\x08\0\0\0\xff\xff\x12\x01"),
        (b"pHYs", b"\0\0"),
        (b"gAMA", b""),
        (b"zTXt", b"note\0\0not packed"),
    ],
    ids=lambda chunk: f"{chunk[0].decode()}-{len(chunk[1]) // 1000}",
)
def test_odd_data_beside_a_good_png_is_passed_over(tmp_path, dtype, beside, recwarn):
    pixels = noise(5, 4, 3, dtype)
    (tmp_path / "a1.png").write_bytes(raw_png(pixels, extra=(beside,)))
    whole = raw_png(pixels)
    (tmp_path / "a2.png").write_bytes(whole[:-12] + png_chunks(beside)[8:] + whole[-12:])  # behind the pixels
    for frame in open_clip(tmp_path):
        np.testing.assert_array_equal(integers(frame.rgb, 8 * pixels.itemsize), pixels)
    assert not recwarn.list


def test_a_wrong_checksum_matters_in_the_picture_alone(tmp_path):
    pixels = noise(5, 4, 3, np.uint8)
    data = bytearray(raw_png(pixels, extra=((b"tIME", bytes(7)), (b"eXIf", TURNED))))
    at = data.index(b"tIME") + 11
    data[at] ^= 1
    (tmp_path / "a.png").write_bytes(data)
    np.testing.assert_array_equal(integers(read_picture(tmp_path / "a.png")[0].rgb), np.rot90(pixels, -1))
    at = data.index(b"IDAT") + 8
    data[at] ^= 1
    (tmp_path / "a.png").write_bytes(data)
    refused(tmp_path / "a.png", "can't be read")


@pytest.mark.parametrize("suffix", ["jpg", "webp"])
def test_broken_exif_of_other_kinds(tmp_path, suffix, recwarn):
    pixels = noise(16, 16, 3, np.uint8)
    how = {"lossless": True} if suffix == "webp" else {}
    save(tmp_path / f"a.{suffix}", pixels, exif=b"Exif\0\0II*\0\x08\0\0\0\xff\xff\x12\x01", **how)
    assert read_picture(tmp_path / f"a.{suffix}")[0].size == (16, 16)
    assert not recwarn.list


def test_a_profile_that_cannot_be_read_is_ignored_and_said(tmp_path, caplog):
    for mode, kind in (("RGB", b"RGB "), ("CMYK", b"CMYK"), ("L", b"GRAY")):
        broken = bytes(16) + kind + bytes(112)
        Image.new(mode, (8, 8)).save(tmp_path / f"{mode}.jpg", icc_profile=broken)
        read_picture(tmp_path / f"{mode}.jpg")
    assert caplog.text.count("can't be read and is ignored") == 3


# --------------------------------------------------------------------------------------------------------------- TIFF


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("marked", ["new", "old", "all"])
def test_previews_and_masks_are_no_pages(tmp_path, dtype, marked):
    pixels = noise(8, 6, 3, dtype)
    mark = {"extratags": [(255, "H", 1, 2, True)]} if marked == "old" else {"subfiletype": 1}
    with tifffile.TiffWriter(tmp_path / "a.tif") as file:
        file.write(pixels[::2, ::2], photometric="rgb", **mark)
        file.write(pixels, photometric="rgb", **(mark if marked == "all" else {}))
        file.write(pixels[::4, ::4], photometric="rgb", **mark)
        file.write(pixels[..., 0] > 9, photometric="minisblack", subfiletype=5 if marked == "all" else 4)
    clip = open_clip(tmp_path / "a.tif")
    assert (len(clip), clip.size) == (1, (8, 6))
    np.testing.assert_array_equal(integers(clip[0].rgb, 8 * pixels.itemsize), pixels)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_the_pages_of_a_tiff_are_frames(tmp_path, dtype, caplog):
    stack = [noise(8, 6, 1, dtype, seed)[..., 0] for seed in range(4)]
    tifffile.imwrite(tmp_path / "scan.tif", np.stack(stack), photometric="minisblack", resolution=(300, 300))
    clip = open_clip(tmp_path / "scan.tif")
    assert isinstance(clip, PagesClip)
    assert (len(clip), clip.names, clip.format.resolution) == (4, None, (300, 300))
    for index in (3, 0, 2, 1):
        np.testing.assert_array_equal(integers(clip[index].rgb[..., 0], 8 * stack[0].itemsize), stack[index])
    assert not caplog.text
    assert (
        integers(read_picture(tmp_path / "scan.tif")[0].rgb[..., 0], 8 * stack[0].itemsize).tolist()
        == stack[0].tolist()
    )
    assert "holds 4 pages; only the first is read" in caplog.text


def test_pages_of_several_sizes_are_said_to_be_left_out(tmp_path, caplog):
    with tifffile.TiffWriter(tmp_path / "a.tif") as file:
        for side in (8, 4):
            file.write(noise(side, side, 1, np.uint8)[..., 0], photometric="minisblack")
    assert (len(open_clip(tmp_path / "a.tif")), open_clip(tmp_path / "a.tif").size) == (1, (8, 8))
    assert "holds 2 pages; only the first is read" in caplog.text


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("layout", ["contig", "separate"])
@pytest.mark.parametrize("extras", [[], ["unassalpha"], ["unspecified", "unassalpha"]])
def test_cmyk_tiff_with_further_channels(tmp_path, dtype, layout, extras):
    """Each ink takes its share of the light: half of cyan, black a quarter leave 3/8 red and 3/4 of the rest."""
    top = np.iinfo(dtype).max
    stored = np.zeros((4, 3, 4 + len(extras)), dtype)
    stored[..., 0], stored[..., 3] = top // 2, top // 4
    stored[..., 4:] = top // 5
    if layout == "separate":
        stored = np.moveaxis(stored, -1, 0)
    tifffile.imwrite(
        tmp_path / "a.tif", stored, photometric="separated", planarconfig=layout, extrasamples=extras or None
    )
    frame, form = read_picture(tmp_path / "a.tif")
    assert (form.bits, form.alpha) == (8 * stored.itemsize, bool(extras))
    np.testing.assert_allclose(frame.rgb, np.broadcast_to([0.375, 0.75, 0.75], (4, 3, 3)), atol=0.007)
    if extras:
        np.testing.assert_allclose(frame.alpha, 0.2, atol=0.001)


# --------------------------------------------------------------------------------------------------------- resolution


@pytest.mark.parametrize("dpi", [72, 144, 150, 299.5, 1200])
@pytest.mark.parametrize("suffix", ["png", "tif", "jpg", "bmp"])
def test_resolution_is_read_as_it_was_meant(tmp_path, suffix, dpi):
    path = save(tmp_path / f"a.{suffix}", noise(4, 6, 3, np.uint8), dpi=(dpi, dpi))
    found = pictures.header(path).format.resolution
    assert found == pytest.approx((dpi, dpi), abs=0.02 if suffix in ("png", "tif") else 0.6)
    if dpi == int(dpi):
        assert found == (dpi, dpi)


def test_resolution_in_centimeters_of_a_turned_picture_and_nonsense(tmp_path):
    pixels = noise(4, 6, 3, np.uint8)
    turned = [(274, "H", 1, 6, True)]
    tifffile.imwrite(tmp_path / "a.tif", pixels, resolution=(100, 50), resolutionunit="CENTIMETER", extratags=turned)
    assert pictures.header(tmp_path / "a.tif").format.resolution == (127, 254)
    tifffile.imwrite(tmp_path / "b.tif", pixels, resolution=(1, 1), resolutionunit="NONE")
    assert pictures.header(tmp_path / "b.tif").format.resolution is None
    (tmp_path / "c.png").write_bytes(raw_png(pixels, extra=((b"pHYs", struct.pack(">IIB", 0, 2835, 1)),)))
    assert pictures.header(tmp_path / "c.png").format.resolution is None


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


def test_tiff_is_known_by_its_content(tmp_path):
    pixels = noise(4, 4, 1, np.uint16)
    tifffile.imwrite(tmp_path / "a.tif", pixels[..., 0])
    (tmp_path / "a.tif").rename(tmp_path / "a.png")
    np.testing.assert_array_equal(integers(open_clip(tmp_path / "a.png")[0].rgb, 16)[..., :1], pixels)
    save(tmp_path / "b.png", pixels.astype(np.uint8))
    (tmp_path / "b.png").rename(tmp_path / "b.tif")
    np.testing.assert_array_equal(integers(open_clip(tmp_path / "b.tif")[0].rgb)[..., :1], pixels.astype(np.uint8))


def test_unknown_suffix(tmp_path):
    (tmp_path / "a.psd").write_bytes(b"8BPS")
    refused(tmp_path / "a.psd", "a Photoshop document", "png", "mp4")
    (tmp_path / "a.abc").write_bytes(b"abc")
    refused(tmp_path / "a.abc", "'.abc'")
    (tmp_path / "abc").write_bytes(b"abc")
    refused(tmp_path / "abc", "no suffix")


def test_reading_one_picture_refuses_folders_and_videos(tmp_path):
    with pytest.raises(InputError, match="is a folder"):
        read_picture(tmp_path)
    (tmp_path / "a.mp4").write_bytes(b"0")
    with pytest.raises(InputError, match="is a video"):
        read_picture(tmp_path / "a.mp4")
    with pytest.raises(InputError, match="does not exist"):
        read_picture(tmp_path / "a.png")
