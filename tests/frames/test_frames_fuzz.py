"""Broken files of every kind are read, or refused in one sentence; nothing else happens."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest
import tifffile
from frame_files import cel, make_video, noise, raw_png
from PIL import Image

from celpaint.errors import InputError
from celpaint.frames.read import open_clip

EXIF = b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0"


def image(index: int = 0) -> Image.Image:
    return Image.fromarray(np.rint(cel(index, 24, 32).rgb * 255).astype(np.uint8))


def animation(path: Path) -> None:
    image().save(path, save_all=True, append_images=[image(3), image(6)], duration=50)


KINDS = {
    "a.png": lambda path: image().save(path, dpi=(144, 144)),
    "deep.png": lambda path: path.write_bytes(raw_png(noise(8, 9, 4, np.uint16), extra=((b"eXIf", EXIF[6:]),))),
    "animated.png": animation,
    "palette.png": lambda path: image().quantize(8).save(path, transparency=bytes(8)),
    "a.gif": animation,
    "a.webp": animation,
    "a.jpg": lambda path: image().save(path, exif=EXIF),
    "cmyk.jpg": lambda path: image().convert("CMYK").save(path),
    "a.bmp": lambda path: image().save(path),
    "a.tga": lambda path: image().save(path, compression="tga_rle"),
    "palette.tga": lambda path: image().quantize(8).save(path),
    "a.tif": lambda path: image().save(path, compression="tiff_lzw"),
    "fax.tif": lambda path: image().convert("1").save(path, compression="group4"),
    "pages.tif": lambda path: tifffile.imwrite(path, noise(3, 8, 9, np.uint16), photometric="minisblack"),
    "cmyk.tif": lambda path: tifffile.imwrite(path, noise(8, 9, 4, np.uint8), photometric="separated"),
    "a.mp4": lambda path: make_video(path, 6),
    "a.mov": lambda path: make_video(path, 3, codec="qtrle", pixels="argb"),
    "a.mkv": lambda path: make_video(path, 3, codec="ffv1", pixels="bgr0"),
    "a.webm": lambda path: make_video(path, 3, codec="libvpx", options={"deadline": "realtime"}),
    "a.avi": lambda path: make_video(path, 6, codec="mpeg4", options={"bf": "2"}),
}


def broken(data: bytes, chance: random.Random) -> bytes:
    """The data cut short, or with bytes changed, taken out, put in or repeated; most of all near the start."""
    changed = bytearray(data)
    within = chance.choice([64, 512, len(data)])
    at = chance.randrange(min(within, len(data)))
    how = chance.randrange(4)
    if how == 0:
        del changed[at:]
    elif how == 1:
        for _ in range(chance.choice([1, 2, 8])):
            changed[chance.randrange(min(within, len(data)))] = chance.choice([0, 1, 127, 128, 255])
    elif how == 2:
        changed[at : at + chance.randrange(40)] = chance.randbytes(chance.randrange(40))
    else:
        changed[at:at] = data[: chance.randrange(200)]
    return bytes(changed)


@pytest.mark.parametrize("kind", KINDS)
def test_no_broken_file_ends_in_a_traceback(tmp_path, kind):
    whole = tmp_path / kind
    KINDS[kind](whole)
    assert len(list(open_clip(whole))) >= 1
    data = whole.read_bytes()
    refused: list[str] = []
    for seed in range(40):
        (tmp_path / "broken").mkdir(exist_ok=True)
        file = tmp_path / "broken" / kind
        file.write_bytes(broken(data, random.Random(seed)))
        try:
            for frame in open_clip(file):
                assert frame.rgb.dtype == np.float32
        except InputError as error:
            refused.append(str(error))
    assert len(refused) >= 5
    assert all(kind in text and "\n" not in text for text in refused)
