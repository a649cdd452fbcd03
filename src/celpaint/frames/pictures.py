"""One picture file: what its header says, its pixels, and pixels to bytes again.

Pillow reads everything of 8 bits; PNG and TIFF of 16 bits go to imagecodecs and tifffile, which Pillow cuts to 8.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeVar

import numpy as np
import numpy.typing as npt

from celpaint.errors import CelpaintError, InputError
from celpaint.frames import color
from celpaint.frames.color import Pixels
from celpaint.types import Array, Frame, PixelFormat

if TYPE_CHECKING:
    from PIL import Image

__all__ = ["MAX_PIXELS", "SUFFIXES", "Header", "check_size", "decode", "encode", "header", "reading"]

SUFFIXES = (".png", ".apng", ".tif", ".tiff", ".tga", ".webp", ".jpg", ".jpeg", ".bmp", ".gif")
"""Suffixes of the pictures that can be read."""

MAX_PIXELS = 2**27
"""The largest picture read, 134 million pixels: 16,384 x 8,192. Anything larger is taken for a mistake or an attack."""

_S = TypeVar("_S", bound=np.generic)

_ORIENTATION, _ICC = 0x0112, 34675
_SIDEWAYS = (5, 6, 7, 8)
_ANIMATED = ("GIF", "PNG", "WEBP")
_EXPORT_AGAIN = "Export it again, or take it out"


@dataclass(frozen=True)
class Header:
    """What a picture says of itself before its pixels are read.

    Attributes:
        size: (height, width) as shown, that is with its orientation tag applied.
        format: bits a channel and whether it has alpha.
        frames: pictures in the file: more than 1 for an animation.
        reader: which library reads its pixels.
    """

    size: tuple[int, int]
    format: PixelFormat
    frames: int
    reader: Literal["pillow", "png", "tiff"]


@contextmanager
def reading(path: Path, what: str = "a picture") -> Iterator[None]:
    """Turns whatever a decoder throws at a broken file into one :class:`InputError`."""
    try:
        if path.is_file() and path.stat().st_size == 0:
            raise InputError(f"'{path}' is empty (0 bytes)", wanted=what, todo=f"{_EXPORT_AGAIN}.")
        yield
    except (CelpaintError, MemoryError):
        raise
    except FileNotFoundError:
        raise InputError(f"'{path}' does not exist", wanted=what, todo="Check the path.") from None
    except PermissionError:
        raise InputError(f"'{path}' may not be read", wanted=what, todo="Check the file's permissions.") from None
    except Exception as error:  # decoders of other people's files raise nearly everything
        from PIL import UnidentifiedImageError

        reason = "it is of no known kind" if isinstance(error, UnidentifiedImageError) else _reason(error)
        raise InputError(
            f"'{path}' can't be read: it is damaged, cut short or not what its suffix says ({reason})",
            wanted=what,
            todo=f"{_EXPORT_AGAIN}.",
        ) from error


def _reason(error: Exception) -> str:
    text = (getattr(error, "strerror", None) or str(error)).strip().splitlines()
    return (text[0] if text else type(error).__name__).rstrip(".")[:160]


def check_size(path: Path, height: int, width: int) -> None:
    """Raise :class:`InputError` if a picture is too large to be meant."""
    if height * width > MAX_PIXELS:
        raise InputError(
            f"'{path}' is {width} x {height} pixels",
            wanted=f"at most {MAX_PIXELS // 10**6} million pixels",
            todo="Scale it down, or cut it into parts.",
        )


def header(path: Path) -> Header:
    """Read a picture's header, without its pixels.

    Raises:
        InputError: no such file, empty, damaged, too large, or pixels of a kind that can't be read.
    """
    with reading(path):
        return _tiff_header(path) if path.suffix.lower() in (".tif", ".tiff") else _pillow_header(path)


def _pillow_header(path: Path) -> Header:
    with _open_pillow(path) as image:
        check_size(path, image.height, image.width)
        deep = image.format == "PNG" and _raw_mode(image).endswith(";16B")
        if image.mode in ("I", "F") or (image.mode.startswith("I;16") and not deep):
            raise _odd_pixels(path, f"pixels of the kind '{image.mode}'")
        turned = _orientation(image) in _SIDEWAYS
        size = (image.width, image.height) if turned else (image.height, image.width)
        frames = int(getattr(image, "n_frames", 1)) if image.format in _ANIMATED else 1
        form = PixelFormat(16 if deep else 8, image.has_transparency_data)
        return Header(size, form, frames, "png" if deep else "pillow")


def _raw_mode(image: Image.Image) -> str:
    """How Pillow will unpack the pixels: tells 16 bits, which its modes do not."""
    tile = getattr(image, "tile", None)
    arguments = tile[0].args if tile else ""
    return str(arguments[0] if isinstance(arguments, tuple) else arguments)


def _tiff_header(path: Path) -> Header:
    import tifffile

    with tifffile.TiffFile(path) as tiff:
        page = tiff.pages.first
        check_size(path, page.imagelength, page.imagewidth)
        if page.sampleformat not in (1, None) or page.bitspersample not in (1, 2, 4, 8, 16):
            raise _odd_pixels(path, f"{page.bitspersample} bits a channel, sample format {page.sampleformat}")
        turn = page.tags.get(_ORIENTATION)
        size = page.imagelength, page.imagewidth
        if turn is not None and turn.value in _SIDEWAYS:
            size = size[::-1]
        if page.bitspersample == 16:
            alpha = any(extra in (_TIFF_PREMULTIPLIED, _TIFF_STRAIGHT) for extra in page.extrasamples)
            return Header(size, PixelFormat(16, alpha), 1, "tiff")
    with _open_pillow(path) as image:
        return Header(size, PixelFormat(8, image.has_transparency_data), 1, "pillow")


def _odd_pixels(path: Path, seen: str) -> InputError:
    return InputError(
        f"'{path}' has {seen}", wanted="8 or 16 bits a channel, integers", todo="Export it as PNG of 8 or 16 bits."
    )


def decode(path: Path, head: Header | None = None) -> Frame:
    """Read a picture's pixels: sRGB, as shown (orientation applied), the first picture of several.

    Raises:
        InputError: as :func:`header`, and where the pixels are damaged or cut short.
    """
    head = head or header(path)
    with reading(path):
        if head.reader == "png":
            pixels, alpha = _deep_png(path)
        elif head.reader == "tiff":
            pixels, alpha = _deep_tiff(path)
        else:
            with _open_pillow(path) as image:
                orientation = _orientation(image)
                pixels, alpha = from_pillow(image)
            pixels, alpha = _turn(pixels, orientation), alpha if alpha is None else _turn(alpha, orientation)
        if pixels.shape[:2] != head.size:
            raise InputError(f"'{path}' changed while it was read", todo="Run again when nothing writes to it.")
        rgb = color.to_float(pixels)
        return Frame(np.repeat(rgb, 3, axis=-1) if rgb.shape[-1] == 1 else rgb, alpha)


def from_pillow(image: Image.Image) -> tuple[Pixels, Array | None]:
    """An 8-bit Pillow image as stored -> (``H W 1`` or ``H W 3`` uint8 in sRGB, ``H W`` alpha or None)."""
    profile = image.info.get("icc_profile")
    if image.mode == "CMYK":
        ink = np.asarray(image)
        rgb = color.to_srgb(ink, profile) if profile else ink
        return (rgb if rgb.shape[-1] == 3 else np.asarray(image.convert("RGB"))), None
    if image.has_transparency_data:
        image = image.convert("LA" if image.mode == "LA" else "RGBA")
    else:
        image = image.convert("L" if image.mode in ("1", "L") else "RGB")
    pixels, alpha = _split(np.atleast_3d(np.asarray(image)))
    return _to_srgb(pixels, profile), alpha


def _orientation(image: Image.Image) -> int:
    """The EXIF orientation; Pillow turns TIFFs by itself."""
    if image.format == "TIFF" or "exif" not in image.info:
        return 1
    return int(image.getexif().get(_ORIENTATION, 1))


def _turn(pixels: npt.NDArray[_S], orientation: int) -> npt.NDArray[_S]:
    """Rows and columns as stored -> as shown."""
    if orientation in _SIDEWAYS:
        pixels = pixels.swapaxes(0, 1)
    vertical, horizontal = _FLIPS.get(orientation, (1, 1))
    return np.ascontiguousarray(pixels[::vertical, ::horizontal])


_FLIPS = {2: (1, -1), 3: (-1, -1), 4: (-1, 1), 6: (1, -1), 7: (-1, -1), 8: (-1, 1)}


def _to_srgb(pixels: Pixels, profile: bytes | None) -> Pixels:
    """Gray or RGB -> sRGB; a gray picture with a profile of RGB is taken for RGB."""
    if not profile:
        return pixels
    if pixels.shape[-1] == 1 and profile[16:20] == b"RGB ":
        pixels = np.repeat(pixels, 3, axis=-1)
    return color.to_srgb(pixels, profile)


def _deep_png(path: Path) -> tuple[Pixels, Array | None]:
    import imagecodecs

    with _open_pillow(path) as image:
        profile, orientation = image.info.get("icc_profile"), _orientation(image)
    pixels = np.atleast_3d(imagecodecs.png_decode(path.read_bytes()))
    pixels, alpha = _split(_turn(pixels, orientation))
    return _to_srgb(pixels, profile), alpha


def _split(pixels: Pixels) -> tuple[Pixels, Array | None]:
    """``H W C`` of 1 to 4 channels -> colors and alpha."""
    if pixels.shape[-1] in (1, 3):
        return pixels, None
    return pixels[..., :-1], color.to_float(pixels[..., -1])


def _deep_tiff(path: Path) -> tuple[Pixels, Array | None]:
    import tifffile

    with tifffile.TiffFile(path) as tiff:
        page = tiff.pages.first
        stored = page.asarray()
        tags = {code: page.tags[code].value for code in (_ORIENTATION, _ICC) if code in page.tags}
        photometric, extras = int(page.photometric), [int(extra) for extra in page.extrasamples]
        planar = int(page.planarconfig) == 2
    stored = np.atleast_3d(np.moveaxis(stored, 0, -1) if planar and stored.ndim == 3 else stored)
    stored = _turn(stored, int(tags.get(_ORIENTATION, 1)))
    channels = {_TIFF_MINISWHITE: 1, _TIFF_MINISBLACK: 1, _TIFF_RGB: 3}.get(photometric)
    if channels is None:
        raise _odd_pixels(path, f"16 bits in TIFF color model {photometric}")
    pixels: Pixels = stored[..., :channels]
    if photometric == _TIFF_MINISWHITE:
        pixels = ~pixels
    extra = next((i for i, kind in enumerate(extras) if kind in (_TIFF_PREMULTIPLIED, _TIFF_STRAIGHT)), None)
    alpha = None if extra is None else color.to_float(stored[..., channels + extra])
    if alpha is not None and extra is not None and extras[extra] == _TIFF_PREMULTIPLIED:
        straight = np.divide(color.to_float(pixels), np.maximum(alpha, 1 / 65535)[..., None], dtype=np.float32)
        pixels = color.quantize(straight, 16)
    return _to_srgb(pixels, tags.get(_ICC)), alpha


_TIFF_MINISWHITE, _TIFF_MINISBLACK, _TIFF_RGB = 0, 1, 2
_TIFF_PREMULTIPLIED, _TIFF_STRAIGHT = 1, 2


@contextmanager
def _open_pillow(path: Path) -> Iterator[Image.Image]:
    from PIL import Image

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        try:
            image = Image.open(path)
        except Image.DecompressionBombError:
            raise InputError(
                f"'{path}' says it has more than {2 * (Image.MAX_IMAGE_PIXELS or 0) // 10**6} million pixels",
                wanted=f"at most {MAX_PIXELS // 10**6} million pixels",
                todo="Scale it down, or cut it into parts.",
            ) from None
        with image:
            yield image


def encode(frame: Frame, suffix: str, format: PixelFormat, *, fast: bool = False) -> bytes:
    """A frame -> the bytes of a picture file.

    Args:
        suffix: ``.png``, ``.tif``/``.tiff`` (8 or 16 bits) or ``.tga`` (always 8 bits).
        format: bits and alpha to store; a frame without alpha is stored opaque, and one whose alpha is not asked for is
            laid over white.
        fast: PNG quickly and larger, for files that are read once.
    """
    bits: Literal[8, 16] = 8 if suffix == ".tga" else format.bits
    if format.alpha:
        alpha = np.ones(frame.size, np.float32) if frame.alpha is None else frame.alpha
        pixels = color.quantize(np.dstack([frame.rgb, alpha]), bits)
    else:
        pixels = color.quantize(color.over_paper(frame).rgb, bits)
    return _ENCODERS[suffix](pixels, fast)


def _png(pixels: Pixels, fast: bool) -> bytes:
    import imagecodecs

    how = {"level": 1, "strategy": 3, "filter": 16} if fast else {"level": 6}
    return bytes(imagecodecs.png_encode(pixels, **how))


def _tiff(pixels: Pixels, fast: bool) -> bytes:
    import tifffile

    file = io.BytesIO()
    tifffile.imwrite(
        file,
        pixels,
        photometric="rgb",
        extrasamples=["unassalpha"] if pixels.shape[-1] == 4 else [],
        compression="lzw",
        predictor=True,
        metadata=None,
    )
    return file.getvalue()


def _tga(pixels: Pixels, fast: bool) -> bytes:
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "TGA", compression="tga_rle")
    return file.getvalue()


_ENCODERS = {".png": _png, ".tif": _tiff, ".tiff": _tiff, ".tga": _tga}
